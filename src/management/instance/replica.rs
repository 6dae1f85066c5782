//! The proof of the replica: whether a copy that was restored from it is complete and good. The last result is stored, so that
//! it survives a restart and is in the backups.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, Result};
use crate::replica::ProofResult;
use crate::store::engine::backup::{self, BackupError};
use crate::store::tables::instance;
use crate::store::{Snapshot, Tx};

/// Key in `instance` of the last result, as JSON.
const PROOF_KEY: &str = "replica_proof";

/// Returns the last result. `None` if the replica was never proven.
pub fn find_proof(at: &Snapshot<'_>) -> Result<Option<ProofResult>> {
    let Some(text) = instance::get_value(at, PROOF_KEY)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|problem| Error::undecodable("the proof of the replica", problem))
}

/// Stores a result in place of the last one.
pub fn record_proof(tx: &Tx<'_>, proof: &ProofResult) -> Result<()> {
    let text =
        serde_json::to_string(proof).map_err(|problem| Error::undecodable("the proof of the replica", problem))?;
    instance::set_value(tx, PROOF_KEY, &text)
}

/// Checks a file that was restored from the replica like a restore does: pages, rows, references and counters. Then compares its
/// newest event with the range that it must be in: the newest events of the server before and after the restore. Returns the
/// first finding, and the newest event in the file.
///
/// # Errors
/// `Stopped` if `stop` becomes true.
pub fn check_restored_file(
    file: &Path,
    newest: std::ops::RangeInclusive<i64>,
    stop: &Arc<AtomicBool>,
) -> std::result::Result<(Option<String>, i64), BackupError> {
    match backup::verify_backup(file, stop) {
        Err(BackupError::Stopped) => return Err(BackupError::Stopped),
        Err(finding) => return Ok((Some(finding.to_string()), 0)),
        Ok(()) => {}
    }
    let found = match backup::read_newest_event(file) {
        Ok(found) => found,
        Err(problem) => return Ok((Some(problem.to_string()), 0)),
    };
    let finding = (!newest.contains(&found)).then(|| {
        format!(
            "the newest event in the replica has the number {found}, and the server had {} to {}",
            newest.start(),
            newest.end()
        )
    });
    Ok((finding, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn the_last_result_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        assert_eq!(store.read_inline(find_proof).unwrap(), None);
        for finding in [Some("page 3 is damaged".to_owned()), None] {
            let proof = ProofResult { at: 5, finding, newest_event: 7, bytes: 9, took_ms: 11 };
            let stored = proof.clone();
            store.write_blocking(move |tx| record_proof(tx, &stored)).unwrap();
            assert_eq!(store.read_inline(find_proof).unwrap(), Some(proof));
        }
    }

    #[test]
    fn a_file_that_lacks_events_or_is_no_database_is_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open_for_command(folder.path()).unwrap());
        let (file, stop) = (folder.path().join("rollcall.db"), Arc::default());
        assert_eq!(check_restored_file(&file, 0..=3, &stop).unwrap(), (None, 0));
        let (finding, _) = check_restored_file(&file, 2..=3, &stop).unwrap();
        assert!(finding.unwrap().contains("the server had 2 to 3"));
        std::fs::write(&file, "no database").unwrap();
        assert!(check_restored_file(&file, 0..=3, &stop).unwrap().0.is_some());
    }
}
