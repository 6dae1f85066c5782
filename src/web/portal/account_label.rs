//! An account as pages name it: with its name, and its id where that is different.

use crate::management::accounts::account_names::AccountNames;
use crate::model::account::AccountRef;

/// Name and id of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccountLabel {
    pub(super) name: String,
    /// `None` if the name is the id.
    pub(super) id: Option<String>,
}

impl AccountLabel {
    pub(super) fn new(name: &str, id: &str) -> Self {
        Self { name: name.to_owned(), id: (name != id).then(|| id.to_owned()) }
    }

    pub(super) fn find(names: &AccountNames, account: &AccountRef) -> Self {
        Self::new(names.find(account), &account.id)
    }
}
