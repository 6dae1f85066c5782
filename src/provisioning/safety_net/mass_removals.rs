//! Counts what an identity provider removes, in the transaction of the write, and holds the configuration with the write
//! that reaches a threshold: from that write on, its changes are stored but not published. See `model::hold`.
//!
//! The publication of a write is opened with what the write removes, before anything of it is published, so that the write
//! that reaches the threshold is held as a whole. What comes back is taken off, so everything that exists and is removed counts
//! once.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::{EventAction, EventKind};
use crate::model::hold::window::RemovalWindow;
use crate::model::hold::{HoldReason, REJECTION_MILLIS, RemovalKind};
use crate::model::quota::QuotaKind;
use crate::provisioning::Scope;
use crate::provisioning::members::diff::{self, MemberKey};
use crate::scim::fold;
use crate::scim::schema::ResourceType;
use crate::scim::validate::Attributes;
use crate::store::Tx;
use crate::store::tables::events::{self, NewEvent};
use crate::store::tables::held_changes::{self, PublicationGate};
use crate::store::tables::holds::{self, HoldRecord, RemovedItem};
use crate::store::tables::removal_windows::{self, CountingState};
use crate::store::tables::usage;

/// What a write removes, and what comes back with it.
#[derive(Debug)]
pub(in crate::provisioning) struct CountedChange {
    pub(in crate::provisioning) kind: RemovalKind,
    /// Ids: of a user or a group and an empty text, or of a group and its member.
    pub(in crate::provisioning) removed: Vec<(String, String)>,
    /// The same for what comes back.
    pub(in crate::provisioning) returned: Vec<(String, String)>,
    /// Memberships that later steps of this write remove.
    pub(in crate::provisioning) later: Option<LaterRemovals>,
    /// Whether an earlier transaction has counted what this one removes.
    pub(in crate::provisioning) was_counted: bool,
    /// The names of the user that is removed.
    pub(in crate::provisioning) user: Option<UserNames>,
}

/// The names by which a user can be protected.
#[derive(Debug)]
pub(in crate::provisioning) struct UserNames {
    user_name: String,
    external_id: Option<String>,
}

impl UserNames {
    fn read(attributes: &Attributes) -> Self {
        let text = |name: &str| attributes.get(name).and_then(Value::as_str).map(str::to_owned);
        Self { user_name: text("userName").unwrap_or_default(), external_id: text("externalId") }
    }

    fn is_protected(&self, tx: &Tx<'_>, configuration: i64) -> Result<bool> {
        holds::is_protected(tx, configuration, &fold::fold_case(&self.user_name), self.external_id.as_deref())
    }
}

/// The members that leave a group in the steps of a large change.
#[derive(Debug)]
pub(in crate::provisioning) struct LaterRemovals {
    group: String,
    members: Vec<MemberKey>,
}

impl CountedChange {
    fn of_item(kind: RemovalKind, (removes, id): (bool, &str)) -> Self {
        let item = vec![(id.to_owned(), String::new())];
        let (removed, returned) = if removes { (item, Vec::new()) } else { (Vec::new(), item) };
        Self { kind, removed, returned, later: None, was_counted: false, user: None }
    }

    /// A user that is deactivated or reactivated.
    pub(in crate::provisioning) fn of_activity(
        of: &ResourceType,
        id: &str,
        before: &Attributes,
        after: &Attributes,
    ) -> Option<Self> {
        let (was_active, is_active) = (is_active(before), is_active(after));
        (is_user(of) && was_active != is_active)
            .then(|| Self::of_item(RemovalKind::Users, (was_active, id)).with_names(was_active, before))
    }

    /// A resource that is deleted. A deleted user that was inactive is not counted, but can be protected.
    pub(in crate::provisioning) fn of_deletion(of: &ResourceType, id: &str, attributes: &Attributes) -> Option<Self> {
        let counted = Self::of_existence(of, (true, id), is_active(attributes));
        let uncounted =
            || is_user(of).then(|| Self { removed: Vec::new(), ..Self::of_item(RemovalKind::Users, (true, id)) });
        counted.or_else(uncounted).map(|change| change.with_names(is_user(of), attributes))
    }

    fn with_names(self, is_removed: bool, attributes: &Attributes) -> Self {
        Self { user: is_removed.then(|| UserNames::read(attributes)), ..self }
    }

    /// A resource that is restored with its id.
    pub(in crate::provisioning) fn of_restore(of: &ResourceType, id: &str, active: Option<bool>) -> Option<Self> {
        Self::of_existence(of, (false, id), active != Some(false))
    }

    fn of_existence(of: &ResourceType, change: (bool, &str), is_active: bool) -> Option<Self> {
        if of.members().is_some() {
            return Some(Self::of_item(RemovalKind::Groups, change));
        }
        (is_user(of) && is_active).then(|| Self::of_item(RemovalKind::Users, change))
    }

