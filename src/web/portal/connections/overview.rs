//! One connection: its state, its new credentials, the steps at its provider, pause and resume, and its deletion.

pub(crate) mod problems;

use std::borrow::{Borrow, Cow};

use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::diagnosis::connection_status::{ConnectionStatus, format_ago, format_until};
use crate::management::overview::ConfigurationOverview;
use crate::management::request_log::{self, RequestLogQuery};
use crate::management::{configuration_lifecycle, configurations, oauth, quotas, tokens};
use crate::model::audit_context::AccountScope;
use crate::model::configuration::provisioning_url;
use crate::model::oauth::OauthClientState;
use crate::model::permission::Permission;
use crate::model::quota::OwnerQuotas;
use crate::model::rights::TokenState;
use crate::providers::IdentityProvider;
use crate::providers::credentials::{CredentialAdvice, CredentialMethod};
use crate::store::Snapshot;
use crate::web::oauth::TOKEN_PATH;
use crate::web::portal::connections::deleted;
use crate::web::portal::connections::live_test::LiveTest;
use crate::web::portal::connections::log_view::{CallLine, LogReader, mark_days, read_call_lines};
use crate::web::portal::connections::overview::problems::{ProblemGroup, list_problems};
use crate::web::portal::connections::secret_alerts::SecretAlerts;
use crate::web::portal::connections::traffic_chart::TrafficChart;
use crate::web::portal::connections::undeclared_rows::UndeclaredSummary;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::setup::steps::{AbsentToken, StepValues, StepView, build_steps, find_url_problem};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::usage::{QuotaForm, UsageSection, read_changes};
use crate::web::portal::webhooks::alerts::WebhookAlerts;
use crate::web::required_permission::{Create, Delete, OperatorOnly, Read, System};
use crate::web::state::AppState;

/// Requests on the overview.
const NEWEST_REQUESTS: u32 = 10;
/// Tokens that are read to find those that are valid. At most two are.
const TOKENS_READ_MAX: u32 = 50;

/// A deletion warns if the last call is more recent than this, in milliseconds.
const RECENT_CALL_MS: i64 = 24 * 60 * 60 * 1000;

/// The connection of a page.
pub(crate) struct ConnectionView {
    pub(crate) overview: ConfigurationOverview,
    pub(crate) url: String,
    pub(crate) now: i64,
    /// Key of the current tab.
    pub(crate) tab: &'static str,
    /// Number of valid tokens and active OAuth clients.
    pub(crate) credentials: usize,
    /// Requests of the last day that were rejected.
    pub(crate) rejected: i64,
    /// The newest valid token: its last characters, and when it expires.
    pub(crate) newest_token: Option<(String, Option<i64>)>,
}

/// Titles of pages whose tab already has this text.
const TAB_TITLES: [&str; 8] = [
    texts::labels::USERS,
    texts::labels::GROUPS,
    texts::labels::REQUESTS,
    texts::labels::SETTINGS,
    texts::labels::CREDENTIALS,
    texts::connections::SETUP,
    texts::connections::SETUP_LINKS,
    "",
];

impl ConnectionView {
    /// Reads the connection in the path.
    ///
    /// # Errors
    /// `NotFound` if there is none within the scope of the admin.
    pub(crate) fn read(page_request: &PageRequest, scope: &AccountScope, tab: &'static str) -> Result<Self, PageError> {
        Self::find(&page_request.state, scope, &page_request.path_parameter("id"), tab)
    }

    pub(crate) fn find(state: &AppState, scope: &AccountScope, id: &str, tab: &'static str) -> Result<Self, PageError> {
        let now = clock::current_millis();
        let url = provisioning_url(&state.server.public_url(), id);
        Ok(state.store.read_inline(|at| {
            let found = configurations::find_configuration(at, scope, id)?;
            let tokens = tokens::list_tokens(at, scope, id, None, TOKENS_READ_MAX)?;
            let live = || tokens.iter().filter(|token| token.state(now) == TokenState::Live);
            let clients = oauth::list_clients(at, scope, id)?;
            let active = clients.iter().filter(|found| found.client.state == OauthClientState::Active).count();
            let hours = request_log::count_calls_by_hour(at, found.key, now, 24)?;
            Ok(Self {
                credentials: live().count() + active,
                rejected: hours.iter().map(|hour| hour.refused).sum(),
                newest_token: live().next().map(|token| (token.hint.clone(), token.expires_at)),
                overview: ConfigurationOverview::load(at, scope, found, now)?,
                url,
                now,
                tab,
            })
        })?)
    }

    /// The view of a deleted connection, which has no credentials and no requests.
    pub(super) fn of_deleted(overview: ConfigurationOverview, url: String, now: i64, tab: &'static str) -> Self {
        Self { overview, url, now, tab, credentials: 0, rejected: 0, newest_token: None }
    }

