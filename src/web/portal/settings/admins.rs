//! Admins of the portal: the list, roles, passwords, and who may sign in.

use askama::Template;
use serde::Deserialize;

use crate::clock::{self, Millis};
use crate::error::{Error, ErrorKind};
use crate::management::accounts::account_names::AccountNames;
use crate::management::admins::invites::{self, AdminInvite};
use crate::management::{accounts, admins, roles, sso};
use crate::model::account::{Account, AccountRef};
use crate::model::admin::{Admin, Role, check_name, check_password};
use crate::model::audit_context::AccountScope;
use crate::scim::password;
use crate::store::{Store, WorkOwner};
use crate::web::password_hashing::HashingLane;
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::{self, PageTime};
use crate::web::required_permission::{OperatorOnly, System};

/// A signed-in admin who may manage the server: `system.admin` without a limit to one account.
pub(crate) type SystemAdmin = session::PermittedAdmin<OperatorOnly<System>>;

/// Checks that a role has no permission that the admin lacks, so that no admin can raise their own permissions.
///
/// # Errors
/// 403 if the role has such a permission.
pub(crate) fn check_within_own_permissions(admin: &SystemAdmin, role: &Role) -> Result<(), PageError> {
    if role.permissions.intersection(admin.signed.permissions) == role.permissions {
        return Ok(());
    }
    let detail = texts::admins::say_has_more_permissions(&role.name);
    Err(PageError::Failed { status: 403, detail })
}

#[derive(Template)]
#[template(path = "portal/admins.html")]
struct AdminsPage {
    layout: PageLayout,
    tab: &'static str,
    found: Vec<Admin>,
    roles: Vec<Role>,
    /// Invitations that were neither accepted nor revoked.
    invites: Vec<AdminInvite>,
    names: AccountNames,
    now: Millis,
}

impl AdminsPage {
    fn account(&self, account: &AccountRef) -> AccountLabel {
        AccountLabel::find(&self.names, account)
    }

    fn role(&self, id: &str) -> &str {
        self.roles.iter().find(|role| role.id == id).map_or("none", |role| &role.name)
    }

    /// Whether the admin of the page has all permissions of the role of an invitation.
    fn may_revoke(&self, invite: &AdminInvite) -> bool {
        let role = self.roles.iter().find(|role| role.id == invite.role);
        let own = self.layout.signed.as_ref().map(|signed| signed.permissions);
        own.is_some_and(|own| role.is_none_or(|role| own.contains_all(role.permissions)))
    }

    fn inviter(&self, invite: &AdminInvite) -> &str {
        self.found.iter().find(|admin| admin.id == invite.invited_by).map_or("", |admin| &admin.name)
    }

    fn is_expired(&self, invite: &AdminInvite) -> bool {
        invite.expires_at <= self.now
    }

    fn expires(invite: &AdminInvite) -> PageTime {
        PageTime::from_millis(invite.expires_at)
    }

    fn last_sign_in(target: &Admin) -> Option<(String, String)> {
        target.last_sign_in_at.map(|at| (clock::format_rfc3339(at), timestamps::format_minute(at)))
    }
}

