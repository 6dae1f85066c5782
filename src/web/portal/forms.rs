//! Requests to pages, form bodies and the errors of their fields. A form is read only after its origin and its CSRF token are checked.

use std::collections::HashMap;

use actix_multipart::Multipart;
use actix_web::http::header::{self, HeaderName};
use futures_util::StreamExt;
use futures_util::stream;
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::auth::secret;
use crate::error::Error;
use crate::scim::percent;
use crate::settings::Transport;
use crate::web::body::read_content_type;
use crate::web::context::{RequestContext, deserialize_pairs};
use crate::web::limits::FORM_MAX_BYTES;
use crate::web::portal::layout::PageError;
use crate::web::portal::page_compression::unmask_form_token;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::public_url::parse_origin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A validation error of a form: the field and a sentence.
#[derive(Debug)]
pub(crate) struct FormError {
    pub(crate) field: &'static str,
    pub(crate) sentence: String,
}

/// The sentence of the error of a field, or `None`.
pub(crate) fn find_field_error<'p>(problems: &'p [FormError], field: &str) -> Option<&'p str> {
    problems.iter().find(|problem| problem.field == field).map(|problem| problem.sentence.as_str())
}

/// Whether this is the origin of a page of this host. `needs_tls` if the host is reached with TLS only; behind a proxy, the
/// public URL says so.
fn is_origin_of_host(origin: &str, host: &str, needs_tls: bool) -> bool {
    match origin.split_once("://") {
        Some(("https", rest)) => rest == host,
        Some(("http", rest)) => rest == host && !needs_tls,
        _ => false,
    }
}

/// The CSRF token of a form.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct FormToken {
    form_token: String,
}

/// The fields of a form that uploads files, and the content of its files that are not empty.
#[derive(Default)]
pub(super) struct UploadForm {
    pub(super) fields: HashMap<String, String>,
    pub(super) files: HashMap<String, Vec<u8>>,
}

/// A request to a page.
pub(crate) type PageRequest = RequestContext<PageError>;

impl PageRequest {
    /// Rejects requests from another site. Browsers send `Sec-Fetch-Site`; for those that do not, `Origin` is compared
    /// with the public URL, and with the host and the scheme: a page without TLS is not the same site as one with it.
    ///
    /// # Errors
    /// [`PageError::ForeignForm`] for another origin, or if both headers are absent.
    fn check_origin(&self) -> Result<(), PageError> {
        let text = |name: HeaderName| self.request.headers().get(name).and_then(|value| value.to_str().ok());
        let is_own = match (text(SEC_FETCH_SITE), text(header::ORIGIN)) {
            (Some(site), _) => matches!(site, "same-origin" | "none"),
            (None, Some(origin)) => {
                let host = text(header::HOST).unwrap_or_default();
                let public = self.state.server.public_url();
                let public = parse_origin(&public);
                let has_tls = !matches!(self.state.server.settings.transport, Transport::Plain { .. });
                origin == public || is_origin_of_host(origin, host, has_tls || public == format!("https://{host}"))
            }
            (None, None) => false,
        };
        if is_own { Ok(()) } else { Err(PageError::ForeignForm) }
    }

    /// Reads a form of a signed-in admin, after checking its origin and CSRF token.
    ///
    /// # Errors
    /// [`PageError::ForeignForm`] for another origin or token, 400 if the form cannot be parsed.
    pub(super) async fn form<T: DeserializeOwned>(&self, signed: &SignedIn) -> Result<T, PageError> {
        self.form_with_token(&signed.form_token).await
    }

    /// Reads a form with this CSRF token, which is compared before the other fields are parsed.
    ///
    /// # Errors
    /// [`PageError::ForeignForm`] for another origin or token, 400 if the form cannot be parsed.
    pub(super) async fn form_with_token<T: DeserializeOwned>(&self, form_token: &str) -> Result<T, PageError> {
        self.check_origin()?;
        let text = self.form_text().await?;
        let carried = deserialize_pairs::<FormToken>(&text).unwrap_or_default().form_token;
        if is_own_token(&carried, form_token) { deserialize_form(&text) } else { Err(PageError::ForeignForm) }
    }

