//! The event feed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, Problem, ReadRefusals, Refusal, document};
use super::call::{Call, read_aside};
use super::caller::{Allowed, Directory};
use crate::clock;
use crate::directory::feed::{self, From as Start, Page};
use crate::error::Error;
use crate::model::actor::Reach;
use crate::model::event::{Event, resource_type};
use crate::store::events::Wanted;
use crate::web::state::State;

/// Events on a page where nobody says otherwise.
const LIMIT_DEFAULT: u32 = 100;
/// Most events on a page.
const LIMIT_MAX: u32 = 1_000;
/// Longest wait for an event, in seconds.
const WAIT_MAX: u32 = 30;
/// After a commit that brought nothing wanted, how long until the next look: many who wait cost little under load.
const PAUSE: Duration = Duration::from_millis(50);

/// Which part of the feed is wanted
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FeedQuery {
    /// `nextAfter` of the page before. Without it the feed begins with the oldest event that is kept; `latest` tells
    /// where it ends now
    #[param(pattern = "^([0-9]{1,18}|latest)$")]
    after: Option<String>,
    /// Events on the page, 100 without it
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only events of this account
    account: Option<String>,
    /// Only events of this configuration, which may be deleted
    configuration: Option<String>,
    /// Seconds to wait for an event where there is none
    #[param(minimum = 0, maximum = 30)]
    wait: Option<u32>,
}

impl FeedQuery {
    fn start(&self) -> Result<Start, Refusal> {
        let is_number = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        match self.after.as_deref() {
            None => Ok(Start::Oldest),
            Some("latest") => Ok(Start::End),
            Some(text) => text.parse().ok().filter(|_| is_number(text)).map(Start::After).ok_or_else(|| {
                Refusal::bad("after must be the nextAfter of the page before, or latest to learn where the feed ends")
            }),
        }
    }

    fn limit(&self) -> Result<u32, Refusal> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let is_right = (1..=LIMIT_MAX).contains(&limit);
        is_right.then_some(limit).ok_or_else(|| Refusal::bad(format!("limit must be a number from 1 to {LIMIT_MAX}")))
    }

    fn wait(&self) -> Result<Duration, Refusal> {
        let seconds = self.wait.unwrap_or(0);
        let is_right = seconds <= WAIT_MAX;
        let wait = is_right.then(|| Duration::from_secs(seconds.into()));
        wait.ok_or_else(|| Refusal::bad(format!("wait must be a number of seconds from 0 to {WAIT_MAX}")))
    }

    /// Of another account than the caller's there is nothing.
    fn wanted(self, reach: &Reach) -> Wanted {
        let is_within = self.account.as_deref().is_none_or(|account| reach.covers(account));
        let account = self.account.or_else(|| reach.account().map(str::to_owned));
        Wanted { account, configuration: self.configuration, nothing: !is_within }
    }
}

/// A fact about a user, a group or a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub(super) struct Shown {
    /// Its place in the order of commits; grows, with gaps
    #[schema(minimum = 1)]
    seq: i64,
    /// `user.created`, `.updated`, `.deactivated`, `.reactivated`, `.deleted`, `group.created`, `.updated`, `.deleted`,
    /// `.member_added`, `.member_removed`, `configuration.created`, `.updated`, `.deleted`
    kind: String,
    account_id: String,
    #[schema(required)]
    configuration_id: Option<String>,
    /// `User`, `Group`, or null where the configuration itself is meant
    #[schema(required)]
    resource_type: Option<String>,
    #[schema(required)]
    resource_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// `after` of what is new; `changed` paths with their `before` and `after`; `before` of what is gone; `members` that
    /// came or went, by `value` and `type`. `purged` or `redacted` where the people's data was removed for good
    #[schema(value_type = Object)]
    data: Value,
}

impl TryFrom<Event> for Shown {
    type Error = Error;

