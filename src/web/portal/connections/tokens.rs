//! Credentials of one connection: its OAuth clients and tokens, and list, rotation, change and revocation of tokens.

use std::borrow::Cow;

use askama::Template;
use serde::Deserialize;

use crate::auth::secret::BearerToken;
use crate::clock::{self, Millis};
use crate::diagnosis::connection_status::{format_ago, format_until};
use crate::error::{Error, Reason};
use crate::management::tokens::{self, StoredToken, TokenChange, TokenDraft};
use crate::management::{oauth, sessions};
use crate::messages::render_message;
use crate::model::audit_context::AccountScope;
use crate::model::field_change::FieldChange;
use crate::model::names;
use crate::model::rights::{TokenRights, TokenState};
use crate::providers::credentials::{CredentialAdvice, CredentialMethod};
use crate::store::WorkOwner;
use crate::web::blocking::read_blocking;
use crate::web::portal::connections::oauth_clients::OauthClientView;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::connections::secret_alerts::SecretAlerts;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::required_permission::{MintTokens, Read, Tokens};
use crate::web::state::AppState;

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Most tokens on the page; a connection never has more for long.
const TOKENS_MAX: u32 = 100;
/// The page warns if the newest token expires sooner than this, in milliseconds.
const ENDS_SOON: Millis = 14 * DAY;
/// How long the old token stays valid if the form asks to end it, in milliseconds.
const OVERLAP: Millis = DAY;

/// Lifetimes to choose from: the value of the form in days, and its label.
const LIFETIMES: [(&str, &str); 5] = [
    ("", texts::credentials::NEVER_EXPIRES),
    ("30", texts::credentials::AFTER_30_DAYS),
    ("90", texts::credentials::AFTER_90_DAYS),
    ("180", texts::credentials::AFTER_180_DAYS),
    ("365", texts::credentials::AFTER_A_YEAR),
];

#[derive(Template)]
#[template(path = "portal/tokens.html")]
struct TokensPage {
    layout: PageLayout,
    connection: ConnectionView,
    tokens: Vec<StoredToken>,
    clients: Vec<OauthClientView>,
    secret_alerts: SecretAlerts,
    problems: Vec<FormError>,
}

/// A rotation in progress: the new token and the old one, both valid.
struct TokenRotation<'t> {
    new: &'t StoredToken,
    old: &'t StoredToken,
}

impl TokensPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn is_live(&self, token: &StoredToken) -> bool {
        token.state(self.connection.now) == TokenState::Live
    }

    fn state(&self, token: &StoredToken) -> &'static str {
        match token.state(self.connection.now) {
            TokenState::Live => texts::labels::LIVE,
            TokenState::Expired => texts::labels::EXPIRED,
            TokenState::Revoked => texts::credentials::REVOKED,
        }
    }

    /// The two valid tokens during a rotation.
    fn rotation(&self) -> Option<TokenRotation<'_>> {
        let mut live = self.tokens.iter().filter(|token| self.is_live(token));
        Some(TokenRotation { new: live.next()?, old: live.next()? })
    }

    fn made(&self, token: &StoredToken) -> String {
        format_ago(self.connection.now - token.created_at)
    }

    fn has_live(&self) -> bool {
        self.tokens.iter().any(|token| self.is_live(token))
    }

    /// Whether an OAuth client can get access tokens.
    fn has_active_client(&self) -> bool {
        self.clients.iter().any(OauthClientView::works)
    }

    /// All methods, the recommended one first.
    fn methods(&self) -> Vec<CredentialAdvice> {
        self.connection.overview.provider.list_methods()
    }

    /// Number of methods that are advised for the provider.
    fn advised(&self) -> usize {
        self.connection.overview.provider.credentials.len()
    }

    /// Whether the recommended method is the next step: there is no such credential yet.
    fn is_next(&self, advice: &CredentialAdvice) -> bool {
        if Self::is_token(advice) { !self.has_live() } else { !self.has_active_client() }
    }

    fn is_token(advice: &CredentialAdvice) -> bool {
        advice.method == CredentialMethod::Token
    }

    /// Path of the form for a method.
    fn method_path(&self, advice: &CredentialAdvice) -> String {
        let id = self.connection.id();
        match advice.method {
            CredentialMethod::Token => format!("/connections/{id}/tokens/new"),
            method @ CredentialMethod::Client(_) => {
                format!("/connections/{id}/oauth-clients/new?method={}", method.key())
            }
        }
    }

    fn newest_live(&self) -> Option<&StoredToken> {
        self.tokens.iter().find(|token| self.is_live(token))
    }

    /// The newest valid token, if it expires soon.
    fn ending(&self) -> Option<&StoredToken> {
        let newest = self.newest_live()?;
        newest.expires_at.is_some_and(|end| end - self.connection.now < ENDS_SOON).then_some(newest)
    }

    fn end(&self, token: &StoredToken) -> Cow<'static, str> {
        token_end(token, self.connection.now)
    }
}

