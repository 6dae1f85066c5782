//! Passwords of people: kept as argon2id digests only, as PHC strings with algorithm, parameters, salt and hash. Hashing
//! takes some 20 ms and 19 MiB on purpose, so callers do it outside of transactions and a few at a time.

use std::sync::OnceLock;

use argon2::password_hash::Error;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// Hashes with a new salt. The parameters are OWASP's for argon2id, which are the crate's defaults: 19 MiB, two passes,
/// one lane. Fails where the system has no randomness or no memory to give.
pub fn hash(password: &str) -> Result<String, Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether this is the password. Without a digest the answer is no, after the same work, so that its time does not tell
/// who has a password.
pub fn is_right(password: &str, digest: Option<&str>) -> bool {
    static NOBODYS: OnceLock<Option<String>> = OnceLock::new();
    let nobodys = || NOBODYS.get_or_init(|| hash("").ok()).as_deref();
    let Some(against) = digest.or_else(nobodys) else { return false };
    let verified = Argon2::default().verify_password(password.as_bytes(), against);
    verified.is_ok() && digest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_knows_its_password_and_no_other() {
        let digest = hash("correct horse").unwrap();
        assert!(digest.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{digest}");
        assert!(is_right("correct horse", Some(&digest)));
        assert!(!is_right("correct horsf", Some(&digest)));
        assert_ne!(hash("correct horse").unwrap(), digest, "the salt is new each time");
    }

    #[test]
    fn who_has_no_password_has_no_right_one() {
        assert!(!is_right("", None));
        assert!(!is_right("x", None));
        assert!(!is_right("x", Some("no digest")));
    }
}
