//! The people of the portal: the first one, those who follow, and what keeps the last owner in.

use serde_json::{Value, json};

use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::actor::By;
use crate::model::admin::{self, Admin, OWNER};
use crate::secret::TokenDigest;
use crate::store::admins::{self as rows, NewAdmin};
use crate::store::audit::{self, Entry};
use crate::store::{Snapshot, Tx, accounts, instance, sessions};

/// A person to be made. The password is hashed already.
#[derive(Debug, Clone)]
pub struct Person {
    /// A new id, made by the caller.
    pub id: String,
    /// E-mail address.
    pub email: String,
    /// What others call the person.
    pub name: String,
    /// Id of a role.
    pub role: String,
    /// The one account in which the role counts.
    pub account: Option<String>,
    /// Argon2id digest of the password; without one the person can only sign in through single sign-on.
    pub password_digest: Option<String>,
}

/// Puts a code for the first run in place of the one before.
///
/// # Errors
/// `Conflict` where there is somebody already: from then on people are made by people, or by the command line.
pub fn open_first_run(tx: &Tx<'_>, code: &TokenDigest, until: Millis) -> Result<()> {
    if !rows::is_empty(tx)? {
        return Err(Error::Conflict(
            "somebody has an account already; use `rollcall admin create` or `rollcall admin reset-password`"
                .to_owned(),
        ));
    }
    instance::set_setup_code(tx, code, until)
}

/// Whether the code opens the first run at that time.
pub fn is_first_run(at: &Snapshot<'_>, code: &TokenDigest, now: Millis) -> Result<bool> {
    Ok(rows::is_empty(at)? && instance::is_setup_code(at, code, now)?)
}

/// Makes the first owner; the code is spent with it.
///
/// # Errors
/// `NotFound` where the code is wrong, old or spent; `Refused` names what breaks a rule.
pub fn create_first(tx: &Tx<'_>, by: &By, code: &TokenDigest, person: &Person) -> Result<Admin> {
    if !is_first_run(tx, code, tx.now)? {
        return Err(Error::NotFound("this set-up address is used up or too old".to_owned()));
    }
    instance::remove_setup_code(tx)?;
    create(tx, by, &Person { role: OWNER.to_owned(), account: None, ..person.clone() })
}

/// Makes a person.
///
/// # Errors
/// `Refused` names what breaks a rule, `Conflict` where the address is taken. Run it with `Undo::Savepoint`.
pub fn create(tx: &Tx<'_>, by: &By, person: &Person) -> Result<Admin> {
    let email_key = admin::email_key(&person.email).map_err(Error::Refused)?;
    let name = admin::check_name(&person.name).map_err(Error::Refused)?;
    check_role(tx, &person.role, person.account.as_deref())?;
    let email = person.email.trim();
    let new = NewAdmin {
        id: &person.id,
        email,
        email_key: &email_key,
        name,
        role: &person.role,
        account: person.account.as_deref(),
        password_digest: person.password_digest.as_deref(),
    };
    rows::insert(tx, &new)?;
    let made = by_id(tx, &person.id)?;
    audited(tx, by, &made, "admin.created", None, Some(described(&made)))?;
    Ok(made)
}

/// The person with that id.
///
/// # Errors
/// `NotFound`.
pub fn by_id(at: &Snapshot<'_>, id: &str) -> Result<Admin> {
    rows::by_id(at, id)?.ok_or_else(|| Error::NotFound("there is nobody with that id".to_owned()))
}

/// Changes name, role, account or whether the person may sign in. Somebody who may do less than before, or nothing any
/// more, is signed out everywhere.
///
/// # Errors
/// `NotFound`; `Refused` names what breaks a rule; `Conflict` where nobody would be left who can run the server.
pub fn change(tx: &Tx<'_>, by: &By, changed: &Admin) -> Result<()> {
    let before = by_id(tx, &changed.id)?;
    let name = admin::check_name(&changed.name).map_err(Error::Refused)?;
    check_role(tx, &changed.role, changed.account.as_deref())?;
    let after = Admin { name: name.to_owned(), ..changed.clone() };
    rows::update(tx, &after)?;
    if rows::active_owners(tx)? == 0 {
        return Err(Error::Conflict("at least one owner who may sign in must remain".to_owned()));
    }
    if (&before.role, &before.account, before.disabled_at) != (&after.role, &after.account, after.disabled_at) {
        sessions::end_all(tx, &after.id, None)?;
    }
    audited(tx, by, &after, "admin.updated", Some(described(&before)), Some(described(&after)))
}

/// Keeps a new password and signs the person out everywhere but in the session `keep`.
///
/// # Errors
/// `NotFound`.
pub fn set_password(tx: &Tx<'_>, by: &By, id: &str, digest: &str, keep: Option<&str>) -> Result<()> {
    let found = by_id(tx, id)?;
    rows::set_password(tx, id, digest)?;
    let ended = sessions::end_all(tx, id, keep)?;
    audited(tx, by, &found, "admin.password_changed", None, Some(json!({"sessionsEnded": ended})))
}

