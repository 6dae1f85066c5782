//! OAuth clients of a connection: the values for the console of the provider, settings, secrets, and deletion.

pub(crate) mod create;
pub(crate) mod form;
pub(crate) mod secrets;

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::clock::Millis;
use crate::diagnosis::connection_status::{format_ago, format_until};
use crate::management::oauth::{self as management, ClientWithSecrets, OauthClientChange};
use crate::model::audit_context::AccountScope;
use crate::model::oauth::{AssertionSource, ClientAuthentication, ClientSecret, OauthClient, OauthClientState};
use crate::providers::IdentityProvider;
use crate::providers::credentials::{CredentialAdvice, CredentialMethod};
use crate::web::oauth::TOKEN_PATH;
use crate::web::portal::connections::oauth_clients::form::{OauthClientFields, OauthClientForm};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::required_permission::Tokens;

/// A deletion warns if the client got an access token within this time, in milliseconds.
const IN_USE_MS: Millis = 24 * 60 * 60 * 1000;
/// Interval in seconds at which the page reloads itself while a new secret waits for its first use.
const REFRESH_SECONDS: u32 = 10;

/// A client on a page.
pub(crate) struct OauthClientView {
    pub(crate) client: OauthClient,
    pub(crate) secrets: Vec<ClientSecret>,
    /// Names and location of the fields at the provider.
    pub(crate) advice: CredentialAdvice,
    now: Millis,
}

/// Two valid secrets of a client, while the newer one replaces the older one.
pub(crate) struct SecretRotation<'s> {
    pub(crate) new: &'s ClientSecret,
    pub(crate) old: &'s ClientSecret,
}

impl OauthClientView {
    pub(crate) fn new(found: ClientWithSecrets, provider: &IdentityProvider, now: Millis) -> Self {
        let ClientWithSecrets { client, secrets } = found;
        let advice = provider.advise_method(CredentialMethod::Client(client.authentication));
        Self { client, secrets, advice, now }
    }

    pub(crate) fn has_secrets(&self) -> bool {
        self.client.authentication == ClientAuthentication::Secret
    }

