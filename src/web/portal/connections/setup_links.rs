//! Setup links of one connection, for the customer's IT admin: create, show once, revoke.

pub(crate) mod bulk_links;

use std::borrow::Cow;

use askama::Template;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use crate::auth::secret::{self, BearerToken, CLIENT_ID_PREFIX};
use crate::clock;
use crate::diagnosis::connection_status::{format_ago, format_until};
use crate::error::{Error, Reason};
use crate::management::setup_links::{self, NOTE_MAX_CHARS, NewSetupLink, SetupLink};
use crate::management::tokens::{self, StoredToken};
use crate::management::{oauth, sessions, setup_link_holder};
use crate::model::audit_context::AccountScope;
use crate::model::names::has_hidden_characters;
use crate::model::oauth::OauthClientState;
use crate::model::rights::TokenState;
use crate::model::setup_link::LinkPurpose;
use crate::providers::{self, IdentityProvider, PROVIDERS};
use crate::scim::percent;
use crate::store::Snapshot;
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::connections::live_test::LiveTest;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::setup::brand::BrandView;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::setup::LinkTask;
use crate::web::required_permission::{MintTokens, RequiredPermission, Tokens};

/// Newest tokens that are read to find those that are valid. At most two are.
const TOKENS_READ_MAX: u32 = 50;
/// Most links on the page.
const LINKS_MAX: u32 = 100;

/// Lifetimes to choose from: the value of the form in seconds, and its label.
const LIFETIMES: [(&str, &str); 4] = [
    ("3600", texts::labels::ONE_HOUR),
    ("86400", texts::labels::ONE_DAY),
    ("604800", texts::labels::DAYS_7),
    ("2592000", texts::labels::DAYS_30),
];
/// The lifetime that a form begins with.
const LIFETIME_DEFAULT: &str = "604800";

#[derive(Template)]
#[template(path = "portal/setup_links.html")]
struct SetupLinksPage {
    layout: PageLayout,
    connection: ConnectionView,
    links: Vec<SetupLink>,
    /// Ids and names of the OAuth clients whose secret a link can replace.
    clients: Vec<(String, String)>,
    /// The last step of the setup that this server has seen.
    reached: String,
    /// Ids of tokens and client secrets that are in use.
    used: Vec<String>,
    form: SetupLinkForm,
    problems: Vec<FormError>,
    /// Whether a new link was asked for.
    is_asked: bool,
}

impl SetupLinksPage {
    /// The form is folded if there are links, so that their list is visible.
    fn has_open_form(&self) -> bool {
        self.is_asked || self.links.is_empty() || !self.problems.is_empty()
    }

    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn lifetimes() -> [(&'static str, &'static str); 4] {
        LIFETIMES
    }

