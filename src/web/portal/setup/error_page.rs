//! Errors of requests for a setup link or below it. The customer's IT admin sees them: with the branding, with what to do, and
//! with the way back to the steps while the link is open. Never with the navigation or the sign-in of the operator.

use actix_web::body::BoxBody;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::secret;
use crate::clock;
use crate::management::setup_link_holder::{self, OpenLink};
use crate::scim::percent;
use crate::store::Snapshot;
use crate::web::portal::layout::{
    NavigationEntry, PageError, PageLayout, describe_refused_link, hide_url, render_page,
};
use crate::web::portal::setup::brand::{BrandView, LinkFrame};
use crate::web::portal::setup::link_request::page_path;
use crate::web::portal::texts;
use crate::web::state::AppState;

/// Path of the pages of setup links.
const LINK_PREFIX: &str = "/s/";

/// Whether a path is that of a setup link, or below it.
pub(crate) fn is_link_path(path: &str) -> bool {
    path.starts_with(LINK_PREFIX)
}

#[derive(Template)]
#[template(path = "portal/setup_error.html")]
struct LinkErrorPage {
    layout: PageLayout,
    brand: BrandView,
    frame: LinkFrame,
    sentences: Vec<String>,
    /// Path of the steps, while the link is open.
    back: Option<String>,
}

/// The page for an error of a request below [`LINK_PREFIX`]; `None` for any other request, and for a page that has its own errors,
/// such as a form with a wrong field. `refusal` is the error of the handler, if there is one.
pub(crate) fn render_link_error(
    request: &HttpRequest,
    response: &HttpResponse<BoxBody>,
    refusal: Option<&PageError>,
) -> Option<HttpResponse> {
    let (path, status) = (request.match_info().as_str(), response.status().as_u16());
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_link_path(path) || status < 400 || is_page && refusal.is_none() {
        return None;
    }
    let state = request.app_data::<Data<AppState>>();
    // The database can be what has failed.
    let brand = state.and_then(|state| BrandView::read(state).ok()).unwrap_or_default();
    let (secret, open) = state.and_then(|state| find_link(state, path)).unzip();
    let frame = state.zip(open.as_ref()).and_then(|(state, open)| LinkFrame::read(state, open).ok());
    let (title, sentences) = describe_failure(status, refusal, &brand.sender());
    let layout = PageLayout::new(title, None, NavigationEntry::NoSection);
    let (frame, back) = (frame.unwrap_or_default(), secret.as_deref().map(page_path));
    Some(hide_url(render_page(status, &LinkErrorPage { layout, brand, frame, sentences, back })))
}

/// The secret in a path, and its link while it is open.
fn find_link(state: &AppState, path: &str) -> Option<(String, OpenLink)> {
    let segment = path.strip_prefix(LINK_PREFIX)?.split('/').next()?;
    let secret = percent::decode_percent(segment)?;
    let digest = secret::digest_text(&secret);
    let find = |at: &Snapshot<'_>| setup_link_holder::find_open_link(at, &digest, clock::current_millis());
    let found = state.store.read_inline(find).ok()?;
    Some((secret, found))
}

/// Title and sentences of the page for an error. `sender` is the name of who sent the link.
fn describe_failure(status: u16, refusal: Option<&PageError>, sender: &str) -> (&'static str, Vec<String>) {
    if let Some(PageError::RefusedLink(reason)) = refusal {
        return describe_refused_link(*reason, sender);
    }
    let (title, sentence) = match status {
        403 => (texts::errors::PAGE_EXPIRED, texts::errors::LINK_FORM_EXPIRED),
        404 => (texts::errors::PAGE_NOT_FOUND, texts::errors::LINK_PAGE_UNKNOWN),
        405 => (texts::errors::NOT_POSSIBLE_NOW, texts::errors::LINK_METHOD_REFUSED),
        409 => (texts::errors::NOT_POSSIBLE_NOW, texts::errors::LINK_LIMIT_REACHED),
        413 => (texts::errors::LINK_FORM_TITLE, texts::errors::LINK_FORM_TOO_LARGE),
        429 => (texts::errors::LINK_BUSY_TITLE, texts::errors::LINK_TRY_LATER),
        500.. => (texts::errors::NOT_POSSIBLE_NOW, texts::errors::LINK_TRY_LATER),
        _ => (texts::errors::LINK_FORM_TITLE, texts::errors::LINK_FORM_UNREADABLE),
    };
    (title, vec![sentence.to_owned(), texts::errors::ask_for_help(sender)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    #[test]
    fn every_status_has_a_title_and_says_what_to_do() {
        for status in [400, 403, 404, 405, 408, 409, 413, 414, 415, 422, 429, 431, 500, 503] {
            let (title, sentences) = describe_failure(status, None, "Northlight (help@northlight.example)");
            assert!(sentences.len() == 2 && sentences[1].contains("help@northlight.example"), "{status}");
            let text = format!("{title} {}", sentences.join(" "));
            for term in ["sign", "session", "role", "owner", "configuration", "account", "admin"] {
                assert!(!text.to_lowercase().contains(term), "{status}: {term} in {text}");
            }
        }
        let ended = describe_failure(410, Some(&PageError::RefusedLink(Reason::LinkEnded)), "x");
        assert_eq!(ended.0, texts::errors::LINK_ENDED);
    }
}
