//! Configurations, which the portal calls connections: the list, and the form for a new one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use askama::Template;
use serde::Deserialize;

use crate::auth::secret::BearerToken;
use crate::clock;
use crate::diagnosis::connection_status::{ConnectionStatus, format_ago, format_until};
use crate::error::{Error, ErrorKind, Reason};
use crate::management::configuration_lifecycle::{self, NewConfiguration};
use crate::management::overview::{self, ConfigurationOverview, OverviewQuery};
use crate::management::tokens::{self, TokenDraft};
use crate::management::{accounts, configurations, sessions};
use crate::messages::render_message;
use crate::model::account;
use crate::model::configuration::InitialSync;
use crate::model::names;
use crate::model::permission::Permission;
use crate::model::rights::TokenState;
use crate::providers::{self, IdentityProvider, PROVIDERS};
use crate::store::{Store, Tx};
use crate::web::portal::connections::setup_links::bulk_links;
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::list_pages::PER_PAGE;
use crate::web::portal::one_time_secrets;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::required_permission::{Create, Read};

/// Tokens of a connection that are read to find a valid one.
const TOKENS_READ_MAX: u32 = 10;

#[derive(Template)]
#[template(path = "portal/connections.html")]
struct ConnectionsPage {
    layout: PageLayout,
    query: ConnectionsQuery,
    found: Vec<ConfigurationOverview>,
    /// The number of connections in each state, without the filter for the state.
    states: Vec<(ConnectionStatus, usize)>,
    /// Connections that match all filters.
    total: usize,
    page: usize,
    pages: usize,
    now: i64,
    /// When the newest valid token of each connection of the page expires, by its id. Connections without one have no entry.
    tokens: HashMap<String, Option<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConnectionsQuery {
    text: String,
    state: String,
    provider: String,
    sort: String,
    page: usize,
}

/// The order of the list. The key is in the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ConnectionOrder {
    /// The worst first.
    #[default]
    State,
    Name,
    Account,
    Users,
    LastRequest,
}

impl ConnectionOrder {
    fn from_key(key: &str) -> Self {
        [Self::Name, Self::Account, Self::Users, Self::LastRequest]
            .into_iter()
            .find(|order| order.key() == key)
            .unwrap_or_default()
    }

    fn key(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "name",
            Self::Account => "account",
            Self::Users => "users",
            Self::LastRequest => "last",
        }
    }

    /// Sorts connections that are ordered by account and name.
    fn sort(self, found: &mut [ConfigurationOverview]) {
        match self {
            Self::State => {
                found.sort_by_key(|one| ConnectionStatus::ALL.iter().position(|status| *status == one.status));
            }
            Self::Name => found.sort_by_cached_key(|one| one.configuration.connection_name.to_lowercase()),
            Self::Account => {}
            Self::Users => found.sort_by_key(|one| std::cmp::Reverse(one.users)),
            Self::LastRequest => found.sort_by_key(|one| std::cmp::Reverse(one.configuration.last_seen)),
        }
    }
}

impl ConnectionsQuery {
    /// The query of a request. An unknown state or provider is that of all connections.
    fn from_request(page_request: &PageRequest) -> Self {
        let mut query: Self = page_request.query().unwrap_or_default();
        if ConnectionStatus::ALL.iter().all(|status| status.key() != query.state) {
            query.state.clear();
        }
        if PROVIDERS.iter().all(|provider| provider.key != query.provider) {
            query.provider.clear();
        }
        query
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.state.is_empty() && self.provider.is_empty()
    }

    /// URL of the same list in this state, `""` for all.
    fn state_url(&self, state: &str) -> String {
        self.url(state, ConnectionOrder::from_key(&self.sort), 1)
    }

    /// URL of the same list in this order.
    fn sort_url(&self, sort: &str) -> String {
        self.url(&self.state, ConnectionOrder::from_key(sort), 1)
    }

    /// URL of another page of the same list.
    fn page_url(&self, page: usize) -> String {
        self.url(&self.state, ConnectionOrder::from_key(&self.sort), page)
    }

    /// URL of the file with all connections of the list.
    fn export_url(&self) -> String {
        let page = self.url(&self.state, ConnectionOrder::from_key(&self.sort), 1);
        page.replacen("/connections", "/connections/export.csv", 1)
    }

