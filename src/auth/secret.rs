//! Bearer tokens. They are generated here only and shown once; the database stores their digests.

pub mod password;
pub mod sealed;
pub mod totp;
pub mod webhook_key;

use std::fmt;

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Prefix of every bearer token of an identity provider, so that secret scanners recognize it.
pub const PREFIX: &str = "rct_";
/// Prefix of every access token of an OAuth client.
pub const ACCESS_PREFIX: &str = "rca_";
/// Prefix of the secret of every OAuth client.
pub const CLIENT_SECRET_PREFIX: &str = "rcs_";
/// Prefix of the id of every OAuth client.
pub const CLIENT_ID_PREFIX: &str = "rcc_";
/// Prefix of the secret of every API key.
pub const KEY_PREFIX: &str = "rck_";
/// Prefix of the secret of every setup link.
pub const LINK_PREFIX: &str = "rcl_";

/// Base-62 digits for 32 bytes: 62^43 is just above 2^256.
const DIGITS: usize = 43;

/// Base-62 digits for 16 bytes.
const CLIENT_ID_DIGITS: usize = 22;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a token, as stored in the database.
pub type TokenDigest = [u8; 32];

/// A bearer token in plain text. `Debug` and `Display` print `***`; only [`BearerToken::reveal`] returns it.
#[derive(Clone)]
pub struct BearerToken(String);

impl BearerToken {
    /// Generates a token of an identity provider: 256 bits from the generator of the operating system.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn generate() -> Result<Self, SysError> {
        Self::with_prefix(PREFIX)
    }

    /// Like [`BearerToken::generate`], for the secret of an API key.
    pub fn generate_key() -> Result<Self, SysError> {
        Self::with_prefix(KEY_PREFIX)
    }

    /// Like [`BearerToken::generate`], for an access token of an OAuth client.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn generate_access_token() -> Result<Self, SysError> {
        Self::with_prefix(ACCESS_PREFIX)
    }

    /// Like [`BearerToken::generate`], for the secret of an OAuth client.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn generate_client_secret() -> Result<Self, SysError> {
        Self::with_prefix(CLIENT_SECRET_PREFIX)
    }

    /// Like [`BearerToken::generate`], for session cookies and one-time URLs.
    pub fn generate_session() -> Result<Self, SysError> {
        Self::with_prefix("")
    }

    /// Like [`BearerToken::generate`], for the secret of a setup link.
    pub fn generate_link() -> Result<Self, SysError> {
        Self::with_prefix(LINK_PREFIX)
    }

    fn with_prefix(prefix: &str) -> Result<Self, SysError> {
        Ok(Self(format!("{prefix}{}", encode_base62(random_bytes()?))))
    }

    /// Returns the token in plain text, for the one response that contains it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the digest that is stored.
    pub fn digest(&self) -> TokenDigest {
        digest_text(&self.0)
    }

    /// Returns the last four characters, which identify a token in lists.
    pub fn hint(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or("")
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl fmt::Display for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns a new public id of an OAuth client: 128 random bits.
///
/// # Errors
/// The operating system provides no random numbers.
pub fn generate_client_id() -> Result<String, SysError> {
    let mut bytes = [0_u8; 32];
    SysRng.try_fill_bytes(&mut bytes[16..])?;
    Ok(format!("{CLIENT_ID_PREFIX}{}", &encode_base62(bytes)[DIGITS - CLIENT_ID_DIGITS..]))
}

/// Returns 256 bits from the generator of the operating system.
///
/// # Errors
/// The operating system provides no random numbers.
pub fn random_bytes() -> Result<[u8; 32], SysError> {
    let mut bytes = [0_u8; 32];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

/// Returns the SHA-256 of a token. A slow hash is not needed: a token has 256 random bits.
pub fn digest_text(text: &str) -> TokenDigest {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether two digests are equal, compared in constant time.
pub fn digests_match(left: &TokenDigest, right: &TokenDigest) -> bool {
    left.ct_eq(right).into()
}

/// Encodes the bytes, as one big-endian number, in 43 digits of base 62.
fn encode_base62(mut number: [u8; 32]) -> String {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u16;
        for byte in &mut number {
            let value = remainder * 256 + u16::from(*byte);
            // 62 * 256 - 1 is the largest value, so the quotient fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = ALPHABET[usize::from(remainder)];
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_is_never_in_its_debug_or_display_text() {
        let token = BearerToken::generate().unwrap();
        assert_eq!(format!("{token:?} {token}"), "Token(***) ***");
    }

    #[test]
    fn tokens_have_the_prefix_a_fixed_length_and_a_plain_alphabet() {
        for _ in 0..1_000 {
            let token = BearerToken::generate().unwrap();
            let body = token.reveal().strip_prefix(PREFIX).unwrap();
            assert_eq!(body.len(), DIGITS);
            assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(token.reveal().ends_with(token.hint()));
            assert_eq!(token.hint().len(), 4);
        }
    }

    #[test]
    fn tokens_are_unique() {
        let tokens: HashSet<String> =
            (0..10_000).map(|_| BearerToken::generate().unwrap().reveal().to_owned()).collect();
        assert_eq!(tokens.len(), 10_000);
    }

    #[test]
    fn base62_keeps_all_256_bits() {
        let mut one = [0; 32];
        one[31] = 62;
        assert_eq!(encode_base62([0; 32]), "0".repeat(DIGITS));
        assert_eq!(encode_base62(one), format!("{}10", "0".repeat(DIGITS - 2)));
        assert!(encode_base62([255; 32]).as_str() > encode_base62([254; 32]).as_str());
    }

    #[test]
    fn the_digest_is_sha_256_of_the_text() {
        let start = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
        assert_eq!(digest_text("abc")[..8], start);
        assert!(digests_match(&digest_text("abc"), &digest_text("abc")));
        assert!(!digests_match(&digest_text("abc"), &digest_text("abd")));
    }
}
