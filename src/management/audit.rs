//! The audit log: administrative changes and their actors.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::management::accounts::account_names::AccountNames;
use crate::management::accounts::account_scope;
use crate::model::audit_context::{AccountScope, ActorKind};
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::Snapshot;
use crate::store::tables::audit::{self, AuditLimit};
pub use crate::store::tables::audit::{AuditEntry, AuditQuery};
use crate::store::tables::{admins, configurations};

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

/// The names that belong to the ids of audit entries.
#[derive(Debug, Clone, Default)]
pub struct AuditNames {
    /// Names of connections, and whether they exist: a deleted one has its name too.
    pub connections: BTreeMap<String, (String, bool)>,
    /// Names of admins.
    pub admins: BTreeMap<String, String>,
    /// Names of accounts.
    pub accounts: AccountNames,
}

/// Returns the names of the connections, admins and accounts of the entries of a page.
pub fn read_names(at: &Snapshot<'_>, entries: &[AuditEntry]) -> Result<AuditNames> {
    let accounts = AccountNames::read(at, entries.iter().filter_map(|entry| entry.account.as_ref()))?;
    let mut names = AuditNames { accounts, ..AuditNames::default() };
    for entry in entries {
        if let Some(id) = entry.configuration_id.as_deref().filter(|id| !names.connections.contains_key(*id))
            && let Some(found) = configurations::find_configuration_including_deleted(at, id)?
        {
            names.connections.insert(id.to_owned(), (found.connection_name, found.deleted_at.is_none()));
        }
        let [kind, id, _] = &entry.actor;
        if kind == ActorKind::Admin.as_str()
            && !names.admins.contains_key(id)
            && let Some(found) = admins::find_admin_by_id(at, id)?
        {
            names.admins.insert(id.clone(), found.name);
        }
    }
    Ok(names)
}

/// Returns ids and names of the first connections of the account scope, ordered by account and name, at most `limit`.
pub fn list_connection_names(at: &Snapshot<'_>, scope: &AccountScope, limit: usize) -> Result<Vec<(String, String)>> {
    let found = configurations::list_configurations(at, scope.filter(None).as_ref())?;
    Ok(found.into_iter().take(limit).map(|one| (one.id, one.connection_name)).collect())
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
