//! What goes to the provider through the browser, and what comes back: both bound to one attempt.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::discovery::Metadata;
use super::{Failure, Registration, word};
use crate::secret;

/// One attempt to sign in, as the browser keeps it under lock until it is over: three secrets of 256 bits.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// Comes back through the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Goes to the provider from server to server (RFC 7636).
    pub verifier: String,
}

/// What the provider has sent the browser back with.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Callback {
    /// The attempt.
    pub state: String,
    /// What is exchanged for the token.
    pub code: String,
    /// Why there is none.
    pub error: String,
    /// Who answers (RFC 9207).
    pub iss: String,
}

/// The address to which the browser goes to sign in.
pub(super) fn authorization_url(to: &Metadata, by: &Registration, attempt: &Attempt, redirect_uri: &str) -> String {
    let mut url = to.authorization.clone();
    let scopes: Vec<&str> =
        std::iter::once("openid").chain(by.scopes.split_whitespace().filter(|&scope| scope != "openid")).collect();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &by.client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", &challenge(&attempt.verifier))
        .append_pair("code_challenge_method", "S256");
    url.into()
}

/// RFC 7636 section 4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(secret::digest(verifier))
}

/// Checks what came back. The attempt comes first: what belongs to none is not looked at.
pub(super) fn check<'c>(
    callback: &'c Callback,
    attempt: &Attempt,
    issuer: &str,
    names_itself: bool,
) -> Result<&'c str, Failure> {
    if !secret::same(&secret::digest(&callback.state), &secret::digest(&attempt.state)) {
        return Err(Failure::Attempt("its state is not the one of this browser"));
    }
    // RFC 9207 section 2.4: another provider may have been made to send its answer here.
    if callback.iss != issuer && (names_itself || !callback.iss.is_empty()) {
        return Err(Failure::Attempt("its iss is not the provider"));
    }
    if !callback.error.is_empty() {
        return Err(Failure::Declined(word(&callback.error)));
    }
    if callback.code.is_empty() { Err(Failure::Attempt("it brings no code")) } else { Ok(&callback.code) }
}

/// The form for the token endpoint, and the `Authorization` that goes with it (RFC 6749 sections 2.3.1 and 4.1.3).
pub(super) fn exchange(
    to: &Metadata,
    by: &Registration,
    attempt: &Attempt,
    code: &str,
    redirect_uri: &str,
) -> (String, Option<String>) {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", &attempt.verifier),
    ];
    let mut authorization = None;
    match by.client_secret.as_deref() {
        Some(secret) if to.takes_basic => {
            let pair = format!("{}:{}", encoded(&by.client_id), encoded(secret));
            authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
        }
        Some(secret) => fields.extend([("client_id", by.client_id.as_str()), ("client_secret", secret)]),
        None => fields.push(("client_id", &by.client_id)),
    }
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    (pairs.join("&"), authorization)
}

/// As forms are written; what is not plain is percent-encoded, blanks too, which every reader understands.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.com";

    fn attempt() -> Attempt {
        Attempt {
            state: "state-1".to_owned(),
            nonce: "nonce-1".to_owned(),
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        }
    }

    fn metadata(takes_basic: bool) -> Metadata {
        Metadata {
            authorization: "https://id.example.com/authorize?tenant=1".parse().unwrap(),
            token: "https://id.example.com/token".parse().unwrap(),
            keys: "https://id.example.com/jwks".parse().unwrap(),
            userinfo: None,
            takes_basic,
            names_itself: false,
        }
    }

    fn registration(client_secret: Option<&str>) -> Registration {
        Registration {
            issuer: ISSUER.to_owned(),
            client_id: "us:1".to_owned(),
            client_secret: client_secret.map(str::to_owned),
            scopes: "email openid profile".to_owned(),
            role_claim: String::new(),
        }
    }

    #[test]
    fn the_browser_takes_the_attempt_along_and_never_its_verifier() {
        let url = authorization_url(&metadata(true), &registration(Some("hush")), &attempt(), "https://x.example/back");
        assert_eq!(
            url,
            "https://id.example.com/authorize?tenant=1&response_type=code&client_id=us%3A1\
             &redirect_uri=https%3A%2F%2Fx.example%2Fback&scope=openid+email+profile&state=state-1&nonce=nonce-1\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        assert!(!url.contains("hush"));
    }

    #[test]
    fn only_an_answer_to_this_attempt_brings_a_code() {
        let callback = |state: &str, code: &str, error: &str, iss: &str| Callback {
            state: state.to_owned(),
            code: code.to_owned(),
            error: error.to_owned(),
            iss: iss.to_owned(),
        };
        let checked =
            |callback: &Callback, names_itself| check(callback, &attempt(), ISSUER, names_itself).map(str::to_owned);
        let good = callback("state-1", "c1", "", "");
        assert_eq!(checked(&good, false).as_deref(), Ok("c1"));
        assert_eq!(checked(&callback("state-1", "c1", "", ISSUER), true).as_deref(), Ok("c1"));
        for (callback, names_itself, kind) in [
            (callback("state-2", "c1", "", ""), false, "no_such_attempt"),
            (callback("", "c1", "", ""), false, "no_such_attempt"),
            (callback("state-2", "", "access_denied", ""), false, "no_such_attempt"),
            (callback("state-1", "c1", "", "https://evil.example"), false, "no_such_attempt"),
            (callback("state-1", "c1", "", "https://evil.example"), true, "no_such_attempt"),
            (callback("state-1", "c1", "", ""), true, "no_such_attempt"),
            (callback("state-1", "", "", ""), false, "no_such_attempt"),
            (callback("state-1", "", "access_denied", ""), false, "declined_by_provider"),
            (callback("state-1", "c1", "server_error", ""), false, "declined_by_provider"),
        ] {
            assert_eq!(checked(&callback, names_itself).unwrap_err().as_str(), kind);
        }
    }

    #[test]
    fn what_a_provider_calls_an_error_is_told_without_its_markup() {
        let callback =
            Callback { state: "state-1".to_owned(), error: "<b>no\r\nway</b>".to_owned(), ..Callback::default() };
        let failure = check(&callback, &attempt(), ISSUER, false).unwrap_err();
        assert_eq!(failure, Failure::Declined("bnowayb".to_owned()));
    }

    #[test]
    fn the_secret_goes_in_the_header_or_the_form_or_there_is_none() {
        let asked = |takes_basic, secret| {
            exchange(&metadata(takes_basic), &registration(secret), &attempt(), "c/1", "https://x.example/back")
        };
        let common = "grant_type=authorization_code&code=c%2F1&redirect_uri=https%3A%2F%2Fx.example%2Fback\
                      &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let basic = format!("Basic {}", STANDARD.encode("us%3A1:h%26sh%25"));
        assert_eq!(asked(true, Some("h&sh%")), (common.to_owned(), Some(basic)));
        assert_eq!(asked(false, Some("h&sh%")), (format!("{common}&client_id=us%3A1&client_secret=h%26sh%25"), None));
        assert_eq!(asked(true, None), (format!("{common}&client_id=us%3A1"), None));
    }
}
