//! Where the keys of an issuer are: at a URL, or at the one that its discovery document names.

use serde::Deserialize;
use url::Url;

use crate::auth::fetch::{FetchResponse, Fetcher};

/// Where a JWK set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyLocation {
    /// At this URL.
    Url(Url),
    /// At the URL in the discovery document of this issuer (OpenID Connect Discovery 1.0 section 4). Issuers of workload
    /// identities have the document, and no other part of `OpenID` Connect.
    Issuer(String),
}

#[derive(Deserialize)]
struct IssuerDocument {
    issuer: String,
    jwks_uri: String,
}

impl KeyLocation {
    /// Returns the URL of the keys. Fetches the discovery document, if there is one.
    ///
    /// # Errors
    /// It cannot be fetched or used, as a sentence.
    pub(super) async fn find_url(&self, fetcher: &Fetcher) -> Result<Url, String> {
        let issuer = match self {
            Self::Url(url) => return Ok(url.clone()),
            Self::Issuer(issuer) => issuer,
        };
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|problem| format!("the issuer is not a URL: {problem}"))?;
        let named = |problem: String| format!("openid-configuration of the issuer: {problem}");
        let text = fetcher.get(&url, None).await.and_then(FetchResponse::into_ok_body).map_err(named)?;
        read_key_url(issuer, &text).map_err(named)
    }
}

/// Returns the URL of the keys in the discovery document of an issuer, which must name exactly this issuer.
fn read_key_url(issuer: &str, text: &[u8]) -> Result<Url, String> {
    let document: IssuerDocument = serde_json::from_slice(text).map_err(|problem| problem.to_string())?;
    if document.issuer != issuer {
        return Err("it names another issuer; the issuer must match exactly".to_owned());
    }
    let url = Url::parse(&document.jwks_uri).map_err(|problem| format!("jwks_uri: {problem}"))?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && issuer.starts_with("http://"));
    if is_safe { Ok(url) } else { Err("jwks_uri is not an https URL".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_document_must_be_that_of_the_issuer() {
        let issuer = "https://id.example.com";
        let read = |issuer_in: &str, keys: &str| {
            read_key_url(issuer, json!({"issuer": issuer_in, "jwks_uri": keys}).to_string().as_bytes())
        };
        assert_eq!(read(issuer, "https://keys.example.com/1").unwrap().as_str(), "https://keys.example.com/1");
        assert!(read("https://id.example.com/", "https://keys.example.com").unwrap_err().contains("another issuer"));
        for keys in ["http://keys.example.com", "file:///etc/passwd", "keys"] {
            assert!(read(issuer, keys).unwrap_err().contains("jwks_uri"), "{keys}");
        }
        assert!(read_key_url(issuer, b"<html>").is_err());
    }
}
