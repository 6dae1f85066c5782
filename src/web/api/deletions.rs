//! The list of deleted users and groups.

use serde::{Deserialize, Serialize};
use utoipa::openapi::Type;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Directory};
use super::cursor::{PageQuery, PositionedPage};
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::accounts::account_scope;
use crate::model::event::{Event, EventContent, parse_resource_type};
use crate::provisioning::feed::{self, EventsQuery, FeedPage, FeedPosition, FeedStart};
use crate::store::Snapshot;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiErrorBody, ApiResult, ReadErrors, render_json, rendered_response};

/// Filters for deletions
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDeletionsQuery {
    /// A position of the event feed: only later deletions. If absent, all that are still stored
    #[param(pattern = "^([0-9]+|A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048])$")]
    since: Option<String>,
    /// Only resources of this account
    account: Option<String>,
    /// Only resources of this configuration, which may be deleted
    configuration: Option<String>,
}

/// A deleted user or group
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeletedResource)]
pub(super) struct DeletionResponse {
    /// Id of the user or group
    id: String,
    #[schema(schema_with = build_resource_type_schema)]
    resource_type: String,
    account_id: String,
    #[schema(required)]
    configuration_id: Option<String>,
    /// The last version. Absent if an earlier version of the server stored the deletion
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, nullable = false)]
    version: Option<i64>,
    /// Time of the deletion, or of its publication after a pause
    #[schema(format = DateTime)]
    deleted_at: String,
}

fn build_resource_type_schema() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["User", "Group"])).build()
}

impl From<Event> for DeletionResponse {
    fn from(event: Event) -> Self {
        Self {
            resource_type: parse_resource_type(&event.kind),
            id: event.resource_id.unwrap_or_default(),
            account_id: event.account,
            configuration_id: event.configuration_id,
            version: EventContent::from_payload(event.payload).version,
            deleted_at: clock::format_rfc3339(event.created_at),
        }
    }
}

/// List deleted users and groups
///
/// The deletions that the event feed published, oldest first: ids and types only. They are stored for 90 days. Those of users and
/// groups that were restored since are left out. A page may have fewer items than `limit`, or none, and still have a `nextCursor`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/deletions",
    tag = "Directory",
    params(PageQuery, ListDeletionsQuery),
    responses(
        (status = 200, description = "Deletions", body = PositionedPage<DeletionResponse>),
        (status = 410, description = "`since` or `cursor` cannot be continued, as in the list of events.", body = ApiErrorBody),
        ReadErrors
    )
)]
pub(super) async fn list_deletions(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (page, filter) = (call.query::<PageQuery>()?, call.query::<ListDeletionsQuery>()?);
    let limit = page.limit()?;
    let parse = |text: &str, reason: Reason| FeedPosition::parse(text).map(FeedStart::After).ok_or(reason);
    let start = match (page.cursor.as_deref().filter(|cursor| !cursor.is_empty()), filter.since.as_deref()) {
        (Some(cursor), _) => parse(cursor, Reason::CursorNotIssued)?,
        (None, Some(since)) => parse(since, Reason::PositionInvalid)?,
        (None, None) => FeedStart::Oldest,
    };
    let scope = allowed.account_scope();
    let matches_nothing = filter.account.as_deref().is_some_and(|account| !scope.covers_id(account));
    let query = EventsQuery {
        account: scope.filter(filter.account),
        configuration: filter.configuration,
        kinds: Some(vec!["user.deleted", "group.deleted"]),
        hides_operator_events: false,
        matches_nothing,
    };
    let read = move |at: &Snapshot<'_>| {
        let account = query.account.map(|account| account_scope::resolve_filter(at, account)).transpose()?;
        render_deletions(at, feed::read_page(at, &EventsQuery { account, ..query }, start, limit)?)
    };
    Ok(rendered_response(call.read(read).await?))
}

fn render_deletions(at: &Snapshot<'_>, page: FeedPage) -> Result<Vec<u8>, Error> {
    match page {
        FeedPage::Found { events, next_after, has_more } => render_json(&PositionedPage {
            items: feed::remove_reversed_deletions(at, events)?.into_iter().map(DeletionResponse::from).collect(),
            next_cursor: has_more.then(|| next_after.to_string()),
            position: Some(next_after.to_string()),
        }),
        FeedPage::Refused { reason, restart_from } => Err(reason.with("restartFrom", restart_from)),
    }
}
