//! Known devices: a browser in which an admin signed in completely holds a long-lived encrypted cookie. Its next sign-ins
//! of the same admin do not share limits and queues with those of unknown devices, which anyone can fill. The cookie
//! replaces neither password nor code.

use actix_web::HttpResponseBuilder;
use actix_web::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::secret;
use crate::clock::{self, Millis};
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::state::AppState;

const COOKIE: &str = "rc_device";
/// Lifetime of the cookie after the last sign-in, in seconds: 180 days.
const DEVICE_SECONDS: i64 = 180 * 24 * 60 * 60;
/// Purpose of the encryption key of the cookie.
const SEAL_PURPOSE: &str = "known device";

/// A device in which an admin has signed in.
pub(super) struct KnownDevice {
    admin: String,
    /// Random id of the device.
    pub(super) id: String,
}

/// The device of a request, if the admin with this id has signed in with it.
pub(super) fn find_known_device(page_request: &PageRequest, admin: &str) -> Option<KnownDevice> {
    let cookie = cookies::find_cookie(&page_request.request, COOKIE)?;
    let sealed = URL_SAFE_NO_PAD.decode(cookie.value()).ok()?;
    let opened = page_request.state.signing.key.sealer(SEAL_PURPOSE, "").open(&sealed)?;
    let text = String::from_utf8(opened).ok()?;
    let mut parts = text.split(' ');
    let (at, owner, id) = (parts.next()?.parse::<Millis>().ok()?, parts.next()?, parts.next()?);
    let is_live = clock::current_millis() - at <= DEVICE_SECONDS * 1000;
    (is_live && owner == admin).then(|| KnownDevice { admin: owner.to_owned(), id: id.to_owned() })
}

/// Adds the cookie of the device to the response of a complete sign-in. Without random numbers, the device stays unknown.
pub(super) fn add_device_cookie(response: &mut HttpResponseBuilder, page_request: &PageRequest, admin: &str) {
    if let Some(cookie) = build_device_cookie(page_request, admin) {
        response.cookie(cookie);
    }
}

fn build_device_cookie(page_request: &PageRequest, admin: &str) -> Option<Cookie<'static>> {
    let state: &AppState = &page_request.state;
    let random = secret::random_bytes().ok()?;
    let known = find_known_device(page_request, admin);
    let (owner, id) = known.map_or_else(|| (admin.to_owned(), clock::new_id()), |device| (device.admin, device.id));
    let text = format!("{} {owner} {id}", clock::current_millis());
    let sealed = state.signing.key.sealer(SEAL_PURPOSE, "").seal(&random, text.into_bytes())?;
    Some(cookies::new_cookie(&state.server, COOKIE, URL_SAFE_NO_PAD.encode(sealed), DEVICE_SECONDS))
}
