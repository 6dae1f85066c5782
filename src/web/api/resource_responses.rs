//! Queries and responses for users, groups and members.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::openapi::Type;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::{IntoParams, ToSchema};

use crate::clock;
use crate::error::Error;
use crate::model::audit_context::AccountScope;
use crate::provisioning::directory::{
    self, DirectoryCursor, DirectoryFilter, DirectoryMember, DirectoryPosition, DirectoryResource, DirectoryScope,
};
use crate::scim::fold;
use crate::web::api::cursor::{self, CursorPage, PageQuery};
use crate::web::api::response::{ApiError, embed_json};
use crate::web::api::timestamps::parse_timestamp;

/// The value of `managedBy` for users and groups that are provisioned with SCIM 2.0.
const MANAGED_BY: &str = "scim2";

/// Filters by account and configuration
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ResourceSelectionQuery {
    /// Only resources of this account
    account: Option<String>,
    /// Only resources of this configuration, which may be deleted
    configuration: Option<String>,
}

impl ResourceSelectionQuery {
    /// Returns the selection, or `None` if the requested account is not in the account scope of the call.
    pub(super) fn into_selection(self, scope: &AccountScope) -> Option<DirectoryScope> {
        let is_in_scope = self.account.as_deref().is_none_or(|account| scope.covers_id(account));
        let account = scope.filter(self.account);
        is_in_scope.then_some(DirectoryScope { account, configuration: self.configuration })
    }
}

/// Filters for users; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListUsersQuery {
    /// Complete userName, case-insensitive
    user_name: Option<String>,
    /// Complete externalId, case-sensitive
    external_id: Option<String>,
    /// One of the user's e-mail addresses, complete, case-insensitive. Several users can have the same address
    email: Option<String>,
    /// Only active users (true) or only inactive users (false)
    active: Option<bool>,
    /// Only users that changed at this time or later, ordered by time of change. A change during a pause has the time at
    /// which it was made, not the time at which it was published; use the event feed to find all changes
    #[param(format = DateTime)]
    updated_since: Option<String>,
}

impl ListUsersQuery {
    pub(super) fn into_filter(self) -> Result<DirectoryFilter, ApiError> {
        Ok(DirectoryFilter {
            user_name_key: self.user_name.map(|name| fold::fold_case(&name).into_owned()),
            external_id: self.external_id,
            active: self.active,
            email_key: self.email.map(|address| fold::fold_case(&address).into_owned()),
            updated_since: parse_timestamp("updatedSince", self.updated_since.as_deref())?,
            ..DirectoryFilter::default()
        })
    }
}

/// Filters for groups; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListGroupsQuery {
    /// Complete externalId, case-sensitive
    external_id: Option<String>,
    /// Complete displayName, case-insensitive. Several groups can have the same name
    display_name: Option<String>,
    /// Id of a user or group that is a direct member
    member: Option<String>,
    /// Only groups that changed at this time or later, ordered by time of change
    #[param(format = DateTime)]
    updated_since: Option<String>,
}

impl ListGroupsQuery {
    pub(super) fn into_filter(self) -> Result<DirectoryFilter, ApiError> {
        let updated_since = parse_timestamp("updatedSince", self.updated_since.as_deref())?;
        Ok(DirectoryFilter {
            external_id: self.external_id,
            display_name_key: self.display_name.map(|name| fold::fold_case(&name).into_owned()),
            member_id: self.member,
            updated_since,
            ..DirectoryFilter::default()
        })
    }
}

/// Changes since a position
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ChangedSinceQuery {
    /// A position of the event feed: only resources that changed after it, each once, ordered by their last change. A change
    /// of memberships is a change of the group and of its users
    #[param(pattern = "^([0-9]+|A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048])$")]
    pub(super) changed_since: Option<String>,
}

/// The content of a cursor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResourceCursor {
    configuration: i64,
    /// Time of change, row number and id of the last resource; `None` to begin with the first one.
    #[serde(rename = "place")]
    position: Option<(i64, i64, String)>,
}

impl From<ResourceCursor> for DirectoryCursor {
    fn from(resume: ResourceCursor) -> Self {
        let position = resume.position.map(|(changed, row, id)| DirectoryPosition { changed, row, id });
        Self { configuration: resume.configuration, position }
    }
}

impl From<DirectoryCursor> for ResourceCursor {
    fn from(mark: DirectoryCursor) -> Self {
        let position = mark.position.map(|last| (last.changed, last.row, last.id));
        Self { configuration: mark.configuration, position }
    }
}

/// Returns the position after which a page begins, and its maximum number of items.
///
/// # Errors
/// 400 if the cursor or the limit is not valid.
pub(super) fn parse_page_query(query: &PageQuery) -> Result<(Option<DirectoryCursor>, usize), ApiError> {
    let limit = usize::try_from(query.limit()?).unwrap_or(usize::MAX);
    Ok((query.position::<ResourceCursor>()?.map(DirectoryCursor::from), limit))
}

