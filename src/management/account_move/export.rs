//! Writes an account to a file. The file appears under its name when it is complete and synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::auth::jwt::SigningKey;
use crate::clock;
use crate::error::Result;
use crate::model::account::AccountRef;
use crate::model::audit_context::AuditContext;
use crate::store::Tx;
use crate::store::tables::account_move::export::{self, ExportOrder};
use crate::store::tables::account_move::file::{AccountFile, AccountFileError, SqliteProblem};
use crate::store::tables::account_move::secrets::{self, TransferKey};
use crate::store::tables::audit::{self, NewAuditEntry};

/// Why an account cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The id is of no account.
    #[error("there is no account {0:?}; `rollcall account list` shows the accounts")]
    AccountUnknown(String),
    /// The file exists.
    #[error("{0} exists already; give another name, or delete it")]
    FileExists(PathBuf),
    /// The account is not at rest: the other instance would repeat the rest of the work.
    #[error(
        "{0} of the account is still running; repeat the command when it has ended; `rollcall account freeze` waits for it"
    )]
    Running(&'static str),
    /// The earlier file cannot be used.
    #[error("{path} cannot be the base: {problem}")]
    Base {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: AccountFileError,
    },
    /// The earlier file is another account, or a difference.
    #[error("{0} cannot be the base: it is not a complete export of this account")]
    BaseForeign(PathBuf),
    /// The file cannot be written.
    #[error("{path} cannot be written: {problem}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        problem: io::Error,
    },
    /// The database or the file cannot be read or written.
    #[error("the export to {path} failed: {problem}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Error of SQLite.
        problem: SqliteProblem,
    },
}

/// What is exported.
pub struct AccountExport<'a> {
    /// The database of the instance.
    pub database: &'a Path,
    /// Id of the account.
    pub account: &'a str,
    /// The new file.
    pub file: &'a Path,
    /// An earlier file, to which only the difference is written.
    pub base: Option<&'a Path>,
    /// Whether the request log is exported too.
    pub with_request_log: bool,
    /// The key of the instance and the one of the file, with which secrets are encrypted again.
    pub keys: Option<(&'a SigningKey, &'a TransferKey)>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenExport {
    /// Id of the export.
    pub id: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether the account was frozen, so that nothing comes after the file.
    pub is_final: bool,
    /// Secrets of webhooks and admins in the account.
    pub secrets: usize,
    /// Of these, those in the file.
    pub secrets_included: usize,
}

/// Writes the account to a new file with mode 0600.
///
/// # Errors
/// [`ExportError`]. Nothing is left of the file then.
pub fn write_export(order: &AccountExport<'_>) -> std::result::Result<WrittenExport, ExportError> {
    if order.file.symlink_metadata().is_ok() {
        return Err(ExportError::FileExists(order.file.to_owned()));
    }
    check_base(order)?;
    let mut name = order.file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let partial = order.file.with_file_name(name);
    let failed = |problem| ExportError::Io { path: order.file.to_owned(), problem };
    match fs::remove_file(&partial) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(failed(problem)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(failed)?;
    let written = fill_file(order, &partial).and_then(|written| {
        publish_file(&partial, order.file).map_err(failed)?;
        Ok(written)
    });
    if written.is_err() {
        // The error of the export is the one that matters.
        drop(fs::remove_file(&partial));
    }
    written
}

fn check_base(order: &AccountExport<'_>) -> std::result::Result<(), ExportError> {
    let Some(path) = order.base else { return Ok(()) };
    let base = AccountFile::open(path).map_err(|problem| ExportError::Base { path: path.to_owned(), problem })?;
    let content = &base.manifest.content;
    let is_usable = content.base_export_id.is_none()
        && content.account_id == order.account
        && content.with_request_log == order.with_request_log;
    if is_usable { Ok(()) } else { Err(ExportError::BaseForeign(path.to_owned())) }
}

fn fill_file(order: &AccountExport<'_>, partial: &Path) -> std::result::Result<WrittenExport, ExportError> {
    let failed = |problem| ExportError::Sqlite { path: order.file.to_owned(), problem };
    let id = clock::new_id();
    let rows = ExportOrder {
        database: order.database,
        account: order.account,
        base: order.base,
        with_request_log: order.with_request_log,
        id: &id,
    };
    let unknown = || ExportError::AccountUnknown(order.account.to_owned());
    let writer = export::begin_export(partial, &rows).map_err(failed)?.ok_or_else(unknown)?;
    let is_final = writer.is_frozen().map_err(failed)?;
    if let Some(work) = writer.find_running_work().map_err(failed)? {
        return Err(ExportError::Running(work.kind.as_str()));
    }
    writer.write_rows(&rows).map_err(failed)?;
    let (secrets, secrets_included) = secrets::write_secrets(&writer, order.keys).map_err(failed)?;
    writer.finish().map_err(failed)?;
    let bytes = fs::metadata(partial).map_or(0, |metadata| metadata.len());
    Ok(WrittenExport { id, bytes, is_final, secrets, secrets_included })
}

/// Syncs the file and gives it its name, which must not exist.
fn publish_file(partial: &Path, file: &Path) -> io::Result<()> {
    let mut opened = File::open(partial)?;
    opened.flush()?;
    opened.sync_all()?;
    fs::hard_link(partial, file)?;
    fs::remove_file(partial)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Appends the audit entry of an export.
///
/// # Errors
/// Errors of the store.
pub fn record_export(tx: &Tx<'_>, context: &AuditContext, account: &AccountRef, written: &WrittenExport) -> Result<()> {
    let after = json!({"exportId": written.id, "isFinal": written.is_final});
    let entry = NewAuditEntry {
        account: Some(account),
        subject_id: Some(&account.id),
        ..NewAuditEntry::new("account.exported", None, Some(after))
    };
    audit::append_entry(tx, context, &entry)
}
