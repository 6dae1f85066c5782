//! Bearer tokens: made here and nowhere else, shown once, and known afterwards by their digest only.

pub mod password;
pub mod sealed;
pub mod totp;

use std::fmt;

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every bearer token of an identity provider begins with, so that secret scanners recognise one.
pub const PREFIX: &str = "rct_";
/// What the secret of every API key begins with.
pub const KEY_PREFIX: &str = "rck_";
/// What the secret of every set-up link begins with.
pub const LINK_PREFIX: &str = "rcl_";

/// 62^43 is just above 2^256: the fewest characters that hold 32 bytes.
const DIGITS: usize = 43;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a token's text: what the database keeps.
pub type TokenDigest = [u8; 32];

/// A bearer token in plain text. `Debug` and `Display` print `***`; only [`Token::reveal`] shows it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new token of 256 bits from the operating system's generator. Fails where the system has no randomness to give.
    pub fn generate() -> Result<Self, SysError> {
        Self::with_prefix(PREFIX)
    }

    /// The same for the secret of an API key.
    pub fn generate_key() -> Result<Self, SysError> {
        Self::with_prefix(KEY_PREFIX)
    }

    /// The same for the cookie of a signed-in browser, and for addresses that open something once.
    pub fn generate_session() -> Result<Self, SysError> {
        Self::with_prefix("")
    }

    /// The same for the secret of a set-up link.
    pub fn generate_link() -> Result<Self, SysError> {
        Self::with_prefix(LINK_PREFIX)
    }

    fn with_prefix(prefix: &str) -> Result<Self, SysError> {
        Ok(Self(format!("{prefix}{}", base62(random_bytes()?))))
    }

    /// The token itself, for the one answer that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn digest(&self) -> TokenDigest {
        digest(&self.0)
    }

    /// The last four characters, by which a person tells two tokens apart.
    pub fn hint(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or("")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// 256 bits from the operating system's generator. Fails where the system has no randomness to give.
pub fn random_bytes() -> Result<[u8; 32], SysError> {
    let mut bytes = [0_u8; 32];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

/// SHA-256 of a presented token. A slow hash would add nothing: there are 256 random bits to guess.
pub fn digest(text: &str) -> TokenDigest {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether two digests are equal, in a time that does not depend on where they differ.
pub fn same(left: &TokenDigest, right: &TokenDigest) -> bool {
    left.ct_eq(right).into()
}

/// The bytes as one big-endian number in 43 digits of base 62.
fn base62(mut number: [u8; 32]) -> String {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u16;
        for byte in &mut number {
            let value = rest * 256 + u16::from(*byte);
            // 62 * 256 - 1 is the largest value, so the quotient fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = ALPHABET[usize::from(rest)];
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_is_never_in_its_debug_or_display_text() {
        let token = Token::generate().unwrap();
        assert_eq!(format!("{token:?} {token}"), "Token(***) ***");
    }

    #[test]
    fn tokens_have_the_prefix_a_fixed_length_and_a_plain_alphabet() {
        for _ in 0..1_000 {
            let token = Token::generate().unwrap();
            let body = token.reveal().strip_prefix(PREFIX).unwrap();
            assert_eq!(body.len(), DIGITS);
            assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(token.reveal().ends_with(token.hint()));
            assert_eq!(token.hint().len(), 4);
        }
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let drawn: HashSet<String> = (0..10_000).map(|_| Token::generate().unwrap().reveal().to_owned()).collect();
        assert_eq!(drawn.len(), 10_000);
    }

    #[test]
    fn base62_keeps_all_256_bits() {
        let mut one = [0; 32];
        one[31] = 62;
        assert_eq!(base62([0; 32]), "0".repeat(DIGITS));
        assert_eq!(base62(one), format!("{}10", "0".repeat(DIGITS - 2)));
        assert!(base62([255; 32]).as_str() > base62([254; 32]).as_str());
    }

    #[test]
    fn the_digest_is_sha_256_of_the_text() {
        let start = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
        assert_eq!(digest("abc")[..8], start);
        assert!(same(&digest("abc"), &digest("abc")));
        assert!(!same(&digest("abc"), &digest("abd")));
    }
}
