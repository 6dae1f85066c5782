//! The form for a new webhook.

use actix_web::HttpResponse;
use askama::Template;

use crate::clock;
use crate::delivery::sealing;
use crate::error::{Error, Reason};
use crate::management::webhooks::{self as management, NewWebhook, WebhookStart};
use crate::management::{accounts, sessions};
use crate::model::account::Account;
use crate::model::webhook::SignatureKind;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::texts;
use crate::web::portal::webhooks::WebhookAdmin;
use crate::web::portal::webhooks::form::{FormChoice, WebhookFields, WebhookForm};

/// Most accounts that the form suggests.
const SUGGESTED_ACCOUNTS: u32 = 200;

#[derive(Template)]
#[template(path = "portal/new_webhook.html")]
struct NewWebhookPage {
    layout: PageLayout,
    form: WebhookForm,
    accounts: Vec<Account>,
}

impl NewWebhookPage {
    /// A new webhook has no stored values.
    fn is_new() -> bool {
        true
    }

    fn starts() -> [FormChoice; 2] {
        WebhookForm::starts()
    }

    fn signatures() -> [FormChoice; 2] {
        WebhookForm::signatures()
    }
}

fn render_new_webhook(admin: &WebhookAdmin, page_request: &PageRequest, form: WebhookForm) -> PageResult {
    let scope = &admin.context.scope;
    let accounts = page_request.read_inline(|at| accounts::list_accounts(at, scope, None, SUGGESTED_ACCOUNTS))?;
    let layout = PageLayout::new(texts::webhooks::ADD_WEBHOOK, Some(&admin.signed), NavigationEntry::Webhooks);
    let status = if form.problems.is_empty() { 200 } else { 422 };
    Ok(render_page(status, &NewWebhookPage { layout, form, accounts }))
}

/// `GET /webhooks/new`
pub(crate) async fn show_new_webhook(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    page_request.read_inline(|at| management::require_access(at, &admin.context.scope))?;
    render_new_webhook(&admin, &page_request, WebhookForm::with_defaults())
}

/// `POST /webhooks/new`
pub(crate) async fn create_webhook(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    page_request.read_inline(|at| management::require_access(at, &admin.context.scope))?;
    let fields = page_request.form::<WebhookFields>(&admin.signed).await?;
    let mut form = WebhookForm { fields, problems: Vec::new() };
    let state = &page_request.state;
    let id = clock::new_id();
    let settings = form.read_settings(&state.server.outgoing, None);
    let headers = form.read_headers(&state.signing.key, &id, &[])?;
    let signature = form.value("signature").parse::<SignatureKind>();
    let has_backfill = form.is_chosen("start", "backfill");
    if signature.is_err() {
        form.add_problem("signature", texts::webhooks::CHOOSE_SIGNATURE);
    }
    if !has_backfill && !form.is_chosen("start", "latest") {
        form.add_problem("start", texts::webhooks::CHOOSE_START);
    }
    let (Ok(signature), true) = (signature, form.problems.is_empty()) else {
        return render_new_webhook(&admin, &page_request, form);
    };
    let key = sealing::create_key(&state.signing.key, &id, signature)?;
    let account = Some(form.value("account").trim().to_owned()).filter(|account| !account.is_empty());
    let new = NewWebhook {
        account: account.filter(|_| admin.signed.account.is_none()),
        key: key.key,
        start: WebhookStart::Latest,
        id,
        settings,
        headers,
        signature,
        has_backfill,
    };
    let created = match key.secret {
        Some(secret) => create_with_secret(&admin, &page_request, new, &secret).await?,
        None => create_with_key_pair(&admin, &page_request, new).await,
    };
    match created {
        Ok(response) => {
            page_request.state.delivery.notify_change();
            Ok(response)
        }
        Err(error) if error.reason() == Reason::AccountNotFound => {
            form.add_problem("account", texts::webhooks::ACCOUNT_UNKNOWN);
            render_new_webhook(&admin, &page_request, form)
        }
        Err(error) => {
            form.add_error(error)?;
            render_new_webhook(&admin, &page_request, form)
        }
    }
}

fn keys_path(id: &str) -> String {
    format!("/webhooks/{id}/keys?done=webhook-added")
}

/// Creates a webhook whose secret the next page displays.
async fn create_with_secret(
    admin: &WebhookAdmin,
    page_request: &PageRequest,
    new: NewWebhook,
    secret: &str,
) -> Result<Result<HttpResponse, Error>, PageError> {
    let (one_time, cookie) = one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &new.id, secret)?;
    let (context, path) = (admin.context.clone(), keys_path(&new.id));
    let written = page_request.write(move |tx| {
        sessions::create_with_one_time_secret(tx, &one_time, |tx| management::create_webhook(tx, &context, &new))
    });
    Ok(written.await.map(|_| redirect_to(&path).cookie(cookie).finish()))
}

/// Creates a webhook with a key pair, which has no secret to display.
async fn create_with_key_pair(
    admin: &WebhookAdmin,
    page_request: &PageRequest,
    new: NewWebhook,
) -> Result<HttpResponse, Error> {
    let (context, path) = (admin.context.clone(), keys_path(&new.id));
    let written = page_request.write(move |tx| management::create_webhook(tx, &context, &new));
    written.await.map(|_| redirect_to(&path).finish())
}
