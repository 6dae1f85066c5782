//! The audit log: administrative changes and their actors.

use crate::error::Result;
use crate::management::accounts::account_scope;
use crate::model::audit_context::AccountScope;
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::Snapshot;
use crate::store::tables::audit::{self, AuditLimit};
pub use crate::store::tables::audit::{AuditEntry, AuditQuery};

/// A page of the audit log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Whether older entries follow.
    pub has_more: bool,
}

/// Returns a page of at most `limit` entries. It ends early if the values of its entries are large.
pub fn list_audit_entries(at: &Snapshot<'_>, query: &AuditQuery, limit: u32) -> Result<AuditPage> {
    list_up_to(at, query, limit, ANSWER_MAX_BYTES)
}

/// Returns the entry with this number, if it belongs to the account scope.
pub fn find_audit_entry(at: &Snapshot<'_>, scope: &AccountScope, number: i64) -> Result<Option<AuditEntry>> {
    let query = AuditQuery { before: number.checked_add(1), account: scope.filter(None), ..AuditQuery::default() };
    let newest = list_audit_entries(at, &query, 1)?.entries.pop();
    Ok(newest.filter(|entry| entry.number == number))
}

fn list_up_to(at: &Snapshot<'_>, query: &AuditQuery, limit: u32, bytes: usize) -> Result<AuditPage> {
    let account = query.account.clone().map(|account| account_scope::resolve_filter(at, account)).transpose()?;
    let query = &AuditQuery { account, ..query.clone() };
    // One more than requested shows whether there is a next page.
    let (mut entries, is_cut) = audit::list_entries(at, query, AuditLimit { count: limit + 1, bytes })?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = is_cut || entries.len() > limit;
    entries.truncate(limit);
    Ok(AuditPage { entries, has_more })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::audit_context::AuditContext;
    use crate::store::Store;
    use crate::store::tables::audit::{NewAuditEntry, append_entry};

    #[test]
    fn a_page_of_large_entries_ends_early_and_the_next_one_continues() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let append = |tx: &crate::store::Tx<'_>| {
            (0..10).try_for_each(|number| {
                let after = Some(json!({"number": number, "text": "x".repeat(1_000)}));
                append_entry(tx, &AuditContext::server(), &NewAuditEntry::new("test.made", None, after))
            })
        };
        store.write_blocking(append).unwrap();
        let list = |before: Option<i64>, bytes: usize| {
            let query = AuditQuery { before, action: Some("test".to_owned()), ..AuditQuery::default() };
            store.read_inline(|at| list_up_to(at, &query, 8, bytes)).unwrap()
        };
        let mut numbers = Vec::new();
        let (mut before, mut pages) = (None, 0);
        loop {
            // Two entries fit, and a third one does not.
            let page = list(before, 4_000);
            assert!(page.entries.len() <= 2, "{}", page.entries.len());
            numbers.extend(page.entries.iter().map(|entry| entry.number));
            before = numbers.last().copied();
            pages += 1;
            if !page.has_more {
                break;
            }
        }
        assert_eq!((numbers.len(), pages), (10, 5));
        assert!(numbers.windows(2).all(|pair| pair[0] > pair[1]), "{numbers:?}");
        let by_count = list(None, usize::MAX);
        assert_eq!((by_count.entries.len(), by_count.has_more), (8, true));
        // The first entry is always included.
        assert_eq!(list(None, 0).entries.len(), 1);
    }
}
