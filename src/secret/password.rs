//! Passwords of people: kept as argon2id digests only. Hashing takes some 20 ms and 19 MiB on purpose, so callers do it
//! outside of transactions and a few at a time.

use std::fmt;
use std::sync::OnceLock;

use argon2::password_hash::Error;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// A password in plain text. `Debug` prints `***`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearText(String);

impl ClearText {
    /// Takes the text as it is; the caller has prepared it for comparison.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for ClearText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearText(***)")
    }
}

/// What is stored of a password: a PHC string with the algorithm, its parameters, the salt and the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDigest(String);

impl PasswordDigest {
    /// A digest that was stored.
    pub fn stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(***)")
    }
}

/// Hashes with a new salt. The parameters are OWASP's for argon2id, which are the crate's defaults: 19 MiB, two passes,
/// one lane. Fails where the system has no randomness or no memory to give.
pub fn hash(password: &ClearText) -> Result<PasswordDigest, Error> {
    Ok(PasswordDigest(Argon2::default().hash_password(password.0.as_bytes())?.to_string()))
}

/// Whether this is the password. Without a digest the answer is no, after the same work, so that its time does not tell
/// who has a password.
pub fn is_right(password: &ClearText, digest: Option<&PasswordDigest>) -> bool {
    static NOBODYS: OnceLock<Option<PasswordDigest>> = OnceLock::new();
    let nobodys = || NOBODYS.get_or_init(|| hash(&ClearText(String::new())).ok()).as_ref();
    let Some(against) = digest.or_else(nobodys) else { return false };
    let verified = Argon2::default().verify_password(password.0.as_bytes(), against.as_str());
    verified.is_ok() && digest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(text: &str) -> ClearText {
        ClearText::new(text.to_owned())
    }

    #[test]
    fn a_digest_knows_its_password_and_no_other() {
        let digest = hash(&clear("correct horse")).unwrap();
        assert!(digest.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", digest.as_str());
        assert!(is_right(&clear("correct horse"), Some(&digest)));
        assert!(!is_right(&clear("correct horsf"), Some(&digest)));
        assert_ne!(hash(&clear("correct horse")).unwrap(), digest, "the salt is new each time");
    }

    #[test]
    fn who_has_no_password_has_no_right_one() {
        assert!(!is_right(&clear(""), None));
        assert!(!is_right(&clear("x"), None));
        assert!(!is_right(&clear("x"), Some(&PasswordDigest::stored("no digest".into()))));
    }

    #[test]
    fn neither_password_nor_digest_is_in_a_debug_text() {
        let shown = format!("{:?} {:?}", clear("hunter2"), PasswordDigest::stored("$argon2id$".into()));
        assert_eq!(shown, "ClearText(***) PasswordDigest(***)");
    }
}