    pub(crate) fn id(&self) -> &str {
        &self.overview.configuration.id
    }

    /// Path of its pages.
    pub(crate) fn path(&self) -> String {
        format!("/connections/{}{}", if self.is_deleted() { "deleted/" } else { "" }, self.id())
    }

    /// Whether it was deleted, and only its users and groups are left.
    pub(crate) fn is_deleted(&self) -> bool {
        self.overview.configuration.deleted_at.is_some()
    }

    /// Whether it is a temporary connection with invented users.
    pub(crate) fn is_simulated(&self) -> bool {
        self.overview.configuration.is_simulated()
    }

    /// Whether a simulated provider can show what its first sync will look like.
    pub(crate) fn may_be_simulated(&self) -> bool {
        self.overview.configuration.last_seen.is_none() && !self.is_simulated() && !self.is_deleted()
    }

    pub(crate) fn name(&self) -> &str {
        &self.overview.configuration.connection_name
    }

    /// Label of the field of a form that deletes it.
    pub(crate) fn confirm_label(&self) -> String {
        texts::labels::label_confirmation(self.name())
    }

    /// Id of the account.
    pub(crate) fn account(&self) -> &str {
        &self.overview.configuration.account
    }

    /// The line below the name: provider, last request, and what it has.
    pub(crate) fn summary(&self) -> String {
        let provider = self.overview.provider.name;
        let last = self.overview.configuration.last_seen.map_or_else(
            || texts::connections::NO_REQUEST_YET.to_owned(),
            |seen| texts::connections::say_last_request(&format_ago(self.now - seen)),
        );
        texts::connections::summarize_connection(provider, &last, self.overview.users, self.overview.groups)
    }

    /// How many users and groups it has.
    pub(crate) fn counts(&self) -> String {
        texts::formats::count_users_and_groups(self.overview.users, self.overview.groups)
    }

    /// When the newest valid token expires.
    pub(crate) fn token_end(&self) -> String {
        match self.newest_token {
            Some((_, Some(end))) => texts::labels::describe_expiry(Some(&format_until(end, self.now))),
            _ => texts::labels::describe_expiry(None),
        }
    }

    /// The layout of one of its pages. The name of the connection is the `h1`, and the title is the heading below, unless a
    /// tab has the same text.
    pub(crate) fn layout(&self, signed: &SignedIn, title: &str) -> PageLayout {
        let full = if title.is_empty() { self.name().to_owned() } else { format!("{title} · {}", self.name()) };
        let heading = if TAB_TITLES.contains(&title) { "" } else { title };
        let layout = PageLayout::new(full, Some(signed), NavigationEntry::Connections);
        PageLayout { heading: heading.to_owned(), ..layout }
    }

    /// The layout of the page of one record. The title is the `h1`.
    pub(crate) fn record_layout(&self, signed: &SignedIn, title: String) -> PageLayout {
        let layout = PageLayout::new(format!("{title} · {}", self.name()), Some(signed), NavigationEntry::Connections);
        PageLayout { heading: title, ..layout }
    }

    pub(crate) fn sentence(&self) -> String {
        self.overview.describe_status(self.now)
    }

    /// Time since the last call of the identity provider.
    pub(crate) fn last_call(&self) -> Cow<'static, str> {
        self.when(self.overview.configuration.last_seen)
    }

    /// Time since the last change by the identity provider.
    pub(crate) fn last_change(&self) -> Cow<'static, str> {
        self.when(self.overview.configuration.last_sync)
    }

    /// Time since a timestamp, or `never`. Accepts a reference, as templates pass one.
    pub(crate) fn when(&self, at: impl Borrow<Option<i64>>) -> Cow<'static, str> {
        at.borrow().map_or(Cow::Borrowed(texts::labels::NEVER), |at| Cow::Owned(format_ago(self.now - at)))
    }

    /// The recommended method, if it is an OAuth client.
    pub(crate) fn advised_client(&self) -> Option<&'static CredentialAdvice> {
        self.overview.provider.credentials.first().filter(|advice| advice.method != CredentialMethod::Token)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.overview.status == ConnectionStatus::Paused
    }

    /// Whether it was created staged and has not gone live yet.
    pub(crate) fn is_staged(&self) -> bool {
        self.overview.configuration.staged
    }

    /// Whether the identity provider called within the last day.
    pub(crate) fn has_recent_calls(&self) -> bool {
        self.overview.configuration.last_seen.is_some_and(|seen| self.now - seen < RECENT_CALL_MS)
    }
}

