//! Accounts: the operator's customers, with their connections.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::diagnosis::connection_status;
use crate::error::ErrorKind;
use crate::management::accounts;
use crate::management::overview::{self, ConfigurationOverview, OverviewQuery};
use crate::management::quotas;
use crate::messages::render_message;
use crate::model::account::{self, Account, AccountAccess};
use crate::model::names;
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps;
use crate::web::portal::usage::{QuotaForm, UsageSection, read_changes};
use crate::web::required_permission::{OperatorOnly, Read, System};

/// Accounts on a page.
const PER_PAGE: u32 = 50;

/// Most accounts that are searched or sorted.
const SEARCHED_MAX: u32 = 10_000;

/// Prefix of ids that would be ambiguous in a path.
const AMBIGUOUS_ID_PREFIX: &str = "~";

#[derive(Template)]
#[template(path = "portal/accounts.html")]
struct AccountsPage {
    layout: PageLayout,
    query: AccountsQuery,
    found: Vec<Account>,
    /// Addresses of the first and of the next page.
    first: Option<String>,
    next: Option<String>,
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct AccountsQuery {
    /// Part of the id or the name.
    text: String,
    /// `name` or `connections`; else by id.
    sort: String,
    /// Id after which a page in the order of ids starts.
    after: Option<String>,
    /// Number of a page of a search or in another order.
    page: usize,
}

impl AccountsQuery {
    /// Whether all accounts have to be read: the database has them in the order of ids only.
    fn needs_all(&self) -> bool {
        !self.text.trim().is_empty() || matches!(&*self.sort, "name" | "connections")
    }

    fn url(&self, path: &str, sort: &str, page: usize) -> String {
        let encode = crate::web::portal::forms::encode_query;
        let page = if page > 1 { format!("&page={page}") } else { String::new() };
        format!("{path}?text={}&sort={}{page}", encode(&self.text), encode(sort))
    }

    fn sort_url(&self, sort: &str) -> String {
        self.url("/accounts", sort, 1)
    }

    fn export_url(&self) -> String {
        self.url("/accounts/export.csv", &self.sort, 1)
    }