    fn providers() -> &'static [IdentityProvider] {
        PROVIDERS
    }

    fn tokens_max() -> u32 {
        setup_link_holder::TOKENS_MAX
    }

    fn purposes() -> [LinkPurpose; 2] {
        LinkPurpose::ALL
    }

    /// What a link is for, if it is not the setup.
    fn other_purpose(&self, link: &SetupLink) -> Option<Cow<'static, str>> {
        match (link.purpose, &link.client_made) {
            (LinkPurpose::Setup, _) => None,
            (LinkPurpose::ReplaceToken, None) => Some(Cow::Borrowed(link.purpose.label())),
            (LinkPurpose::ReplaceToken, Some(id)) => {
                let client = self.clients.iter().find(|(of, _)| of == id);
                let label = client.map(|(_, label)| texts::setup::describe_secret_purpose(Some(label)));
                Some(label.map_or(Cow::Owned(texts::setup::describe_secret_purpose(None)), Cow::Owned))
            }
        }
    }

    /// What the holder of a link has reached, as far as this server has seen it.
    fn reached(&self, link: &SetupLink) -> &str {
        if link.purpose == LinkPurpose::Setup {
            return &self.reached;
        }
        let has_secret = link.replaced_client().is_some();
        let created = link.token_made.as_deref();
        match created.map(|id| self.used.iter().any(|used| used == id)) {
            None => texts::setup::NOT_STARTED,
            Some(false) if has_secret => texts::setup::NEW_SECRET_CREATED,
            Some(false) => texts::setup::NEW_TOKEN_CREATED,
            Some(true) if has_secret => texts::setup::NEW_SECRET_USED,
            Some(true) => texts::setup::NEW_TOKEN_USED,
        }
    }

    fn is_live(&self, link: &SetupLink) -> bool {
        link.is_live(self.connection.now)
    }

    fn state(&self, link: &SetupLink) -> &'static str {
        match link.ended_at {
            Some(_) => texts::labels::ENDED,
            None if self.is_live(link) => texts::labels::LIVE,
            None => texts::labels::EXPIRED,
        }
    }

    fn made(&self, link: &SetupLink) -> String {
        format_ago(self.connection.now - link.created_at)
    }

    fn end(&self, link: &SetupLink) -> String {
        format_until(link.ended_at.unwrap_or(link.expires_at), self.connection.now)
    }

    /// Name of the provider that a link is limited to, or `any`.
    fn provider_of(link: &SetupLink) -> &str {
        let Some(key) = link.provider.as_deref() else { return texts::labels::ANY };
        providers::find_provider(key).map_or(key, |provider| provider.name)
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct SetupLinkForm {
    life: String,
    note: String,
    provider: String,
    /// Key of a purpose, or the id of an OAuth client whose secret the link replaces.
    purpose: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LinksQuery {
    /// Not empty if the page begins with the form of a new link.
    new: String,
}

impl Default for SetupLinkForm {
    fn default() -> Self {
        Self { life: LIFETIME_DEFAULT.to_owned(), note: String::new(), provider: String::new(), purpose: String::new() }
    }
}

impl SetupLinkForm {
    fn problems(&self) -> Vec<FormError> {
        let mut problems: Vec<FormError> =
            [find_lifetime_problem(&self.life), find_note_problem(&self.note)].into_iter().flatten().collect();
        let mut note = |field, sentence: String| problems.push(FormError { field, sentence });
        if !self.provider.is_empty() && providers::find_provider(&self.provider).is_none() {
            note("provider", texts::setup::CHOOSE_PROVIDER_OR_NONE.to_owned());
        }
        if self.read_purpose().is_none() && !self.names_client() {
            note("purpose", texts::setup::CHOOSE_PURPOSE.to_owned());
        }
        problems
    }

    /// Whether the purpose is the id of an OAuth client.
    fn names_client(&self) -> bool {
        self.purpose.starts_with(CLIENT_ID_PREFIX)
    }

    /// What the link is for; `None` if the form has no such value.
    fn read_purpose(&self) -> Option<LinkPurpose> {
        if self.purpose.is_empty() { Some(LinkPurpose::Setup) } else { self.purpose.parse().ok() }
    }
}

/// Why a lifetime is none of those to choose from.
fn find_lifetime_problem(life: &str) -> Option<FormError> {
    let is_known = LIFETIMES.iter().any(|(seconds, _)| *seconds == life);
    (!is_known).then(|| FormError { field: "life", sentence: texts::credentials::CHOOSE_EXPIRY.to_owned() })
}

/// Why a label cannot be used.
fn find_note_problem(note: &str) -> Option<FormError> {
    let note = note.trim();
    let sentence = if note.chars().count() > NOTE_MAX_CHARS {
        texts::setup::say_label_too_long(NOTE_MAX_CHARS)
    } else if has_hidden_characters(note) {
        texts::setup::LABEL_HAS_HIDDEN_CHARACTERS.to_owned()
    } else {
        return None;
    };
    Some(FormError { field: "note", sentence })
}

async fn list_page<N: RequiredPermission>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    form: SetupLinkForm,
    problems: Vec<FormError>,
) -> PageResult {
    let connection = ConnectionView::read(page_request, &admin.context.scope, "links")?;
    let (scope, id) = (admin.context.scope.clone(), connection.id().to_owned());
    let read = move |at: &Snapshot<'_>| {
        let tokens = tokens::list_tokens(at, &scope, &id, None, TOKENS_READ_MAX)?.into_iter();
        let clients = setup_links::list_clients_with_secrets(at, &scope, &id)?;
        let secrets = clients.iter().flat_map(|found| &found.secrets).filter(|secret| secret.last_used_at.is_some());
        let used = tokens.filter(|token| token.first_used_at.is_some()).map(|token| token.id);
        let used: Vec<String> = used.chain(secrets.map(|secret| secret.id.clone())).collect();
        let clients = clients.into_iter().map(|found| (found.client.client_id, found.client.label)).collect();
        Ok((setup_links::list_links(at, &scope, &id, None, LINKS_MAX)?, clients, used))
    };
    let (links, clients, used) = page_request.read(read).await?;
    let live = LiveTest::read(page_request, &connection.overview, &connection.url, connection.now).await?;
    let reached = live.reached_step().map_or_else(
        || texts::setup::NOT_STARTED.to_owned(),
        |(number, total, title)| texts::setup::describe_progress(number, total, title),
    );
    let layout = connection.layout(&admin.signed, texts::connections::SETUP_LINKS);
    let status = if problems.is_empty() { 200 } else { 422 };
    let is_asked = page_request.query::<LinksQuery>().is_ok_and(|query| !query.new.is_empty());
    let page = SetupLinksPage { layout, connection, links, clients, reached, used, form, problems, is_asked };
    Ok(render_page(status, &page))
}

