//! The `OpenAPI` document, made from the same list of places as the routing.

use actix_web::web::Data;
use actix_web::{FromRequest, Handler, HttpResponse, Responder};
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, InfoBuilder, License, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, ServerBuilder, Tag,
};

use super::answer::{Answered, Refusal, problem_schema};
use super::operation;
use super::places::{Asks, Documented, Places};
use crate::web::state::State;

/// Name of the one security scheme.
const BEARER: &str = "bearer";

/// The groups of operations, in the order in which one meets them.
const TAGS: &[(&str, &str)] = &[
    (
        "Configurations",
        "The configuration API: a configuration belongs to an account and is what one identity provider writes to. Clients \
         of the API that it follows need nothing but a new base URL.",
    ),
    ("Server", "What this server says of itself."),
];

/// What the document says before its operations, a paragraph a line.
const INTRODUCTION: &str = "\
Provisioning configurations, their tokens and settings, and what identity providers have provisioned.

**Credentials.** Send `Authorization: Bearer …` with an environment token, the secret of an API key, or a user token of \
the operator's identity system. The operator's own credentials reach all accounts; the header `frontegg-tenant-id` \
chooses one. All others reach their own account, and what is not theirs is as unknown as what never was: 404.

**Errors** are one JSON document: `errors` and `message` are sentences that name the field and the fix, `errorCode` stays \
the same between versions. `X-Request-Id` is in every answer and names the request in the server's log.

**Pages.** Lists take `limit` and `cursor`. An answer holds `items` and `nextCursor`, which is the `cursor` of the next \
page, and null on the last one. The list of configurations is a bare array.

**Spellings.** Every path under `/directory` is served under `/frontegg/directory` and without `/directory` too, and each \
with a slash at the end. Members that a request body has and the API does not know are passed over.";

/// The document under construction.
struct Document {
    paths: Paths,
    components: Components,
}

impl Places for Document {
    fn serve<D, F, Args>(&mut self, _handler: F)
    where
        D: Documented,
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        let (methods, mut operation) = (D::methods(), D::operation());
        if methods.contains(&HttpMethod::Post) {
            operation.parameters.get_or_insert_default().push(idempotency_key().into());
        }
        operation::complete(&mut operation, &D::path(), &D::tags(), Args::NEEDS);
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
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Rollcall management API")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(INTRODUCTION))
                .license(Some(license())),
        )
        .servers(Some([ServerBuilder::new().url(public_url).description(Some("This server")).build()]))
        .tags(Some(TAGS.iter().map(tag)))
        .paths(paths)
        .components(Some(components))
        .build()
}

fn license() -> License {
    LicenseBuilder::new().name("Apache License 2.0").identifier(Some("Apache-2.0")).build()
}

fn tag(&(name, description): &(&str, &str)) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

/// This reference for programs
///
/// An `OpenAPI` 3.1 document, from which clients can be made.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Server",
    operation_id = "getOpenApi",
    responses((status = 200, description = "The document", body = serde_json::Value)),
    security(())
)]
pub(super) async fn get_document(state: Data<State>) -> Answered {
    let made = match state.rendered.openapi.get() {
        Some(made) => made.clone(),
        None => {
            let text = serde_json::to_vec(&document(&state.public_url)).map_err(|problem| {
                tracing::error!(%problem, "the OpenAPI document could not be made");
                Refusal::new(503, "the document cannot be made at present")
            })?;
            state.rendered.openapi.get_or_init(|| text.into()).clone()
        }
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(made))
}
