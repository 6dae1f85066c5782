//! Who is signed in. The cookie holds 256 random bits, the database their digest.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest};

use super::form;
use super::page::{self, Refusal};
use super::zone::Zone;
use crate::clock::{self, Millis};
use crate::error::Result;
use crate::model::actor::{Actor, ActorKind, By, Reach};
use crate::model::permission::{Permission, Permissions};
use crate::secret::{self, TokenDigest};
use crate::store::sessions::{self, Session};
use crate::store::{Undo, admins};
use crate::web::access::Needs;
use crate::web::frame;
use crate::web::public_url::is_https;
use crate::web::state::State;

/// How long a session lives without being used.
pub const IDLE_MAX: Millis = 24 * 60 * 60 * 1000;
/// How long it lives at most.
pub const AGE_MAX: Millis = 7 * 24 * 60 * 60 * 1000;
/// The use of a session is written down no more often than this.
const NOTE_EVERY: Millis = 60 * 1000;
/// Longest name of a browser that is kept.
const USER_AGENT_MAX_CHARS: usize = 200;

/// The session's cookie where the server is reached by HTTPS: bound to the host, never sent in clear.
const COOKIE: &str = "__Host-rc";
/// The same for a server that is tried out over plain HTTP.
const PLAIN_COOKIE: &str = "rc";
/// How the pages look in a browser; it outlives the session.
pub(super) const THEME_COOKIE: &str = "rc_theme";

/// How the pages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Theme {
    /// As the device says.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// The word in forms, cookies and pages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme with that word; any other word leaves it to the device.
    pub(super) fn of(word: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|theme| theme.word() == word).unwrap_or_default()
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) session: String,
    pub(super) admin: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) role: String,
    /// The one account in which the role counts.
    pub(super) account: Option<String>,
    pub(super) permissions: Permissions,
    /// What every form of this session carries.
    pub(super) form_token: String,
    /// What was just done.
    pub(super) notice: Option<&'static str>,
    pub(super) theme: Theme,
    /// The time zone that was chosen in this browser.
    pub(super) zone: Option<Zone>,
    since: Millis,
    last_seen: Millis,
}

impl Signed {
    /// Whether the person may run the server, and not one account alone.
    pub(super) fn runs_the_server(&self) -> bool {
        self.account.is_none() && self.permissions.allow(Permission::SystemAdmin)
    }
}

/// Somebody who may see a page.
pub(super) struct Person<N> {
    pub(super) by: By,
    pub(super) signed: Signed,
    needs: PhantomData<N>,
}

/// Somebody who is signed in, whatever the role.
pub(super) struct Anybody {
    pub(super) by: By,
    pub(super) signed: Signed,
}

/// The parts of a request that a page needs after it is clear who asks.
pub(super) struct Visit {
    pub(super) request: HttpRequest,
    pub(super) state: Data<State>,
    pub(super) payload: web::Payload,
}

impl FromRequest for Visit {
    type Error = Refusal;
    type Future = Ready<std::result::Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<Data<State>>().cloned();
        let payload = web::Payload::from_request(request, payload).into_inner();
        ready(match (state, payload) {
            (Some(state), Ok(payload)) => Ok(Self { request: request.clone(), state, payload }),
            _ => Err(Refusal::Because { status: 503, detail: "The server is not ready.".to_owned() }),
        })
    }
}

impl Visit {
    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> String {
        let raw = self.request.match_info().get(name).unwrap_or_default();
        crate::scim::percent::decoded(raw).unwrap_or_else(|| raw.to_owned())
    }

    /// The query as `T`; what cannot be used is as if it were not there.
    pub(super) fn query<T: serde::de::DeserializeOwned + Default>(&self) -> T {
        web::Query::<T>::from_query(self.request.query_string()).map(web::Query::into_inner).unwrap_or_default()
    }

    /// The form of somebody who is signed in.
    pub(super) async fn form<T: serde::de::DeserializeOwned>(
        self,
        signed: &Signed,
    ) -> std::result::Result<(T, Data<State>), Refusal> {
        form::check_origin(&self.request, &self.state.public_url())?;
        let fields = form::read(&self.request, self.payload, &signed.form_token).await?;
        Ok((fields, self.state))
    }
}

impl FromRequest for Anybody {
    type Error = Refusal;
    type Future = Ready<std::result::Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(signed_in(request).map(|signed| Self { by: by(request, &signed), signed }))
    }
}

impl<N: Needs> FromRequest for Person<N> {
    type Error = Refusal;
    type Future = Ready<std::result::Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(signed_in(request).and_then(|signed| {
            let lacks = !signed.permissions.allow(N::PERMISSION) || (N::OPERATOR_ONLY && signed.account.is_some());
            if lacks {
                // Who may not even see that there are configurations does not learn which there are.
                let is_hidden = !signed.permissions.allow(Permission::ProvisioningRead);
                return Err(if is_hidden { Refusal::NotFound } else { Refusal::Lacks(N::PERMISSION) });
            }
            Ok(Self { by: by(request, &signed), signed, needs: PhantomData })
        }))
    }
}

