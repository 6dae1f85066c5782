//! The `OpenAPI` document, generated from the same route table as the routing.

use actix_web::{FromRequest, Handler, HttpResponse, Responder};
use serde_json::Value;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, InfoBuilder, License, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Schema,
    ServerBuilder, Tag,
};

use super::{client_shapes, described_responses, examples, operation};
use crate::error::Reason;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, describe_error_schema};
use crate::web::api::routes::{DocumentedHandler, HandlerArguments, RouteCollector};
use crate::web::assets::EncodedBody;

/// Prefixes of the schema names that utoipa generates for pages, before the name of the item.
const PAGE_PREFIXES: [&str; 2] = ["Page_", "ChangesPage_"];

/// The tags with their descriptions, in the order of the document.
const TAGS: &[(&str, &str)] = &[
    (
        "Configurations",
        "A configuration belongs to an account and receives the data of one identity provider. Clients of the compatible \
         configuration API only need a new base URL.",
    ),
    (
        "Tokens",
        "The bearer tokens of a configuration. Two tokens can be live at the same time, so that a new one can be installed \
         before the previous one is revoked. The secret of a token is only returned when the token is created.",
    ),
    (
        "OAuth clients",
        "OAuth clients of a configuration get access tokens at `/oauth2/token` (RFC 6749), with a client secret, a signed \
         assertion (RFC 7523) or a token of the identity provider itself. An access token is used like a bearer token. \
         `/.well-known/oauth-authorization-server` describes the endpoints (RFC 8414).",
    ),
    ("Settings", "The name, the preset and the switches of a configuration. Changes apply from the next request on."),
    (
        "Custom attributes",
        "Attributes of your own for the users and groups of a configuration, as Schema documents (RFC 7643 section 7).",
    ),
    (
        "Setup links",
        "Links with which the IT admin of a customer sets up an identity provider, without a login to this server.",
    ),
    ("Accounts", "An account is one of your customers. You choose its id."),
    (
        "Directory",
        "Provisioned users and groups: the current state of a configuration, and the published state of an account, which \
         does not include pending changes of paused configurations.",
    ),
    (
        "Events",
        "Changes in the order of commits. Store `nextAfter` of each response and send it as `after` of the next request: \
         then you receive each event exactly once.",
    ),
    (
        "Webhooks",
        "Endpoints of your application, to which events are sent in order. The events are those of the event feed, so one \
         function can process both.",
    ),
    ("Retained data", "Users and groups that remain after their configuration was deleted."),
    ("Request log", "Requests of identity providers to a configuration, and the responses."),
    (
        "Personal data",
        "Export and erasure of everything that is stored about one user of an account. The work runs in the background: poll the \
         request until its state is `done`.",
    ),
    ("Audit", "Administrative changes with actor, network address, and the values before and after."),
    (
        "Authentication",
        "API keys, and the tokens for which they are exchanged. The secret of a key also works as a bearer token; clients of \
         the compatible configuration API exchange it first.",
    ),
    ("Server", "Information about this server, and its settings."),
];

/// The introduction of the document, in Markdown.
const INTRODUCTION: &str = "\
Provisioning configurations, their tokens and settings, and the provisioned users and groups.

**Credentials.** Send `Authorization: Bearer …` with an environment token, the secret of an API key, or a user token of \
the operator's identity system. The operator's own credentials have access to all accounts; the header \
`frontegg-tenant-id` selects one. Other callers only have access to their own account; for objects of other accounts the \
response is 404.

**Errors** are JSON documents: `errors` and `message` name the invalid field and the fix, `errorCode` does not change \
between versions. Every response has the header `X-Request-Id`, which identifies the request in the log of the server.

**Pages.** Lists have the parameters `limit` and `cursor`. A response contains `items` and `nextCursor`, which is the \
`cursor` of the next page, and null on the last page. The list of configurations is an array without pages.

**Repeated requests.** Send a new random `Idempotency-Key` with each POST that creates something. If you receive no \
response, send the request again with the same key: it takes effect once, and the response is the same.

**Paths.** Every path also exists with the prefix `/frontegg`, paths below `/directory` also without `/directory`, and \
each also with a slash at the end. Unknown members of a request body are ignored. Unknown parameters in the query are refused \
with the nearest name (`query_parameter_unknown`), except by the compatible configuration API (create, list, get, update and \
delete configurations) and by operations that need no credentials.";

