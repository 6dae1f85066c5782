//! Our own tokens: signed with the key in the data folder, which is made at the first start, and verified with it.

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

use super::keys::KeySet;
use super::token::{self, Rejected, Rules};
use crate::clock::Millis;
use crate::model::permission::Permissions;
use crate::secret::{self, sealed::Sealer};

/// Name of the file in the data folder.
const FILE: &str = "signing-key.pem";
/// Any bit of the group or of everybody.
const OTHERS_ANY: u32 = 0o077;
/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410 section 7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why there is no key to sign with; the text names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeyError {
    /// The file cannot be read or made.
    #[error("cannot use {path}: {problem}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// Somebody else could read it.
    #[error(
        "{path} is open to others (mode {mode:03o}): whoever reads it can sign tokens; run chmod 600 on it, or delete it for a new key"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not what it should be.
    #[error("{0} is no Ed25519 key in PKCS#8 PEM; delete it, and the next start makes a new one")]
    Unusable(PathBuf),
    /// No randomness.
    #[error("the operating system gave no random numbers")]
    NoRandomness,
}

/// What a token of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// Calls for all accounts.
    #[serde(rename = "vendor")]
    Environment,
    /// Calls for one account.
    #[serde(rename = "tenantApiToken")]
    Account,
    /// Exchanged for a new token, and good for nothing else.
    #[serde(rename = "refreshToken")]
    Refresh,
}

/// A token to be issued.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// Our URL: issuer and audience.
    pub issuer: &'a str,
    /// Id of the API key it stands for.
    pub key: &'a str,
    /// What it is for.
    pub kind: TokenKind,
    /// The account, where there is one.
    pub account: Option<&'a str>,
    /// What the key may do. Those who verify the token elsewhere may go by it; here the key itself is asked.
    pub permissions: Permissions,
    /// Id of the token.
    pub id: String,
    /// When it is issued.
    pub now: Millis,
    /// How long it lives, in seconds.
    pub seconds: i64,
}

/// A token of ours that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnToken {
    /// Id of the API key it stands for.
    pub key: String,
    /// What it is for.
    pub kind: TokenKind,
    /// The account, where there is one.
    pub account: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
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

/// The key that signs our tokens.
pub struct SigningKey {
    key: EncodingKey,
    id: String,
    public: Jwk,
    set: KeySet,
    /// What seals texts in the database: made from the key, so that a copy of the database alone opens none.
    sealing: String,
}

impl SigningKey {
    /// Reads the key of a data folder; where there is none, makes it, with mode 0600.
    pub fn open(folder: &Path) -> Result<Self, OpenKeyError> {
        let path = folder.join(FILE);
        let failed = |problem| OpenKeyError::Io { path: path.clone(), problem };
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Err(OpenKeyError::Unusable(path)),
            Ok(found) if found.mode() & OTHERS_ANY != 0 => {
                return Err(OpenKeyError::OpenToOthers { mode: found.mode() & 0o777, path });
            }
            Ok(_) => {}
            Err(problem) if problem.kind() == ErrorKind::NotFound => {
                let seed = secret::random_bytes().map_err(|_| OpenKeyError::NoRandomness)?;
                write_whole(&path, &pem(&seed)).map_err(failed)?;
            }
            Err(problem) => return Err(failed(problem)),
        }
        let text = fs::read(&path).map_err(failed)?;
        Self::read(&text).ok_or(OpenKeyError::Unusable(path))
    }

    fn read(pem: &[u8]) -> Option<Self> {
        let key = EncodingKey::from_ed_pem(pem).ok()?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).ok()?;
        let id = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let set = KeySet::of(&public)?;
        let sealing = STANDARD.encode(secret::digest(&format!("sealing {}", STANDARD.encode(pem))));
        Some(Self { key, id, public, set, sealing })
    }

    /// Seals and opens texts of that kind, for the one they are about.
    pub fn sealer(&self, kind: &str, about: &str) -> Sealer {
        Sealer::new(&self.sealing, &secret::digest(&format!("{kind} {about}")))
    }

    /// The public key, for whoever wants to verify our tokens.
    pub fn public(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// Whether a token says that it was signed with this key. Chooses who verifies it, and proves nothing.
    pub fn is_named_by(&self, token: &str) -> bool {
        token::header(token).is_ok_and(|header| header.kid.as_deref() == Some(&self.id))
    }

    /// A signed token.
    pub fn issue(&self, grant: &Grant<'_>) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let issued = grant.now.div_euclid(1_000);
        let claims = Claims {
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

    /// What a token of ours says, where it is right at that time. Whether its API key still lives is not known here.
    pub fn verified(&self, token: &str, issuer: &str, now: Millis) -> Result<OwnToken, Rejected> {
        let audiences = [issuer.to_owned()];
        let rules = Rules { issuer, audiences: &audiences, algorithms: &[Algorithm::EdDSA] };
        let claims = token::verified(token, &self.set, &rules, now)?;
        let claims: Claims =
            serde_json::from_value(Value::Object(claims)).map_err(|_| Rejected("its claims are not those we write"))?;
        Ok(OwnToken { key: claims.sub, kind: claims.r#type, account: claims.tenant_id })
    }
}

fn pem(seed: &[u8; 32]) -> String {
    let der: Vec<u8> = PKCS8_HEAD.iter().chain(seed).copied().collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Makes the file whole or not at all. One server holds the folder, so nobody else makes it at the same time.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
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
