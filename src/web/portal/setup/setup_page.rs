//! The page of a setup link: it shows the setup of one connection and nothing else. There is no session: the secret
//! in the URL is the only credential.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::auth::secret::{self, BearerToken};
use crate::clock::{self, Millis};
use crate::error::{Error, ErrorKind, Reason};
use crate::management::setup_link_holder::{self, OpenLink};
use crate::management::setup_links::SetupLink;
use crate::management::tokens::TokenDraft;
use crate::model::audit_context::AccountScope;
use crate::model::oauth::ClientAuthentication;
use crate::model::setup_link::LinkPurpose;
use crate::providers::credentials::{CredentialAdvice, CredentialMethod};
use crate::providers::steps::SetupStep;
use crate::providers::{self, IdentityProvider, PROVIDERS};
use crate::scim::cursor::CursorSecret;
use crate::web::portal::connections::live_test::LiveTest;
use crate::web::portal::connections::oauth_clients::form::{OauthClientFields, OauthClientForm};
use crate::web::portal::connections::oauth_clients::{OauthClientView, create, token_url};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{
    NavigationEntry, PageError, PageLayout, PageResult, hide_url, redirect_to, render_page,
};
use crate::web::portal::setup::brand::{BrandView, LinkFrame};
use crate::web::portal::setup::created_secret::{created_cookie, read_created};
use crate::web::portal::setup::link_credentials::LinkCredentials;
use crate::web::portal::setup::link_request::{
    EmptySetupForm, encode_hex, find_link_owner, form_token, link_holder, link_secret_in_path, page_path,
    record_link_owner,
};
use crate::web::portal::setup::mapping::read_mapping_findings;
use crate::web::portal::setup::secret_page::{SecretInput, show_secret_page};
use crate::web::portal::setup::steps::{AbsentToken, StepValues, StepView, build_steps, find_url_problem, open_step};
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;

/// A browser that opened a link is not counted again for this time, in seconds: the page reloads itself.
const OPEN_SECONDS: i64 = 12 * 60 * 60;

/// Interval in seconds at which a script updates the page while something is expected.
const REFRESH_SECONDS: u32 = 2;

const OPENED_COOKIE: &str = "rc_opened";

#[derive(Template)]
#[template(path = "portal/setup.html")]
struct SetupPage {
    layout: PageLayout,
    brand: BrandView,
    frame: LinkFrame,
    connection: ConnectionView,
    /// The secret in the URL.
    secret: String,
    form_token: String,
    live: LiveTest,
    /// Whether the holder may choose the provider.
    may_choose: bool,
    purpose: LinkPurpose,
    credentials: LinkCredentials,
    /// Whether a credential can be created with the form of the page.
    offers_methods: bool,
    /// The method that the steps are for.
    advice: CredentialAdvice,
    /// All methods that the link offers.
    methods: Vec<CredentialAdvice>,
    form: OauthClientForm,
    /// The OAuth client that the link has created.
    view: Option<OauthClientView>,
    steps: Vec<StepView>,
    absent: AbsentToken,
    /// The token or the client secret, while it can be shown.
    token: Option<String>,
}

