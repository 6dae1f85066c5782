//! API keys: the credentials of the operator's programs.

use std::collections::BTreeMap;

use askama::Template;

use crate::auth::secret::BearerToken;
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::accounts::account_names::AccountNames;
use crate::management::api_keys::{self, ApiKey, NewApiKey, default_permissions};
use crate::management::{accounts, sessions};
use crate::messages::render_message;
use crate::model::account::{self, Account, AccountRef};
use crate::model::audit_context::AccountScope;
use crate::model::permission::{Permission, Permissions};
use crate::store::{Snapshot, Store};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::settings::roles::{
    PermissionTemplate, checked_permissions, describe_permissions, initial_permissions, offered_permissions,
    offered_templates,
};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::portal::timestamps;

/// Keys on a page.
const PER_PAGE: u32 = 100;

/// Values of the form by field name. A checked permission is sent under its key.
type ApiKeyForm = BTreeMap<String, String>;

#[derive(Template)]
#[template(path = "portal/api_keys.html")]
struct KeysPage {
    layout: PageLayout,
    tab: &'static str,
    found: Vec<ApiKey>,
    names: AccountNames,
    next: Option<String>,
    now: i64,
}

impl KeysPage {
    fn account(&self, account: &AccountRef) -> AccountLabel {
        AccountLabel::find(&self.names, account)
    }

    fn permissions(key: &ApiKey) -> String {
        describe_permissions(key.permissions)
    }

    fn made(key: &ApiKey) -> (String, String) {
        format_time(key.created_at)
    }

    fn last_used(key: &ApiKey) -> Option<(String, String)> {
        key.last_used_at.map(format_time)
    }

    fn expires(key: &ApiKey) -> Option<(String, String)> {
        key.expires_at.map(format_time)
    }
}

fn format_time(at: i64) -> (String, String) {
    (clock::format_rfc3339(at), timestamps::format_minute(at))
}

/// `GET /settings/keys`
pub(crate) async fn list_api_keys(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let after = page_request.query::<ApiKeyForm>().unwrap_or_default().remove("after");
    let read = move |at: &Snapshot<'_>| {
        let found = api_keys::list_api_keys(at, None, after.as_deref(), PER_PAGE + 1)?;
        let names = AccountNames::read(at, found.iter().filter_map(|key| key.account.as_ref()))?;
        Ok((found, names))
    };
    let (mut found, names) = page_request.read(read).await?;
    let has_more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let next = found.last().filter(|_| has_more).map(|last| format!("/settings/keys?after={}", last.id));
    let layout = PageLayout::new(texts::admins::API_KEYS, Some(&admin.signed), NavigationEntry::Settings);
    Ok(render_page(200, &KeysPage { layout, tab: "keys", found, names, next, now: clock::current_millis() }))
}

