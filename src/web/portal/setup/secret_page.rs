//! The page of a setup link that replaces the secret of an OAuth client: a new secret, its first use, and the deletion of the old one.

use std::borrow::Cow;

use askama::Template;
use serde::Deserialize;

use crate::auth::secret::{self, BearerToken};
use crate::clock::{self, Millis};
use crate::diagnosis::connection_status::format_ago;
use crate::error::{Error, Reason};
use crate::management::oauth::SecretDraft;
use crate::management::setup_link_holder::replaced_secret::{self, ReplacedSecret};
use crate::management::setup_link_holder::{self, OpenLink};
use crate::model::oauth::{ClientAuthentication, ClientSecret, SECRET_LIFETIME_DEFAULT};
use crate::providers::IdentityProvider;
use crate::providers::credentials::{CredentialAdvice, CredentialMethod};
use crate::store::Tx;
use crate::web::portal::connections::oauth_clients::form::SECRET_LIFETIMES;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, hide_url, redirect_to, render_page};
use crate::web::portal::setup::brand::{BrandView, LinkFrame};
use crate::web::portal::setup::created_secret::{created_cookie, read_created};
use crate::web::portal::setup::link_request::{
    form_token, link_holder, link_secret_in_path, page_path, record_link_owner,
};
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;

/// Interval in seconds at which a script updates the page while the first use is expected.
const REFRESH_SECONDS: u32 = 2;

#[derive(Template)]
#[template(path = "portal/setup_secret.html")]
struct ReplaceSecretPage {
    layout: PageLayout,
    brand: BrandView,
    frame: LinkFrame,
    /// The secret in the URL.
    secret: String,
    form_token: String,
    provider: &'static IdentityProvider,
    /// Names and location of the fields at the provider.
    advice: CredentialAdvice,
    /// `None` if the client was deleted or disabled since the link was created.
    replaced: Option<ReplacedSecret>,
    /// How many secrets the link can still create.
    left: u32,
    form: LinkSecretForm,
    problems: Vec<FormError>,
    /// Whether another secret was asked for.
    is_asked: bool,
    /// The new secret, while it can be shown.
    text: Option<String>,
    now: Millis,
}

impl ReplaceSecretPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn lifetimes() -> [(u32, &'static str); 6] {
        SECRET_LIFETIMES
    }

    /// Whether the new secret is not in use yet.
    fn is_waiting(&self) -> bool {
        self.layout.refresh.is_some()
    }

    /// Whether the page has the form for a new secret.
    fn has_form(&self) -> bool {
        let has_none = self.replaced.as_ref().is_some_and(|replaced| replaced.new.is_none() && replaced.has_room());
        let has_room = self.replaced.as_ref().is_some_and(ReplacedSecret::has_room);
        self.left > 0 && (has_none || self.is_asked && has_room)
    }

    /// URL of the page with the form for another secret.
    fn form_path(&self) -> String {
        format!("{}?method=secret#step-create", page_path(&self.secret))
    }

    fn last_used(&self, secret: &ClientSecret) -> Cow<'static, str> {
        secret.last_used_at.map_or(Cow::Borrowed(texts::setup::SECRET_NEVER_USED), |at| {
            Cow::Owned(texts::setup::say_last_used(&format_ago(self.now - at)))
        })
    }

    fn end(secret: &ClientSecret) -> PageTime {
        PageTime::from_millis(secret.expires_at)
    }
}

/// The form of a new secret.
#[derive(Deserialize)]
#[serde(default)]
struct LinkSecretForm {
    #[serde(rename = "secretExpiresIn")]
    expires_in: String,
}

impl Default for LinkSecretForm {
    fn default() -> Self {
        Self { expires_in: SECRET_LIFETIME_DEFAULT.to_string() }
    }
}

impl LinkSecretForm {
    /// The chosen lifetime in seconds; `None` if it is none of those to choose from.
    fn lifetime(&self) -> Option<u32> {
        let given = self.expires_in.parse().ok();
        given.filter(|seconds| SECRET_LIFETIMES.iter().any(|(option, _)| option == seconds))
    }