#[derive(Template)]
#[template(path = "portal/connection.html")]
struct ConnectionOverviewPage {
    layout: PageLayout,
    connection: ConnectionView,
    created: PageTime,
    problems: Vec<ProblemGroup>,
    /// The newest requests, if the admin may see them.
    lines: Vec<CallLine>,
    live: LiveTest,
    traffic: TrafficChart,
    usage: UsageSection,
    undeclared: UndeclaredSummary,
    alerts: WebhookAlerts,
    secret_alerts: SecretAlerts,
}

/// `GET /connections/{id}`
pub(crate) async fn show_connection(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let page = build_overview(&admin, &page_request).await?;
    Ok(render_page(200, &page))
}

async fn build_overview<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
) -> Result<ConnectionOverviewPage, PageError> {
    let connection = ConnectionView::read(page_request, &admin.context.scope, "overview")?;
    let mut layout = connection.layout(&admin.signed, "");
    layout.refresh = Some(2);
    let found = list_quotas(page_request, &admin.context.scope, connection.id())?;
    let may_change = layout.may("system.admin") && layout.own_account().is_none();
    let address = may_change.then(|| format!("/connections/{}/quotas", connection.id()));
    let usage = UsageSection::new(found, address, connection.now);
    let created = PageTime::from_millis(connection.overview.configuration.created_at);
    let (problems, lines) = read_requests(admin, page_request, &connection).await?;
    let live = LiveTest::read(page_request, &connection.overview, &connection.url, connection.now).await?;
    let traffic = TrafficChart::read(&page_request.state.store, connection.overview.configuration.key, connection.now)?;
    let undeclared = UndeclaredSummary::read(page_request, &admin.context.scope, connection.id()).await?;
    let (signed, scope, now) = (&admin.signed, &admin.context.scope, connection.now);
    let alerts = page_request.read_inline(|at| WebhookAlerts::read(at, signed, scope, now))?;
    let alerts = alerts.of_configuration(connection.id());
    let secret_alerts =
        page_request.read_inline(|at| SecretAlerts::of_configuration(at, connection.id(), scope, now))?;
    let page = ConnectionOverviewPage {
        layout,
        connection,
        created,
        problems,
        lines,
        live,
        traffic,
        usage,
        undeclared,
        alerts,
        secret_alerts,
    };
    Ok(page)
}

/// The problems of the last day and the newest requests, for admins who may see them.
async fn read_requests<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    connection: &ConnectionView,
) -> Result<(Vec<ProblemGroup>, Vec<CallLine>), PageError> {
    if !admin.signed.permissions.contains(Permission::RequestsRead) {
        return Ok((Vec::new(), Vec::new()));
    }
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, now, zone) = (admin.context.scope.clone(), connection.now, admin.signed.zone());
    let (configuration, provider) = (connection.overview.configuration.clone(), connection.overview.provider);
    let read = move |at: &Snapshot<'_>| {
        let problems = list_problems(at, &scope, reader, (&configuration, provider), now)?;
        let newest = RequestLogQuery::default();
        let (mut lines, _) = read_call_lines(at, &scope, reader, &configuration, (&newest, NEWEST_REQUESTS))?;
        mark_days(lines.iter_mut(), &zone);
        Ok((problems, lines))
    };
    Ok(page_request.read(read).await?)
}

fn list_quotas(page_request: &PageRequest, scope: &AccountScope, id: &str) -> Result<OwnerQuotas, PageError> {
    Ok(page_request.state.store.read_inline(|at| quotas::list_configuration_quotas(at, scope, id))?)
}

/// `POST /connections/{id}/quotas`: sets limits of the connection.
pub(crate) async fn save_limits(admin: PermittedAdmin<OperatorOnly<System>>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let found = list_quotas(&page_request, &admin.context.scope, &id)?;
    let fields = page_request.form::<QuotaForm>(&admin.signed).await?;
    let Ok(changes) = read_changes(&found, &fields) else {
        let mut page = build_overview(&admin, &page_request).await?;
        page.layout.refresh = None;
        page.usage.show_form(&fields);
        return Ok(render_page(422, &page));
    };
    let (context, target_id) = (admin.context, id.clone());
    page_request.write(move |tx| quotas::set_configuration_limits(tx, &context, &target_id, &changes)).await?;
    Ok(redirect_to(&format!("/connections/{id}?done=saved")).finish())
}

#[derive(Deserialize)]
struct SyncForm {
    sync: String,
}

/// `POST /connections/{id}/sync`: pause and resume.
pub(crate) async fn set_sync(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let form = page_request.form::<SyncForm>(&admin.signed).await?;
    let (context, sync, target_id) = (admin.context, form.sync == "on", id.clone());
    page_request.write(move |tx| configurations::set_sync(tx, &context, &target_id, sync)).await?;
    let done = if sync { "resumed" } else { "paused" };
    Ok(redirect_to(&format!("/connections/{id}?done={done}")).finish())
}

