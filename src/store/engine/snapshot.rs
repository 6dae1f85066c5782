//! The two database handles: `Snapshot` for reads, `Tx` for writes.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::Connection;

use crate::clock::Millis;

/// A consistent view of the database, valid while it is borrowed.
pub struct Snapshot<'c> {
    connection: &'c Connection,
}

impl<'c> Snapshot<'c> {
    pub(in crate::store) fn new(connection: &'c Connection) -> Self {
        Self { connection }
    }

    /// The underlying connection, for the row functions of the store.
    pub(in crate::store) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Returns the prepared statement, compiled once per connection.
    pub(in crate::store) fn prepare(&self, sql: &str) -> crate::error::Result<rusqlite::CachedStatement<'c>> {
        Ok(self.connection.prepare_cached(sql)?)
    }
}

/// A write transaction, shared with the other writes of its batch. Dereferences to a [`Snapshot`] that includes its
/// changes.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    /// The timestamp of this write. Never earlier than that of the previous write, even if the clock is set back.
    pub now: Millis,
    has_events: Cell<bool>,
}

impl<'c> Tx<'c> {
    pub(in crate::store) fn new(connection: &'c Connection, now: Millis) -> Self {
        Self { snapshot: Snapshot::new(connection), now, has_events: Cell::new(false) }
    }

    /// Requests that the tasks waiting for events are woken after the commit.
    pub(in crate::store) fn mark_event_published(&self) {
        self.has_events.set(true);
    }

    pub(in crate::store) fn has_events(&self) -> bool {
        self.has_events.get()
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Snapshot<'c> {
        &self.snapshot
    }
}