#[derive(Template)]
#[template(path = "portal/new_api_key.html")]
struct NewApiKeyPage {
    layout: PageLayout,
    tab: &'static str,
    fields: ApiKeyForm,
    permissions: Vec<(Permission, &'static str, bool)>,
    templates: Vec<PermissionTemplate>,
    accounts: Vec<Account>,
    problems: Vec<FormError>,
}

impl NewApiKeyPage {
    fn form_path() -> &'static str {
        "/settings/keys/new"
    }

    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

fn render_new_api_key(
    admin: &SystemAdmin,
    store: &Store,
    now: Permissions,
    fields: ApiKeyForm,
    problems: Vec<FormError>,
) -> PageResult {
    let accounts = store.read_inline(|at| accounts::list_accounts(at, &AccountScope::AllAccounts, None, 200))?;
    let layout = PageLayout::new(texts::admins::CREATE_API_KEY, Some(&admin.signed), NavigationEntry::Settings);
    let permissions = offered_permissions(admin.signed.permissions, now);
    let templates = offered_templates(admin.signed.permissions);
    let status = if problems.is_empty() { 200 } else { 422 };
    let page = NewApiKeyPage { layout, tab: "keys", fields, permissions, templates, accounts, problems };
    Ok(render_page(status, &page))
}

/// `GET /settings/keys/new`
pub(crate) async fn show_new_api_key(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let initial = initial_permissions(&page_request, admin.signed.permissions);
    render_new_api_key(&admin, &page_request.state.store, initial, ApiKeyForm::new(), Vec::new())
}

/// `POST /settings/keys/new`
pub(crate) async fn create_api_key(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<ApiKeyForm>(&admin.signed).await?;
    let asked = checked_permissions(&fields);
    let secret = BearerToken::generate_key().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let new = match read_new_key(&fields, asked, &secret) {
        Ok(new) => new,
        Err(problems) => return render_new_api_key(&admin, &page_request.state.store, asked, fields, problems),
    };
    let context = admin.context.clone();
    let (one_time, cookie) =
        one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &new.id, secret.reveal())?;
    let written = page_request.write(move |tx| {
        sessions::create_with_one_time_secret(tx, &one_time, |tx| api_keys::create_api_key(tx, &context, &new))
    });
    match written.await {
        Ok(made) => Ok(redirect_to(&format!("/settings/keys/{}", made.id)).cookie(cookie).finish()),
        Err(error) if error.is_about_input() => {
            let field = if error.field() == Some("permissions") { "permissions" } else { "name" };
            let problems = vec![FormError { field, sentence: render_sentence(&error) }];
            render_new_api_key(&admin, &page_request.state.store, asked, fields, problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn read_new_key(fields: &ApiKeyForm, asked: Permissions, secret: &BearerToken) -> Result<NewApiKey, Vec<FormError>> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let mut problems = Vec::new();
    let account = Some(text("account")).filter(|account| !account.is_empty());
    if let Some(Err(error)) = account.as_deref().map(account::check_id) {
        problems.push(FormError { field: "account", sentence: render_message(&error) });
    }
    let last_day = Some(text("expires")).filter(|day| !day.is_empty());
    let expires_at = last_day.as_deref().and_then(|day| TimeZoneChoice::utc().end_of_day(day));
    if last_day.is_some() && expires_at.is_none_or(|end| end <= clock::current_millis()) {
        let sentence = texts::admins::ENTER_FUTURE_DAY.to_owned();
        problems.push(FormError { field: "expires", sentence });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    // A key that is limited to an account cannot manage the server.
    let permissions = default_permissions(account.as_deref(), asked);
    Ok(NewApiKey { account, permissions, expires_at, ..NewApiKey::new(clock::new_id(), secret, text("name")) })
}

#[derive(Template)]
#[template(path = "portal/api_key.html")]
struct KeyPage {
    layout: PageLayout,
    tab: &'static str,
    key: ApiKey,
    account: Option<AccountLabel>,
    /// The secret, while it can be shown.
    secret: Option<String>,
}

impl KeyPage {
    fn permissions(&self) -> String {
        describe_permissions(self.key.permissions)
    }
}

/// `GET /settings/keys/{id}`: a key, with its secret for five minutes after it was created.
pub(crate) async fn show_api_key(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let (key, account) = page_request.read_inline(|at| {
        let key = api_keys::find_api_key(at, &admin.context.scope, &page_request.path_parameter("id"))?;
        let names = AccountNames::read(at, &key.account)?;
        let account = key.account.as_ref().map(|account| AccountLabel::find(&names, account));
        Ok((key, account))
    })?;
    let secret = one_time_secrets::reveal_secret(&page_request, &admin.signed, &key.id)?;
    let mut layout =
        PageLayout::new(texts::admins::title_api_key(&key.name), Some(&admin.signed), NavigationEntry::Settings);
    layout.visible_until = one_time_secrets::find_end(&page_request, &admin.signed)?;
    Ok(render_page(200, &KeyPage { layout, tab: "keys", key, account, secret }))
}

/// `POST /settings/keys/{id}/revoke`
pub(crate) async fn revoke_api_key(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    page_request.form::<ApiKeyForm>(&admin.signed).await?;
    let context = admin.context;
    page_request.write(move |tx| api_keys::revoke_api_key(tx, &context, &id)).await.map_err(PageError::from)?;
    Ok(redirect_to("/settings/keys?done=key-revoked").finish())
}
