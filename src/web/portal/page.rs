//! Pages as they leave: the frame around every template, and the pages that refuse.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use askama::Template;

use super::session::Signed;
use crate::error::Error;
use crate::model::permission::Permission;
use crate::web::assets;

/// What a handler gives.
pub(super) type Shown = Result<HttpResponse, Refusal>;

/// Nothing but our own files, and no frame around us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the layout needs to know.
pub(super) struct Layout {
    /// Title of the page, and its only first heading.
    pub(super) title: String,
    /// Who is signed in; nobody on the pages before.
    pub(super) signed: Option<Signed>,
    /// Which entry of the navigation is the present one.
    pub(super) place: Place,
    /// What was just done, said once.
    pub(super) notice: Option<&'static str>,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
    /// Seconds after which the page asks for itself again.
    pub(super) refresh: Option<u32>,
}

/// The entries of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Connections,
    Accounts,
    Find,
    Audit,
    Settings,
    Elsewhere,
}

impl Layout {
    pub(super) fn new(title: impl Into<String>, signed: Option<&Signed>, place: Place) -> Self {
        Self {
            title: title.into(),
            signed: signed.cloned(),
            place,
            notice: signed.and_then(|signed| signed.notice),
            style: assets::address("portal/style.css"),
            script: assets::address("portal/script.js"),
            icon: assets::address("portal/icon.svg"),
            refresh: None,
        }
    }

    /// Whether the person may.
    pub(super) fn may(&self, permission: &str) -> bool {
        let permission = permission.parse::<Permission>();
        permission
            .is_ok_and(|permission| self.signed.as_ref().is_some_and(|signed| signed.permissions.allow(permission)))
    }

    /// Whether that entry of the navigation is the present one.
    pub(super) fn is_at(&self, place: &str) -> bool {
        let present = match self.place {
            Place::Connections => "connections",
            Place::Accounts => "accounts",
            Place::Find => "find",
            Place::Audit => "audit",
            Place::Settings => "settings",
            Place::Elsewhere => "",
        };
        present == place
    }

    /// The one account that the person is limited to.
    pub(super) fn own_account(&self) -> Option<&str> {
        self.signed.as_ref().and_then(|signed| signed.account.as_deref())
    }

    /// How the pages look.
    pub(super) fn theme(&self) -> &'static str {
        self.signed.as_ref().map_or("auto", |signed| signed.theme.word())
    }

    /// The token that every form of this person carries.
    pub(super) fn form_token(&self) -> &str {
        self.signed.as_ref().map_or("", |signed| &signed.form_token)
    }
}

/// A page.
pub(super) fn page(status: u16, template: &impl Template) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match template.render() {
        Ok(html) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html),
        Err(problem) => {
            tracing::error!(%problem, "a page cannot be written");
            HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("this page is broken\n")
        }
    }
}

/// What a page says about what was just done: `done` in its address is one of these words. Nobody can make it say
/// anything else.
pub(super) fn notice(query: &str) -> Option<&'static str> {
    let word = query.split('&').find_map(|pair| pair.strip_prefix("done="))?;
    NOTICES.iter().find(|(known, _)| *known == word).map(|(_, sentence)| *sentence)
}

const NOTICES: &[(&str, &str)] = &[
    ("account", "The account was added."),
    ("account-deleted", "The account is deleted, and its API keys are dead."),
    ("schema-added", "The schema was added. Requests know it from the next one on."),
    ("schema-removed", "The schema is gone."),
    ("backup", "The backup was made and checked."),
    ("backup-runs", "A backup is being made. It appears in the list when it is done and was checked."),
    ("codes-off", "One-time codes are off, and the recovery codes are gone."),
    ("disabled", "Disabled. The person is signed out everywhere."),
    ("enabled", "Enabled. The person may sign in again."),
    ("own-password", "Your password is changed. Your other sessions have ended."),
    ("password", "The password is changed. Every other session of the person has ended."),
    ("person", "The person was added."),
    ("role-removed", "The role is gone."),
    ("saved", "Your changes were saved."),
    ("paused", "Paused. Changes are taken and kept, and go on to your application when you resume."),
    ("resumed", "Resumed. What happened meanwhile goes on to your application now."),
    ("all-revoked", "Every token of this connection is revoked. They stopped working at once."),
    ("revoked", "Revoked. It stopped working at once."),
    ("purged", "Purged. Nothing of it is left."),
    ("session", "Ended. Whoever used it is signed out."),
    ("sso-removed", "Single sign-on is gone."),
    ("unlinked", "The person’s identities are forgotten. At the next sign-in the e-mail address decides."),
    ("signed-out", "You are signed out."),
];