/// When a token expires, in words.
fn token_end(token: &StoredToken, now: Millis) -> Cow<'static, str> {
    token.expires_at.map_or(Cow::Borrowed(texts::labels::NEVER), |at| Cow::Owned(format_until(at, now)))
}

/// `GET /connections/{id}/tokens`
pub(crate) async fn list_tokens(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    list_page(&page_request.state, &admin.context.scope, &admin.signed, &page_request.path_parameter("id"), Vec::new())
        .await
}

async fn list_page(
    state: &AppState,
    scope: &AccountScope,
    signed: &SignedIn,
    id: &str,
    problems: Vec<FormError>,
) -> PageResult {
    let connection = ConnectionView::find(state, scope, id, "tokens")?;
    let owner = WorkOwner::from_scope(scope);
    let (clients, secret_alerts) = state.store.read_inline(|at| {
        let alerts = SecretAlerts::of_configuration(at, connection.id(), scope, connection.now)?;
        Ok((oauth::list_clients(at, scope, connection.id())?, alerts))
    })?;
    let provider = connection.overview.provider;
    let clients = clients.into_iter().map(|one| OauthClientView::new(one, provider, connection.now)).collect();
    let (scope, id) = (scope.clone(), connection.id().to_owned());
    let tokens =
        read_blocking(&state.store, owner, move |at| tokens::list_tokens(at, &scope, &id, None, TOKENS_MAX)).await?;
    let layout = connection.layout(signed, texts::labels::CREDENTIALS);
    let status = if problems.is_empty() { 200 } else { 422 };
    let mut tokens_page = TokensPage { layout, connection, tokens, clients, secret_alerts, problems };
    // Until the first use, and during a rotation.
    let is_unused = tokens_page.newest_live().is_some_and(|token| token.first_used_at.is_none());
    let is_watched = (is_unused || tokens_page.rotation().is_some()) && status == 200;
    tokens_page.layout.refresh = is_watched.then_some(2);
    Ok(render_page(status, &tokens_page))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RevokeAllForm {
    name: String,
}

/// `POST /connections/{id}/tokens/revoke-all`: for a leaked token.
pub(crate) async fn revoke_all_tokens(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "tokens")?;
    let form = page_request.form::<RevokeAllForm>(&admin.signed).await?;
    let id = connection.id().to_owned();
    if form.name.trim() != connection.name() {
        let problem = FormError { field: "name", sentence: texts::labels::say_name_differs(connection.name()) };
        return list_page(&page_request.state, &admin.context.scope, &admin.signed, &id, vec![problem]).await;
    }
    let (context, target_id) = (admin.context, id.clone());
    page_request.write(move |tx| tokens::revoke_all_tokens(tx, &context, &target_id)).await?;
    Ok(redirect_to(&format!("/connections/{id}/tokens?done=all-revoked")).finish())
}

#[derive(Template)]
#[template(path = "portal/new_token.html")]
struct NewTokenPage {
    layout: PageLayout,
    connection: ConnectionView,
    form: TokenForm,
    problems: Vec<FormError>,
    has_live: bool,
}

impl NewTokenPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn lifetimes() -> [(&'static str, &'static str); 5] {
        LIFETIMES
    }

    fn rights() -> [(&'static str, &'static str); 4] {
        TokenRights::ALL.map(|rights| (rights.as_str(), rights.label()))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    label: String,
    life: String,
    rights: String,
    end_old: String,
}

