//! The home page: the states of the connections, what needs attention, the latest changes, and the requests of the last day.

mod attention;
mod your_app;

pub(super) use self::your_app::{send_test_event, show_your_app};

use askama::Template;

use crate::clock::{self, Millis};
use crate::diagnosis::connection_status::ConnectionStatus;
use crate::error::Result;
use crate::management::admins;
use crate::management::overview::{self, ConfigurationOverview, OverviewQuery};
use crate::management::request_log::{self, RequestLogQuery};
use crate::management::webhooks;
use crate::model::audit_context::AccountScope;
use crate::model::permission::Permission;
use crate::model::request::LoggedCall;
use crate::provisioning::delivery;
use crate::store::Snapshot;
use crate::web::navigation_badges::NavigationBadges;
use crate::web::portal::connections::log_view::{CallLine, CallView, LogReader, mark_days};
use crate::web::portal::connections::traffic_chart::TrafficChart;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::home::attention::{AttentionItem, AttentionSources, list_attention_items};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::AnyAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::public_url::is_https;

/// Changes on the page.
const CHANGES_MAX: usize = 8;
/// Connections whose requests are read for the latest changes: those that changed something last.
const CHANGING_CONNECTIONS_MAX: usize = 8;
/// Requests that are read of each of them.
const REQUESTS_PER_CONNECTION: u32 = 40;
/// Most changes that are read to fill the page. Repeated ones are one line.
const READ_MAX: usize = 60;
/// For this time after a request, or after a connection was created, the page is updated more often.
const BUSY_FOR: Millis = 15 * 60 * 1000;
/// How often the page is updated then, and otherwise.
const BUSY_REFRESH_SECONDS: u32 = 5;
const IDLE_REFRESH_SECONDS: u32 = 60;
/// Items that need attention on the page.
const ITEMS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "portal/home.html")]
struct HomePage {
    layout: PageLayout,
    states: Vec<(ConnectionStatus, usize)>,
    items: Vec<AttentionItem>,
    /// Items that are not on the page.
    more_items: usize,
    changes: Vec<LatestChange>,
    sees_requests: bool,
    traffic: TrafficChart,
    /// When the page was read.
    updated: PageTime,
    /// Empty unless the admin may manage the server.
    steps: Vec<ProductionStep>,
}

impl HomePage {
    fn is_empty(&self) -> bool {
        self.states.iter().all(|(_, count)| *count == 0)
    }

    fn steps_done(&self) -> usize {
        self.steps.iter().filter(|step| step.is_done).count()
    }
}

/// A request that changed something, or was rejected, with its connection.
struct LatestChange {
    line: CallLine,
    connection: String,
    account: String,
}

/// `GET /`: the home page, or the first page that an admin without access to connections may open.
pub(super) async fn show_home(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let may = |permission| admin.signed.permissions.contains(permission);
    if !may(Permission::ProvisioningRead) {
        let path = if admin.signed.sees_webhooks {
            "/webhooks"
        } else if may(Permission::RequestsRead) {
            "/requests"
        } else if may(Permission::DirectoryRead) {
            "/find"
        } else if may(Permission::AuditRead) {
            "/audit"
        } else {
            "/profile"
        };
        return Ok(redirect_to(path).finish());
    }
    let (state, signed, scope) = (page_request.state.clone(), admin.signed.clone(), admin.context.scope);
    let page = page_request.read(move |at| {
        let now = clock::current_millis();
        let all = overview::list_overviews(at, &scope, &OverviewQuery::default(), now)?;
        let sources = AttentionSources { at, scope: &scope, signed: &signed, state: &state, all: &all, now };
        let mut items = list_attention_items(&sources)?;
        let states = overview::count_states(&all);
        let mut badges = signed.badges;
        if signed.may_manage_server() {
            let count = |of| states.iter().find(|(status, _)| *status == of).map_or(0, |(_, count)| *count);
            let failing = count(ConnectionStatus::Failing) + count(ConnectionStatus::Held);
            let findings = items.iter().filter(|item| item.is_about_server()).count();
            badges = NavigationBadges { failing, findings };
            state.badges.set(now, badges);
        }
        let more_items = items.len().saturating_sub(ITEMS_MAX);
        items.truncate(ITEMS_MAX);
        let sees_requests = signed.permissions.contains(Permission::RequestsRead);
        let reader = LogReader::new(&signed, &state.server.public_url());
        let mut changes = if sees_requests { list_latest_changes(at, &scope, reader, &all)? } else { Vec::new() };
        mark_days(changes.iter_mut().map(|change| &mut change.line), &signed.zone());
        Ok(HomePage {
            states,
            items,
            more_items,
            changes,
            sees_requests,
            traffic: TrafficChart::of_scope(at, &scope, now)?,
            updated: PageTime::from_millis(now),
            steps: if signed.may_manage_server() { list_steps(&sources)? } else { Vec::new() },
            layout: PageLayout { refresh: choose_refresh(&all, now), ..build_layout(&signed, badges) },
        })
    });
    Ok(render_page(200, &page.await?))
}

