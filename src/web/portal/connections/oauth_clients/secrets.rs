//! Secrets of an OAuth client: a second one that replaces the first, and their deletion.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::auth::secret::BearerToken;
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::oauth::{self as management, SecretDraft};
use crate::management::sessions;
use crate::messages::render_message;
use crate::model::names;
use crate::model::oauth::{ClientSecret, SECRET_LIFETIME_DEFAULT};
use crate::web::portal::connections::oauth_clients::form::SECRET_LIFETIMES;
use crate::web::portal::connections::oauth_clients::{ClientOnPage, OauthClientView, secret_context};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::required_permission::{MintTokens, Tokens};

#[derive(Template)]
#[template(path = "portal/new_oauth_secret.html")]
struct NewOauthSecretPage {
    layout: PageLayout,
    connection: ConnectionView,
    view: OauthClientView,
    form: NewSecretForm,
    problems: Vec<FormError>,
}

impl NewOauthSecretPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn secret_lifetimes() -> [(u32, &'static str); 6] {
        SECRET_LIFETIMES
    }

    fn is_chosen(&self, seconds: u32) -> bool {
        self.form.lifetime() == Some(seconds)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewSecretForm {
    label: String,
    #[serde(rename = "secretExpiresIn")]
    expires_in: String,
}

impl NewSecretForm {
    /// The chosen lifetime in seconds; `None` if it is none of those to choose from.
    fn lifetime(&self) -> Option<u32> {
        let given = self.expires_in.parse().ok();
        given.filter(|seconds| SECRET_LIFETIMES.iter().any(|(option, _)| option == seconds))
    }

    fn problems(&self) -> Vec<FormError> {
        let mut problems = Vec::new();
        if let Err(error) = names::check_name(texts::labels::THE_NAME, &self.label) {
            problems.push(FormError { field: "label", sentence: render_message(&error) });
        }
        if self.lifetime().is_none() {
            problems.push(FormError {
                field: "secretExpiresIn",
                sentence: texts::credentials::CHOOSE_SECRET_END.to_owned(),
            });
        }
        problems
    }
}

fn render_new_secret(
    signed: &SignedIn,
    found: ClientOnPage,
    form: NewSecretForm,
    problems: Vec<FormError>,
) -> HttpResponse {
    let layout = found.connection.layout(signed, &texts::credentials::title_new_secret(&found.view.client.label));
    let status = if problems.is_empty() { 200 } else { 422 };
    let ClientOnPage { connection, view } = found;
    render_page(status, &NewOauthSecretPage { layout, connection, view, form, problems })
}

/// `GET /connections/{id}/oauth-clients/{client}/secrets/new`
pub(crate) async fn show_new_secret(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    if !found.view.has_secrets() {
        return Err(Reason::ClientWithoutSecrets.into());
    }
    let day = clock::format_rfc3339(clock::current_millis());
    let label = texts::credentials::label_new_credential(day.split('T').next().unwrap_or_default());
    let form = NewSecretForm { label, expires_in: SECRET_LIFETIME_DEFAULT.to_string() };
    Ok(render_new_secret(&admin.signed, found, form, Vec::new()))
}

/// `POST /connections/{id}/oauth-clients/{client}/secrets/new`
pub(crate) async fn add_secret(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<NewSecretForm>(&admin.signed).await?;
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let problems = form.problems();
    let Some(lifetime) = form.lifetime().filter(|_| problems.is_empty()) else {
        return Ok(render_new_secret(&admin.signed, found, form, problems));
    };
    let text = BearerToken::generate_client_secret().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let draft = SecretDraft::new(&text, form.label.trim(), SecretDraft::requested_lifetime(lifetime));
    let (context, (id, client_id)) = (admin.context.clone(), found.ids());
    let sealed_for = secret_context(&client_id);
    let (one_time, cookie) =
        one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &sealed_for, text.reveal())?;
    let written = page_request.write(move |tx| {
        sessions::create_with_one_time_secret(tx, &one_time, |tx| {
            management::add_secret(tx, &context, (&id, &client_id), &draft)
        })
    });
    match written.await {
        Ok(_) => Ok(redirect_to(&format!("{}?done=secret-added", found.path())).cookie(cookie).finish()),
        Err(error) if error.reason() == Reason::TooManyClientSecrets => {
            let problems = vec![FormError { field: "label", sentence: render_sentence(&error) }];
            Ok(render_new_secret(&admin.signed, found, form, problems))
        }
        Err(error) => Err(PageError::from(error)),
    }
}

#[derive(Template)]
#[template(path = "portal/delete_oauth_secret.html")]
struct DeleteOauthSecretPage {
    layout: PageLayout,
    connection: ConnectionView,
    view: OauthClientView,
    secret: ClientSecret,
}

impl DeleteOauthSecretPage {
    /// Whether no other secret of the client is valid.
    fn is_last(&self) -> bool {
        !self.view.secrets.iter().any(|other| other.id != self.secret.id && self.view.is_live(other))
    }
}

/// `GET /connections/{id}/oauth-clients/{client}/secrets/{secret}/delete`
pub(crate) async fn show_delete_secret(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let id = page_request.path_parameter("secret");
    let secret = found.view.secrets.iter().find(|secret| secret.id == id).cloned().ok_or(PageError::NotFound)?;
    let layout = found.connection.layout(&admin.signed, texts::credentials::DELETE_SECRET);
    let ClientOnPage { connection, view } = found;
    Ok(render_page(200, &DeleteOauthSecretPage { layout, connection, view, secret }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteSecretForm {}

/// `POST /connections/{id}/oauth-clients/{client}/secrets/{secret}/delete`
pub(crate) async fn delete_secret(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let DeleteSecretForm {} = page_request.form(&admin.signed).await?;
    let found = ClientOnPage::read(&page_request, &admin.context.scope)?;
    let secret = page_request.path_parameter("secret");
    let (context, (id, client_id)) = (admin.context, found.ids());
    page_request.write(move |tx| management::delete_secret(tx, &context, (&id, &client_id), &secret)).await?;
    Ok(redirect_to(&format!("{}?done=secret-deleted", found.path())).finish())
}
