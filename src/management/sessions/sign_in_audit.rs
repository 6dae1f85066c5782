//! Audit entries of sign-ins. Failures are aggregated per admin, reason and hour, so that a caller without credentials
//! cannot fill the audit log.

use serde_json::json;

use crate::clock::{self, Millis};
use crate::error::Result;
use crate::model::account::AccountRef;
use crate::model::admin::Admin;
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext, Authority};
use crate::store::Tx;
use crate::store::tables::audit::{self, EntryLimit, NewAuditEntry};
use crate::store::tables::sessions::Session;

/// Name of the actor if no admin has the e-mail address of the sign-in.
const UNKNOWN: &str = "unknown";

/// Entries per hour about failed sign-ins, one for each admin and reason. Further ones share one entry.
pub const FAILURE_ENTRIES_PER_HOUR: i64 = audit::SUBJECTS_PER_HOUR;

/// What failed sign-ins have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedSignIn {
    /// Id of the admin; empty if there is none with the e-mail address.
    pub admin: String,
    /// E-mail address of the admin; empty if there is none.
    pub email: String,
    /// Account that the admin is limited to.
    pub account: Option<AccountRef>,
    /// Why the sign-in failed.
    pub reason: &'static str,
}

impl FailedSignIn {
    /// A failed sign-in of an admin, or of an unknown e-mail address.
    pub fn new(admin: Option<&Admin>, reason: &'static str) -> Self {
        Self {
            admin: admin.map(|admin| admin.id.clone()).unwrap_or_default(),
            email: admin.map(|admin| admin.email.clone()).unwrap_or_default(),
            account: admin.and_then(|admin| admin.account.clone()),
            reason,
        }
    }
}

/// How often a sign-in failed, and the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInFailures {
    /// Number of failures.
    pub count: i64,
    /// Time of the last failure.
    pub at: Millis,
    /// Network address of the last caller.
    pub address: Option<String>,
}

/// Adds failures to the entry of the admin, the reason and the current hour.
pub fn record_failures(tx: &Tx<'_>, failed: &FailedSignIn, failures: &SignInFailures) -> Result<()> {
    let name = if failed.email.is_empty() { UNKNOWN } else { &failed.email };
    let context = build_context(&failed.admin, name, failures.address.clone());
    let entry = NewAuditEntry {
        action: "sign_in.failed",
        account: failed.account.as_ref(),
        subject_id: Some(failed.admin.as_str()).filter(|id| !id.is_empty()),
        after: Some(json!({
            "reason": failed.reason,
            "count": failures.count,
            "lastAt": clock::format_rfc3339(failures.at),
        })),
        ..NewAuditEntry::default()
    };
    let subject = format!("{} {}", failed.admin, failed.reason);
    let limit = EntryLimit { subject: &subject, entries_per_hour: 1, count: failures.count };
    audit::append_limited_entry(tx, &context, &entry, &limit)
}

/// Appends an entry for a new session.
pub(super) fn record_success(tx: &Tx<'_>, admin: &Admin, session: &Session) -> Result<()> {
    let entry = NewAuditEntry {
        action: "sign_in.succeeded",
        account: admin.account.as_ref(),
        subject_id: Some(&admin.id),
        after: Some(json!({"session": session.id, "userAgent": session.user_agent})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, &build_context(&admin.id, &admin.email, session.address.clone()), &entry)
}

fn build_context(id: &str, name: &str, address: Option<String>) -> AuditContext {
    let actor = Actor { kind: ActorKind::Admin, id: id.to_owned(), name: name.to_owned() };
    AuditContext { actor, scope: AccountScope::AllAccounts, authority: Authority::UNLIMITED, address, request_id: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tables::audit::{AuditLimit, AuditQuery};

    #[test]
    fn failures_of_an_hour_are_one_entry_per_admin_and_reason_and_the_number_of_subjects_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let record = |admin: &str, reason| {
            let failed = FailedSignIn { admin: admin.to_owned(), email: admin.to_owned(), account: None, reason };
            let failures = SignInFailures { count: 3, at: 1, address: Some("192.0.2.1".to_owned()) };
            store.write_blocking(move |tx| record_failures(tx, &failed, &failures)).unwrap();
        };
        let limit = AuditLimit { count: 10_000, bytes: usize::MAX };
        let list = || store.read_inline(|at| audit::list_entries(at, &AuditQuery::default(), limit)).unwrap().0;
        for _ in 0..10 {
            record("ada", "wrong_password");
            record("bob", "wrong_password");
        }
        let entries = list();
        // Two hours if the test runs across the end of an hour.
        assert!((2..=4).contains(&entries.len()), "{entries:?}");
        let total: i64 = entries.iter().map(|entry| entry.after.as_ref().unwrap()["count"].as_i64().unwrap()).sum();
        assert_eq!(total, 60);
        for number in 0..1_000 {
            record(&format!("admin-{number}"), "wrong_password");
        }
        assert!(list().len() <= 2 * (usize::try_from(audit::SUBJECTS_PER_HOUR).unwrap() + 1), "{}", list().len());
    }
}
