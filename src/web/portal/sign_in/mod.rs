//! The first run, sign-in, sign-out and sessions.

pub(crate) mod first_run;
pub(crate) mod login;
pub(crate) mod one_time_codes;
pub(crate) mod session;
pub(crate) mod signed_in;
pub(crate) mod sso;
