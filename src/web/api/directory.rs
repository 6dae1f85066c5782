//! Users, groups and members: of an account as they were published, of a configuration as they are now.

use super::answer::{Answered, ReadRefusals, document};
use super::call::{Call, read_aside};
use super::caller::{Allowed, Directory};
use super::cursor::{Page, PageQuery};
use super::people::{GroupQuery, ShownGroup, ShownMember, ShownUser, UserQuery, WhoseQuery, page, window};
use crate::directory::people::{self, Found, Whose};
use crate::error::{Error, Result};
use crate::model::actor::Reach;
use crate::store::Snapshot;
use crate::store::people::Filter;

/// The published users or groups that a call asks for.
async fn published<T>(reach: &Reach, call: &Call, of: &'static str, filter: Filter) -> Answered
where
    T: TryFrom<Found, Error = Error> + serde::Serialize,
{
    let (mark, limit) = window(&call.query::<PageQuery>()?)?;
    let whose = call.query::<WhoseQuery>()?.whose(reach);
    let found = match whose {
        None => people::Page { items: Vec::new(), next: None },
        Some(whose) => {
            let read = move |at: &Snapshot<'_>| people::page(at, &whose, of, &filter, mark.as_ref(), limit);
            read_aside(&call.state, read).await?
        }
    };
    Ok(document(&page::<Found, T>(found)?))
}

/// The users or groups of the configuration in the path.
async fn current<T>(reach: &Reach, call: &Call, of: &'static str, filter: Filter) -> Answered
where
    T: TryFrom<Found, Error = Error> + serde::Serialize,
{
    let (mark, limit) = window(&call.query::<PageQuery>()?)?;
    let whose = in_path(reach, call);
    let read = move |at: &Snapshot<'_>| people::current_page(at, &whose, of, &filter, mark.as_ref(), limit);
    Ok(document(&page::<Found, T>(read_aside(&call.state, read).await?)?))
}

fn in_path(reach: &Reach, call: &Call) -> Whose {
    Whose { account: reach.account().map(str::to_owned), configuration: Some(call.part("id")) }
}

fn one<T>(reach: &Reach, call: &Call, of: &str) -> Answered
where
    T: TryFrom<Found, Error = Error> + serde::Serialize,
{
    let id = call.part("id");
    let found = call.state.store.read_inline(|at| people::by_id(at, reach.account(), of, &id))?;
    Ok(document(&T::try_from(found)?))
}

/// Users
///
/// The users of the account, or of all accounts, that the event feed has told of: what a paused configuration
/// (`syncToUserManagement` is false) changes appears when it goes on. In the order of configurations and creation. A page
/// may be short or empty and still have a `nextCursor`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/users",
    tag = "Directory",
    operation_id = "listUsers",
    params(PageQuery, WhoseQuery, UserQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Users", body = Page<ShownUser>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn users(allowed: Allowed<Directory>, call: Call) -> Answered {
    let filter = call.query::<UserQuery>()?.filter()?;
    published::<ShownUser>(&allowed.by.reach, &call, "User", filter).await
}

/// A user
///
/// As the event feed has told of it.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/users/{id}",
    tag = "Directory",
    operation_id = "getUser",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "The user", body = ShownUser), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn user(allowed: Allowed<Directory>, call: Call) -> Answered {
    one::<ShownUser>(&allowed.by.reach, &call, "User")
}

/// Groups
///
/// The groups of the account, or of all accounts, that the event feed has told of, as for users.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/groups",
    tag = "Directory",
    operation_id = "listGroups",
    params(PageQuery, WhoseQuery, GroupQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Groups", body = Page<ShownGroup>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn groups(allowed: Allowed<Directory>, call: Call) -> Answered {
    let filter = call.query::<GroupQuery>()?.filter()?;
    published::<ShownGroup>(&allowed.by.reach, &call, "Group", filter).await
}

/// A group
///
/// As the event feed has told of it.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/groups/{id}",
    tag = "Directory",
    operation_id = "getGroup",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "The group", body = ShownGroup), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn group(allowed: Allowed<Directory>, call: Call) -> Answered {
    one::<ShownGroup>(&allowed.by.reach, &call, "Group")
}

/// Members of a group
///
/// The direct members that the event feed has told of.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/groups/{id}/members",
    tag = "Directory",
    operation_id = "listMembers",
    params(("id" = String, Path), PageQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Members", body = Page<ShownMember>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn members(allowed: Allowed<Directory>, call: Call) -> Answered {
    let (mark, limit) = window(&call.query::<PageQuery>()?)?;
    let (reach, id) = (allowed.reach(), call.part("id"));
    let read = move |at: &Snapshot<'_>| people::members(at, reach.account(), &id, mark.as_ref(), limit);
    Ok(document(&page::<_, ShownMember>(read_aside(&call.state, read).await?)?))
}

/// Users of a configuration
///
/// As they are now, also while the configuration is paused.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/users",
    tag = "Directory",
    operation_id = "listConfigurationUsers",
    params(("id" = String, Path), PageQuery, UserQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Users", body = Page<ShownUser>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn configuration_users(allowed: Allowed<Directory>, call: Call) -> Answered {
    let filter = call.query::<UserQuery>()?.filter()?;
    current::<ShownUser>(&allowed.by.reach, &call, "User", filter).await
}

/// Groups of a configuration
///
/// As they are now, also while the configuration is paused.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/groups",
    tag = "Directory",
    operation_id = "listConfigurationGroups",
    params(("id" = String, Path), PageQuery, GroupQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Groups", body = Page<ShownGroup>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn configuration_groups(allowed: Allowed<Directory>, call: Call) -> Answered {
    let filter = call.query::<GroupQuery>()?.filter()?;
    current::<ShownGroup>(&allowed.by.reach, &call, "Group", filter).await
}

/// Members of a group of a configuration
///
/// As they are now, also while the configuration is paused.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/groups/{group}/members",
    tag = "Directory",
    operation_id = "listConfigurationMembers",
    params(("id" = String, Path), ("group" = String, Path), PageQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Members", body = Page<ShownMember>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn configuration_members(allowed: Allowed<Directory>, call: Call) -> Answered {
    let (mark, limit) = window(&call.query::<PageQuery>()?)?;
    let (whose, group) = (in_path(&allowed.by.reach, &call), call.part("group"));
    let read = move |at: &Snapshot<'_>| people::current_members(at, &whose, &group, mark.as_ref(), limit);
    let found: Result<_> = read_aside(&call.state, read).await;
    Ok(document(&page::<_, ShownMember>(found?)?))
}