/// `GET /settings/people`
pub(crate) async fn list_admins(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let look = |at: &crate::store::Snapshot<'_>| {
        let (found, invites) = (admins::list_admins(at)?, invites::list_unanswered_invites(at)?);
        let accounts = found.iter().filter_map(|admin| admin.account.as_ref());
        let names = AccountNames::read(at, accounts.chain(invites.iter().filter_map(|one| one.account.as_ref())))?;
        Ok((found, roles::list_roles(at)?, invites, names))
    };
    let (found, roles, invites, names) = page_request.read(look).await?;
    let layout = PageLayout::new(texts::admins::ADMINS, Some(&admin.signed), NavigationEntry::Settings);
    let now = clock::current_millis();
    Ok(render_page(200, &AdminsPage { layout, tab: "people", found, roles, invites, names, now }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AdminForm {
    pub(super) email: String,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) account: String,
    pub(super) password: String,
}

impl AdminForm {
    /// The account that the role is limited to; `None` for all accounts.
    pub(super) fn account(&self) -> Option<String> {
        Some(self.account.trim()).filter(|account| !account.is_empty()).map(str::to_owned)
    }
}

/// The page of one admin, or the form of an invitation.
#[derive(Template)]
#[template(path = "portal/admin.html")]
pub(super) struct AdminPage {
    layout: PageLayout,
    tab: &'static str,
    /// The admin of the page; `None` on the page that invites one.
    admin: Option<Admin>,
    fields: AdminForm,
    roles: Vec<Role>,
    accounts: Vec<Account>,
    /// Linked identities at OpenID providers: issuer and subject.
    identities: Vec<(String, String)>,
    problems: Vec<FormError>,
}

impl AdminPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    pub(super) fn read(
        admin: &SystemAdmin,
        store: &Store,
        target: Option<Admin>,
        fields: AdminForm,
        problems: Vec<FormError>,
    ) -> Result<Self, PageError> {
        let (roles, accounts, identities) = store.read_inline(|at| {
            let identities = target.as_ref().map_or(Ok(Vec::new()), |target| sso::list_identities(at, &target.id))?;
            Ok((
                roles::list_roles(at)?,
                accounts::list_accounts(at, &AccountScope::AllAccounts, None, 200)?,
                identities,
            ))
        })?;
        let roles = roles.into_iter().filter(|role| check_within_own_permissions(admin, role).is_ok()).collect();
        let title = target.as_ref().map_or(texts::admins::INVITE_ADMIN, |target| &target.name);
        let layout = PageLayout::new(title, Some(&admin.signed), NavigationEntry::Settings);
        Ok(Self { layout, tab: "people", admin: target, fields, roles, accounts, identities, problems })
    }
}

/// Converts errors that the form can show at a field.
pub(super) fn form_error(error: Error) -> Result<FormError, PageError> {
    if !error.is_about_input() {
        return Err(error.into());
    }
    let fields = ["email", "name", "account", "role"];
    let field = fields.into_iter().find(|field| error.field() == Some(field)).unwrap_or("role");
    Ok(FormError { field, sentence: render_sentence(&error) })
}

fn validate_form(fields: &AdminForm) -> Vec<FormError> {
    let mut problems = Vec::new();
    if let Err(error) = check_name(&fields.name) {
        problems.push(FormError { field: "name", sentence: render_sentence(&error) });
    }
    if !fields.password.is_empty()
        && let Err(error) = check_password(&fields.password, &fields.email)
    {
        problems.push(FormError { field: "password", sentence: render_sentence(&error) });
    }
    problems
}

/// The admin in the path.
///
/// # Errors
/// `NotFound` if there is none, 403 if that admin has a permission that the caller lacks.
fn read_admin(admin: &SystemAdmin, page_request: &PageRequest) -> Result<Admin, PageError> {
    let id = page_request.path_parameter("id");
    let (found, role) = page_request.read_inline(|at| {
        let found = admins::find_admin_by_id(at, &id)?;
        let role = roles::find_role(at, &found.role)?;
        Ok((found, role))
    })?;
    check_within_own_permissions(admin, &role)?;
    Ok(found)
}

fn admin_form(target: &Admin) -> AdminForm {
    AdminForm {
        name: target.name.clone(),
        role: target.role.clone(),
        account: target.account.as_ref().map(|account| account.id.clone()).unwrap_or_default(),
        ..AdminForm::default()
    }
}

/// `GET /settings/people/{id}`
pub(crate) async fn show_admin(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let target = read_admin(&admin, &page_request)?;
    let fields = admin_form(&target);
    Ok(render_page(200, &AdminPage::read(&admin, &page_request.state.store, Some(target), fields, Vec::new())?))
}

