//! The `OpenAPI` document, made from the same list of places as the routing.

use actix_web::web::Data;
use actix_web::{FromRequest, Handler, HttpResponse, Responder};
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, InfoBuilder, License, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Schema,
    ServerBuilder, Tag,
};

use super::answer::{Answered, Refusal, problem_schema};
use super::operation;
use super::places::{Asks, Documented, Places};
use crate::web::state::State;

/// Name of the one security scheme.
const BEARER: &str = "bearer";

/// What utoipa puts before the name of a page's items.
const PAGE_PREFIX: &str = "Page_";

/// The groups of operations, in the order in which one meets them.
const TAGS: &[(&str, &str)] = &[
    (
        "Configurations",
        "A configuration belongs to an account and is what one identity provider writes to. Clients of the configuration \
         API that this one follows need nothing but a new base URL.",
    ),
    (
        "Tokens",
        "The bearer tokens of a configuration. Two may live at a time, so that a new one can be put in place before the old \
         one dies. A token is shown once and never again.",
    ),
    (
        "Settings",
        "How a configuration behaves: its name, its preset and its switches. A change counts from the next request on.",
    ),
    (
        "Schemas",
        "Attributes of your own for the users and groups of a configuration: Schema documents of RFC 7643 section 7.",
    ),
    (
        "Set-up links",
        "Links with which the administrator of a customer puts an identity provider up, without an account here.",
    ),
    ("Accounts", "An account is one of your customers. Its id is a text of yours."),
    (
        "Directory",
        "The users and groups that identity providers have provisioned, of a configuration as they are now, and of an account \
         as your application may know them: what a paused configuration changed is not in it yet.",
    ),
    (
        "Events",
        "What happened, in the order in which it became true. Keep `nextAfter` of each answer and send it as `after` of the \
         next request: nothing is left out and nothing comes twice.",
    ),
    ("Leftovers", "Users and groups of configurations that were deleted without them."),
    ("Request log", "What identity providers asked of a configuration and what was answered."),
    ("Audit", "Who changed what, from where, and what stood there before and after."),
    (
        "Callers",
        "API keys, and the tokens that they are exchanged for. The secret of a key works as a bearer token itself; clients of \
         the API that this one follows exchange it first.",
    ),
    ("Server", "What this server says of itself, and what holds for all of it."),
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

**Repeated calls.** Send a new random `Idempotency-Key` with each POST that makes something, and send the request again \
with the same key when no answer came: it is done once and answered the same.

**Spellings.** Every path is served behind `/frontegg` too, one under `/directory` also without that, and each with a slash \
at the end. Members that a request body has and the API does not know are passed over.";

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
        operation::complete(&mut operation, &D::path(), &D::tags(), Args::NEEDS);
        if methods.contains(&HttpMethod::Post) {
            operation.parameters.get_or_insert_default().push(operation::idempotency_key().into());
        }
        self.paths.add_path_operation(D::path(), methods, operation);
        let mut schemas = Vec::new();
        D::schemas(&mut schemas);
        self.components.schemas.extend(schemas);
    }
}

/// The document for a server at that URL.
pub fn document(public_url: &str) -> OpenApi {
    let mut document = Document { paths: Paths::new(), components: Components::new() };
    super::all(&mut document);
    let Document { paths, mut components } = document;
    pages_refer(&mut components);
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

/// A page refers to the schema of its items, where one stands beside it, and does not spell it out again.
fn pages_refer(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let Some(item) = name.strip_prefix(PAGE_PREFIX).filter(|item| names.iter().any(|name| name == item)) else {
            continue;
        };
        let RefOr::T(Schema::Object(page)) = schema else { continue };
        if let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
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
    let outside = state.public.outside();
    let made = if let Some(made) = outside.openapi.get() {
        made.clone()
    } else {
        let text = serde_json::to_vec(&document(&outside.url)).map_err(|problem| {
            tracing::error!(%problem, "the OpenAPI document could not be made");
            Refusal::new(503, "the document cannot be made at present")
        })?;
        outside.openapi.get_or_init(|| text.into()).clone()
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(made))
}
