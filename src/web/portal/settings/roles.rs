//! Roles: named sets of permissions.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::error::ErrorKind;
use crate::management::roles;
use crate::model::admin::Role;
use crate::model::permission::{Permission, Permissions};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::{SystemAdmin, check_within_own_permissions};
use crate::web::portal::texts;

/// Values of the form by field name. A checked permission is sent under its key.
type RoleForm = BTreeMap<String, String>;

/// The permissions in words, separated by semicolons; "All" for all of them.
pub(crate) fn describe_permissions(permissions: Permissions) -> String {
    if permissions == Permissions::ALL {
        return texts::labels::ALL.to_owned();
    }
    permissions.iter().map(texts::settings::describe_permission).collect::<Vec<_>>().join("; ")
}

/// Permissions to start a form with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PermissionTemplate {
    /// Value of the query parameter `template`.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    permissions: &'static [Permission],
}

impl PermissionTemplate {
    /// The permissions of the template that the creator has too.
    fn permissions(&self, most: Permissions) -> Permissions {
        self.permissions.iter().copied().collect::<Permissions>().intersection(most)
    }
}

/// The templates of the forms of roles and API keys.
const TEMPLATES: [PermissionTemplate; 3] = [
    PermissionTemplate {
        key: "event-reader",
        name: texts::settings::TEMPLATE_EVENT_READER,
        permissions: &[Permission::DirectoryRead],
    },
    PermissionTemplate {
        key: "provisioning",
        name: texts::settings::TEMPLATE_PROVISIONING,
        permissions: &[
            Permission::ProvisioningRead,
            Permission::ProvisioningCreate,
            Permission::ProvisioningDelete,
            Permission::ProvisioningTokens,
            Permission::DirectoryRead,
        ],
    },
    PermissionTemplate { key: "admin", name: texts::settings::TEMPLATE_ADMIN, permissions: &Permission::ALL },
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct TemplateQuery {
    template: String,
}

/// What a new role or key may do before the form is filled in: the template in the query, or only reading connections.
pub(crate) fn initial_permissions(page_request: &PageRequest, most: Permissions) -> Permissions {
    let TemplateQuery { template } = page_request.query().unwrap_or_default();
    let found = TEMPLATES.iter().find(|one| one.key == template);
    found.map_or_else(
        || Permissions::from_iter([Permission::ProvisioningRead]).intersection(most),
        |found| found.permissions(most),
    )
}

/// The templates that grant something to a creator with these permissions.
pub(crate) fn offered_templates(most: Permissions) -> Vec<PermissionTemplate> {
    TEMPLATES.into_iter().filter(|one| one.permissions(most) != Permissions::NONE).collect()
}

/// The permissions that are checked in a form.
pub(crate) fn checked_permissions(fields: &RoleForm) -> Permissions {
    let is_ticked = |one: &Permission| fields.get(one.as_str()).is_some_and(|value| value == "on");
    Permission::ALL.into_iter().filter(is_ticked).collect()
}

/// The permissions that a form offers, each with its description and whether it is checked.
pub(crate) fn offered_permissions(most: Permissions, now: Permissions) -> Vec<(Permission, &'static str, bool)> {
    most.iter().map(|one| (one, texts::settings::describe_permission(one), now.contains(one))).collect()
}

#[derive(Template)]
#[template(path = "portal/roles.html")]
struct RolesPage {
    layout: PageLayout,
    tab: &'static str,
    found: Vec<Role>,
}

impl RolesPage {
    /// All permissions, each with its description.
    fn permissions() -> [(Permission, &'static str); Permission::ALL.len()] {
        Permission::ALL.map(|permission| (permission, texts::settings::describe_permission(permission)))
    }
}

/// `GET /settings/roles`
pub(crate) async fn list_roles(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let found = page_request.read_inline(roles::list_roles)?;
    let layout = PageLayout::new(texts::settings::ROLES, Some(&admin.signed), NavigationEntry::Settings);
    Ok(render_page(200, &RolesPage { layout, tab: "roles", found }))
}

#[derive(Template)]
#[template(path = "portal/role.html")]
struct RolePage {
    layout: PageLayout,
    tab: &'static str,
    /// Id of the role; `None` for a new one.
    id: Option<String>,
    name: String,
    permissions: Vec<(Permission, &'static str, bool)>,
    /// Offered for a new role.
    templates: Vec<PermissionTemplate>,
    problems: Vec<FormError>,
}

impl RolePage {
    fn form_path() -> &'static str {
        "/settings/roles/new"
    }

    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn new(admin: &SystemAdmin, role: &Role, problems: Vec<FormError>) -> Self {
        let id = Some(role.id.clone()).filter(|id| !id.is_empty());
        let title =
            if id.is_some() { texts::settings::title_role(&role.name) } else { texts::settings::ADD_ROLE.to_owned() };
        let layout = PageLayout::new(title, Some(&admin.signed), NavigationEntry::Settings);
        let permissions = offered_permissions(admin.signed.permissions, role.permissions);
        let templates = if id.is_none() { offered_templates(admin.signed.permissions) } else { Vec::new() };
        Self { layout, tab: "roles", id, name: role.name.clone(), permissions, templates, problems }
    }
}

/// `GET /settings/roles/new`
pub(crate) async fn show_new_role(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let permissions = initial_permissions(&page_request, admin.signed.permissions);
    let role = Role { id: String::new(), name: String::new(), permissions, is_built_in: false };
    Ok(render_page(200, &RolePage::new(&admin, &role, Vec::new())))
}

/// `GET /settings/roles/{id}`
pub(crate) async fn show_role(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let role = page_request.read_inline(|at| roles::find_role(at, &page_request.path_parameter("id")))?;
    check_within_own_permissions(&admin, &role)?;
    Ok(render_page(200, &RolePage::new(&admin, &role, Vec::new())))
}

/// `POST /settings/roles/new`
pub(crate) async fn create_role(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    save_role(admin, page_request, None).await
}

/// `POST /settings/roles/{id}`
pub(crate) async fn update_role(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let present = page_request.read_inline(|at| roles::find_role(at, &page_request.path_parameter("id")))?;
    check_within_own_permissions(&admin, &present)?;
    save_role(admin, page_request, Some(present.id)).await
}

async fn save_role(admin: SystemAdmin, page_request: PageRequest, id: Option<String>) -> PageResult {
    let fields = page_request.form::<RoleForm>(&admin.signed).await?;
    let new_role = Role {
        id: id.clone().unwrap_or_else(clock::new_id),
        name: fields.get("name").cloned().unwrap_or_default(),
        permissions: checked_permissions(&fields),
        is_built_in: false,
    };
    check_within_own_permissions(&admin, &new_role)?;
    let (context, role) = (admin.context.clone(), new_role.clone());
    match page_request.write(move |tx| roles::save_role(tx, &context, &role)).await {
        Ok(()) => Ok(redirect_to("/settings/roles?done=saved").finish()),
        Err(error) if error.is_about_input() => {
            let field = if error.field() == Some("permissions") { "permissions" } else { "name" };
            let problems = vec![FormError { field, sentence: texts::labels::say_not_saved(&error) }];
            let form_role = Role { id: id.unwrap_or_default(), ..new_role };
            Ok(render_page(422, &RolePage::new(&admin, &form_role, problems)))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/roles/{id}/remove`
pub(crate) async fn remove_role(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let role = page_request.read_inline(|at| roles::find_role(at, &page_request.path_parameter("id")))?;
    check_within_own_permissions(&admin, &role)?;
    page_request.form::<RoleForm>(&admin.signed).await?;
    let (context, id) = (admin.context.clone(), role.id.clone());
    match page_request.write(move |tx| roles::remove_role(tx, &context, &id)).await {
        Ok(()) => Ok(redirect_to("/settings/roles?done=role-removed").finish()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let problems = vec![FormError { field: "name", sentence: texts::labels::say_not_removed(&error) }];
            Ok(render_page(422, &RolePage::new(&admin, &role, problems)))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_grants_no_more_than_its_user_has() {
        let [reader, provisioning, admin] = TEMPLATES;
        assert_eq!(reader.permissions(Permissions::ALL).key_list(), "directory.read");
        assert!(!provisioning.permissions(Permissions::ALL).contains(Permission::SystemAdmin));
        assert!(provisioning.permissions(Permissions::ALL).contains_all(Permissions::MINT_TOKENS));
        assert_eq!(admin.permissions(Permissions::ALL), Permissions::ALL);
        let most = Permissions::from_iter([Permission::ProvisioningRead, Permission::AuditRead]);
        assert_eq!(provisioning.permissions(most).key_list(), "provisioning.read");
        assert_eq!(offered_templates(most).iter().map(|one| one.key).collect::<Vec<_>>(), ["provisioning", "admin"]);
    }
}