fn by(request: &HttpRequest, signed: &Signed) -> By {
    By {
        actor: Actor { kind: ActorKind::Admin, id: signed.admin.clone(), name: signed.email.clone() },
        reach: signed.account.clone().map_or(Reach::Everywhere, Reach::Account),
        address: frame::address_text(request),
        request_id: frame::request_id(request),
    }
}

/// Finds out who is signed in; else the way to sign in and come back.
pub(super) fn signed_in(request: &HttpRequest) -> std::result::Result<Signed, Refusal> {
    let state = request.app_data::<Data<State>>();
    let found = match state {
        Some(state) => find(request, state)?,
        None => None,
    };
    found.ok_or_else(|| {
        let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // A form is not sent again by itself: the page it stands on is.
        let next = if request.method().is_safe() { next } else { "/" };
        Refusal::SignIn { next: next.to_owned() }
    })
}

fn find(request: &HttpRequest, state: &Data<State>) -> Result<Option<Signed>> {
    let Some(cookie) = request.cookie(cookie_name(state)) else { return Ok(None) };
    let digest = secret::digest(cookie.value());
    let now = clock::now();
    let found = state.store.read_inline(|at| {
        let Some(session) = sessions::by_digest(at, &digest)? else { return Ok(None) };
        if now - session.last_seen_at > IDLE_MAX || now - session.created_at > AGE_MAX {
            return Ok(None);
        }
        let Some(admin) = admins::by_id(at, &session.admin)?.filter(|admin| admin.disabled_at.is_none()) else {
            return Ok(None);
        };
        let Some(role) = admins::role(at, &admin.role)? else { return Ok(None) };
        Ok(Some((session, admin, role)))
    })?;
    let Some((session, admin, role)) = found else { return Ok(None) };
    let signed = Signed {
        session: session.id,
        admin: admin.id,
        name: admin.name,
        email: admin.email,
        role: role.name,
        account: admin.account,
        permissions: role.permissions,
        form_token: form_token(&digest),
        notice: page::notice(request.query_string()),
        zone: Zone::chosen(request),
        theme: request.cookie(THEME_COOKIE).map(|cookie| Theme::of(cookie.value())).unwrap_or_default(),
        since: session.created_at,
        last_seen: session.last_seen_at,
    };
    if now - signed.last_seen > NOTE_EVERY {
        note_use(state, signed.session.clone());
    }
    Ok(Some(signed))
}

impl Signed {
    /// The zone in which days and times are meant.
    pub(super) fn zone(&self) -> Zone {
        self.zone.clone().unwrap_or_else(Zone::utc)
    }

    /// When the session ends by itself, if it is not used again.
    pub(super) fn ends(&self) -> Millis {
        (self.last_seen + IDLE_MAX).min(self.since + AGE_MAX)
    }
}

/// Writes the use down behind the page's back.
fn note_use(state: &Data<State>, session: String) {
    let store = state.store.clone();
    actix_web::rt::spawn(async move {
        if let Err(problem) = store.write(Undo::Savepoint, move |tx| sessions::note_use(tx, &session)).await {
            tracing::warn!(%problem, "the use of a session was not written down");
        }
    });
}

/// What the forms of a session carry: known to whoever has the cookie, and to nobody else.
fn form_token(digest: &TokenDigest) -> String {
    use std::fmt::Write as _;
    let token = secret::digest(&format!("form {digest:?}"));
    token[..16].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_secure(state: &State) -> bool {
    is_https(&state.public_url())
}

fn cookie_name(state: &State) -> &'static str {
    if is_secure(state) { COOKIE } else { PLAIN_COOKIE }
}

/// A cookie of ours: not for scripts, not for other sites.
pub(super) fn cookie(state: &State, name: &'static str, value: String, seconds: i64) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .secure(is_secure(state))
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish()
}

/// The cookie of a new session, and the session to be kept. A new one is made at every signing in, so that nobody can be
/// made to use one that somebody else knows.
pub(super) fn begin(
    request: &HttpRequest,
    state: &State,
    admin: &str,
) -> std::result::Result<(Cookie<'static>, TokenDigest, Session), Refusal> {
    let no_chance = |_| Refusal::Because { status: 503, detail: "The server has no random numbers.".to_owned() };
    let token = secret::Token::generate_session().map_err(no_chance)?;
    let now = clock::now();
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        id: clock::new_id(),
        admin: admin.to_owned(),
        address: frame::address_text(request),
        user_agent: agent.chars().take(USER_AGENT_MAX_CHARS).collect(),
        created_at: now,
        last_seen_at: now,
    };
    Ok((cookie(state, cookie_name(state), token.reveal().to_owned(), AGE_MAX / 1000), token.digest(), session))
}

/// The cookie of a session under the name that goes with the public URL of now, which another URL may have changed.
pub(super) fn renamed(state: &State, value: &str) -> Cookie<'static> {
    cookie(state, cookie_name(state), value.to_owned(), AGE_MAX / 1000)
}

/// The value of the session's cookie, as the browser sent it.
pub(super) fn carried(request: &HttpRequest, state: &State) -> Option<String> {
    request.cookie(cookie_name(state)).map(|cookie| cookie.value().to_owned())
}

/// The cookie that makes the browser forget its session.
pub(super) fn forget(state: &State) -> Cookie<'static> {
    cookie(state, cookie_name(state), String::new(), 0)
}
