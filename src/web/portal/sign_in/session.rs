//! Sessions of admins. The cookie holds 256 random bits, the database their digest.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::cookie::Cookie;
use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use crate::auth::secret::{self, TokenDigest};
use crate::clock::{self, Millis};
use crate::error::Result;
use crate::management::instance;
use crate::management::sessions::{self, LiveSession, Session};
use crate::management::sso::SignInOrigin;
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext, Authority};
use crate::model::permission::Permission;
use crate::store::{Snapshot, Store, WorkOwner};
use crate::web::navigation_badges::NavigationBadges;
use crate::web::network;
use crate::web::portal::cookies;
use crate::web::portal::forms;
use crate::web::portal::layout::{self, PageError};
use crate::web::portal::sign_in::signed_in::{SignedIn, Theme, WrongCodesNotice};
use crate::web::portal::texts;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::request_middleware;
use crate::web::request_owner::record_request_owner;
use crate::web::required_permission::RequiredPermission;
use crate::web::state::AppState;
use crate::web::state::ServerContext;

/// Shortest interval in milliseconds between two updates of a session's last use.
const USE_UPDATE_INTERVAL: Millis = 60 * 1000;
/// Header of requests that the script of a page sends to refresh it.
const REFRESH: &str = "x-refresh";
/// Longest stored `User-Agent`, in characters.
const USER_AGENT_MAX_CHARS: usize = 200;

/// Name of the session cookie.
const COOKIE: &str = "rc";
/// Cookie of the color theme; it outlives the session.
pub(crate) const THEME_COOKIE: &str = "rc_theme";

/// A signed-in admin with the permission `N`. As a handler argument it rejects all others.
pub(crate) struct PermittedAdmin<N> {
    pub(crate) context: AuditContext,
    pub(crate) signed: SignedIn,
    needs: PhantomData<N>,
}

/// A signed-in admin with any role.
pub(crate) struct AnyAdmin {
    pub(crate) context: AuditContext,
    pub(crate) signed: SignedIn,
}

impl FromRequest for AnyAdmin {
    type Error = PageError;
    type Future = Ready<std::result::Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_signed_in(request).map(|signed| Self { context: audit_context(request, &signed), signed }))
    }
}

impl<N: RequiredPermission> FromRequest for PermittedAdmin<N> {
    type Error = PageError;
    type Future = Ready<std::result::Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_signed_in(request).and_then(|signed| {
            let is_account_only = N::OPERATOR_ONLY && signed.account.is_some();
            let missing = N::find_missing(signed.permissions).or(is_account_only.then_some(N::PERMISSION));
            if let Some(missing) = missing {
                // Without permission to list configurations, an id that exists and one that does not must look the
                // same.
                let is_hidden = !signed.permissions.contains(Permission::ProvisioningRead);
                return Err(if is_hidden { PageError::NotFound } else { PageError::MissingPermission(missing) });
            }
            Ok(Self { context: audit_context(request, &signed), signed, needs: PhantomData })
        }))
    }
}

fn audit_context(request: &HttpRequest, signed: &SignedIn) -> AuditContext {
    AuditContext {
        actor: Actor { kind: ActorKind::Admin, id: signed.admin.clone(), name: signed.email.clone() },
        scope: signed.account.clone().map_or(AccountScope::AllAccounts, AccountScope::Account),
        authority: Authority { permissions: signed.permissions, expires_at: None },
        address: request_middleware::caller_address_text(request),
        request_id: request_middleware::find_request_id(request),
    }
}

/// Origin of a request that signs in, for the audit log.
pub(super) fn sign_in_origin(request: &HttpRequest) -> SignInOrigin {
    SignInOrigin {
        address: request_middleware::caller_address_text(request),
        request_id: request_middleware::find_request_id(request),
    }
}

/// Returns the signed-in admin.
///
/// # Errors
/// [`PageError::SignIn`] with the path to return to if there is no valid session, and the errors of the database.
pub(crate) fn find_signed_in(request: &HttpRequest) -> std::result::Result<SignedIn, PageError> {
    let state = request.app_data::<Data<AppState>>();
    let found = match state {
        Some(state) => find_session(request, state)?,
        None => None,
    };
    if let Some(signed) = &found {
        record_request_owner(request, signed.work_owner(), &signed.admin);
        network::record_credential(request);
    }
    found.ok_or_else(|| {
        let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // A form cannot be sent again after sign-in, so only safe requests are repeated.
        let next = if request.method().is_safe() { next } else { "/" };
        PageError::SignIn { next: forms::encode_query(next) }
    })
}

