//! Whether what happens in a configuration reaches the operator's application now, or waits until it may.
//!
//! Every change of a resource passes here twice: before its rows change, so that what the application knows can be held,
//! and after, to tell the event. Both are decided inside the write's own transaction, never by what a request remembers:
//! once a pause was answered, nothing that commits later goes out.

use std::cell::Cell;

use super::Scope;
use crate::error::Result;
use crate::model::event::{Happening, Kind};
use crate::scim;
use crate::scim::index::Keys;
use crate::store::held::{self, Member};
use crate::store::resources::Stored;
use crate::store::{Tx, events};

/// Where the changes of one configuration go, in one transaction.
pub(super) struct Flow<'t> {
    tx: &'t Tx<'t>,
    account: &'t str,
    configuration: i64,
    /// Whether changes wait.
    holding: bool,
    /// Whether the configuration is known to have something that waits.
    marked: Cell<bool>,
}

impl<'t> Flow<'t> {
    /// The flow of a write by an identity provider. Changes also wait behind those that wait already, so that the
    /// application learns them in their order.
    ///
    /// # Errors
    /// 401 where the configuration was deleted after the request came in: its tokens are dead.
    pub(super) fn of(tx: &'t Tx<'t>, scope: &'t Scope) -> Result<Self> {
        let gate = held::gate(tx, scope.configuration)?.filter(|gate| !gate.deleted);
        let Some(gate) = gate else {
            return Err(scim::Error::plain(401, "the configuration is no more").into());
        };
        Ok(Self {
            tx,
            account: &scope.account,
            configuration: scope.configuration,
            holding: !gate.sync || gate.holds,
            marked: Cell::new(gate.holds),
        })
    }

    /// A flow that lets everything out: what waited is told now.
    pub(super) fn open(tx: &'t Tx<'t>, account: &'t str, configuration: i64) -> Self {
        Self { tx, account, configuration, holding: false, marked: Cell::new(true) }
    }

    /// Whether changes wait; what they replace must then be handed to one of the functions below.
    pub(super) fn is_holding(&self) -> bool {
        self.holding
    }

    /// Appends an event.
    pub(super) fn tell(&self, resource_type: &str, happening: Happening, id: &str, payload: &str) -> Result<()> {
        let kind = Kind::Resource(resource_type, happening);
        let append = if self.holding { events::append_held } else { events::append };
        append(self.tx, self.account, self.configuration, kind, Some(id), payload).map(drop)
    }

    /// A resource was made.
    pub(super) fn made(&self, resource_type: &str, made: &Stored) -> Result<()> {
        self.hold(|tx| held::hold_new(tx, resource_type, made))
    }

    /// A resource was changed; `before` is its row and `keys` are its keys from before.
    pub(super) fn changed(&self, resource_type: &str, before: &Stored, keys: &Keys) -> Result<()> {
        self.hold(|tx| held::hold_image(tx, resource_type, before, keys))
    }

    /// The row of a resource is about to change.
    pub(super) fn before_touching(&self, stored: &Stored) -> Result<()> {
        self.hold(|tx| held::hold_row(tx, stored))
    }

    /// The rows of the groups of a resource are about to change.
    pub(super) fn before_touching_groups_of(&self, member: &Stored) -> Result<()> {
        self.hold(|tx| held::hold_groups_of(tx, member))
    }

    /// Members joined or left a group.
    pub(super) fn membership_changed(&self, group: &str, member: Member<'_>, joined: bool) -> Result<()> {
        self.hold(|tx| held::hold_member(tx, self.configuration, group, member, !joined))
    }

    /// A resource is about to go, with all its memberships.
    pub(super) fn before_removing(&self, stored: &Stored) -> Result<()> {
        self.hold(|tx| {
            held::hold_groups_of(tx, stored)?;
            held::hold_memberships_of(tx, stored)?;
            held::mark_gone(tx, stored)
        })
    }

    fn hold(&self, keep: impl FnOnce(&Tx<'_>) -> Result<()>) -> Result<()> {
        if !self.holding {
            return Ok(());
        }
        if !self.marked.replace(true) {
            held::set_holds(self.tx, self.configuration, true)?;
        }
        keep(self.tx)
    }
}
