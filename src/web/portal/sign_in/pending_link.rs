//! The identity that an admin has to confirm with the password before it is linked, in an encrypted cookie.

use actix_web::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::auth::secret;
use crate::clock::{self, Millis};
use crate::model::sso::PendingLink;
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::state::{AppState, ServerContext};

/// Longest time to confirm, in seconds.
const CONFIRM_SECONDS_MAX: i64 = 5 * 60;
const COOKIE: &str = "rc_link";
const SEAL_PURPOSE: &str = "link of an identity";

/// What the cookie contains.
#[derive(Serialize, Deserialize)]
pub(super) struct LinkRequest {
    at: Millis,
    pub(super) link: PendingLink,
    /// Path to redirect to after sign-in.
    pub(super) next: String,
}

impl LinkRequest {
    pub(super) fn new(link: PendingLink, next: &str) -> Self {
        Self { at: clock::current_millis(), link, next: next.to_owned() }
    }

    /// The cookie, or `None` if it cannot be encrypted.
    pub(super) fn seal(&self, state: &AppState) -> Option<Cookie<'static>> {
        let text = serde_json::to_vec(self).ok()?;
        let sealed = state.signing.key.sealer(SEAL_PURPOSE, "").seal(&secret::random_bytes().ok()?, text)?;
        Some(cookies::new_cookie(&state.server, COOKIE, URL_SAFE_NO_PAD.encode(sealed), CONFIRM_SECONDS_MAX))
    }
}

/// The link that this browser has to confirm, if the time for it has not passed.
pub(super) fn find_link_request(page_request: &PageRequest) -> Option<LinkRequest> {
    let cookie = cookies::find_cookie(&page_request.request, COOKIE)?;
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).ok()?;
    let opened = page_request.state.signing.key.sealer(SEAL_PURPOSE, "").open(&sealed)?;
    let pending: LinkRequest = serde_json::from_slice(&opened).ok()?;
    (clock::current_millis() - pending.at <= CONFIRM_SECONDS_MAX * 1000).then_some(pending)
}

/// An expired cookie, which removes the link from the browser.
pub(super) fn expired_link_cookie(server: &ServerContext) -> Cookie<'static> {
    cookies::expired_cookie(server, COOKIE)
}
