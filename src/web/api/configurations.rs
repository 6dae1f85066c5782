//! The five operations of the configuration API and its user counter, as its clients know them.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, ReadRefusals, Refusal, WriteRefusals, created, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Create, Delete, Read};
use crate::clock;
use crate::directory::configurations::{self, Content, NewConfiguration};
use crate::directory::tokens::TokenDraft;
use crate::model::actor::By;
use crate::model::configuration::{Configuration, Source};
use crate::model::switches::Preset;
use crate::secret::Token;
use crate::store::counts;
use crate::web::state::State;

/// Kind of identity provider
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Source)]
pub(super) enum SourceWord {
    Frontegg,
    Okta,
    AzureAd,
    Other,
}

impl From<SourceWord> for Source {
    fn from(word: SourceWord) -> Self {
        match word {
            SourceWord::Frontegg => Self::Frontegg,
            SourceWord::Okta => Self::Okta,
            SourceWord::AzureAd => Self::AzureAd,
            SourceWord::Other => Self::Other,
        }
    }
}

/// A provisioning configuration. Never carries a token
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Configuration)]
pub(super) struct Shown {
    id: String,
    /// The account
    tenant_id: String,
    connection_name: String,
    source: &'static str,
    /// Whether changes reach your application
    sync_to_user_management: bool,
    /// The last provisioning write that succeeded; null until there was one
    #[schema(format = DateTime, required)]
    last_sync: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Configuration> for Shown {
    fn from(one: Configuration) -> Self {
        Self {
            id: one.id,
            tenant_id: one.account,
            connection_name: one.connection_name,
            source: one.source.as_str(),
            sync_to_user_management: one.sync,
            last_sync: one.last_sync.map(clock::rfc3339),
            created_at: clock::rfc3339(one.created_at),
        }
    }
}

/// Which configurations are wanted; conditions are combined by "and"
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Id of the account
    tenant_id: Option<String>,
    /// Kind of identity provider
    source: Option<String>,
    /// Name, letter for letter
    connection_name: Option<String>,
    /// Id of the configuration
    id: Option<String>,
}

impl Filter {
    fn takes(&self, one: &Configuration) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        is(&self.tenant_id, &one.account)
            && is(&self.source, one.source.as_str())
            && is(&self.connection_name, &one.connection_name)
            && is(&self.id, &one.id)
    }
}

/// All configurations within reach
///
/// The operator sees those of all accounts, or of the one in `frontegg-tenant-id`; everybody else those of their own.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2",
    tag = "Configurations",
    operation_id = "listConfigurations",
    params(Filter, ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "The configurations, oldest first", body = Vec<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Read>, call: Call) -> Answered {
    let (filter, reach) = (call.query::<Filter>()?, allowed.reach());
    let found = read_aside(&call.state, move |at| configurations::list(at, reach.account())).await?;
    let shown: Vec<Shown> = found.into_iter().filter(|one| filter.takes(one)).map(Shown::from).collect();
    Ok(document(&shown))
}

/// A configuration to be made. Unknown members are passed over
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewConfiguration)]
pub(super) struct CreateBody {
    source: SourceWord,
    /// Name that people see, once per account; without it the source and the end of the id
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    connection_name: Option<String>,
    /// Whether changes reach your application; true without it
    sync_to_user_management: Option<bool>,
    /// Name of the identity provider where the source is `other`, such as `onelogin`
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    provider: Option<String>,
    /// How requests are read; without it what suits the source
    preset: Option<Preset>,
}

/// A configuration as it was made. The token is shown this once
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedConfiguration {
    id: String,
    connection_name: String,
    token: String,
}

