//! The profile of the signed-in admin: password, one-time codes, sessions, color theme and time zone.

use actix_web::cookie::Cookie;
use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::management::accounts::account_names::AccountNames;
use crate::management::sessions::{self, Session};
use crate::management::{admins, one_time_codes, sso};
use crate::model::admin::{check_password, normalize_email};
use crate::model::permission::Permission;
use crate::scim::password::{self, PasswordDigest};
use crate::web::password_hashing::HashingLane;
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::{self, AnyAdmin};
use crate::web::portal::sign_in::signed_in::{SignedIn, Theme};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::time_zone::{self, TimeZoneChoice};
use crate::web::portal::timestamps;
use crate::web::request_middleware;
use crate::web::sso_provider;
use crate::web::state::AppState;

/// Lifetime of the theme and zone cookies, in seconds.
const YEAR: i64 = 365 * 24 * 60 * 60;

/// Suggested zones; every other IANA zone is accepted too.
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
    layout: PageLayout,
    admin: SignedIn,
    /// The account that the role is limited to.
    account: Option<AccountLabel>,
    sessions: Vec<Session>,
    problems: Vec<FormError>,
    /// Whether sign-in asks for a one-time code.
    has_codes: bool,
    recovery_codes: i64,
    has_password: bool,
    /// Linked identities at OpenID providers: issuer and subject.
    identities: Vec<(String, String)>,
    /// Whether the admin may link an identity of the current provider.
    may_link: bool,
    /// When the current session expires without use: RFC 3339, and text.
    ends: (String, String),
}

impl ProfilePage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn browser(one: &Session) -> String {
        describe_browser(&one.user_agent)
    }

    fn since(one: &Session) -> (String, String) {
        (clock::format_rfc3339(one.created_at), timestamps::format_minute(one.created_at))
    }

    fn last_used(one: &Session) -> (String, String) {
        (clock::format_rfc3339(one.last_seen_at), timestamps::format_minute(one.last_seen_at))
    }

    fn permissions(&self) -> Vec<(Permission, &'static str)> {
        self.admin.permissions.iter().map(|one| (one, texts::settings::describe_permission(one))).collect()
    }

    fn zones() -> [&'static str; 24] {
        ZONES
    }

    /// The zone chosen in this browser.
    fn zone(&self) -> &str {
        self.admin.zone.as_ref().map_or("", TimeZoneChoice::name)
    }

    fn themes() -> [(Theme, &'static str); 3] {
        [
            (Theme::Auto, texts::admins::THEME_SYSTEM),
            (Theme::Light, texts::admins::THEME_LIGHT),
            (Theme::Dark, texts::admins::THEME_DARK),
        ]
    }
}

/// The browser and the operating system of a `User-Agent`, such as "Chrome on Linux". Only names of these lists are returned.
fn describe_browser(user_agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
    };
    match (find(&texts::admins::BROWSERS), find(&texts::admins::SYSTEMS)) {
        (Some(browser), Some(system)) => texts::admins::name_browser_on(browser, system),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => texts::admins::name_browser_on(texts::admins::UNKNOWN_BROWSER, system),
        (None, None) => texts::admins::UNKNOWN_BROWSER.to_owned(),
    }
}

/// Renders the profile with the errors of a form: 200 without errors, else 422.
pub(crate) fn profile_page(admin: &AnyAdmin, state: &AppState, problems: Vec<FormError>) -> PageResult {
    let signed = &admin.signed;
    let sso = sso_provider::load_configuration(state)?.map(|stored| stored.provider_configuration);
    let sso = sso.filter(|configuration| configuration.is_on);
    let (account, sessions, found, recovery_codes, identities) = state.store.read_inline(|at| {
        let id = &signed.admin;
        let names = AccountNames::read(at, &signed.account)?;
        Ok((
            signed.account.as_ref().map(|account| AccountLabel::find(&names, account)),
            sessions::list_admin_sessions(at, id)?,
            admins::find_credentials_by_id(at, id)?,
            one_time_codes::count_recovery_codes(at, id)?,
            sso::list_identities(at, id)?,
        ))
    })?;
    let (has_codes, has_password) =
        found.map_or((false, false), |found| (found.admin.has_totp, found.password_digest.is_some()));
    let may_link = sso.is_some_and(|sso| identities.iter().all(|(issuer, _)| *issuer != sso.issuer));
    let ends = (clock::format_rfc3339(signed.expires_at), timestamps::format_minute(signed.expires_at));
    let layout = PageLayout::new(texts::admins::PROFILE, Some(signed), NavigationEntry::Profile);
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(render_page(
        status,
        &ProfilePage {
            layout,
            admin: signed.clone(),
            account,
            sessions,
            problems,
            has_codes,
            has_password,
            recovery_codes,
            identities,
            may_link,
            ends,
        },
    ))
}

