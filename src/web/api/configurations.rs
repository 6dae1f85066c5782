//! The five operations of the configuration API and its user count, compatible with existing clients.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Create, Delete, Read};
use crate::auth::secret::BearerToken;
use crate::clock;
use crate::error::Reason;
use crate::management::configuration_lifecycle::{self, NewConfiguration};
use crate::management::configurations;
use crate::management::tokens::TokenDraft;
use crate::model::audit_context::AuditContext;
use crate::model::configuration::{Configuration, ConfigurationSource, InitialSync};
use crate::model::switches::Preset;
use crate::store::Store;
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, DisplayName};
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// Kind of identity provider
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Source)]
pub(super) enum SourceKey {
    Frontegg,
    Okta,
    AzureAd,
    Other,
}

impl From<SourceKey> for ConfigurationSource {
    fn from(source: SourceKey) -> Self {
        match source {
            SourceKey::Frontegg => Self::Frontegg,
            SourceKey::Okta => Self::Okta,
            SourceKey::AzureAd => Self::AzureAd,
            SourceKey::Other => Self::Other,
        }
    }
}

/// A provisioning configuration, without its tokens
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Configuration)]
pub(super) struct ConfigurationResponse {
    id: String,
    /// The account
    tenant_id: String,
    connection_name: String,
    source: &'static str,
    /// Whether changes are published to your application
    sync_to_user_management: bool,
    /// Time of the last successful provisioning write; null before the first one
    #[schema(format = DateTime, required)]
    last_sync: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Present and true while the configuration is staged: it was created with `staged`, and `syncToUserManagement` was not
    /// set to true since. Nothing of it was published
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    staged: bool,
}

impl From<Configuration> for ConfigurationResponse {
    fn from(configuration: Configuration) -> Self {
        Self {
            id: configuration.id,
            tenant_id: configuration.account.id,
            connection_name: configuration.connection_name,
            source: configuration.source.as_str(),
            sync_to_user_management: configuration.sync,
            last_sync: configuration.last_sync.map(clock::format_rfc3339),
            created_at: clock::format_rfc3339(configuration.created_at),
            staged: configuration.staged,
        }
    }
}

/// Filters; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListConfigurationsQuery {
    /// Id of the account
    tenant_id: Option<String>,
    /// Kind of identity provider
    source: Option<String>,
    /// Exact name
    connection_name: Option<String>,
    /// Id of the configuration
    id: Option<String>,
}

impl ListConfigurationsQuery {
    fn matches(&self, configuration: &Configuration) -> bool {
        let matches = |filter: &Option<String>, value: &str| filter.as_deref().is_none_or(|filter| filter == value);
        matches(&self.tenant_id, &configuration.account)
            && matches(&self.source, configuration.source.as_str())
            && matches(&self.connection_name, &configuration.connection_name)
            && matches(&self.id, &configuration.id)
    }
}

/// List configurations
///
/// The operator gets the configurations of all accounts, or of the account in `frontegg-tenant-id`. Other callers get those
/// of their own account.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2",
    tag = "Configurations",
    params(ListConfigurationsQuery),
    responses((status = 200, description = "The configurations, oldest first", body = Vec<ConfigurationResponse>), ReadErrors)
)]
pub(super) async fn list_configurations(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (filter, scope) = (call.query::<ListConfigurationsQuery>()?, allowed.account_scope());
    let found = call.read(move |at| configurations::list_configurations(at, scope.filter(None).as_ref())).await?;
    let matching = found.into_iter().filter(|configuration| filter.matches(configuration));
    Ok(json_response(&matching.map(ConfigurationResponse::from).collect::<Vec<_>>()))
}

/// A configuration to create. Unknown members are ignored
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewConfiguration)]
pub(super) struct CreateConfigurationBody {
    source: SourceKey,
    /// Display name, unique within the account; by default the source and the end of the id
    #[schema(value_type = Option<DisplayName>)]
    connection_name: Option<String>,
    /// Whether changes are published to your application; default true
    sync_to_user_management: Option<bool>,
    /// Whether it begins paused, so that its preview can be read before it goes live; default false. It goes live when
    /// `syncToUserManagement` is set to true. Not together with `syncToUserManagement` true
    staged: Option<bool>,
    /// Name of the identity provider if the source is `other`, such as `onelogin`
    #[schema(value_type = Option<DisplayName>)]
    provider: Option<String>,
    /// How requests are interpreted; by default the preset of the source
    preset: Option<Preset>,
}

impl CreateConfigurationBody {
    /// What the configuration publishes at first.
    ///
    /// # Errors
    /// `StagedWithSync` if it is to be staged and to publish changes.
    fn initial_sync(&self) -> Result<InitialSync, Reason> {
        match (self.staged, self.sync_to_user_management) {
            (Some(true), Some(true)) => Err(Reason::StagedWithSync),
            (Some(true), _) => Ok(InitialSync::Staged),
            (_, Some(false)) => Ok(InitialSync::Paused),
            (_, Some(true) | None) => Ok(InitialSync::On),
        }
    }
}

/// A new configuration with its token, which cannot be read again
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedConfiguration {
    id: String,
    connection_name: String,
    token: String,
}

