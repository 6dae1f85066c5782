//! Users, groups and members: the published state of an account, and the current state of a configuration.

use actix_web::HttpResponse;

use super::caller::{AllowedCaller, Directory};
use super::cursor::{self, CursorPage, PageQuery, PositionedPage};
use crate::error::{Error, Reason, Result};
use crate::management::accounts::account_scope;
use crate::model::audit_context::AccountScope;
use crate::provisioning::directory::changes::{self, ChangesCursor, ChangesPage, ChangesQuery};
use crate::provisioning::directory::{self, DirectoryFilter, DirectoryQuery, DirectoryResource, DirectoryScope};
use crate::provisioning::feed::{EventsQuery, FeedPosition};
use crate::store::Snapshot;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::resource_responses::{
    ChangedSinceQuery, GroupResponse, ListGroupsQuery, ListUsersQuery, MemberResponse, ResourceSelectionQuery,
    UserResponse, build_page, parse_page_query,
};
use crate::web::api::response::{
    ApiError, ApiErrorBody, ApiResult, ReadErrors, json_response, render_json, rendered_response,
};

/// Returns a page of the published users or groups.
async fn list_published<T>(
    scope: &AccountScope,
    call: &ApiRequest,
    resource_type: &'static str,
    filter: DirectoryFilter,
) -> ApiResult
where
    T: TryFrom<DirectoryResource, Error = Error> + serde::Serialize,
{
    let (position, limit) = parse_page_query(&call.query::<PageQuery>()?)?;
    let selection = call.query::<ResourceSelectionQuery>()?.into_selection(scope);
    let found = match selection {
        None => render_page::<DirectoryResource, T>(directory::DirectoryPage { items: Vec::new(), next: None })?,
        Some(selection) => {
            let read = move |at: &Snapshot<'_>| {
                let account =
                    selection.account.map(|account| account_scope::resolve_filter(at, account)).transpose()?;
                let selection = DirectoryScope { account, ..selection };
                let query = DirectoryQuery { resource_type, filter: &filter, cursor: position.as_ref(), limit };
                render_page::<DirectoryResource, T>(directory::list_published(at, &selection, &query)?)
            };
            call.read(read).await?
        }
    };
    Ok(rendered_response(found))
}

/// Returns a page of the published users or groups that changed after a position.
async fn list_changed<T>(
    scope: &AccountScope,
    call: &ApiRequest,
    resource_type: &'static str,
    (filter, since): (DirectoryFilter, &str),
) -> ApiResult
where
    T: TryFrom<DirectoryResource, Error = Error> + serde::Serialize,
{
    let Some(query) = build_changes_query(scope, call, since)? else { return Ok(respond_without_items()) };
    let read = move |at: &Snapshot<'_>| {
        let query = resolve_changes_query(at, query)?;
        render_changes(changes::list_changed_resources(at, resource_type, &filter, &query)?, T::try_from)
    };
    Ok(rendered_response(call.read(read).await?))
}

/// Returns the query of a list of changes, or `None` if the requested account is not in the account scope of the call.
///
/// # Errors
/// 400 if the position, the cursor or the limit is not valid.
pub(super) fn build_changes_query(
    scope: &AccountScope,
    call: &ApiRequest,
    since: &str,
) -> std::result::Result<Option<ChangesQuery>, ApiError> {
    let page = call.query::<PageQuery>()?;
    let limit = usize::try_from(page.limit()?).unwrap_or(usize::MAX);
    let since = FeedPosition::parse(since).ok_or_else(|| Reason::PositionInvalid.on_field("changedSince"))?;
    let cursor = match page.position::<(String, usize)>()? {
        Some((text, skipped)) => {
            ChangesCursor { position: FeedPosition::parse(&text).ok_or(Reason::CursorNotIssued)?, skipped }
        }
        None => ChangesCursor { position: since, skipped: 0 },
    };
    let selection = call.query::<ResourceSelectionQuery>()?.into_selection(scope);
    let describe = |DirectoryScope { account, configuration }| ChangesQuery {
        events: EventsQuery { account, configuration, ..EventsQuery::default() },
        cursor,
        limit,
    };
    Ok(selection.map(describe))
}

