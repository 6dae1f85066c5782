//! Imports an account from a file, in steps of bounded size. How far it is is stored with the rows of each step, so an import that was
//! interrupted continues.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::auth::jwt::SigningKey;
use crate::error::{Error, Reason, Result};
use crate::model::account::{self, AccountRef, AccountState};
use crate::model::audit_context::AuditContext;
pub use crate::store::tables::account_move::file::{AccountFile, ExportManifest};
use crate::store::tables::account_move::file::{AccountFileError, CellValue, ManifestDraft, RowBatch, SqliteProblem};
use crate::store::tables::account_move::import::{self as rows, ImportPhase, ImportProgress, RowWriter};
pub use crate::store::tables::account_move::import::{AccountImport, find_import};
pub use crate::store::tables::account_move::secrets::TransferKey;
use crate::store::tables::account_move::secrets::{self, TransferredSecret};
use crate::store::tables::account_move::tables::{self, MOVED_TABLES, MovedTable};
use crate::store::tables::accounts;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::{Snapshot, Tx};

/// Values that one query compares.
const COMPARED_PER_QUERY: usize = 500;
/// Numbers of rows that one query counts.
const COUNTED_PER_QUERY: i64 = 100_000;
/// Values in use that an error names.
const CONFLICTS_MAX: usize = 10;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{path} cannot be imported: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: AccountFileError,
    },
    /// The id of the account is in use.
    #[error("there is an account {0:?} already; nothing was changed; give another id with --account")]
    AccountExists(String),
    /// The id of the account is not valid.
    #[error("{0:?} is not an account id; use at most 128 characters")]
    AccountInvalid(String),
    /// Values of the account are in use.
    #[error("this instance has rows of this account, or of a copy of it: {0}; nothing was changed")]
    Conflicts(String),
    /// The file needs an earlier one.
    #[error(
        "{path} is a difference to the export {base}, and this is not the last file that was imported; import that file first"
    )]
    BaseAbsent {
        /// The file.
        path: PathBuf,
        /// Id of the export that it is the difference to.
        base: String,
    },
    /// Another file is being imported.
    #[error("the import of the export {0} was interrupted; run it again first")]
    OtherFile(String),
    /// The account is complete.
    #[error("the account {0:?} is complete here; nothing was changed")]
    Complete(String),
    /// The rows are not those of the file.
    #[error(
        "{table} has {found} rows of the account instead of {expected}; the account stays in the state of an import"
    )]
    Incomplete {
        /// The table.
        table: String,
        /// Its rows here.
        found: i64,
        /// Its rows on the other instance.
        expected: i64,
    },
    /// The passphrase is not that of the file.
    #[error("the passphrase is not that of the export; nothing was changed")]
    PassphraseWrong,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a file is for this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportStart {
    /// The account does not exist: the file is the first of it.
    First,
    /// The file is the difference to the one that was imported.
    Difference(i64),
    /// The file is being imported, and that was interrupted.
    Continue(i64),
    /// All rows of the file are imported.
    Done(AccountImport),
}

/// Opens a file, and checks that this program can import it.
///
/// # Errors
/// `ImportError::File`.
pub fn open_file(path: &Path) -> std::result::Result<AccountFile, ImportError> {
    AccountFile::open(path).map_err(|problem| ImportError::File { path: path.to_owned(), problem })
}

/// Returns what a file is for this instance.
///
/// # Errors
/// Why it cannot be imported now.
pub fn find_start(
    at: &Snapshot<'_>,
    path: &Path,
    content: &ManifestDraft,
    id: &str,
) -> std::result::Result<ImportStart, ImportError> {
    account::check_id(id).map_err(|_| ImportError::AccountInvalid(id.to_owned()))?;
    let base_absent = |base: &str| ImportError::BaseAbsent { path: path.to_owned(), base: base.to_owned() };
    let base = content.base_export_id.as_deref();
    let Some(found) = accounts::find_account_ref(at, id)? else {
        return base.map_or(Ok(ImportStart::First), |base| Err(base_absent(base)));
    };
    let Some(import) = rows::find_import(at, found.key)? else {
        return Err(ImportError::AccountExists(id.to_owned()));
    };
    let is_same = import.export_id == content.export_id;
    if import.completed_at.is_some() && !is_same {
        return Err(ImportError::Complete(id.to_owned()));
    }
    match (&import.progress, base) {
        (Some(_), _) if is_same => Ok(ImportStart::Continue(found.key)),
        (Some(_), _) => Err(ImportError::OtherFile(import.export_id)),
        (None, _) if is_same => Ok(ImportStart::Done(import)),
        (None, Some(base)) if base == import.export_id => Ok(ImportStart::Difference(found.key)),
        (None, Some(base)) => Err(base_absent(base)),
        (None, None) => Err(ImportError::AccountExists(id.to_owned())),
    }
}

