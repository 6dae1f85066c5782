//! The names of the accounts of a page, read at once.

use std::collections::{BTreeSet, HashMap};

use crate::error::Result;
use crate::model::account::AccountRef;
use crate::store::Snapshot;
use crate::store::tables::accounts as rows;

/// Names of accounts by their keys, also of deleted ones.
#[derive(Debug, Clone, Default)]
pub struct AccountNames(HashMap<i64, String>);

impl AccountNames {
    /// Reads the names of these accounts with one query.
    pub fn read<'a>(at: &Snapshot<'_>, accounts: impl IntoIterator<Item = &'a AccountRef>) -> Result<Self> {
        let keys: BTreeSet<i64> = accounts.into_iter().map(|account| account.key).collect();
        if keys.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self(rows::list_account_names(at, &keys)?.into_iter().collect()))
    }

    /// The name of an account; its id if it was not read.
    pub fn find<'a>(&'a self, account: &'a AccountRef) -> &'a str {
        self.0.get(&account.key).map_or(account.id.as_str(), String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::accounts;
    use crate::model::audit_context::AuditContext;
    use crate::store::Store;

    #[test]
    fn the_names_of_accounts_are_read_at_once_also_of_deleted_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let names = store.write_blocking(|tx| {
            let context = AuditContext::server();
            let mut refs = Vec::new();
            for (id, name) in [("acme", Some("Acme Inc.")), ("zeta", None)] {
                accounts::create_account(tx, &context, id, name)?;
                refs.push(rows::find_account_ref(tx, id)?.unwrap());
            }
            accounts::delete_account(tx, &context, "acme")?;
            refs.push(AccountRef::unresolved("other"));
            let names = AccountNames::read(tx, &refs)?;
            Ok(refs.iter().map(|account| names.find(account).to_owned()).collect::<Vec<_>>())
        });
        assert_eq!(names.unwrap(), ["Acme Inc.", "zeta", "other"]);
    }
}
