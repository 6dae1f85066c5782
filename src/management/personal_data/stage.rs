//! What a step of any stage needs: the request, the user, and the range of rows that it reads.

use serde_json::Value;

use crate::error::Result;
use crate::management::personal_data::progress::Progress;
use crate::model::personal_data::{ErasureSubject, PersonalDataKind};
use crate::model::request::LoggedCall;
use crate::store::Snapshot;
use crate::store::tables::personal_data::PersonalDataRow;
use crate::store::tables::personal_rows::{self as rows, NumberRange, NumberedTable, RowsFound};

/// Rows of a table, of any account, that one step reads.
const ROWS_PER_STEP: i64 = 2_000;
/// Bytes of texts that one step reads.
pub(super) const BYTES_PER_STEP: usize = 1 << 20;

/// A request with what a step needs.
pub(super) struct StageContext {
    /// The request.
    pub(super) row: PersonalDataRow,
    /// How far the work is.
    pub(super) progress: Progress,
    /// What is known of the user.
    pub(super) subject: ErasureSubject,
    /// Keys and ids of the configurations of the account, also of deleted ones.
    pub(super) configurations: Vec<(i64, String)>,
    /// The keys, as the store expects them.
    pub(super) keys: String,
}

impl StageContext {
    /// Whether this is the key of a configuration of the account.
    pub(super) fn has_configuration(&self, key: i64) -> bool {
        self.configurations.binary_search_by_key(&key, |(own, _)| *own).is_ok()
    }

    /// Returns the id of a configuration of the account.
    pub(super) fn configuration_id(&self, key: i64) -> &str {
        let found = self.configurations.binary_search_by_key(&key, |(own, _)| *own);
        found.ok().and_then(|at| self.configurations.get(at)).map_or("", |(_, id)| id)
    }

    /// Whether it is an erasure.
    pub(super) fn is_erasure(&self) -> bool {
        self.row.kind == PersonalDataKind::Erasure
    }
}

/// Returns the range of a table that the step reads.
pub(super) fn read_number_range(
    at: &Snapshot<'_>,
    context: &StageContext,
    table: NumberedTable,
) -> Result<NumberRange> {
    let until = match context.progress.until {
        Some(until) => until,
        None => rows::find_last_number(at, table)?,
    };
    Ok(NumberRange { after: context.progress.position, until, rows: ROWS_PER_STEP, bytes: BYTES_PER_STEP })
}

/// A row about the user that an erasure changes.
#[derive(Debug)]
pub(super) enum FoundRow {
    /// A user.
    User { configuration: i64, id: String },
    /// A held state.
    Held { number: i64 },
    /// A tombstone.
    Tombstone { number: i64 },
    /// An event, with its payload before and after.
    Event { seq: i64, before: String, after: String },
    /// A logged call without the data.
    Call { configuration: i64, call: Box<LoggedCall> },
    /// An audit entry.
    Audit { entry: i64 },
    /// An attempt of a webhook.
    Attempt { attempt: i64 },
    /// The last error of a lane of a webhook.
    Lane { webhook: i64, configuration: i64, text: String },
}

/// Returns the next step of a stage that reads a table by number.
pub(super) fn next_in_table<T>(context: &StageContext, until: i64, found: &RowsFound<T>) -> Progress {
    let stage = context.progress.stage;
    match found.next {
        Some(position) => Progress { position, until: Some(until), ..context.progress.clone() },
        None => Progress::at_stage(stage.next(context.row.kind)),
    }
}

/// What one row contains.
pub(super) enum RowFinding {
    /// An item of the file.
    Item(Value),
    /// A row to change.
    Row(FoundRow),
}