/// Returns the query with the key of its account.
pub(super) fn resolve_changes_query(at: &Snapshot<'_>, mut query: ChangesQuery) -> Result<ChangesQuery> {
    if let Some(account) = query.events.account.take() {
        query.events.account = Some(account_scope::resolve_filter(at, account)?);
    }
    Ok(query)
}

/// Renders a page of changes, off the event loop.
pub(super) fn render_changes<R, T: serde::Serialize>(
    page: ChangesPage<R>,
    convert: impl Fn(R) -> Result<T>,
) -> Result<Vec<u8>> {
    match page {
        ChangesPage::Found { items, next, position } => render_json(&PositionedPage {
            items: items.into_iter().map(convert).collect::<Result<Vec<T>>>()?,
            next_cursor: next.and_then(|next| cursor::encode_cursor(&(next.position.to_string(), next.skipped))),
            position: Some(position.to_string()),
        }),
        ChangesPage::Refused { reason, restart_from } => Err(reason.with("restartFrom", restart_from)),
    }
}

/// The response for an account that is not in the account scope of the call.
pub(super) fn respond_without_items() -> HttpResponse {
    json_response(&CursorPage::<()> { items: Vec::new(), next_cursor: None })
}

/// Returns a page of the current users or groups of the configuration in the path.
async fn list_current<T>(
    scope: &AccountScope,
    call: &ApiRequest,
    resource_type: &'static str,
    filter: DirectoryFilter,
) -> ApiResult
where
    T: TryFrom<DirectoryResource, Error = Error> + serde::Serialize,
{
    let (position, limit) = parse_page_query(&call.query::<PageQuery>()?)?;
    let selection = select_configuration(scope, call);
    let read = move |at: &Snapshot<'_>| {
        let query = DirectoryQuery { resource_type, filter: &filter, cursor: position.as_ref(), limit };
        render_page::<DirectoryResource, T>(directory::list_current(at, &selection, &query)?)
    };
    Ok(rendered_response(call.read(read).await?))
}

/// Renders a page, off the event loop.
fn render_page<R, T: TryFrom<R, Error = Error> + serde::Serialize>(
    found: directory::DirectoryPage<R>,
) -> Result<Vec<u8>> {
    render_json(&build_page::<R, T>(found)?)
}

/// Returns the selection of the configuration in the path.
fn select_configuration(scope: &AccountScope, call: &ApiRequest) -> DirectoryScope {
    DirectoryScope { account: scope.filter(None), configuration: Some(call.path_parameter("id")) }
}

/// Returns the published user or group in the path. A large one is rendered off the event loop.
async fn get_published<T>(scope: &AccountScope, call: &ApiRequest, resource_type: &'static str) -> ApiResult
where
    T: TryFrom<DirectoryResource, Error = Error> + serde::Serialize,
{
    let (id, account) = (call.path_parameter("id"), scope.account().cloned());
    let read = move |at: &Snapshot<'_>| {
        render_json(&T::try_from(directory::find_published(at, account.as_ref(), resource_type, &id)?)?)
    };
    Ok(rendered_response(call.read(read).await?))
}

/// List users
///
/// The users of the account, or of all accounts, as published in the event feed. Changes of a paused configuration
/// (`syncToUserManagement` is false) appear when it is resumed. Ordered by configuration and creation. A page may have fewer
/// items than `limit`, or none, and still have a `nextCursor`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/users",
    tag = "Directory",
    params(PageQuery, ResourceSelectionQuery, ListUsersQuery, ChangedSinceQuery),
    responses(
        (status = 200, description = "Users", body = PositionedPage<UserResponse>),
        (status = 410, description = "`changedSince` or `cursor` cannot be continued, as in the list of events.", body = ApiErrorBody),
        ReadErrors
    )
)]
pub(super) async fn list_users(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let filter = call.query::<ListUsersQuery>()?.into_filter()?;
    if let Some(since) = call.query::<ChangedSinceQuery>()?.changed_since {
        return list_changed::<UserResponse>(&allowed.context.scope, &call, "User", (filter, &since)).await;
    }
    list_published::<UserResponse>(&allowed.context.scope, &call, "User", filter).await
}

/// Get a user
///
/// As published in the event feed.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/users/{id}",
    tag = "Directory",
    responses((status = 200, description = "The user", body = UserResponse), ReadErrors)
)]
pub(super) async fn get_user(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    get_published::<UserResponse>(&allowed.context.scope, &call, "User").await
}