/// The values of one column that only one row may have.
pub struct UniqueValues {
    table: &'static MovedTable,
    column: &'static str,
    values: Vec<CellValue>,
}

/// Returns the unique values of a file in parts.
///
/// # Errors
/// The file cannot be read.
pub fn list_unique_values(path: &Path, file: &AccountFile) -> std::result::Result<Vec<UniqueValues>, ImportError> {
    let mut parts = Vec::new();
    for table in MOVED_TABLES {
        let mut after = 0;
        while !table.unique.is_empty() {
            let batch = read_rows(path, file, (table.name, after))?;
            for column in table.unique {
                let Some(at) = batch.columns.iter().position(|name| name == column) else { continue };
                let values: Vec<CellValue> = batch.rows.iter().map(|row| row[at].clone()).collect();
                for values in values.chunks(COMPARED_PER_QUERY) {
                    parts.push(UniqueValues { table, column, values: values.to_vec() });
                }
            }
            after = batch.last;
            if !batch.has_more {
                break;
            }
        }
    }
    Ok(parts)
}

fn read_rows(
    path: &Path,
    file: &AccountFile,
    (table, after): (&str, i64),
) -> std::result::Result<RowBatch, ImportError> {
    let failed = |problem: SqliteProblem| ImportError::File { path: path.to_owned(), problem: problem.into() };
    file.read_rows(table, after).map_err(failed)
}

/// Returns those of the values that this instance has, as `table column value`.
pub fn find_conflicts(at: &Snapshot<'_>, part: &UniqueValues) -> Result<Vec<String>> {
    let found = rows::list_existing(at, part.table.name, part.column, &part.values)?;
    Ok(found.into_iter().map(|value| format!("{} {} {value}", part.table.name, part.column)).collect())
}

/// Returns the error that names the first values in use, or `Ok` without any.
///
/// # Errors
/// `ImportError::Conflicts`.
pub fn check_conflicts(found: &[String]) -> std::result::Result<(), ImportError> {
    if found.is_empty() {
        return Ok(());
    }
    let mut text = found.iter().take(CONFLICTS_MAX).cloned().collect::<Vec<_>>().join(", ");
    if found.len() > CONFLICTS_MAX {
        text.push_str(", …");
    }
    Err(ImportError::Conflicts(text))
}

/// Creates the account in the state of an import, and begins its file. Returns the key.
///
/// # Errors
/// `AccountExists`.
pub fn begin_first(tx: &Tx<'_>, id: &str, content: &ManifestDraft) -> Result<i64> {
    if accounts::find_account_ref(tx, id)?.is_some() {
        return Err(Reason::AccountExists.into());
    }
    rows::insert_import(tx, id, content)
}

/// Begins the file of a difference.
///
/// # Errors
/// `AccountStateWrong` if the account is not being imported, or another import has begun.
pub fn begin_difference(tx: &Tx<'_>, account: i64, content: &ManifestDraft) -> Result<()> {
    let import = rows::find_import(tx, account)?;
    let is_waiting = import.is_some_and(|import| import.progress.is_none() && import.completed_at.is_none());
    if !is_waiting {
        return Err(Reason::AccountStateWrong
            .with("state", "imported already")
            .with("expected", AccountState::Importing));
    }
    rows::begin_file(tx, account, content)
}

/// One step of an import: what is read from the file, and what is stored next.
#[derive(Debug)]
pub struct ImportStep {
    account: i64,
    /// The stored progress.
    before: ImportProgress,
    /// What is done with the rows.
    phase: ImportPhase,
    next: Option<ImportProgress>,
    work: StepWork,
    with_request_log: bool,
}

/// What a step does in its transaction.
#[derive(Debug)]
enum StepWork {
    Nothing,
    Reserve(&'static MovedTable, (i64, i64), RowBatch),
    Rows(&'static MovedTable, RowBatch),
    Count(i64),
}

impl StepWork {
    /// Whether nothing changes.
    fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Rows(_, batch) => batch.rows.is_empty(),
            Self::Reserve(..) | Self::Count(_) => false,
        }
    }
}

/// Reads the next step of an import. Returns `None` if nothing is left of the file.
///
/// # Errors
/// The file or the store cannot be read.
pub fn plan_step(
    at: &Snapshot<'_>,
    (path, file): (&Path, &AccountFile),
    account: i64,
) -> std::result::Result<Option<ImportStep>, ImportError> {
    let Some(before) = rows::find_import(at, account)?.and_then(|import| import.progress) else { return Ok(None) };
    let with_request_log = file.manifest.content.with_request_log;
    let mut current = before.clone();
    // Tables without rows need no transaction.
    loop {
        let (work, next) = plan_work(at, (path, file), account, &current)?;
        match next {
            Some(next) if work.is_empty() => current = next,
            next => {
                return Ok(Some(ImportStep { account, before, phase: current.phase, next, work, with_request_log }));
            }
        }
    }
}

