//! The places of the management API: one list, from which the routing and the `OpenAPI` document are both made, so that
//! neither can know what the other does not.

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, Route, web};
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::openapi::path::HttpMethod;

use super::answer::Refusal;
use super::call::Call;
use super::caller::{Allowed, Needs};
use super::{cors, frame, idempotency};
use crate::model::permission::Permission;
use crate::web::state::State;

/// What browser clients put before every path, and what a proxy may have taken off those that begin with it.
const ALIAS_PREFIX: &str = "/frontegg";
const SERVER_BASE: &str = "/directory";

/// What a handler's arguments say of who may call it.
pub(super) trait Asks {
    /// The permission that callers need, and whether only the operator may call; nothing where anybody may.
    const NEEDS: Option<(Permission, bool)>;
}

impl<N: Needs> Asks for (Allowed<N>, Call) {
    const NEEDS: Option<(Permission, bool)> = Some((N::PERMISSION, N::OPERATOR_ONLY));
}

impl Asks for (Call,) {
    const NEEDS: Option<(Permission, bool)> = None;
}

impl Asks for (Data<State>,) {
    const NEEDS: Option<(Permission, bool)> = None;
}

/// What `#[utoipa::path]` writes down about a handler.
pub(super) trait Documented: utoipa::Path + SchemaReferences + Tags<'static> {}

impl<D: utoipa::Path + SchemaReferences + Tags<'static>> Documented for D {}

/// Takes in places one after the other.
pub(super) trait Places {
    /// Takes in what `D` documents and `handler` answers.
    fn serve<D, F, Args>(&mut self, handler: F)
    where
        D: Documented,
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static;
}

/// Routing under construction.
#[derive(Default)]
pub(super) struct Routing {
    places: Vec<(String, Vec<(Method, Route)>)>,
}

impl Places for Routing {
    fn serve<D, F, Args>(&mut self, handler: F)
    where
        D: Documented,
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        let path = D::path();
        let at = self.places.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
            self.places.push((path, Vec::new()));
            self.places.len() - 1
        });
        let routes = &mut self.places[at].1;
        for method in D::methods().iter().map(method) {
            if method == Method::GET {
                routes.push((Method::HEAD, web::head().to(handler.clone())));
            }
            routes.push((method.clone(), web::method(method).to(handler.clone())));
        }
    }
}

impl Routing {
    /// Puts everything into the application.
    pub(super) fn configure(self, app: &mut web::ServiceConfig) {
        for (path, routes) in self.places {
            let mut methods: Vec<&str> = routes.iter().map(|(method, _)| method.as_str()).collect();
            methods.sort_unstable();
            let allow = methods.join(", ");
            let resource = web::resource(spellings(&path));
            let resource = routes.into_iter().fold(resource, |resource, (_, route)| resource.route(route));
            let elsewhere = move |request: HttpRequest| std::future::ready(other_method(&request, &allow));
            let resource = resource.default_service(web::to(elsewhere)).wrap(from_fn(idempotency::once));
            app.service(resource.wrap(from_fn(frame::around)).wrap(from_fn(cors::around)));
        }
    }
}

/// Every way to write the path.
fn spellings(path: &str) -> Vec<String> {
    let mut spellings = vec![path.to_owned(), format!("{ALIAS_PREFIX}{path}")];
    spellings.extend(path.strip_prefix(SERVER_BASE).map(str::to_owned));
    let slashed: Vec<String> = spellings.iter().map(|path| format!("{path}/")).collect();
    spellings.extend(slashed);
    spellings
}

fn other_method(request: &HttpRequest, allow: &str) -> Result<HttpResponse, Refusal> {
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().insert_header(("Allow", allow)).finish());
    }
    let shown: String = request.method().as_str().chars().take(20).collect();
    let refused = Refusal::new(405, format!("{shown} is not served here; use {allow}"));
    Err(Refusal { allow: Some(allow.to_owned()), ..refused })
}

fn method(documented: &HttpMethod) -> Method {
    match documented {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}
