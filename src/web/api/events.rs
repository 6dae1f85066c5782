//! The event feed.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Create, Directory, authorize_again};
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::accounts::account_scope;
use crate::management::configurations;
use crate::model::event::{Event, PUBLISHED_KINDS, parse_kinds};
use crate::model::event_form::EventForm;
use crate::provisioning::feed::{self, EventsQuery, FeedPage, FeedPosition, FeedStart as Start};
use crate::store::{Snapshot, Tx, WorkOwner};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{
    ApiError, ApiErrorBody, ApiResult, ReadErrors, WriteErrors, render_json, rendered_response,
};
use crate::web::blocking::read_blocking;
use crate::web::request_owner::find_request_owner;
use crate::web::state::AppState;

/// Default number of events on a page.
const LIMIT_DEFAULT: u32 = 100;
/// Maximum number of events on a page.
const LIMIT_MAX: u32 = 1_000;
/// Maximum time to wait for an event, in seconds.
pub(crate) const WAIT_MAX: u32 = 30;
/// Delay between a commit and the next query. It limits the cost of many waiting clients under load.
const POLL_DELAY: Duration = Duration::from_millis(50);

/// The requested part of the feed
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FeedQuery {
    /// `nextAfter` of the previous page. If absent, the feed begins with the oldest stored event. `latest` returns the
    /// current end of the feed. Numbers, the positions of earlier versions, are still accepted
    #[param(pattern = "^([0-9]+|latest|A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048])$")]
    after: Option<String>,
    /// Maximum number of events on the page; default 100
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only events of this account
    account: Option<String>,
    /// Only events of this configuration, which may be deleted
    configuration: Option<String>,
    /// Only events of these kinds, separated by commas; `user.*` is all kinds of users
    #[param(
        pattern = "^(user\\.(\\*|created|updated|deactivated|reactivated|deleted|restored)|group\\.(\\*|created|updated|deleted|restored|member_added|member_removed)|configuration\\.(\\*|created|updated|deleted))(,(user\\.(\\*|created|updated|deactivated|reactivated|deleted|restored)|group\\.(\\*|created|updated|deleted|restored|member_added|member_removed)|configuration\\.(\\*|created|updated|deleted)))*$"
    )]
    kind: Option<String>,
    /// Seconds to wait for an event if there is none
    #[param(minimum = 0, maximum = 30)]
    wait: Option<u32>,
}

impl FeedQuery {
    fn start(&self) -> Result<Start, ApiError> {
        match self.after.as_deref() {
            None => Ok(Start::Oldest),
            Some("latest") => Ok(Start::End),
            Some(text) => match FeedPosition::parse(text) {
                Some(position) => Ok(Start::After(position)),
                None => Err(Reason::EventPositionInvalid.into()),
            },
        }
    }

    fn limit(&self) -> Result<u32, ApiError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let is_valid = (1..=LIMIT_MAX).contains(&limit);
        is_valid
            .then_some(limit)
            .ok_or_else(|| Reason::NumberOutOfRange.on_field("limit").with("min", 1).with("max", LIMIT_MAX).into())
    }

    fn wait(&self) -> Result<Duration, ApiError> {
        let seconds = self.wait.unwrap_or(0);
        let is_valid = seconds <= WAIT_MAX;
        let wait = is_valid.then(|| Duration::from_secs(seconds.into()));
        wait.ok_or_else(|| Reason::SecondsOutOfRange.on_field("wait").with("min", 0).with("max", WAIT_MAX).into())
    }

    fn kinds(&self) -> Result<Option<Vec<&'static str>>, ApiError> {
        let kinds = self.kind.as_deref().map(parse_kinds).transpose();
        kinds.map_err(|_| Reason::EventKindUnknown.with("kinds", PUBLISHED_KINDS.join(", ")).into())
    }

    /// Returns the query of the feed. It matches nothing if the requested account is not in the account scope of the call.
    fn into_query(self, allowed: &AllowedCaller<Directory>) -> EventsQuery {
        let scope = &allowed.context.scope;
        let is_in_scope = self.account.as_deref().is_none_or(|account| scope.covers_id(account));
        let account = scope.filter(self.account);
        EventsQuery {
            account,
            configuration: self.configuration,
            kinds: None,
            hides_operator_events: !allowed.is_operator,
            matches_nothing: !is_in_scope,
        }
    }
}