#[derive(Template)]
#[template(path = "portal/new_credentials.html")]
struct NewCredentialsPage {
    layout: PageLayout,
    connection: ConnectionView,
    /// The token, while it can be shown.
    token: Option<String>,
}

/// `GET /connections/{id}/token`: the new credentials.
pub(crate) async fn show_new_credentials(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "setup")?;
    let token = one_time_secrets::reveal_secret(&page_request, &admin.signed, connection.id())?;
    let mut layout = connection.layout(&admin.signed, texts::connections::COPY_URL_AND_TOKEN);
    layout.visible_until = one_time_secrets::find_end(&page_request, &admin.signed)?;
    Ok(render_page(200, &NewCredentialsPage { layout, connection, token }))
}

#[derive(Template)]
#[template(path = "portal/delete_connection.html")]
struct DeleteConnectionPage {
    layout: PageLayout,
    connection: ConnectionView,
    problems: Vec<FormError>,
    purge: bool,
}

impl DeleteConnectionPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteConnectionForm {
    name: String,
    purge: String,
}

/// `GET /connections/{id}/delete`
pub(crate) async fn show_delete_connection(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "delete")?;
    let layout = connection.layout(&admin.signed, texts::labels::DELETE);
    Ok(render_page(200, &DeleteConnectionPage { layout, connection, problems: Vec::new(), purge: true }))
}

/// `POST /connections/{id}/delete`
pub(crate) async fn delete_connection(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let connection = match ConnectionView::read(&page_request, &admin.context.scope, "delete") {
        Err(PageError::NotFound) => return purge_deleted_connection(admin, page_request).await,
        found => found?,
    };
    let form = page_request.form::<DeleteConnectionForm>(&admin.signed).await?;
    let purge = form.purge == "on";
    if form.name.trim() != connection.name() {
        let sentence = texts::labels::say_name_differs(connection.name());
        let layout = connection.layout(&admin.signed, texts::labels::DELETE);
        let problems = vec![FormError { field: "name", sentence }];
        return Ok(render_page(422, &DeleteConnectionPage { layout, connection, problems, purge }));
    }
    let (context, id) = (admin.context, connection.id().to_owned());
    let written = page_request.write(move |tx| {
        if purge {
            configuration_lifecycle::delete_and_purge_configuration(tx, &context, &id)
        } else {
            configuration_lifecycle::delete_configuration(tx, &context, &id)
        }
    });
    let deleted = written.await?;
    Ok(redirect_to(&format!("/connections/receipt/{}", deleted.audit_entry)).finish())
}

/// The form of a connection that was deleted after its page was loaded: a purge removes what is left of it.
async fn purge_deleted_connection(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let one = deleted::read_deleted(&admin, &page_request).await?;
    let form = page_request.form::<DeleteConnectionForm>(&admin.signed).await?;
    if form.purge != "on" {
        return Err(PageError::NotFound);
    }
    deleted::purge_if_named(admin, &page_request.state.store, one, &form.name).await
}

#[derive(Template)]
#[template(path = "portal/steps.html")]
struct StepsPage {
    layout: PageLayout,
    connection: ConnectionView,
    steps: Vec<StepView>,
    absent: AbsentToken,
}

impl StepsPage {
    fn provider(&self) -> &'static IdentityProvider {
        self.connection.overview.provider
    }

    /// Why the provider cannot use the URL.
    fn url_problem(&self) -> Option<&'static str> {
        find_url_problem(&self.connection.url)
    }
}

/// `GET /connections/{id}/setup`: the steps at the provider, with the real values.
pub(crate) async fn show_provider_steps(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "setup")?;
    let token = one_time_secrets::reveal_secret(&page_request, &admin.signed, connection.id())?;
    let clients = page_request.read_inline(|at| oauth::list_clients(at, &admin.context.scope, connection.id()))?;
    let mut layout = connection.layout(&admin.signed, texts::connections::SETUP);
    layout.visible_until = one_time_secrets::find_end(&page_request, &admin.signed)?;
    let client = clients.first().filter(|_| token.is_none()).map(|found| &found.client);
    let method = client.map_or(CredentialMethod::Token, |client| CredentialMethod::Client(client.authentication));
    let token_url = format!("{}{TOKEN_PATH}", page_request.state.server.public_url());
    let values = StepValues {
        scim_url: &connection.url,
        token_url: &token_url,
        token: token.as_deref(),
        client_id: client.map(|client| client.client_id.as_str()),
        client_secret: None,
    };
    let provider = connection.overview.provider;
    let steps = build_steps(provider, &provider.advise_method(method), &values, None, &[]);
    let absent = AbsentToken::Link(format!("/connections/{}/tokens", connection.id()));
    Ok(render_page(200, &StepsPage { layout, connection, steps, absent }))
}
