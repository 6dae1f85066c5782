//! Authorization request, callback and token request, all bound to one sign-in attempt.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::auth::oidc::discovery::ProviderMetadata;
use crate::auth::oidc::{Registration, SignInFailure, sanitize_code};
use crate::auth::secret;
use crate::scim::percent::encode_percent;

/// A sign-in attempt: three secrets of 256 bits. The browser stores it in an encrypted cookie until the sign-in is
/// complete.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignInAttempt {
    /// Returned in the callback.
    pub state: String,
    /// Returned in the ID token.
    pub nonce: String,
    /// PKCE code verifier, sent from server to server (RFC 7636).
    pub verifier: String,
}

/// Query parameters of the callback.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Callback {
    /// State of the attempt.
    pub state: String,
    /// Authorization code, which is exchanged for tokens.
    pub code: String,
    /// Error code, if the provider denied the request.
    pub error: String,
    /// Issuer of the response (RFC 9207).
    pub iss: String,
}

/// Returns the authorization URL.
pub(super) fn build_authorization_url(
    to: &ProviderMetadata,
    registration: &Registration,
    attempt: &SignInAttempt,
    redirect_uri: &str,
) -> String {
    let mut url = to.authorization.clone();
    let scopes: Vec<&str> = std::iter::once("openid")
        .chain(registration.scopes.split_whitespace().filter(|&scope| scope != "openid"))
        .collect();
    if !registration.required_acr.is_empty() {
        url.query_pairs_mut().append_pair("acr_values", &registration.required_acr.join(" "));
    }
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &registration.client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", &code_challenge(&attempt.verifier))
        .append_pair("code_challenge_method", "S256");
    url.into()
}

/// Returns the PKCE code challenge of a verifier (RFC 7636 section 4.2).
fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(secret::digest_text(verifier))
}

/// Validates the callback and returns the authorization code. The state is checked first, so that a callback of another
/// attempt is not evaluated.
pub(super) fn check_callback<'c>(
    callback: &'c Callback,
    attempt: &SignInAttempt,
    issuer: &str,
    names_itself: bool,
) -> Result<&'c str, SignInFailure> {
    if !secret::digests_match(&secret::digest_text(&callback.state), &secret::digest_text(&attempt.state)) {
        return Err(SignInFailure::Attempt("its state is not that of this browser"));
    }
    // RFC 9207 section 2.4: protects against a response of another provider (mix-up attack).
    if callback.iss != issuer && (names_itself || !callback.iss.is_empty()) {
        return Err(SignInFailure::Attempt("its iss is not the provider"));
    }
    if !callback.error.is_empty() {
        return Err(SignInFailure::Declined(sanitize_code(&callback.error)));
    }
    if callback.code.is_empty() { Err(SignInFailure::Attempt("it has no code")) } else { Ok(&callback.code) }
}

/// Returns the form for the token endpoint and its `Authorization` header (RFC 6749 sections 2.3.1 and 4.1.3).
pub(super) fn build_token_request(
    to: &ProviderMetadata,
    registration: &Registration,
    attempt: &SignInAttempt,
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
    match registration.client_secret.as_deref() {
        Some(secret) if to.accepts_basic_auth => {
            let pair = format!("{}:{}", encode_percent(&registration.client_id), encode_percent(secret));
            authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
        }
        Some(secret) => fields.extend([("client_id", registration.client_id.as_str()), ("client_secret", secret)]),
        None => fields.push(("client_id", &registration.client_id)),
    }
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode_percent(value))).collect();
    (pairs.join("&"), authorization)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.com";

    fn attempt() -> SignInAttempt {
        SignInAttempt {
            state: "state-1".to_owned(),
            nonce: "nonce-1".to_owned(),
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        }
    }

    fn metadata(takes_basic: bool) -> ProviderMetadata {
        ProviderMetadata {
            authorization: "https://id.example.com/authorize?tenant=1".parse().unwrap(),
            token: "https://id.example.com/token".parse().unwrap(),
            keys: "https://id.example.com/jwks".parse().unwrap(),
            userinfo: None,
            accepts_basic_auth: takes_basic,
            sends_iss: false,
        }
    }

    fn registration(client_secret: Option<&str>) -> Registration {
        Registration {
            issuer: ISSUER.to_owned(),
            client_id: "us:1".to_owned(),
            client_secret: client_secret.map(str::to_owned),
            scopes: "email openid profile".to_owned(),
            role_claim: String::new(),
            required_acr: Vec::new(),
            required_amr: Vec::new(),
        }
    }

    #[test]
    fn the_authorization_url_contains_the_attempt_without_its_verifier() {
        let url =
            build_authorization_url(&metadata(true), &registration(Some("hush")), &attempt(), "https://x.example/back");
        assert_eq!(
            url,
            "https://id.example.com/authorize?tenant=1&response_type=code&client_id=us%3A1\
             &redirect_uri=https%3A%2F%2Fx.example%2Fback&scope=openid+email+profile&state=state-1&nonce=nonce-1\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        assert!(!url.contains("hush"));
    }

    #[test]
    fn only_a_callback_of_this_attempt_has_a_code() {
        let callback = |state: &str, code: &str, error: &str, iss: &str| Callback {
            state: state.to_owned(),
            code: code.to_owned(),
            error: error.to_owned(),
            iss: iss.to_owned(),
        };
        let checked = |callback: &Callback, names_itself| {
            check_callback(callback, &attempt(), ISSUER, names_itself).map(str::to_owned)
        };
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
    fn error_codes_of_a_provider_are_sanitized() {
        let callback =
            Callback { state: "state-1".to_owned(), error: "<b>no\r\nway</b>".to_owned(), ..Callback::default() };
        let failure = check_callback(&callback, &attempt(), ISSUER, false).unwrap_err();
        assert_eq!(failure, SignInFailure::Declined("bnowayb".to_owned()));
    }

    #[test]
    fn the_client_secret_is_sent_in_the_header_or_the_form_or_not_at_all() {
        let token_request = |takes_basic, secret| {
            build_token_request(
                &metadata(takes_basic),
                &registration(secret),
                &attempt(),
                "c/1",
                "https://x.example/back",
            )
        };
        let common = "grant_type=authorization_code&code=c%2F1&redirect_uri=https%3A%2F%2Fx.example%2Fback\
                      &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let basic = format!("Basic {}", STANDARD.encode("us%3A1:h%26sh%25"));
        assert_eq!(token_request(true, Some("h&sh%")), (common.to_owned(), Some(basic)));
        assert_eq!(
            token_request(false, Some("h&sh%")),
            (format!("{common}&client_id=us%3A1&client_secret=h%26sh%25"), None)
        );
        assert_eq!(token_request(true, None), (format!("{common}&client_id=us%3A1"), None));
    }
}