fn plan_work(
    at: &Snapshot<'_>,
    (path, file): (&Path, &AccountFile),
    account: i64,
    before: &ImportProgress,
) -> std::result::Result<PlannedImport, ImportError> {
    match before.phase {
        ImportPhase::Remove => plan_removal((path, file), before),
        ImportPhase::Park => plan_rows((path, file), before, ImportPhase::Insert),
        ImportPhase::Insert => match plan_reservation(at, (path, file), account, before)? {
            Some(planned) => Ok(planned),
            None => plan_rows((path, file), before, ImportPhase::Derive),
        },
        ImportPhase::Derive => Ok(match rows::list_configuration_keys(at, account)?.get(before.table) {
            Some(key) => (StepWork::Count(*key), Some(ImportProgress { table: before.table + 1, ..before.clone() })),
            None => (StepWork::Nothing, None),
        }),
    }
}

type PlannedImport = (StepWork, Option<ImportProgress>);

fn start_phase(phase: ImportPhase) -> ImportProgress {
    ImportProgress { phase, table: 0, after: 0, is_reserved: false }
}

/// Rows are removed in the opposite order: those that refer to others first.
fn plan_removal(
    (path, file): (&Path, &AccountFile),
    before: &ImportProgress,
) -> std::result::Result<PlannedImport, ImportError> {
    let Some(table) = MOVED_TABLES.len().checked_sub(before.table + 1).and_then(rows::find_table_at) else {
        return Ok((StepWork::Nothing, Some(start_phase(ImportPhase::Park))));
    };
    let batch = read_rows(path, file, (&format!("removed_{}", table.name), before.after))?;
    let next = find_next_progress(before, &batch);
    // Roles can be of other accounts too.
    let is_shared = table.name == "roles";
    Ok((if is_shared { StepWork::Nothing } else { StepWork::Rows(table, batch) }, Some(next)))
}

fn plan_rows(
    (path, file): (&Path, &AccountFile),
    before: &ImportProgress,
    next_phase: ImportPhase,
) -> std::result::Result<PlannedImport, ImportError> {
    let Some(table) = rows::find_table_at(before.table) else {
        return Ok((StepWork::Nothing, Some(start_phase(next_phase))));
    };
    if before.phase == ImportPhase::Park && table.parked.is_empty() {
        let next = ImportProgress { table: before.table + 1, ..before.clone() };
        return Ok((StepWork::Nothing, Some(next)));
    }
    let batch = read_rows(path, file, (table.name, before.after))?;
    let next = find_next_progress(before, &batch);
    Ok((StepWork::Rows(table, batch), Some(next)))
}

fn find_next_progress(before: &ImportProgress, batch: &RowBatch) -> ImportProgress {
    if batch.has_more {
        return ImportProgress { after: batch.last, ..before.clone() };
    }
    ImportProgress { table: before.table + 1, after: 0, is_reserved: false, ..before.clone() }
}

/// Before the first rows of a numbered table, its numbers are reserved: the row with the highest number is inserted first.
fn plan_reservation(
    at: &Snapshot<'_>,
    (path, file): (&Path, &AccountFile),
    account: i64,
    before: &ImportProgress,
) -> std::result::Result<Option<PlannedImport>, ImportError> {
    let Some(table) = rows::find_table_at(before.table).filter(|_| !before.is_reserved) else { return Ok(None) };
    let reserved = ImportProgress { is_reserved: true, ..before.clone() };
    let range = table.numbered.and_then(|kind| Some((kind, *file.manifest.content.ranges.get(kind.as_str())?)));
    let Some((kind, range)) = range else { return Ok(Some((StepWork::Nothing, Some(reserved)))) };
    let gaps = rows::load_numbers(at, account)?.find_gaps(kind, range);
    let Some(gap) = gaps.first() else { return Ok(Some((StepWork::Nothing, Some(reserved)))) };
    let failed = |problem: SqliteProblem| ImportError::File { path: path.to_owned(), problem: problem.into() };
    let highest = file.read_highest_row(table, *gap).map_err(failed)?;
    // The table has the numbers of the next gap in the next step.
    Ok(Some((StepWork::Reserve(table, *gap, highest), Some(before.clone()))))
}

