//! API keys: credentials for the management API.

use serde_json::{Value, json};

use crate::clock::{self, Millis};
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::permission::{Permission, Permissions};
use crate::model::{account, ids};
use crate::secret::{Token, TokenDigest};
use crate::store::api_keys::{self as rows, ApiKey};
use crate::store::audit::{self, Entry};
use crate::store::{Snapshot, Tx, accounts};

/// Longest name of a key, in characters.
const NAME_MAX_CHARS: usize = 64;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// A new id, made by the caller.
    pub id: String,
    /// Digest of its secret.
    pub digest: TokenDigest,
    /// The last four characters of the secret.
    pub hint: String,
    /// What people call it.
    pub name: String,
    /// The one account it may touch; made where it is used for the first time.
    pub account: Option<String>,
    /// What it may do.
    pub permissions: Permissions,
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
}

impl NewApiKey {
    /// A key with that secret that may do everything everywhere, for ever.
    pub fn new(id: String, secret: &Token, name: String) -> Self {
        let (digest, hint) = (secret.digest(), secret.hint().to_owned());
        Self { id, digest, hint, name, account: None, permissions: Permissions::ALL, expires_at: None }
    }
}

/// What a key may do where nobody says it: everything that its maker may, except that the key of an account does not run
/// the server.
pub fn usual_permissions(account: Option<&str>, most: Permissions) -> Permissions {
    most.iter().filter(|one| account.is_none() || *one != Permission::SystemAdmin).collect()
}

/// Makes a key.
///
/// # Errors
/// `Refused` names the argument that breaks a rule; `Conflict` says that it would be dead by now. Run it with
/// `Undo::Savepoint`.
pub fn create(tx: &Tx<'_>, by: &By, new: &NewApiKey) -> Result<ApiKey> {
    let name = new.name.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err(Error::Refused(format!(
            "name must have 1 to {NAME_MAX_CHARS} characters and no control characters"
        )));
    }
    if new.permissions == Permissions::NONE {
        return Err(Error::Refused("permissions must name at least one permission".to_owned()));
    }
    if new.expires_at.is_some_and(|end| end <= tx.now) {
        return Err(Error::Conflict("expiresAt must lie in the future".to_owned()));
    }
    if let Some(account) = &new.account {
        account::check_id(account).map_err(Error::Refused)?;
        accounts::ensure(tx, account)?;
    }
    let key = ApiKey {
        id: new.id.clone(),
        hint: new.hint.clone(),
        name: name.to_owned(),
        account: new.account.clone(),
        permissions: new.permissions,
        created_at: tx.now,
        last_used_at: None,
        expires_at: new.expires_at,
        revoked_at: None,
    };
    rows::insert(tx, &new.digest, &key)?;
    let entry = Entry { after: Some(described(&key)), ..about(&key, "api_key.created") };
    audit::append(tx, by, &entry)?;
    Ok(key)
}

/// The key with that id within a reach, unless it is revoked.
///
/// # Errors
/// `NotFound`, in the same words whether there is none, it is revoked or it is out of reach.
pub fn within(at: &Snapshot<'_>, reach: &Reach, id: &str) -> Result<ApiKey> {
    let is_theirs = |key: &ApiKey| match (reach.account(), &key.account) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(account)) => reach.covers(account),
    };
    let found = rows::by_id(at, id)?.filter(|key| key.revoked_at.is_none() && is_theirs(key));
    found.ok_or_else(|| not_found(id))
}

/// Revokes a key. It is dead with the commit, and so is every token that stands for it.
///
/// # Errors
/// `NotFound` where there is none within reach, or it is revoked.
pub fn revoke(tx: &Tx<'_>, by: &By, id: &str) -> Result<ApiKey> {
    let found = within(tx, &by.reach, id)?;
    rows::revoke(tx, &found.id)?;
    let entry = Entry { before: Some(described(&found)), ..about(&found, "api_key.revoked") };
    audit::append(tx, by, &entry)?;
    Ok(found)
}

