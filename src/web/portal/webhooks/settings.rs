//! The settings of a webhook.

use actix_web::HttpResponse;
use askama::Template;

use crate::management::webhooks::{self as management, WebhookChange};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::texts;
use crate::web::portal::webhooks::form::{WebhookFields, WebhookForm};
use crate::web::portal::webhooks::{WebhookAdmin, WebhookView};

#[derive(Template)]
#[template(path = "portal/webhook_settings.html")]
struct WebhookSettingsPage {
    layout: PageLayout,
    view: WebhookView,
    form: WebhookForm,
}

impl WebhookSettingsPage {
    /// Stored headers keep their values.
    fn is_new() -> bool {
        false
    }
}

fn render_settings(admin: &WebhookAdmin, view: WebhookView, form: WebhookForm) -> HttpResponse {
    let layout = view.layout(&admin.signed, texts::labels::SETTINGS);
    let status = if form.problems.is_empty() { 200 } else { 422 };
    render_page(status, &WebhookSettingsPage { layout, view, form })
}

/// `GET /webhooks/{id}/settings`
pub(crate) async fn show_settings(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "settings")?;
    let form = WebhookForm::of_webhook(&view.webhook);
    Ok(render_settings(&admin, view, form))
}

/// `POST /webhooks/{id}/settings`
pub(crate) async fn save_settings(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "settings")?;
    let fields = page_request.form::<WebhookFields>(&admin.signed).await?;
    let mut form = WebhookForm { fields, problems: Vec::new() };
    let state = &page_request.state;
    let settings = form.read_settings(&state.server.outgoing, Some(&view.webhook));
    let headers = form.read_headers(&state.signing.key, view.id(), &view.webhook.headers)?;
    if !form.problems.is_empty() {
        return Ok(render_settings(&admin, view, form));
    }
    let change = WebhookChange { settings: Some(settings), headers: Some(headers) };
    let (context, id) = (admin.context.clone(), view.id().to_owned());
    let written = page_request.write(move |tx| management::update_webhook(tx, &context, &id, &change));
    if let Err(error) = written.await {
        form.add_error(error)?;
        return Ok(render_settings(&admin, view, form));
    }
    state.delivery.notify_change();
    Ok(redirect_to(&format!("/webhooks/{}?done=saved", view.id())).finish())
}
