//! Reads the discovery document of a provider (OpenID Connect Discovery 1.0 section 4).

use serde::Deserialize;
use url::Url;

use crate::auth::oidc::SignInFailure;

/// Endpoints and features of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProviderMetadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    pub(super) userinfo: Option<Url>,
    /// Whether it accepts the client secret in the `Authorization` header; otherwise it is sent in the form.
    pub(super) accepts_basic_auth: bool,
    /// Whether its authorization responses contain `iss` (RFC 9207).
    pub(super) sends_iss: bool,
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Returns the URL of the discovery document of an issuer.
pub(super) fn discovery_url(issuer: &str) -> Result<Url, SignInFailure> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    parse_web_url(&url).map_err(|problem| SignInFailure::Provider(format!("its URL: {problem}")))
}

/// Parses an `https` or `http` URL. The rules of outgoing calls decide which servers are called by `http`.
fn parse_web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| problem.to_string())?;
    if matches!(url.scheme(), "https" | "http") { Ok(url) } else { Err("it must begin with https://".to_owned()) }
}

/// Parses the discovery document of an issuer. Its `issuer` must be exactly the same string, or it belongs to another
/// issuer.
pub(super) fn parse_document(issuer: &str, text: &[u8]) -> Result<ProviderMetadata, SignInFailure> {
    let failed = |why: String| SignInFailure::Provider(why);
    let read = serde_json::from_slice::<DiscoveryDocument>(text);
    let document = read.map_err(|problem| failed(format!("its openid-configuration cannot be used: {problem}")))?;
    if document.issuer != issuer {
        return Err(failed("its openid-configuration names another issuer; the issuer must match exactly".to_owned()));
    }
    let is_https = issuer.starts_with("https://");
    let endpoint = |name: &str, text: &str| {
        let url = parse_web_url(text).map_err(|problem| failed(format!("its {name}: {problem}")))?;
        let is_safe = url.scheme() == "https" || !is_https;
        if is_safe { Ok(url) } else { Err(failed(format!("its {name} is not an https URL"))) }
    };
    let lacks = |list: &Option<Vec<String>>, value: &str| {
        list.as_ref().is_some_and(|list| !list.iter().any(|supported| supported == value))
    };
    if lacks(&document.response_types_supported, "code") {
        return Err(failed("it does not offer the authorization code flow".to_owned()));
    }
    if lacks(&document.code_challenge_methods_supported, "S256") {
        return Err(failed("it does not offer PKCE with S256".to_owned()));
    }
    Ok(ProviderMetadata {
        authorization: endpoint("authorization_endpoint", &document.authorization_endpoint)?,
        token: endpoint("token_endpoint", &document.token_endpoint)?,
        keys: endpoint("jwks_uri", &document.jwks_uri)?,
        userinfo: document.userinfo_endpoint.map(|text| endpoint("userinfo_endpoint", &text)).transpose()?,
        accepts_basic_auth: !lacks(&document.token_endpoint_auth_methods_supported, "client_secret_basic"),
        sends_iss: document.authorization_response_iss_parameter_supported,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example.com";

    fn document(changes: &[(&str, Value)]) -> Vec<u8> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/authorize?tenant=1",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://keys.example.com/jwks",
        });
        for (name, value) in changes {
            document[*name] = value.clone();
        }
        document.to_string().into_bytes()
    }

    #[test]
    fn endpoints_are_read_and_absent_members_have_the_default_of_the_specification() {
        let read = parse_document(ISSUER, &document(&[])).unwrap();
        assert_eq!(read.token.as_str(), "https://id.example.com/token");
        assert_eq!((read.userinfo, read.accepts_basic_auth, read.sends_iss), (None, true, false));
        let post = json!(["client_secret_post"]);
        let other =
            super::parse_document(ISSUER, &document(&[("token_endpoint_auth_methods_supported", post)])).unwrap();
        assert!(!other.accepts_basic_auth);
    }

    #[test]
    fn a_document_of_another_issuer_or_with_unsafe_endpoints_is_rejected() {
        for (changes, why) in [
            (vec![("issuer", json!("https://id.example.com/"))], "another issuer"),
            (vec![("issuer", json!("https://evil.example"))], "another issuer"),
            (vec![("token_endpoint", json!("http://id.example.com/token"))], "token_endpoint"),
            (vec![("token_endpoint", json!("http://127.0.0.1/token"))], "token_endpoint"),
            (vec![("jwks_uri", json!("file:///etc/passwd"))], "jwks_uri"),
            (vec![("jwks_uri", Value::Null)], "openid-configuration"),
            (vec![("userinfo_endpoint", json!("http://id.example.com/me"))], "userinfo_endpoint"),
            (vec![("response_types_supported", json!(["id_token"]))], "code flow"),
            (vec![("code_challenge_methods_supported", json!(["plain"]))], "S256"),
        ] {
            let error = parse_document(ISSUER, &document(&changes)).unwrap_err();
            assert!(error.to_string().contains(why), "{changes:?}: {error}");
        }
        assert!(parse_document(ISSUER, b"<html>").is_err());
    }

    #[test]
    fn the_document_url_extends_the_issuer() {
        for (issuer, expected) in [
            ("https://x.example", "https://x.example/.well-known/openid-configuration"),
            ("https://x.example/", "https://x.example/.well-known/openid-configuration"),
            ("https://x.example/a/b", "https://x.example/a/b/.well-known/openid-configuration"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/.well-known/openid-configuration"),
        ] {
            assert_eq!(discovery_url(issuer).unwrap().as_str(), expected);
        }
        for issuer in ["ftp://x.example", "x.example", ""] {
            assert!(discovery_url(issuer).is_err(), "{issuer}");
        }
    }
}