    fn try_from(event: Event) -> Result<Self, Error> {
        let data = serde_json::from_str(&event.payload);
        let data = data.map_err(|problem| Error::Database(format!("payload of event {}: {problem}", event.seq)))?;
        let resource_type = event.resource_id.as_ref().map(|_| resource_type(&event.kind));
        Ok(Self {
            seq: event.seq,
            account_id: event.account,
            configuration_id: event.configuration_id,
            resource_type,
            kind: event.kind,
            resource_id: event.resource_id,
            created_at: clock::rfc3339(event.created_at),
            data,
        })
    }
}

/// A page of the feed
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventPage {
    /// Oldest first
    events: Vec<Shown>,
    /// What to ask for as `after` next; moves on also where nothing was found
    #[schema(minimum = 0)]
    next_after: i64,
    /// Whether there is more already: then ask again at once
    has_more: bool,
}

/// The event feed
///
/// What happened to users, groups and configurations, in the order of commits, each event once. Keep `nextAfter` when
/// the events of a page have been dealt with, and ask with it again; with `wait` the answer comes as soon as there is an
/// event. A filter may leave a page empty while `hasMore` is true: go on from its `nextAfter`.
///
/// While a configuration is paused (`syncToUserManagement` is false) nothing of its users and groups appears. Afterwards
/// the difference does: users and groups that are gone, each after the memberships it had; then users that are new or
/// changed, then groups, then memberships. An update that takes a manager off may follow the deletion of that manager.
///
/// A purge tells who is gone by id alone, groups before users, and no memberships: drop them with their group or member.
/// What earlier events said of those people is redacted.
///
/// Events are kept for 90 days. Who comes later gets 410, and so does who has read events that a restored backup does
/// not know: ask with `after=latest`, read the users and groups of the
/// account anew, and go on from that `nextAfter`. The same serves a consumer that starts.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/events",
    tag = "Events",
    operation_id = "listEvents",
    params(FeedQuery, ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses(
        (status = 200, description = "Events", body = EventPage),
        (status = 410, description = "Events behind `after` are not kept any more, or a restored backup does not know them.", body = Problem),
        ReadRefusals
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Directory>, call: Call) -> Answered {
    let query = call.query::<FeedQuery>()?;
    let (start, limit, wait) = (query.start()?, query.limit()?, query.wait()?);
    let wanted = query.wanted(&allowed.by.reach);
    if let Start::After(after) = start {
        call.state.feed_use.note(&wanted, after, clock::now());
    }
    match poll(&call.state, wanted, start, limit, wait).await? {
        Page::Found { events, next_after, has_more } => {
            let events = events.into_iter().map(Shown::try_from).collect::<Result<_, Error>>()?;
            Ok(document(&EventPage { events, next_after, has_more }))
        }
        Page::Expired { end } => Err(Refusal::new(
            410,
            format!(
                "events behind that place are not kept any more, or a restored backup does not know them: read the users and groups of the account anew, then go \
                 on with after={end}"
            ),
        )),
    }
}

/// The page, as soon as it has something or is not worth waiting for any longer.
async fn poll(state: &State, wanted: Wanted, start: Start, limit: u32, wait: Duration) -> Result<Page, Error> {
    // Before the first look, so that a commit between the two is not missed.
    let mut commits = state.store.events();
    let mut stopping = state.stopping.subscribe();
    let deadline = Instant::now() + wait;
    let mut start = start;
    loop {
        commits.mark_unchanged();
        let asked = wanted.clone();
        let page = read_aside(state, move |at| feed::page(at, &asked, start, limit)).await?;
        let Page::Found { events, next_after, has_more: false } = &page else { return Ok(page) };
        if !events.is_empty() || Instant::now() >= deadline {
            return Ok(page);
        }
        start = Start::After(*next_after);
        tokio::select! {
            () = sleep_until(deadline) => {}
            _ = commits.changed() => sleep(PAUSE.min(deadline - Instant::now())).await,
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(page),
        }
    }
}