/// Runs a step.
///
/// # Errors
/// `AccountBusy` if another command has run it. Errors of the store.
pub fn run_step(tx: &Tx<'_>, step: &ImportStep) -> Result<()> {
    let current = rows::find_import(tx, step.account)?.and_then(|import| import.progress);
    if current.as_ref() != Some(&step.before) {
        return Err(Reason::AccountBusy.with("work", "another import"));
    }
    match &step.work {
        StepWork::Nothing => {}
        StepWork::Count(configuration) => rows::count_resources_again(tx, *configuration)?,
        StepWork::Reserve(table, range, highest) => {
            rows::reserve_numbers(tx, step.account, table, *range)?;
            RowWriter::load(tx, step.account, step.with_request_log)?.insert_rows(table, highest)?;
        }
        StepWork::Rows(table, batch) => {
            let writer = RowWriter::load(tx, step.account, step.with_request_log)?;
            match step.phase {
                ImportPhase::Remove => writer.remove_rows(table, batch)?,
                ImportPhase::Park => writer.park_rows(table, batch)?,
                ImportPhase::Insert | ImportPhase::Derive => writer.insert_rows(table, batch)?,
            }
        }
    }
    rows::save_progress(tx, step.account, step.next.as_ref())
}

/// A part of the rows of an imported account in one table.
#[derive(Debug, Clone, Copy)]
pub struct CountedPart {
    table: &'static MovedTable,
    range: (i64, i64),
}

/// Returns the parts in which the rows of an account in a table are counted, so that each takes a short time.
pub fn list_counted_parts(at: &Snapshot<'_>, account: i64, table: &str) -> Result<Vec<CountedPart>> {
    let Some(table) = tables::find_table(table) else { return Ok(Vec::new()) };
    let Some(kind) = table.numbered else { return Ok(vec![CountedPart { table, range: (0, 0) }]) };
    let numbers = rows::load_numbers(at, account)?;
    let mut parts = Vec::new();
    for range in numbers.list_ranges(kind) {
        let end = range.new_first + (range.last - range.first);
        let mut first = range.new_first;
        while first <= end {
            let last = end.min(first + COUNTED_PER_QUERY - 1);
            parts.push(CountedPart { table, range: (first, last) });
            first = last + 1;
        }
    }
    Ok(parts)
}

/// Tables whose old rows are deleted by time, also while the account waits for the difference.
const EXPIRING_TABLES: &[&str] = &[
    "admin_invites",
    "events",
    "oauth_assertions",
    "oauth_secrets",
    "personal_data_parts",
    "personal_data_requests",
    "removals",
    "requests",
    "setup_link_visits",
    "tokens",
    "tombstone_members",
    "tombstones",
    "traffic",
    "webhook_attempts",
];

/// Checks that a table has as many rows of the account as on the other instance. Fewer are right where rows expire.
///
/// # Errors
/// `ImportError::Incomplete`.
pub fn check_count(table: &str, found: i64, expected: i64) -> std::result::Result<(), ImportError> {
    if found == expected || (found < expected && EXPIRING_TABLES.contains(&table)) {
        return Ok(());
    }
    Err(ImportError::Incomplete { table: table.to_owned(), found, expected })
}

/// Returns the number of rows of a part.
pub fn count_part(at: &Snapshot<'_>, account: i64, part: CountedPart) -> Result<i64> {
    rows::count_rows(at, part.table, account, part.range)
}

/// Returns the secrets of a file, encrypted with the key of this instance.
///
/// # Errors
/// `ImportError::PassphraseWrong`.
pub fn read_secrets(
    path: &Path,
    file: &AccountFile,
    keys: (&SigningKey, &TransferKey),
) -> std::result::Result<Vec<TransferredSecret>, ImportError> {
    let failed = |problem: SqliteProblem| ImportError::File { path: path.to_owned(), problem: problem.into() };
    secrets::read_secrets(file, keys).map_err(failed)?.ok_or(ImportError::PassphraseWrong)
}

/// Makes an imported account active, with an audit entry.
///
/// # Errors
/// `AccountStateWrong` if rows are left, or if the account could change after the export.
pub fn complete_import(tx: &Tx<'_>, context: &AuditContext, account: i64, secrets: &[TransferredSecret]) -> Result<()> {
    let import = rows::find_import(tx, account)?;
    let Some(import) = import.filter(|import| import.progress.is_none() && import.is_final) else {
        return Err(Reason::AccountStateWrong.with("state", "incomplete").with("expected", AccountState::Frozen));
    };
    if import.completed_at.is_some() {
        return Ok(());
    }
    secrets::store_secrets(tx, secrets)?;
    rows::complete_import(tx, account)?;
    let reference = AccountRef { key: account, id: accounts::find_account_id(tx, account)?.unwrap_or_default() };
    let after = json!({"exportId": import.export_id, "sourceId": import.source_id});
    let entry = NewAuditEntry {
        account: Some(&reference),
        subject_id: Some(&reference.id),
        ..NewAuditEntry::new("account.imported", None, Some(after))
    };
    audit::append_entry(tx, context, &entry)
}
