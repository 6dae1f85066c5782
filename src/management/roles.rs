//! Custom roles, in addition to the built-in roles.

use serde_json::{Value, json};

use crate::error::{Reason, Result};
use crate::model::admin::Role;
use crate::model::audit_context::AuditContext;
use crate::model::names;
use crate::model::permission::Permissions;
use crate::store::tables::admins as rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::{Snapshot, Tx};

pub use crate::store::tables::admins::list_roles;

/// Returns the role with this id.
///
/// # Errors
/// `NotFound` if there is none.
pub fn find_role(at: &Snapshot<'_>, id: &str) -> Result<Role> {
    rows::find_role(at, id)?.ok_or_else(|| Reason::RoleNotFound.into())
}

/// Creates a role, or replaces the role with its id. The permissions are effective from the next request on.
///
/// # Errors
/// `Invalid` names an invalid field. 403 if the role has or gets a permission that the caller lacks. `Conflict` if the
/// name is in use or the role is built in. Run it with
/// `Store::write`.
pub fn save_role(tx: &Tx<'_>, context: &AuditContext, role: &Role) -> Result<()> {
    let name = names::check_name("name", &role.name)?;
    if role.permissions == Permissions::NONE {
        return Err(Reason::PermissionsEmpty.into());
    }
    let all = rows::list_roles(tx)?;
    let before = all.iter().find(|one| one.id == role.id);
    if before.is_some_and(|one| one.is_built_in) {
        return Err(Reason::RoleBuiltIn.into());
    }
    context.authority.check_power_over(role.permissions)?;
    before.map_or(Ok(()), |before| context.authority.check_power_over(before.permissions))?;
    if all.iter().any(|one| one.id != role.id && one.name.eq_ignore_ascii_case(name)) {
        return Err(Reason::RoleNameTaken.into());
    }
    let changed = Role { name: name.to_owned(), ..role.clone() };
    if before == Some(&changed) {
        return Ok(());
    }
    rows::save_role(tx, &changed)?;
    let action = if before.is_some() { "role.updated" } else { "role.created" };
    let (before, after) = (before.map(describe_role), Some(describe_role(&changed)));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action, subject_id: Some(&changed.id), before, after, ..NewAuditEntry::default() },
    )
}

/// Removes a custom role that is not assigned to an admin.
///
/// # Errors
/// `NotFound`. 403 if it has a permission that the caller lacks. `Conflict` if it is assigned or built in.
pub fn remove_role(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    tx.allow_on_full_disk();
    let found = find_role(tx, id)?;
    context.authority.check_power_over(found.permissions)?;
    if !rows::delete_role(tx, id)? {
        return Err(Reason::RoleInUse.into());
    }
    let before = Some(describe_role(&found));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "role.removed", subject_id: Some(id), before, ..NewAuditEntry::default() },
    )
}

fn describe_role(role: &Role) -> Value {
    json!({"name": role.name, "permissions": role.permissions.key_list()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::management::admins::{self, AdminDraft};
    use crate::model::admin::OWNER;
    use crate::model::permission::Permission;
    use crate::store::Store;

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn write(store: &Store, mut job: impl FnMut(&Tx<'_>, &AuditContext) -> Result<()> + Send + 'static) -> Result<()> {
        store.write_blocking(move |tx| job(tx, &AuditContext::command_line("test-user".to_owned())))
    }

    fn role(id: &str, name: &str) -> Role {
        let permissions = Permissions::from_iter([Permission::AuditRead]);
        Role { id: id.to_owned(), name: name.to_owned(), permissions, is_built_in: false }
    }

    #[test]
    fn a_role_can_be_removed_only_when_it_is_not_assigned() {
        let (store, _folder) = store();
        write(&store, |tx, context| save_role(tx, context, &role("r1", "Auditor"))).unwrap();
        let viewer = AdminDraft {
            id: "p1".to_owned(),
            email: "a@x.example".to_owned(),
            name: "A".to_owned(),
            role: "r1".to_owned(),
            account: None,
            password_digest: None,
        };
        let owner = AdminDraft {
            id: "p2".to_owned(),
            email: "b@x.example".to_owned(),
            role: OWNER.to_owned(),
            ..viewer.clone()
        };
        write(&store, move |tx, context| {
            admins::create_admin(tx, context, &owner)?;
            admins::create_admin(tx, context, &viewer).map(drop)
        })
        .unwrap();
        assert!(
            matches!(write(&store, |tx, context| remove_role(tx, context, "r1")), Err(error) if error.kind() == ErrorKind::Conflict)
        );
        write(&store, |tx, context| {
            let found = admins::find_admin_by_id(tx, "p1")?;
            admins::update_admin(tx, context, &crate::model::admin::Admin { role: "viewer".to_owned(), ..found })
        })
        .unwrap();
        write(&store, |tx, context| remove_role(tx, context, "r1")).unwrap();
        assert!(
            matches!(write(&store, |tx, context| remove_role(tx, context, "r1")), Err(error) if error.kind() == ErrorKind::NotFound)
        );
    }

    #[test]
    fn built_in_roles_cannot_be_changed_and_names_are_unique() {
        let (store, _folder) = store();
        assert!(matches!(
            write(&store, |tx, context| save_role(tx, context, &role(OWNER, "Mine"))),
            Err(error) if error.kind() == ErrorKind::Conflict
        ));
        assert!(
            matches!(write(&store, |tx, context| remove_role(tx, context, OWNER)), Err(error) if error.kind() == ErrorKind::Conflict)
        );
        assert!(matches!(
            write(&store, |tx, context| save_role(tx, context, &role("r1", "viewer"))),
            Err(error) if error.kind() == ErrorKind::Conflict
        ));
        let nothing = Role { permissions: Permissions::NONE, ..role("r1", "Nothing") };
        assert!(
            matches!(write(&store, move |tx, context| save_role(tx, context, &nothing)), Err(error) if error.kind() == ErrorKind::Invalid)
        );
    }
}
