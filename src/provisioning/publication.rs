//! Publication of the changes of a configuration: directly to the event feed, or held during a pause.
//!
//! Every change of a resource calls this module twice: before its rows change, so that the published state can be held,
//! and after, to append the event. Both decisions read the state in the transaction of the write, not the state at the
//! start of the request. After the response to a pause, no later commit is published.

use std::cell::Cell;

use crate::error::{Error, Reason, Result};
use crate::model::event::{EventAction, EventKind, EventSubject};
use crate::provisioning::Scope;
use crate::provisioning::safety_net::mass_removals::{self, CountedChange};
use crate::scim::index::IndexKeys;
use crate::store::Tx;
use crate::store::tables::events::{self, NewEvent};
use crate::store::tables::held_changes::{self, HeldMemberRef, PublicationGate};
use crate::store::tables::resources::StoredResource;

/// The publication of the changes of one configuration in one transaction.
pub(crate) struct Publication<'t> {
    tx: &'t Tx<'t>,
    account: &'t str,
    configuration: i64,
    /// Whether changes are held.
    holding: bool,
    /// The state of the configuration.
    gate: PublicationGate,
    /// Whether the configuration is already marked as having held changes.
    marked: Cell<bool>,
    /// Whether it publishes changes that were held.
    is_restating: bool,
}

impl<'t> Publication<'t> {
    /// The publication for a write by an identity provider. While earlier changes are held, new changes are held too,
    /// so that the application receives them in order.
    ///
    /// # Errors
    /// 401 if the configuration was deleted after the request arrived: its tokens are invalid. 503 for a request of an identity
    /// provider while the account moves; what was accepted before is completed.
    pub(crate) fn for_scope(tx: &'t Tx<'t>, scope: &'t Scope) -> Result<Self> {
        let gate = held_changes::load_gate(tx, scope.configuration)?.filter(|gate| !gate.deleted);
        let Some(gate) = gate else {
            return Err(Error::new(Reason::ConfigurationDeleted));
        };
        if scope.token.is_some() {
            gate.account_state.check_active()?;
        }
        let holding = !gate.sync || gate.holds || gate.held;
        let (account, configuration) = (&*scope.account, scope.configuration);
        let marked = Cell::new(gate.holds);
        Ok(Self { tx, account, configuration, gate, holding, marked, is_restating: false })
    }

    /// Counts what a write removes or brings back, and starts the hold of the configuration if there are too many removals. Call it
    /// before anything of the write is held or published. `describe` is called only if removals are examined.
    ///
    /// # Errors
    /// Errors of `describe` and of the store.
    pub(super) fn count_removals(
        &mut self,
        scope: &Scope,
        describe: impl FnOnce() -> Result<Option<CountedChange>>,
    ) -> Result<()> {
        // What a paused configuration removes is published only when an admin resumes it.
        if !self.gate.sync || !self.gate.flags.examines_removals() {
            return Ok(());
        }
        if let Some(change) = describe()? {
            self.gate.held = mass_removals::count_change(self.tx, scope, &self.gate, &change)?;
            self.holding |= self.gate.held;
        }
        Ok(())
    }

    /// A publication without a hold, for catch-up.
    pub(crate) fn direct(tx: &'t Tx<'t>, account: &'t str, configuration: i64) -> Self {
        let gate = PublicationGate { sync: true, ..PublicationGate::default() };
        Self { tx, account, configuration, gate, holding: false, marked: Cell::new(true), is_restating: true }
    }

    /// The transaction of the change.
    pub(crate) fn transaction(&self) -> &'t Tx<'t> {
        self.tx
    }

    /// Whether changes are held. The previous state must then be passed to one of the functions below.
    pub(crate) fn is_holding(&self) -> bool {
        self.holding
    }

    /// Whether changes are held until an admin decides about many removals.
    pub(super) fn awaits_decision(&self) -> bool {
        self.gate.held
    }

    /// Appends an event and returns its number. `members` are the members of its data, as JSON text without braces.
    pub(crate) fn append_event(&self, action: EventAction, subject: &EventSubject<'_>, members: &str) -> Result<i64> {
        let event = NewEvent {
            account: self.account,
            configuration: self.configuration,
            kind: EventKind::Resource(subject.resource_type, action),
            resource_id: Some(subject.id),
            payload: &subject.build_payload(members),
            is_published: !self.holding,
        };
        if self.is_restating {
            events::append_restated_event(self.tx, &event)
        } else {
            events::append_event(self.tx, &event)
        }
    }

    /// Call after a resource was created.
    pub(crate) fn hold_created(&self, resource_type: &str, created: &StoredResource) -> Result<()> {
        self.hold(|tx| held_changes::hold_new_resource(tx, resource_type, created))
    }

    /// Call after a deleted resource was restored, before its memberships return.
    pub(crate) fn hold_restored(&self, resource_type: &str, restored: &StoredResource) -> Result<()> {
        self.hold(|tx| held_changes::hold_restored_resource(tx, resource_type, restored))
    }

    /// Call after a resource was changed. `before` is its previous row and `keys` are its previous keys.
    pub(crate) fn hold_changed(&self, resource_type: &str, before: &StoredResource, keys: &IndexKeys) -> Result<()> {
        self.hold(|tx| held_changes::hold_previous_state(tx, resource_type, before, keys))
    }

    /// Call before the row of a resource changes.
    pub(crate) fn hold_before_update(&self, stored: &StoredResource) -> Result<()> {
        self.hold(|tx| held_changes::hold_current_row(tx, stored))
    }

    /// Call after a password of a held resource was set. The event of it has no value that the held state could show.
    pub(crate) fn hold_password(&self, id: &str) -> Result<()> {
        self.hold(|tx| held_changes::mark_password_set(tx, id))
    }

    /// Call before the rows of the groups of a resource change.
    pub(crate) fn hold_groups_before_update(&self, member: &StoredResource) -> Result<()> {
        self.hold(|tx| held_changes::hold_member_groups(tx, member))
    }

    /// Call after a member joined or left a group.
    pub(crate) fn hold_membership_change(&self, group: &str, member: HeldMemberRef<'_>, joined: bool) -> Result<()> {
        self.hold(|tx| held_changes::hold_membership(tx, self.configuration, group, member, !joined))
    }

    /// Call before a resource is deleted with all its memberships.
    pub(crate) fn hold_before_delete(&self, stored: &StoredResource) -> Result<()> {
        self.hold(|tx| {
            held_changes::hold_member_groups(tx, stored)?;
            held_changes::hold_all_memberships(tx, stored)?;
            held_changes::mark_resource_deleted(tx, stored)
        })
    }

    fn hold(&self, store_held: impl FnOnce(&Tx<'_>) -> Result<()>) -> Result<()> {
        if !self.holding {
            return Ok(());
        }
        if !self.marked.replace(true) {
            held_changes::set_has_held_changes(self.tx, self.configuration, true)?;
        }
        store_held(self.tx)
    }
}