/// `GET /connections/{id}/links`
pub(crate) async fn list_links(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    list_page(&admin, &page_request, SetupLinkForm::default(), Vec::new()).await
}

/// `POST /connections/{id}/links`
pub(crate) async fn create_link(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let form = page_request.form::<SetupLinkForm>(&admin.signed).await?;
    let mut problems = form.problems();
    if form.read_purpose() == Some(LinkPurpose::ReplaceToken) {
        problems.extend(find_rotation_problem(&page_request, &admin.context.scope, &id)?);
    }
    let client = form.names_client().then(|| form.purpose.clone());
    if let Some(client) = &client {
        problems.extend(find_client_problem(&page_request, &admin.context.scope, (&id, client))?);
    }
    if !problems.is_empty() {
        return list_page(&admin, &page_request, form, problems).await;
    }
    let secret = BearerToken::generate_link().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let purpose = if client.is_some() { Some(LinkPurpose::ReplaceToken) } else { form.read_purpose() };
    let new = NewSetupLink {
        id: clock::new_id(),
        digest: secret.digest(),
        lifetime_seconds: form.life.parse().unwrap_or(setup_links::LIFETIME_DEFAULT_SECONDS),
        note: form.note,
        purpose: purpose.unwrap_or_default(),
        client,
        provider: (!form.provider.is_empty()).then_some(form.provider),
    };
    let url = format!("{}/s/{}", page_request.state.server.public_url(), secret.reveal());
    let (one_time, cookie) =
        one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &link_secret_context(&id), &url)?;
    let (audit_context, target_id) = (admin.context, id.clone());
    let written = page_request.write(move |tx| {
        sessions::create_with_one_time_secret(tx, &one_time, |tx| {
            setup_links::create_link(tx, &audit_context, &target_id, &new)
        })
    });
    written.await?;
    Ok(redirect_to(&format!("/connections/{id}/links/made")).cookie(cookie).finish())
}

/// Why a link cannot replace a token of a connection.
fn find_rotation_problem(
    page_request: &PageRequest,
    scope: &AccountScope,
    id: &str,
) -> Result<Option<FormError>, PageError> {
    let now = clock::current_millis();
    let (all, clients) = page_request.read_inline(|at| {
        Ok((tokens::list_tokens(at, scope, id, None, TOKENS_READ_MAX)?, oauth::list_clients(at, scope, id)?))
    })?;
    let has_client = clients.iter().any(|found| found.client.state == OauthClientState::Active);
    let live = |token: &&StoredToken| token.state(now) == TokenState::Live;
    let sentence = match (all.iter().filter(live).any(|token| token.first_used_at.is_some()), has_client) {
        (true, _) => return Ok(None),
        (false, true) => texts::setup::CLIENT_IN_USE,
        (false, false) if all.iter().any(|token| live(&token)) => return Ok(None),
        (false, false) => texts::setup::NO_TOKEN_TO_REPLACE,
    };
    Ok(Some(FormError { field: "purpose", sentence: sentence.to_owned() }))
}

