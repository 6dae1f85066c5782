//! API keys: the operator's credentials, and those of accounts.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::answer::{Answered, ReadRefusals, Refusal, WriteRefusals, created, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Operator, System};
use super::configurations::random;
use super::cursor::{Page, PageQuery};
use super::words::{Moment, Name};
use crate::clock;
use crate::directory::api_keys::{self, NewApiKey};
use crate::model::actor::By;
use crate::model::permission::{Permission, Permissions};
use crate::secret::Token;
use crate::store::api_keys::{self as rows, ApiKey};

/// A permission by its word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word(Permission);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for Word {
    fn schema() -> RefOr<Schema> {
        let words = Permission::ALL.map(Permission::as_str);
        let word: Object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build();
        RefOr::T(Schema::Object(word))
    }
}

impl ToSchema for Word {}

/// An API key, without its secret
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub(super) struct Shown {
    client_id: String,
    name: String,
    /// The one account it is for; null for the operator's
    #[schema(required)]
    account_id: Option<String>,
    #[schema(value_type = Vec<Word>, inline)]
    permissions: Vec<&'static str>,
    /// The last four characters of the secret
    hint: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last used, within a second or so; null until then
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    /// When it stops working by itself; null for never
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

impl From<ApiKey> for Shown {
    fn from(key: ApiKey) -> Self {
        Self {
            client_id: key.id,
            name: key.name,
            account_id: key.account,
            permissions: key.permissions.iter().map(Permission::as_str).collect(),
            hint: key.hint,
            created_at: clock::rfc3339(key.created_at),
            last_used_at: key.last_used_at.map(clock::rfc3339),
            expires_at: key.expires_at.map(clock::rfc3339),
        }
    }
}

/// An API key as it was made. The secret is shown this once
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedApiKey {
    #[serde(flatten)]
    #[schema(inline)]
    key: Shown,
    secret: String,
}

/// An API key to be made. Unknown members are passed over
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewApiKey)]
pub(super) struct CreateBody {
    name: Name,
    /// The one account it is for, made where it is used for the first time; without it the one in `frontegg-tenant-id`,
    /// and without that all accounts
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    account_id: Option<String>,
    /// What it may do, nothing that its maker may not; without it everything that its maker may, for the key of an account
    /// except `system.admin`, which opens nothing to an account
    #[schema(min_items = 1, value_type = Option<Vec<Word>>, inline)]
    permissions: Option<Vec<Word>>,
    /// When it stops working by itself; never without it. A time that is over is a conflict
    expires_at: Option<Moment>,
}

/// Which keys are wanted
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Id of the account
    account_id: Option<String>,
}

/// The API keys
#[utoipa::path(
    get,
    path = "/directory/resources/v1/api-keys",
    tag = "Callers",
    operation_id = "listApiKeys",
    params(PageQuery, Filter, ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Those that are not revoked, oldest first", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let (page, filter) = (call.query::<PageQuery>()?, call.query::<Filter>()?);
    let (limit, after) = (page.limit()?, page.place::<String>()?);
    let reach = allowed.reach();
    let wanted = filter.account_id.or(reach.account().map(str::to_owned));
    if wanted.as_deref().is_some_and(|wanted| !reach.covers(wanted)) {
        return Ok(document(&Page::<Shown>::of(Vec::<ApiKey>::new(), limit, |key| key.id.clone(), Shown::from)));
    }
    let found =
        read_aside(&call.state, move |at| rows::list(at, wanted.as_deref(), after.as_deref(), limit + 1)).await?;
    Ok(document(&Page::of(found, limit, |key| key.id.clone(), Shown::from)))
}

/// Make an API key
///
/// Its secret works as a bearer token, and can be exchanged with the client id at `POST /auth/vendor`.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/api-keys",
    tag = "Callers",
    operation_id = "createApiKey",
    params(("frontegg-tenant-id" = Option<String>, Header, max_length = 128,
        pattern = r"^([^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?)?$",
        description = "The account")),
    request_body = CreateBody,
    responses((status = 201, description = "The key, with its secret", body = CreatedApiKey), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn create(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let (by, most) = (allowed.by, allowed.permissions);
    let (body, state) = call.body::<CreateBody>().await?;
    let secret = random(Token::generate_key())?;
    let new = wanted(body, &by, most, &secret)?;
    let made = write(&state, move |tx| api_keys::create(tx, &by, &new)).await?;
    Ok(created(&CreatedApiKey { key: made.into(), secret: secret.reveal().to_owned() }))
}

/// The key that a caller wants who may do `most`.
fn wanted(body: CreateBody, by: &By, most: Permissions, secret: &Token) -> Result<NewApiKey, Refusal> {
    let mut new = NewApiKey::new(clock::new_id(), secret, body.name.0);
    new.account = body.account_id.or(by.reach.account().map(str::to_owned));
    if new.account.as_deref().is_some_and(|account| !by.reach.covers(account)) {
        return Err(Refusal::forbidden("accountId is not the account in frontegg-tenant-id"));
    }
    let usual = api_keys::usual_permissions(new.account.as_deref(), most);
    new.permissions = body.permissions.map_or(usual, |words| words.into_iter().map(|word| word.0).collect());
    if new.permissions.both(most) != new.permissions {
        return Err(Refusal::forbidden("permissions: nobody can give a key what they may not do themselves"));
    }
    new.expires_at = body.expires_at.map(|moment| moment.0);
    Ok(new)
}

/// One API key
#[utoipa::path(
    get,
    path = "/directory/resources/v1/api-keys/{id}",
    tag = "Callers",
    operation_id = "getApiKey",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "The key", body = Shown), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let id = call.part("id");
    let found = call.state.store.read_inline(|at| api_keys::within(at, &allowed.by.reach, &id))?;
    Ok(document(&Shown::from(found)))
}

/// Revoke an API key
///
/// It is dead at once, and with it every token that was issued for it.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/api-keys/{id}",
    tag = "Callers",
    operation_id = "revokeApiKey",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn revoke(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    write(&call.state, move |tx| api_keys::revoke(tx, &by, &id)).await?;
    Ok(done())
}
