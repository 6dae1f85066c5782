//! Passwords of admins, stored as argon2id digests in the PHC string format. Hashing takes about 20 ms and 19 MiB by
//! design, so callers hash outside of transactions and limit the number of concurrent calls.

use std::sync::OnceLock;

use argon2::password_hash::Error;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// Hashes a password with a new salt and returns the PHC string. The parameters are those that OWASP recommends for
/// argon2id and the defaults of the crate: 19 MiB, two passes, one lane.
///
/// # Errors
/// The operating system provides no random numbers or no memory.
pub fn hash_password(password: &str) -> Result<String, Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether the digest is of this password. Without a digest the result is `false` after the same amount of work, so
/// that the duration does not reveal which accounts have a password.
pub fn verify_password(password: &str, digest: Option<&str>) -> bool {
    static DUMMY: OnceLock<Option<String>> = OnceLock::new();
    let dummy = || DUMMY.get_or_init(|| hash_password("").ok()).as_deref();
    let Some(against) = digest.or_else(dummy) else { return false };
    let verified = Argon2::default().verify_password(password.as_bytes(), against);
    verified.is_ok() && digest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_matches_only_its_password() {
        let digest = hash_password("correct horse").unwrap();
        assert!(digest.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{digest}");
        assert!(verify_password("correct horse", Some(&digest)));
        assert!(!verify_password("correct horsf", Some(&digest)));
        assert_ne!(hash_password("correct horse").unwrap(), digest, "each digest has a new salt");
    }

    #[test]
    fn without_a_valid_digest_no_password_matches() {
        assert!(!verify_password("", None));
        assert!(!verify_password("x", None));
        assert!(!verify_password("x", Some("no digest")));
    }
}
