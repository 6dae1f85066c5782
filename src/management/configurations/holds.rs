//! The hold on mass removals: its state, and the decision of an admin about it.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::clock::{Millis, format_rfc3339};
use crate::error::{Reason, Result};
use crate::log;
use crate::management::configurations::{append_audit_entry, append_event, find_configuration};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::Configuration;
use crate::model::event::EventAction;
use crate::model::hold::{self, HoldChanges, HoldDecision, HoldSettings};
use crate::named_enum::named_enum;
use crate::provisioning::catch_up::{self, PendingCatchUp};
use crate::provisioning::safety_net::rejections;
use crate::scim::fold;
use crate::store::tables::audit::NewAuditEntry;
use crate::store::tables::holds as rows;
pub use crate::store::tables::holds::{HoldRecord, StoredHold};
use crate::store::tables::holds::{RejectionProgress, RemovedItem, RemovedName};
use crate::store::tables::removal_windows;
use crate::store::{Snapshot, Tx};

/// Returns the hold of a configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn find_hold(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<StoredHold> {
    rows::load_hold(at, find_configuration(at, scope, id)?.key)
}

/// Steps of a rejection that the call itself runs.
const FIRST_STEPS: usize = 4;
/// Held connections that a list names at most.
const HELD_LISTED_MAX: usize = 20;
/// Names that a state has at most.
pub const NAMES_MAX: u32 = 100;

named_enum! {
    /// Whether a configuration is held.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum HoldState {
        /// It is not.
        None = "none",
        /// Its changes wait for a decision.
        Held = "held",
        /// A decision is being carried out.
        Releasing = "releasing",
    }
}

/// The state of a hold with the names of what was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldStatus {
    /// Whether the configuration is held.
    pub state: HoldState,
    /// The hold, unless the state is `none`.
    pub record: Option<HoldRecord>,
    /// What was removed, at most `limit`.
    pub names: Vec<String>,
    /// The ids of the last name, if there are more.
    pub next: Option<(String, String)>,
    /// Until then nothing is held.
    pub exempt_until: Option<Millis>,
    /// What the last rejection could not undo: ids, each with the code of the reason.
    pub conflicts: Vec<(String, String)>,
}

/// Returns the state of a hold. `after` are the ids of the last name of the page before.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn find_status(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    id: &str,
    (after, limit): (Option<(String, String)>, u32),
    now: Millis,
) -> Result<HoldStatus> {
    let key = find_configuration(at, scope, id)?.key;
    let hold = rows::load_hold(at, key)?;
    let state = find_state(&hold);
    let record = hold.last.filter(|_| state != HoldState::None);
    let (mut names, mut next) = (Vec::new(), None);
    if let Some(record) = &record {
        let (subject, member) = after.unwrap_or_default();
        let after = RemovedItem { subject: &subject, member: &member };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = rows::list_removals(at, (key, record.reason.kind()), record.window_start, after, most + 1)?;
        let has_more = found.len() > most;
        found.truncate(most);
        next = found.last().filter(|_| has_more).map(|last| (last.subject.clone(), last.member.clone()));
        names = found.into_iter().map(describe_removal).collect();
    }
    let (exempt_until, conflicts) = (hold.exempt_until.filter(|until| *until > now), rows::list_conflicts(at, key)?);
    Ok(HoldStatus { state, record, names, next, exempt_until, conflicts })
}

/// Returns whether a configuration is held.
pub fn find_state(hold: &StoredHold) -> HoldState {
    let decision = hold.last.as_ref().and_then(|last| last.decision);
    match (hold.held, decision) {
        (true, None) => HoldState::Held,
        (true, Some(_)) => HoldState::Releasing,
        (false, Some(_)) if hold.holds && hold.sync => HoldState::Releasing,
        (false, _) => HoldState::None,
    }
}

fn describe_removal(removed: RemovedName) -> String {
    match removed.member_name {
        None => removed.name,
        Some(member) => format!("{}: {member}", removed.name),
    }
}

/// What an admin decides about a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldOrder {
    /// Publishes what was held.
    Allow,
    /// Publishes what was held, and does not hold again for this many minutes.
    AllowFor(u32),
    /// Undoes the removals, and publishes everything else.
    Reject,
}

/// Carries out the decision about a hold. What was held is published up to a limit in this call, and the rest in steps.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope. 409 `ConfigurationNotHeld`. `NumberOutOfRange`.
pub fn decide_hold(tx: &Tx<'_>, context: &AuditContext, id: &str, order: HoldOrder) -> Result<StoredHold> {
    let found = find_configuration(tx, &context.scope, id)?;
    let hold = rows::load_hold(tx, found.key)?;
    let running = hold.last.clone().filter(|last| hold.held && last.decision.is_none());
    let Some(record) = running else {
        return Err(Reason::ConfigurationNotHeld.into());
    };
    let (decision, minutes) = match order {
        HoldOrder::Allow => (HoldDecision::Allow, None),
        HoldOrder::AllowFor(minutes) => {
            hold::check_number("minutes", minutes, 1, hold::EXEMPT_MINUTES_MAX)?;
            (HoldDecision::Allow, Some(minutes))
        }
        HoldOrder::Reject => (HoldDecision::Reject, None),
    };
    rows::save_record(tx, found.key, &HoldRecord { decision: Some(decision), ..record.clone() })?;
    rows::clear_conflicts(tx, found.key)?;
    rows::save_deciding_request(tx, found.key, log::current_request_id().as_deref())?;
    if decision == HoldDecision::Reject {
        let begin = RejectionProgress::Resources { after: (String::new(), 0) };
        rows::save_rejection(tx, found.key, Some(&begin))?;
    } else {
        rows::set_held(tx, found.key, false)?;
        // Otherwise the next removal would start a hold with the same numbers.
        removal_windows::reset_windows(tx, found.key)?;
        rows::set_exempt_until(tx, found.key, minutes.map(|minutes| tx.now + Millis::from(minutes) * 60_000))?;
    }
    record_decision(tx, context, &found, &record, (decision, minutes))?;
    if decision == HoldDecision::Reject {
        for _ in 0..FIRST_STEPS {
            rejections::run_rejection_step(tx, found.key, rejections::CHANGES_PER_STEP)?;
        }
    }
    let pending = PendingCatchUp { configuration: found.key, account: found.account.id };
    catch_up::catch_up(tx, &pending, catch_up::FIRST_STEP_MAX)?;
    rows::load_hold(tx, found.key)
}

