//! The client of an OpenID provider (OpenID Connect Core 1.0): sends a browser there, and learns from the answer who has
//! signed in. Authorization code flow with PKCE; what is secret goes from server to server.

mod claims;
mod discovery;
mod party;
mod request;

use std::fmt;

pub use claims::groups;
pub use party::{Came, RelyingParty};
pub use request::{Attempt, Callback};

/// What is agreed with the provider, as this client needs it.
#[derive(Clone)]
pub struct Registration {
    /// Its `issuer`, to the letter.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// What proves that it is us; none for a public client.
    pub client_secret: Option<String>,
    /// What is asked for besides `openid`, with blanks between.
    pub scopes: String,
    /// The claim that groups are read from; empty where nothing is.
    pub role_claim: String,
}

/// Why it did not come to anything. The text is for the log and for who runs the server, never for whoever signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What came back belongs to no attempt that was begun in this browser.
    Attempt(&'static str),
    /// The provider said no; its own word.
    Declined(String),
    /// The provider cannot be reached, or says what cannot be used.
    Provider(String),
    /// Its token is not right.
    Token(String),
}

impl Failure {
    /// The kind, as one word for the logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Attempt(_) => "no_such_attempt",
            Self::Declined(_) => "declined_by_provider",
            Self::Provider(_) => "provider_failed",
            Self::Token(_) => "bad_id_token",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(why) => f.write_str(why),
            Self::Declined(word) => write!(f, "the provider answered “{word}”"),
            Self::Provider(why) => write!(f, "the provider: {why}"),
            Self::Token(why) => write!(f, "the ID token: {why}"),
        }
    }
}

/// A word of the provider as it may be shown and logged: error codes are short ASCII (RFC 6749 section 4.1.2.1).
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let word: String = text.chars().filter(|&c| is_plain(c)).take(64).collect();
    if word.is_empty() { "an error".to_owned() } else { word }
}