    /// Reads a form of a page that needs no session, after checking its origin.
    ///
    /// # Errors
    /// [`PageError::ForeignForm`] for another origin, 400 if the form cannot be parsed.
    pub(super) async fn form_without_session<T: DeserializeOwned>(&self) -> Result<T, PageError> {
        self.check_origin()?;
        deserialize_form(&self.form_text().await?)
    }

    /// Reads a form with files (RFC 7578) of a signed-in admin, after checking its origin and CSRF token. A form without
    /// files may be URL-encoded.
    ///
    /// # Errors
    /// [`PageError::ForeignForm`] for another origin or token, 400 if the form cannot be parsed.
    pub(super) async fn upload_form(&self, signed: &SignedIn) -> Result<UploadForm, PageError> {
        self.check_origin()?;
        let form = if read_content_type(&self.request).eq_ignore_ascii_case("multipart/form-data") {
            self.read_parts().await?
        } else {
            UploadForm { fields: deserialize_form(&self.form_text().await?)?, ..UploadForm::default() }
        };
        let carried = form.fields.get("form_token").map(String::as_str).unwrap_or_default();
        if is_own_token(carried, &signed.form_token) { Ok(form) } else { Err(PageError::ForeignForm) }
    }

    async fn read_parts(&self) -> Result<UploadForm, PageError> {
        let failed = |_| PageError::Failed { status: 400, detail: texts::errors::FORM_INCOMPLETE.to_owned() };
        let body = self.form_bytes().await?;
        let mut parts = Multipart::new(self.request.headers(), stream::iter([Ok(body.into())]));
        let mut form = UploadForm::default();
        while let Some(part) = parts.next().await {
            let mut part = part.map_err(failed)?;
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.content_disposition().is_some_and(|head| head.get_filename().is_some());
            let mut content = Vec::new();
            while let Some(chunk) = part.next().await {
                content.extend_from_slice(&chunk.map_err(failed)?);
            }
            if !is_file {
                form.fields.insert(name, String::from_utf8_lossy(&content).into_owned());
            } else if !content.is_empty() {
                form.files.insert(name, content);
            }
        }
        Ok(form)
    }

    async fn form_text(&self) -> Result<String, PageError> {
        let detail = || texts::errors::FORM_NOT_UTF_8.to_owned();
        String::from_utf8(self.form_bytes().await?).map_err(|_| PageError::Failed { status: 400, detail: detail() })
    }

    async fn form_bytes(&self) -> Result<Vec<u8>, PageError> {
        let bytes = self.body_bytes(FORM_MAX_BYTES).await;
        let failed = |error: Error| PageError::Failed { status: error.status(), detail: render_sentence(&error) };
        Ok(bytes.map_err(failed)?.to_vec())
    }
}

/// Whether a form has the CSRF token of its session, masked or not.
fn is_own_token(carried: &str, form_token: &str) -> bool {
    let carried = unmask_form_token(carried, form_token.len());
    secret::digests_match(&secret::digest_text(&carried), &secret::digest_text(form_token))
}

fn deserialize_form<T: DeserializeOwned>(text: &str) -> Result<T, PageError> {
    let failed = |problem| PageError::Failed { status: 400, detail: texts::errors::say_form_invalid(problem) };
    deserialize_pairs(text).map_err(failed)
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
    fn a_page_without_tls_is_not_of_a_host_with_tls() {
        for (origin, with_tls, without) in [
            ("https://a.example:8443", true, true),
            ("http://a.example:8443", false, true),
            ("https://a.example", false, false),
            ("http://a.example", false, false),
            ("ftp://a.example:8443", false, false),
            ("null", false, false),
            ("a.example:8443", false, false),
        ] {
            let host = "a.example:8443";
            assert_eq!(
                (is_origin_of_host(origin, host, true), is_origin_of_host(origin, host, false)),
                (with_tls, without),
                "{origin}"
            );
        }
    }

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
