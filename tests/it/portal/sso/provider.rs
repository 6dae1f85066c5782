//! An OpenID provider that says what a test tells it to, right or wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::identity::{Signer, now};

pub(super) const CLIENT_ID: &str = "rollcall portal";
pub(super) const CLIENT_SECRET: &str = "hush/hush:5Zk2&mQ";

/// What the provider answers at its places: status and body.
#[derive(Clone)]
pub(super) struct Says {
    pub(super) discovery: Value,
    pub(super) jwks: Value,
    pub(super) token: (u16, String),
    pub(super) userinfo: (u16, Value),
}

/// A provider, as long as the test process lives.
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) signer: Signer,
    says: Arc<Mutex<Says>>,
    /// Requests as they came.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new("p1");
        let says = Says {
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
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::new(Mutex::new(Vec::new())));
        let (answers, notes) = (Arc::clone(&says), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let request = read(&mut stream);
                let says: Says = answers.lock().unwrap().clone();
                let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
                    "/.well-known/openid-configuration" => (200, says.discovery.to_string()),
                    "/jwks" => (200, says.jwks.to_string()),
                    "/token" => says.token,
                    "/me" => (says.userinfo.0, says.userinfo.1.to_string()),
                    _ => (404, String::new()),
                };
                notes.lock().unwrap().push(request);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { issuer, signer, says, asked }
    }

    /// Changes what it answers from now on.
    pub(super) fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap());
    }

    /// Answers the next exchange of a code with these texts.
    pub(super) fn gives(&self, tokens: &Value) {
        self.says(|says| says.token = (200, tokens.to_string()));
    }

    /// The last request that was made to a place.
    #[track_caller]
    pub(super) fn asked(&self, place: &str) -> String {
        let asked = self.asked.lock().unwrap();
        let found = asked.iter().rev().find(|request| request.split(' ').nth(1) == Some(place));
        found.unwrap_or_else(|| panic!("nothing was asked of {place}: {asked:?}")).clone()
    }

    /// The claims of somebody who has just signed in there, with other ones over the usual; null takes one away.
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

/// One request, head and body.
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