/// The layout with the badges as this page has counted them.
fn build_layout(signed: &SignedIn, badges: NavigationBadges) -> PageLayout {
    let mut signed = signed.clone();
    signed.badges = badges;
    PageLayout::new(texts::home::HOME, Some(&signed), NavigationEntry::Home)
}

/// The interval in seconds at which the page is updated; `None` without connections, whose requests it waits for.
fn choose_refresh(all: &[ConfigurationOverview], now: Millis) -> Option<u32> {
    let is_recent = |at: Millis| now - at < BUSY_FOR;
    let is_busy = |one: &ConfigurationOverview| {
        let attempt = one.attempt.is_some_and(|attempt| is_recent(attempt.at));
        attempt || is_recent(one.configuration.created_at) || one.configuration.last_seen.is_some_and(is_recent)
    };
    if all.is_empty() {
        return None;
    }
    Some(if all.iter().any(is_busy) { BUSY_REFRESH_SECONDS } else { IDLE_REFRESH_SECONDS })
}

/// The newest requests over all connections that changed something or were rejected.
fn list_latest_changes(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    reader: LogReader,
    all: &[ConfigurationOverview],
) -> Result<Vec<LatestChange>> {
    let mut active: Vec<(Millis, &ConfigurationOverview)> =
        all.iter().filter_map(|one| Some((one.configuration.last_seen?, one))).collect();
    active.sort_by_key(|(last_seen, _)| std::cmp::Reverse(*last_seen));
    let mut found = Vec::new();
    for (_, one) in active.into_iter().take(CHANGING_CONNECTIONS_MAX) {
        let (id, key) = (&one.configuration.id, one.configuration.key);
        let query = RequestLogQuery::default();
        let page = request_log::list_calls(at, scope, id, &query, REQUESTS_PER_CONNECTION)?;
        let changes =
            page.calls.into_iter().filter(|call| call.missed == 0 && (call.failed || is_change(&call.method)));
        found.extend(changes.map(|call| (call, one, key)));
        at.renew_if_due()?;
    }
    found.sort_by(|(one, ..), (other, ..)| other.id.cmp(&one.id));
    let read = |(call, one, key): (LoggedCall, &ConfigurationOverview, i64)| -> Result<Option<LatestChange>> {
        let id = &one.configuration.id;
        let call = request_log::find_call(at, scope, id, &call.id).unwrap_or(call);
        let view = CallView::read(at, reader, key, id, call)?;
        Ok((!view.left_unchanged()).then(|| LatestChange {
            line: view.line(),
            connection: one.configuration.connection_name.clone(),
            account: one.account_name.clone(),
        }))
    };
    let mut changes: Vec<LatestChange> = Vec::new();
    for change in found.into_iter().take(READ_MAX).map(read) {
        let Some(change) = change? else { continue };
        if let Some(last) = changes.last_mut().filter(|last| last.line.is_repeated_by(&change.line)) {
            last.line.times += 1;
            continue;
        }
        if changes.len() == CHANGES_MAX {
            break;
        }
        changes.push(change);
    }
    Ok(changes)
}

fn is_change(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// What a new server needs before customers use it: one step.
#[derive(Debug)]
struct ProductionStep {
    is_done: bool,
    text: &'static str,
    path: &'static str,
}

/// Lists the steps in the order in which they are useful.
fn list_steps(sources: &AttentionSources<'_>) -> Result<Vec<ProductionStep>> {
    let state = sources.state;
    let is_read = delivery::has_readers(sources.at)? || !webhooks::list_webhooks(sources.at, sources.scope)?.is_empty();
    let step = |is_done, text, path| ProductionStep { is_done, text, path };
    Ok(vec![
        step(!sources.all.is_empty(), texts::labels::ADD_CONNECTION, "/connections/new"),
        step(sources.all.iter().any(|one| one.users > 0), texts::home::RECEIVE_FIRST_USER, "/connections"),
        step(is_read, texts::home::READ_EVENTS, "/app"),
        step(is_https(&state.server.public_url()), texts::home::SET_PUBLIC_URL, "/settings/server"),
        step(state.server.settings.backups.is_some(), texts::home::SCHEDULE_BACKUPS, "/settings/backup"),
        step(admins::count_active_owners(sources.at)? > 1, texts::home::ADD_SECOND_OWNER, "/settings/people/new"),
    ])
}