/// `GET /profile`
pub(crate) async fn show_profile(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    profile_page(&admin, &page_request.state, Vec::new())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PasswordForm {
    present: String,
    password: String,
}

/// `POST /profile/password`
pub(crate) async fn set_password(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let address = request_middleware::caller_address(&page_request.request);
    let fields = page_request.form::<PasswordForm>(&admin.signed).await?;
    if let Err(error) = check_password(&fields.password, &admin.signed.email) {
        let sentence = render_sentence(&error);
        return profile_page(&admin, &page_request.state, vec![FormError { field: "password", sentence }]);
    }
    if let Err(sentence) = check_own_password(&admin, &page_request.state, &fields.present, address).await? {
        return profile_page(&admin, &page_request.state, vec![FormError { field: "present", sentence }]);
    }
    let digest = page_request
        .state
        .limits
        .hashing
        .hash_queued(HashingLane::KnownDevice, password::parse_password(&fields.password)?)
        .await?;
    let (context, id, keep) = (admin.context, admin.signed.admin, admin.signed.session);
    let written = page_request.write(move |tx| admins::set_password(tx, &context, &id, &digest.0, Some(&keep)));
    written.await?;
    Ok(redirect_to("/profile?done=own-password").finish())
}

/// Checks a typed password against that of the admin. Attempts count toward the limit of sign-in.
///
/// Returns a sentence for the form if the password is wrong.
///
/// # Errors
/// The errors of the database and of hashing.
pub(crate) async fn check_own_password(
    admin: &AnyAdmin,
    state: &AppState,
    text: &str,
    address: Option<std::net::IpAddr>,
) -> Result<Result<(), String>, crate::web::portal::layout::PageError> {
    let key = normalize_email(&admin.signed.email).unwrap_or_default();
    if state.limits.login_throttle.record_sign_in(&key, address).is_some() {
        return Ok(Err(texts::sign_in::TOO_MANY_TRIES.to_owned()));
    }
    let found = state.store.read_inline(|at| admins::find_credentials_by_id(at, &admin.signed.admin))?;
    let digest = found.and_then(|found| found.password_digest).map(PasswordDigest);
    let Ok(text) = password::parse_password(text) else { return Ok(Err(texts::admins::ENTER_PASSWORD.to_owned())) };
    let is_right = state.limits.hashing.verify(HashingLane::KnownDevice, text, digest).await?;
    Ok(if is_right { Ok(()) } else { Err(texts::admins::NOT_YOUR_PASSWORD.to_owned()) })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SessionForm {
    session: String,
}

/// `POST /profile/sessions`: ends one session of the admin, or all except the current one.
pub(crate) async fn end_sessions(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<SessionForm>(&admin.signed).await?;
    let (context, admin, own) = (admin.context, admin.signed.admin, admin.signed.session);
    let written = page_request.write(move |tx| {
        if form.session == "others" {
            return sessions::end_other_sessions(tx, &context, &admin, &own);
        }
        sessions::end_session(tx, &context, &admin, &form.session)
    });
    written.await?;
    Ok(redirect_to("/profile?done=session").finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ThemeForm {
    theme: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ZoneForm {
    zone: String,
}

/// `POST /profile/zone`: the time zone in this browser.
pub(crate) async fn set_zone(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<ZoneForm>(&admin.signed).await?;
    let zone_cookie = |name: &str, seconds| {
        cookies::new_cookie(&page_request.state.server, time_zone::ZONE_COOKIE, name.to_owned(), seconds)
    };
    let cookie = match (form.zone.trim(), TimeZoneChoice::from_name(&form.zone)) {
        ("", _) => zone_cookie("", 0),
        (_, Some(zone)) => zone_cookie(zone.name(), YEAR),
        (wrong, None) => {
            let sentence = texts::admins::say_zone_unknown(wrong);
            return profile_page(&admin, &page_request.state, vec![FormError { field: "zone", sentence }]);
        }
    };
    Ok(redirect_to("/profile?done=saved").cookie(cookie).finish())
}

/// `POST /profile/theme`: the color theme in this browser.
pub(crate) async fn set_theme(admin: AnyAdmin, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<ThemeForm>(&admin.signed).await?;
    let theme = Theme::from_key(&form.theme);
    let seconds = if theme == Theme::Auto { 0 } else { YEAR };
    let cookie: Cookie<'static> =
        cookies::new_cookie(&page_request.state.server, session::THEME_COOKIE, theme.as_str().to_owned(), seconds);
    Ok(redirect_to("/profile?done=saved").cookie(cookie).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_named_by_browser_and_system() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, name) in [
            (format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} Chrome/140.0.0.0 Safari/537.36"), "Chrome on Linux"),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} HeadlessChrome/140.0 Safari/537.36"), "Chrome on Linux"),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0 Safari/537.36 Edg/140.0"),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
                "Firefox on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari on iPhone",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/140.0 Mobile Safari/537.36"),
                "Chrome on Android",
            ),
            ("curl/8.5.0".to_owned(), "curl"),
            ("something (Linux)".to_owned(), "Unknown browser on Linux"),
            ("<b>x</b>".to_owned(), "Unknown browser"),
            (String::new(), "Unknown browser"),
        ] {
            assert_eq!(describe_browser(&user_agent), name, "{user_agent}");
        }
    }
}
