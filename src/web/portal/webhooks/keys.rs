//! The keys of a webhook: the new secret, rotation, and code that verifies requests.

use askama::Template;
use serde::Deserialize;

use crate::delivery::sealing;
use crate::error::{Error, Reason};
use crate::management::sessions;
use crate::management::webhooks as management;
use crate::model::webhook::{SignatureKind, WebhookFormat, WebhookKey};
use crate::store::Tx;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;
use crate::web::portal::webhooks::code_samples::{CodeSample, list_samples};
use crate::web::portal::webhooks::{WebhookAdmin, WebhookView};

/// Times for which an earlier key stays valid, with their labels.
const OVERLAPS: [(&str, &str); 4] = [
    ("24h", texts::labels::HOURS_24),
    ("7d", texts::labels::DAYS_7),
    ("1h", texts::labels::ONE_HOUR),
    ("0", texts::webhooks::OVERLAP_NONE),
];

/// A key in the list.
struct KeyLine {
    id: String,
    public: Option<String>,
    since: PageTime,
    /// `None` for the current key.
    end: Option<PageTime>,
}

impl From<WebhookKey> for KeyLine {
    fn from(key: WebhookKey) -> Self {
        Self {
            id: key.id,
            public: key.public,
            since: PageTime::from_millis(key.created_at),
            end: key.expires_at.map(PageTime::from_millis),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/webhook_keys.html")]
struct WebhookKeysPage {
    layout: PageLayout,
    view: WebhookView,
    /// The secret, while it can be shown.
    secret: Option<String>,
    keys: Vec<KeyLine>,
    samples: Vec<CodeSample>,
    problems: Vec<FormError>,
}

impl WebhookKeysPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn overlaps() -> [(&'static str, &'static str); 4] {
        OVERLAPS
    }

    fn has_key_pair(&self) -> bool {
        self.view.webhook.signature == SignatureKind::Ed25519
    }

    fn is_frontegg(&self) -> bool {
        self.view.webhook.settings.format == WebhookFormat::Frontegg
    }

    fn is_token(&self) -> bool {
        self.view.webhook.settings.format == WebhookFormat::Set
    }
}

fn render_keys(
    admin: &WebhookAdmin,
    page_request: &PageRequest,
    view: WebhookView,
    problems: Vec<FormError>,
) -> PageResult {
    let keys = page_request.read_inline(|at| management::list_keys(at, &view.webhook, view.now))?;
    let secret = one_time_secrets::reveal_secret(page_request, &admin.signed, view.id())?;
    let samples = list_samples(&view.webhook, keys.first().and_then(|key| key.public.as_deref()));
    let mut layout = view.layout(&admin.signed, texts::webhooks::KEYS);
    layout.visible_until = one_time_secrets::find_end(page_request, &admin.signed)?;
    let status = if problems.is_empty() { 200 } else { 422 };
    let keys = keys.into_iter().map(KeyLine::from).collect();
    Ok(render_page(status, &WebhookKeysPage { layout, view, secret, keys, samples, problems }))
}

/// `GET /webhooks/{id}/keys`: the keys, with a new secret for five minutes after it was created.
pub(crate) async fn list_keys(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "keys")?;
    render_keys(&admin, &page_request, view, Vec::new())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RotationForm {
    overlap: String,
}

/// `POST /webhooks/{id}/keys`: adds a key, which replaces the current one.
pub(crate) async fn rotate_key(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "keys")?;
    let form = page_request.form::<RotationForm>(&admin.signed).await?;
    let overlap = match sealing::parse_overlap(&form.overlap) {
        Ok(overlap) => overlap,
        Err(error) => {
            let problems = vec![FormError { field: "overlap", sentence: render_sentence(&error) }];
            return render_keys(&admin, &page_request, view, problems);
        }
    };
    let state = &page_request.state;
    let new = sealing::create_key(&state.signing.key, view.id(), view.webhook.signature)?;
    let mut response = redirect_to(&format!("/webhooks/{}/keys?done=key-added", view.id()));
    let sealed = new
        .secret
        .map(|secret| one_time_secrets::seal_secret(&state.server, &admin.signed, view.id(), &secret))
        .transpose()?;
    let one_time = sealed.map(|(one_time, cookie)| {
        response.cookie(cookie);
        one_time
    });
    let (context, id, key) = (admin.context, view.id().to_owned(), new.key);
    let rotate = move |tx: &Tx<'_>| management::rotate_key(tx, &context, &id, (&key, overlap));
    let written = page_request.write(move |tx: &Tx<'_>| match &one_time {
        Some(secret) => sessions::create_with_one_time_secret(tx, secret, &rotate),
        None => rotate(tx),
    });
    written.await?;
    state.delivery.notify_change();
    Ok(response.finish())
}

#[derive(Deserialize)]
struct EmptyKeyForm {}

/// `POST /webhooks/{id}/keys/{key}/remove`: an earlier key signs no more requests.
pub(crate) async fn remove_key(admin: WebhookAdmin, page_request: PageRequest) -> PageResult {
    let view = WebhookView::read(&page_request, &admin.context.scope, "keys")?;
    page_request.form::<EmptyKeyForm>(&admin.signed).await?;
    let (context, id, key) = (admin.context, view.id().to_owned(), page_request.path_parameter("key"));
    let removed = page_request.write(move |tx| {
        // The page offers this for an earlier key only. The current one is replaced.
        let webhook = management::find_webhook(tx, &context.scope, &id)?;
        let current = management::list_keys(tx, &webhook, tx.now)?.first().is_some_and(|first| first.id == key);
        if current { Err(Error::from(Reason::WebhookLastKey)) } else { management::delete_key(tx, &context, &id, &key) }
    });
    removed.await?;
    page_request.state.delivery.notify_change();
    Ok(redirect_to(&format!("/webhooks/{}/keys?done=key-removed", view.id())).finish())
}
