//! Rendered pages: the layout of every template, and the error pages.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use askama::Template;

use crate::error::{Error, ErrorKind, Reason};
use crate::model::permission::Permission;
use crate::web::assets;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::texts::notices::NOTICES;
use crate::web::portal::timestamps::PageTime;

/// Result of a page handler.
pub(super) type PageResult = Result<HttpResponse, PageError>;

/// Allows only files of this server, and no framing by other sites.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Values of the layout template.
pub(super) struct PageLayout {
    /// Title of the document.
    pub(super) title: String,
    /// The only `h1` of the page. On a page of a connection, whose name is the `h1`, the heading below it; may be empty there.
    pub(super) heading: String,
    /// The signed-in admin; `None` on pages that need no session.
    pub(super) signed: Option<SignedIn>,
    /// The current section of the navigation.
    pub(super) section: NavigationEntry,
    /// Result of the previous action, shown once.
    pub(super) notice: Option<&'static str>,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
    /// Interval in seconds at which the page reloads itself.
    pub(super) refresh: Option<u32>,
    /// The end of the time for which a new secret can be shown.
    pub(super) visible_until: Option<PageTime>,
}

/// The sections of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NavigationEntry {
    Home,
    Connections,
    Accounts,
    Requests,
    Find,
    Users,
    Audit,
    Webhooks,
    Settings,
    Profile,
    NoSection,
}

impl PageLayout {
    pub(super) fn new(title: impl Into<String>, signed: Option<&SignedIn>, section: NavigationEntry) -> Self {
        let title = title.into();
        Self {
            heading: title.clone(),
            title,
            signed: signed.cloned(),
            section,
            notice: signed.and_then(|signed| signed.notice),
            style: assets::asset_url("portal/style.css"),
            script: assets::asset_url("portal/script.js"),
            icon: assets::asset_url("portal/icon.svg"),
            refresh: None,
            visible_until: None,
        }
    }

    /// Whether the admin has this permission. An unknown permission gives `false`.
    pub(super) fn may(&self, permission: &str) -> bool {
        let permission = permission.parse::<Permission>();
        permission
            .is_ok_and(|permission| self.signed.as_ref().is_some_and(|signed| signed.permissions.contains(permission)))
    }

    /// Whether this section of the navigation is the current one.
    pub(super) fn is_current_section(&self, section: &str) -> bool {
        let present = match self.section {
            NavigationEntry::Home => "home",
            NavigationEntry::Connections => "connections",
            NavigationEntry::Accounts => "accounts",
            NavigationEntry::Requests => "requests",
            NavigationEntry::Find => "find",
            NavigationEntry::Users => "users",
            NavigationEntry::Audit => "audit",
            NavigationEntry::Webhooks => "webhooks",
            NavigationEntry::Settings => "settings",
            NavigationEntry::Profile => "profile",
            NavigationEntry::NoSection => "",
        };
        present == section
    }

    /// Whether the admin may search. Requests are searched only with the permission to read them.
    pub(super) fn may_search(&self) -> bool {
        self.may("directory.read")
    }

    /// Whether the admin may manage the server.
    pub(super) fn may_manage_server(&self) -> bool {
        self.signed.as_ref().is_some_and(SignedIn::may_manage_server)
    }

    /// Whether the admin may manage webhooks.
    pub(super) fn sees_webhooks(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.sees_webhooks)
    }

    /// The account that the admin is limited to; `None` for all accounts.
    pub(super) fn own_account(&self) -> Option<&str> {
        self.signed.as_ref().and_then(|signed| signed.account.as_deref())
    }

    /// Class of the color theme.
    pub(super) fn theme(&self) -> &'static str {
        self.signed.as_ref().map_or("auto", |signed| signed.theme.as_str())
    }

    /// The CSRF token that every form of this session contains.
    pub(super) fn form_token(&self) -> &str {
        self.signed.as_ref().map_or("", |signed| &signed.form_token)
    }
}

/// Renders a template as an HTML response with this status. 503 if the template fails to render.
pub(super) fn render_page(status: u16, template: &impl Template) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match template.render() {
        Ok(html) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html),
        Err(problem) => {
            tracing::error!(%problem, "failed to render a page");
            HttpResponse::ServiceUnavailable()
                .content_type("text/plain; charset=utf-8")
                .body(texts::errors::PAGE_NOT_RENDERED)
        }
    }
}

/// The notice for the key in the query parameter `done`. Only sentences of [`NOTICES`] appear, so that a crafted link
/// cannot show other text.
pub(super) fn find_notice(query: &str) -> Option<&'static str> {
    let done = query.split('&').find_map(|pair| pair.strip_prefix("done="))?;
    NOTICES.iter().find(|(key, _)| *key == done).map(|(_, sentence)| *sentence)
}

/// Redirects to another page after an action: 303, so that a reload does not repeat the action.
pub(super) fn redirect_to(address: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, address));
    response
}

/// Adds the headers of every page: no content of other sites, no caching.
pub(super) fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        // A page with a secret in its URL has a stricter policy of its own.
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// Marks a page whose URL contains a secret: requests of the page do not contain its path as `Referer`, so that it is not
/// in the log of a proxy with each file of the page, and search engines do not list it.
pub(super) fn hide_url(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    response
}

/// An error of a page handler.
#[derive(Debug)]
pub(crate) enum PageError {
    /// No valid session: sign in, then return to this path, which is encoded for a query.
    SignIn { next: String },
    /// The role of the admin lacks this permission.
    MissingPermission(Permission),
    /// The form was not sent by a page of this session.
    ForeignForm,
    /// The page does not exist, or the admin may not see that it exists.
    NotFound,
    /// The setup link is unknown, has ended or has expired, or does not allow the action. Its holder may have no portal login, so
    /// the page links to no other.
    RefusedLink(Reason),
    /// The invitation is unknown, has ended or has expired. Its holder has no portal login yet.
    RefusedInvite(Reason),
    /// Any other error, described in a sentence.
    Failed { status: u16, detail: String },
}

