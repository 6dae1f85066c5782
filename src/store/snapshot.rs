//! The two handles that row functions take: a `Snapshot` to read, a `Tx` to change.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::Connection;

use crate::clock::Millis;

/// One consistent view of the database, for as long as it is borrowed.
pub struct Snapshot<'c> {
    connection: &'c Connection,
}

impl<'c> Snapshot<'c> {
    pub(in crate::store) fn new(connection: &'c Connection) -> Self {
        Self { connection }
    }

    /// The connection under it, for the row functions of the store.
    pub(in crate::store) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// The statement, compiled once for each connection.
    pub(in crate::store) fn prepare(&self, sql: &str) -> crate::error::Result<rusqlite::CachedStatement<'c>> {
        Ok(self.connection.prepare_cached(sql)?)
    }
}

/// A write transaction, shared with the other writes of its batch. Reads like a [`Snapshot`] that sees its own changes.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    /// The one time of this write. Never earlier than that of the write before, whatever the clock does.
    pub now: Millis,
    has_events: Cell<bool>,
}

impl<'c> Tx<'c> {
    pub(in crate::store) fn new(connection: &'c Connection, now: Millis) -> Self {
        Self { snapshot: Snapshot::new(connection), now, has_events: Cell::new(false) }
    }

    /// Those who wait for events are to be woken after the commit.
    pub(in crate::store) fn note_event(&self) {
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