fn about<'a>(key: &'a ApiKey, action: &'a str) -> Entry<'a> {
    Entry { action, account: key.account.as_deref(), subject_id: Some(&key.id), ..Entry::default() }
}

fn described(key: &ApiKey) -> Value {
    json!({"name": key.name, "permissions": key.permissions.words(), "hint": key.hint, "expiresAt": key.expires_at.map(clock::rfc3339)})
}

fn not_found(id: &str) -> Error {
    // A text that cannot be an id is not repeated: it may be a secret in the wrong place.
    if ids::is_id(id) {
        Error::NotFound(format!("there is no API key {id}"))
    } else {
        Error::NotFound("there is no such API key: give its client id, a UUID in lower case".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Access, Store, Undo};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Command).unwrap();
        (folder, store)
    }

    fn by(reach: Reach) -> By {
        By { reach, ..By::command_line("somebody".to_owned()) }
    }

    fn made(store: &Store, account: Option<&str>, expires_at: Option<Millis>) -> Result<ApiKey> {
        let secret = Token::generate_key().unwrap();
        let mut new = NewApiKey::new(clock::new_id(), &secret, " Name ".to_owned());
        new.account = account.map(str::to_owned);
        new.expires_at = expires_at;
        store.write_blocking(Undo::Savepoint, move |tx| create(tx, &by(Reach::Everywhere), &new))
    }

    #[test]
    fn a_revoked_key_is_dead_and_as_unknown_as_one_that_never_was() {
        let (_folder, store) = store();
        let key = made(&store, None, None).unwrap();
        assert_eq!(key.name, "Name");
        let id = key.id.clone();
        store.write_blocking(Undo::Savepoint, move |tx| revoke(tx, &by(Reach::Everywhere), &id)).unwrap();
        let left = store.read_inline(|at| rows::by_id(at, &key.id)).unwrap().unwrap();
        assert!(!left.is_live(clock::now()));
        let read = |id: &str| store.read_inline(|at| within(at, &Reach::Everywhere, id)).unwrap_err().to_string();
        let other = clock::new_id();
        assert_eq!(read(&key.id).replace(&key.id, ""), read(&other).replace(&other, ""));
        let id = key.id.clone();
        let again = store.write_blocking(Undo::Savepoint, move |tx| revoke(tx, &by(Reach::Everywhere), &id));
        assert!(matches!(again, Err(Error::NotFound(_))));
    }

    #[test]
    fn a_key_is_dead_from_its_last_instant_on() {
        let (_folder, store) = store();
        let end = clock::now() + 60_000;
        let key = made(&store, None, Some(end)).unwrap();
        assert!(key.is_live(end - 1) && !key.is_live(end));
        assert!(matches!(made(&store, None, Some(1)), Err(Error::Conflict(text)) if text.contains("expiresAt")));
    }

    #[test]
    fn the_operators_keys_are_out_of_an_accounts_reach() {
        let (_folder, store) = store();
        let (operators, own) = (made(&store, None, None).unwrap(), made(&store, Some("acme"), None).unwrap());
        let sees = |account: &str, id: &str| {
            store.read_inline(|at| within(at, &Reach::Account(account.to_owned()), id)).is_ok()
        };
        assert!(sees("acme", &own.id));
        assert!(!sees("zeta", &own.id));
        assert!(!sees("acme", &operators.id));
    }

    #[test]
    fn what_is_usual_leaves_the_server_to_the_operator() {
        assert_eq!(usual_permissions(None, Permissions::ALL).words(), Permissions::ALL.words());
        assert!(!usual_permissions(Some("acme"), Permissions::ALL).allow(Permission::SystemAdmin));
        let most = Permissions::from_iter([Permission::AuditRead]);
        assert_eq!(usual_permissions(None, most), most);
    }
}
