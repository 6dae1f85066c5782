//! Encryption of short texts: AES-256-GCM with a key derived from a secret of the reader (HKDF-SHA-256).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

/// HKDF info that separates this use of a secret from any other.
const USE: &[u8] = b"rollcall sealed text 1";

/// Purpose of the encryption of webhook keys, about the id of the webhook.
pub const WEBHOOK_KEY_PURPOSE: &str = "webhook key";
/// Purpose of the encryption of webhook headers, about the id of the webhook.
pub const WEBHOOK_HEADER_PURPOSE: &str = "webhook header";
/// Purpose of the encryption of secrets of one-time codes, about the id of the admin.
pub const ONE_TIME_CODES_PURPOSE: &str = "one-time codes";

/// Encrypts and decrypts texts for one context. Both operations must use the same context.
pub struct Sealer {
    key: Option<LessSafeKey>,
    digest: [u8; 32],
}

impl Sealer {
    /// Derives the key from a secret, for the context with that digest.
    pub fn new(key: &str, digest: &[u8; 32]) -> Self {
        let derived = Salt::new(HKDF_SHA256, digest).extract(key.as_bytes());
        let unbound = derived.expand(&[USE], &AES_256_GCM).map(UnboundKey::from);
        Self { key: unbound.ok().map(LessSafeKey::new), digest: *digest }
    }

    /// Returns the nonce followed by the ciphertext, or `None` if encryption fails. `random` must be unique for each
    /// call.
    pub fn seal(&self, random: &[u8; 32], mut text: Vec<u8>) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random.first_chunk().copied()?;
        let key = self.key.as_ref()?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(self.digest), &mut text).ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// Decrypts a text; returns `None` if it was not encrypted with this key for this context.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let key = self.key.as_ref()?;
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(self.digest), &mut text);
        opened.ok().map(|opened| opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_in_the_same_context_decrypts_a_text() {
        let sealer = Sealer::new("a key of a client", &[1; 32]);
        let sealed = sealer.seal(&[7; 32], b"the token".to_vec()).unwrap();
        assert!(!sealed.windows(5).any(|window| window == b"token"));
        assert_eq!(Sealer::new("a key of a client", &[1; 32]).open(&sealed).as_deref(), Some(&b"the token"[..]));
        assert_eq!(Sealer::new("another key", &[1; 32]).open(&sealed), None);
        assert_eq!(Sealer::new("a key of a client", &[2; 32]).open(&sealed), None);
        assert_eq!(sealer.open(&sealed[..sealed.len() - 1]), None);
        assert_eq!(sealer.open(b"short"), None);
    }
}