/// On to another page after something was done (303, so that a reload does not do it again).
pub(super) fn on_to(address: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, address));
    response
}

/// Puts the headers of every page (portal safety: nothing foreign, nothing kept).
pub(super) fn mark(headers: &mut HeaderMap, request_id: &str) {
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
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A page that was not given.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Sign in first, then come back to this address.
    SignIn { next: String },
    /// The person lacks a permission.
    Lacks(Permission),
    /// The form did not come from one of our pages, or from an old one.
    ForeignForm,
    /// There is no such page, or not for this person.
    NotFound,
    /// Anything else, in a sentence.
    Because { status: u16, detail: String },
}

#[derive(Template)]
#[template(path = "portal/refusal.html")]
struct RefusalPage {
    layout: Layout,
    sentences: Vec<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.words().1.join(" "))
    }
}

impl Refusal {
    fn status(&self) -> u16 {
        match self {
            Self::SignIn { .. } => 303,
            Self::Lacks(_) | Self::ForeignForm => 403,
            Self::NotFound => 404,
            Self::Because { status, .. } => *status,
        }
    }

    /// The page that says so, to whoever is signed in.
    pub(super) fn page(&self, signed: Option<&Signed>) -> HttpResponse {
        let (title, sentences) = self.words();
        // What an earlier page did is no news here.
        let layout = Layout { notice: None, ..Layout::new(title, signed, Place::Elsewhere) };
        let mut response = page(self.status(), &RefusalPage { layout, sentences });
        if self.status() == 503 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Title and sentences.
    fn words(&self) -> (&'static str, Vec<String>) {
        match self {
            Self::SignIn { .. } => ("Sign in", vec!["Sign in to go on.".to_owned()]),
            Self::Lacks(permission) => (
                "You may not do this",
                vec![
                    format!("This needs the permission “{permission}”, which your role does not have."),
                    "An owner can give you a role that has it.".to_owned(),
                ],
            ),
            Self::ForeignForm => (
                "This form is too old",
                vec![
                    "It did not come from a page of this session, so nothing was changed.".to_owned(),
                    "Go back, reload the page, and send it again.".to_owned(),
                ],
            ),
            Self::NotFound => {
                ("There is no such page", vec!["It may have been deleted, or it is not yours to see.".to_owned()])
            }
            Self::Because { status, detail } if *status < 500 => ("This did not work", vec![detail.clone()]),
            Self::Because { detail, .. } => ("Not possible at the moment", vec![detail.clone()]),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::SignIn { next } = self {
            return on_to(&format!("/login?next={}", super::form::encoded(next))).finish();
        }
        self.page(None)
    }
}

impl From<crate::scim::Error> for Refusal {
    fn from(refused: crate::scim::Error) -> Self {
        Error::Scim(refused).into()
    }
}

impl From<Error> for Refusal {
    /// An error as people may see it; what concerns the operator goes to the log.
    fn from(error: Error) -> Self {
        let because = |status, detail: &str| Self::Because { status, detail: detail.to_owned() };
        match error {
            Error::NotFound(_) => Self::NotFound,
            Error::Conflict(detail) => Self::Because { status: 409, detail },
            Error::Refused(detail) => Self::Because { status: 422, detail },
            Error::Scim(refused) => Self::Because { status: refused.status, detail: refused.detail },
            Error::Busy => because(503, "The server is busy. Try again in a moment."),
            Error::ScanTooLong => because(503, "This takes too long. Ask for less."),
            Error::DiskFull => because(507, "The server has no room left. Nothing was changed."),
            Error::Database(problem) => {
                tracing::error!(problem, "the database refused a statement");
                because(503, "The server cannot use its database at present. Nothing was changed.")
            }
        }
    }
}