impl TokenForm {
    fn problems(&self) -> Vec<FormError> {
        let mut problems = Vec::new();
        if let Err(error) = names::check_name(texts::labels::THE_NAME, &self.label) {
            problems.push(FormError { field: "label", sentence: render_message(&error) });
        }
        if parse_life(&self.life, 0).is_none() {
            problems.push(FormError { field: "life", sentence: texts::credentials::CHOOSE_EXPIRY.to_owned() });
        }
        if self.rights.parse::<TokenRights>().is_err() {
            problems.push(FormError { field: "rights", sentence: texts::credentials::CHOOSE_SCOPE.to_owned() });
        }
        problems
    }

    fn draft(&self, token: &BearerToken) -> TokenDraft {
        let end = match parse_life(&self.life, clock::current_millis()) {
            Some(FieldChange::Set(end)) => Some(end),
            _ => None,
        };
        let rights = self.rights.parse().unwrap_or(TokenRights::All);
        TokenDraft { rights, expires_at: end, ..TokenDraft::new(clock::new_id(), token, self.label.trim()) }
    }
}

/// The expiration for a value of [`LIFETIMES`], counted from `now`; `None` for any other value.
fn parse_life(value: &str, now: Millis) -> Option<FieldChange<Millis>> {
    LIFETIMES.iter().find(|(option, _)| *option == value)?;
    Some(value.parse::<Millis>().map_or(FieldChange::Clear, |days| FieldChange::Set(now + days * DAY)))
}

async fn render_new_token(
    admin: &PermittedAdmin<MintTokens>,
    state: &AppState,
    id: String,
    form: TokenForm,
    problems: Vec<FormError>,
) -> PageResult {
    let connection = ConnectionView::find(state, &admin.context.scope, &id, "tokens")?;
    let (scope, now) = (admin.context.scope.clone(), connection.now);
    let tokens = read_blocking(&state.store, WorkOwner::from_scope(&admin.context.scope), move |at| {
        tokens::list_tokens(at, &scope, &id, None, TOKENS_MAX)
    })
    .await?;
    let status = if problems.is_empty() { 200 } else { 422 };
    let has_live = tokens.iter().any(|token| token.state(now) == TokenState::Live);
    let layout = connection.layout(&admin.signed, texts::credentials::NEW_TOKEN);
    Ok(render_page(status, &NewTokenPage { layout, connection, form, problems, has_live }))
}

/// `GET /connections/{id}/tokens/new`
pub(crate) async fn show_new_token(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let today = clock::format_rfc3339(clock::current_millis());
    let label = texts::credentials::label_new_credential(today.split('T').next().unwrap_or_default());
    let form = TokenForm { label, rights: TokenRights::All.as_str().to_owned(), ..TokenForm::default() };
    render_new_token(&admin, &page_request.state, page_request.path_parameter("id"), form, Vec::new()).await
}

/// `POST /connections/{id}/tokens/new`
pub(crate) async fn rotate_token(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let form = page_request.form::<TokenForm>(&admin.signed).await?;
    let problems = form.problems();
    if !problems.is_empty() {
        return render_new_token(&admin, &page_request.state, id, form, problems).await;
    }
    let token = BearerToken::generate().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let draft = form.draft(&token);
    let overlap = (form.end_old == "on").then_some(OVERLAP);
    let (secret, cookie) =
        one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &id, token.reveal())?;
    let (context, target_id) = (admin.context, id.clone());
    let written = page_request.write(move |tx| {
        sessions::create_with_one_time_secret(tx, &secret, |tx| {
            tokens::rotate_token(tx, &context, &target_id, &draft, overlap)
        })
    });
    written.await?;
    Ok(redirect_to(&format!("/connections/{id}/token")).cookie(cookie).finish())
}

#[derive(Template)]
#[template(path = "portal/token.html")]
struct TokenDetailPage {
    layout: PageLayout,
    connection: ConnectionView,
    token: StoredToken,
    /// The name in the form.
    typed: String,
    problems: Vec<FormError>,
}

impl TokenDetailPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn lifetimes() -> [(&'static str, &'static str); 5] {
        LIFETIMES
    }

    fn end(&self) -> Cow<'static, str> {
        token_end(&self.token, self.connection.now)
    }

    fn made(&self) -> String {
        format_ago(self.connection.now - self.token.created_at)
    }

    fn is_live(&self) -> bool {
        self.token.state(self.connection.now) == TokenState::Live
    }
}

