//! Keys that sign the requests of webhooks (Standard Webhooks specification).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::SysError;

use super::random_bytes;

/// Prefix of a secret that both sides have.
pub(crate) const SECRET_PREFIX: &str = "whsec_";
/// Prefix of a public key.
const PUBLIC_PREFIX: &str = "whpk_";

/// Encoding before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410 section 7).
pub(crate) const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A key of a webhook in plain text. `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookSecret {
    /// A secret that both sides have.
    Hmac([u8; 32]),
    /// The seed of an Ed25519 key.
    Ed25519([u8; 32]),
}

impl WebhookSecret {
    /// Generates a secret for HMAC.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn generate_hmac() -> Result<Self, SysError> {
        random_bytes().map(Self::Hmac)
    }

    /// Generates an Ed25519 key.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn generate_ed25519() -> Result<Self, SysError> {
        random_bytes().map(Self::Ed25519)
    }

    /// Returns the bytes to encrypt and store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (Self::Hmac(bytes) | Self::Ed25519(bytes)) = self;
        bytes.to_vec()
    }

    /// Returns the text of a secret that the receiver needs to verify, for the one response that contains it. `None` for an
    /// asymmetric key: see [`Self::public_key`].
    pub fn reveal(&self) -> Option<String> {
        match self {
            Self::Hmac(bytes) => Some(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))),
            Self::Ed25519(_) => None,
        }
    }

    /// Returns the public key of an asymmetric key.
    pub fn public_key(&self) -> Option<String> {
        let Self::Ed25519(seed) = self else { return None };
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(format!("{PUBLIC_PREFIX}{}", STANDARD.encode(pair.public_key().as_ref())))
    }

    /// Returns an asymmetric key in PKCS#8, to sign tokens.
    pub fn to_pkcs8(&self) -> Option<Vec<u8>> {
        let Self::Ed25519(seed) = self else { return None };
        Some([&PKCS8_PREFIX[..], seed].concat())
    }

    /// Returns the signature of a request, as an item of `webhook-signature`. `None` if the key cannot be used.
    pub fn sign_request(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let mut content = format!("{id}.{timestamp}.").into_bytes();
        content.extend_from_slice(body);
        match self {
            Self::Hmac(secret) => {
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &content);
                Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
            }
            Self::Ed25519(seed) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
                Some(format!("v1a,{}", STANDARD.encode(pair.sign(&content).as_ref())))
            }
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_signature_of_the_specification_is_computed() {
        // Example of the Standard Webhooks specification.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}",
        );
        assert_eq!(STANDARD.encode(tag.as_ref()), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_the_secret_of_a_symmetric_key_is_revealed() {
        let hmac = WebhookSecret::Hmac([0; 32]);
        assert_eq!(hmac.reveal().unwrap(), format!("whsec_{}=", "A".repeat(43)));
        assert_eq!(hmac.public_key(), None);
        let pair = WebhookSecret::generate_ed25519().unwrap();
        assert_eq!(pair.reveal(), None);
        assert!(pair.public_key().unwrap().starts_with("whpk_"));
        assert_eq!(format!("{hmac:?}"), "WebhookSecret(***)");
    }

    #[test]
    fn the_public_key_verifies_the_signature() {
        let pair = WebhookSecret::generate_ed25519().unwrap();
        let public = STANDARD.decode(&pair.public_key().unwrap()[PUBLIC_PREFIX.len()..]).unwrap();
        let signature = pair.sign_request("msg_1", 7, b"{}").unwrap();
        let signature = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, public);
        key.verify(b"msg_1.7.{}", &signature).unwrap();
        assert!(key.verify(b"msg_1.8.{}", &signature).is_err());
    }
}
