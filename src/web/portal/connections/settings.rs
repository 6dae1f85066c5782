//! Settings of one connection: name and provider, preset and switches, and its schema extensions.

mod hold_form;
mod switches;

use std::collections::BTreeMap;

use askama::Template;
use serde_json::Value;

use crate::error::ErrorKind;
use crate::management::configuration_settings::{self, SettingsChange};
use crate::management::schema_extensions::{self, NewExtension, StoredExtension};
use crate::messages::render_message;
use crate::model::configuration::{ConfigurationSource, check_provider};
use crate::model::field_change::FieldChange;
use crate::model::names;
use crate::model::switches::{Preset, SWITCHES, SwitchInput, SwitchRow};
use crate::providers::{self, PROVIDERS};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::required_permission::Create;
use crate::web::state::AppState;

/// Values of the forms by field name.
type SettingsForm = BTreeMap<String, String>;

#[derive(Template)]
#[template(path = "portal/connection_settings.html")]
struct SettingsPage {
    layout: PageLayout,
    connection: ConnectionView,
    extensions: Vec<StoredExtension>,
    /// Values of the fields.
    fields: SettingsForm,
    problems: Vec<FormError>,
}

impl SettingsPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.value(field) == value
    }

    fn switches() -> &'static [SwitchRow] {
        SWITCHES
    }

    fn hold_numbers() -> [hold_form::HoldNumber; 8] {
        hold_form::NUMBERS
    }

    fn presets() -> [(Preset, String); 5] {
        Preset::ALL.map(|preset| {
            let about = match preset {
                Preset::Standard => "the defaults".to_owned(),
                Preset::Strict => "what the standard leaves open is refused".to_owned(),
                _ => format!("for {}", providers::list_names_with_preset(preset)),
            };
            (preset, about)
        })
    }

    /// Whether the provider is a free name, which can be changed.
    fn is_named(&self) -> bool {
        self.connection.overview.configuration.source == ConfigurationSource::Other
    }

    fn provider_names() -> impl Iterator<Item = (&'static str, &'static str)> {
        PROVIDERS.iter().filter_map(|provider| Some((provider.provider?, provider.name)))
    }
}

/// Renders the page with the stored values; values in `fields` override them. 200 without errors, else 422.
fn settings_page(
    admin: &PermittedAdmin<Create>,
    state: &AppState,
    id: &str,
    fields: SettingsForm,
    problems: Vec<FormError>,
) -> PageResult {
    let connection = ConnectionView::find(state, &admin.context.scope, id, "settings")?;
    let extensions = state.store.read_inline(|at| schema_extensions::list_extensions(at, &admin.context.scope, id))?;
    let present = &connection.overview.configuration;
    let mut values =
        if fields.contains_key("pageMax") { SettingsForm::new() } else { switches::present_values(&present.switches) };
    if !fields.contains_key("windowMinutes") {
        values.extend(state.store.read_inline(|at| hold_form::read_present_values(at, &admin.context.scope, id))?);
    }
    values.insert("name".to_owned(), present.connection_name.clone());
    values.insert("provider".to_owned(), present.provider.clone().unwrap_or_default());
    values.insert("preset".to_owned(), present.switches.preset.as_str().to_owned());
    values.extend(fields);
    let status = if problems.is_empty() { 200 } else { 422 };
    let layout = connection.layout(&admin.signed, "Settings");
    Ok(render_page(status, &SettingsPage { layout, connection, extensions, fields: values, problems }))
}

/// `GET /connections/{id}/settings`
pub(crate) async fn show_settings(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    settings_page(&admin, &page_request.state, &page_request.path_parameter("id"), SettingsForm::new(), Vec::new())
}