    /// A large change of a group, whose steps remove these members.
    pub(in crate::provisioning) fn of_large_change(group: &str, leaving: &[MemberKey]) -> Option<Self> {
        (!leaving.is_empty()).then(|| Self {
            kind: RemovalKind::Memberships,
            removed: Vec::new(),
            returned: Vec::new(),
            later: Some(LaterRemovals { group: group.to_owned(), members: leaving.to_vec() }),
            was_counted: false,
            user: None,
        })
    }

    /// Whether nothing is removed that counts, and nothing comes back.
    fn is_uncounted(&self) -> bool {
        self.removed.is_empty() && self.returned.is_empty() && self.later.is_none()
    }

    /// How many removals this adds to the window.
    fn count_removals(&self) -> i64 {
        let later = self.later.as_ref().map_or(0, |later| later.members.len());
        let count = if self.was_counted { 0 } else { self.removed.len() + later };
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Whether an admin has rejected one of these removals in the last 30 days.
    fn repeats_rejected(&self, tx: &Tx<'_>, configuration: i64) -> Result<bool> {
        let since = tx.now - REJECTION_MILLIS;
        for item in &self.removed {
            if holds::was_rejected(tx, configuration, self.kind, as_item(item), since)? {
                return Ok(true);
            }
        }
        let Some(later) = &self.later else { return Ok(false) };
        let leaving: HashSet<u64> = later.members.iter().map(|member| member.hash()).collect();
        holds::has_rejected_member(tx, (configuration, &later.group), since, |id| leaving.contains(&diff::hash_id(id)))
    }
}

/// Protects a user by its new name too, if a write changes the name by which it is protected.
pub(in crate::provisioning) fn follow_protected_user(
    tx: &Tx<'_>,
    configuration: i64,
    of: &ResourceType,
    (before, after): (&Attributes, &Attributes),
) -> Result<()> {
    let is_same = |name: &str| before.get(name) == after.get(name);
    if !is_user(of) || is_same("userName") && is_same("externalId") {
        return Ok(());
    }
    let protects = held_changes::load_gate(tx, configuration)?.is_some_and(|gate| gate.flags.protects_users());
    let (before, after) = (UserNames::read(before), UserNames::read(after));
    if !protects || !before.is_protected(tx, configuration)? || after.is_protected(tx, configuration)? {
        return Ok(());
    }
    holds::add_protected_user(tx, configuration, &after.user_name, &fold::fold_case(&after.user_name))
}

fn is_user(of: &ResourceType) -> bool {
    of.name == "User"
}

/// A user without the attribute can sign in.
pub(in crate::provisioning) fn is_active(attributes: &Attributes) -> bool {
    attributes.get("active") != Some(&false.into())
}

fn as_item((subject, member): &(String, String)) -> RemovedItem<'_> {
    RemovedItem { subject, member }
}

/// Counts a change, and starts the hold if it reaches the threshold. Returns whether the configuration is held from now on.
pub(in crate::provisioning) fn count_change(
    tx: &Tx<'_>,
    scope: &Scope,
    gate: &PublicationGate,
    change: &CountedChange,
) -> Result<bool> {
    let configuration = scope.configuration;
    if change.is_uncounted() && !gate.flags.protects_users() {
        return Ok(gate.held);
    }
    let mut state = removal_windows::load_counting(tx, configuration, change.kind)?;
    let protected = change.user.as_ref().filter(|_| gate.flags.protects_users());
    let is_protected = protected.map_or(Ok(false), |user| user.is_protected(tx, configuration))?;
    let is_exempt = is_exempt(&state, tx.now);
    if !gate.held && !is_protected && is_exempt {
        return Ok(false);
    }
    let is_repeated = gate.flags.has_rejected() && change.repeats_rejected(tx, configuration)?;
    let taken_off = store_removals(tx, configuration, gate, (change, &mut state))?;
    let threshold = state.settings.threshold(change.kind).find_limit(state.window.first_total());
    let is_many = !is_exempt && state.window.count() >= threshold;
    if !(gate.held || is_many || is_repeated || is_protected) {
        return Ok(false);
    }
    let hold = holds::load_hold(tx, configuration)?;
    if gate.held {
        holds::add_counted(tx, configuration, change.kind, change.count_removals() - taken_off)?;
    }
    let last = hold.last.as_ref().filter(|_| gate.held);
    // While a decision is carried out, more removals of the identity provider wait for another one.
    let can_begin = last.is_none_or(|last| last.decision.is_some()) && (change.count_removals() > 0 || is_protected);
    if !can_begin || !(is_many || is_repeated || is_protected) {
        return Ok(gate.held);
    }
    holds::save_rejection(tx, configuration, None)?;
    let window_start = state.window.find_start(tx.now).max(hold.allowed_at.unwrap_or_default());
    let record = match last {
        Some(last) => HoldRecord { decision: None, ..last.clone() },
        None => HoldRecord {
            since: tx.now,
            reason: if is_many || !is_protected { change.kind.into() } else { HoldReason::Protected },
            counted: state.window.count().max(i64::from(is_protected)),
            published: count_published(tx, configuration, change, (&state.window, window_start))?,
            threshold: if is_many { threshold } else { 1 },
            window_minutes: hold.settings.window_minutes,
            window_start,
            decision: None,
        },
    };
    begin_hold(tx, scope, &record)?;
    Ok(true)
}