/// Collects the operations and schemas of the document.
struct DocumentBuilder {
    paths: Paths,
    components: Components,
}

impl RouteCollector for DocumentBuilder {
    fn add_route<D, F, Args>(&mut self, _handler: F)
    where
        D: DocumentedHandler,
        F: Handler<Args>,
        Args: FromRequest + HandlerArguments + 'static,
        F::Output: Responder + 'static,
    {
        let (methods, mut operation) = (D::methods(), D::operation());
        operation::complete_operation(&mut operation, &D::path(), &D::tags(), Args::NEEDS);
        if methods.contains(&HttpMethod::Post) {
            operation.parameters.get_or_insert_default().push(operation::build_idempotency_parameter().into());
        }
        self.paths.add_path_operation(D::path(), methods, operation);
        let mut schemas = Vec::new();
        D::schemas(&mut schemas);
        for (name, schema) in schemas {
            // Two types with one name would describe the requests and responses of each other.
            let earlier = self.components.schemas.insert(name.clone(), schema);
            debug_assert!(
                earlier.is_none_or(|earlier| earlier == self.components.schemas[&name]),
                "two different schemas have the name {name}"
            );
        }
    }
}

/// Returns the `OpenAPI` document for a server at this URL, with examples.
///
/// # Errors
/// The document cannot be converted to JSON.
pub fn build_document(public_url: &str) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(describe_api(public_url))?;
    client_shapes::shape_schemas(&mut document);
    examples::add_examples(&mut document)?;
    described_responses::describe_responses(&mut document);
    Ok(document)
}

fn describe_api(public_url: &str) -> OpenApi {
    let mut document = DocumentBuilder { paths: Paths::new(), components: Components::new() };
    super::register_routes(&mut document);
    let DocumentBuilder { paths, mut components } = document;
    reference_page_items(&mut components);
    components.schemas.extend([describe_error_schema()]);
    let scheme = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(
        "An environment token of `POST /auth/vendor`, the secret of an API key, or a user token of the operator's \
         identity system.",
    ));
    components.add_security_scheme(operation::BEARER, SecurityScheme::Http(scheme.build()));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Rollcall management API")
                .version(crate::VERSION)
                .description(Some(INTRODUCTION))
                .license(Some(build_license())),
        )
        .servers(Some([ServerBuilder::new().url(public_url).description(Some("This server")).build()]))
        .tags(Some(TAGS.iter().map(build_tag)))
        .paths(paths)
        .components(Some(components))
        .build()
}

/// Replaces the inline schema of the items of each page with a reference, if the items have a named schema.
fn reference_page_items(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let item = PAGE_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        let Some(item) = item.filter(|item| names.iter().any(|name| name == item)) else { continue };
        let RefOr::T(Schema::Object(page)) = schema else { continue };
        if let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn build_license() -> License {
    LicenseBuilder::new().name("Apache License 2.0").identifier(Some("Apache-2.0")).build()
}

fn build_tag(&(name, description): &(&str, &str)) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

/// Get the API description
///
/// An `OpenAPI` 3.1 document, from which clients can be generated.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Server",
    operation_id = "getOpenApi",
    responses((
        status = 200,
        description = "The document",
        body = Object,
        example = json!({"openapi": "3.1.0", "info": {"title": "Rollcall management API", "version": "0.1.0"}, "paths": {}})
    ))
)]
pub(super) async fn get_document(call: ApiRequest) -> ApiResult {
    let outside = call.state.server.public.documents();
    let document = if let Some(cached) = outside.openapi.get() {
        cached
    } else {
        let text =
            build_document(&outside.url).and_then(|document| serde_json::to_vec(&document)).map_err(|problem| {
                tracing::error!(%problem, "cannot generate the OpenAPI document");
                ApiError::from(Reason::DocumentUnavailable)
            })?;
        outside.openapi.get_or_init(|| EncodedBody::new(text.into()))
    };
    let mut response = HttpResponse::Ok();
    response.content_type("application/json");
    Ok(document.respond_tagged(response, call.request.headers()))
}