    /// The parameters that are not the default.
    fn url(&self, state: &str, order: ConnectionOrder, page: usize) -> String {
        let encoded = crate::web::portal::forms::encode_query;
        let sort = if order == ConnectionOrder::default() { "" } else { order.key() };
        let page = if page > 1 { page.to_string() } else { String::new() };
        let all =
            [("text", &*self.text), ("state", state), ("provider", &*self.provider), ("sort", sort), ("page", &page)];
        let given = all.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if query.is_empty() { "/connections".to_owned() } else { format!("/connections?{}", query.join("&")) }
    }

    /// Whether the list is in this order.
    fn is_sorted_by(&self, sort: &str) -> bool {
        ConnectionOrder::from_key(&self.sort).key() == sort
    }
}

impl ConnectionsPage {
    /// The connections in all states.
    fn all(&self) -> usize {
        self.states.iter().map(|(_, count)| count).sum()
    }

    /// The orders of the list: value of `sort`, and label.
    fn orders() -> [(&'static str, &'static str); 5] {
        [
            ("state", texts::connections::STATE),
            ("name", texts::directory::NAME),
            ("account", texts::directory::ACCOUNT),
            ("users", texts::labels::USERS),
            ("last", texts::connections::LAST_REQUEST),
        ]
    }

    fn order_label(&self) -> &'static str {
        Self::orders().into_iter().find(|(key, _)| self.query.is_sorted_by(key)).map_or("", |(_, label)| label)
    }

    fn providers() -> &'static [IdentityProvider] {
        PROVIDERS
    }

    /// Why it is in its state; empty for a live connection.
    fn reason(&self, one: &ConfigurationOverview) -> String {
        if one.status == ConnectionStatus::Live { String::new() } else { one.describe_status(self.now) }
    }

    /// When its newest valid token expires.
    fn token(&self, one: &ConfigurationOverview) -> Cow<'static, str> {
        match self.tokens.get(&one.configuration.id) {
            Some(Some(end)) => Cow::Owned(texts::labels::describe_expiry(Some(&format_until(*end, self.now)))),
            Some(None) => Cow::Owned(texts::labels::describe_expiry(None)),
            None => Cow::Borrowed(texts::labels::NONE),
        }
    }

    fn last_call(&self, one: &ConfigurationOverview) -> Cow<'static, str> {
        one.configuration
            .last_seen
            .map_or(Cow::Borrowed(texts::labels::NEVER), |at| Cow::Owned(format_ago(self.now - at)))
    }
}

/// The connections that match the query, in its order, and the number in each state without the filter for the state.
async fn find_connections(
    admin: &PermittedAdmin<Read>,
    page_request: &PageRequest,
    query: &ConnectionsQuery,
) -> Result<(Vec<ConfigurationOverview>, Vec<(ConnectionStatus, usize)>), PageError> {
    let filter = OverviewQuery { text: query.text.clone(), status: String::new(), provider: query.provider.clone() };
    let (scope, now) = (admin.context.scope.clone(), clock::current_millis());
    let mut found = page_request.read(move |at| overview::list_overviews(at, &scope, &filter, now)).await?;
    let states = overview::count_states(&found);
    found.retain(|one| query.state.is_empty() || query.state == one.status.key());
    ConnectionOrder::from_key(&query.sort).sort(&mut found);
    Ok((found, states))
}

const CSV_COLUMNS: [&str; 11] = [
    "id",
    "name",
    "customer",
    "account",
    "provider",
    "state",
    "reason",
    "users",
    "groups",
    "last_request",
    "created_at",
];

/// `GET /connections/export.csv`: all connections that match the query.
pub(crate) async fn export_connections(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let query = ConnectionsQuery::from_request(&page_request);
    let (found, _) = find_connections(&admin, &page_request, &query).await?;
    Ok(csv::attach("connections.csv", build_csv(&found)))
}

fn build_csv(found: &[ConfigurationOverview]) -> String {
    let now = clock::current_millis();
    let mut text = csv::build_header(&CSV_COLUMNS);
    for one in found {
        let configuration = &one.configuration;
        text.push_str(&csv::build_row(&[
            configuration.id.clone(),
            configuration.connection_name.clone(),
            one.account_name.clone(),
            configuration.account.id.clone(),
            one.provider.name.to_owned(),
            one.status.key().to_owned(),
            one.describe_status(now),
            one.users.to_string(),
            one.groups.to_string(),
            configuration.last_seen.map(clock::format_rfc3339).unwrap_or_default(),
            clock::format_rfc3339(configuration.created_at),
        ]));
    }
    text
}

