//! The discovery endpoints (RFC 7644 section 4).

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use serde_json::Value;

use super::answer::Answer;
use super::route::Route;
use super::{auth, body, method_not_allowed};
use crate::directory::Scope;
use crate::error::Result;
use crate::model::switches::{Discovery, Input, Passwords, Switches};
use crate::scim::discovery::{self, Abilities};
use crate::scim::schema::{ResourceType, Schema, standard_types};
use crate::scim::{Error, percent};
use crate::store::configurations;
use crate::web::state::State;

/// Answers a caller without a token, where the configuration allows that; where the address names none, with what
/// the server does by default.
pub(super) fn anonymous(
    request: &HttpRequest,
    state: &State,
    configuration: Option<&str>,
    base: &str,
    route: &Route,
) -> Result<Answer> {
    let Some(id) = configuration else {
        return document(request, base, &Switches::default(), &standard_types().map(Arc::clone), route);
    };
    let found = state.store.read_inline(|at| {
        let found = configurations::by_id(at, id)?.filter(|found| found.switches.discovery == Discovery::Public);
        found.map(|found| Scope::of(at, found)).transpose()
    })?;
    let scope = found.ok_or_else(auth::unauthorized)?;
    document(request, base, &scope.switches, &scope.types, route)
}

/// Answers with the document.
pub(super) fn document(
    request: &HttpRequest,
    base: &str,
    switches: &Switches,
    types: &[Arc<ResourceType>],
    route: &Route,
) -> Result<Answer> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(method_not_allowed(request, route));
    }
    // RFC 7644 section 4: these documents are not filtered, sorted or paged.
    if percent::pairs(request.query_string()).iter().any(|(name, _)| name.eq_ignore_ascii_case("filter")) {
        return Err(Error::plain(403, "discovery documents cannot be filtered").into());
    }
    let document = match route {
        Route::ResourceTypes(None) => {
            discovery::whole_list(types.iter().map(|of| discovery::resource_type(base, of)).collect())
        }
        Route::ResourceTypes(Some(name)) => {
            let found = types.iter().find(|of| of.name == *name);
            discovery::resource_type(base, found.ok_or_else(no_such_document)?)
        }
        Route::Schemas(None) => {
            let document = |of| discovery::schema(base, of, keeps_passwords(switches));
            discovery::whole_list(schemas(types).map(document).collect::<Vec<Value>>())
        }
        Route::Schemas(Some(uri)) => {
            let found = schemas(types).find(|schema| schema.id.eq_ignore_ascii_case(uri));
            discovery::schema(base, found.ok_or_else(no_such_document)?, keeps_passwords(switches))
        }
        _ => discovery::service_provider_config(base, &abilities(switches, body::max_bytes(request))),
    };
    Ok(Answer::json(200, &document))
}

fn schemas(types: &[Arc<ResourceType>]) -> impl Iterator<Item = &Schema> {
    types
        .iter()
        .flat_map(|of| std::iter::once(&*of.schema).chain(of.extensions.iter().map(|extension| &*extension.schema)))
}

fn no_such_document() -> Error {
    Error::plain(404, "there is no such discovery document; the list names them all")
}

fn keeps_passwords(switches: &Switches) -> bool {
    switches.passwords == Passwords::Verify
}

fn abilities(switches: &Switches, body_max_bytes: usize) -> Abilities {
    Abilities {
        page_max: u64::from(switches.page_max),
        page_default: u64::from(switches.page_default),
        bulk: switches.bulk,
        body_max_bytes,
        newer_members: switches.newer_discovery_members,
        strict: switches.input == Input::Strict,
        keeps_passwords: keeps_passwords(switches),
    }
}
