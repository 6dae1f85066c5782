//! What needs the attention of an admin: one sentence and one action each, worst first.

use actix_web::web::Data;

use crate::clock::Millis;
use crate::diagnosis::connection_status::{ConnectionStatus, format_until};
use crate::doctor::{self, Finding, Severity};
use crate::error::Result;
use crate::management::overview::ConfigurationOverview;
use crate::management::tokens;
use crate::model::audit_context::AccountScope;
use crate::model::permission::Permission;
use crate::store::Snapshot;
use crate::web::portal::connections::hold::HoldAlerts;
use crate::web::portal::connections::secret_alerts::SecretAlerts;
use crate::web::portal::settings::doctor::running_state;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::webhooks::alerts::{WebhookAlertLine, WebhookAlerts};
use crate::web::state::AppState;

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Tokens that expire within this time are on the page.
const TOKEN_WARNING: Millis = 30 * DAY;
/// From this time on, the expiry is urgent.
const TOKEN_URGENT: Millis = 7 * DAY;
/// A new connection whose requests are rejected is on the page until this time after the last one.
const REJECTED_FOR: Millis = 7 * DAY;
/// A connection that was never used is on the page after this time.
const UNUSED_AFTER: Millis = 7 * DAY;

/// What the items are read from.
pub(super) struct AttentionSources<'a> {
    pub(super) at: &'a Snapshot<'a>,
    pub(super) scope: &'a AccountScope,
    pub(super) signed: &'a SignedIn,
    pub(super) state: &'a Data<AppState>,
    pub(super) all: &'a [ConfigurationOverview],
    pub(super) now: Millis,
}

/// How urgent an item is: the order on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    ServerProblem,
    Held,
    Failing,
    Rejected,
    Undelivered,
    Expired,
    ExpiresSoon,
    Quiet,
    Expires,
    ServerWarning,
    Unused,
}

