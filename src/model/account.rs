//! An account: a customer of the operator, identified by the operator's own id.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::named_enum::named_enum;

/// Longest account id, in characters.
pub const ID_MAX_CHARS: usize = 128;

/// A reference to an account: the key of its row, which is never reused, and its id, which is a label. A deleted account
/// and a later account with the same id have different keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountRef {
    /// Key of the row. [`AccountRef::NO_KEY`] if there is no account with this id.
    pub key: i64,
    /// Id chosen by the operator.
    pub id: String,
}

impl AccountRef {
    /// Key that no account has.
    pub const NO_KEY: i64 = 0;

    /// A reference by id that is not resolved: it matches no account.
    pub fn unresolved(id: impl Into<String>) -> Self {
        Self { key: Self::NO_KEY, id: id.into() }
    }

    /// Whether both are the same account. An unresolved reference is no account.
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.key != Self::NO_KEY
    }
}

impl Deref for AccountRef {
    type Target = str;

    fn deref(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.id)
    }
}

/// An account appears as its id.
impl Serialize for AccountRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id)
    }
}

named_enum! {
    /// Where an account is while it moves from one instance to another.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum AccountState {
        /// It is served here.
        #[default]
        Active = "active",
        /// Nothing of it changes, until it has moved or the move is ended.
        Frozen = "frozen",
        /// Another instance serves it.
        Moved = "moved",
        /// It is not complete yet.
        Importing = "importing",
    }
}

impl AccountState {
    /// Why calls to the account are refused, or `None` if it is served here.
    pub fn find_refusal(self) -> Option<Reason> {
        match self {
            Self::Active => None,
            Self::Frozen => Some(Reason::AccountMoving),
            Self::Moved => Some(Reason::AccountMoved),
            Self::Importing => Some(Reason::AccountImporting),
        }
    }

    /// Whether this instance reports changes of the account to the operator's application. What is removed after a move, or
    /// before an import is complete, has not changed for the application.
    pub fn is_published_here(self) -> bool {
        matches!(self, Self::Active | Self::Frozen)
    }

    /// Checks that changes of the account are possible.
    ///
    /// # Errors
    /// `AccountMoving`, `AccountMoved`, `AccountImporting`.
    pub fn check_active(self) -> Result<()> {
        self.find_refusal().map_or(Ok(()), |reason| Err(reason.into()))
    }

    /// Checks that the account can be read here.
    ///
    /// # Errors
    /// `AccountMoved`, `AccountImporting`.
    pub fn check_readable(self) -> Result<()> {
        if self == Self::Frozen { Ok(()) } else { self.check_active() }
    }
}

/// Selects the rows of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountFilter {
    /// One account, and no earlier account with the same id.
    Only(AccountRef),
    /// The newest account with this id, also after it was deleted, and no earlier one: a filter of the operator.
    WithId(String),
}

impl AccountFilter {
    /// The id of the accounts.
    pub fn id(&self) -> &str {
        match self {
            Self::Only(account) => &account.id,
            Self::WithId(id) => id,
        }
    }

    /// The key, if the filter selects one account.
    pub fn key(&self) -> Option<i64> {
        match self {
            Self::Only(account) => Some(account.key),
            Self::WithId(_) => None,
        }
    }

    /// Whether the filter selects this account.
    pub fn matches(&self, account: &AccountRef) -> bool {
        match self {
            Self::Only(own) => own.is_same(account),
            Self::WithId(id) => *id == account.id,
        }
    }
}

/// Access that ends when an account is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountAccess {
    /// Admins that are limited to the account and not disabled.
    pub admins: i64,
    /// Their sessions.
    pub sessions: i64,
    /// API keys that are not revoked.
    pub api_keys: i64,
    /// Tokens of configurations that are not revoked.
    pub tokens: i64,
    /// Setup links that are open.
    pub setup_links: i64,
}

/// A customer of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Key of the row, never reused.
    pub key: i64,
    /// Id chosen by the operator.
    pub id: String,
    /// Display name; the id until a name is set.
    pub name: String,
    /// When the account was first used, or first used again after it was deleted.
    pub created_at: Millis,
    /// Number of configurations.
    pub configurations: i64,
}

impl Account {
    /// A reference to this account.
    pub fn reference(&self) -> AccountRef {
        AccountRef { key: self.key, id: self.id.clone() }
    }
}

/// Checks an account id: 1 to 128 characters, no control characters, no leading or trailing space.
///
/// # Errors
/// `Invalid`.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.chars().count() > ID_MAX_CHARS {
        return Err(Reason::AccountIdLength.with("max", ID_MAX_CHARS));
    }
    if id.trim() != id || id.chars().any(char::is_control) {
        return Err(Reason::AccountIdCharacters.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_any_short_text_without_control_characters() {
        for good in ["acme", "a", "Müller & Söhne", &"x".repeat(128)] {
            assert!(check_id(good).is_ok(), "{good:?}");
        }
        for bad in ["", " acme", "acme ", "a\nb", "a\0b", &"x".repeat(129)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
