//! Accounts: the customers of the operator, identified by ids that the operator chooses.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, OperatorOnly, Read, System};
use super::cursor::{CursorPage, PageQuery};
use crate::clock;
use crate::error::Result;
use crate::management::accounts;
use crate::model::account::{Account, AccountAccess};
use crate::store::Snapshot;
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, DisplayName};
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// A customer of the operator
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub(super) struct AccountResponse {
    /// Id, chosen by the operator
    id: String,
    name: String,
    /// When it was created or first used
    #[schema(format = DateTime)]
    created_at: String,
    /// Number of provisioning configurations
    #[schema(minimum = 0)]
    configurations: i64,
}

/// An account with the access that its deletion ends
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountDetails)]
pub(super) struct AccountDetailsResponse {
    #[serde(flatten)]
    account: AccountResponse,
    access: AccountAccessResponse,
}

/// Access that ends when the account is deleted
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountAccess)]
struct AccountAccessResponse {
    /// Admins that are limited to the account and not disabled
    #[schema(minimum = 0)]
    admins: i64,
    /// Sessions of these admins
    #[schema(minimum = 0)]
    sessions: i64,
    /// API keys that are not revoked
    #[schema(minimum = 0)]
    api_keys: i64,
    /// Tokens of configurations that are not revoked
    #[schema(minimum = 0)]
    tokens: i64,
    /// Setup links that are open
    #[schema(minimum = 0)]
    setup_links: i64,
}

impl From<AccountAccess> for AccountAccessResponse {
    fn from(access: AccountAccess) -> Self {
        let AccountAccess { admins, sessions, api_keys, tokens, setup_links } = access;
        Self { admins, sessions, api_keys, tokens, setup_links }
    }
}

impl From<Account> for AccountResponse {
    fn from(account: Account) -> Self {
        let (id, name, configurations) = (account.id, account.name, account.configurations);
        Self { id, name, created_at: clock::format_rfc3339(account.created_at), configurations }
    }
}

/// List accounts
///
/// Ordered by id. The operator gets all accounts, other callers only their own.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/accounts",
    tag = "Accounts",
    params(PageQuery),
    responses((status = 200, description = "One page", body = CursorPage<AccountResponse>), ReadErrors)
)]
pub(super) async fn list_accounts(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let query = call.query::<PageQuery>()?;
    let (scope, limit, after) = (allowed.account_scope(), query.limit()?, query.position::<String>()?);
    let found = call.read(move |at| accounts::list_accounts(at, &scope, after.as_deref(), limit + 1)).await?;
    Ok(json_response(&CursorPage::from_rows(found, limit, |account| account.id.clone(), AccountResponse::from)))
}

/// An account to create
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewAccount)]
pub(super) struct CreateAccountBody {
    /// Id that you choose: any characters except control characters, without spaces at the start or end
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    id: String,
    /// Default: the id
    name: Option<DisplayName>,
}

/// Create an account
///
/// An account is also created when it is first used. The id of a deleted account can be used again for a new account.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/accounts",
    tag = "Accounts",
    request_body = CreateAccountBody,
    responses((status = 201, description = "The account", body = AccountResponse), WriteErrors)
)]
pub(super) async fn create_account(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let context = allowed.context;
    let body = call.body::<CreateAccountBody>().await?;
    let create = move |tx: &Tx<'_>| {
        let name = body.name.as_ref().map(|name| name.0.as_str());
        accounts::create_account(tx, &context, &body.id, name)
    };
    write_and_respond(&call, StatusCode::CREATED, create, AccountResponse::from).await
}

/// Get an account
///
/// `access` is what the deletion of the account ends. Callers other than the operator only have access to their own account; for any other account the response is 404.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/accounts/{id}",
    tag = "Accounts",
    params(("id" = String, Path, description = "Id of the account, percent-encoded")),
    responses((status = 200, description = "The account", body = AccountDetailsResponse), ReadErrors)
)]
pub(super) async fn get_account(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let id = call.path_parameter("id");
    let scope = allowed.account_scope();
    let read = move |at: &Snapshot<'_>| -> Result<_> {
        Ok((accounts::find_account(at, &scope, &id)?, accounts::count_access(at, &scope, &id)?))
    };
    let (account, access) = call.read(read).await?;
    Ok(json_response(&AccountDetailsResponse { account: account.into(), access: access.into() }))
}

/// Changes to an account
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AccountUpdate)]
pub(super) struct UpdateAccountBody {
    name: DisplayName,
}

/// Rename an account
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/accounts/{id}",
    tag = "Accounts",
    params(("id" = String, Path, description = "Id of the account, percent-encoded")),
    request_body = UpdateAccountBody,
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn update_account(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    call.read_inline(|at| accounts::find_account(at, &context.scope, &id))?;
    let body = call.body::<UpdateAccountBody>().await?;
    call.write(move |tx| accounts::rename_account(tx, &context, &id, &body.name.0)).await?;
    Ok(no_content_response())
}

/// Options of a deletion
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteAccountQuery {
    /// Permanently remove the users and groups that remain of its deleted configurations
    #[param(required = false)]
    purge: bool,
}

/// Delete an account
///
/// 409 if it has configurations, or users and groups of deleted configurations. Its admins
/// are disabled, their sessions end, and its API keys, tokens and setup links stop working immediately.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/accounts/{id}",
    tag = "Accounts",
    params(("id" = String, Path, description = "Id of the account, percent-encoded"), DeleteAccountQuery),
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn delete_account(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    call.read_inline(|at| accounts::find_account(at, &context.scope, &id))?;
    let purge = call.query::<DeleteAccountQuery>()?.purge;
    call.write(move |tx| {
        if purge {
            accounts::delete_and_purge_account(tx, &context, &id)
        } else {
            accounts::delete_account(tx, &context, &id)
        }
    })
    .await?;
    Ok(no_content_response())
}