/// `POST /connections/{id}/settings`: the field `part` names the form that was sent.
pub(crate) async fn save_settings(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let fields = page_request.form::<SettingsForm>(&admin.signed).await?;
    let part = fields.get("part").cloned().unwrap_or_default();
    let (asked, field) = match part.as_str() {
        "name" => (parse_names(&fields), "name"),
        "preset" => (parse_preset(&fields), "preset"),
        "switches" => {
            let changes = switches::read_changes(&fields);
            (changes.map(|switches| SettingsChange { switches, ..SettingsChange::default() }), "switches")
        }
        "hold" => (hold_form::read_changes(&fields), "windowMinutes"),
        _ => return Err(PageError::Failed { status: 400, detail: "This form is not one of ours.".to_owned() }),
    };
    let change = match asked {
        Ok(change) => change,
        Err(problems) => return settings_page(&admin, &page_request.state, &id, fields, problems),
    };
    let (context, target_id) = (admin.context.clone(), id.clone());
    let changed =
        page_request.write(move |tx| configuration_settings::change_settings(tx, &context, &target_id, &change)).await;
    match changed {
        Ok(_) => Ok(redirect_to(&format!("/connections/{id}/settings?done=saved")).finish()),
        Err(error) if error.is_about_input() => {
            let problems =
                vec![FormError { field, sentence: format!("Nothing was changed: {}.", render_message(&error)) }];
            settings_page(&admin, &page_request.state, &id, fields, problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn parse_names(fields: &SettingsForm) -> Result<SettingsChange, Vec<FormError>> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let (name, provider) = (text("name"), text("provider"));
    let mut problems = Vec::new();
    if let Err(error) = names::check_name("The name", &name) {
        problems.push(FormError { field: "name", sentence: render_message(&error) });
    }
    if !provider.is_empty()
        && let Err(error) = check_provider(&provider)
    {
        problems.push(FormError { field: "provider", sentence: render_message(&error) });
    }
    let provider = match fields.contains_key("provider") {
        false => FieldChange::Keep,
        true if provider.is_empty() => FieldChange::Clear,
        true => FieldChange::Set(provider),
    };
    let change = SettingsChange { connection_name: Some(name), provider, ..SettingsChange::default() };
    if problems.is_empty() { Ok(change) } else { Err(problems) }
}

fn parse_preset(fields: &SettingsForm) -> Result<SettingsChange, Vec<FormError>> {
    let preset = fields.get("preset").and_then(|key| key.parse::<Preset>().ok());
    let problem = || vec![FormError { field: "preset", sentence: "Choose one of the presets.".to_owned() }];
    preset.map(|preset| SettingsChange { preset: Some(preset), ..SettingsChange::default() }).ok_or_else(problem)
}

/// `POST /connections/{id}/schemas`: adds a schema.
pub(crate) async fn add_schema(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let fields = page_request.form::<SettingsForm>(&admin.signed).await?;
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let refused = |fields, sentence| {
        settings_page(&admin, &page_request.state, &id, fields, vec![FormError { field: "document", sentence }])
    };
    let document: Value = match serde_json::from_str(&text("document")) {
        Ok(document) => document,
        Err(problem) => return refused(fields, format!("The schema is not valid JSON: {problem}.")),
    };
    let new = NewExtension { resource_type: text("resource_type"), required: text("required") == "on", document };
    let (context, target_id) = (admin.context.clone(), id.clone());
    match page_request.write(move |tx| schema_extensions::add_extension(tx, &context, &target_id, &new)).await {
        Ok(_) => Ok(redirect_to(&format!("/connections/{id}/settings?done=schema-added")).finish()),
        Err(error) if error.is_about_input() => refused(fields, format!("Not added: {}.", render_message(&error))),
        Err(error) => Err(error.into()),
    }
}

/// `POST /connections/{id}/schemas/remove`
pub(crate) async fn remove_schema(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let fields = page_request.form::<SettingsForm>(&admin.signed).await?;
    let urn = fields.get("urn").cloned().unwrap_or_default();
    let purge = fields.get("purge").is_some_and(|purge| purge == "on");
    let (context, target_id) = (admin.context.clone(), id.clone());
    match page_request.write(move |tx| schema_extensions::delete_extension(tx, &context, &target_id, &urn, purge)).await
    {
        Ok(()) => Ok(redirect_to(&format!("/connections/{id}/settings?done=schema-removed")).finish()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let problems =
                vec![FormError { field: "schemas", sentence: format!("Not removed: {}.", render_message(&error)) }];
            settings_page(&admin, &page_request.state, &id, SettingsForm::new(), problems)
        }
        Err(error) => Err(error.into()),
    }
}
