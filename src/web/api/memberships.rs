//! The list of memberships across groups.

use serde::{Deserialize, Serialize};
use utoipa::openapi::Type;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Directory};
use super::cursor::{self, CursorPage, PageQuery, PositionedPage};
use super::directory::{build_changes_query, render_changes, resolve_changes_query, respond_without_items};
use crate::management::accounts::account_scope;
use crate::provisioning::directory::changes;
use crate::provisioning::directory::memberships::{
    self, DirectoryMembership, MembershipCursor, MembershipPage, MembershipQuery,
};
use crate::provisioning::directory::{DirectoryCursor, DirectoryPosition, DirectoryScope};
use crate::store::Snapshot;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::resource_responses::{ResourceCursor, ResourceSelectionQuery};
use crate::web::api::response::{ApiErrorBody, ApiResult, ReadErrors, render_json, rendered_response};

/// Filters for memberships; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListMembershipsQuery {
    /// Id of the group
    group: Option<String>,
    /// Id of the member, a user or a group
    user: Option<String>,
}

/// Memberships since a position
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct MembershipChangesQuery {
    /// A position of the event feed: only memberships that began after it, in this order. The end of a membership is a change
    /// of its group and its user, which their lists report
    #[param(pattern = "^([0-9]+|A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048])$")]
    changed_since: Option<String>,
}

/// A membership of a group
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Membership)]
pub(super) struct MembershipResponse {
    group_id: String,
    member_id: String,
    #[schema(schema_with = build_member_type_schema)]
    member_type: String,
    configuration_id: String,
}

fn build_member_type_schema() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["User", "Group"])).build()
}

impl From<DirectoryMembership> for MembershipResponse {
    fn from(membership: DirectoryMembership) -> Self {
        let DirectoryMembership { group_id, configuration_id, member_id, member_type } = membership;
        Self { group_id, member_id, member_type, configuration_id }
    }
}

/// The content of a cursor: a position in the groups, and row number and id of a member of the next group.
#[derive(Debug, Serialize, Deserialize)]
struct StoredMembershipCursor {
    groups: Option<ResourceCursor>,
    member: Option<(i64, String)>,
}

impl From<StoredMembershipCursor> for MembershipCursor {
    fn from(stored: StoredMembershipCursor) -> Self {
        Self {
            groups: stored.groups.map(DirectoryCursor::from),
            member: stored.member.map(|(row, id)| DirectoryPosition { changed: 0, row, id }),
        }
    }
}

impl From<MembershipCursor> for StoredMembershipCursor {
    fn from(cursor: MembershipCursor) -> Self {
        let member = cursor.member.map(|position| (position.row, position.id));
        Self { groups: cursor.groups.map(ResourceCursor::from), member }
    }
}

/// List memberships
///
/// The direct memberships of all groups, as published in the event feed, ordered by group. A page may have fewer items than
/// `limit`, or none, and still have a `nextCursor`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/memberships",
    tag = "Directory",
    params(PageQuery, ResourceSelectionQuery, ListMembershipsQuery, MembershipChangesQuery),
    responses(
        (status = 200, description = "Memberships", body = PositionedPage<MembershipResponse>),
        (status = 410, description = "`changedSince` or `cursor` cannot be continued, as in the list of events.", body = ApiErrorBody),
        ReadErrors
    )
)]
pub(super) async fn list_memberships(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let scope = &allowed.context.scope;
    let ListMembershipsQuery { group, user } = call.query()?;
    if let Some(since) = call.query::<MembershipChangesQuery>()?.changed_since {
        let Some(query) = build_changes_query(scope, &call, &since)? else { return Ok(respond_without_items()) };
        let read = move |at: &Snapshot<'_>| {
            let query = resolve_changes_query(at, query)?;
            let page = changes::list_changed_memberships(at, group.as_deref(), user.as_deref(), &query)?;
            render_changes(page, |found| Ok(MembershipResponse::from(found)))
        };
        return Ok(rendered_response(call.read(read).await?));
    }
    let page = call.query::<PageQuery>()?;
    let cursor = page.position::<StoredMembershipCursor>()?.map(MembershipCursor::from).unwrap_or_default();
    let limit = usize::try_from(page.limit()?).unwrap_or(usize::MAX);
    let selection = call.query::<ResourceSelectionQuery>()?.into_selection(scope);
    let Some(selection) = selection else { return Ok(respond_without_items()) };
    let query = MembershipQuery { group, member: user, cursor, limit };
    let read = move |at: &Snapshot<'_>| {
        let account = selection.account.map(|account| account_scope::resolve_filter(at, account)).transpose()?;
        let selection = DirectoryScope { account, ..selection };
        let MembershipPage { items, next } = memberships::list_memberships(at, &selection, &query)?;
        render_json(&CursorPage {
            items: items.into_iter().map(MembershipResponse::from).collect(),
            next_cursor: next.and_then(|next| cursor::encode_cursor(&StoredMembershipCursor::from(next))),
        })
    };
    Ok(rendered_response(call.read(read).await?))
}