#[derive(Template)]
#[template(path = "portal/error.html")]
struct ErrorPage {
    layout: PageLayout,
    sentences: Vec<String>,
    /// Whether the page has a link to the start page.
    has_start: bool,
}

impl std::fmt::Display for PageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.title_and_sentences().1.join(" "))
    }
}

impl PageError {
    fn status(&self) -> u16 {
        match self {
            Self::SignIn { .. } => 303,
            Self::MissingPermission(_) | Self::ForeignForm => 403,
            Self::NotFound => 404,
            Self::RefusedLink(reason) | Self::RefusedInvite(reason) => Error::new(*reason).kind().status(),
            Self::Failed { status, .. } => *status,
        }
    }

    /// Renders the error page, with the navigation of the signed-in admin if there is one.
    pub(super) fn page(&self, signed: Option<&SignedIn>) -> HttpResponse {
        let (title, sentences) = self.title_and_sentences();
        // A notice in the query belongs to another page.
        let layout = PageLayout { notice: None, ..PageLayout::new(title, signed, NavigationEntry::NoSection) };
        let has_start = !matches!(self, Self::RefusedLink(_) | Self::RefusedInvite(_));
        let mut response = render_page(self.status(), &ErrorPage { layout, sentences, has_start });
        if self.status() == 503 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Title and sentences of the error page.
    fn title_and_sentences(&self) -> (&'static str, Vec<String>) {
        match self {
            Self::SignIn { .. } => (texts::errors::SIGN_IN, vec![texts::errors::SIGN_IN_TO_CONTINUE.to_owned()]),
            Self::MissingPermission(permission) => (
                texts::errors::NO_PERMISSION,
                vec![texts::errors::name_missing_permission(*permission), texts::errors::ASK_OWNER_FOR_ROLE.to_owned()],
            ),
            Self::ForeignForm => (
                texts::errors::PAGE_EXPIRED,
                vec![texts::errors::RELOAD_AND_RETRY.to_owned(), texts::errors::FOREIGN_FORM.to_owned()],
            ),
            Self::NotFound => (texts::errors::PAGE_NOT_FOUND, vec![texts::errors::MAY_BE_DELETED.to_owned()]),
            Self::RefusedLink(reason) => describe_refused_link(*reason, texts::errors::SENDER),
            Self::RefusedInvite(reason) => describe_refused_invite(*reason),
            Self::Failed { status, detail } if *status < 500 => (texts::errors::NOT_DONE, vec![detail.clone()]),
            Self::Failed { detail, .. } => (texts::errors::NOT_POSSIBLE_NOW, vec![detail.clone()]),
        }
    }
}

/// The errors of pages of a setup link.
const LINK_REASONS: [Reason; 5] = [
    Reason::LinkUnknown,
    Reason::LinkEnded,
    Reason::LinkExpired,
    Reason::LinkActionNotAllowed,
    Reason::LinkTokensSpent,
];

/// Title and sentences of the page for one of [`LINK_REASONS`]. `sender` is the name of who sent the link.
pub(super) fn describe_refused_link(reason: Reason, sender: &str) -> (&'static str, Vec<String>) {
    let ask = texts::errors::ask_sender_for_link(sender);
    match reason {
        Reason::LinkEnded => (texts::errors::LINK_ENDED, vec![texts::errors::LINK_END_REASONS.to_owned(), ask]),
        Reason::LinkExpired => (texts::errors::LINK_EXPIRED, vec![ask]),
        Reason::LinkActionNotAllowed => (texts::errors::LINK_ACTION_NOT_ALLOWED, vec![ask]),
        Reason::LinkTokensSpent => (texts::errors::LINK_TOKENS_SPENT, vec![ask]),
        _ => (texts::errors::LINK_UNKNOWN, vec![texts::errors::ask_for_complete_link(sender)]),
    }
}

/// Title and sentences of the page for an invitation that cannot be accepted.
fn describe_refused_invite(reason: Reason) -> (&'static str, Vec<String>) {
    let ask = texts::errors::ASK_INVITER_FOR_LINK.to_owned();
    match reason {
        Reason::LinkEnded => {
            (texts::errors::INVITATION_ENDED, vec![texts::errors::INVITATION_END_REASONS.to_owned(), ask])
        }
        Reason::LinkExpired => (texts::errors::INVITATION_EXPIRED, vec![ask]),
        _ => (texts::errors::INVITATION_UNKNOWN, vec![texts::errors::OPEN_COMPLETE_INVITATION.to_owned()]),
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::SignIn { next } = self {
            return redirect_to(&format!("/login?next={next}")).finish();
        }
        self.page(None)
    }
}

impl From<Reason> for PageError {
    fn from(reason: Reason) -> Self {
        Error::from(reason).into()
    }
}

impl From<std::io::Error> for PageError {
    fn from(problem: std::io::Error) -> Self {
        Self::Failed { status: 500, detail: problem.to_string() }
    }
}

impl From<Error> for PageError {
    /// Converts an error to the text that admins may see. Details for the operator go to the log.
    fn from(error: Error) -> Self {
        crate::web::log_failure(&error);
        let status = match error.kind() {
            _ if LINK_REASONS.contains(&error.reason()) => return Self::RefusedLink(error.reason()),
            ErrorKind::NotFound => return Self::NotFound,
            // A form is answered with its errors.
            ErrorKind::Invalid => 422,
            kind => kind.status(),
        };
        Self::Failed { status, detail: render_sentence(&error) }
    }
}