fn record_decision(
    tx: &Tx<'_>,
    context: &AuditContext,
    found: &Configuration,
    record: &HoldRecord,
    (decision, minutes): (HoldDecision, Option<u32>),
) -> Result<()> {
    let after = json!({"decision": decision.as_str(), "minutes": minutes});
    let before = json!({"reason": record.reason.as_str(), "counted": record.counted, "threshold": record.threshold});
    append_event(tx, found, EventAction::Updated, &json!({"holdDecision": after}))?;
    append_audit_entry(tx, context, found, NewAuditEntry::new("configuration.hold_decided", Some(before), Some(after)))
}

/// Changes the settings of the hold. Returns whether something changed.
///
/// # Errors
/// `NumberOutOfRange`, which names the number.
pub fn change_settings(
    tx: &Tx<'_>,
    context: &AuditContext,
    found: &Configuration,
    changes: &HoldChanges,
) -> Result<bool> {
    if *changes == HoldChanges::default() {
        return Ok(false);
    }
    let hold = rows::load_hold(tx, found.key)?;
    let settings = changes.apply(hold.settings)?;
    let until = match changes.exempt_minutes {
        None => hold.exempt_until,
        Some(0) => None,
        Some(minutes) => Some(tx.now + Millis::from(minutes) * 60_000),
    };
    if settings == hold.settings && until == hold.exempt_until {
        return Ok(false);
    }
    rows::save_settings(tx, found.key, &settings)?;
    rows::set_exempt_until(tx, found.key, until)?;
    let describe = |settings: &HoldSettings, until: Option<Millis>| json!({"hold": settings, "exemptUntil": until.map(format_rfc3339)});
    let (before, after) = (describe(&hold.settings, hold.exempt_until), describe(&settings, until));
    append_event(tx, found, EventAction::Updated, &after)?;
    append_audit_entry(tx, context, found, NewAuditEntry::new("configuration.updated", Some(before), Some(after)))?;
    Ok(true)
}

/// Replaces the protected users. Returns whether something changed.
///
/// # Errors
/// `ProtectedUsersInvalid`.
pub fn change_protected_users(
    tx: &Tx<'_>,
    context: &AuditContext,
    found: &Configuration,
    users: &[String],
) -> Result<bool> {
    let is_valid = |name: &String| !name.trim().is_empty() && name.chars().count() <= hold::PROTECTED_NAME_CHARS;
    if users.len() > hold::PROTECTED_USERS_MAX || !users.iter().all(is_valid) {
        return Err(Reason::ProtectedUsersInvalid
            .on_field("protectedUsers")
            .with("max", hold::PROTECTED_USERS_MAX)
            .with("length", hold::PROTECTED_NAME_CHARS));
    }
    let before = rows::list_protected_users(tx, found.key)?;
    let keyed: Vec<(String, String)> =
        users.iter().map(|name| (name.trim().to_owned(), fold::fold_case(name.trim()).into_owned())).collect();
    rows::save_protected_users(tx, found.key, &keyed)?;
    let after = rows::list_protected_users(tx, found.key)?;
    if before == after {
        return Ok(false);
    }
    // The hold of a removal needs a row, also if many removals are not held.
    rows::save_settings(tx, found.key, &rows::load_hold(tx, found.key)?.settings)?;
    append_event(tx, found, EventAction::Updated, &json!({"protectedUsers": after.len()}))?;
    let (before, after) = (json!({"protectedUsers": before}), json!({"protectedUsers": after}));
    append_audit_entry(tx, context, found, NewAuditEntry::new("configuration.updated", Some(before), Some(after)))?;
    Ok(true)
}

/// Returns the protected users with these names.
///
/// # Errors
/// Errors of the store.
pub fn list_protected_names(
    at: &Snapshot<'_>,
    configuration: i64,
    is_selected: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let names = rows::list_protected_users(at, configuration)?;
    Ok(names.into_iter().filter(|name| is_selected(name)).collect())
}

/// Removes the protected users with these names, because their data is erased.
///
/// # Errors
/// Errors of the store.
pub fn end_protection(tx: &Tx<'_>, configuration: i64, is_erased: impl Fn(&str) -> bool) -> Result<()> {
    let before = rows::list_protected_users(tx, configuration)?;
    let left: Vec<(String, String)> = before
        .iter()
        .filter(|name| !is_erased(name))
        .map(|name| (name.clone(), fold::fold_case(name).into_owned()))
        .collect();
    if left.len() == before.len() { Ok(()) } else { rows::save_protected_users(tx, configuration, &left) }
}

/// Returns the protected users of a configuration: a `userName` or an `externalId` each.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_protected_users(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Vec<String>> {
    rows::list_protected_users(at, find_configuration(at, scope, id)?.key)
}

/// Returns the names of the connections whose changes wait for a decision, with their accounts.
pub fn list_held_connections(at: &Snapshot<'_>) -> Result<Vec<String>> {
    rows::list_held_connections(at, HELD_LISTED_MAX)
}
