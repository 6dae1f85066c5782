//! Accounts: the customers of the operator, each under the operator's own id.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, ReadRefusals, WriteRefusals, created, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Operator, Read, System};
use super::cursor::{Page, PageQuery};
use super::words::Name;
use crate::clock;
use crate::directory::accounts;
use crate::directory::configurations::Content;
use crate::model::account::Account;

/// A customer of the operator
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub(super) struct Shown {
    /// The operator's own id of it
    id: String,
    name: String,
    /// When it was made or first used
    #[schema(format = DateTime)]
    created_at: String,
    /// How many provisioning configurations it has
    #[schema(minimum = 0)]
    configurations: i64,
}

impl From<Account> for Shown {
    fn from(one: Account) -> Self {
        let (id, name, configurations) = (one.id, one.name, one.configurations);
        Self { id, name, created_at: clock::rfc3339(one.created_at), configurations }
    }
}

/// The accounts within reach
///
/// In the order of their ids. The operator sees all of them, everybody else their own.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/accounts",
    tag = "Accounts",
    operation_id = "listAccounts",
    params(PageQuery),
    responses((status = 200, description = "One page", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Read>, call: Call) -> Answered {
    let query = call.query::<PageQuery>()?;
    let (reach, limit, place) = (allowed.reach(), query.limit()?, query.place::<String>()?);
    let found = read_aside(&call.state, move |at| accounts::list(at, &reach, place.as_deref(), limit + 1)).await?;
    Ok(document(&Page::of(found, limit, |one| one.id.clone(), Shown::from)))
}

/// An account to be made
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewAccount)]
pub(super) struct NewBody {
    /// Your own id of it: any characters but control characters, no blank at its start or end
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    id: String,
    /// Without it the id
    name: Option<Name>,
}

/// Make an account
///
/// Accounts are also made by their first use; an account that was deleted begins anew.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/accounts",
    tag = "Accounts",
    operation_id = "createAccount",
    request_body = NewBody,
    responses((status = 201, description = "The account", body = Shown), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn create(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let by = allowed.by;
    let (body, state) = call.body::<NewBody>().await?;
    let made = write(&state, move |tx| {
        let name = body.name.as_ref().map(|name| name.0.as_str());
        accounts::create(tx, &by, &body.id, name)
    });
    Ok(created(&Shown::from(made.await?)))
}

/// One account
///
/// Who is not the operator sees their own account only; any other one is 404.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/accounts/{id}",
    tag = "Accounts",
    operation_id = "getAccount",
    params(("id" = String, Path, description = "Id of the account, percent-encoded")),
    responses((status = 200, description = "The account", body = Shown), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(allowed: Allowed<Read>, call: Call) -> Answered {
    let id = call.part("id");
    let found = call.state.store.read_inline(|at| accounts::within(at, &allowed.by.reach, &id))?;
    Ok(document(&Shown::from(found)))
}

/// What can be changed of an account
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AccountUpdate)]
pub(super) struct UpdateBody {
    name: Name,
}

/// Give an account another name
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/accounts/{id}",
    tag = "Accounts",
    operation_id = "updateAccount",
    params(("id" = String, Path, description = "Id of the account, percent-encoded")),
    request_body = UpdateBody,
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn update(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    call.state.store.read_inline(|at| accounts::within(at, &by.reach, &id))?;
    let (body, state) = call.body::<UpdateBody>().await?;
    write(&state, move |tx| accounts::rename(tx, &by, &id, &body.name.0)).await?;
    Ok(done())
}

/// What a deletion takes with it
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Remove the users and groups for good that its deleted configurations have left behind
    #[param(required = false)]
    purge: bool,
}

/// Delete an account
///
/// 409 while it has configurations, or users and groups that deleted ones have left behind. Its API keys are dead at once.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/accounts/{id}",
    tag = "Accounts",
    operation_id = "deleteAccount",
    params(("id" = String, Path, description = "Id of the account, percent-encoded"), DeleteQuery),
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn delete(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    call.state.store.read_inline(|at| accounts::within(at, &by.reach, &id))?;
    let content = if call.query::<DeleteQuery>()?.purge { Content::Purge } else { Content::Keep };
    write(&call.state, move |tx| accounts::delete(tx, &by, &id, content)).await?;
    Ok(done())
}