    /// Selects and sorts accounts that are ordered by id.
    fn select(&self, all: Vec<Account>) -> Vec<Account> {
        let text = self.text.trim().to_lowercase();
        let has = |value: &str| value.to_lowercase().contains(&text);
        let mut found: Vec<Account> = all.into_iter().filter(|one| has(&one.id) || has(&one.name)).collect();
        match &*self.sort {
            "name" => found.sort_by_cached_key(|one| one.name.to_lowercase()),
            "connections" => found.sort_by_key(|one| std::cmp::Reverse(one.configurations)),
            _ => {}
        }
        found
    }
}

/// `GET /accounts`
pub(crate) async fn list_accounts(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let (query, scope) = (page_request.query::<AccountsQuery>().unwrap_or_default(), admin.context.scope.clone());
    let filter = query.clone();
    let per_page = PER_PAGE as usize;
    let (mut found, number) = page_request
        .read(move |at| {
            if !filter.needs_all() {
                return Ok((accounts::list_accounts(at, &scope, filter.after.as_deref(), PER_PAGE + 1)?, 1));
            }
            let all = filter.select(accounts::list_accounts(at, &scope, None, SEARCHED_MAX)?);
            let number = filter.page.clamp(1, all.len().div_ceil(per_page).max(1));
            Ok((all.into_iter().skip((number - 1) * per_page).take(per_page + 1).collect(), number))
        })
        .await?;
    let has_more = found.len() > per_page;
    found.truncate(per_page);
    let last = found.last().filter(|_| has_more);
    let next = last.map(|last| {
        if query.needs_all() {
            return query.url("/accounts", &query.sort, number + 1);
        }
        format!("/accounts?after={}", crate::web::portal::forms::encode_query(&last.id))
    });
    let first = (query.after.is_some() || number > 1).then(|| query.url("/accounts", &query.sort, 1));
    let layout = PageLayout::new(texts::accounts::ACCOUNTS, Some(&admin.signed), NavigationEntry::Accounts);
    Ok(render_page(200, &AccountsPage { layout, query, found, first, next }))
}

/// `GET /accounts/export.csv`: all accounts that match the query.
pub(crate) async fn export_accounts(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let (query, scope) = (page_request.query::<AccountsQuery>().unwrap_or_default(), admin.context.scope);
    let found = page_request.read(move |at| Ok(query.select(accounts::list_accounts(at, &scope, None, SEARCHED_MAX)?)));
    let mut text = csv::build_header(&["customer", "account", "connections", "created_at"]);
    for one in found.await? {
        let created_at = clock::format_rfc3339(one.created_at);
        text.push_str(&csv::build_row(&[one.name, one.id, one.configurations.to_string(), created_at]));
    }
    Ok(csv::attach("customers.csv", text))
}

impl AccountsPage {
    fn address(id: &str) -> String {
        account_path(id)
    }
}

/// Path of the page of an account. An id is any text, so it is percent-encoded, including slashes. `new`, `export.csv`,
/// `.` and `..` have another meaning in a path even if encoded: they get the prefix [`AMBIGUOUS_ID_PREFIX`], and so do ids that begin with it.
fn account_path(id: &str) -> String {
    let mark = if matches!(id, "new" | "export.csv" | "." | "..") || id.starts_with(AMBIGUOUS_ID_PREFIX) {
        AMBIGUOUS_ID_PREFIX
    } else {
        ""
    };
    format!("/accounts/{mark}{}", crate::scim::percent::encode_percent(id))
}

/// The account id in the path.
fn account_id_in_path(page_request: &PageRequest) -> String {
    let part = page_request.path_parameter("id");
    part.strip_prefix(AMBIGUOUS_ID_PREFIX).map(str::to_owned).unwrap_or(part)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccountForm {
    id: String,
    name: String,
}

#[derive(Template)]
#[template(path = "portal/new_account.html")]
struct NewAccountPage {
    layout: PageLayout,
    fields: AccountForm,
    problems: Vec<FormError>,
}

impl NewAccountPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

fn render_new_account(
    admin: &PermittedAdmin<OperatorOnly<System>>,
    status: u16,
    fields: AccountForm,
    problems: Vec<FormError>,
) -> HttpResponse {
    let layout = PageLayout::new(texts::accounts::ADD_ACCOUNT, Some(&admin.signed), NavigationEntry::Accounts);
    render_page(status, &NewAccountPage { layout, fields, problems })
}

/// `GET /accounts/new`
pub(crate) async fn show_new_account(admin: PermittedAdmin<OperatorOnly<System>>) -> PageResult {
    Ok(render_new_account(&admin, 200, AccountForm::default(), Vec::new()))
}

/// `POST /accounts/new`
pub(crate) async fn create_account(
    admin: PermittedAdmin<OperatorOnly<System>>,
    page_request: PageRequest,
) -> PageResult {
    let fields = page_request.form::<AccountForm>(&admin.signed).await?;
    let (id, name) = (fields.id.trim().to_owned(), fields.name.trim().to_owned());
    let mut problems = Vec::new();
    if let Err(error) = account::check_id(&id) {
        problems.push(FormError { field: "id", sentence: render_message(&error) });
    }
    if !name.is_empty() && names::check_name(texts::labels::THE_NAME, &name).is_err() {
        problems.push(name_problem());
    }
    if !problems.is_empty() {
        return Ok(render_new_account(&admin, 422, fields, problems));
    }
    let (context, new_id) = (admin.context.clone(), id.clone());
    let name = (!name.is_empty()).then_some(name);
    let made = page_request.write(move |tx| accounts::create_account(tx, &context, &new_id, name.as_deref())).await;
    match made {
        Ok(_) => Ok(redirect_to(&format!("{}?done=account", account_path(&id))).finish()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let sentence = texts::accounts::ACCOUNT_ID_IN_USE.to_owned();
            Ok(render_new_account(&admin, 422, fields, vec![FormError { field: "id", sentence }]))
        }
        Err(error) => Err(error.into()),
    }
}

fn name_problem() -> FormError {
    let sentence = texts::accounts::say_name_length(names::MAX_CHARS);
    FormError { field: "name", sentence }
}

#[derive(Template)]
#[template(path = "portal/account.html")]
struct AccountPage {
    layout: PageLayout,
    account: Account,
    connections: Vec<ConfigurationOverview>,
    name: String,
    problems: Vec<FormError>,
    now: i64,
    usage: UsageSection,
}

impl AccountPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn address(&self) -> String {
        account_path(&self.account.id)
    }

    fn add_connection(&self) -> String {
        format!("/connections/new?account={}", crate::web::portal::forms::encode_query(&self.account.id))
    }

    fn created(&self) -> (String, String) {
        (clock::format_rfc3339(self.account.created_at), timestamps::format_minute(self.account.created_at))
    }

    fn last_call(&self, one: &ConfigurationOverview) -> String {
        one.configuration
            .last_seen
            .map_or_else(|| texts::labels::NEVER.to_owned(), |at| connection_status::format_ago(self.now - at))
    }

    /// Whether the admin may change and delete the account.
    fn is_changeable(&self) -> bool {
        self.layout.may("system.admin") && self.layout.own_account().is_none()
    }
}

/// Reads the account in the path with its connections.
///
/// # Errors
/// `NotFound` if there is none within the scope of the admin.
async fn read_account_page<N>(admin: &PermittedAdmin<N>, page_request: &PageRequest) -> Result<AccountPage, PageError> {
    let (id, scope, now) = (account_id_in_path(page_request), admin.context.scope.clone(), clock::current_millis());
    let (account, connections, found) = page_request
        .read(move |at| {
            let account = accounts::find_account(at, &scope, &id)?;
            let own = crate::model::audit_context::AccountScope::Account(account.reference());
            let found = quotas::list_account_quotas(at, &own, &account.id)?;
            Ok((account, overview::list_overviews(at, &own, &OverviewQuery::default(), now)?, found))
        })
        .await?;
    let layout = PageLayout::new(account.name.clone(), Some(&admin.signed), NavigationEntry::Accounts);
    let name = account.name.clone();
    let usage = UsageSection::new(found, None, now);
    let mut page = AccountPage { layout, account, connections, name, problems: Vec::new(), now, usage };
    page.usage.form_address = page.is_changeable().then(|| format!("{}/quotas", page.address()));
    Ok(page)
}

/// `GET /accounts/{id}`
pub(crate) async fn show_account(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    Ok(render_page(200, &read_account_page(&admin, &page_request).await?))
}

/// `POST /accounts/{id}`: renames the account.
pub(crate) async fn rename_account(
    admin: PermittedAdmin<OperatorOnly<System>>,
    page_request: PageRequest,
) -> PageResult {
    let mut account_page = read_account_page(&admin, &page_request).await?;
    let fields = page_request.form::<AccountForm>(&admin.signed).await?;
    if names::check_name(texts::labels::THE_NAME, &fields.name).is_err() {
        account_page.name = fields.name;
        account_page.problems.push(name_problem());
        return Ok(render_page(422, &account_page));
    }
    let (context, id) = (admin.context, account_page.account.id.clone());
    page_request.write(move |tx| accounts::rename_account(tx, &context, &id, &fields.name)).await?;
    Ok(redirect_to(&format!("{}?done=saved", account_page.address())).finish())
}

/// `POST /accounts/{id}/quotas`: sets limits of the account.
pub(crate) async fn save_limits(admin: PermittedAdmin<OperatorOnly<System>>, page_request: PageRequest) -> PageResult {
    let mut account_page = read_account_page(&admin, &page_request).await?;
    let (context, id) = (admin.context.clone(), account_page.account.id.clone());
    let found = page_request.read_inline(|at| quotas::list_account_quotas(at, &context.scope, &id))?;
    let fields = page_request.form::<QuotaForm>(&admin.signed).await?;
    let Ok(changes) = read_changes(&found, &fields) else {
        account_page.usage.show_form(&fields);
        return Ok(render_page(422, &account_page));
    };
    page_request.write(move |tx| quotas::set_account_limits(tx, &context, &id, &changes)).await?;
    Ok(redirect_to(&format!("{}?done=saved", account_page.address())).finish())
}

#[derive(Template)]
#[template(path = "portal/delete_account.html")]
struct DeleteAccountPage {
    layout: PageLayout,
    account: Account,
    access: AccountAccess,
    problems: Vec<FormError>,
    purge: bool,
}

impl DeleteAccountPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn address(&self) -> String {
        account_path(&self.account.id)
    }