fn find_session(request: &HttpRequest, state: &Data<AppState>) -> Result<Option<SignedIn>> {
    let Some(cookie) = cookies::find_cookie(request, COOKIE) else { return Ok(None) };
    let digest = secret::digest_text(cookie.value());
    let (now, lifetime) = (clock::current_millis(), state.server.settings.portal.sessions);
    let found = state.store.read_inline(|at| {
        let Some(live) = sessions::find_live_session(at, &digest, lifetime, now)? else { return Ok(None) };
        let sees_webhooks = may_manage_webhooks(at, &live)?;
        Ok(Some((live, sees_webhooks)))
    })?;
    let Some((LiveSession { session, admin, role, wrong_codes }, sees_webhooks)) = found else { return Ok(None) };
    let signed = SignedIn {
        session: session.id,
        admin: admin.id,
        name: admin.name,
        email: admin.email,
        role: role.name,
        badges: if admin.account.is_none() { state.badges.get(now) } else { NavigationBadges::default() },
        account: admin.account,
        permissions: role.permissions,
        form_token: form_token(&digest),
        notice: layout::find_notice(request.query_string()),
        zone: TimeZoneChoice::from_cookie(request),
        theme: cookies::find_cookie(request, THEME_COOKIE)
            .map(|cookie| Theme::from_key(cookie.value()))
            .unwrap_or_default(),
        wrong_codes: WrongCodesNotice::from_counted(&wrong_codes),
        read_only: state.store.service_state().cause(),
        sees_webhooks,
        last_seen: session.last_seen_at,
        expires_at: (session.last_seen_at + lifetime.idle).min(session.created_at + lifetime.total),
    };
    // A page that refreshes itself is not a use: otherwise an open page would never let the session end.
    let is_refresh = request.headers().contains_key(REFRESH);
    if !is_refresh && now - signed.last_seen > USE_UPDATE_INTERVAL {
        record_session_use(&state.store, signed.work_owner(), signed.session.clone());
    }
    Ok(Some(signed))
}

/// Whether the admin of a session may manage webhooks.
fn may_manage_webhooks(at: &Snapshot<'_>, live: &LiveSession) -> Result<bool> {
    let is_permitted = live.role.permissions.contains(Permission::WebhooksManage);
    Ok(is_permitted && (live.admin.account.is_none() || instance::are_account_webhooks_enabled(at)?))
}

/// Updates the last use of a session in the background, so that the page does not wait for the write.
fn record_session_use(store: &Store, owner: WorkOwner, session: String) {
    let store = store.clone();
    actix_web::rt::spawn(async move {
        if let Err(problem) = store.write_as(owner, move |tx| sessions::record_session_use(tx, &session)).await {
            tracing::warn!(%problem, "failed to update the last use of a session");
        }
    });
}

/// The CSRF token of a session, derived from the digest of its cookie.
fn form_token(digest: &TokenDigest) -> String {
    use std::fmt::Write as _;
    let token = secret::digest_text(&format!("form {digest:?}"));
    token[..16].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Creates a session: its cookie, its digest and its row. Every sign-in creates a new one, which prevents session
/// fixation.
///
/// # Errors
/// 503 if there are no random numbers.
pub(crate) fn begin_session(
    request: &HttpRequest,
    server: &ServerContext,
    admin: &str,
) -> std::result::Result<(Cookie<'static>, TokenDigest, Session), PageError> {
    let no_random = |_| PageError::Failed { status: 503, detail: texts::sign_in::NO_RANDOM_NUMBERS.to_owned() };
    let token = secret::BearerToken::generate_session().map_err(no_random)?;
    let now = clock::current_millis();
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        id: clock::new_id(),
        admin: admin.to_owned(),
        address: request_middleware::caller_address_text(request),
        user_agent: agent.chars().take(USER_AGENT_MAX_CHARS).collect(),
        created_at: now,
        last_seen_at: now,
    };
    Ok((renew_session_cookie(server, token.reveal()), token.digest(), session))
}

/// The session cookie under the name that fits the current public URL, which may just have changed between HTTP and
/// HTTPS.
pub(crate) fn renew_session_cookie(server: &ServerContext, value: &str) -> Cookie<'static> {
    let seconds = server.settings.portal.sessions.total / 1000;
    cookies::new_cookie(server, COOKIE, value.to_owned(), seconds)
}

/// The value of the session cookie in the request.
pub(crate) fn session_cookie_value(request: &HttpRequest) -> Option<String> {
    cookies::find_cookie(request, COOKIE).map(|cookie| cookie.value().to_owned())
}

/// An expired session cookie, which removes the session from the browser.
pub(crate) fn expired_cookie(server: &ServerContext) -> Cookie<'static> {
    cookies::expired_cookie(server, COOKIE)
}