/// Create a configuration
///
/// The provisioning URL is `{server}/directory/resources/scim/v2.0/{id}`. If the account does not exist, it is created.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2",
    tag = "Configurations",
    params(("frontegg-tenant-id" = Option<String>, Header, min_length = 1,
        description = "The account. Required with the operator's credentials; other callers can only select one of their own accounts")),
    request_body = CreateConfigurationBody,
    responses((status = 201, description = "The configuration, with its token", body = CreatedConfiguration), WriteErrors)
)]
pub(super) async fn create_configuration(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let context = allowed.context;
    let account = context.scope.account_id().map(str::to_owned);
    let body = call.body::<CreateConfigurationBody>().await?;
    let account = account.ok_or(Reason::AccountHeaderMissing)?;
    let sync = body.initial_sync()?;
    let token = generate_token()?;
    let new = NewConfiguration {
        id: clock::new_id(),
        account,
        connection_name: body.connection_name,
        source: body.source.into(),
        provider: body.provider,
        preset: body.preset,
        sync,
        token: TokenDraft {
            expires_at: context.authority.limit_expiry(None),
            ..TokenDraft::new(clock::new_id(), &token, "first token")
        },
    };
    let create = move |tx: &Tx<'_>| configuration_lifecycle::create_configuration(tx, &context, &new);
    let render = move |row: Configuration| {
        let token = token.reveal().to_owned();
        CreatedConfiguration { id: row.id, connection_name: row.connection_name, token }
    };
    write_and_respond(&call, StatusCode::CREATED, create, render).await
}

/// Generates a token.
///
/// # Errors
/// 503 if the operating system returns no random numbers.
pub(super) fn generate_token() -> Result<BearerToken, ApiError> {
    map_random_error(BearerToken::generate())
}

/// Converts an error of the random number generator.
///
/// # Errors
/// 503 if the operating system returned no random numbers.
pub(super) fn map_random_error<T, E: std::fmt::Display>(generated: Result<T, E>) -> Result<T, ApiError> {
    generated.map_err(|problem| {
        tracing::error!(%problem, "the operating system returned no random numbers");
        Reason::RandomnessUnavailable.into()
    })
}

/// Get a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}",
    tag = "Configurations",
    responses((status = 200, description = "The configuration", body = ConfigurationResponse), ReadErrors)
)]
pub(super) async fn get_configuration(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let id = call.path_parameter("id");
    let found = call.read_inline(|at| configurations::find_configuration(at, &allowed.context.scope, &id))?;
    Ok(json_response(&ConfigurationResponse::from(found)))
}

/// Changes to a configuration. Unknown members are ignored
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConfigurationUpdate)]
pub(super) struct UpdateConfigurationBody {
    sync_to_user_management: bool,
}

/// Pause or resume a configuration
///
/// While `syncToUserManagement` is false, changes from the identity provider are accepted and stored, but they do not appear
/// in the event feed and in the users and groups of the account. When it is set to true again, both catch up. A staged
/// configuration goes live with it.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}",
    tag = "Configurations",
    request_body = UpdateConfigurationBody,
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn update_configuration(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.body::<UpdateConfigurationBody>().await?;
    call.write(move |tx| configurations::set_sync(tx, &context, &id, body.sync_to_user_management)).await?;
    Ok(no_content_response())
}

/// Returns the configuration. Handlers call this before they read the body, so that 404 has precedence over errors in the
/// body.
///
/// # Errors
/// 404 if it does not exist in the account scope.
pub(super) fn find_configuration(store: &Store, context: &AuditContext, id: &str) -> Result<Configuration, ApiError> {
    Ok(store.read_inline(|at| configurations::find_configuration(at, &context.scope, id))?)
}

/// Options of a deletion
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = Deletion)]
pub(super) struct DeleteConfigurationBody {
    /// Permanently remove the users and groups; otherwise they stay as leftovers of the account
    #[schema(required = false)]
    delete_all: bool,
}

/// Options of a deletion, as query parameters
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteConfigurationQuery {
    /// Permanently remove the users and groups
    #[param(required = false)]
    purge: bool,
    /// Alias of `purge`
    #[param(required = false)]
    delete_all: bool,
}

/// Delete a configuration
///
/// Its tokens stop working immediately. The users and groups stay as leftovers unless they are purged. With `purge`, a
/// configuration that is already deleted is purged too; 404 if nothing is left of it.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}",
    tag = "Configurations",
    params(DeleteConfigurationQuery),
    request_body = Option<DeleteConfigurationBody>,
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn delete_configuration(allowed: AllowedCaller<Delete>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    // 404 has precedence over errors in the query and the body.
    let found =
        call.read_inline(|at| configuration_lifecycle::find_configuration_including_deleted(at, &context, &id))?;
    let (query, body) = match read_deletion_options(&call).await {
        Ok(options) => options,
        Err(_) if found.deleted_at.is_some() => return Err(configurations::configuration_not_found(&id).into()),
        Err(error) => return Err(error),
    };
    let is_purge = body.delete_all || query.purge || query.delete_all;
    call.write(move |tx| {
        if is_purge {
            configuration_lifecycle::delete_and_purge_configuration(tx, &context, &id)
        } else {
            configuration_lifecycle::delete_configuration(tx, &context, &id)
        }
    })
    .await?;
    Ok(no_content_response())
}

async fn read_deletion_options(
    call: &ApiRequest,
) -> Result<(DeleteConfigurationQuery, DeleteConfigurationBody), ApiError> {
    Ok((call.query()?, call.optional_body().await?))
}

/// The number of users of a configuration
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
    responses((status = 200, description = "The number of users", body = UserCount), ReadErrors)
)]
pub(super) async fn count_users(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let id = call.path_parameter("id");
    let count = call.read_inline(|at| configurations::count_users(at, &allowed.context.scope, &id))?;
    Ok(json_response(&UserCount { count }))
}