/// Converts a page of rows to a response.
///
/// # Errors
/// A row cannot be converted.
pub(super) fn build_page<R, T: TryFrom<R, Error = Error>>(
    found: directory::DirectoryPage<R>,
) -> Result<CursorPage<T>, Error> {
    Ok(CursorPage {
        items: found.items.into_iter().map(T::try_from).collect::<Result<_, Error>>()?,
        next_cursor: found.next.and_then(|mark| cursor::encode_cursor(&ResourceCursor::from(mark))),
    })
}

/// A provisioned user
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(super) struct UserResponse {
    id: String,
    account_id: String,
    configuration_id: String,
    /// Always `scim2`: the resource can only be changed at the identity provider
    managed_by: &'static str,
    /// Whether the configuration is deleted
    leftover: bool,
    #[schema(value_type = Option<String>, required)]
    user_name: Value,
    #[schema(value_type = Option<String>, required)]
    external_id: Value,
    #[schema(value_type = Option<bool>, required)]
    active: Value,
    #[schema(value_type = Option<String>, required)]
    display_name: Value,
    /// As in the resource; empty if there are none
    #[schema(value_type = Vec<Object>)]
    emails: Value,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_modified: String,
    /// Version number, incremented by each change; begins with 1
    #[schema(minimum = 1)]
    version: i64,
    /// The SCIM resource: `schemas` and all provisioned attributes, without the password
    #[schema(value_type = Object)]
    resource: Box<RawValue>,
}

impl TryFrom<DirectoryResource> for UserResponse {
    type Error = Error;

    fn try_from(DirectoryResource { source, stored }: DirectoryResource) -> Result<Self, Error> {
        let resource = parse_body(&stored.id, &stored.body)?;
        let emails = resource.get("emails").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        Ok(Self {
            account_id: source.account.id,
            configuration_id: source.id,
            managed_by: MANAGED_BY,
            leftover: source.deleted_at.is_some(),
            user_name: resource["userName"].clone(),
            external_id: resource["externalId"].clone(),
            active: resource["active"].clone(),
            display_name: resource["displayName"].clone(),
            emails,
            created_at: clock::format_rfc3339(stored.created_at),
            last_modified: clock::format_rfc3339(stored.last_modified),
            version: stored.version,
            resource: embed_json(stored.body, &stored.id)?,
            id: stored.id,
        })
    }
}

/// A provisioned group. Its members have a separate list
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Group)]
pub(super) struct GroupResponse {
    id: String,
    account_id: String,
    configuration_id: String,
    /// Always `scim2`: the resource can only be changed at the identity provider
    managed_by: &'static str,
    /// Whether the configuration is deleted
    leftover: bool,
    #[schema(value_type = Option<String>, required)]
    display_name: Value,
    #[schema(value_type = Option<String>, required)]
    external_id: Value,
    #[schema(minimum = 0)]
    member_count: i64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_modified: String,
    /// Version number, incremented by each change; begins with 1
    #[schema(minimum = 1)]
    version: i64,
    /// The SCIM resource: `schemas` and all provisioned attributes, without the members
    #[schema(value_type = Object)]
    resource: Box<RawValue>,
}

impl TryFrom<DirectoryResource> for GroupResponse {
    type Error = Error;

    fn try_from(DirectoryResource { source, stored }: DirectoryResource) -> Result<Self, Error> {
        let resource = parse_body(&stored.id, &stored.body)?;
        Ok(Self {
            account_id: source.account.id,
            configuration_id: source.id,
            managed_by: MANAGED_BY,
            leftover: source.deleted_at.is_some(),
            display_name: resource["displayName"].clone(),
            external_id: resource["externalId"].clone(),
            member_count: stored.member_count,
            created_at: clock::format_rfc3339(stored.created_at),
            last_modified: clock::format_rfc3339(stored.last_modified),
            version: stored.version,
            resource: embed_json(stored.body, &stored.id)?,
            id: stored.id,
        })
    }
}

fn parse_body(id: &str, body: &str) -> Result<Value, Error> {
    serde_json::from_str(body).map_err(|problem| Error::undecodable(format_args!("stored text of {id}"), problem))
}

/// A member of a group
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupMember)]
pub(super) struct MemberResponse {
    id: String,
    #[schema(schema_with = build_member_type_schema)]
    r#type: String,
    /// Display name of the member
    #[schema(required)]
    display: Option<String>,
}

fn build_member_type_schema() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["User", "Group"])).build()
}

impl TryFrom<DirectoryMember> for MemberResponse {
    type Error = Error;

    fn try_from(member: DirectoryMember) -> Result<Self, Error> {
        Ok(Self { id: member.id, r#type: member.resource_type, display: member.label })
    }
}
