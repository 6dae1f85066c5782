//! Portal accounts (admins): first run, creation and changes. At least one owner who can sign in must remain.

pub mod invites;

use serde_json::{Value, json};

use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::management::one_time_codes;
use crate::model::account::AccountRef;
use crate::model::admin::{self, Admin, OWNER};
use crate::model::audit_context::AuditContext;
use crate::store::tables::admins as rows;
pub use crate::store::tables::admins::{AdminCredentials, AdminDraft, count_active_owners, has_no_admins, list_admins};
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::{accounts, instance, sessions};
use crate::store::{Snapshot, Tx};

/// Stores a setup code for the first run. It replaces the previous code. Returns whether that was still valid.
///
/// # Errors
/// `Conflict` if an admin exists. Further admins are created by an admin or on the command line.
pub fn open_first_run(tx: &Tx<'_>, code: &TokenDigest, until: Millis) -> Result<bool> {
    tx.allow_on_full_disk();
    if !rows::has_no_admins(tx)? {
        return Err(Reason::AdminExists.into());
    }
    let has_ended = find_first_run_end(tx, tx.now)?.is_some();
    instance::set_setup_code(tx, code, until)?;
    Ok(has_ended)
}

/// Returns the time until which the setup code is valid. `None` if there is none, or it has expired at `now`.
pub fn find_first_run_end(at: &Snapshot<'_>, now: Millis) -> Result<Option<Millis>> {
    Ok(instance::find_setup_code(at)?.map(|(_, until)| until).filter(|until| now < *until))
}

/// Whether the code is valid for the first run at `now`.
pub fn is_first_run(at: &Snapshot<'_>, code: &TokenDigest, now: Millis) -> Result<bool> {
    Ok(rows::has_no_admins(at)? && instance::is_setup_code(at, code, now)?)
}

/// Creates the first owner and invalidates the setup code. Returns the owner.
///
/// # Errors
/// `NotFound` if the code is wrong, expired or used. `Invalid` names an invalid field.
pub fn create_first_owner(
    tx: &Tx<'_>,
    context: &AuditContext,
    code: &TokenDigest,
    draft: &AdminDraft,
) -> Result<Admin> {
    if !is_first_run(tx, code, tx.now)? {
        return Err(Reason::SetupUrlExpired.into());
    }
    instance::delete_setup_code(tx)?;
    create_admin(tx, context, &AdminDraft { role: OWNER.to_owned(), account: None, ..draft.clone() })
}

/// Creates an admin and returns it.
///
/// # Errors
/// `Invalid` names an invalid field. `Conflict` if the e-mail address is in use. It can fail after its first change: run it with `Store::write`.
pub fn create_admin(tx: &Tx<'_>, context: &AuditContext, draft: &AdminDraft) -> Result<Admin> {
    let email_key = admin::normalize_email(&draft.email)?;
    let name = admin::check_name(&draft.name)?;
    let account = resolve_role(tx, &draft.role, draft.account.as_deref())?;
    check_power_over_role(tx, context, &draft.role)?;
    let draft = AdminDraft { email: draft.email.trim().to_owned(), name: name.to_owned(), ..draft.clone() };
    rows::free_email_of_deleted_account(tx, &email_key)?;
    rows::insert_admin(tx, &draft, account.as_ref(), &email_key)?;
    let created = find_admin_by_id(tx, &draft.id)?;
    append_audit_entry(
        tx,
        context,
        &created,
        NewAuditEntry::new("admin.created", None, Some(describe_admin(&created))),
    )?;
    Ok(created)
}

/// Returns the admin with this id.
///
/// # Errors
/// `NotFound` if there is none.
pub fn find_admin_by_id(at: &Snapshot<'_>, id: &str) -> Result<Admin> {
    rows::find_admin_by_id(at, id)?.ok_or_else(|| Reason::AdminNotFound.into())
}