/// Stores what a change removes, and takes off what comes back: from the window, too. Returns how many removals were taken off,
/// with those that are counted already.
fn store_removals(
    tx: &Tx<'_>,
    configuration: i64,
    gate: &PublicationGate,
    (change, state): (&CountedChange, &mut CountingState),
) -> Result<i64> {
    let (count, mut taken_off) = (change.count_removals(), 0);
    if count > 0 {
        let total = if state.window.needs_total(tx.now) { count_total(tx, configuration, change.kind)? } else { 0 };
        state.window.add(tx.now, count, total);
    }
    for item in change.removed.iter().filter(|_| gate.flags.has_rejected() && !change.was_counted) {
        // The window counts it since its first removal, which an admin rejected.
        if let Some(removed_at) = holds::find_rejected(tx, configuration, change.kind, as_item(item))? {
            taken_off += i64::from(state.window.take_off(removed_at));
        }
    }
    for item in &change.removed {
        holds::insert_removal(tx, configuration, change.kind, as_item(item))?;
    }
    if gate.flags.watches(change.kind) {
        for item in &change.returned {
            if let Some(removed_at) = holds::delete_removal(tx, configuration, change.kind, as_item(item))? {
                state.window.take_off(removed_at);
                taken_off += 1;
            }
        }
    } else if count > 0 {
        holds::watch_kind(tx, configuration, change.kind)?;
    }
    if count + taken_off > 0 {
        removal_windows::save_window(tx, configuration, change.kind, state.clone());
    }
    Ok(taken_off)
}

/// How many of the removals in the window were published before this change: those that no admin rejected.
fn count_published(
    tx: &Tx<'_>,
    configuration: i64,
    change: &CountedChange,
    (window, since): (&RemovalWindow, Millis),
) -> Result<i64> {
    let stored = holds::count_removals(tx, (configuration, change.kind), since)?;
    let own = i64::try_from(change.removed.len()).unwrap_or(i64::MAX);
    let most = window.count().saturating_sub(change.count_removals());
    Ok((stored - own).min(most).max(0))
}

fn is_exempt(state: &CountingState, now: Millis) -> bool {
    !state.settings.enabled
        || now < state.settings.find_grace_end(state.created_at)
        || state.exempt_until.is_some_and(|until| now < until)
}

/// How many there were before this change. Memberships are removed from their rows before they are counted here, but the usage
/// changes later.
fn count_total(tx: &Tx<'_>, configuration: i64, kind: RemovalKind) -> Result<i64> {
    let kind = match kind {
        RemovalKind::Users => QuotaKind::ActiveUsers,
        RemovalKind::Groups => QuotaKind::Groups,
        RemovalKind::Memberships => QuotaKind::Members,
    };
    Ok(usage::load_usage(tx, configuration)?.configuration.used.get(kind))
}

fn begin_hold(tx: &Tx<'_>, scope: &Scope, record: &HoldRecord) -> Result<()> {
    holds::save_record(tx, scope.configuration, record)?;
    holds::set_held(tx, scope.configuration, true)?;
    let payload = json!({
        "reason": record.reason.as_str(),
        "counted": record.counted,
        "threshold": record.threshold,
        "windowMinutes": record.window_minutes,
        "published": record.published,
    });
    let event = NewEvent {
        account: &scope.account,
        configuration: scope.configuration,
        kind: EventKind::Configuration(EventAction::Held),
        resource_id: None,
        payload: &payload.to_string(),
        is_published: true,
    };
    events::append_event(tx, &event)?;
    tracing::warn!(
        configuration = &*scope.configuration_id,
        reason = record.reason.as_str(),
        counted = record.counted,
        threshold = record.threshold,
        "the configuration is held: its identity provider removes many users, memberships or groups, or a protected user"
    );
    Ok(())
}

/// Windows that one step of the removal of old windows examines.
const WINDOWS_PER_STEP: usize = 100;

/// The window after which the next step continues.
pub type WindowPosition = (i64, &'static str);

/// Removes at most `limit` removals that are in no window any more, and rejections that are forgotten. Returns the window after
/// which the next step continues, or `None` after the last one.
pub fn remove_old_removals(tx: &Tx<'_>, after: WindowPosition, limit: usize) -> Result<Option<WindowPosition>> {
    tx.allow_on_full_disk();
    if holds::delete_old_rejections(tx, tx.now - REJECTION_MILLIS, limit)? >= limit {
        return Ok(Some(after));
    }
    let found = removal_windows::list_windows_after(tx, after, WINDOWS_PER_STEP)?;
    let mut before = after;
    for one in &found {
        let position = (one.configuration, one.kind.as_str());
        let is_old = RemovalWindow::decode(&one.periods, one.minutes, tx.now).count() == 0;
        if is_old && holds::delete_old_removals(tx, one.configuration, one.kind, limit)? > 0 {
            return Ok(Some(before));
        }
        before = position;
    }
    Ok((!found.is_empty()).then_some(before))
}
