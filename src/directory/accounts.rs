//! Accounts: the customers of the operator.

use serde_json::json;

use super::configurations::{self, Content};
use crate::error::{Error, Result};
use crate::model::account::{self, Account};
use crate::model::actor::{By, Reach};
use crate::model::names;
use crate::store::audit::{self, Entry};
use crate::store::{Snapshot, Tx, accounts as rows};

/// Accounts within a reach in the order of their ids, at most `limit`, those after the id `after` where one is given.
pub fn list(at: &Snapshot<'_>, reach: &Reach, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
    rows::list(at, reach.account(), after, limit)
}

/// The account with that id within a reach; one outside of it is not there, in the same words.
pub fn within(at: &Snapshot<'_>, reach: &Reach, id: &str) -> Result<Account> {
    let found = if reach.covers(id) { rows::by_id(at, id)? } else { None };
    found.ok_or_else(|| Error::NotFound("there is no account with this id".to_owned()))
}

/// Makes an account; one that was deleted begins anew.
///
/// # Errors
/// `Refused` names the argument that breaks a rule; `Conflict` where there is one with that id.
pub fn create(tx: &Tx<'_>, by: &By, id: &str, name: Option<&str>) -> Result<Account> {
    account::check_id(id).map_err(|refused| Error::Refused(format!("id: {refused}")))?;
    if !by.reach.covers(id) {
        return Err(Error::Refused("id: frontegg-tenant-id names another account; leave it out".to_owned()));
    }
    let name = name.map(|name| names::check("name", name)).transpose().map_err(Error::Refused)?;
    if !rows::ensure(tx, id)? {
        return Err(Error::Conflict("there is an account with this id already".to_owned()));
    }
    if let Some(name) = name {
        rows::rename(tx, id, name)?;
    }
    let made = within(tx, &Reach::Everywhere, id)?;
    let after = json!({"name": made.name});
    audit::append(tx, by, &Entry { after: Some(after), ..about(&made, "account.created") })?;
    Ok(made)
}

/// Gives an account another name.
///
/// # Errors
/// `NotFound`; `Refused` where the name breaks a rule.
pub fn rename(tx: &Tx<'_>, by: &By, id: &str, name: &str) -> Result<()> {
    let found = within(tx, &by.reach, id)?;
    let name = names::check("name", name).map_err(Error::Refused)?;
    if name == found.name {
        return Ok(());
    }
    rows::rename(tx, id, name)?;
    let (before, after) = (Some(json!({"name": found.name})), Some(json!({"name": name})));
    audit::append(tx, by, &Entry { before, after, ..about(&found, "account.updated") })
}

/// Deletes an account and revokes its API keys. With [`Content::Purge`] the users and groups go that its deleted
/// configurations have left behind.
///
/// # Errors
/// `NotFound`; `Conflict` while it has configurations, or something is left and is not to be purged. Run it with
/// `Undo::Savepoint`.
pub fn delete(tx: &Tx<'_>, by: &By, id: &str, content: Content) -> Result<()> {
    let found = within(tx, &by.reach, id)?;
    if found.configurations > 0 {
        let detail = format!("the account has {} configurations; delete them first", found.configurations);
        return Err(Error::Conflict(detail));
    }
    let left = rows::leftovers(tx, id)?;
    if content == Content::Keep && !left.is_empty() {
        let detail = "deleted configurations of the account have left users and groups; purge them with it";
        return Err(Error::Conflict(detail.to_owned()));
    }
    for configuration in &left {
        match configurations::delete(tx, by, configuration, Content::Purge) {
            // It is being purged already.
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(problem) => return Err(problem),
        }
    }
    rows::mark_deleted(tx, id)?;
    let before = json!({"name": found.name, "purgedConfigurations": left});
    audit::append(tx, by, &Entry { before: Some(before), ..about(&found, "account.deleted") })
}

fn about<'a>(account: &'a Account, action: &'a str) -> Entry<'a> {
    Entry { action, account: Some(&account.id), subject_id: Some(&account.id), ..Entry::default() }
}
