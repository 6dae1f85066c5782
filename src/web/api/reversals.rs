//! Undo of what a configuration changed since a time.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, Directory, RestoreDeleted};
use super::configurations::find_configuration;
use super::holds::RejectionConflict;
use crate::clock;
use crate::management::configurations::reversals::{
    self, ReversalCounts, ReversalPreview, StoredReversal, UndoneChange,
};
use crate::store::{Snapshot, Tx};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, RequestTimestamp};
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// How many changes are undone
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReversalCounts)]
struct ReversalCountsResponse {
    /// Deleted users and groups that return
    #[schema(minimum = 0)]
    restored: i64,
    /// Users that are active again
    #[schema(minimum = 0)]
    activated: i64,
    /// Users that are inactive again
    #[schema(minimum = 0)]
    deactivated: i64,
    /// Memberships that return
    #[schema(minimum = 0)]
    members_added: i64,
    /// Memberships that end again
    #[schema(minimum = 0)]
    members_removed: i64,
    /// Changes that cannot be undone, because a name is in use or a quota is reached. A preview does not examine quotas
    #[schema(minimum = 0)]
    conflicts: i64,
}

impl From<ReversalCounts> for ReversalCountsResponse {
    fn from(counts: ReversalCounts) -> Self {
        Self {
            restored: counts.restored,
            activated: counts.activated,
            deactivated: counts.deactivated,
            members_added: counts.joined,
            members_removed: counts.left,
            conflicts: counts.conflicts,
        }
    }
}

/// A user, group or membership that an undo would change
#[derive(Debug, Serialize, ToSchema)]
struct UndoneName {
    /// `userName`, `displayName`, or `group: member`
    name: String,
    change: UndoneChangeName,
}

/// What an undo would do with a user, group or membership
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum UndoneChangeName {
    Restored,
    Activated,
    Deactivated,
    Added,
    Removed,
}

impl From<UndoneChange> for UndoneChangeName {
    fn from(change: UndoneChange) -> Self {
        match change {
            UndoneChange::Restored => Self::Restored,
            UndoneChange::Activated => Self::Activated,
            UndoneChange::Deactivated => Self::Deactivated,
            UndoneChange::Joined => Self::Added,
            UndoneChange::Left => Self::Removed,
        }
    }
}

/// What an undo would do, or has done
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reversal)]
pub(super) struct ReversalResponse {
    /// `preview`, `running` or `done`
    state: ReversalState,
    /// Changes from this time on are undone
    #[schema(format = DateTime)]
    since: String,
    /// When it was started; null for a preview
    #[schema(format = DateTime, required)]
    started_at: Option<String>,
    /// When it ended; null before
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    counts: ReversalCountsResponse,
    /// The first 100 users, groups and memberships of a preview; empty afterwards
    #[schema(max_items = 100)]
    names: Vec<UndoneName>,
    /// Whether there are more changes than a preview examines
    is_cut: bool,
    /// What could not be undone, at most 100
    #[schema(max_items = 100)]
    conflict_list: Vec<RejectionConflict>,
}

/// How far an undo is
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ReversalState {
    Preview,
    Running,
    Done,
}

impl ReversalResponse {
    fn from_preview(since: clock::Millis, found: ReversalPreview) -> Self {
        Self {
            state: ReversalState::Preview,
            since: clock::format_rfc3339(since),
            started_at: None,
            ended_at: None,
            counts: found.counts.into(),
            names: found.names.into_iter().map(|(name, change)| UndoneName { name, change: change.into() }).collect(),
            is_cut: found.is_cut,
            conflict_list: Vec::new(),
        }
    }
}

impl From<StoredReversal> for ReversalResponse {
    fn from(found: StoredReversal) -> Self {
        Self {
            state: if found.progress.is_some() { ReversalState::Running } else { ReversalState::Done },
            since: clock::format_rfc3339(found.since),
            started_at: Some(clock::format_rfc3339(found.started_at)),
            ended_at: found.ended_at.map(clock::format_rfc3339),
            counts: found.counts.into(),
            names: Vec::new(),
            is_cut: false,
            conflict_list: RejectionConflict::list(found.conflict_list),
        }
    }
}

/// What is undone
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ReversalRequest)]
pub(super) struct ReversalBody {
    /// Changes from this time on, at most 90 days ago
    since: RequestTimestamp,
    /// Whether only to return what an undo would do; default false
    preview: Option<bool>,
}

/// Undo what a configuration changed since a time
///
/// Deleted users and groups return with their ids, as after a restore; users are active or inactive as they were at that time; and
/// memberships are as they were. Other attributes, and users and groups that were created since, stay. It runs in steps: each change
/// is an ordinary event. Changes of the identity provider after the start stay. Deletions can be undone while the deleted user
/// or group can be restored (`tombstoneDays`).
///
/// With `preview`, nothing is changed. A preview examines at most 100,000 deletions and as many other changes; the memberships that
/// return with a deleted user or group are not in its numbers.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/undo",
    tag = "Directory",
    operation_id = "startUndo",
    params(("id" = String, Path, description = "The configuration")),
    request_body = ReversalBody,
    responses(
        (status = 200, description = "What an undo would do", body = ReversalResponse),
        (status = 202, description = "The undo has been started", body = ReversalResponse),
        WriteErrors
    )
)]
pub(super) async fn start_reversal(allowed: AllowedCaller<RestoreDeleted>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.body::<ReversalBody>().await?;
    let since = body.since.0;
    if body.preview.unwrap_or(false) {
        let now = clock::current_millis();
        let read = move |at: &Snapshot<'_>| reversals::preview_reversal(at, &context.scope, &id, (since, now));
        return Ok(json_response(&ReversalResponse::from_preview(since, call.read(read).await?)));
    }
    let start = move |tx: &Tx<'_>| reversals::start_reversal(tx, &context, &id, since);
    write_and_respond(&call, StatusCode::ACCEPTED, start, ReversalResponse::from).await
}

/// Get the last undo of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/undo",
    tag = "Directory",
    operation_id = "getUndo",
    params(("id" = String, Path, description = "The configuration")),
    responses((status = 200, description = "Its state and what it has undone so far", body = ReversalResponse), ReadErrors)
)]
pub(super) async fn get_reversal(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    Ok(json_response(&ReversalResponse::from(call.read_inline(|at| reversals::find_reversal(at, &scope, &id))?)))
}