/// An event; `event_schemas` describes it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct EventResponse(EventForm);

impl TryFrom<Event> for EventResponse {
    type Error = Error;

    fn try_from(event: Event) -> Result<Self, Error> {
        EventForm::try_from(event).map(Self)
    }
}

/// A page of the feed
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventPage {
    /// Oldest first
    events: Vec<EventResponse>,
    /// Value of `after` for the next page; it also advances if no event matched. An opaque text: do not parse or compare it
    next_after: String,
    /// Whether more events exist; if true, request the next page immediately
    has_more: bool,
}

/// List events
///
/// Changes of users, groups and configurations, in the order of commits, each exactly once. After you have processed a
/// page, store its `nextAfter` and send it as `after` of the next request. With `wait`, the response is sent as soon as
/// there is an event. With a filter, a page may be empty while `hasMore` is true: continue with its `nextAfter`.
///
/// While a configuration is paused (`syncToUserManagement` is false), the feed has no events for its users and groups.
/// The same holds while a configuration is held, because its identity provider removed much at once, until an admin decides.
/// When it is resumed, the difference is published: deleted users and groups, each after its removed memberships; then new
/// or changed users, then groups, then memberships. An update that removes a manager may follow the deletion of that
/// manager.
///
/// The `deleted` events of a purge only contain ids, groups before users, and there are no events for the removed
/// memberships: remove them together with the group or the member. Earlier events of the purged users are redacted.
///
/// After an account has moved to another instance, its consumers continue there with the positions of the old instance: requests with
/// `account` accept them. A feed of all accounts does not contain the events from before an import, because the feed of the other
/// instance has them.
///
/// Events are stored for 90 days. If `after` is older, newer than a restored backup, newer than the newest event, or of
/// another database, the response is 410. Read all users and groups of the account again, then continue with its
/// `restartFrom`. A new consumer requests `after=latest` first, then reads all users and groups, and continues with that
/// `nextAfter`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/events",
    tag = "Events",
    params(FeedQuery),
    responses(
        (status = 200, description = "Events", body = EventPage),
        (status = 410, description = "`after` cannot be continued: the events have expired, a restored backup does not contain them, or it is not a position of this feed.", body = ApiErrorBody),
        ReadErrors
    )
)]
pub(super) async fn list_events(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let query = call.query::<FeedQuery>()?;
    let (start, limit, wait) = (query.start()?, query.limit()?, query.wait()?);
    let filter = resolve_query(&call, &allowed, query)?;
    let start = match start {
        Start::After(position) => Start::After(call.read_inline(|at| feed::translate_position(at, &filter, position))?),
        start => start,
    };
    if let Start::After(position) = start
        && call.read_inline(|at| feed::is_valid_position(at, &filter, position))?
    {
        call.state.usage.feeds.record(&filter, position.seq(), clock::current_millis());
    }
    let owner = find_request_owner(&call.request);
    let poll = EventPoll { owner, filter, limit, wait };
    let mut page = poll_events(&call.state, &poll, start).await?;
    if !wait.is_zero() {
        // During the wait, the credential can have ended, and another account can have got the id.
        let allowed = authorize_again::<Directory>(&call.request).await?;
        let filter = resolve_query(&call, &allowed, call.query::<FeedQuery>()?)?;
        if filter.account != poll.filter.account {
            page = poll_events(&call.state, &EventPoll { filter, wait: Duration::ZERO, ..poll }, start).await?;
        }
    }
    match page {
        RenderedFeed::Found { text, .. } => Ok(rendered_response(text)),
        RenderedFeed::Refused { reason, restart_from } => Err(reason.with("restartFrom", restart_from).into()),
    }
}

/// Returns what a request selects from the feed, with the account that has the requested id now.
fn resolve_query(
    call: &ApiRequest,
    allowed: &AllowedCaller<Directory>,
    query: FeedQuery,
) -> Result<EventsQuery, ApiError> {
    let kinds = query.kinds()?;
    let mut filter = EventsQuery { kinds, ..query.into_query(allowed) };
    if let Some(account) = filter.account.take() {
        filter.account = Some(call.read_inline(|at| account_scope::resolve_filter(at, account))?);
    }
    call.read_inline(|at| feed::check_readable(at, &filter))?;
    Ok(filter)
}

