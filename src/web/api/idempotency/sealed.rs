//! Answers under lock: AES-256-GCM with a key that is made from the client's `Idempotency-Key` (HKDF-SHA-256).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

/// What tells this use of the key from any other.
const USE: &[u8] = b"rollcall idempotent answer 1";

/// Seals and opens the answer of one call.
pub(super) struct Sealer {
    key: Option<LessSafeKey>,
    digest: [u8; 32],
}

impl Sealer {
    /// For the call with that digest.
    pub(super) fn new(key: &str, digest: &[u8; 32]) -> Self {
        let derived = Salt::new(HKDF_SHA256, digest).extract(key.as_bytes());
        let unbound = derived.expand(&[USE], &AES_256_GCM).map(UnboundKey::from);
        Self { key: unbound.ok().map(LessSafeKey::new), digest: *digest }
    }

    /// The nonce and what can be opened with the same key. `random` must never come twice.
    pub(super) fn seal(&self, random: &[u8; 32], mut text: Vec<u8>) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random.first_chunk().copied()?;
        let key = self.key.as_ref()?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(self.digest), &mut text).ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// What was sealed for this call.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
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
    fn only_the_same_key_for_the_same_call_opens_an_answer() {
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