    fn new(
        admin: &PermittedAdmin<OperatorOnly<System>>,
        (account, access): (Account, AccountAccess),
        problems: Vec<FormError>,
        purge: bool,
    ) -> Self {
        let layout = PageLayout::new(
            texts::accounts::title_deletion(&account.name),
            Some(&admin.signed),
            NavigationEntry::Accounts,
        );
        Self { layout, account, access, problems, purge }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteAccountForm {
    id: String,
    purge: String,
}

/// Reads the account in the path, and the access that its deletion ends.
async fn read_account_to_delete(
    admin: &PermittedAdmin<OperatorOnly<System>>,
    page_request: &PageRequest,
) -> Result<(Account, AccountAccess), PageError> {
    let (id, scope) = (account_id_in_path(page_request), admin.context.scope.clone());
    let read = page_request
        .read(move |at| Ok((accounts::find_account(at, &scope, &id)?, accounts::count_access(at, &scope, &id)?)));
    Ok(read.await?)
}

/// `GET /accounts/{id}/delete`
pub(crate) async fn show_delete_account(
    admin: PermittedAdmin<OperatorOnly<System>>,
    page_request: PageRequest,
) -> PageResult {
    let found = read_account_to_delete(&admin, &page_request).await?;
    Ok(render_page(200, &DeleteAccountPage::new(&admin, found, Vec::new(), false)))
}

/// `POST /accounts/{id}/delete`
pub(crate) async fn delete_account(
    admin: PermittedAdmin<OperatorOnly<System>>,
    page_request: PageRequest,
) -> PageResult {
    let (account, access) = read_account_to_delete(&admin, &page_request).await?;
    let fields = page_request.form::<DeleteAccountForm>(&admin.signed).await?;
    let purge = fields.purge == "on";
    if fields.id.trim() != account.id {
        let sentence = texts::accounts::say_id_differs(&account.id);
        let problems = vec![FormError { field: "id", sentence }];
        return Ok(render_page(422, &DeleteAccountPage::new(&admin, (account, access), problems, purge)));
    }
    let (context, id) = (admin.context.clone(), account.id.clone());
    let written = page_request.write(move |tx| {
        if purge {
            accounts::delete_and_purge_account(tx, &context, &id)
        } else {
            accounts::delete_account(tx, &context, &id)
        }
    });
    match written.await {
        Ok(_) => Ok(redirect_to("/accounts?done=account-deleted").finish()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let problems = vec![FormError { field: "purge", sentence: texts::accounts::say_not_deleted(&error) }];
            Ok(render_page(422, &DeleteAccountPage::new(&admin, (account, access), problems, purge)))
        }
        Err(error) => Err(error.into()),
    }
}