/// The page of a token; `ids` holds the ids of its connection and of the token.
fn read_token_page(
    state: &AppState,
    scope: &AccountScope,
    signed: &SignedIn,
    title: &str,
    ids: &(String, String),
) -> Result<TokenDetailPage, PageError> {
    let connection = ConnectionView::find(state, scope, &ids.0, "tokens")?;
    let token = state.store.read_inline(|at| tokens::find_token(at, scope, connection.id(), &ids.1))?;
    let layout = connection.layout(signed, title);
    Ok(TokenDetailPage { layout, connection, typed: token.label.clone(), token, problems: Vec::new() })
}

/// The ids of the connection and of the token in the path.
fn token_path_ids(page_request: &PageRequest) -> (String, String) {
    (page_request.path_parameter("id"), page_request.path_parameter("token"))
}

/// `GET /connections/{id}/tokens/{token}`
pub(crate) async fn show_token(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    Ok(render_page(
        200,
        &read_token_page(
            &page_request.state,
            &admin.context.scope,
            &admin.signed,
            texts::labels::TOKEN,
            &token_path_ids(&page_request),
        )?,
    ))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UpdateTokenForm {
    label: String,
    life: String,
}

/// `POST /connections/{id}/tokens/{token}`: changes name and expiration.
pub(crate) async fn update_token(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let ids = token_path_ids(&page_request);
    let form = page_request.form::<UpdateTokenForm>(&admin.signed).await?;
    let mut found =
        read_token_page(&page_request.state, &admin.context.scope, &admin.signed, texts::labels::TOKEN, &ids)?;
    if let Err(error) = names::check_name(texts::labels::THE_NAME, &form.label) {
        found.problems = vec![FormError { field: "label", sentence: render_message(&error) }];
        found.typed = form.label;
        return Ok(render_page(422, &found));
    }
    // `keep` is the only value of the form that is not a lifetime.
    let expires_at = parse_life(&form.life, clock::current_millis()).unwrap_or(FieldChange::Keep);
    let changed = TokenChange { label: Some(form.label), expires_at };
    let (context, id) = (admin.context, ids.0.clone());
    page_request.write(move |tx| tokens::update_token(tx, &context, &ids.0, &ids.1, &changed)).await?;
    Ok(redirect_to(&format!("/connections/{id}/tokens?done=saved")).finish())
}

#[derive(Template)]
#[template(path = "portal/revoke_token.html")]
struct RevokeTokenPage {
    layout: PageLayout,
    connection: ConnectionView,
    token: StoredToken,
}

impl RevokeTokenPage {
    /// Whether the identity provider used the token within the last day.
    fn is_in_use(&self) -> bool {
        self.token.last_used_at.is_some_and(|used| self.connection.now - used < DAY)
    }
}

/// `GET /connections/{id}/tokens/{token}/revoke`
pub(crate) async fn show_revoke_token(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let TokenDetailPage { layout, connection, token, .. } = read_token_page(
        &page_request.state,
        &admin.context.scope,
        &admin.signed,
        texts::credentials::REVOKE_TOKEN,
        &token_path_ids(&page_request),
    )?;
    Ok(render_page(200, &RevokeTokenPage { layout, connection, token }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EmptyTokenForm {}

/// `POST /connections/{id}/tokens/{token}/revoke`
pub(crate) async fn revoke_token(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let ids = token_path_ids(&page_request);
    let EmptyTokenForm {} = page_request.form(&admin.signed).await?;
    let (context, id) = (admin.context, ids.0.clone());
    page_request.write(move |tx| tokens::revoke_token(tx, &context, &ids.0, &ids.1)).await?;
    Ok(redirect_to(&format!("/connections/{id}/tokens?done=revoked")).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lifetimes_of_the_form_are_accepted() {
        assert!(matches!(parse_life("", 7), Some(FieldChange::Clear)));
        assert!(matches!(parse_life("90", 7), Some(FieldChange::Set(end)) if end == 7 + 90 * DAY));
        for other in ["keep", "-1", "31", "1e9", "90 "] {
            assert!(parse_life(other, 7).is_none(), "{other}");
        }
    }
}
