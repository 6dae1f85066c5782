//! The first run, sign-in, sign-out and sessions.

pub(crate) mod first_run;
pub(crate) mod invitation;
mod known_device;
pub(crate) mod login;
pub(crate) mod one_time_codes;
mod password_check;
mod pending_link;
pub(crate) mod session;
pub(crate) mod signed_in;
pub(crate) mod sso;
pub(crate) mod sso_link;
