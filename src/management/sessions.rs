//! Sessions of admins.

pub mod sign_in_audit;

use serde_json::json;

use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::model::admin::{Admin, Role};
use crate::model::audit_context::AuditContext;
use crate::settings::SessionLifetime;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::second_factor;
pub use crate::store::tables::second_factor::WrongCodes;
pub use crate::store::tables::sessions::{
    Session, find_one_time_secret, find_one_time_secret_end, list_admin_sessions, record_session_use,
};
use crate::store::tables::{admins, sessions as rows};
use crate::store::{Snapshot, Tx};

/// A live session, its admin and the role of the admin.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// The admin, who is not disabled.
    pub admin: Admin,
    /// The role of the admin.
    pub role: Role,
    /// Wrong one-time codes that the admin has not confirmed to know of.
    pub wrong_codes: WrongCodes,
}

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
/// the creation if the secret cannot be stored, because the secret could never be displayed.
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

/// Records a sign-in of the admin of `session` and stores the session with the digest of its cookie.
pub fn start_session(tx: &Tx<'_>, digest: &TokenDigest, session: &Session) -> Result<()> {
    tx.allow_on_full_disk();
    admins::record_sign_in(tx, &session.admin)?;
    rows::insert_session(tx, digest, session)?;
    match admins::find_admin_by_id(tx, &session.admin)? {
        Some(admin) => sign_in_audit::record_success(tx, &admin, session),
        None => Ok(()),
    }
}

/// Returns the session with this cookie digest if it is live at `now` and its admin is not disabled.
pub fn find_live_session(
    at: &Snapshot<'_>,
    digest: &TokenDigest,
    lifetime: SessionLifetime,
    now: Millis,
) -> Result<Option<LiveSession>> {
    let is_live = |one: &Session| now - one.last_seen_at <= lifetime.idle && now - one.created_at <= lifetime.total;
    let Some(session) = rows::find_session_by_digest(at, digest)?.filter(is_live) else { return Ok(None) };
    let Some(admin) = admins::find_admin_by_id(at, &session.admin)?.filter(|admin| admin.disabled_at.is_none()) else {
        return Ok(None);
    };
    let wrong_codes = second_factor::read_wrong_codes(at, &admin.id)?;
    Ok(admins::find_role(at, &admin.role)?.map(|role| LiveSession { session, admin, role, wrong_codes }))
}

/// Returns the number of sessions that are live at `now`.
pub fn count_live_sessions(at: &Snapshot<'_>, lifetime: SessionLifetime, now: Millis) -> Result<u64> {
    rows::count_open_sessions(at, now - lifetime.idle, now - lifetime.total)
}

/// Deletes the expired sessions, and the one-time secrets that can no longer be displayed.
pub fn remove_expired_sessions(tx: &Tx<'_>, lifetime: SessionLifetime) -> Result<()> {
    tx.allow_on_full_disk();
    rows::delete_expired_sessions(tx, tx.now - lifetime.idle, tx.now - lifetime.total)?;
    rows::clear_expired_secrets(tx, tx.now)?;
    Ok(())
}

/// Ends one session of an admin. A session that has already ended is not an error and is not logged.
pub fn end_session(tx: &Tx<'_>, context: &AuditContext, admin: &str, session: &str) -> Result<()> {
    tx.allow_on_full_disk();
    let ended = rows::end_session(tx, admin, session)?;
    if ended { append_audit_entry(tx, context, admin, 1) } else { Ok(()) }
}

/// Ends all sessions of an admin except the session with the id `except`.
pub fn end_other_sessions(tx: &Tx<'_>, context: &AuditContext, admin: &str, except: &str) -> Result<()> {
    tx.allow_on_full_disk();
    let ended = rows::end_admin_sessions(tx, admin, Some(except))?;
    if ended > 0 { append_audit_entry(tx, context, admin, ended) } else { Ok(()) }
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, admin: &str, ended: usize) -> Result<()> {
    let account = admins::find_admin_by_id(tx, admin)?.and_then(|found| found.account);
    let entry = NewAuditEntry {
        action: "session.ended",
        account: account.as_ref(),
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
    use crate::model::setup_link::LinkPurpose;
    use crate::store::Store;

    const LIFETIME: SessionLifetime = SessionLifetime { idle: 60_000, total: 600_000 };

    fn test_context() -> AuditContext {
        AuditContext::command_line("test-user".to_owned())
    }

    fn open_store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn new_configuration(name: &str) -> NewConfiguration {
        NewConfiguration {
            connection_name: Some(name.to_owned()),
            source: ConfigurationSource::Other,
            ..NewConfiguration::sample("acme")
        }
    }

    fn new_admin() -> AdminDraft {
        AdminDraft {
            id: "admin".to_owned(),
            email: "a@x.example".to_owned(),
            name: "Test Admin".to_owned(),
            role: OWNER.to_owned(),
            account: None,
            password_digest: None,
        }
    }

    fn new_session(admin: &str, at: Millis) -> Session {
        Session {
            id: clock::new_id(),
            admin: admin.to_owned(),
            address: None,
            user_agent: String::new(),
            created_at: at,
            last_seen_at: at,
        }
    }

    fn secret_for(session: &str) -> OneTimeSecret {
        let until = clock::current_millis() + 60_000;
        OneTimeSecret { session: session.to_owned(), sealed: b"sealed".to_vec(), until }
    }

    /// Runs the creation with a session that has ended.
    fn create_without_session<T: Send + 'static>(
        store: &Store,
        mut create: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) {
        let secret = secret_for("ended");
        let created = store.write_blocking(move |tx| create_with_one_time_secret(tx, &secret, &mut create).map(drop));
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
                        audit::list_entries(
                            at,
                            &audit::AuditQuery::default(),
                            audit::AuditLimit { count: 100, bytes: usize::MAX },
                        )?
                        .0
                        .len(),
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
            purpose: LinkPurpose::Setup,
            client: None,
        };
        let target = id.clone();
        create_without_session(&store, move |tx| setup_links::create_link(tx, &test_context(), &target, &link));
        assert_eq!(read(), before);
    }

    #[test]
    fn a_creation_stores_its_secret_in_the_session_and_a_failed_one_does_not() {
        let (store, _folder) = open_store();
        let (admin, session) = (new_admin(), new_session("admin", 1));
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

    #[test]
    fn expired_sessions_and_secrets_are_removed() {
        let (store, _folder) = open_store();
        let now = clock::current_millis();
        let sessions = [new_session("admin", now), new_session("admin", now - LIFETIME.idle - 1)];
        let live = sessions[0].id.clone();
        let secret = OneTimeSecret { until: now - 1, ..secret_for(&live) };
        store
            .write_blocking(move |tx| {
                admins::create_admin(tx, &test_context(), &new_admin())?;
                start_session(tx, &[1; 32], &sessions[0])?;
                start_session(tx, &[2; 32], &sessions[1])?;
                rows::set_one_time_secret(tx, &secret.session, &secret.sealed, secret.until)
            })
            .unwrap();
        let read = || {
            let found = store.read_inline(|at| {
                let ids: Vec<String> = list_admin_sessions(at, "admin")?.into_iter().map(|one| one.id).collect();
                Ok((ids, find_one_time_secret(at, &live, 0)?.is_some(), count_live_sessions(at, LIFETIME, now)?))
            });
            found.unwrap()
        };
        assert!(read().0.len() == 2 && read().1);
        store.write_blocking(|tx| remove_expired_sessions(tx, LIFETIME)).unwrap();
        assert_eq!(read(), (vec![live.clone()], false, 1));
    }
}