/// One item.
#[derive(Debug)]
pub(super) struct AttentionItem {
    urgency: Urgency,
    /// Class of the mark: a key of a connection status, or one of the notices.
    pub(super) class: &'static str,
    /// Text of the mark.
    pub(super) mark: &'static str,
    pub(super) title: String,
    /// Text after the title, such as the provider.
    pub(super) subtitle: String,
    pub(super) sentence: String,
    /// Text and path of the action.
    pub(super) action: Option<(&'static str, String)>,
}

impl AttentionItem {
    /// Whether it is a finding about the server.
    pub(super) fn is_about_server(&self) -> bool {
        matches!(self.urgency, Urgency::ServerProblem | Urgency::ServerWarning)
    }
}

/// Lists all items, worst first.
pub(super) fn list_attention_items(sources: &AttentionSources<'_>) -> Result<Vec<AttentionItem>> {
    let mut items = list_server_items(sources);
    items.extend(list_connection_items(sources)?);
    items.extend(list_webhook_items(sources)?);
    items.extend(list_expiring_items(sources)?);
    items.extend(find_unused_item(sources));
    items.sort_by(|one, other| (one.urgency, &one.title).cmp(&(other.urgency, &other.title)));
    Ok(items)
}

/// Findings about the server, for admins who may manage it.
fn list_server_items(sources: &AttentionSources<'_>) -> Vec<AttentionItem> {
    if !sources.signed.may_manage_server() {
        return Vec::new();
    }
    let state = sources.state;
    let found = doctor::list_home_findings(
        &state.server.settings,
        &state.store,
        &running_state(state),
        (&state.server.public_url(), sources.now),
    );
    let item = |finding: Finding| {
        let is_problem = finding.grade == Severity::Problem;
        let next = finding.next_step.map(|next| format!(" {next}")).unwrap_or_default();
        AttentionItem {
            urgency: if is_problem { Urgency::ServerProblem } else { Urgency::ServerWarning },
            class: if is_problem { "failing" } else { "quiet" },
            mark: texts::home::SERVER,
            title: finding.subject.to_owned(),
            subtitle: String::new(),
            sentence: format!("{}{next}", finding.message),
            action: Some((texts::home::DETAILS, "/settings/doctor".to_owned())),
        }
    };
    found.into_iter().map(item).collect()
}

/// Connections that fail, are held, send nothing, or whose first requests are rejected.
fn list_connection_items(sources: &AttentionSources<'_>) -> Result<Vec<AttentionItem>> {
    let held = HoldAlerts::read(sources.at, sources.scope, sources.all)?;
    let mut items: Vec<AttentionItem> = held
        .lines
        .into_iter()
        .map(|line| AttentionItem {
            urgency: Urgency::Held,
            class: "held",
            mark: texts::home::HELD,
            title: line.name,
            subtitle: String::new(),
            sentence: texts::home::describe_hold(&line.sentence),
            action: Some((texts::home::DECIDE, format!("/connections/{}/hold", line.id))),
        })
        .collect();
    for one in sources.all {
        let is_rejected = one.attempt.is_some_and(|attempt| sources.now - attempt.at < REJECTED_FOR);
        let (urgency, mark) = match one.status {
            ConnectionStatus::Failing => (Urgency::Failing, one.status.label()),
            ConnectionStatus::Quiet => (Urgency::Quiet, one.status.label()),
            ConnectionStatus::Waiting if is_rejected => (Urgency::Rejected, texts::labels::REJECTED),
            _ => continue,
        };
        let path = format!("/connections/{}", one.configuration.id);
        items.push(AttentionItem {
            urgency,
            class: if urgency == Urgency::Rejected { "failing" } else { one.status.key() },
            mark,
            title: one.configuration.connection_name.clone(),
            subtitle: format!("{} · {}", one.account_name, one.provider.name),
            sentence: one.describe_status(sources.now),
            action: Some((texts::labels::OPEN, path)),
        });
    }
    Ok(items)
}

fn list_webhook_items(sources: &AttentionSources<'_>) -> Result<Vec<AttentionItem>> {
    let alerts = WebhookAlerts::read(sources.at, sources.signed, sources.scope, sources.now)?;
    let item = |line: WebhookAlertLine| AttentionItem {
        urgency: Urgency::Undelivered,
        class: "failing",
        mark: texts::labels::WEBHOOK,
        action: Some((if line.is_stopped { texts::home::RESUME } else { texts::labels::OPEN }, line.lane_path())),
        title: line.webhook_name,
        subtitle: texts::home::EVENTS_NOT_DELIVERED.to_owned(),
        sentence: texts::home::add_last_error(&line.sentence, &line.last_error),
    };
    Ok(alerts.lines.into_iter().map(item).collect())
}

/// Tokens and client secrets that expire.
fn list_expiring_items(sources: &AttentionSources<'_>) -> Result<Vec<AttentionItem>> {
    let now = sources.now;
    let may_replace = sources.signed.permissions.contains(Permission::ProvisioningTokens);
    let filter = sources.scope.filter(None);
    let expiring = tokens::list_expiring_tokens(sources.at, filter.as_ref(), (now, now + TOKEN_WARNING))?;
    let mut items: Vec<AttentionItem> = expiring
        .into_iter()
        .map(|token| {
            let is_urgent = token.expires_at - now <= TOKEN_URGENT;
            let path = format!("/connections/{}/tokens", token.configuration_id);
            AttentionItem {
                urgency: if is_urgent { Urgency::ExpiresSoon } else { Urgency::Expires },
                class: if is_urgent { "failing" } else { "quiet" },
                mark: texts::labels::TOKEN,
                title: token.connection_name,
                subtitle: token.label,
                sentence: texts::home::say_token_expires(&format_until(token.expires_at, now)),
                action: Some((if may_replace { texts::home::REPLACE } else { texts::labels::OPEN }, path)),
            }
        })
        .collect();
    for line in SecretAlerts::read(sources.at, sources.scope, now)?.lines {
        items.push(AttentionItem {
            urgency: if line.has_ended() { Urgency::Expired } else { Urgency::Expires },
            class: if line.has_ended() { "failing" } else { "quiet" },
            mark: texts::labels::SECRET,
            action: may_replace.then(|| (texts::home::REPLACE, line.client_path())),
            title: line.connection_name().to_owned(),
            subtitle: String::new(),
            sentence: line.sentence,
        });
    }
    Ok(items)
}

/// The connections that were created long ago and never used, as one item.
fn find_unused_item(sources: &AttentionSources<'_>) -> Option<AttentionItem> {
    let is_unused = |one: &&ConfigurationOverview| {
        one.status == ConnectionStatus::Waiting && sources.now - one.configuration.created_at > UNUSED_AFTER
    };
    let count = sources.all.iter().filter(is_unused).count();
    if count == 0 {
        return None;
    }
    let (title, sentence) = texts::home::describe_unused(count);
    Some(AttentionItem {
        urgency: Urgency::Unused,
        class: ConnectionStatus::Waiting.key(),
        mark: ConnectionStatus::Waiting.label(),
        title,
        subtitle: String::new(),
        sentence: sentence.to_owned(),
        action: Some((texts::home::REVIEW, format!("/connections?state={}", ConnectionStatus::Waiting.key()))),
    })
}
