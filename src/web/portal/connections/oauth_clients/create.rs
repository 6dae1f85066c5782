//! The form for a new OAuth client.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::management::{oauth as management, sessions};
use crate::model::oauth::ClientAuthentication;
use crate::providers::IdentityProvider;
use crate::providers::credentials::{CredentialAdvice, CredentialMethod};
use crate::web::portal::connections::oauth_clients::form::{OauthClientFields, OauthClientForm};
use crate::web::portal::connections::oauth_clients::{client_path, secret_context};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::required_permission::MintTokens;

#[derive(Template)]
#[template(path = "portal/new_oauth_client.html")]
struct NewOauthClientPage {
    layout: PageLayout,
    connection: ConnectionView,
    advice: CredentialAdvice,
    form: OauthClientForm,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MethodQuery {
    method: String,
}

/// The authentication with this key, or the first that is advised for the provider, or a secret.
pub(crate) fn choose_authentication(key: &str, provider: &IdentityProvider) -> ClientAuthentication {
    let given = CredentialMethod::from_key(key);
    let advised = provider.credentials.iter().map(|advice| advice.method);
    let clients = given.into_iter().chain(advised).filter_map(|method| match method {
        CredentialMethod::Client(authentication) => Some(authentication),
        CredentialMethod::Token => None,
    });
    clients.into_iter().next().unwrap_or(ClientAuthentication::Secret)
}

fn render_new_client(
    admin: &PermittedAdmin<MintTokens>,
    connection: ConnectionView,
    form: OauthClientForm,
) -> HttpResponse {
    let method = CredentialMethod::from_key(form.method()).unwrap_or(CredentialMethod::Token);
    let layout = connection.layout(&admin.signed, method.label());
    let advice = connection.overview.provider.advise_method(method);
    let status = if form.problems.is_empty() { 200 } else { 422 };
    render_page(status, &NewOauthClientPage { layout, connection, advice, form })
}

/// `GET /connections/{id}/oauth-clients/new`
pub(crate) async fn show_new_client(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "tokens")?;
    let query: MethodQuery = page_request.query().unwrap_or_default();
    let provider = connection.overview.provider;
    let form = OauthClientForm::with_defaults(choose_authentication(&query.method, provider), provider.name);
    Ok(render_new_client(&admin, connection, form))
}

/// `POST /connections/{id}/oauth-clients/new`
pub(crate) async fn create_client(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<OauthClientFields>(&admin.signed).await?;
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "tokens")?;
    let method = fields.get("method").map_or("", String::as_str);
    let mut form = OauthClientForm::new(choose_authentication(method, connection.overview.provider), fields);
    let server = &page_request.state.server;
    let Some(draft) = form.read_draft(&server.outgoing)? else {
        return Ok(render_new_client(&admin, connection, form));
    };
    let (new, context, id) = (draft.client, admin.context.clone(), connection.id().to_owned());
    let path = format!("{}?done=client-added", client_path(&id, &new.client_id));
    let written = if let Some(secret) = &draft.secret {
        let sealed_for = secret_context(&new.client_id);
        let (one_time, cookie) = one_time_secrets::seal_secret(server, &admin.signed, &sealed_for, secret.reveal())?;
        let written = page_request.write(move |tx| {
            sessions::create_with_one_time_secret(tx, &one_time, |tx| {
                management::create_client(tx, &context, &id, &new)
            })
        });
        written.await.map(|_| redirect_to(&path).cookie(cookie).finish())
    } else {
        let written = page_request.write(move |tx| management::create_client(tx, &context, &id, &new));
        written.await.map(|_| redirect_to(&path).finish())
    };
    match written {
        Ok(response) => Ok(response),
        Err(error) => {
            form.add_error(error)?;
            Ok(render_new_client(&admin, connection, form))
        }
    }
}