    pub(crate) fn authentication(&self) -> &'static str {
        CredentialMethod::Client(self.client.authentication).label()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.client.state == OauthClientState::Active
    }

    /// Class and label of the state.
    pub(crate) fn state(&self) -> (&'static str, &'static str) {
        match self.client.state {
            OauthClientState::Disabled => ("paused", texts::labels::DISABLED),
            OauthClientState::Active if self.has_secrets() && !self.has_live_secret() => {
                ("failing", texts::credentials::NO_VALID_SECRET)
            }
            OauthClientState::Active if self.client.last_used_at.is_none() => {
                ("waiting", texts::credentials::NOT_USED_YET)
            }
            OauthClientState::Active => ("live", texts::labels::ACTIVE),
        }
    }

    pub(crate) fn is_live(&self, secret: &ClientSecret) -> bool {
        secret.is_live(self.now)
    }

    /// Whether the client can get access tokens.
    pub(crate) fn works(&self) -> bool {
        self.is_active() && (!self.has_secrets() || self.has_live_secret())
    }

    pub(crate) fn has_live_secret(&self) -> bool {
        self.secrets.iter().any(|secret| self.is_live(secret))
    }

    /// The end of a secret, relative to now.
    pub(crate) fn end(&self, secret: &ClientSecret) -> String {
        format_until(secret.expires_at, self.now)
    }

    pub(crate) fn created(&self) -> String {
        format_ago(self.now - self.client.created_at)
    }

    pub(crate) fn age(&self, secret: &ClientSecret) -> String {
        format_ago(self.now - secret.created_at)
    }

    /// Lifetime of the access tokens.
    pub(crate) fn token_lifetime(&self) -> String {
        texts::formats::count_hours_or_minutes(self.client.token_lifetime)
    }

    pub(crate) fn rotation(&self) -> Option<SecretRotation<'_>> {
        let mut live = self.secrets.iter().filter(|secret| self.is_live(secret));
        Some(SecretRotation { new: live.next()?, old: live.next()? })
    }

    /// What the assertions must contain: the name of each value, and the value.
    pub(crate) fn assertion_values(&self) -> Vec<(&'static str, &str)> {
        let AssertionSource { jwks, jwks_url, issuer, subject, audience } = &self.client.assertions;
        let values = [
            (texts::credentials::ISSUER, issuer),
            (texts::credentials::JWKS_URL, jwks_url),
            (texts::credentials::SUBJECT, subject),
            (texts::credentials::AUDIENCE, audience),
            (texts::credentials::JWK_SET, jwks),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// Whether the client got an access token within the last day.
    pub(crate) fn is_in_use(&self) -> bool {
        self.client.last_used_at.is_some_and(|used| self.now - used < IN_USE_MS)
    }
}

/// The client in the path, with its connection.
pub(crate) struct ClientOnPage {
    pub(crate) connection: ConnectionView,
    pub(crate) view: OauthClientView,
}

impl ClientOnPage {
    /// # Errors
    /// `NotFound` if there is none within the scope of the admin.
    pub(crate) fn read(page_request: &PageRequest, scope: &AccountScope) -> Result<Self, PageError> {
        let connection = ConnectionView::read(page_request, scope, "tokens")?;
        let client_id = page_request.path_parameter("client");
        let found = page_request.read_inline(|at| management::find_client(at, scope, connection.id(), &client_id))?;
        let view = OauthClientView::new(found, connection.overview.provider, connection.now);
        Ok(Self { connection, view })
    }

    pub(crate) fn ids(&self) -> (String, String) {
        (self.connection.id().to_owned(), self.view.client.client_id.clone())
    }

    /// Path of the page of the client.
    pub(crate) fn path(&self) -> String {
        client_path(self.connection.id(), &self.view.client.client_id)
    }

    fn layout(&self, signed: &SignedIn, title: &str) -> PageLayout {
        self.connection.layout(signed, title)
    }
}

/// Path of the page of a client.
pub(crate) fn client_path(configuration_id: &str, client_id: &str) -> String {
    format!("/connections/{configuration_id}/oauth-clients/{client_id}")
}

/// The token URL at this public URL.
pub(crate) fn token_url(public_url: &str) -> String {
    format!("{public_url}{TOKEN_PATH}")
}

/// Context in which the newest secret of a client can be shown again.
fn secret_context(client_id: &str) -> String {
    format!("secret of {client_id}")
}

#[derive(Template)]
#[template(path = "portal/oauth_client.html")]
struct OauthClientPage {
    layout: PageLayout,
    connection: ConnectionView,
    view: OauthClientView,
    token_url: String,
    /// The newest secret, while it can be shown.
    secret: Option<String>,
}

/// `GET /connections/{id}/oauth-clients/{client}`
pub(crate) async fn show_client(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let view = &found.view;
    let stored =
        one_time_secrets::reveal_secret(&page_request, &admin.signed, &secret_context(&view.client.client_id))?;
    // One that was deleted in the meantime is not shown.
    let is_valid = |text: &String| view.secrets.iter().any(|one| view.is_live(one) && text.ends_with(&one.hint));
    let secret = stored.filter(is_valid);
    let mut layout = found.layout(&admin.signed, &view.client.label);
    layout.refresh = (secret.is_none() && view.rotation().is_some()).then_some(REFRESH_SECONDS);
    layout.visible_until = one_time_secrets::find_end(&page_request, &admin.signed)?;
    let token_url = token_url(&page_request.state.server.public_url());
    let ClientOnPage { connection, view } = found;
    Ok(render_page(200, &OauthClientPage { layout, connection, view, token_url, secret }))
}

#[derive(Template)]
#[template(path = "portal/edit_oauth_client.html")]
struct EditOauthClientPage {
    layout: PageLayout,
    connection: ConnectionView,
    view: OauthClientView,
    form: OauthClientForm,
}

fn render_edit(signed: &SignedIn, found: ClientOnPage, form: OauthClientForm) -> HttpResponse {
    let layout = found.layout(signed, &texts::credentials::title_change(&found.view.client.label));
    let status = if form.problems.is_empty() { 200 } else { 422 };
    let ClientOnPage { connection, view } = found;
    render_page(status, &EditOauthClientPage { layout, connection, view, form })
}

/// `GET /connections/{id}/oauth-clients/{client}/edit`
pub(crate) async fn show_edit(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let form = OauthClientForm::of_client(&found.view.client);
    Ok(render_edit(&admin.signed, found, form))
}

/// `POST /connections/{id}/oauth-clients/{client}/edit`
pub(crate) async fn save_client(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let fields = page_request.form::<OauthClientFields>(&admin.signed).await?;
    let mut form = OauthClientForm::new(found.view.client.authentication, fields);
    let Some(settings) = form.read_settings(&page_request.state.server.outgoing) else {
        return Ok(render_edit(&admin.signed, found, form));
    };
    let change = OauthClientChange {
        label: Some(settings.label),
        scope: Some(settings.scope),
        token_lifetime: Some(settings.token_lifetime),
        assertions: Some(settings.assertions),
        state: None,
    };
    let (context, (id, client_id)) = (admin.context, found.ids());
    let written = page_request.write(move |tx| management::update_client(tx, &context, (&id, &client_id), &change));
    if let Err(error) = written.await {
        form.add_error(error)?;
        return Ok(render_edit(&admin.signed, found, form));
    }
    Ok(redirect_to(&format!("{}?done=saved", found.path())).finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClientStateForm {
    state: String,
}

/// `POST /connections/{id}/oauth-clients/{client}/state`: disables or enables a client.
pub(crate) async fn set_client_state(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<ClientStateForm>(&admin.signed).await?;
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let (state, done) = match form.state.as_str() {
        "disabled" => (OauthClientState::Disabled, "client-disabled"),
        _ => (OauthClientState::Active, "client-enabled"),
    };
    let change = OauthClientChange { state: Some(state), ..OauthClientChange::default() };
    let (context, (id, client_id)) = (admin.context, found.ids());
    page_request.write(move |tx| management::update_client(tx, &context, (&id, &client_id), &change)).await?;
    Ok(redirect_to(&format!("{}?done={done}", found.path())).finish())
}

#[derive(Template)]
#[template(path = "portal/delete_oauth_client.html")]
struct DeleteOauthClientPage {
    layout: PageLayout,
    connection: ConnectionView,
    view: OauthClientView,
    problems: Vec<FormError>,
}

impl DeleteOauthClientPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteClientForm {
    confirmed: String,
}

fn render_delete(signed: &SignedIn, found: ClientOnPage, problems: Vec<FormError>) -> HttpResponse {
    let layout = found.layout(signed, &texts::credentials::title_deletion(&found.view.client.label));
    let status = if problems.is_empty() { 200 } else { 422 };
    let ClientOnPage { connection, view } = found;
    render_page(status, &DeleteOauthClientPage { layout, connection, view, problems })
}

/// `GET /connections/{id}/oauth-clients/{client}/delete`
pub(crate) async fn show_delete(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    Ok(render_delete(&admin.signed, ClientOnPage::read(&page_request, &admin.context.scope)?, Vec::new()))
}

/// `POST /connections/{id}/oauth-clients/{client}/delete`
pub(crate) async fn delete_client(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<DeleteClientForm>(&admin.signed).await?;
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    if form.confirmed != "on" {
        let sentence = texts::credentials::CONFIRM_CLIENT_DELETION.to_owned();
        return Ok(render_delete(&admin.signed, found, vec![FormError { field: "confirmed", sentence }]));
    }
    let (context, (id, client_id)) = (admin.context, found.ids());
    page_request.write(move |tx| management::delete_client(tx, &context, (&id, &client_id))).await?;
    Ok(redirect_to(&format!("/connections/{}/tokens?done=client-deleted", found.connection.id())).finish())
}