    fn is_chosen(&self, seconds: u32) -> bool {
        self.lifetime() == Some(seconds)
    }
}

/// What decides about the form of the page.
pub(super) struct SecretInput {
    form: LinkSecretForm,
    problems: Vec<FormError>,
    is_asked: bool,
}

impl SecretInput {
    /// An empty form. `is_asked`: it is for another secret, although the link has created one.
    pub(super) fn new(is_asked: bool) -> Self {
        Self { form: LinkSecretForm::default(), problems: Vec::new(), is_asked }
    }

    fn refused(form: LinkSecretForm, sentence: String) -> Self {
        Self { form, problems: vec![FormError { field: "secretExpiresIn", sentence }], is_asked: true }
    }
}

/// The page of an open link that replaces a secret.
pub(super) fn show_secret_page(
    page_request: &PageRequest,
    secret: &str,
    found: &OpenLink,
    input: SecretInput,
) -> PageResult {
    let (brand, frame) = (BrandView::read(&page_request.state)?, LinkFrame::read(&page_request.state, found)?);
    let (now, provider) = (clock::current_millis(), found.provider());
    let replaced = found.replaced_secret(now);
    let is_own = |text: &str| {
        let new = replaced.as_ref().and_then(|replaced| replaced.new.as_ref());
        text.starts_with(secret::CLIENT_SECRET_PREFIX) && new.is_some_and(|new| text.ends_with(&new.hint))
    };
    let (text, until) = read_created(page_request, secret).filter(|(text, _)| is_own(text)).unzip();
    let mut layout =
        PageLayout::new(texts::setup::title_replace_secret(provider.name), None, NavigationEntry::NoSection);
    layout.visible_until = until.map(PageTime::from_millis);
    let is_waiting = replaced.as_ref().is_some_and(|replaced| !replaced.is_new_used());
    layout.refresh = is_waiting.then_some(REFRESH_SECONDS);
    let page = ReplaceSecretPage {
        layout,
        brand,
        frame,
        secret: secret.to_owned(),
        form_token: form_token(secret),
        provider,
        advice: provider.advise_method(CredentialMethod::Client(ClientAuthentication::Secret)),
        replaced,
        left: found.credentials_left(),
        form: input.form,
        problems: input.problems,
        is_asked: input.is_asked,
        text,
        now,
    };
    let status = if page.problems.is_empty() { 200 } else { 422 };
    Ok(hide_url(render_page(status, &page)))
}

/// `POST /s/{secret}/client-secret`: creates a secret, shown in this browser for a few minutes.
pub(crate) async fn make_secret(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    let form = page_request.form_with_token::<LinkSecretForm>(&form_token(&secret)).await?;
    let found =
        page_request.read_inline(|at| setup_link_holder::find_open_link(at, &digest, clock::current_millis()))?;
    record_link_owner(&page_request, &found);
    let Some(lifetime) = form.lifetime() else {
        let input = SecretInput::refused(form, texts::credentials::CHOOSE_SECRET_END.to_owned());
        return show_secret_page(&page_request, &secret, &found, input);
    };
    let text = BearerToken::generate_client_secret().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let cookie = created_cookie(&page_request.state.server, &secret, &text)?;
    let draft = SecretDraft::new(&text, texts::setup::FROM_SETUP_LINK, SecretDraft::requested_lifetime(lifetime));
    let holder = link_holder(&page_request.request);
    let create = move |tx: &Tx<'_>| replaced_secret::create_secret(tx, &holder, &digest, &draft);
    match page_request.write(create).await {
        Ok(()) => Ok(hide_url(redirect_to(&page_path(&secret)).cookie(cookie).finish())),
        Err(error) if error.reason() == Reason::ExpiryBeyondCaller => {
            let sentence = texts::setup::CHOOSE_EARLIER_END.to_owned();
            show_secret_page(&page_request, &secret, &found, SecretInput::refused(form, sentence))
        }
        Err(error) => Err(error.into()),
    }
}
