//! What an account still changes in the background, in steps.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::named_enum::named_enum;
use crate::store::Snapshot;

named_enum! {
    /// A kind of work in steps.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum WorkKind {
        /// A large change of a user or group.
        Change = "a large change",
        /// The removal of references to a deleted resource.
        References = "the removal of references",
        /// A rejected hold.
        Rejection = "the rejection of a hold",
        /// An undo of removals.
        Reversal = "the reversal of removals",
        /// The catch-up after a pause or a hold.
        CatchUp = "a catch-up",
        /// A purge of a deleted configuration.
        Purge = "a purge",
        /// A request about the data of a user.
        PersonalData = "a request about personal data",
    }
}

/// The next step of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingWork {
    /// What it is.
    pub kind: WorkKind,
    /// Number of the resource of a large change, else the key of the configuration.
    pub key: i64,
    /// Id of the deleted resource, for references.
    pub subject: String,
    /// Up to which event a purge has removed personal data.
    pub redacted_seq: i64,
}

/// The first pending row of each kind: key, subject, and the number of an event. Large changes come first: others wait for them.
const QUERIES: [(WorkKind, &str); 7] = [
    (WorkKind::Change, "resource, '', 0 FROM {db}.pending_changes WHERE configuration IN {configurations}"),
    (
        WorkKind::References,
        "configuration, deleted_id, 0 FROM {db}.pending_references WHERE configuration IN {configurations}",
    ),
    (
        WorkKind::Rejection,
        "configuration, '', 0 FROM {db}.holds WHERE rejection IS NOT NULL AND configuration IN {configurations}",
    ),
    (
        WorkKind::Reversal,
        "configuration, '', 0 FROM {db}.undos WHERE progress IS NOT NULL AND configuration IN {configurations}",
    ),
    (
        WorkKind::CatchUp,
        "configuration, '', 0 FROM {db}.configurations
         WHERE holds = 1 AND sync = 1 AND held = 0 AND purge_seq IS NULL AND deleted_at IS NULL AND account = ?1",
    ),
    (
        WorkKind::Purge,
        "configuration, '', purge_seq FROM {db}.configurations WHERE purge_seq IS NOT NULL AND account = ?1",
    ),
    (
        WorkKind::PersonalData,
        "request, '', 0 FROM {db}.personal_data_requests WHERE state = 'running' AND account = ?1",
    ),
];

/// Returns the next step of an account in a database with this schema name.
pub(super) fn find_pending_work(
    connection: &Connection,
    database: &str,
    account: i64,
) -> rusqlite::Result<Option<PendingWork>> {
    let configurations = "(SELECT c.configuration FROM {db}.configurations c WHERE c.account = ?1)";
    for (kind, query) in QUERIES {
        let query = query.replace("{configurations}", configurations).replace("{db}", database);
        let mut statement = connection.prepare_cached(&format!("SELECT {query} LIMIT 1"))?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(PendingWork { kind, key: row.get(0)?, subject: row.get(1)?, redacted_seq: row.get(2)? })
        };
        if let Some(found) = statement.query_row([account], read).optional()? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Returns the next step of an account.
pub fn find_next_work(at: &Snapshot<'_>, account: i64) -> Result<Option<PendingWork>> {
    Ok(find_pending_work(at.connection(), "main", account)?)
}

/// Returns how many requests of the webhooks of an account were begun and have not failed since.
pub fn count_open_requests(at: &Snapshot<'_>, account: i64) -> Result<i64> {
    at.read_value(
        "SELECT count(*) FROM webhooks w JOIN webhook_lanes l ON l.webhook = w.webhook
         WHERE w.account = ?1 AND (l.batch_end IS NOT NULL OR l.backfill_end IS NOT NULL) AND l.failing_since IS NULL",
        [account],
    )
}
