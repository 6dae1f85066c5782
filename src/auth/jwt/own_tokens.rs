//! Tokens of this server, signed and verified with the key in the data folder. The key is created at the first start.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::jwt::keys::KeySet;
use crate::auth::jwt::token::{self, TokenRejection, TokenRules};
use crate::auth::secret;
use crate::auth::secret::sealed::Sealer;
use crate::auth::secret::webhook_key::PKCS8_PREFIX;
use crate::clock::Millis;
use crate::model::permission::Permissions;

/// Name of the key file in the data folder.
pub const SIGNING_KEY_FILE: &str = "signing-key.pem";
/// Permission bits of group and others.
const OTHERS_ANY: u32 = 0o077;

/// Why the signing key cannot be used. The sentence names the file and the fix.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeyError {
    /// The file cannot be read or created.
    #[error("cannot use {path}: {problem}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        problem: io::Error,
    },
    /// Other users can read the file.
    #[error(
        "{path} is readable by other users (mode {mode:03o}), who could sign tokens; run chmod 600 on it, or delete it to get a new key"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not contain a usable key.
    #[error("{0} is not an Ed25519 key in PKCS#8 PEM; delete it, and the next start creates a new one")]
    Unusable(PathBuf),
    /// The operating system provides no random numbers.
    #[error("the operating system provided no random numbers")]
    NoRandomness,
}

/// Purpose of a token of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// Access to all accounts.
    #[serde(rename = "vendor")]
    Environment,
    /// Access to one account.
    #[serde(rename = "tenantApiToken")]
    Account,
    /// Can only be exchanged for a new token.
    #[serde(rename = "refreshToken")]
    Refresh,
}

/// Content of a token to be issued.
#[derive(Debug, Clone)]
pub struct TokenGrant<'a> {
    /// Public URL of this server, used as issuer and audience.
    pub issuer: &'a str,
    /// ID of the API key that the token represents.
    pub key: &'a str,
    /// Purpose of the token.
    pub kind: TokenKind,
    /// The account; `None` for all accounts.
    pub account: Option<&'a str>,
    /// Permissions of the key, for other services that verify the token. This server reads them from the key itself.
    pub permissions: Permissions,
    /// ID of the token.
    pub id: String,
    /// Time of issue.
    pub now: Millis,
    /// Lifetime, in seconds.
    pub seconds: i64,
}

/// A validated token of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnToken {
    /// ID of the API key that the token represents.
    pub key: String,
    /// Purpose of the token.
    pub kind: TokenKind,
    /// The account; `None` for all accounts.
    pub account: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnTokenClaims {
    iss: String,
    aud: String,
    sub: String,
    r#type: TokenKind,
    iat: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    permissions: Vec<String>,
}

/// The key that signs the tokens of this server.
pub struct SigningKey {
    key: EncodingKey,
    id: String,
    public: Jwk,
    set: KeySet,
    /// Secret for encrypting texts in the database. It is derived from the key, so that a copy of the database alone
    /// cannot be decrypted.
    sealing_secret: String,
}

impl SigningKey {
    /// Reads the key of a data folder. If there is none, creates it with mode 0600.
    ///
    /// # Errors
    /// The key cannot be read, created or used; see [`OpenKeyError`].
    pub fn open(folder: &Path) -> Result<Self, OpenKeyError> {
        let path = folder.join(SIGNING_KEY_FILE);
        let failed = |problem| OpenKeyError::Io { path: path.clone(), problem };
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Err(OpenKeyError::Unusable(path)),
            Ok(found) if found.mode() & OTHERS_ANY != 0 => {
                return Err(OpenKeyError::OpenToOthers { mode: found.mode() & 0o777, path });
            }
            Ok(_) => {}
            Err(problem) if problem.kind() == ErrorKind::NotFound => {
                let seed = secret::random_bytes().map_err(|_| OpenKeyError::NoRandomness)?;
                write_file_atomically(&path, &encode_pem(&seed)).map_err(failed)?;
            }
            Err(problem) => return Err(failed(problem)),
        }
        let text = fs::read(&path).map_err(failed)?;
        Self::from_pem(&text).ok_or(OpenKeyError::Unusable(path))
    }

    fn from_pem(pem: &[u8]) -> Option<Self> {
        let key = EncodingKey::from_ed_pem(pem).ok()?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).ok()?;
        let id = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let set = KeySet::from_own_jwk(&public)?;
        let sealing = STANDARD.encode(secret::digest_text(&format!("sealing {}", STANDARD.encode(pem))));
        Some(Self { key, id, public, set, sealing_secret: sealing })
    }

    /// Returns a sealer for texts of that kind about one object.
    pub fn sealer(&self, kind: &str, about: &str) -> Sealer {
        Sealer::new(&self.sealing_secret, &secret::digest_text(&format!("{kind} {about}")))
    }

    /// Returns the public key as a JWK set, for services that verify the tokens.
    pub fn public_keys(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// Whether the `kid` of a token names this key. Not verified: use it only to choose how to validate the token.
    pub fn is_named_by(&self, token: &str) -> bool {
        token::decode_unverified_header(token).is_ok_and(|header| header.kid.as_deref() == Some(&self.id))
    }

    /// Signs a token.
    ///
    /// # Errors
    /// The token cannot be encoded.
    pub fn issue(&self, grant: &TokenGrant<'_>) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let issued = grant.now.div_euclid(1_000);
        let claims = OwnTokenClaims {
            iss: grant.issuer.to_owned(),
            aud: grant.issuer.to_owned(),
            sub: grant.key.to_owned(),
            r#type: grant.kind,
            iat: issued,
            exp: issued + grant.seconds,
            jti: grant.id.clone(),
            tenant_id: grant.account.map(str::to_owned),
            permissions: grant
                .permissions
                .iter()
                .map(|one| one.token_key().unwrap_or(one.as_str()).to_owned())
                .collect(),
        };
        encode(&header, &claims, &self.key)
    }

    /// Validates a token of this server at time `now`. Whether its API key still exists is not checked here.
    ///
    /// # Errors
    /// The token is not valid.
    pub fn verify(&self, token: &str, issuer: &str, now: Millis) -> Result<OwnToken, TokenRejection> {
        let audiences = [issuer.to_owned()];
        let rules = TokenRules { issuer, audiences: &audiences, algorithms: &[Algorithm::EdDSA] };
        let claims = token::verify_token(token, &self.set, &rules, now)?;
        let claims: OwnTokenClaims = serde_json::from_value(Value::Object(claims))
            .map_err(|_| TokenRejection("its claims are not those of this server"))?;
        Ok(OwnToken { key: claims.sub, kind: claims.r#type, account: claims.tenant_id })
    }
}

fn encode_pem(seed: &[u8; 32]) -> String {
    let der: Vec<u8> = PKCS8_PREFIX.iter().chain(seed).copied().collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Creates the file atomically. Only one server uses a data folder, so no other process creates it at the same time.
fn write_file_atomically(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("pem.new");
    match fs::remove_file(&draft) {
        Err(problem) if problem.kind() != ErrorKind::NotFound => return Err(problem),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