/// Get an event
///
/// As in the list of events.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/events/{seq}",
    tag = "Events",
    params(("seq" = i64, Path, description = "`seq` of the event", minimum = 1)),
    responses((status = 200, description = "The event", body = EventResponse), ReadErrors)
)]
pub(super) async fn get_event(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let seq: i64 = call.path_parameter("seq").parse().map_err(|_| Reason::EventNotFound)?;
    let query = FeedQuery::default().into_query(&allowed);
    let read = move |at: &Snapshot<'_>| {
        let account = query.account.map(|account| account_scope::resolve_filter(at, account)).transpose()?;
        let found = feed::find_event(at, &EventsQuery { account, ..query }, seq)?;
        render_json(&EventResponse::try_from(found.ok_or(Reason::EventNotFound)?)?)
    };
    Ok(rendered_response(call.read(read).await?))
}

/// A page of the feed, rendered off the event loop.
enum RenderedFeed {
    Found {
        text: Vec<u8>,
        next_after: FeedPosition,
        /// Whether there are no events on the page and none after it.
        is_at_end: bool,
    },
    Refused {
        reason: Reason,
        restart_from: FeedPosition,
    },
}

fn render_feed(page: FeedPage) -> Result<RenderedFeed, Error> {
    match page {
        FeedPage::Found { events, next_after, has_more } => {
            let is_at_end = events.is_empty() && !has_more;
            let events = events.into_iter().map(EventResponse::try_from).collect::<Result<_, Error>>()?;
            let text = render_json(&EventPage { events, next_after: next_after.to_string(), has_more })?;
            Ok(RenderedFeed::Found { text, next_after, is_at_end })
        }
        FeedPage::Refused { reason, restart_from } => Ok(RenderedFeed::Refused { reason, restart_from }),
    }
}

/// A request for events that may wait.
struct EventPoll {
    owner: WorkOwner,
    filter: EventsQuery,
    limit: u32,
    wait: Duration,
}

/// Returns the page as soon as it has an event, the wait is over, or the server stops.
async fn poll_events(state: &AppState, poll: &EventPoll, start: Start) -> Result<RenderedFeed, Error> {
    let EventPoll { owner, ref filter, limit, wait } = *poll;
    // Subscribe before the first query, so that no commit in between is missed.
    let mut commits = state.store.subscribe_to_events();
    let mut stopping = state.server.stopping.subscribe();
    let deadline = Instant::now() + wait;
    let mut start = start;
    loop {
        commits.mark_unchanged();
        let query = filter.clone();
        let read = move |at: &Snapshot<'_>| {
            let account = query.account.map(|account| account_scope::resolve_filter(at, account)).transpose()?;
            render_feed(feed::read_page(at, &EventsQuery { account, ..query }, start, limit)?)
        };
        let page = read_blocking(&state.store, owner, read).await?;
        let RenderedFeed::Found { next_after, is_at_end: true, .. } = &page else { return Ok(page) };
        if Instant::now() >= deadline {
            return Ok(page);
        }
        start = Start::After(*next_after);
        tokio::select! {
            () = sleep_until(deadline) => {}
            _ = commits.changed() => sleep(POLL_DELAY.min(deadline - Instant::now())).await,
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(page),
        }
    }
}
/// A test event
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestEvent {
    /// Number of the event
    #[schema(minimum = 1)]
    seq: i64,
}

/// Send a test event
///
/// Adds an event of the kind `configuration.tested` to the feed and to webhooks. It reports no change. At most one in 10 seconds
/// for each account.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/test-event",
    tag = "Events",
    responses((status = 201, description = "The test event", body = TestEvent), WriteErrors)
)]
pub(super) async fn send_test_event(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let send = move |tx: &Tx<'_>| configurations::send_test_event(tx, &context, &id);
    write_and_respond(&call, StatusCode::CREATED, send, |seq| TestEvent { seq }).await
}
