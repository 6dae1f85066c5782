//! Sessions of admins.

use serde_json::json;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::model::audit_context::AuditContext;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::{admins, sessions as rows};
use crate::store::{Snapshot, Tx};

/// The secret of a new credential, encrypted, which the session that creates it can display again for a short time.
#[derive(Debug, Clone)]
pub struct OneTimeSecret {
    /// Id of the session.
    pub session: String,
    /// The encrypted secret.
    pub sealed: Vec<u8>,
    /// Until when it can be displayed.
    pub until: Millis,
}

/// Creates a credential with `create` and stores its secret in the session. Run it with `Store::write`, which undoes
/// the creation if the secret cannot be stored: the admin could never see it.
///
/// # Errors
/// The errors of `create`. `NotFound` if the session has ended.
pub fn create_with_one_time_secret<T>(
    tx: &Tx<'_>,
    secret: &OneTimeSecret,
    create: impl FnOnce(&Tx<'_>) -> Result<T>,
) -> Result<T> {
    let created = create(tx)?;
    rows::set_one_time_secret(tx, &secret.session, &secret.sealed, secret.until)?;
    if find_one_time_secret(tx, &secret.session, tx.now)?.is_none() {
        return Err(Reason::SessionEnded.into());
    }
    Ok(created)
}

/// Returns the encrypted secret of the session, if it can still be displayed at `now`.
///
/// # Errors
/// Errors of the store.
pub fn find_one_time_secret(at: &Snapshot<'_>, session: &str, now: Millis) -> Result<Option<Vec<u8>>> {
    rows::find_one_time_secret(at, session, now)
}

/// Returns the number of sessions that were last used at `idle_since` or later and began at `began_since` or later.
///
/// # Errors
/// Errors of the store.
pub fn count_open_sessions(at: &Snapshot<'_>, idle_since: Millis, began_since: Millis) -> Result<u64> {
    rows::count_open_sessions(at, idle_since, began_since)
}

/// Ends one session of an admin. A session that has already ended is not an error and is not logged.
///
/// # Errors
/// Errors of the store.
pub fn end_session(tx: &Tx<'_>, context: &AuditContext, admin: &str, session: &str) -> Result<()> {
    let ended = rows::end_session(tx, admin, session)?;
    if ended { append_audit_entry(tx, context, admin, 1) } else { Ok(()) }
}

/// Ends all sessions of an admin except the session with the id `except`.
///
/// # Errors
/// Errors of the store.
pub fn end_other_sessions(tx: &Tx<'_>, context: &AuditContext, admin: &str, except: &str) -> Result<()> {
    let ended = rows::end_admin_sessions(tx, admin, Some(except))?;
    if ended > 0 { append_audit_entry(tx, context, admin, ended) } else { Ok(()) }
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, admin: &str, ended: usize) -> Result<()> {
    let account = admins::find_admin_by_id(tx, admin)?.and_then(|found| found.account);
    let entry = NewAuditEntry {
        action: "session.ended",
        account: account.as_deref(),
        subject_id: Some(admin),
        after: Some(json!({"sessionsEnded": ended})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret::BearerToken;
    use crate::clock;
    use crate::error::Error;
    use crate::management::admins::{self, AdminDraft};
    use crate::management::api_keys::{self, NewApiKey};
    use crate::management::configuration_lifecycle::{self, NewConfiguration};
    use crate::management::configurations;
    use crate::management::setup_links::{self, NewSetupLink};
    use crate::management::tokens::{self, TokenDraft};
    use crate::model::admin::OWNER;
    use crate::model::audit_context::AccountScope;
    use crate::model::configuration::ConfigurationSource;
    use crate::store::Store;

    fn test_context() -> AuditContext {
        AuditContext::command_line("test-user".to_owned())
    }

    fn open_store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn new_configuration(name: &str) -> NewConfiguration {
        NewConfiguration {
            id: clock::new_id(),
            account: "acme".to_owned(),
            connection_name: Some(name.to_owned()),
            source: ConfigurationSource::Other,
            provider: None,
            preset: None,
            sync: true,
            token: TokenDraft::new(clock::new_id(), &BearerToken::generate().unwrap(), "first"),
        }
    }

    fn secret_for(session: &str) -> OneTimeSecret {
        let until = clock::current_millis() + 60_000;
        OneTimeSecret { session: session.to_owned(), sealed: b"sealed".to_vec(), until }
    }

    /// Runs the creation with a session that has ended.
    fn create_without_session<T: Send + 'static>(
        store: &Store,
        create: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) {
        let secret = secret_for("ended");
        let created = store.write_blocking(move |tx| create_with_one_time_secret(tx, &secret, create).map(drop));
        assert!(matches!(created, Err(error) if error.reason() == Reason::SessionEnded));
    }

    #[test]
    fn nothing_is_created_if_the_secret_cannot_be_stored() {
        let (store, _folder) = open_store();
        let existing = new_configuration("existing");
        let id = existing.id.clone();
        store
            .write_blocking(move |tx| configuration_lifecycle::create_configuration(tx, &test_context(), &existing))
            .unwrap();
        let read = || {
            store
                .read_inline(|at| {
                    let all = AccountScope::AllAccounts;
                    Ok((
                        configurations::list_configurations(at, None)?.len(),
                        tokens::list_tokens(at, &all, &id, None, 10)?.len(),
                        setup_links::list_links(at, &all, &id, None, 10)?.len(),
                        api_keys::list_api_keys(at, None, None, 10)?.len(),
                        audit::list_entries(at, &audit::AuditQuery::default(), 100)?.len(),
                    ))
                })
                .unwrap()
        };
        let before = read();
        let other = new_configuration("other");
        create_without_session(&store, move |tx| {
            configuration_lifecycle::create_configuration(tx, &test_context(), &other)
        });
        let token = BearerToken::generate().unwrap();
        let (draft, target) = (TokenDraft::new(clock::new_id(), &token, "second"), id.clone());
        create_without_session(&store, move |tx| tokens::rotate_token(tx, &test_context(), &target, &draft, Some(1)));
        let key = NewApiKey::new(clock::new_id(), &token, "key".to_owned());
        create_without_session(&store, move |tx| api_keys::create_api_key(tx, &test_context(), &key));
        let link = NewSetupLink {
            id: clock::new_id(),
            digest: token.digest(),
            lifetime_seconds: setup_links::LIFETIME_DEFAULT_SECONDS,
            note: String::new(),
            provider: None,
        };
        let target = id.clone();
        create_without_session(&store, move |tx| setup_links::create_link(tx, &test_context(), &target, &link));
        assert_eq!(read(), before);
    }

    #[test]
    fn a_creation_stores_its_secret_in_the_session_and_a_failed_one_does_not() {
        let (store, _folder) = open_store();
        let admin = AdminDraft {
            id: clock::new_id(),
            email: "a@x.example".to_owned(),
            name: "Test Admin".to_owned(),
            role: OWNER.to_owned(),
            account: None,
            password_digest: None,
        };
        let session = rows::Session {
            id: clock::new_id(),
            admin: admin.id.clone(),
            address: None,
            user_agent: String::new(),
            created_at: 1,
            last_seen_at: 1,
        };
        let secret = secret_for(&session.id);
        store
            .write_blocking(move |tx| {
                admins::create_admin(tx, &test_context(), &admin)?;
                rows::insert_session(tx, &[7; 32], &session)
            })
            .unwrap();
        let stored =
            || store.read_inline(|at| find_one_time_secret(at, &secret.session, clock::current_millis())).unwrap();
        let failing = secret.clone();
        let failed = store.write_blocking(move |tx| {
            create_with_one_time_secret(tx, &failing, |_| Err::<(), _>(Error::new(Reason::DiskFull)))
        });
        assert!(matches!(failed, Err(error) if error.reason() == Reason::DiskFull));
        assert_eq!(stored(), None);
        let working = secret.clone();
        store.write_blocking(move |tx| create_with_one_time_secret(tx, &working, |_| Ok(()))).unwrap();
        assert_eq!(stored().as_deref(), Some(b"sealed".as_slice()));
    }
}
