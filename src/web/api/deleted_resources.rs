//! Deleted users and groups of a configuration, and their restore.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Directory, RestoreDeleted};
use super::configurations::find_configuration;
use super::cursor::{self, CursorPage, PageQuery};
use super::schema_extensions::ExtendedResourceType;
use super::timestamps::parse_timestamp;
use crate::clock::{self, Millis};
use crate::error::Reason;
use crate::management::configurations::deleted_resources::{self, DeletedList, RESTORED_PER_CALL};
use crate::model::audit_context::AuditContext;
use crate::provisioning::tombstones::restore::RestoredResource;
use crate::provisioning::tombstones::{DeletedFilter, DeletedPosition, DeletedQuery, DeletedResource};
use crate::store::{Snapshot, Tx};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, RequestTimestamp};
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response};

/// Maximum length of a search text.
const TEXT_MAX_CHARS: usize = 200;

/// A deleted user or group that can be restored
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RestorableResource)]
pub(super) struct RestorableResponse {
    /// Id of the user or group, which it has again after a restore
    id: String,
    #[schema(inline, value_type = ExtendedResourceType)]
    resource_type: String,
    /// `userName` of a user, `displayName` of a group
    #[schema(required)]
    name: Option<String>,
    #[schema(required)]
    display_name: Option<String>,
    #[schema(required)]
    external_id: Option<String>,
    /// Time of the deletion
    #[schema(format = DateTime)]
    deleted_at: String,
    /// Until when it can be restored
    #[schema(format = DateTime)]
    expires_at: String,
    /// Id of the request that deleted it, as in the request log
    #[schema(required)]
    request_id: Option<String>,
    /// Id of the token of that request
    #[schema(required)]
    token_id: Option<String>,
    /// Label of the token at that time
    #[schema(required)]
    token_label: Option<String>,
}

impl RestorableResponse {
    fn from_row(row: DeletedResource, restorable_ms: Millis) -> Self {
        Self {
            id: row.id,
            resource_type: row.resource_type,
            name: row.name,
            display_name: row.display_name,
            external_id: row.external_id,
            deleted_at: clock::format_rfc3339(row.deleted_at),
            expires_at: clock::format_rfc3339(row.deleted_at.saturating_add(restorable_ms)),
            request_id: row.request_id,
            token_id: row.token_id,
            token_label: row.token_label,
        }
    }
}

/// Filters; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDeletedQuery {
    /// Only users or only groups
    #[param(inline)]
    r#type: Option<ExtendedResourceType>,
    /// Text in the name, the display name or `externalId`, in any case
    #[param(min_length = 1, max_length = 200)]
    text: Option<String>,
    /// Only those that were deleted at this time or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only those that were deleted before this time
    #[param(format = DateTime)]
    until: Option<String>,
}

impl ListDeletedQuery {
    fn into_filter(self, after: Option<DeletedPosition>) -> Result<DeletedFilter, ApiError> {
        let length = self.text.as_ref().map_or(1, |text| text.chars().count());
        if !(1..=TEXT_MAX_CHARS).contains(&length) {
            return Err(Reason::SearchTextLength.with("max", TEXT_MAX_CHARS).into());
        }
        let rows = DeletedQuery {
            resource_type: self.r#type.map(|one| one.as_str().to_owned()),
            since: parse_timestamp("since", self.since.as_deref())?,
            until: parse_timestamp("until", self.until.as_deref())?,
            after,
        };
        Ok(DeletedFilter { rows, text: self.text })
    }
}

/// List the deleted users and groups of a configuration
///
/// Those that can be restored, for as many days as `tombstoneDays` in the settings says. Newest deletion first. A page may have
/// fewer items than `limit`, or none, and still have a `nextCursor`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/deleted",
    tag = "Directory",
    params(PageQuery, ListDeletedQuery),
    responses((status = 200, description = "Deleted users and groups", body = CursorPage<RestorableResponse>), ReadErrors)
)]
pub(super) async fn list_deleted_resources(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let page = call.query::<PageQuery>()?;
    let filter = call.query::<ListDeletedQuery>()?.into_filter(page.position()?)?;
    let selected = (clock::current_millis(), usize::try_from(page.limit()?).unwrap_or(usize::MAX));
    let read = move |at: &Snapshot<'_>| deleted_resources::list_deleted(at, &scope, &id, &filter, selected);
    let DeletedList { page, restorable_ms } = call.read(read).await?;
    Ok(json_response(&CursorPage {
        next_cursor: page.next.and_then(|next| cursor::encode_cursor(&next)),
        items: page.items.into_iter().map(|row| RestorableResponse::from_row(row, restorable_ms)).collect(),
    }))
}

/// A restored user or group
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RestoredResource)]
pub(super) struct RestoredResponse {
    id: String,
    #[schema(inline, value_type = ExtendedResourceType)]
    resource_type: String,
    /// Its version
    #[schema(minimum = 1)]
    version: i64,
    /// Whether it has many memberships, of which some return within seconds
    memberships_pending: bool,
}

