//! Settings of one connection: name and provider, preset and switches, and the hold.

mod hold_form;
pub(crate) mod schemas;
mod switches;

use std::collections::BTreeMap;

use askama::Template;

use self::switches::{SWITCH_GROUPS, SwitchDifference, list_group_switches};
use crate::management::configuration_settings::{self, SettingsChange};
use crate::messages::render_message;
use crate::model::configuration::{ConfigurationSource, check_provider};
use crate::model::field_change::FieldChange;
use crate::model::names;
use crate::model::switches::{Preset, SwitchInput, SwitchRow};
use crate::providers::{self, PROVIDERS};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::Create;
use crate::web::state::AppState;

/// Values of the forms by field name.
type SettingsForm = BTreeMap<String, String>;

#[derive(Template)]
#[template(path = "portal/connection_settings.html")]
struct SettingsPage {
    layout: PageLayout,
    connection: ConnectionView,
    /// The chosen preset and what it would change, before it is applied.
    chosen_preset: Option<PresetChoice>,
    /// Values of the fields.
    fields: SettingsForm,
    problems: Vec<FormError>,
}

/// A preset that was chosen and is not applied yet.
struct PresetChoice {
    preset: Preset,
    differences: Vec<SwitchDifference>,
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

    fn groups() -> Vec<(&'static str, Vec<&'static SwitchRow>)> {
        SWITCH_GROUPS.iter().map(|(title, keys)| (*title, list_group_switches(keys))).collect()
    }

    /// Whether the stored value of a switch differs from that of the preset.
    fn is_changed(&self, key: &str) -> bool {
        let stored = &self.connection.overview.configuration.switches;
        switches::present_values(stored).get(key) != switches::present_values(&stored.preset.switches()).get(key)
    }

    fn hold_numbers() -> [hold_form::HoldNumber; 8] {
        hold_form::NUMBERS
    }

    fn presets() -> [(Preset, String); 5] {
        Preset::ALL.map(|preset| {
            let about = match preset {
                Preset::Standard => texts::connection_settings::PRESET_STANDARD.to_owned(),
                Preset::Strict => texts::connection_settings::PRESET_STRICT.to_owned(),
                _ => providers::list_names_with_preset(preset),
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
    let layout = connection.layout(&admin.signed, texts::labels::SETTINGS);
    let preview = values.get("part").is_some_and(|part| part == "preset") && problems.is_empty();
    let preset = values.get("preset").and_then(|key| key.parse::<Preset>().ok()).filter(|_| preview);
    let chosen_preset = preset.map(|preset| {
        let stored = &connection.overview.configuration.switches;
        PresetChoice { preset, differences: switches::list_differences(stored, &preset.switches()) }
    });
    Ok(render_page(status, &SettingsPage { layout, connection, chosen_preset, fields: values, problems }))
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
        _ => {
            return Err(PageError::Failed { status: 400, detail: texts::errors::FORM_OF_OTHER_VERSION.to_owned() });
        }
    };
    let is_unconfirmed = part == "preset" && !fields.contains_key("confirmed");
    let change = match asked {
        Ok(_) if is_unconfirmed => return settings_page(&admin, &page_request.state, &id, fields, Vec::new()),
        Ok(change) => change,
        Err(problems) => return settings_page(&admin, &page_request.state, &id, fields, problems),
    };
    let (context, target_id) = (admin.context.clone(), id.clone());
    let changed =
        page_request.write(move |tx| configuration_settings::change_settings(tx, &context, &target_id, &change)).await;
    match changed {
        Ok(_) => Ok(redirect_to(&format!("/connections/{id}/settings?done=saved")).finish()),
        Err(error) if error.is_about_input() => {
            let problems = vec![FormError { field, sentence: texts::labels::say_nothing_changed(&error) }];
            settings_page(&admin, &page_request.state, &id, fields, problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn parse_names(fields: &SettingsForm) -> Result<SettingsChange, Vec<FormError>> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let (name, provider) = (text("name"), text("provider"));
    let mut problems = Vec::new();
    if let Err(error) = names::check_name(texts::labels::THE_NAME, &name) {
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
    let problem =
        || vec![FormError { field: "preset", sentence: texts::connection_settings::CHOOSE_PRESET.to_owned() }];
    preset.map(|preset| SettingsChange { preset: Some(preset), ..SettingsChange::default() }).ok_or_else(problem)
}