/// `POST /settings/people/{id}`: name, role and account.
pub(crate) async fn update_admin(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let target = read_admin(&admin, &page_request)?;
    let fields = page_request.form::<AdminForm>(&admin.signed).await?;
    if let Ok(role) = page_request.read_inline(|at| roles::find_role(at, &fields.role)) {
        check_within_own_permissions(&admin, &role)?;
    }
    // The account of the admin stays the same one: a deleted account is not replaced by a later one with its id.
    let account = match (&target.account, fields.account()) {
        (Some(own), Some(id)) if own.id == id => Some(own.clone()),
        (_, id) => id.map(AccountRef::unresolved),
    };
    let changed = Admin { name: fields.name.clone(), role: fields.role.clone(), account, ..target.clone() };
    let problems =
        validate_form(&AdminForm { password: String::new(), name: fields.name.clone(), ..AdminForm::default() });
    let refused =
        if problems.is_empty() { save_admin(&admin, &page_request.state.store, changed).await? } else { problems };
    if refused.is_empty() {
        return Ok(redirect_to(&format!("/settings/people/{}?done=saved", target.id)).finish());
    }
    Ok(render_page(422, &AdminPage::read(&admin, &page_request.state.store, Some(target), fields, refused)?))
}

/// Writes the change. Returns the errors that the form can show.
async fn save_admin(admin: &SystemAdmin, store: &Store, changed: Admin) -> Result<Vec<FormError>, PageError> {
    let context = admin.context.clone();
    let owner = WorkOwner::from_scope(&context.scope);
    let saved = store.write_as(owner, move |tx| admins::update_admin(tx, &context, &changed)).await;
    match saved {
        Ok(()) => Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Ok(vec![FormError { field: "role", sentence: texts::labels::say_nothing_changed(&error) }])
        }
        Err(error) => Ok(vec![form_error(error)?]),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActiveForm {
    active: String,
}

/// `POST /settings/people/{id}/active`: whether the admin may sign in.
pub(crate) async fn set_admin_active(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let target = read_admin(&admin, &page_request)?;
    let form = page_request.form::<ActiveForm>(&admin.signed).await?;
    let is_active = form.active == "on";
    let changed = Admin { disabled_at: (!is_active).then(clock::current_millis), ..target.clone() };
    let refused = save_admin(&admin, &page_request.state.store, changed).await?;
    if !refused.is_empty() {
        let fields = admin_form(&target);
        return Ok(render_page(
            422,
            &AdminPage::read(&admin, &page_request.state.store, Some(target), fields, refused)?,
        ));
    }
    let done = if is_active { "enabled" } else { "disabled" };
    Ok(redirect_to(&format!("/settings/people/{}?done={done}", target.id)).finish())
}

/// `POST /settings/people/{id}/password`: sets a new password for an admin who lost it. This disables one-time codes
/// too.
pub(crate) async fn set_admin_password(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let target = read_admin(&admin, &page_request)?;
    let form = page_request.form::<AdminForm>(&admin.signed).await?;
    if let Err(error) = check_password(&form.password, &target.email) {
        let problems = vec![FormError { field: "password", sentence: render_sentence(&error) }];
        let fields = admin_form(&target);
        return Ok(render_page(
            422,
            &AdminPage::read(&admin, &page_request.state.store, Some(target), fields, problems)?,
        ));
    }
    let digest = page_request
        .state
        .limits
        .hashing
        .hash_queued(HashingLane::KnownDevice, password::parse_password(&form.password)?)
        .await?;
    let (context, id) = (admin.context, target.id.clone());
    page_request.write(move |tx| admins::reset_password(tx, &context, &id, &digest.0)).await?;
    Ok(redirect_to(&format!("/settings/people/{}?done=password", target.id)).finish())
}

#[derive(Deserialize)]
struct EmptyAdminForm {}

/// `POST /settings/people/{id}/unlink`: deletes the links to identities at OpenID providers.
pub(crate) async fn unlink_admin(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let target = read_admin(&admin, &page_request)?;
    page_request.form::<EmptyAdminForm>(&admin.signed).await?;
    let (context, id) = (admin.context, target.id.clone());
    page_request.write(move |tx| sso::unlink_identity(tx, &context, &id)).await?;
    Ok(redirect_to(&format!("/settings/people/{}?done=unlinked", target.id)).finish())
}
