//! The list of memberships across groups.

use serde::{Deserialize, Serialize};
use utoipa::openapi::Type;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Directory};
use super::cursor::{self, CursorPage, PageQuery};
use crate::provisioning::directory::memberships::{
    self, DirectoryMembership, MembershipCursor, MembershipPage, MembershipQuery,
};
use crate::provisioning::directory::{DirectoryCursor, DirectoryPosition};
use crate::store::Snapshot;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::resource_responses::{ResourceCursor, ResourceSelectionQuery};
use crate::web::api::response::{ApiResult, ReadErrors, json_response, render_json, rendered_response};

/// Filters for memberships; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListMembershipsQuery {
    /// Id of the group
    group: Option<String>,
    /// Id of the member, a user or a group
    user: Option<String>,
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
        let DirectoryMembership { group_id, configuration_id, member } = membership;
        Self { group_id, member_id: member.id, member_type: member.resource_type, configuration_id }
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
    params(PageQuery, ResourceSelectionQuery, ListMembershipsQuery),
    responses((status = 200, description = "Memberships", body = CursorPage<MembershipResponse>), ReadErrors)
)]
pub(super) async fn list_memberships(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let page = call.query::<PageQuery>()?;
    let cursor = page.position::<StoredMembershipCursor>()?.map(MembershipCursor::from).unwrap_or_default();
    let limit = usize::try_from(page.limit()?).unwrap_or(usize::MAX);
    let ListMembershipsQuery { group, user } = call.query()?;
    let selection = call.query::<ResourceSelectionQuery>()?.into_selection(&allowed.context.scope);
    let Some(selection) = selection else {
        return Ok(json_response(&CursorPage::<MembershipResponse> { items: Vec::new(), next_cursor: None }));
    };
    let query = MembershipQuery { group, member: user, cursor, limit };
    let read = move |at: &Snapshot<'_>| {
        let MembershipPage { items, next } = memberships::list_memberships(at, &selection, &query)?;
        render_json(&CursorPage {
            items: items.into_iter().map(MembershipResponse::from).collect(),
            next_cursor: next.and_then(|next| cursor::encode_cursor(&StoredMembershipCursor::from(next))),
        })
    };
    Ok(rendered_response(call.read(read).await?))
}
