//! An OpenID provider whose answers the test controls.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::identity::{Signer, now};

pub(super) const CLIENT_ID: &str = "rollcall portal";
pub(super) const CLIENT_SECRET: &str = "hush/hush:5Zk2&mQ";

/// Answers of the provider by endpoint: status and body.
#[derive(Clone)]
pub(super) struct ProviderAnswers {
    pub(super) discovery: Value,
    pub(super) jwks: Value,
    pub(super) token: (u16, String),
    pub(super) userinfo: (u16, Value),
}

/// A provider that runs as long as the test process.
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) signer: Signer,
    answers: Arc<Mutex<ProviderAnswers>>,
    /// Received requests.
    asked: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Provider {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new("p1");
        let answers = ProviderAnswers {
            discovery: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/me"),
                "jwks_uri": format!("{issuer}/jwks"),
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }),
            jwks: signer.jwks(),
            token: (500, String::new()),
            userinfo: (404, json!({})),
        };
        let (answers, asked) = (Arc::new(Mutex::new(answers)), Arc::new(Mutex::new(Vec::new())));
        let (current, requests) = (Arc::clone(&answers), Arc::clone(&asked));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                accepted.fetch_add(1, Ordering::SeqCst);
                let Ok(mut stream) = stream else { continue };
                let request = read(&mut stream);
                let answers: ProviderAnswers = current.lock().unwrap().clone();
                let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
                    "/.well-known/openid-configuration" => (200, answers.discovery.to_string()),
                    "/jwks" => (200, answers.jwks.to_string()),
                    "/token" => answers.token,
                    "/me" => (answers.userinfo.0, answers.userinfo.1.to_string()),
                    _ => (404, String::new()),
                };
                requests.lock().unwrap().push(request);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { issuer, signer, answers, asked, connections }
    }

    /// Connections of any kind since the start.
    pub(super) fn count_connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Changes the answers from now on.
    pub(super) fn set_answers(&self, change: impl FnOnce(&mut ProviderAnswers)) {
        change(&mut self.answers.lock().unwrap());
    }

    /// Sets the answer to the next token requests.
    pub(super) fn set_tokens(&self, tokens: &Value) {
        self.set_answers(|answers| answers.token = (200, tokens.to_string()));
    }

    /// The last request to a path.
    #[track_caller]
    pub(super) fn asked(&self, path: &str) -> String {
        let asked = self.asked.lock().unwrap();
        let found = asked.iter().rev().find(|request| request.split(' ').nth(1) == Some(path));
        found.unwrap_or_else(|| panic!("nothing was asked of {path}: {asked:?}")).clone()
    }

    /// The claims of a user who has just signed in; `other` overrides the default ones, and null removes a claim.
    pub(super) fn claims(&self, nonce: &str, other: &Value) -> Value {
        let mut claims = json!({
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "u1",
            "nonce": nonce,
            "iat": now(),
            "exp": now() + 300,
            "email": "ann@sso.example",
            "email_verified": true,
            "name": "Ann Example",
        });
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }
}

/// Reads one request, head and body.
fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                return text;
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}