/// Returns the admin with this e-mail address.
///
/// # Errors
/// `Invalid` if the e-mail address is invalid. `NotFound` if there is none.
pub fn find_admin_by_email(at: &Snapshot<'_>, email: &str) -> Result<Admin> {
    let found = rows::find_credentials_by_email(at, &admin::normalize_email(email)?)?;
    found.map(|found| found.admin).ok_or_else(|| Reason::AdminEmailNotFound.into())
}

/// Returns the credentials of the enabled admin with this normalized e-mail address.
pub fn find_credentials_by_email(at: &Snapshot<'_>, email_key: &str) -> Result<Option<AdminCredentials>> {
    Ok(rows::find_credentials_by_email(at, email_key)?.filter(|found| found.admin.disabled_at.is_none()))
}

/// Returns the credentials of the enabled admin with this id.
pub fn find_credentials_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<AdminCredentials>> {
    Ok(rows::find_credentials_by_id(at, id)?.filter(|found| found.admin.disabled_at.is_none()))
}

/// Changes the name, role, account or disabled state of an admin. If the role, account or disabled state changes, all
/// sessions of the admin end.
///
/// # Errors
/// `NotFound`. `Invalid` names an invalid field. `Conflict` if no owner who can sign in would remain.
pub fn update_admin(tx: &Tx<'_>, context: &AuditContext, changed: &Admin) -> Result<()> {
    let before = find_admin_by_id(tx, &changed.id)?;
    if before.disabled_at.is_none() && changed.disabled_at.is_some() {
        tx.allow_on_full_disk();
    }
    let name = admin::check_name(&changed.name)?;
    let account = if changed.account.is_some() && changed.account == before.account {
        // An admin of a deleted account stays one, and must not get access to a later account with the same id.
        check_role(tx, &changed.role)?;
        check_is_enabled_in_live_account(tx, changed)?;
        changed.account.clone()
    } else {
        resolve_role(tx, &changed.role, changed.account.as_deref())?
    };
    check_power_over_role(tx, context, &before.role)?;
    check_power_over_role(tx, context, &changed.role)?;
    let after = Admin { name: name.to_owned(), account, ..changed.clone() };
    if after.disabled_at.is_none() {
        check_has_own_email(tx, &before)?;
    }
    rows::update_admin(tx, &after)?;
    if rows::count_active_owners(tx)? == 0 {
        return Err(Reason::LastOwner.into());
    }
    if (&before.role, &before.account, before.disabled_at) != (&after.role, &after.account, after.disabled_at) {
        sessions::end_admin_sessions(tx, &after.id, None)?;
    }
    let entry = NewAuditEntry::new("admin.updated", Some(describe_admin(&before)), Some(describe_admin(&after)));
    append_audit_entry(tx, context, &after, entry)
}

/// Stores a new password digest and ends all sessions of the admin except the session `except`.
///
/// # Errors
/// `NotFound` if there is no admin with this id.
pub fn set_password(tx: &Tx<'_>, context: &AuditContext, id: &str, digest: &str, except: Option<&str>) -> Result<()> {
    tx.allow_on_full_disk();
    let found = find_admin_by_id(tx, id)?;
    check_power_over_role(tx, context, &found.role)?;
    rows::set_password(tx, id, digest)?;
    let ended = sessions::end_admin_sessions(tx, id, except)?;
    let after = json!({"sessionsEnded": ended});
    append_audit_entry(tx, context, &found, NewAuditEntry::new("admin.password_changed", None, Some(after)))
}

/// Resets the password of an admin who lost it: stores a new digest, ends all sessions, and disables one-time codes if
/// they are enabled. Run it with `Store::write`, which undoes all of it if a step fails.
///
/// # Errors
/// `NotFound` if there is no admin with this id.
pub fn reset_password(tx: &Tx<'_>, context: &AuditContext, id: &str, digest: &str) -> Result<()> {
    reset_password_with(tx, context, id, digest, |tx| one_time_codes::disable_codes(tx, context, id))
}

