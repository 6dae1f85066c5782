//! An operator's identity system: a key that signs user tokens, and a server that publishes the public key.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::app::App;

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const AUDIENCE: &str = "rollcall";

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A key of the identity system.
pub(crate) struct Signer {
    key: EncodingKey,
    id: String,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self { key: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()), id: id.to_owned() }
    }

    /// The JWK set with only this key.
    pub(crate) fn jwks(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, Algorithm::EdDSA).unwrap()).unwrap();
        jwk["kid"] = json!(self.id);
        json!({"keys": [jwk]})
    }

    /// A token of a user of that account with those permissions.
    pub(crate) fn token(&self, account: &str, permissions: &[&str]) -> String {
        self.token_with(account, permissions, &json!({}))
    }

    /// Like `token`, with other claims that override the default ones; null removes a claim.
    pub(crate) fn token_with(&self, account: &str, permissions: &[&str], other: &Value) -> String {
        let mut claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "user-1",
            "email": "ann@example.com",
            "iat": now(),
            "exp": now() + 300,
            "tenantId": account,
            "permissions": permissions,
        });
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.sign(&claims)
    }

    /// A token with exactly these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// Signs the text of claims as it is.
    pub(crate) fn sign_text(&self, claims: &str) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.id}).to_string();
        let message = [header.as_str(), claims].map(|text| URL_SAFE_NO_PAD.encode(text)).join(".");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }
}

/// A separate server that accepts tokens of that key, which it reads from a file.
pub(crate) fn app_for(signer: &Signer) -> (tempfile::TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, signer.jwks().to_string()).unwrap();
    let rest = ["--user-token-issuer", ISSUER, "--user-token-audience", AUDIENCE, "--user-token-key-file"];
    let app = App::start_with(&folder.path().join("data"), &[&rest[..], &[keys.to_str().unwrap()]].concat());
    (folder, app)
}

/// An HTTP server that answers every request with the configured answer.
pub(crate) struct KeyServer {
    pub(crate) url: String,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    pub(crate) fn new(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (current, count) = (Arc::clone(&answer), Arc::clone(&asked));
        // The thread ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let answer = current.lock().unwrap().clone();
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, answer, asked }
    }

    /// Number of requests.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Sets the answer from now on.
    pub(crate) fn set_answer(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }
}

/// A complete answer with a body.
pub(crate) fn answers(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
