//! The discovery endpoints (RFC 7644 section 4).

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::Bytes;
use serde_json::Value;

use super::route::ScimRoute;
use super::{authenticate, body, reject_method};
use crate::error::{Error, Reason, Result};
use crate::management::oauth;
use crate::model::switches::{InputMode, PasswordHandling, Switches};
use crate::provisioning::scope;
use crate::scim::discovery::{self, Capabilities};
use crate::scim::percent;
use crate::scim::schema::{ResourceType, Schema, standard_types};
use crate::store::Store;
use crate::web::scim::authenticate::TokenCaller;
use crate::web::scim::provisioning_path::SCIM_PREFIXES;
use crate::web::scim::response::{ResponseBody, ScimResponse};
use crate::web::state::discovery_cache::{DiscoveryCache, DocumentBasis, DocumentKind};

/// What the discovery documents are generated from.
pub(super) struct DiscoverySource<'r> {
    /// The URL that all URLs in the document start with.
    pub(super) base: &'r str,
    /// Settings of the configuration.
    pub(super) switches: &'r Switches,
    /// Resource types that the caller may see.
    pub(super) types: &'r [Arc<ResourceType>],
    /// Whether the configuration has an OAuth client.
    pub(super) has_oauth_client: bool,
}

/// Returns a discovery document to a caller without a token, if the configuration allows it. Without a configuration in
/// the path, the document has the default values.
///
/// # Errors
/// 401 if the configuration requires a token or does not exist; the errors of [`serve_document`].
pub(super) fn serve_anonymous(
    request: &HttpRequest,
    store: &Store,
    configuration: Option<&str>,
    base: &str,
    route: &ScimRoute,
) -> Result<ScimResponse> {
    let Some(id) = configuration else {
        let (switches, types) = (Switches::default(), standard_types().map(Arc::clone));
        let source = DiscoverySource { base, switches: &switches, types: &types, has_oauth_client: false };
        return serve_document(request, &source, route);
    };
    let found = store.read_inline(|at| {
        let scope = scope::find_public_scope(at, id)?;
        let has_client = scope.as_ref().map(|scope| oauth::has_client(at, scope.configuration)).transpose()?;
        Ok(scope.zip(has_client))
    })?;
    let (scope, has_oauth_client) = found.ok_or_else(authenticate::unauthorized_error)?;
    let source = DiscoverySource { base, switches: &scope.switches, types: &scope.types, has_oauth_client };
    let answer = serve_document(request, &source, route);
    let media_type = scope.switches.response_media_type;
    Ok(ScimResponse { media_type, ..answer.unwrap_or_else(ScimResponse::from) })
}

/// Returns a document of a caller from the cache; renders it if something that it follows from has changed.
///
/// # Errors
/// Those of [`serve_document`].
pub(super) fn serve_cached(
    cache: &DiscoveryCache,
    request: &HttpRequest,
    caller: &TokenCaller,
    source: &DiscoverySource<'_>,
    route: &ScimRoute,
) -> Result<ScimResponse> {
    let kind = match route {
        ScimRoute::ServiceProviderConfig => DocumentKind::ServiceProviderConfig,
        ScimRoute::ResourceTypes(None) => DocumentKind::ResourceTypes,
        ScimRoute::Schemas(None) => DocumentKind::Schemas,
        _ => return serve_document(request, source, route),
    };
    if request.method() != Method::GET || !request.query_string().is_empty() {
        return serve_document(request, source, route);
    }
    let scope = &caller.scope;
    let key = (scope.configuration, caller.rights, kind);
    let basis = DocumentBasis {
        switches: Arc::clone(&scope.switches),
        types: Arc::clone(&scope.types),
        has_oauth_client: source.has_oauth_client,
        body_max_bytes: body::max_body_bytes(request),
        base: source.base.to_owned(),
    };
    if let Some(bytes) = cache.find(&key, &basis) {
        return Ok(ScimResponse { status: 200, body: ResponseBody::Shared(bytes), ..ScimResponse::default() });
    }
    let answer = serve_document(request, source, route)?;
    let ResponseBody::Bytes(bytes) = answer.body else { return Ok(answer) };
    let bytes = Bytes::from(bytes);
    cache.insert(key, basis, bytes.clone());
    Ok(ScimResponse { body: ResponseBody::Shared(bytes), ..answer })
}

/// Returns a discovery document.
///
/// # Errors
/// 403 if the query has a filter, 404 if the document does not exist.
pub(super) fn serve_document(
    request: &HttpRequest,
    source: &DiscoverySource<'_>,
    route: &ScimRoute,
) -> Result<ScimResponse> {
    let DiscoverySource { base, switches, types, .. } = *source;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(reject_method(request, route));
    }
    // RFC 7644 section 4: these documents are not filtered, sorted or paged.
    if percent::parse_query_string(request.query_string()).iter().any(|(name, _)| name.eq_ignore_ascii_case("filter")) {
        return Err(Error::new(Reason::DiscoveryFilterForbidden));
    }
    let document = match route {
        ScimRoute::ResourceTypes(None) => discovery::render_list(
            types.iter().map(|resource_type| discovery::render_resource_type(base, resource_type)).collect(),
        ),
        ScimRoute::ResourceTypes(Some(name)) => {
            let found = types.iter().find(|resource_type| resource_type.name.eq_ignore_ascii_case(name));
            discovery::render_resource_type(base, found.ok_or_else(document_not_found)?)
        }
        ScimRoute::Schemas(None) => {
            let document = |schema| discovery::render_schema(base, schema, stores_passwords(switches));
            discovery::render_list(list_schemas(types).map(document).collect::<Vec<Value>>())
        }
        ScimRoute::Schemas(Some(uri)) => {
            let found = list_schemas(types).find(|schema| schema.id.eq_ignore_ascii_case(uri));
            discovery::render_schema(base, found.ok_or_else(document_not_found)?, stores_passwords(switches))
        }
        _ => {
            let documentation = source.has_oauth_client.then(|| documentation_url(base));
            let abilities = build_abilities(switches, body::max_body_bytes(request), documentation);
            discovery::render_service_provider_config(base, &abilities)
        }
    };
    Ok(ScimResponse::json(200, &document))
}

fn list_schemas(types: &[Arc<ResourceType>]) -> impl Iterator<Item = &Schema> {
    types.iter().flat_map(|resource_type| {
        std::iter::once(&*resource_type.schema)
            .chain(resource_type.extensions.iter().map(|extension| &*extension.schema))
    })
}

fn document_not_found() -> Error {
    Error::new(Reason::DiscoveryDocumentNotFound)
}

fn stores_passwords(switches: &Switches) -> bool {
    switches.passwords == PasswordHandling::Verify
}

/// Returns the URL of the documentation of access tokens, on the server of this base URL.
fn documentation_url(base: &str) -> String {
    let end = SCIM_PREFIXES.iter().filter_map(|prefix| base.find(&format!("{prefix}/"))).min().unwrap_or(base.len());
    format!("{}/docs/api", &base[..end])
}

fn build_abilities(switches: &Switches, body_max_bytes: usize, oauth_documentation: Option<String>) -> Capabilities {
    Capabilities {
        page_max: u64::from(switches.page_max),
        page_default: u64::from(switches.page_default),
        bulk: switches.bulk,
        body_max_bytes,
        newer_members: switches.newer_discovery_members,
        strict: switches.input == InputMode::Strict,
        stores_passwords: stores_passwords(switches),
        oauth_documentation,
    }
}
