//! Roles: what people may do, under names of one's own.

use std::collections::BTreeMap;

use askama::Template;

use super::admins::{Runner, within_own};
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Place, Shown, on_to, page};
use super::session::Visit;
use crate::clock;
use crate::directory::roles;
use crate::error::Error;
use crate::model::admin::Role;
use crate::model::permission::{Permission, Permissions};
use crate::store::{Undo, admins as rows};

/// What the forms send, by name of the field; a permission that is ticked is sent under its word.
type Fields = BTreeMap<String, String>;

/// What each permission opens, for people.
pub(super) fn about(permission: Permission) -> &'static str {
    match permission {
        Permission::ProvisioningRead => "see connections",
        Permission::ProvisioningCreate => "add connections and change their settings",
        Permission::ProvisioningDelete => "delete connections and purge what they left",
        Permission::ProvisioningTokens => "make and revoke tokens and set-up links",
        Permission::DirectoryRead => "see users and groups",
        Permission::RequestsRead => "see the request log",
        Permission::AuditRead => "see the audit log",
        Permission::SystemAdmin => "run the server: accounts, people, roles, API keys",
    }
}

/// The permissions that a form has ticked.
pub(super) fn ticked(fields: &Fields) -> Permissions {
    let is_ticked = |one: &Permission| fields.get(one.as_str()).is_some_and(|value| value == "on");
    Permission::ALL.into_iter().filter(is_ticked).collect()
}

/// The permissions that a form offers, each with what it opens and whether it is ticked.
pub(super) fn offered(most: Permissions, now: Permissions) -> Vec<(Permission, &'static str, bool)> {
    most.iter().map(|one| (one, about(one), now.allow(one))).collect()
}

#[derive(Template)]
#[template(path = "portal/roles.html")]
struct RolesPage {
    layout: Layout,
    tab: &'static str,
    found: Vec<Role>,
}

/// `GET /settings/roles`
pub(super) async fn list(person: Runner, visit: Visit) -> Shown {
    let found = visit.state.store.read_inline(rows::roles)?;
    let layout = Layout::new("Roles", Some(&person.signed), Place::Settings);
    Ok(page(200, &RolesPage { layout, tab: "roles", found }))
}

#[derive(Template)]
#[template(path = "portal/role.html")]
struct RolePage {
    layout: Layout,
    tab: &'static str,
    /// Id of the role; none where it is a new one.
    id: Option<String>,
    name: String,
    permissions: Vec<(Permission, &'static str, bool)>,
    problems: Vec<Problem>,
}

impl RolePage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn of(person: &Runner, role: &Role, problems: Vec<Problem>) -> Self {
        let id = Some(role.id.clone()).filter(|id| !id.is_empty());
        let title = if id.is_some() { format!("Role · {}", role.name) } else { "Add a role".to_owned() };
        let layout = Layout::new(title, Some(&person.signed), Place::Settings);
        let permissions = offered(person.signed.permissions, role.permissions);
        Self { layout, tab: "roles", id, name: role.name.clone(), permissions, problems }
    }
}

/// `GET /settings/roles/new`
pub(super) async fn show_new(person: Runner) -> Shown {
    let permissions = Permissions::from_iter([Permission::ProvisioningRead]);
    let role = Role { id: String::new(), name: String::new(), permissions, is_built_in: false };
    Ok(page(200, &RolePage::of(&person, &role, Vec::new())))
}

/// `GET /settings/roles/{id}`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let role = visit.state.store.read_inline(|at| roles::by_id(at, &visit.part("id")))?;
    within_own(&person, &role)?;
    Ok(page(200, &RolePage::of(&person, &role, Vec::new())))
}

/// `POST /settings/roles/new`
pub(super) async fn create(person: Runner, visit: Visit) -> Shown {
    keep(person, visit, None).await
}

/// `POST /settings/roles/{id}`
pub(super) async fn change(person: Runner, visit: Visit) -> Shown {
    let present = visit.state.store.read_inline(|at| roles::by_id(at, &visit.part("id")))?;
    within_own(&person, &present)?;
    keep(person, visit, Some(present.id)).await
}

async fn keep(person: Runner, visit: Visit, id: Option<String>) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let wanted = Role {
        id: id.clone().unwrap_or_else(clock::new_id),
        name: fields.get("name").cloned().unwrap_or_default(),
        permissions: ticked(&fields),
        is_built_in: false,
    };
    within_own(&person, &wanted)?;
    let (by, kept) = (person.by.clone(), wanted.clone());
    match state.store.write(Undo::Savepoint, move |tx| roles::keep(tx, &by, &kept)).await {
        Ok(()) => Ok(on_to("/settings/roles?done=saved").finish()),
        Err(Error::Refused(detail) | Error::Conflict(detail)) => {
            let field = if detail.starts_with("permissions") { "permissions" } else { "name" };
            let problems = vec![Problem { field, sentence: format!("Not saved: {detail}.") }];
            let shown = Role { id: id.unwrap_or_default(), ..wanted };
            Ok(page(422, &RolePage::of(&person, &shown, problems)))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/roles/{id}/remove`
pub(super) async fn remove(person: Runner, visit: Visit) -> Shown {
    let role = visit.state.store.read_inline(|at| roles::by_id(at, &visit.part("id")))?;
    within_own(&person, &role)?;
    let (_, state) = visit.form::<Fields>(&person.signed).await?;
    let (by, id) = (person.by.clone(), role.id.clone());
    match state.store.write(Undo::Savepoint, move |tx| roles::remove(tx, &by, &id)).await {
        Ok(()) => Ok(on_to("/settings/roles?done=role-removed").finish()),
        Err(Error::Conflict(detail)) => {
            let problems = vec![Problem { field: "name", sentence: format!("Not removed: {detail}.") }];
            Ok(page(422, &RolePage::of(&person, &role, problems)))
        }
        Err(error) => Err(error.into()),
    }
}