/// Why a link cannot replace the secret of a client.
fn find_client_problem(
    page_request: &PageRequest,
    scope: &AccountScope,
    (id, client): (&str, &str),
) -> Result<Option<FormError>, PageError> {
    let clients = page_request.read_inline(|at| setup_links::list_clients_with_secrets(at, scope, id))?;
    if clients.iter().any(|found| found.client.client_id == client) {
        return Ok(None);
    }
    let sentence = texts::setup::CLIENT_NOT_USABLE.to_owned();
    Ok(Some(FormError { field: "purpose", sentence }))
}

/// Context of the secret of a link, different from that of a token.
fn link_secret_context(id: &str) -> String {
    format!("link of {id}")
}

#[derive(Template)]
#[template(path = "portal/new_setup_link.html")]
struct NewSetupLinkPage {
    layout: PageLayout,
    connection: ConnectionView,
    /// The URL, while it can be shown.
    address: Option<String>,
    mail: LinkMail,
}

impl NewSetupLinkPage {
    fn mail_url(&self, address: &str) -> String {
        build_mail_url(&self.mail, address)
    }
}

/// What the e-mail with a link is about.
struct LinkMail {
    task: LinkTask,
    /// Name of the product, if the branding has one.
    product: Option<String>,
    /// Name of the customer, if it has one besides its id.
    account_name: Option<String>,
}

impl LinkMail {
    /// That of a link for the setup of a connection of this account.
    fn of_setup(brand: &BrandView, account: &AccountLabel) -> Self {
        let account_name = account.id.as_ref().map(|_| account.name.clone());
        Self { task: LinkTask::Setup, product: brand.product().map(str::to_owned), account_name }
    }
}

/// What the holder of the link with this URL does.
fn find_task(page_request: &PageRequest, address: &str) -> LinkTask {
    let digest = secret::digest_text(address.rsplit('/').next().unwrap_or_default());
    let found = page_request.read_inline(|at| setup_link_holder::find_open_link(at, &digest, clock::current_millis()));
    match found {
        Ok(found) if found.replaces_secret() => LinkTask::ReplaceSecret,
        Ok(found) if found.link.purpose == LinkPurpose::ReplaceToken => LinkTask::ReplaceToken,
        _ => LinkTask::Setup,
    }
}

/// A `mailto:` URL with a text that contains a link.
fn build_mail_url(mail: &LinkMail, address: &str) -> String {
    let (product, account_name) = (mail.product.as_deref(), mail.account_name.as_deref());
    let subject = texts::setup::write_mail_subject(mail.task, product, account_name);
    let body = texts::setup::write_mail(mail.task, product, account_name, address);
    let encode = |text: &str| utf8_percent_encode(text, percent::RESERVED).to_string();
    format!("mailto:?subject={}&body={}", encode(&subject), encode(&body))
}

/// `GET /connections/{id}/links/made`: the URL of the new link.
pub(crate) async fn show_new_link(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "links")?;
    let address = one_time_secrets::reveal_secret(&page_request, &admin.signed, &link_secret_context(connection.id()))?;
    let layout = connection.layout(&admin.signed, texts::setup::SEND_THIS_LINK);
    let brand = BrandView::read(&page_request.state)?;
    let account = AccountLabel::new(&connection.overview.account_name, &connection.overview.configuration.account.id);
    let task = address.as_deref().map_or(LinkTask::Setup, |address| find_task(&page_request, address));
    let mail = LinkMail { task, ..LinkMail::of_setup(&brand, &account) };
    Ok(render_page(200, &NewSetupLinkPage { layout, connection, address, mail }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EmptyLinkForm {}

/// `POST /connections/{id}/links/{link}/revoke`
pub(crate) async fn revoke_link(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let (id, link) = (page_request.path_parameter("id"), page_request.path_parameter("link"));
    let EmptyLinkForm {} = page_request.form(&admin.signed).await?;
    let (context, target_id) = (admin.context, id.clone());
    page_request.write(move |tx| setup_links::revoke_link(tx, &context, &target_id, &link)).await?;
    Ok(redirect_to(&format!("/connections/{id}/links?done=revoked")).finish())
}
