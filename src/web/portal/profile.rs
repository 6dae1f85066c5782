//! What people look after themselves: their password, where they are signed in, and how the pages look.

use actix_web::cookie::Cookie;
use askama::Template;
use serde::Deserialize;

use super::first_run::{Problem, problem_of};
use super::moments;
use super::page::{Layout, Place, Shown, on_to, page};
use super::session::{self, Anybody, Theme, Visit};
use super::zone::{self, Zone};
use crate::clock;
use crate::directory::{self, admins};
use crate::model::admin::{check_password, email_key};
use crate::model::permission::Permission;
use crate::scim::password::{self, PasswordDigest};
use crate::store::sessions::{self, Session};
use crate::store::{Undo, admins as rows};
use crate::web::frame;
use crate::web::state::State;

/// How long a browser keeps how the pages look, in seconds.
const YEAR: i64 = 365 * 24 * 60 * 60;

/// Zones that are suggested; every other one is taken too.
const ZONES: [&str; 24] = [
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Kolkata",
    "Asia/Seoul",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Paris",
    "Pacific/Auckland",
];

#[derive(Template)]
#[template(path = "portal/profile.html")]
struct ProfilePage {
    layout: Layout,
    person: session::Signed,
    sessions: Vec<Session>,
    problems: Vec<Problem>,
    /// Whether signing in asks for a one-time code.
    has_codes: bool,
    recovery_codes: i64,
    /// Until when the present session lasts without being used.
    ends: (String, String),
}

impl ProfilePage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn since(one: &Session) -> (String, String) {
        (clock::rfc3339(one.created_at), moments::shown(one.created_at))
    }

    fn last_used(one: &Session) -> (String, String) {
        (clock::rfc3339(one.last_seen_at), moments::shown(one.last_seen_at))
    }

    fn permissions(&self) -> Vec<(Permission, &'static str)> {
        self.person.permissions.iter().map(|one| (one, super::roles::about(one))).collect()
    }

    fn zones() -> [&'static str; 24] {
        ZONES
    }

    /// The zone that was chosen in this browser.
    fn zone(&self) -> &str {
        self.person.zone.as_ref().map_or("", Zone::name)
    }

    fn themes() -> [(Theme, &'static str); 3] {
        [(Theme::Auto, "As the device says"), (Theme::Light, "Light"), (Theme::Dark, "Dark")]
    }
}

/// The page, with what keeps a form from being taken.
pub(super) fn profile_page(person: &Anybody, state: &State, problems: Vec<Problem>) -> Shown {
    let signed = &person.signed;
    let (sessions, found, recovery_codes) = state.store.read_inline(|at| {
        let id = &signed.admin;
        Ok((sessions::of_admin(at, id)?, rows::by_id(at, id)?, rows::recovery_codes(at, id)?))
    })?;
    let has_codes = found.is_some_and(|found| found.has_totp);
    let ends = (clock::rfc3339(signed.ends()), moments::shown(signed.ends()));
    let layout = Layout::new("Profile", Some(signed), Place::Elsewhere);
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(page(
        status,
        &ProfilePage { layout, person: signed.clone(), sessions, problems, has_codes, recovery_codes, ends },
    ))
}

/// `GET /profile`
pub(super) async fn show(person: Anybody, visit: Visit) -> Shown {
    profile_page(&person, &visit.state, Vec::new())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Passwords {
    present: String,
    password: String,
}

/// `POST /profile/password`
pub(super) async fn set_password(person: Anybody, visit: Visit) -> Shown {
    let address = frame::address(&visit.request);
    let (fields, state) = visit.form::<Passwords>(&person.signed).await?;
    if let Err(sentence) = check_password(&fields.password, &person.signed.email) {
        return profile_page(&person, &state, vec![Problem { field: "password", sentence }]);
    }
    if let Err(sentence) = is_own(&person, &state, &fields.present, address).await? {
        return profile_page(&person, &state, vec![Problem { field: "present", sentence }]);
    }
    let digest = state.hashing.hash_in_turn(password::read(&fields.password)?).await?;
    let (by, id, keep) = (person.by, person.signed.admin, person.signed.session);
    let written =
        state.store.write(Undo::Savepoint, move |tx| admins::set_password(tx, &by, &id, &digest.0, Some(&keep)));
    written.await?;
    Ok(on_to("/profile?done=own-password").finish())
}

/// Whether that is the person's own password; the budget of signing in holds here too.
pub(super) async fn is_own(
    person: &Anybody,
    state: &State,
    text: &str,
    address: Option<std::net::IpAddr>,
) -> Result<Result<(), String>, super::page::Refusal> {
    let key = email_key(&person.signed.email).unwrap_or_default();
    if state.guard.note_sign_in(&key, address).is_some() {
        return Ok(Err("Too many tries. Wait a little, then try again.".to_owned()));
    }
    let found = state.store.read_inline(|at| rows::credentials_by_id(at, &person.signed.admin))?;
    let digest = found.and_then(|found| found.password_digest).map(PasswordDigest);
    let Ok(text) = password::read(text) else { return Ok(Err("Give your present password.".to_owned())) };
    let is_right = state.hashing.is_right(text, digest).await?;
    Ok(if is_right { Ok(()) } else { Err("This is not your present password.".to_owned()) })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Which {
    session: String,
}

/// `POST /profile/sessions`: ends one session of the person, or all but the present one.
pub(super) async fn end_sessions(person: Anybody, visit: Visit) -> Shown {
    let (form, state) = visit.form::<Which>(&person.signed).await?;
    let (by, admin, own) = (person.by, person.signed.admin, person.signed.session);
    let written = state.store.write(Undo::Savepoint, move |tx| {
        if form.session == "others" {
            return directory::sessions::end_others(tx, &by, &admin, &own);
        }
        directory::sessions::end(tx, &by, &admin, &form.session)
    });
    written.await?;
    Ok(on_to("/profile?done=session").finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Look {
    theme: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ZoneForm {
    zone: String,
}

/// `POST /profile/zone`: in which zone times are shown in this browser.
pub(super) async fn set_zone(person: Anybody, visit: Visit) -> Shown {
    let (form, state) = visit.form::<ZoneForm>(&person.signed).await?;
    let kept = |name: &str, seconds| session::cookie(&state, zone::ZONE_COOKIE, name.to_owned(), seconds);
    let cookie = match (form.zone.trim(), Zone::named(&form.zone)) {
        ("", _) => kept("", 0),
        (_, Some(zone)) => kept(zone.name(), YEAR),
        (wrong, None) => {
            let sentence = format!("There is no time zone “{wrong}”. Write it like Europe/Berlin, or leave it empty.");
            return profile_page(&person, &state, vec![Problem { field: "zone", sentence }]);
        }
    };
    Ok(on_to("/profile?done=saved").cookie(cookie).finish())
}

/// `POST /profile/theme`: how the pages look in this browser.
pub(super) async fn set_theme(person: Anybody, visit: Visit) -> Shown {
    let (form, state) = visit.form::<Look>(&person.signed).await?;
    let theme = Theme::of(&form.theme);
    let seconds = if theme == Theme::Auto { 0 } else { YEAR };
    let cookie: Cookie<'static> = session::cookie(&state, session::THEME_COOKIE, theme.word().to_owned(), seconds);
    Ok(on_to("/profile?done=saved").cookie(cookie).finish())
}