/// Make a configuration
///
/// The provisioning URL is `{server}/directory/resources/scim/v2.0/{id}`. An account that is not there yet is made.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2",
    tag = "Configurations",
    operation_id = "createConfiguration",
    params(("frontegg-tenant-id" = Option<String>, Header,
        description = "The account. Needed with the operator's credentials; others choose among their own accounts")),
    request_body = CreateBody,
    responses((status = 201, description = "The configuration, with its token", body = CreatedConfiguration), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn create(allowed: Allowed<Create>, call: Call) -> Answered {
    let by = allowed.by;
    let account = by.reach.account().map(str::to_owned);
    let (body, state) = call.body::<CreateBody>().await?;
    let account = account.ok_or_else(|| Refusal::bad("the header frontegg-tenant-id must name the account"))?;
    let token = new_token()?;
    let new = NewConfiguration {
        id: clock::new_id(),
        account,
        connection_name: body.connection_name,
        source: body.source.into(),
        provider: body.provider,
        preset: body.preset,
        sync: body.sync_to_user_management.unwrap_or(true),
        token: TokenDraft::new(clock::new_id(), &token, "first token"),
    };
    let made = write(&state, move |tx| configurations::create(tx, &by, &new)).await?;
    let token = token.reveal().to_owned();
    Ok(created(&CreatedConfiguration { id: made.id, connection_name: made.connection_name, token }))
}

/// A new token, where the system has randomness to give.
pub(super) fn new_token() -> Result<Token, Refusal> {
    random(Token::generate())
}

/// What was drawn, where the system has randomness to give.
pub(super) fn random<T, E: std::fmt::Display>(drawn: Result<T, E>) -> Result<T, Refusal> {
    drawn.map_err(|problem| {
        tracing::error!(%problem, "the operating system gave no random numbers");
        Refusal::new(503, "the server has no random numbers at present")
    })
}

/// One configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}",
    tag = "Configurations",
    operation_id = "getConfiguration",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "The configuration", body = Shown), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(allowed: Allowed<Read>, call: Call) -> Answered {
    let id = call.part("id");
    let found = call.state.store.read_inline(|at| configurations::within(at, &allowed.by.reach, &id))?;
    Ok(document(&Shown::from(found)))
}

/// What can be changed of a configuration here. Unknown members are passed over
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConfigurationUpdate)]
pub(super) struct UpdateBody {
    sync_to_user_management: bool,
}

/// Pause a configuration, or let it go on
///
/// While `syncToUserManagement` is false, what the identity provider sends is taken and kept, but reaches neither the
/// event feed nor the users and groups of the account; once it is true again, both catch up.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}",
    tag = "Configurations",
    operation_id = "updateConfiguration",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    request_body = UpdateBody,
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn update(allowed: Allowed<Create>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let (body, state) = call.body::<UpdateBody>().await?;
    write(&state, move |tx| configurations::set_sync(tx, &by, &id, body.sync_to_user_management)).await?;
    Ok(done())
}

/// 404 comes before anything that is wrong with a body.
pub(super) fn known(state: &Data<State>, by: &By, id: &str) -> Result<Configuration, Refusal> {
    Ok(state.store.read_inline(|at| configurations::within(at, &by.reach, id))?)
}

/// What a deletion takes with it
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = Deletion)]
pub(super) struct DeleteBody {
    /// Remove the users and groups for good; otherwise they stay as leftovers of the account
    #[schema(required = false)]
    delete_all: bool,
}

/// The same in the query
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Remove the users and groups for good
    #[param(required = false)]
    purge: bool,
    /// Another word for `purge`
    #[param(required = false)]
    delete_all: bool,
}

/// Delete a configuration
///
/// Its tokens are dead at once. The users and groups stay as leftovers unless they are to be purged.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}",
    tag = "Configurations",
    operation_id = "deleteConfiguration",
    params(
        ("id" = String, Path),
        DeleteQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = Option<DeleteBody>,
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn delete(allowed: Allowed<Delete>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let query = call.query::<DeleteQuery>()?;
    let (body, state) = call.body_if_any::<DeleteBody>().await?;
    let is_purge = body.delete_all || query.purge || query.delete_all;
    let content = if is_purge { Content::Purge } else { Content::Keep };
    write(&state, move |tx| {
        configurations::within(tx, &by.reach, &id)?;
        configurations::delete(tx, &by, &id, content)
    })
    .await?;
    Ok(done())
}

/// How many users a configuration has
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserCount {
    #[schema(minimum = 0)]
    count: i64,
}

/// Count the users of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/scim/temp/{id}/Users/count",
    tag = "Configurations",
    operation_id = "countUsers",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "How many there are", body = UserCount), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn count_users(allowed: Allowed<Read>, call: Call) -> Answered {
    let id = call.part("id");
    let count = call.state.store.read_inline(|at| {
        let found = configurations::within(at, &allowed.by.reach, &id)?;
        counts::total(at, found.key, "User")
    })?;
    Ok(document(&UserCount { count }))
}
