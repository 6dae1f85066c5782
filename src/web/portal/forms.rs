//! Form bodies and the errors of their fields. A form is read only after its origin and its CSRF token are checked.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::Payload;
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::auth::secret;
use crate::messages::render_sentence;
use crate::scim::percent;
use crate::web::body;
use crate::web::limits::FORM_MAX_BYTES;
use crate::web::portal::layout::PageError;
use crate::web::public_url::parse_origin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A validation error of a form: the field and a sentence.
pub(crate) struct FormError {
    pub(crate) field: &'static str,
    pub(crate) sentence: String,
}

/// The sentence of the error of a field, or `None`.
pub(crate) fn find_field_error<'p>(problems: &'p [FormError], field: &str) -> Option<&'p str> {
    problems.iter().find(|problem| problem.field == field).map(|problem| problem.sentence.as_str())
}

/// Rejects requests from another site. Browsers send `Sec-Fetch-Site`; for those that do not, `Origin` is compared with
/// the public URL and the host.
///
/// # Errors
/// [`PageError::ForeignForm`] for another origin, or if both headers are absent.
pub(super) fn check_origin(request: &HttpRequest, public_url: &str) -> Result<(), PageError> {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(SEC_FETCH_SITE) {
        return if matches!(site, "same-origin" | "none") { Ok(()) } else { Err(PageError::ForeignForm) };
    }
    let Some(origin) = text(header::ORIGIN) else { return Err(PageError::ForeignForm) };
    let host = text(header::HOST).unwrap_or_default();
    let is_own = origin == parse_origin(public_url) || origin.split_once("://").is_some_and(|(_, rest)| rest == host);
    if is_own { Ok(()) } else { Err(PageError::ForeignForm) }
}

/// The CSRF token of a form.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct FormToken {
    form_token: String,
}

/// Reads a form of a signed-in admin. The CSRF token is compared with that of the session before the other fields are
/// parsed.
///
/// # Errors
/// [`PageError::ForeignForm`] if the token differs, or 400 if the form cannot be parsed.
pub(super) async fn read_form<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    form_token: &str,
) -> Result<T, PageError> {
    let text = read_text(request, payload).await?;
    let carried = parse_pairs::<FormToken>(&text).unwrap_or_default();
    let is_own = secret::digests_match(&secret::digest_text(&carried.form_token), &secret::digest_text(form_token));
    if is_own { parse_pairs(&text) } else { Err(PageError::ForeignForm) }
}

/// Reads a form of a page that needs no session.
///
/// # Errors
/// 400 if the form cannot be parsed.
pub(super) async fn read_fields<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, PageError> {
    parse_pairs(&read_text(request, payload).await?)
}

async fn read_text(request: &HttpRequest, payload: Payload) -> Result<String, PageError> {
    let because = |status, detail: String| PageError::Failed { status, detail };
    let bytes = body::read_body(request, payload, FORM_MAX_BYTES).await;
    let bytes = bytes.map_err(|error| because(error.status(), render_sentence(&error)))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| because(400, "The form is not in UTF-8.".to_owned()))
}

fn parse_pairs<T: DeserializeOwned>(text: &str) -> Result<T, PageError> {
    let read = actix_web::web::Query::<T>::from_query(text).map(actix_web::web::Query::into_inner);
    read.map_err(|problem| PageError::Failed { status: 400, detail: format!("The form cannot be used: {problem}.") })
}

/// Percent-encodes a text for a query.
pub(super) fn encode_query(text: &str) -> String {
    const EXCEPT_SLASHES: &AsciiSet = &percent::RESERVED.remove(b'/');
    utf8_percent_encode(text, EXCEPT_SLASHES).to_string()
}

/// Returns `next` if it is a path of this server, else `/`. Browsers treat a backslash like a slash, and `//host` as
/// another site.
pub(super) fn local_path(next: Option<&str>) -> &str {
    let Some(next) = next else { return "/" };
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_redirect_targets() {
        for own in ["/", "/connections", "/connections/7?cursor=a%2Fb#x"] {
            assert_eq!(local_path(Some(own)), own);
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
            assert_eq!(local_path(Some(other)), "/", "{other}");
        }
        assert_eq!(local_path(None), "/");
    }

    #[test]
    fn texts_are_encoded_for_a_query() {
        assert_eq!(encode_query("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
