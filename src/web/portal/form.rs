//! Forms: read only after it is clear that one of our own pages sent them.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::Payload;
use serde::de::DeserializeOwned;

use super::page::Refusal;
use crate::secret;
use crate::web::body;
use crate::web::limits::FORM_MAX_BYTES;
use crate::web::public_url::origin_of;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site sent, or made the browser send. Browsers say where a request comes from; the few that do not
/// say it in one header say it in another.
pub(super) fn check_origin(request: &HttpRequest, public_url: &str) -> Result<(), Refusal> {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(SEC_FETCH_SITE) {
        return if matches!(site, "same-origin" | "none") { Ok(()) } else { Err(Refusal::ForeignForm) };
    }
    let Some(origin) = text(header::ORIGIN) else { return Err(Refusal::ForeignForm) };
    let host = text(header::HOST).unwrap_or_default();
    let is_own = origin == origin_of(public_url) || origin.split_once("://").is_some_and(|(_, rest)| rest == host);
    if is_own { Ok(()) } else { Err(Refusal::ForeignForm) }
}

/// The token that the page of a form carried.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Carried {
    form_token: String,
}

/// Reads a form of somebody who is signed in; its token must be that of the session, before anything else is looked at.
pub(super) async fn read<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    form_token: &str,
) -> Result<T, Refusal> {
    let text = text(request, payload).await?;
    let carried = parsed::<Carried>(&text).unwrap_or_default();
    let is_own = secret::same(&secret::digest(&carried.form_token), &secret::digest(form_token));
    if is_own { parsed(&text) } else { Err(Refusal::ForeignForm) }
}

/// Reads a form of a page that needs no session.
pub(super) async fn fields<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Refusal> {
    parsed(&text(request, payload).await?)
}

async fn text(request: &HttpRequest, payload: Payload) -> Result<String, Refusal> {
    let because = |status, detail: String| Refusal::Because { status, detail };
    let bytes = body::read(request, payload, FORM_MAX_BYTES).await;
    let bytes = bytes.map_err(|refused| because(refused.status, refused.detail))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| because(400, "The form is not in UTF-8.".to_owned()))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let read = actix_web::web::Query::<T>::from_query(text).map(actix_web::web::Query::into_inner);
    read.map_err(|problem| Refusal::Because { status: 400, detail: format!("The form cannot be used: {problem}.") })
}

/// The text percent-encoded for a query.
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// An address to go on to, if it is one of our own paths; else the start page. Browsers read a backslash like a slash, and
/// `//host` as another site.
pub(super) fn own_path(next: Option<&str>) -> &str {
    let Some(next) = next else { return "/" };
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_gone_on_to() {
        for own in ["/", "/connections", "/connections/7?cursor=a%2Fb#x"] {
            assert_eq!(own_path(Some(own)), own);
        }
        for other in [
            "",
            "x",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            " /x",
            "/\t/evil",
            "/\n//evil",
            "/é",
            "/x\\..\\..",
            "?next=/",
        ] {
            assert_eq!(own_path(Some(other)), "/", "{other}");
        }
        assert_eq!(own_path(None), "/");
    }

    #[test]
    fn texts_are_encoded_for_a_query() {
        assert_eq!(encoded("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