impl SetupPage {
    fn provider(&self) -> &'static IdentityProvider {
        self.connection.overview.provider
    }

    /// How many users and groups have arrived.
    fn arrived(&self) -> String {
        let overview = &self.connection.overview;
        texts::setup::describe_arrived(overview.users, overview.groups)
    }

    /// Whether the link is only for a new token.
    fn is_replacement(&self) -> bool {
        self.purpose == LinkPurpose::ReplaceToken
    }

    /// Whether the provider is any SCIM client.
    fn is_custom(&self) -> bool {
        self.provider().key == providers::CUSTOM_KEY
    }

    fn is_recommended(&self, advice: &CredentialAdvice) -> bool {
        self.provider().credentials.first().is_some_and(|advised| advised.method == advice.method)
    }

    /// Path of the page with the form of a method.
    fn method_path(&self, advice: &CredentialAdvice) -> String {
        format!("{}?method={}", page_path(&self.secret), advice.method.key())
    }

    /// URL of the page with this step open.
    fn step_path(&self, step: &SetupStep) -> String {
        format!("{}?show=steps&step={anchor}#step-{anchor}", page_path(&self.secret), anchor = step.anchor)
    }

    /// Title of what is awaited next, and whether requests arrive that are not accepted.
    fn awaited(&self) -> Option<(&'static str, bool)> {
        if self.is_replacement() {
            let title = if self.credentials.new_token().is_some() {
                texts::setup::NEW_TOKEN_USED
            } else {
                texts::setup::NEW_TOKEN_CREATED
            };
            return Some((title, false));
        }
        let mut steps = self.live.provider_steps();
        let next = steps.find(|step| !step.is_done)?;
        let is_rejected = next.is_rejected(self.live.has_open_failures());
        Some((if is_rejected { texts::setup::TOKEN_NOT_ACCEPTED } else { next.title }, is_rejected))
    }

    /// Whether the page has the form of an OAuth client.
    fn has_client_form(&self) -> bool {
        self.offers_methods && self.advice.method != CredentialMethod::Token
    }

    /// Whether something is still expected from the provider.
    fn is_waiting(&self) -> bool {
        self.layout.refresh.is_some()
    }

    /// Why the provider cannot use the URL.
    fn url_problem(&self) -> Option<&'static str> {
        find_url_problem(&self.connection.url)
    }

    /// Whether the client of the link is one of the method of the page.
    fn has_visible_client(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.advice.method == self.advice.method)
    }
}

#[derive(Template)]
#[template(path = "portal/setup_providers.html")]
struct ChooseProviderPage {
    layout: PageLayout,
    brand: BrandView,
    frame: LinkFrame,
    secret: String,
    form_token: String,
    /// Key of the present provider.
    present: &'static str,
}

impl ChooseProviderPage {
    fn providers() -> &'static [IdentityProvider] {
        PROVIDERS
    }
}

#[derive(Template)]
#[template(path = "portal/setup_done.html")]
struct SetupDonePage {
    layout: PageLayout,
    brand: BrandView,
    frame: LinkFrame,
    /// Whether the link was for a rotation.
    is_replacement: bool,
}

#[derive(Template)]
#[template(path = "portal/finish_setup.html")]
struct FinishSetupPage {
    layout: PageLayout,
    brand: BrandView,
    frame: LinkFrame,
    secret: String,
    form_token: String,
    /// Name of the provider.
    provider: &'static str,
    users: i64,
    /// Whether the link is for a rotation.
    is_replacement: bool,
    /// What it replaces: a token or a client secret.
    credential: &'static str,
    /// Whether what the link has created is in use.
    is_new_used: bool,
}

