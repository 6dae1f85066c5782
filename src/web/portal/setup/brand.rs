//! The branding on the pages that a customer sees: name, logo, style sheet.

use actix_web::HttpResponse;
use actix_web::http::header;
use jiff::Timestamp;

use crate::clock::{self, Millis};
use crate::error::Result;
use crate::management::accounts;
use crate::management::instance::branding::{self, StoredBranding};
use crate::management::setup_link_holder::OpenLink;
use crate::model::audit_context::AccountScope;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageResult};
use crate::web::portal::texts;
use crate::web::state::AppState;

/// The head has the time of the expiry if it is this near, in milliseconds.
const SOON: Millis = 2 * 24 * 60 * 60 * 1000;
/// The files have the number of the branding in their URL, so they never change.
const CACHED: &str = "public, max-age=31536000, immutable";
/// An SVG that is opened as a document runs no script and loads nothing.
const LOGO_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";

/// The branding of a page.
#[derive(Default)]
pub(crate) struct BrandView {
    stored: StoredBranding,
}

impl BrandView {
    /// Reads the branding.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn read(state: &AppState) -> Result<Self> {
        Ok(Self { stored: state.store.read_inline(branding::get_branding)? })
    }

    /// Name of the operator's product, if one is set.
    pub(crate) fn product(&self) -> Option<&str> {
        Some(self.stored.branding.product_name.as_str()).filter(|name| !name.is_empty())
    }

    /// Where the customer asks for a new link.
    pub(crate) fn sender(&self) -> String {
        match (self.product(), &self.stored.branding.support) {
            (Some(product), Some(support)) => texts::errors::add_support(product, support),
            (Some(product), None) => product.to_owned(),
            (None, Some(support)) => texts::errors::name_sender(support),
            (None, None) => texts::errors::SENDER.to_owned(),
        }
    }

    /// First letter of the product, where there is no logo.
    pub(crate) fn initial(&self) -> String {
        self.product()
            .and_then(|name| name.chars().next())
            .map(|first| first.to_uppercase().collect())
            .unwrap_or_default()
    }

    pub(crate) fn support_url(&self) -> Option<String> {
        self.stored.branding.support_url()
    }

    pub(crate) fn return_url(&self) -> Option<&str> {
        self.stored.branding.return_url.as_deref()
    }

    /// URL of the style sheet, if there is an accent color.
    pub(crate) fn style(&self) -> Option<String> {
        self.stored.branding.accent.as_ref().map(|_| format!("/brand/{}/style.css", self.stored.revision))
    }

    /// URL of the logo, if there is one.
    pub(crate) fn logo(&self) -> Option<String> {
        self.stored.has_logo.then(|| format!("/brand/{}/logo", self.stored.revision))
    }
}

/// Reads the branding of the version in the path.
fn read_version(page_request: &PageRequest) -> std::result::Result<StoredBranding, PageError> {
    let stored = page_request.read_inline(branding::get_branding)?;
    let is_current = page_request.path_parameter("version") == stored.revision.to_string();
    if is_current { Ok(stored) } else { Err(PageError::NotFound) }
}

/// `GET /brand/{version}/style.css`: the accent color. The content security policy allows no inline style.
pub(crate) async fn serve_style(page_request: PageRequest) -> PageResult {
    let accent = read_version(&page_request)?.branding.accent.ok_or(PageError::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, CACHED))
        .body(format!(".branded {{ --primary: {accent}; }}\n")))
}

/// `GET /brand/{version}/logo`
pub(crate) async fn serve_logo(page_request: PageRequest) -> PageResult {
    read_version(&page_request)?;
    let logo = page_request.read(branding::find_logo).await?.ok_or(PageError::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(logo.format.as_str())
        .insert_header((header::CACHE_CONTROL, CACHED))
        .insert_header((header::CONTENT_SECURITY_POLICY, LOGO_POLICY))
        .body(logo.bytes))
}

/// The head of a page of a link: for whom the link is, and until when.
#[derive(Default)]
pub(crate) struct LinkFrame {
    /// Name of the account.
    pub(crate) account: Option<String>,
    /// When the link expires, as text in UTC.
    pub(crate) expires: Option<String>,
}

impl LinkFrame {
    /// Reads the head of the pages of a link.
    ///
    /// # Errors
    /// The errors of the database.
    pub(super) fn read(state: &AppState, found: &OpenLink) -> Result<Self> {
        let scope = AccountScope::Account(found.configuration.account.clone());
        let account = state.store.read_inline(|at| accounts::list_accounts(at, &scope, None, 1))?.pop();
        let is_soon = found.link.expires_at - clock::current_millis() < SOON;
        let form = if is_soon { texts::formats::SHORT_DATE_IN_UTC } else { texts::formats::SHORT_DATE };
        let expires = Timestamp::from_millisecond(found.link.expires_at).ok().map(|at| at.strftime(form).to_string());
        Ok(Self { account: account.map(|account| account.name), expires })
    }
}
