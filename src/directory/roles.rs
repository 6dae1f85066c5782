//! Roles of one's own, beside those that come with the program.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::actor::By;
use crate::model::admin::Role;
use crate::model::names;
use crate::model::permission::Permissions;
use crate::store::audit::{self, Entry};
use crate::store::{Snapshot, Tx, admins as rows};

/// The role with that id.
///
/// # Errors
/// `NotFound`.
pub fn by_id(at: &Snapshot<'_>, id: &str) -> Result<Role> {
    rows::role(at, id)?.ok_or_else(|| Error::NotFound("there is no role with that id".to_owned()))
}

/// Makes a role, or puts it in place of the one with its id. Whoever has it may do what it says from the next request on.
///
/// # Errors
/// `Refused` names what breaks a rule; `Conflict` where the name is taken or the role comes with the program. Run it with
/// `Undo::Savepoint`.
pub fn keep(tx: &Tx<'_>, by: &By, role: &Role) -> Result<()> {
    let name = names::check("name", &role.name).map_err(Error::Refused)?;
    if role.permissions == Permissions::NONE {
        return Err(Error::Refused("permissions must name at least one permission".to_owned()));
    }
    let all = rows::roles(tx)?;
    let before = all.iter().find(|known| known.id == role.id);
    if before.is_some_and(|known| known.is_built_in) {
        return Err(Error::Conflict("this role comes with the program and cannot be changed".to_owned()));
    }
    if all.iter().any(|known| known.id != role.id && known.name.eq_ignore_ascii_case(name)) {
        return Err(Error::Conflict("a role has this name already".to_owned()));
    }
    let kept = Role { name: name.to_owned(), ..role.clone() };
    if before == Some(&kept) {
        return Ok(());
    }
    rows::keep_role(tx, &kept)?;
    let action = if before.is_some() { "role.updated" } else { "role.created" };
    let (before, after) = (before.map(described), Some(described(&kept)));
    audit::append(tx, by, &Entry { action, subject_id: Some(&kept.id), before, after, ..Entry::default() })
}

/// Removes a role of one's own that nobody has.
///
/// # Errors
/// `NotFound`; `Conflict` where somebody has it or it comes with the program.
pub fn remove(tx: &Tx<'_>, by: &By, id: &str) -> Result<()> {
    let found = by_id(tx, id)?;
    if !rows::remove_role(tx, id)? {
        return Err(Error::Conflict("somebody has this role, or it comes with the program".to_owned()));
    }
    let before = Some(described(&found));
    audit::append(tx, by, &Entry { action: "role.removed", subject_id: Some(id), before, ..Entry::default() })
}

fn described(role: &Role) -> Value {
    json!({"name": role.name, "permissions": role.permissions.words()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::admins::{self, Person};
    use crate::model::admin::OWNER;
    use crate::model::permission::Permission;
    use crate::store::{Access, Store, Undo};

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open(folder.path(), Access::Command).unwrap(), folder)
    }

    fn write(store: &Store, job: impl FnOnce(&Tx<'_>, &By) -> Result<()> + Send + 'static) -> Result<()> {
        store.write_blocking(Undo::Savepoint, move |tx| job(tx, &By::command_line("somebody".to_owned())))
    }

    fn role(id: &str, name: &str) -> Role {
        let permissions = Permissions::from_iter([Permission::AuditRead]);
        Role { id: id.to_owned(), name: name.to_owned(), permissions, is_built_in: false }
    }

    #[test]
    fn a_role_goes_only_when_nobody_has_it() {
        let (store, _folder) = store();
        write(&store, |tx, by| keep(tx, by, &role("r1", "Auditor"))).unwrap();
        let person = Person {
            id: "p1".to_owned(),
            email: "a@x.example".to_owned(),
            name: "A".to_owned(),
            role: "r1".to_owned(),
            account: None,
            password_digest: None,
        };
        let owner =
            Person { id: "p2".to_owned(), email: "b@x.example".to_owned(), role: OWNER.to_owned(), ..person.clone() };
        write(&store, move |tx, by| {
            admins::create(tx, by, &owner)?;
            admins::create(tx, by, &person).map(drop)
        })
        .unwrap();
        assert!(matches!(write(&store, |tx, by| remove(tx, by, "r1")), Err(Error::Conflict(_))));
        write(&store, |tx, by| {
            let found = admins::by_id(tx, "p1")?;
            admins::change(tx, by, &crate::model::admin::Admin { role: "viewer".to_owned(), ..found })
        })
        .unwrap();
        write(&store, |tx, by| remove(tx, by, "r1")).unwrap();
        assert!(matches!(write(&store, |tx, by| remove(tx, by, "r1")), Err(Error::NotFound(_))));
    }

    #[test]
    fn roles_of_the_program_stay_as_they_are_and_names_are_used_once() {
        let (store, _folder) = store();
        assert!(matches!(write(&store, |tx, by| keep(tx, by, &role(OWNER, "Mine"))), Err(Error::Conflict(_))));
        assert!(matches!(write(&store, |tx, by| remove(tx, by, OWNER)), Err(Error::Conflict(_))));
        assert!(matches!(write(&store, |tx, by| keep(tx, by, &role("r1", "viewer"))), Err(Error::Conflict(_))));
        let nothing = Role { permissions: Permissions::NONE, ..role("r1", "Nothing") };
        assert!(matches!(write(&store, move |tx, by| keep(tx, by, &nothing)), Err(Error::Refused(_))));
    }
}