/// Title of the page that asks whether a link ends, and text of its button.
fn finish_title(found: &OpenLink) -> &'static str {
    match found.link.purpose {
        LinkPurpose::Setup => texts::setup::FINISH_SETUP,
        LinkPurpose::ReplaceToken if found.replaces_secret() => texts::setup::FINISH_SECRET_ROTATION,
        LinkPurpose::ReplaceToken => texts::setup::FINISH_TOKEN_ROTATION,
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SetupQuery {
    /// Key of the chosen method; the recommended one if there is none.
    method: String,
    /// Anchor of the step that is open.
    step: String,
    /// `provider` for the choice of the provider, `steps` for the steps also if the provider is any SCIM client.
    show: String,
}

/// `GET /s/{secret}`
pub(crate) async fn show_setup_page(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    let found =
        page_request.read_inline(|at| setup_link_holder::find_open_link(at, &digest, clock::current_millis()))?;
    record_link_owner(&page_request, &found);
    let mark = opened_cookie_value(&page_request.state.signing.cursor_secret, &found);
    let is_counted =
        cookies::find_cookie(&page_request.request, OPENED_COOKIE).is_some_and(|cookie| cookie.value() == mark);
    if !is_counted {
        let holder = link_holder(&page_request.request);
        page_request.write(move |tx| setup_link_holder::record_opened(tx, &holder, &digest)).await?;
    }
    let query = page_request.query().unwrap_or_default();
    let mut response = link_page(&page_request, &secret, &found, (query, None)).await?;
    let cookie = cookies::new_cookie(&page_request.state.server, OPENED_COOKIE, mark, OPEN_SECONDS);
    response.add_cookie(&cookie).map_err(|_| Error::new(Reason::ServerBusy))?;
    Ok(hide_url(response))
}

/// The connection of a link, with the provider of the link.
fn find_connection(page_request: &PageRequest, found: &OpenLink) -> Result<ConnectionView, PageError> {
    let scope = AccountScope::Account(found.configuration.account.clone());
    let mut connection = ConnectionView::find(&page_request.state, &scope, &found.configuration.id, "")?;
    connection.overview.provider = found.provider();
    Ok(connection)
}

/// The page of an open link. `form` is a form that was sent and has errors.
async fn link_page(
    page_request: &PageRequest,
    secret: &str,
    found: &OpenLink,
    (query, form): (SetupQuery, Option<OauthClientForm>),
) -> PageResult {
    if found.replaces_secret() {
        return show_secret_page(page_request, secret, found, SecretInput::new(query.method == "secret"));
    }
    let (brand, frame) = (BrandView::read(&page_request.state)?, LinkFrame::read(&page_request.state, found)?);
    let connection = find_connection(page_request, found)?;
    let provider = connection.overview.provider;
    if must_choose(found, &query) {
        return Ok(choice_page(secret, provider, brand, frame));
    }
    let live = LiveTest::read(page_request, &connection.overview, &connection.url, connection.now).await?;
    let methods = list_methods(&found.link, provider);
    let (token, until) = read_usable_token(page_request, secret, found).unzip();
    let view = found.client.clone().map(|client| OauthClientView::new(client, provider, connection.now));
    let (advice, is_chosen) = choose_method(found, &methods, view.as_ref(), &query.method);
    let is_sent = form.is_some();
    let form = form.unwrap_or_else(|| default_form(&advice, provider));
    let credentials = LinkCredentials::new(found, connection.now);
    let token_url = token_url(&page_request.state.server.public_url());
    let client = view.as_ref().filter(|view| view.advice.method == advice.method);
    let values = StepValues {
        scim_url: &connection.url,
        token_url: &token_url,
        token: token.as_deref().filter(|text| text.starts_with(secret::PREFIX)),
        client_id: client.map(|view| view.client.client_id.as_str()),
        client_secret: client.and_then(|view| find_client_secret(view, token.as_deref())),
    };
    let findings = read_mapping_findings(page_request, &connection.overview, &live).await?;
    let mut steps = build_steps(provider, &advice, &values, Some(&live), &findings);
    let needs_credentials = is_sent || !query.method.is_empty() || has_unused_token(&steps, token.as_deref());
    open_step(&mut steps, &query.step, needs_credentials);
    let offers_methods = credentials.left > 0 && is_chosen;
    let layout = steps_layout(found, &brand, &live, &credentials);
    let page = SetupPage {
        layout: PageLayout { visible_until: until.map(PageTime::from_millis), ..layout },
        brand,
        frame,
        form_token: form_token(secret),
        steps,
        token,
        secret: secret.to_owned(),
        live,
        may_choose: found.may_choose_provider(),
        purpose: found.link.purpose,
        absent: describe_absent_token(secret, &advice, offers_methods),
        offers_methods,
        credentials,
        advice,
        methods,
        form,
        view,
        connection,
    };
    Ok(render_page(if is_sent { 422 } else { 200 }, &page))
}

/// The empty form of a method.
fn default_form(advice: &CredentialAdvice, provider: &IdentityProvider) -> OauthClientForm {
    let authentication = create::choose_authentication(advice.method.key(), provider);
    OauthClientForm::with_defaults(authentication, provider.name)
}

/// Whether a token or secret is visible, and the step in which it is entered is not done.
fn has_unused_token(steps: &[StepView], token: Option<&str>) -> bool {
    token.is_some() && !steps.iter().any(|step| step.step.has_credentials && step.is_done)
}

/// What the steps have where the token is not visible.
fn describe_absent_token(secret: &str, advice: &CredentialAdvice, offers_methods: bool) -> AbsentToken {
    match advice.method {
        _ if !offers_methods => AbsentToken::Lost,
        CredentialMethod::Token => AbsentToken::Form(format!("{}/token", page_path(secret)), form_token(secret)),
        CredentialMethod::Client(_) => AbsentToken::OtherForm,
    }
}

/// The page on which the holder of a link chooses the provider.
fn choice_page(secret: &str, provider: &IdentityProvider, brand: BrandView, frame: LinkFrame) -> HttpResponse {
    let title = brand
        .product()
        .map_or_else(|| texts::setup::CHOOSE_YOUR_PROVIDER.to_owned(), texts::setup::title_connect_provider);
    let layout = PageLayout::new(title, None, NavigationEntry::NoSection);
    let (secret, form_token, present) = (secret.to_owned(), form_token(secret), provider.key);
    render_page(200, &ChooseProviderPage { layout, brand, frame, secret, form_token, present })
}

/// The method that the steps are for, and whether its form is on the page: it was asked for, or there is no credential.
fn choose_method(
    found: &OpenLink,
    methods: &[CredentialAdvice],
    client: Option<&OauthClientView>,
    key: &str,
) -> (CredentialAdvice, bool) {
    let provider = found.provider();
    let of_token = || provider.advise_method(CredentialMethod::Token);
    if let Some(chosen) = methods.iter().find(|advice| advice.method.key() == key) {
        return (*chosen, true);
    }
    match client {
        Some(client) => (client.advice, false),
        None if found.token().is_some() => (of_token(), false),
        None => (methods.first().copied().unwrap_or_else(of_token), true),
    }
}

/// The layout of the page with the steps, which is updated while something is expected.
fn steps_layout(found: &OpenLink, brand: &BrandView, live: &LiveTest, credentials: &LinkCredentials) -> PageLayout {
    let is_rotated = credentials.is_new_used() || credentials.new_token().is_none();
    let is_complete = match found.link.purpose {
        LinkPurpose::Setup => live.is_complete() && is_rotated,
        LinkPurpose::ReplaceToken => credentials.is_new_used(),
    };
    let layout = PageLayout::new(page_title(found, brand), None, NavigationEntry::NoSection);
    PageLayout { refresh: (!is_complete).then_some(REFRESH_SECONDS), ..layout }
}

/// Title of the page with the steps.
fn page_title(found: &OpenLink, brand: &BrandView) -> String {
    let provider = found.provider();
    let name = if provider.key == providers::CUSTOM_KEY { texts::setup::YOUR_CLIENT } else { provider.name };
    match (found.link.purpose, brand.product()) {
        (LinkPurpose::ReplaceToken, _) => texts::setup::title_replace_token(name),
        (LinkPurpose::Setup, product) => texts::setup::title_connect(name, product),
    }
}

/// Whether the page asks for the provider: on request, or if it is not known and nothing was done yet.
fn must_choose(found: &OpenLink, query: &SetupQuery) -> bool {
    let is_unknown = found.provider().key == providers::CUSTOM_KEY
        && found.link.tokens_made == 0
        && found.configuration.last_seen.is_none()
        && query.show != "steps"
        && query.method.is_empty();
    found.may_choose_provider() && (query.show == "provider" || is_unknown)
}

/// The secret of a client, if it is the one that can be shown.
fn find_client_secret<'t>(view: &OauthClientView, text: Option<&'t str>) -> Option<&'t str> {
    let is_own = |text: &&str| view.secrets.iter().any(|one| text.ends_with(&one.hint));
    text.filter(|text| text.starts_with(secret::CLIENT_SECRET_PREFIX)).filter(is_own)
}

