//! API keys: credentials for the management API.

use serde_json::json;

use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::account;
use crate::model::actor::By;
use crate::model::permission::Permissions;
use crate::secret::{Token, TokenDigest};
use crate::store::api_keys::{self as rows, ApiKey};
use crate::store::audit::{self, Entry};
use crate::store::{Tx, accounts};

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

/// Makes a key.
///
/// # Errors
/// `Refused` names the argument that breaks a rule. Run it with `Undo::Savepoint`.
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
        return Err(Error::Refused("expiresAt must lie in the future".to_owned()));
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
    let after = json!({"name": key.name, "permissions": key.permissions.words(), "hint": key.hint});
    let entry = Entry {
        action: "api_key.created",
        account: key.account.as_deref(),
        subject_id: Some(&key.id),
        after: Some(after),
        ..Entry::default()
    };
    audit::append(tx, by, &entry)?;
    Ok(key)
}
