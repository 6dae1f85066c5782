//! Pages about webhooks: the list, the form, one webhook with its lanes, keys and attempts.

pub(crate) mod alerts;
pub(crate) mod attempts;
pub(crate) mod code_samples;
pub(crate) mod create;
pub(crate) mod form;
pub(crate) mod keys;
pub(crate) mod lane_pages;
pub(crate) mod list;
pub(crate) mod overview;
pub(crate) mod request_view;
pub(crate) mod settings;

use crate::clock::{self, Millis};
use crate::management::accounts::account_names::AccountNames;
use crate::management::webhooks as management;
use crate::management::webhooks::deliveries::WebhookSummary;
use crate::model::audit_context::AccountScope;
use crate::model::webhook::{Webhook, WebhookState, mask_url};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::required_permission::Webhooks;

/// A signed-in admin who may manage webhooks.
pub(crate) type WebhookAdmin = PermittedAdmin<Webhooks>;

/// The webhook of a page.
pub(crate) struct WebhookView {
    pub(crate) webhook: Webhook,
    /// The account whose events it gets; `None` for all.
    account: Option<AccountLabel>,
    pub(crate) now: Millis,
    /// Key of the current tab.
    pub(crate) tab: &'static str,
}

impl WebhookView {
    /// Reads the webhook in the path.
    ///
    /// # Errors
    /// `NotFound` if there is none within the scope of the admin. 403 while webhooks of accounts are off.
    pub(crate) fn read(page_request: &PageRequest, scope: &AccountScope, tab: &'static str) -> Result<Self, PageError> {
        let id = page_request.path_parameter("id");
        let (webhook, account) = page_request.read_inline(|at| {
            let webhook = management::find_webhook(at, scope, &id)?;
            let names = AccountNames::read(at, &webhook.account)?;
            let account = webhook.account.as_ref().map(|account| AccountLabel::find(&names, account));
            Ok((webhook, account))
        })?;
        Ok(Self { webhook, account, now: clock::current_millis(), tab })
    }

    pub(crate) fn id(&self) -> &str {
        &self.webhook.id
    }

    pub(crate) fn name(&self) -> String {
        webhook_name(&self.webhook)
    }

    /// The URL without parts that may be secret.
    pub(crate) fn url(&self) -> String {
        mask_url(&self.webhook.settings.url)
    }

    /// The layout of one of its pages; an empty title stands for the name of the webhook.
    pub(crate) fn layout(&self, signed: &SignedIn, title: &str) -> PageLayout {
        let title = if title.is_empty() { self.name() } else { format!("{title} · {}", self.name()) };
        PageLayout::new(title, Some(signed), NavigationEntry::Webhooks)
    }
}

/// The description of a webhook, or the host of its URL.
pub(crate) fn webhook_name(webhook: &Webhook) -> String {
    let description = webhook.settings.description.trim();
    if !description.is_empty() {
        return description.to_owned();
    }
    let url = webhook.settings.parse_url();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| texts::labels::WEBHOOK.to_owned())
}

/// Class and label of the state of a webhook.
pub(crate) fn describe_state(summary: &WebhookSummary) -> (&'static str, &'static str) {
    match summary.webhook.state {
        WebhookState::Active if summary.stopped_lanes > 0 => ("failing", texts::labels::STOPPED),
        WebhookState::Active if summary.retrying_lanes > 0 => ("quiet", texts::webhooks::RETRYING),
        WebhookState::Active => ("live", texts::labels::ACTIVE),
        WebhookState::Paused => ("paused", texts::labels::PAUSED),
        WebhookState::Disabled => ("failing", texts::labels::DISABLED),
    }
}
