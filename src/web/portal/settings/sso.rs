//! Settings of the OpenID provider. An admin who changes them decides who can sign in as any admin, so the page needs
//! all permissions.

use std::collections::BTreeMap;

use askama::Template;

use crate::auth::jwt::SigningKey;
use crate::auth::secret;
use crate::error::{Error, ErrorKind};
use crate::management::roles;
use crate::management::sso as agreed;
use crate::management::sso::{SsoSecretChange, StoredProvider};
use crate::model::admin::{OWNER, Role};
use crate::model::sso::ProviderConfiguration;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::{SystemAdmin, check_within_own_permissions};
use crate::web::portal::texts;
use crate::web::sso_provider::{self, redirect_uri};
use crate::web::state::AppState;

/// Values of the form by field name.
type SsoForm = BTreeMap<String, String>;

/// Longest accepted client secret, in bytes.
const SECRET_MAX_BYTES: usize = 1024;

#[derive(Template)]
#[template(path = "portal/sso_settings.html")]
struct SsoPage {
    layout: PageLayout,
    tab: &'static str,
    redirect_uri: String,
    /// Whether a provider is stored, and whether its client has a secret.
    is_stored: bool,
    has_secret: bool,
    /// Whether the server settings, and not this page, name the provider.
    is_set_at_startup: bool,
    fields: SsoForm,
    /// Roles that sign-in may assign.
    roles: Vec<Role>,
    problems: Vec<FormError>,
}

impl SsoPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.value(field) == value
    }

    fn read(
        admin: &SystemAdmin,
        state: &AppState,
        fields: SsoForm,
        problems: Vec<FormError>,
    ) -> Result<Self, PageError> {
        let stored = sso_provider::load_configuration(state)?;
        let mut roles = state.store.read_inline(roles::list_roles)?;
        roles.retain(|role| role.id != OWNER);
        let layout = PageLayout::new(texts::settings::SSO, Some(&admin.signed), NavigationEntry::Settings);
        Ok(Self {
            layout,
            tab: "sso",
            redirect_uri: redirect_uri(&state.server),
            is_stored: stored.is_some(),
            is_set_at_startup: state.server.settings.sso.is_some(),
            has_secret: stored.is_some_and(|stored| stored.client_secret.is_some()),
            fields,
            roles,
            problems,
        })
    }
}

/// Rejects admins without all permissions: an admin who names the provider could let it confirm an owner.
///
/// # Errors
/// 403 if a built-in role has a permission that the admin lacks.
pub(crate) fn check_all_permissions(admin: &SystemAdmin) -> Result<(), PageError> {
    crate::model::admin::built_in_roles().iter().try_for_each(|role| check_within_own_permissions(admin, role))
}

/// `GET /settings/sso`
pub(crate) async fn show_sso_settings(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let provider_configuration = sso_provider::load_configuration(&page_request.state)?
        .map_or_else(ProviderConfiguration::defaults, |stored| stored.provider_configuration);
    Ok(render_page(200, &SsoPage::read(&admin, &page_request.state, sso_form(&provider_configuration), Vec::new())?))
}

