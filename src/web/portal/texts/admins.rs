//! Admins and their invitations, API keys, and the profile of the signed-in admin.

pub(crate) const ADMINS: &str = "People";
pub(crate) const INVITE_ADMIN: &str = "Invite a person";
pub(crate) const INVITATION: &str = "Invitation";

/// `name` is that of a role or an admin.
pub(crate) fn say_has_more_permissions(name: &str) -> String {
    format!("“{name}” has permissions that you don’t have, so you can’t assign, delete or change it.")
}

/// Subject of the e-mail with an invitation.
pub(crate) const MAIL_SUBJECT: &str = "Your invitation to Rollcall";

/// Text of the e-mail. `address` is the link.
pub(crate) fn write_mail(inviter: &str, address: &str) -> String {
    format!(
        "{inviter} invites you to Rollcall.\n\nOpen this link to choose your password. It works once, for 7 days:\n\n{address}\n"
    )
}

pub(crate) const API_KEYS: &str = "API keys";
pub(crate) const CREATE_API_KEY: &str = "Create API key";
pub(crate) const ENTER_FUTURE_DAY: &str = "Enter a day in the future, such as 2027-01-31, or none.";

pub(crate) fn title_api_key(name: &str) -> String {
    format!("API key · {name}")
}

pub(crate) const PROFILE: &str = "Profile";
pub(crate) const THEME_SYSTEM: &str = "System";
pub(crate) const THEME_LIGHT: &str = "Light";
pub(crate) const THEME_DARK: &str = "Dark";
pub(crate) const ENTER_PASSWORD: &str = "Enter your current password.";
pub(crate) const NOT_YOUR_PASSWORD: &str = "This is not your current password.";
pub(crate) const UNKNOWN_BROWSER: &str = "Unknown browser";

pub(crate) fn say_zone_unknown(name: &str) -> String {
    format!("There is no time zone “{name}”. Enter one such as Europe/Berlin, or leave it empty.")
}

pub(crate) fn name_browser_on(browser: &str, system: &str) -> String {
    format!("{browser} on {system}")
}

const FIREFOX: &str = "Firefox";
const CHROME: &str = "Chrome";
const WINDOWS: &str = "Windows";
const ANDROID: &str = "Android";
const LINUX: &str = "Linux";

/// Browsers: a part of the `User-Agent`, and the name. Browsers name others too, so the more specific names come first.
pub(crate) const BROWSERS: [(&str, &str); 10] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", FIREFOX),
    ("FxiOS/", FIREFOX),
    ("CriOS/", CHROME),
    ("Chrome/", CHROME),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

/// Operating systems: a part of the `User-Agent`, and the name.
pub(crate) const SYSTEMS: [(&str, &str); 7] = [
    (WINDOWS, WINDOWS),
    (ANDROID, ANDROID),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    (LINUX, LINUX),
];