/// `GET /connections`
pub(crate) async fn list_connections(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let query = ConnectionsQuery::from_request(&page_request);
    let now = clock::current_millis();
    let (mut found, states) = find_connections(&admin, &page_request, &query).await?;
    let total = found.len();
    let pages = total.div_ceil(PER_PAGE).max(1);
    let at = query.page.clamp(1, pages);
    found = found.into_iter().skip((at - 1) * PER_PAGE).take(PER_PAGE).collect();
    let ids: Vec<String> = found.iter().map(|one| one.configuration.id.clone()).collect();
    let scope = admin.context.scope.clone();
    let tokens = page_request.read(move |at| {
        let mut ends = HashMap::new();
        for id in ids {
            let all = tokens::list_tokens(at, &scope, &id, None, TOKENS_READ_MAX)?;
            if let Some(live) = all.iter().find(|token| token.state(now) == TokenState::Live) {
                ends.insert(id, live.expires_at);
            }
        }
        Ok(ends)
    });
    let tokens = tokens.await?;
    let layout = PageLayout::new(texts::labels::CONNECTIONS, Some(&admin.signed), NavigationEntry::Connections);
    let page = ConnectionsPage { layout, query, found, states, total, page: at, pages, now, tokens };
    Ok(render_page(200, &page))
}

/// `POST /connections/bulk`: pauses, resumes or exports the selected connections, or begins their setup links. Fields that begin with `c-` name them.
pub(crate) async fn change_connections(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<BTreeMap<String, String>>(&admin.signed).await?;
    let ids: Vec<String> = fields.keys().filter_map(|name| name.strip_prefix("c-")).map(str::to_owned).collect();
    let back = fields.get("back").map_or("", String::as_str);
    let is_list = back.starts_with("/connections") && back.bytes().all(|byte| byte.is_ascii_graphic());
    let back = if is_list { back } else { "/connections" };
    let to = |done: &str| {
        let mark = if back.contains('?') { '&' } else { '?' };
        redirect_to(&format!("{back}{mark}done={done}")).finish()
    };
    if ids.is_empty() || ids.len() > PER_PAGE {
        return Ok(to("none-selected"));
    }
    if fields.contains_key("export") {
        let (mut found, _) = find_connections(&admin, &page_request, &ConnectionsQuery::default()).await?;
        found.retain(|one| ids.contains(&one.configuration.id));
        return Ok(csv::attach("connections.csv", build_csv(&found)));
    }
    if fields.contains_key("links") {
        return Ok(redirect_to(&bulk_links::form_path(&ids)).finish());
    }
    if !admin.signed.permissions.contains(Permission::ProvisioningCreate) {
        return Err(PageError::MissingPermission(Permission::ProvisioningCreate));
    }
    let sync = fields.contains_key("resume");
    if !sync && !fields.contains_key("pause") {
        return Ok(to("none-selected"));
    }
    // All or nothing: one of them can have been deleted while the page was open.
    let (all, scope) = (ids.clone(), admin.context.scope.clone());
    let are_here = page_request
        .read(move |at| Ok(all.iter().all(|id| configurations::find_configuration(at, &scope, id).is_ok())));
    if !are_here.await? {
        return Ok(to("connection-gone"));
    }
    // One transaction each: to resume a connection publishes what has changed since, which takes time.
    for id in ids {
        let context = admin.context.clone();
        let change = move |tx: &Tx<'_>| {
            // A staged connection goes live on its own page, after its preview.
            let is_staged = configurations::find_configuration(tx, &context.scope, &id)?.staged;
            if sync && is_staged { Ok(()) } else { configurations::set_sync(tx, &context, &id, sync) }
        };
        page_request.write(change).await?;
    }
    Ok(to(if sync { "resumed" } else { "paused" }))
}

#[derive(Template)]
#[template(path = "portal/new_connection.html")]
struct NewConnectionPage {
    layout: PageLayout,
    fields: NewConnectionForm,
    accounts: Vec<account::Account>,
    problems: Vec<FormError>,
}

impl NewConnectionPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn providers() -> &'static [IdentityProvider] {
        PROVIDERS
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewConnectionForm {
    provider: String,
    name: String,
    account: String,
    sync: String,
    staged: String,
}

