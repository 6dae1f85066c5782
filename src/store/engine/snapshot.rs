//! The two database handles: `Snapshot` for reads, `Tx` for writes.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::clock::Millis;
use crate::error::Result;

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
    pub(in crate::store) fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'c>> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// Returns all rows of a query.
    pub(in crate::store) fn list_rows<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        Ok(self.prepare(sql)?.query_map(parameters, read)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the first row of a query, or `None` if it has no rows.
    pub(in crate::store) fn find_row<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.prepare(sql)?.query_row(parameters, read).optional()?)
    }

    /// Returns the first row of a query that always has one.
    pub(in crate::store) fn read_row<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        Ok(self.prepare(sql)?.query_row(parameters, read)?)
    }

    /// Returns the first column of all rows of a query.
    pub(in crate::store) fn list_values<T: FromSql>(&self, sql: &str, parameters: impl Params) -> Result<Vec<T>> {
        self.list_rows(sql, parameters, |row| row.get(0))
    }

    /// Returns the first column of the first row of a query, or `None` if it has no rows.
    pub(in crate::store) fn find_value<T: FromSql>(&self, sql: &str, parameters: impl Params) -> Result<Option<T>> {
        self.find_row(sql, parameters, |row| row.get(0))
    }

    /// Returns the first column of the first row of a query that always has one.
    pub(in crate::store) fn read_value<T: FromSql>(&self, sql: &str, parameters: impl Params) -> Result<T> {
        self.read_row(sql, parameters, |row| row.get(0))
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

    /// Runs a statement.
    pub(in crate::store) fn run(&self, sql: &str, parameters: impl Params) -> Result<()> {
        self.execute(sql, parameters).map(drop)
    }

    /// Runs a statement and returns the number of changed rows.
    pub(in crate::store) fn execute(&self, sql: &str, parameters: impl Params) -> Result<usize> {
        Ok(self.prepare(sql)?.execute(parameters)?)
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