/// List the groups of a user
///
/// The groups of which the user is a direct member, as published in the event feed.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/users/{id}/groups",
    tag = "Directory",
    params(PageQuery),
    responses((status = 200, description = "Groups", body = CursorPage<GroupResponse>), ReadErrors)
)]
pub(super) async fn list_user_groups(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (position, limit) = parse_page_query(&call.query::<PageQuery>()?)?;
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let read = move |at: &Snapshot<'_>| {
        let page = directory::list_published_groups_of_user(at, scope.account(), &id, position.as_ref(), limit)?;
        render_page::<_, GroupResponse>(page)
    };
    Ok(rendered_response(call.read(read).await?))
}

/// List groups
///
/// The groups of the account, or of all accounts, as published in the event feed. See the list of users.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/groups",
    tag = "Directory",
    params(PageQuery, ResourceSelectionQuery, ListGroupsQuery, ChangedSinceQuery),
    responses(
        (status = 200, description = "Groups", body = PositionedPage<GroupResponse>),
        (status = 410, description = "`changedSince` or `cursor` cannot be continued, as in the list of events.", body = ApiErrorBody),
        ReadErrors
    )
)]
pub(super) async fn list_groups(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let filter = call.query::<ListGroupsQuery>()?.into_filter()?;
    if let Some(since) = call.query::<ChangedSinceQuery>()?.changed_since {
        return list_changed::<GroupResponse>(&allowed.context.scope, &call, "Group", (filter, &since)).await;
    }
    list_published::<GroupResponse>(&allowed.context.scope, &call, "Group", filter).await
}

/// Get a group
///
/// As published in the event feed.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/groups/{id}",
    tag = "Directory",
    responses((status = 200, description = "The group", body = GroupResponse), ReadErrors)
)]
pub(super) async fn get_group(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    get_published::<GroupResponse>(&allowed.context.scope, &call, "Group").await
}

/// List the members of a group
///
/// The direct members, as published in the event feed.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/groups/{id}/members",
    tag = "Directory",
    params(PageQuery),
    responses((status = 200, description = "Members", body = CursorPage<MemberResponse>), ReadErrors)
)]
pub(super) async fn list_members(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (position, limit) = parse_page_query(&call.query::<PageQuery>()?)?;
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let read = move |at: &Snapshot<'_>| {
        let page = directory::list_published_members(at, scope.account(), &id, position.as_ref(), limit)?;
        render_page::<_, MemberResponse>(page)
    };
    Ok(rendered_response(call.read(read).await?))
}

/// List the users of a configuration
///
/// The current state, also while the configuration is paused.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/users",
    tag = "Directory",
    params(PageQuery, ListUsersQuery),
    responses((status = 200, description = "Users", body = CursorPage<UserResponse>), ReadErrors)
)]
pub(super) async fn list_configuration_users(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let filter = call.query::<ListUsersQuery>()?.into_filter()?;
    list_current::<UserResponse>(&allowed.context.scope, &call, "User", filter).await
}

/// List the groups of a configuration
///
/// The current state, also while the configuration is paused.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/groups",
    tag = "Directory",
    params(PageQuery, ListGroupsQuery),
    responses((status = 200, description = "Groups", body = CursorPage<GroupResponse>), ReadErrors)
)]
pub(super) async fn list_configuration_groups(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let filter = call.query::<ListGroupsQuery>()?.into_filter()?;
    list_current::<GroupResponse>(&allowed.context.scope, &call, "Group", filter).await
}

/// List the members of a group of a configuration
///
/// The current state, also while the configuration is paused.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/groups/{group}/members",
    tag = "Directory",
    params(PageQuery),
    responses((status = 200, description = "Members", body = CursorPage<MemberResponse>), ReadErrors)
)]
pub(super) async fn list_configuration_members(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (position, limit) = parse_page_query(&call.query::<PageQuery>()?)?;
    let (selection, group) = (select_configuration(&allowed.context.scope, &call), call.path_parameter("group"));
    let read = move |at: &Snapshot<'_>| {
        let page = directory::list_current_members(at, &selection, &group, position.as_ref(), limit)?;
        render_page::<_, MemberResponse>(page)
    };
    Ok(rendered_response(call.read(read).await?))
}