impl NewConnectionForm {
    /// A staged connection is paused, whatever the other box says.
    fn initial_sync(&self) -> InitialSync {
        match (self.staged == "on", self.sync == "on") {
            (true, _) => InitialSync::Staged,
            (false, true) => InitialSync::On,
            (false, false) => InitialSync::Paused,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PrefillQuery {
    account: String,
}

fn render_new_connection(
    admin: &PermittedAdmin<Create>,
    store: &Store,
    status: u16,
    fields: NewConnectionForm,
    problems: Vec<FormError>,
) -> PageResult {
    // Suggestions only: the first connection of an account also creates the account.
    let accounts = store.read_inline(|at| accounts::list_accounts(at, &admin.context.scope, None, 200))?;
    let layout = PageLayout::new(texts::labels::ADD_CONNECTION, Some(&admin.signed), NavigationEntry::Connections);
    Ok(render_page(status, &NewConnectionPage { layout, fields, accounts, problems }))
}

/// `GET /connections/new`
pub(crate) async fn show_new_connection(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let prefill: PrefillQuery = page_request.query().unwrap_or_default();
    let account = admin.context.scope.account_id().map_or(prefill.account, str::to_owned);
    let fields = NewConnectionForm { account, sync: "on".to_owned(), ..NewConnectionForm::default() };
    render_new_connection(&admin, &page_request.state.store, 200, fields, Vec::new())
}

/// `POST /connections/new`
pub(crate) async fn create_connection(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<NewConnectionForm>(&admin.signed).await?;
    let account = admin.context.scope.account_id().map_or_else(|| fields.account.trim().to_owned(), str::to_owned);
    let problems = validate_form(&fields, &account);
    let Some(provider) = providers::find_provider(&fields.provider).filter(|_| problems.is_empty()) else {
        return render_new_connection(&admin, &page_request.state.store, 422, fields, problems);
    };
    let token = BearerToken::generate().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let name = fields.name.trim();
    let new = NewConfiguration {
        id: clock::new_id(),
        account,
        connection_name: (!name.is_empty()).then(|| name.to_owned()),
        source: provider.source,
        provider: provider.provider.map(str::to_owned),
        preset: None,
        sync: fields.initial_sync(),
        token: TokenDraft::new(clock::new_id(), &token, texts::credentials::FIRST_TOKEN),
    };
    let context = admin.context.clone();
    let (secret, cookie) =
        one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &new.id, token.reveal())?;
    let written = page_request.write(move |tx| {
        let name = match &new.connection_name {
            Some(name) => name.clone(),
            None => configuration_lifecycle::suggest_name(tx, &new.account, provider.name)?,
        };
        let new = NewConfiguration { connection_name: Some(name), ..new.clone() };
        sessions::create_with_one_time_secret(tx, &secret, |tx| {
            configuration_lifecycle::create_configuration(tx, &context, &new)
        })
    });
    match written.await {
        Ok(made) => Ok(redirect_to(&format!("/connections/{}/token", made.id)).cookie(cookie).finish()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let sentence = texts::connections::NAME_IN_USE.to_owned();
            render_new_connection(
                &admin,
                &page_request.state.store,
                422,
                fields,
                vec![FormError { field: "name", sentence }],
            )
        }
        Err(error) if error.reason() == Reason::QuotaExceeded => {
            let problems = vec![FormError { field: "account", sentence: render_sentence(&error) }];
            render_new_connection(&admin, &page_request.state.store, 422, fields, problems)
        }
        Err(error) => Err(PageError::from(error)),
    }
}

fn validate_form(fields: &NewConnectionForm, account: &str) -> Vec<FormError> {
    let mut problems = Vec::new();
    let mut note = |field, sentence: String| problems.push(FormError { field, sentence });
    if providers::find_provider(&fields.provider).is_none() {
        note("provider", texts::connections::CHOOSE_PROVIDER.to_owned());
    }
    if account.is_empty() {
        note("account", texts::connections::ENTER_ACCOUNT_ID.to_owned());
    } else if let Err(error) = account::check_id(account) {
        note("account", render_message(&error));
    }
    if !fields.name.trim().is_empty()
        && let Err(error) = names::check_name(texts::labels::THE_NAME, &fields.name)
    {
        note("name", render_message(&error));
    }
    problems
}