/// [`reset_password`] with the second step as an argument, so that a test can let it fail.
fn reset_password_with(
    tx: &Tx<'_>,
    context: &AuditContext,
    id: &str,
    digest: &str,
    disable_codes: impl FnOnce(&Tx<'_>) -> Result<()>,
) -> Result<()> {
    let found = find_admin_by_id(tx, id)?;
    set_password(tx, context, id, digest, None)?;
    if found.has_totp { disable_codes(tx) } else { Ok(()) }
}

/// Checks that the caller has all permissions of a role: no caller can use or lock the account of an admin who may do more.
pub(crate) fn check_power_over_role(tx: &Tx<'_>, context: &AuditContext, role: &str) -> Result<()> {
    let found = rows::find_role(tx, role)?;
    found.map_or(Ok(()), |role| context.authority.check_power_over(role.permissions))
}

fn check_role(tx: &Tx<'_>, role: &str) -> Result<()> {
    if rows::find_role(tx, role)?.is_some() { Ok(()) } else { Err(Reason::RoleUnknown.into()) }
}

/// Checks the role and returns the account of the role.
fn resolve_role(tx: &Tx<'_>, role: &str, account: Option<&str>) -> Result<Option<AccountRef>> {
    check_role(tx, role)?;
    let Some(account) = account else { return Ok(None) };
    accounts::find_account_ref(tx, account)?.map(Some).ok_or_else(|| Reason::RoleAccountUnknown.into())
}

/// An admin of a deleted account cannot be enabled.
fn check_is_enabled_in_live_account(tx: &Tx<'_>, admin: &Admin) -> Result<()> {
    let Some(account) = &admin.account else { return Ok(()) };
    if admin.disabled_at.is_none() && accounts::find_account_ref(tx, &account.id)?.as_ref() != Some(account) {
        return Err(Reason::RoleAccountUnknown.into());
    }
    Ok(())
}

/// An admin whose e-mail address belongs to another admin by now cannot be enabled.
fn check_has_own_email(tx: &Tx<'_>, admin: &Admin) -> Result<()> {
    let holder = rows::find_credentials_by_email(tx, &admin::normalize_email(&admin.email)?)?;
    if holder.is_some_and(|holder| holder.admin.id == admin.id) { Ok(()) } else { Err(Reason::AdminEmailTaken.into()) }
}

fn describe_admin(one: &Admin) -> Value {
    json!({
        "email": one.email,
        "name": one.name,
        "role": one.role,
        "account": one.account,
        "disabled": one.disabled_at.is_some(),
    })
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, admin: &Admin, entry: NewAuditEntry<'_>) -> Result<()> {
    let (account, subject_id) = (admin.account.as_ref(), Some(admin.id.as_str()));
    audit::append_entry(tx, context, &NewAuditEntry { account, subject_id, ..entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::error::{Error, ErrorKind};
    use crate::management::accounts as management_accounts;
    use crate::management::one_time_codes::CodesSetup;
    use crate::management::{roles, sso};
    use crate::model::admin::Role;
    use crate::model::audit_context::Authority;
    use crate::model::permission::{Permission, Permissions};
    use crate::store::Store;
    use crate::store::tables::sessions::Session;

    fn test_context() -> AuditContext {
        AuditContext::command_line("test-user".to_owned())
    }

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn admin_draft(email: &str, role: &str) -> AdminDraft {
        AdminDraft {
            id: clock::new_id(),
            email: email.to_owned(),
            name: "Test Admin".to_owned(),
            role: role.to_owned(),
            account: None,
            password_digest: None,
        }
    }

    fn test_session(admin: &str) -> Session {
        Session {
            id: clock::new_id(),
            admin: admin.to_owned(),
            address: None,
            user_agent: String::new(),
            created_at: 1,
            last_seen_at: 1,
        }
    }

    fn write<T: Send + 'static>(store: &Store, job: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        store.write_blocking(job)
    }

    type WriteJob = Box<dyn FnMut(&Tx<'_>) -> Result<()> + Send>;

    #[test]
    fn the_first_run_accepts_the_newest_code_once_before_it_expires() {
        let (store, _folder) = store();
        let (old, new) = ([1; 32], [2; 32]);
        let late = clock::current_millis() + 60_000;
        assert!(!write(&store, move |tx| open_first_run(tx, &old, late)).unwrap());
        assert_eq!(store.read_inline(|at| find_first_run_end(at, late - 1)).unwrap(), Some(late));
        assert_eq!(store.read_inline(|at| find_first_run_end(at, late)).unwrap(), None);
        assert!(write(&store, move |tx| open_first_run(tx, &new, late)).unwrap());
        let redeem = |code| {
            write(&store, move |tx| {
                create_first_owner(tx, &test_context(), &code, &admin_draft("a@x.example", "viewer"))
            })
        };
        assert!(matches!(redeem(old), Err(error) if error.kind() == ErrorKind::NotFound));
        assert_eq!(redeem(new).unwrap().role, OWNER);
        assert!(matches!(redeem(new), Err(error) if error.kind() == ErrorKind::NotFound));
        assert!(
            matches!(write(&store, move |tx| open_first_run(tx, &new, late)), Err(error) if error.kind() == ErrorKind::Conflict)
        );
    }

    #[test]
    fn an_expired_setup_code_is_rejected() {
        let (store, _folder) = store();
        let code = [3; 32];
        write(&store, move |tx| open_first_run(tx, &code, tx.now)).unwrap();
        let redeemed =
            write(&store, move |tx| create_first_owner(tx, &test_context(), &code, &admin_draft("a@x.example", OWNER)));
        assert!(matches!(redeemed, Err(error) if error.kind() == ErrorKind::NotFound));
    }

    #[test]
    fn the_last_owner_can_be_neither_demoted_nor_disabled() {
        let (store, _folder) = store();
        let first = write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("a@x.example", OWNER))).unwrap();
        let demoted = Admin { role: "viewer".to_owned(), ..first.clone() };
        let disabled = Admin { disabled_at: Some(1), ..first.clone() };
        for changed in [demoted.clone(), disabled] {
            let refused = write(&store, move |tx| update_admin(tx, &test_context(), &changed));
            assert!(matches!(refused, Err(error) if error.kind() == ErrorKind::Conflict));
        }
        write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("b@x.example", OWNER))).unwrap();
        write(&store, move |tx| update_admin(tx, &test_context(), &demoted)).unwrap();
    }

    /// A caller who may administer the server and read the audit log, but nothing else.
    fn weak_context() -> AuditContext {
        let permissions = Permissions::from_iter([Permission::SystemAdmin, Permission::AuditRead]);
        AuditContext { authority: Authority { permissions, expires_at: None }, ..test_context() }
    }

    #[test]
    fn an_admin_with_more_permissions_can_be_neither_changed_nor_created() {
        let (store, _folder) = store();
        let owner = write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("a@x.example", OWNER))).unwrap();
        let auditor = Role {
            id: "auditor".to_owned(),
            name: "Auditor".to_owned(),
            permissions: Permissions::from_iter([Permission::AuditRead]),
            is_built_in: false,
        };
        let (small, large) = (auditor.clone(), Role { permissions: Permissions::ALL, ..auditor });
        write(&store, move |tx| roles::save_role(tx, &weak_context(), &small)).unwrap();
        let mine =
            write(&store, |tx| create_admin(tx, &weak_context(), &admin_draft("b@x.example", "auditor"))).unwrap();
        let (id, promoted) = (owner.id.clone(), Admin { role: "viewer".to_owned(), ..mine.clone() });
        let demoted = Admin { role: "auditor".to_owned(), ..owner.clone() };
        let jobs: [WriteJob; 7] = [
            Box::new(|tx| create_admin(tx, &weak_context(), &admin_draft("c@x.example", "viewer")).map(drop)),
            Box::new(move |tx| update_admin(tx, &weak_context(), &promoted)),
            Box::new(move |tx| update_admin(tx, &weak_context(), &demoted)),
            Box::new({
                let id = id.clone();
                move |tx| set_password(tx, &weak_context(), &id, "digest", None)
            }),
            Box::new({
                let id = id.clone();
                move |tx| reset_password(tx, &weak_context(), &id, "digest")
            }),
            Box::new(move |tx| sso::unlink_identity(tx, &weak_context(), &id)),
            Box::new(move |tx| roles::save_role(tx, &weak_context(), &large)),
        ];
        for (number, job) in jobs.into_iter().enumerate() {
            let refused = write(&store, job).unwrap_err();
            assert_eq!(refused.reason(), Reason::AuthorityExceeded, "{number}");
        }
        write(&store, move |tx| set_password(tx, &weak_context(), &mine.id, "digest", None)).unwrap();
    }

    #[test]
    fn an_admin_of_a_deleted_account_does_not_come_into_a_later_one_by_a_change() {
        let (store, _folder) = store();
        write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("o@x.example", OWNER))).unwrap();
        let old = write(&store, |tx| {
            management_accounts::create_account(tx, &test_context(), "acme", None)?;
            let draft = AdminDraft { account: Some("acme".to_owned()), ..admin_draft("a@x.example", "viewer") };
            let created = create_admin(tx, &test_context(), &draft)?;
            management_accounts::delete_account(tx, &test_context(), "acme")?;
            management_accounts::create_account(tx, &test_context(), "acme", None)?;
            find_admin_by_id(tx, &created.id)
        })
        .unwrap();
        assert!(old.disabled_at.is_some());
        let account = old.account.clone();
        let (promoted, enabled) =
            (Admin { role: OWNER.to_owned(), ..old.clone() }, Admin { disabled_at: None, ..old.clone() });
        write(&store, move |tx| update_admin(tx, &test_context(), &promoted)).unwrap();
        let id = old.id;
        let stored = store.read_inline(|at| find_admin_by_id(at, &id)).unwrap();
        assert_eq!((stored.role.as_str(), &stored.account), (OWNER, &account));
        let refused = write(&store, move |tx| update_admin(tx, &test_context(), &enabled)).unwrap_err();
        assert_eq!(refused.reason(), Reason::RoleAccountUnknown);
    }

    #[test]
    fn an_admin_whose_role_changes_is_signed_out() {
        let (store, _folder) = store();
        write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("a@x.example", OWNER))).unwrap();
        let other = write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("b@x.example", OWNER))).unwrap();
        let id = other.id.clone();
        let session = test_session(&id);
        write(&store, move |tx| sessions::insert_session(tx, &[7; 32], &session)).unwrap();
        write(&store, move |tx| {
            update_admin(tx, &test_context(), &Admin { role: "viewer".to_owned(), ..other.clone() })
        })
        .unwrap();
        assert_eq!(store.read_inline(|at| sessions::list_admin_sessions(at, &id)).unwrap(), []);
    }

    /// An admin with a password, one-time codes, a recovery code and a session.
    fn insert_admin_with_codes(store: &Store) -> String {
        let draft = AdminDraft { password_digest: Some("old".to_owned()), ..admin_draft("a@x.example", OWNER) };
        let id = draft.id.clone();
        let session = test_session(&id);
        write(store, move |tx| {
            create_admin(tx, &test_context(), &draft)?;
            let setup = CodesSetup {
                sealed_secret: b"sealed",
                confirmed_step: 1,
                recovery: &[[9; 32]],
                replaces: one_time_codes::fingerprint_codes(tx, &draft.id)?,
            };
            one_time_codes::enable_codes(tx, &test_context(), &draft.id, &setup)?;
            sessions::insert_session(tx, &[7; 32], &session)
        })
        .unwrap();
        id
    }

    /// Password digest, whether codes are enabled, recovery codes, sessions, and the newest audit entries of an admin.
    fn read_sign_in_state(store: &Store, id: &str) -> (Option<String>, bool, i64, usize, Vec<(String, Value)>) {
        let (credentials, recovery, sessions, entries) = store
            .read_inline(|at| {
                Ok((
                    rows::find_credentials_by_id(at, id)?.unwrap(),
                    rows::count_recovery_codes(at, id)?,
                    sessions::list_admin_sessions(at, id)?,
                    audit::list_entries(
                        at,
                        &audit::AuditQuery::default(),
                        audit::AuditLimit { count: 10, bytes: usize::MAX },
                    )?
                    .0,
                ))
            })
            .unwrap();
        let entries = entries.into_iter().map(|entry| (entry.action, entry.after.unwrap_or_default())).collect();
        (credentials.password_digest, credentials.totp_secret.is_some(), recovery, sessions.len(), entries)
    }

    #[test]
    fn a_reset_replaces_the_password_and_the_second_factor_and_logs_both() {
        let (store, _folder) = store();
        let id = insert_admin_with_codes(&store);
        let target = id.clone();
        write(&store, move |tx| reset_password(tx, &test_context(), &target, "new")).unwrap();
        let (digest, has_codes, recovery, sessions, entries) = read_sign_in_state(&store, &id);
        assert_eq!((digest.as_deref(), has_codes, recovery, sessions), (Some("new"), false, 0, 0));
        assert_eq!(entries[0], ("admin.updated".to_owned(), json!({"oneTimeCodes": false})));
        assert_eq!(entries[1], ("admin.password_changed".to_owned(), json!({"sessionsEnded": 1})));
    }

    #[test]
    fn a_reset_whose_second_step_fails_changes_nothing() {
        let (store, _folder) = store();
        let id = insert_admin_with_codes(&store);
        let before = read_sign_in_state(&store, &id);
        let target = id.clone();
        let failed = write(&store, move |tx| {
            reset_password_with(tx, &test_context(), &target, "new", |tx| {
                one_time_codes::disable_codes(tx, &test_context(), &target)?;
                Err(Error::new(Reason::DiskFull))
            })
        });
        assert!(matches!(failed, Err(error) if error.reason() == Reason::DiskFull));
        assert_eq!(read_sign_in_state(&store, &id), before);
    }

    #[test]
    fn a_reset_without_one_time_codes_logs_the_password_only() {
        let (store, _folder) = store();
        let draft = admin_draft("a@x.example", OWNER);
        let id = draft.id.clone();
        write(&store, move |tx| create_admin(tx, &test_context(), &draft)).unwrap();
        let target = id.clone();
        write(&store, move |tx| reset_password(tx, &test_context(), &target, "new")).unwrap();
        let actions: Vec<String> = read_sign_in_state(&store, &id).4.into_iter().map(|entry| entry.0).collect();
        assert_eq!(actions, ["admin.password_changed", "admin.created"]);
    }

    #[test]
    fn an_email_address_belongs_to_one_admin_regardless_of_case() {
        let (store, _folder) = store();
        write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("a@x.example", OWNER))).unwrap();
        let again = write(&store, |tx| create_admin(tx, &test_context(), &admin_draft(" A@X.example", "viewer")));
        assert!(matches!(again, Err(error) if error.kind() == ErrorKind::Conflict));
        let unknown_role =
            write(&store, |tx| create_admin(tx, &test_context(), &admin_draft("b@x.example", "emperor")));
        assert!(matches!(unknown_role, Err(error) if error.kind() == ErrorKind::Invalid));
    }
}