fn sso_form(provider_configuration: &ProviderConfiguration) -> SsoForm {
    let tick = |is: bool| if is { "on".to_owned() } else { String::new() };
    let lines: Vec<String> =
        provider_configuration.roles.iter().map(|(value, role)| format!("{value} = {role}")).collect();
    let fields = [
        ("is_on", tick(provider_configuration.is_on)),
        ("issuer", provider_configuration.issuer.clone()),
        ("client_id", provider_configuration.client_id.clone()),
        ("scopes", provider_configuration.scopes.clone()),
        ("label", provider_configuration.label.clone()),
        ("only", tick(provider_configuration.passwords_for_owners_only)),
        ("trusts_emails", tick(provider_configuration.trusts_emails)),
        ("adds_people", tick(provider_configuration.adds_admins)),
        ("domains", provider_configuration.domains.join(" ")),
        ("default_role", provider_configuration.default_role.clone().unwrap_or_default()),
        ("required_acr", provider_configuration.required_acr.join(" ")),
        ("required_amr", provider_configuration.required_amr.join(" ")),
        ("role_claim", provider_configuration.role_claim.clone()),
        ("roles", lines.join("\n")),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Reads the form: the configuration of the provider, and an error for each line of the role table that cannot be parsed.
fn parse_provider_configuration(fields: &SsoForm) -> (ProviderConfiguration, Vec<FormError>) {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let is = |name: &str| text(name) == "on";
    let separators = [',', ';', ' ', '\n', '\r', '\t'];
    let table = text("roles");
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut roles, mut problems) = (Vec::new(), Vec::new());
    for line in lines {
        match line.rsplit_once('=').map(|(value, role)| (value.trim(), role.trim())) {
            Some((value, role)) if !value.is_empty() && !role.is_empty() => {
                roles.push((value.to_owned(), role.to_owned()));
            }
            _ => {
                let sentence = texts::settings::say_line_invalid(line);
                problems.push(FormError { field: "roles", sentence });
            }
        }
    }
    let values = |name: &str| text(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let domains = text("domains").to_lowercase();
    let provider_configuration = ProviderConfiguration {
        is_on: is("is_on"),
        issuer: text("issuer"),
        client_id: text("client_id"),
        scopes: text("scopes"),
        label: text("label"),
        passwords_for_owners_only: is("only"),
        trusts_emails: is("trusts_emails"),
        adds_admins: is("adds_people"),
        domains: domains.split(separators).filter(|domain| !domain.is_empty()).map(str::to_owned).collect(),
        default_role: Some(text("default_role")).filter(|role| !role.is_empty()),
        required_acr: values("required_acr"),
        required_amr: values("required_amr"),
        role_claim: text("role_claim"),
        roles,
    };
    (provider_configuration, problems)
}

/// Reads the client secret of the form. A stored secret belongs to one client of one issuer and is never sent to
/// another.
fn parse_client_secret(
    fields: &SsoForm,
    provider_configuration: &ProviderConfiguration,
    stored: Option<&StoredProvider>,
    key: &SigningKey,
) -> Result<SsoSecretChange, FormError> {
    let refused = |sentence: &str| FormError { field: "client_secret", sentence: sentence.to_owned() };
    let typed = fields.get("client_secret").map_or("", |text| text.trim());
    if fields.get("no_secret").is_some_and(|value| value == "on") {
        return Ok(SsoSecretChange::None);
    }
    if typed.is_empty() {
        let current = stored.filter(|stored| stored.client_secret.is_some());
        let Some(current) = current else { return Err(refused(texts::settings::GIVE_CLIENT_SECRET)) };
        let is_same = current.provider_configuration.issuer == provider_configuration.issuer
            && current.provider_configuration.client_id == provider_configuration.client_id;
        let sentence = texts::settings::GIVE_CLIENT_SECRET_AGAIN;
        return if is_same { Ok(SsoSecretChange::Unchanged) } else { Err(refused(sentence)) };
    }
    if typed.len() > SECRET_MAX_BYTES || typed.chars().any(char::is_control) {
        return Err(refused(texts::settings::CLIENT_SECRET_TOO_LONG));
    }
    let random = secret::random_bytes().map_err(|_| refused(texts::settings::NO_RANDOM_NUMBERS))?;
    let sealed = sso_provider::client_secret_sealer(key, &provider_configuration.issuer)
        .seal(&random, typed.as_bytes().to_vec());
    sealed.map(SsoSecretChange::New).ok_or_else(|| refused(texts::settings::NOT_STORED))
}

/// `POST /settings/sso`
pub(crate) async fn save_sso_settings(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let mut fields = page_request.form::<SsoForm>(&admin.signed).await?;
    check_all_permissions(&admin)?;
    let stored = sso_provider::load_configuration(&page_request.state)?;
    let (mut provider_configuration, mut problems) = parse_provider_configuration(&fields);
    if let Some(given) = &page_request.state.server.settings.sso {
        provider_configuration = sso_provider::apply_settings(provider_configuration, given);
        fields.insert("no_secret".to_owned(), "on".to_owned());
    }
    if let Err(sentence) = check_issuer(&page_request.state, &provider_configuration.issuer) {
        problems.push(FormError { field: "issuer", sentence: texts::settings::say_issuer_refused(&sentence) });
    }
    problems.extend(provider_configuration.field_errors().iter().map(form_error));
    let client_secret =
        parse_client_secret(&fields, &provider_configuration, stored.as_ref(), &page_request.state.signing.key);
    // The secret is never sent back to the browser.
    fields.remove("client_secret");
    let client_secret = client_secret.map_err(|problem| problems.push(problem));
    let (Ok(client_secret), true) = (client_secret, problems.is_empty()) else {
        return Ok(render_page(422, &SsoPage::read(&admin, &page_request.state, fields, problems)?));
    };
    let context = admin.context.clone();
    match page_request
        .write(move |tx| agreed::save_provider(tx, &context, &provider_configuration, client_secret.clone()))
        .await
    {
        Ok(()) => Ok(redirect_to("/settings/sso?done=saved").finish()),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            Ok(render_page(422, &SsoPage::read(&admin, &page_request.state, fields, vec![form_error(&error)])?))
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that the server may call this issuer.
fn check_issuer(state: &AppState, issuer: &str) -> Result<(), String> {
    let url = issuer.parse().map_err(texts::settings::explain_issuer_not_url)?;
    sso_provider::outgoing_rules(state, issuer).check_url(&url).map_err(|refused| refused.to_string())
}

/// Puts a refusal at its field of the form.
fn form_error(error: &Error) -> FormError {
    let fields = [
        "client_id",
        "label",
        "scopes",
        "domains",
        "required_acr",
        "required_amr",
        "default_role",
        "role_claim",
        "roles",
        "only",
    ];
    let field = fields.into_iter().find(|field| error.field() == Some(field)).unwrap_or("issuer");
    FormError { field, sentence: texts::labels::say_not_saved(error) }
}

/// `POST /settings/sso/remove`
pub(crate) async fn remove_provider(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<SsoForm>(&admin.signed).await?;
    check_all_permissions(&admin)?;
    let context = admin.context;
    page_request.write(move |tx| agreed::remove_provider(tx, &context)).await?;
    Ok(redirect_to("/settings/sso?done=sso-removed").finish())
}