fn check_role(tx: &Tx<'_>, role: &str, account: Option<&str>) -> Result<()> {
    if rows::role(tx, role)?.is_none() {
        return Err(Error::Refused("the role is none of those that there are".to_owned()));
    }
    if let Some(account) = account
        && accounts::by_id(tx, account)?.is_none()
    {
        return Err(Error::Refused("there is no such account to limit the role to".to_owned()));
    }
    Ok(())
}

fn described(one: &Admin) -> Value {
    json!({
        "email": one.email,
        "name": one.name,
        "role": one.role,
        "account": one.account,
        "disabled": one.disabled_at.is_some(),
    })
}

fn audited(tx: &Tx<'_>, by: &By, of: &Admin, action: &str, before: Option<Value>, after: Option<Value>) -> Result<()> {
    let entry =
        Entry { action, account: of.account.as_deref(), subject_id: Some(&of.id), before, after, ..Entry::default() };
    audit::append(tx, by, &entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::store::sessions::Session;
    use crate::store::{Access, Store, Undo};

    fn by() -> By {
        By::command_line("somebody".to_owned())
    }

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open(folder.path(), Access::Command).unwrap(), folder)
    }

    fn person(email: &str, role: &str) -> Person {
        Person {
            id: clock::new_id(),
            email: email.to_owned(),
            name: "Somebody".to_owned(),
            role: role.to_owned(),
            account: None,
            password_digest: None,
        }
    }

    fn write<T: Send + 'static>(store: &Store, job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        store.write_blocking(Undo::Savepoint, job)
    }

    #[test]
    fn the_first_run_opens_once_with_the_newest_code_and_in_time() {
        let (store, _folder) = store();
        let (old, new) = ([1; 32], [2; 32]);
        let late = clock::now() + 60_000;
        write(&store, move |tx| open_first_run(tx, &old, late)).unwrap();
        write(&store, move |tx| open_first_run(tx, &new, late)).unwrap();
        let redeem = |code| write(&store, move |tx| create_first(tx, &by(), &code, &person("a@x.example", "viewer")));
        assert!(matches!(redeem(old), Err(Error::NotFound(_))));
        assert_eq!(redeem(new).unwrap().role, OWNER);
        assert!(matches!(redeem(new), Err(Error::NotFound(_))));
        assert!(matches!(write(&store, move |tx| open_first_run(tx, &new, late)), Err(Error::Conflict(_))));
    }

    #[test]
    fn a_code_that_is_too_old_opens_nothing() {
        let (store, _folder) = store();
        let code = [3; 32];
        write(&store, move |tx| open_first_run(tx, &code, tx.now)).unwrap();
        let redeemed = write(&store, move |tx| create_first(tx, &by(), &code, &person("a@x.example", OWNER)));
        assert!(matches!(redeemed, Err(Error::NotFound(_))));
    }

    #[test]
    fn the_last_owner_can_be_neither_demoted_nor_disabled() {
        let (store, _folder) = store();
        let first = write(&store, |tx| create(tx, &by(), &person("a@x.example", OWNER))).unwrap();
        let demoted = Admin { role: "viewer".to_owned(), ..first.clone() };
        let disabled = Admin { disabled_at: Some(1), ..first.clone() };
        for changed in [demoted.clone(), disabled] {
            let refused = write(&store, move |tx| change(tx, &by(), &changed));
            assert!(matches!(refused, Err(Error::Conflict(_))));
        }
        write(&store, |tx| create(tx, &by(), &person("b@x.example", OWNER))).unwrap();
        write(&store, move |tx| change(tx, &by(), &demoted)).unwrap();
    }

    #[test]
    fn who_loses_a_role_is_signed_out() {
        let (store, _folder) = store();
        write(&store, |tx| create(tx, &by(), &person("a@x.example", OWNER))).unwrap();
        let other = write(&store, |tx| create(tx, &by(), &person("b@x.example", OWNER))).unwrap();
        let id = other.id.clone();
        let session = Session {
            id: clock::new_id(),
            admin: id.clone(),
            address: None,
            user_agent: String::new(),
            created_at: 1,
            last_seen_at: 1,
        };
        write(&store, move |tx| sessions::insert(tx, &[7; 32], &session)).unwrap();
        write(&store, move |tx| change(tx, &by(), &Admin { role: "viewer".to_owned(), ..other })).unwrap();
        assert_eq!(store.read_inline(|at| sessions::of_admin(at, &id)).unwrap(), []);
    }

    #[test]
    fn an_address_belongs_to_one_person_whatever_its_case() {
        let (store, _folder) = store();
        write(&store, |tx| create(tx, &by(), &person("a@x.example", OWNER))).unwrap();
        let again = write(&store, |tx| create(tx, &by(), &person(" A@X.example", "viewer")));
        assert!(matches!(again, Err(Error::Conflict(_))));
        let nobody = write(&store, |tx| create(tx, &by(), &person("b@x.example", "emperor")));
        assert!(matches!(nobody, Err(Error::Refused(_))));
    }
}
