//! The `OpenAPI` document, made from the same list of places as the routing.

use actix_web::web::Data;
use actix_web::{FromRequest, Handler, HttpResponse, Responder};
use utoipa::__dev::SchemaReferences;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi, OpenApiBuilder, Paths, Server};

use super::answer::problem_schema;
use super::places::Places;
use crate::web::state::State;

/// Name of the one security scheme.
const BEARER: &str = "bearer";

/// The document under construction.
struct Document {
    paths: Paths,
    components: Components,
}

impl Places for Document {
    fn serve<D, F, Args>(&mut self, _handler: F)
    where
        D: utoipa::Path + SchemaReferences,
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let (methods, mut operation) = (D::methods(), D::operation());
        if methods.contains(&HttpMethod::Post) {
            operation.parameters.get_or_insert_default().push(idempotency_key().into());
        }
        self.paths.add_path_operation(D::path(), methods, operation);
        let mut schemas = Vec::new();
        D::schemas(&mut schemas);
        self.components.schemas.extend(schemas);
    }
}

/// The header that every POST takes.
fn idempotency_key() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(8)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "A new random key for each new request, such as a UUID. The same request with the same key within a day is \
             answered like the first time and does nothing.",
        ))
        .schema(Some(text.pattern(Some("^[!-~]{8,255}$"))))
        .build()
}

/// The document for a server at that URL.
pub fn document(public_url: &str) -> OpenApi {
    let mut document = Document { paths: Paths::new(), components: Components::new() };
    super::all(&mut document);
    let Document { paths, mut components } = document;
    components.schemas.extend([problem_schema()]);
    let scheme = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(
        "An environment token of `POST /auth/vendor`, the secret of an API key, or a user token of the operator's \
         identity system.",
    ));
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme.build()));
    let mut info = Info::new("Rollcall management API", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Provisioning configurations, their tokens and settings, and what identity providers have provisioned. Errors \
         carry sentences that name the field and the fix; `X-Request-Id` names the request in the server's log."
            .to_owned(),
    );
    info.license = Some(License::new("Apache-2.0"));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(public_url)]))
        .paths(paths)
        .components(Some(components))
        .build()
}

/// The `OpenAPI` 3.1 document of this server.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Server",
    operation_id = "getOpenApi",
    responses((status = 200, description = "The document", body = serde_json::Value)),
    security(())
)]
pub(super) async fn get_document(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(document(&state.public_url))
}
