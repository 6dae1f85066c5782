//! What a provider says of itself (OpenID Connect Discovery 1.0 section 4): where its places are.

use reqwest::Url;
use serde::Deserialize;

use super::Failure;
use crate::settings::trusted_url;

/// The places of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    pub(super) userinfo: Option<Url>,
    /// Whether it takes the client's secret in the header, else in the form.
    pub(super) takes_basic: bool,
    /// Whether its answers name it (RFC 9207).
    pub(super) names_itself: bool,
}

#[derive(Deserialize)]
struct Document {
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

/// Where the document of an issuer is.
pub(super) fn address(issuer: &str) -> Result<Url, Failure> {
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    trusted_url(&place).map_err(|problem| Failure::Provider(format!("its address: {problem}")))
}

/// Reads the document of that issuer. It must name the issuer to the letter, or it speaks for somebody else.
pub(super) fn read(issuer: &str, text: &[u8]) -> Result<Metadata, Failure> {
    let failed = |why: String| Failure::Provider(why);
    let read = serde_json::from_slice::<Document>(text);
    let document = read.map_err(|problem| failed(format!("its openid-configuration cannot be used: {problem}")))?;
    if document.issuer != issuer {
        return Err(failed("its openid-configuration names another issuer; give the issuer to the letter".to_owned()));
    }
    let is_https = issuer.starts_with("https://");
    let place = |name: &str, text: &str| {
        let url = trusted_url(text).map_err(|problem| failed(format!("its {name}: {problem}")))?;
        let is_safe = url.scheme() == "https" || !is_https;
        if is_safe { Ok(url) } else { Err(failed(format!("its {name} is not reached by https"))) }
    };
    let lacks = |list: &Option<Vec<String>>, word: &str| {
        list.as_ref().is_some_and(|list| !list.iter().any(|known| known == word))
    };
    if lacks(&document.response_types_supported, "code") {
        return Err(failed("it does not offer the authorization code flow".to_owned()));
    }
    if lacks(&document.code_challenge_methods_supported, "S256") {
        return Err(failed("it does not offer PKCE with S256".to_owned()));
    }
    Ok(Metadata {
        authorization: place("authorization_endpoint", &document.authorization_endpoint)?,
        token: place("token_endpoint", &document.token_endpoint)?,
        keys: place("jwks_uri", &document.jwks_uri)?,
        userinfo: document.userinfo_endpoint.map(|text| place("userinfo_endpoint", &text)).transpose()?,
        takes_basic: !lacks(&document.token_endpoint_auth_methods_supported, "client_secret_basic"),
        names_itself: document.authorization_response_iss_parameter_supported,
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
    fn the_places_of_a_provider_are_read_and_what_it_does_not_say_is_as_the_specification_says() {
        let read = read(ISSUER, &document(&[])).unwrap();
        assert_eq!(read.token.as_str(), "https://id.example.com/token");
        assert_eq!((read.userinfo, read.takes_basic, read.names_itself), (None, true, false));
        let post = json!(["client_secret_post"]);
        let other = super::read(ISSUER, &document(&[("token_endpoint_auth_methods_supported", post)])).unwrap();
        assert!(!other.takes_basic);
    }

    #[test]
    fn a_document_of_somebody_else_or_without_safe_places_is_refused() {
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
            let refused = read(ISSUER, &document(&changes)).unwrap_err();
            assert!(refused.to_string().contains(why), "{changes:?}: {refused}");
        }
        assert!(read(ISSUER, b"<html>").is_err());
    }

    #[test]
    fn the_document_lies_below_the_issuer() {
        for (issuer, wanted) in [
            ("https://x.example", "https://x.example/.well-known/openid-configuration"),
            ("https://x.example/", "https://x.example/.well-known/openid-configuration"),
            ("https://x.example/a/b", "https://x.example/a/b/.well-known/openid-configuration"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/.well-known/openid-configuration"),
        ] {
            assert_eq!(address(issuer).unwrap().as_str(), wanted);
        }
        for issuer in ["http://x.example", "ftp://x.example", "x.example", ""] {
            assert!(address(issuer).is_err(), "{issuer}");
        }
    }
}