impl From<RestoredResource> for RestoredResponse {
    fn from(restored: RestoredResource) -> Self {
        Self {
            id: restored.id,
            resource_type: restored.resource_type,
            version: restored.version,
            memberships_pending: restored.pending.is_some(),
        }
    }
}

/// Restore a deleted user or group
///
/// It gets the same id, its last attributes, its password if the configuration stores passwords, and its memberships with groups
/// and members that exist. The event is `user.restored` or `group.restored`. 409 if its name is in use, 403 if a quota is
/// reached; nothing is changed then. Correct the identity provider too: it may delete it again.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/deleted/{resourceId}/restore",
    tag = "Directory",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("resourceId" = String, Path, description = "Id of the deleted user or group"),
    ),
    responses((status = 200, description = "It is restored", body = RestoredResponse), WriteErrors)
)]
pub(super) async fn restore_resource(allowed: AllowedCaller<RestoreDeleted>, call: ApiRequest) -> ApiResult {
    let (context, id, resource) = (allowed.context, call.path_parameter("id"), call.path_parameter("resourceId"));
    let restore = move |tx: &Tx<'_>| deleted_resources::restore_deleted(tx, &context, &id, &resource);
    write_and_respond(&call, StatusCode::OK, restore, RestoredResponse::from).await
}

/// Which deleted users and groups are restored
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RestoreRange)]
pub(super) struct RestoreRangeBody {
    /// Those that were deleted at this time or later
    since: RequestTimestamp,
    /// Those that were deleted before this time; default: now
    until: Option<RequestTimestamp>,
    /// Only users or only groups
    #[schema(inline)]
    r#type: Option<ExtendedResourceType>,
    /// `nextCursor` of the previous call, with the same members
    #[schema(max_length = 200)]
    cursor: Option<String>,
}

/// A deleted user or group that was not restored
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestoreConflict)]
pub(super) struct RestoreConflictResponse {
    id: String,
    /// An error code: `user_name_taken`, `group_name_taken` or `quota_exceeded`
    reason: &'static str,
}

/// The result of a restore
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RestoreResult)]
pub(super) struct RestoreRangeResponse {
    /// How many were restored
    #[schema(minimum = 0)]
    restored: usize,
    /// Those that stay deleted
    conflicts: Vec<RestoreConflictResponse>,
    /// The `cursor` of the next call; null if all were processed
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Restore the users and groups that were deleted in a time range
///
/// The last deleted ones first, at most 100 in one call: repeat the call with `nextCursor` as `cursor` until that is null. Each is
/// restored as a whole or, in a conflict with the current state, not at all. After an error, send the call again: what is restored
/// is not in the list any more.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/deleted/restore",
    tag = "Directory",
    params(("id" = String, Path, description = "The configuration")),
    request_body = RestoreRangeBody,
    responses((status = 200, description = "What was restored", body = RestoreRangeResponse), WriteErrors)
)]
pub(super) async fn restore_range(allowed: AllowedCaller<RestoreDeleted>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.body::<RestoreRangeBody>().await?;
    let position = PageQuery { cursor: body.cursor, limit: None }.position()?;
    let rows = DeletedQuery {
        resource_type: body.r#type.map(|one| one.as_str().to_owned()),
        since: Some(body.since.0),
        until: body.until.map(|until| until.0),
        after: position,
    };
    let (filter, selected) = (DeletedFilter { rows, text: None }, (clock::current_millis(), RESTORED_PER_CALL));
    let (scope, configuration) = (context.scope.clone(), id.clone());
    let read = move |at: &Snapshot<'_>| deleted_resources::list_deleted(at, &scope, &configuration, &filter, selected);
    let page = call.read(read).await?.page;
    let (mut restored, mut conflicts) = (0, Vec::new());
    for one in page.items {
        match restore_one(&call, &context, &id, &one.id).await? {
            None => restored += 1,
            // It was restored meanwhile.
            Some(Reason::DeletedResourceNotFound) => {}
            Some(reason) => conflicts.push(RestoreConflictResponse { id: one.id, reason: reason.code() }),
        }
    }
    let next_cursor = page.next.and_then(|next| cursor::encode_cursor(&next));
    Ok(json_response(&RestoreRangeResponse { restored, conflicts, next_cursor }))
}

/// Restores one of several, and returns the conflict if there is one.
async fn restore_one(
    call: &ApiRequest,
    context: &AuditContext,
    id: &str,
    resource: &str,
) -> Result<Option<Reason>, ApiError> {
    let (context, id, resource) = (context.clone(), id.to_owned(), resource.to_owned());
    let done = call.write(move |tx| deleted_resources::restore_deleted(tx, &context, &id, &resource).map(drop)).await;
    match done {
        Ok(()) => Ok(None),
        Err(error) => Ok(Some(deleted_resources::find_conflict(error)?)),
    }
}
