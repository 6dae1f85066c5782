//! Failed sign-ins: a log line with stable fields for tools such as fail2ban, and a count for the audit log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::error::Result;
use crate::management::sessions::sign_in_audit::{self, FailedSignIn, SignInFailures};
use crate::model::admin::Admin;
use crate::store::Store;
use crate::web::login_throttle::LoginThrottle;

/// Most admins and reasons in memory; failures of further ones are counted as those of an unknown admin.
const WAITING_MAX: usize = 1_000;

/// Failed sign-ins that are not in the audit log yet. A crash loses at most the last second.
#[derive(Debug, Default)]
pub struct PendingSignInFailures(Mutex<HashMap<FailedSignIn, SignInFailures>>);

impl PendingSignInFailures {
    /// Records a failed sign-in in the log and for the audit log. Without `admin`, no admin has the e-mail address.
    pub(crate) fn record_failure(
        &self,
        throttle: &LoginThrottle,
        address: Option<IpAddr>,
        admin: Option<&Admin>,
        reason: &'static str,
    ) {
        log_failed_sign_in(throttle, address, reason, "");
        self.add(FailedSignIn::new(admin, reason), address);
    }

    fn add(&self, failed: FailedSignIn, address: Option<IpAddr>) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = pending.len() < WAITING_MAX || pending.contains_key(&failed);
        let failed = if has_room { failed } else { FailedSignIn::new(None, failed.reason) };
        let failures = pending.entry(failed).or_insert(SignInFailures { count: 0, at: 0, address: None });
        failures.count += 1;
        failures.at = clock::current_millis();
        failures.address = address.map(|address| address.to_string());
    }

    /// Adds the collected failures to the audit log.
    ///
    /// # Errors
    /// Errors of the store; the failures are lost then.
    pub(super) async fn flush(&self, store: &Store) -> Result<()> {
        let pending = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return Ok(());
        }
        let record = move |tx: &crate::store::Tx<'_>| {
            pending.iter().try_for_each(|(failed, failures)| sign_in_audit::record_failures(tx, failed, failures))
        };
        store.write(record).await
    }
}

/// Writes one line with the reason and the address, whose names and order are stable, and a sentence for the operator.
/// The number of lines per address is limited.
pub(crate) fn log_failed_sign_in(throttle: &LoginThrottle, address: Option<IpAddr>, reason: &str, problem: &str) {
    if throttle.may_log_failure(address) {
        let address = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        tracing::warn!(%reason, %address, problem, "sign-in failed");
    }
}
