//! The sign-in: password, one-time codes, single sign-on, invitations and the first run.

pub(crate) const SET_UP_ROLLCALL: &str = "Set up Rollcall";
pub(crate) const WELCOME: &str = "Welcome to Rollcall";
/// Name of the first admin of a demonstration.
pub(crate) const DEMO_OWNER: &str = "Demo owner";
pub(crate) const WRONG_PASSWORD: &str = "Wrong e-mail or password.";
pub(crate) const TOO_MANY_TRIES: &str = "Too many attempts. Wait a moment, then try again.";
pub(crate) const SIGN_IN_ENDED: &str =
    "This sign-in has ended. Enter the password again. After five wrong codes, codes are rejected for a while.";
pub(crate) const NO_RANDOM_NUMBERS: &str = "The server has no random numbers.";

pub(crate) const SET_UP_CODES: &str = "Set up two-step sign-in";
pub(crate) const CODE_NOT_PRESENT: &str =
    "This is not the present code. Look whether the clock of the device is right.";
pub(crate) const STORE_RECOVERY_CODES: &str = "Keep your recovery codes";
pub(crate) const TOO_MANY_WRONG_CODES: &str = "Too many wrong codes";
pub(crate) const YOUR_CODE: &str = "Your one-time code";
pub(crate) const WRONG_CODE: &str = "Wrong code, or already used. Wait for the next one.";

pub(crate) const SSO_FAILED: &str = "Single sign-on didn’t work";
pub(crate) const CONFIRM_IDENTITY: &str = "Confirm that it is you";
pub(crate) const NOT_THIS_PASSWORD: &str = "This is not the password of this admin here.";
pub(crate) const LINK_IDENTITY: &str = "Link an identity";

pub(crate) fn say_link_failed(failure: impl std::fmt::Display) -> String {
    format!("It did not work: {failure}.")
}

/// Why an attempt at single sign-on was rejected. These are for the log; the page does not say why.
pub(crate) const NO_ATTEMPT: &str = "no attempt was started in this browser";
pub(crate) const SETTINGS_CHANGED: &str = "the provider settings changed in the meantime";
pub(crate) const OTHER_PURPOSE: &str = "the attempt was started for another purpose";
pub(crate) const ATTEMPT_USED: &str = "the attempt was used already";

pub(crate) const IDENTITY_NOT_ACCEPTED: &str = "the identity of the provider is not accepted";

pub(crate) const PROVIDER_ANSWERS: &str = "The provider answers";
pub(crate) const TEST_FAILED: &str = "The test failed";

/// `role` is the one that the sign-in gives; `None` if it stays. Here and below.
fn describe_role(role: Option<&str>) -> String {
    role.map_or_else(String::new, |role| format!(" The role becomes “{role}”."))
}

pub(crate) fn say_is_linked(role: Option<&str>) -> String {
    format!("This admin may sign in: linked already.{}", describe_role(role))
}

pub(crate) fn say_must_confirm(role: Option<&str>) -> String {
    format!(
        "This admin may sign in: found by the e-mail address, and linked after the password of the admin here was entered once.{}",
        describe_role(role)
    )
}

pub(crate) fn say_would_be_added(role: &str) -> String {
    format!("This admin would be added, with the role “{role}”.")
}

/// `reason` is a sentence.
pub(crate) fn say_not_let_in(reason: &str) -> String {
    format!("This admin would not be let in. {reason}")
}
