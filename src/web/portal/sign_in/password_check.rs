//! The check of a password at sign-in, with its limits. Known devices have limits of their own, so that sign-ins of
//! unauthenticated callers cannot keep a known admin out.

use std::time::Duration;

use crate::error::Reason;
use crate::management::admins::AdminCredentials;
use crate::model::admin::Admin;
use crate::scim::password::{self, PasswordDigest};
use crate::web::password_hashing::HashingLane;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::PageError;
use crate::web::portal::sign_in::known_device::find_known_device;
use crate::web::request_middleware;

/// How long a caller waits if too many others wait for a hash.
const QUEUE_FULL_WAIT: Duration = Duration::from_secs(2);

/// Result of a password check.
pub(super) enum PasswordCheck {
    Right,
    Wrong,
    /// Not checked, because there were too many attempts. Try again after this time.
    Throttled(Duration),
}

/// Records a failed sign-in for the log and the audit log. Without `admin`, no admin has the e-mail address.
pub(super) fn record_failed_sign_in(page_request: &PageRequest, admin: Option<&Admin>, reason: &'static str) {
    let (state, address) = (&page_request.state, request_middleware::caller_address(&page_request.request));
    state.usage.sign_ins.record_failure(&state.limits.login_throttle, address, admin, reason);
}

/// Checks the password of the admin with these credentials, and records a failure. Without credentials it is wrong, after the same time. `key` is
/// the e-mail address that was entered, normalized.
///
/// # Errors
/// The errors of hashing.
pub(super) async fn check_sign_in_password(
    page_request: &PageRequest,
    key: &str,
    found: Option<&AdminCredentials>,
    typed: &str,
) -> Result<PasswordCheck, PageError> {
    let limits = &page_request.state.limits;
    let device = found.and_then(|found| find_known_device(page_request, &found.admin.id));
    let (lane, wait) = if let Some(device) = &device {
        (HashingLane::KnownDevice, limits.login_throttle.record_known_device(&device.id))
    } else {
        let address = request_middleware::caller_address(&page_request.request);
        (HashingLane::NewDevice, limits.login_throttle.record_sign_in(key, address))
    };
    let admin = found.map(|found| &found.admin);
    if let Some(wait) = wait {
        record_failed_sign_in(page_request, admin, "throttled");
        return Ok(PasswordCheck::Throttled(wait));
    }
    let digest = found.and_then(|found| found.password_digest.clone()).map(PasswordDigest);
    // An empty password matches no admin, but is compared too, so that the answer takes the same time.
    let (typed, digest) =
        password::parse_password(typed).map_or((password::parse_password(" ")?, None), |read| (read, digest));
    match limits.hashing.verify(lane, typed, digest).await {
        Ok(true) => Ok(PasswordCheck::Right),
        Ok(false) => {
            record_failed_sign_in(page_request, admin, "wrong_password");
            Ok(PasswordCheck::Wrong)
        }
        Err(error) if error.reason() == Reason::HashingQueueFull => {
            record_failed_sign_in(page_request, admin, "throttled");
            Ok(PasswordCheck::Throttled(QUEUE_FULL_WAIT))
        }
        Err(error) => Err(error.into()),
    }
}