/// The methods that the link offers, the recommended one first. Credentials without an end cannot be created with a link whose
/// creator has one.
fn list_methods(link: &SetupLink, provider: &IdentityProvider) -> Vec<CredentialAdvice> {
    let ends =
        |method| matches!(method, CredentialMethod::Token | CredentialMethod::Client(ClientAuthentication::Secret));
    let all = provider.list_methods().into_iter();
    let is_offered = |method| link.purpose == LinkPurpose::Setup || method == CredentialMethod::Token;
    all.filter(|advice| is_offered(advice.method) && (link.tokens_end_at.is_none() || ends(advice.method))).collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProviderForm {
    provider: String,
}

/// `POST /s/{secret}/provider`: stores the chosen provider.
pub(crate) async fn choose_provider(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    let form = page_request.form_with_token::<ProviderForm>(&form_token(&secret)).await?;
    find_link_owner(&page_request, &digest);
    if let Some(provider) = providers::find_provider(&form.provider) {
        let holder = link_holder(&page_request.request);
        page_request.write(move |tx| setup_link_holder::choose_provider(tx, &holder, &digest, provider)).await?;
    }
    Ok(hide_url(redirect_to(&format!("{}?show=steps", page_path(&secret))).finish()))
}

/// `POST /s/{secret}/token`: creates a token, shown in this browser for a few minutes.
pub(crate) async fn make_token(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    page_request.form_with_token::<EmptySetupForm>(&form_token(&secret)).await?;
    find_link_owner(&page_request, &digest);
    let token = BearerToken::generate().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let cookie = created_cookie(&page_request.state.server, &secret, &token)?;
    let draft = TokenDraft::new(clock::new_id(), &token, texts::setup::FROM_SETUP_LINK);
    let holder = link_holder(&page_request.request);
    page_request.write(move |tx| setup_link_holder::create_token(tx, &holder, &digest, &draft)).await?;
    Ok(hide_url(redirect_to(&page_path(&secret)).cookie(cookie).finish()))
}

/// `POST /s/{secret}/client`: creates an OAuth client; its secret is shown in this browser for a few minutes.
pub(crate) async fn make_client(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    let mut fields = page_request.form_with_token::<OauthClientFields>(&form_token(&secret)).await?;
    let found =
        page_request.read_inline(|at| setup_link_holder::find_open_link(at, &digest, clock::current_millis()))?;
    record_link_owner(&page_request, &found);
    let query = SetupQuery { method: fields.remove("method").unwrap_or_default(), ..SetupQuery::default() };
    let provider = found.provider();
    let authentication = create::choose_authentication(&query.method, provider);
    // The holder of a link does not choose these.
    let defaults = OauthClientForm::with_defaults(authentication, provider.name);
    for field in ["label", "scope", "accessTokenLifetime"] {
        fields.insert(field.to_owned(), defaults.value(field).to_owned());
    }
    let mut form = OauthClientForm::new(authentication, fields);
    let Some(draft) = form.read_draft(&page_request.state.server.outgoing)? else {
        return Ok(hide_url(link_page(&page_request, &secret, &found, (query, Some(form))).await?));
    };
    let cookie = draft.secret.map(|text| created_cookie(&page_request.state.server, &secret, &text)).transpose()?;
    let holder = link_holder(&page_request.request);
    let written =
        page_request.write(move |tx| setup_link_holder::create_client(tx, &holder, &digest, &draft.client)).await;
    match written {
        Ok(()) => {
            let mut response = redirect_to(&page_path(&secret));
            if let Some(cookie) = cookie {
                response.cookie(cookie);
            }
            Ok(hide_url(response.finish()))
        }
        Err(error) if error.kind() == ErrorKind::Invalid => {
            form.add_error(error)?;
            Ok(hide_url(link_page(&page_request, &secret, &found, (query, Some(form))).await?))
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /s/{secret}/done`: asks whether the link ends.
pub(crate) async fn show_finish(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    let found =
        page_request.read_inline(|at| setup_link_holder::find_open_link(at, &digest, clock::current_millis()))?;
    record_link_owner(&page_request, &found);
    let overview = find_connection(&page_request, &found)?.overview;
    let now = clock::current_millis();
    let page = FinishSetupPage {
        layout: PageLayout::new(finish_title(&found), None, NavigationEntry::NoSection),
        is_replacement: found.link.purpose == LinkPurpose::ReplaceToken,
        credential: if found.replaces_secret() { texts::setup::SECRET } else { texts::setup::TOKEN },
        is_new_used: if found.replaces_secret() {
            found.replaced_secret(now).is_some_and(|replaced| replaced.is_new_used())
        } else {
            LinkCredentials::new(&found, now).is_used()
        },
        brand: BrandView::read(&page_request.state)?,
        frame: LinkFrame::read(&page_request.state, &found)?,
        form_token: form_token(&secret),
        secret,
        provider: found.provider().name,
        users: overview.users,
    };
    Ok(hide_url(render_page(200, &page)))
}

/// `POST /s/{secret}/done`: ends the link.
pub(crate) async fn finish_setup(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    page_request.form_with_token::<EmptySetupForm>(&form_token(&secret)).await?;
    let found =
        page_request.read_inline(|at| setup_link_holder::find_open_link(at, &digest, clock::current_millis()))?;
    record_link_owner(&page_request, &found);
    let holder = link_holder(&page_request.request);
    page_request.write(move |tx| setup_link_holder::finish_setup(tx, &holder, &digest)).await?;
    let is_replacement = found.link.purpose == LinkPurpose::ReplaceToken;
    let title = if is_replacement { texts::setup::ROTATION_FINISHED } else { texts::setup::SETUP_FINISHED };
    let layout = PageLayout::new(title, None, NavigationEntry::NoSection);
    let brand = BrandView::read(&page_request.state)?;
    let frame = LinkFrame::default();
    Ok(hide_url(render_page(200, &SetupDonePage { layout, brand, frame, is_replacement })))
}

/// Value of the cookie of a browser that opened the link, so that it is counted once. Only this server can compute it.
fn opened_cookie_value(secret: &CursorSecret, found: &OpenLink) -> String {
    encode_hex(&secret::digest_text(&format!("{:?} opened {}", secret, found.link.id)))
}

/// What this browser has created, if it is still valid: another browser can have replaced it since, or an admin revoked it.
fn read_usable_token(page_request: &PageRequest, secret: &str, found: &OpenLink) -> Option<(String, Millis)> {
    let is_live = |text: &str| found.tokens.iter().any(|token| text.ends_with(&token.hint));
    let created = read_created(page_request, secret)?;
    (!created.0.starts_with(secret::PREFIX) || is_live(&created.0)).then_some(created)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_whose_creator_has_an_end_offers_only_credentials_with_an_end() {
        let link = SetupLink {
            id: "l".to_owned(),
            configuration: 1,
            note: String::new(),
            provider: None,
            created_at: 0,
            expires_at: 1,
            last_opened_at: None,
            opened: 0,
            tokens_made: 0,
            ended_at: None,
            tokens_end_at: None,
            client_made: None,
            purpose: LinkPurpose::Setup,
            token_made: None,
        };
        let entra = providers::find_provider("entra").unwrap();
        let list = |link: &SetupLink| list_methods(link, entra).iter().map(|one| one.method.key()).collect::<Vec<_>>();
        assert_eq!(list(&link), ["federated", "secret", "private_key_jwt", "token"]);
        assert_eq!(list(&SetupLink { tokens_end_at: Some(1), ..link.clone() }), ["secret", "token"]);
        assert_eq!(list(&SetupLink { purpose: LinkPurpose::ReplaceToken, ..link }), ["token"]);
    }
}
