//! Settings of one connection: its name and provider, its preset and switches, and the schemas it adds.

mod switches;

use std::collections::BTreeMap;

use askama::Template;
use serde_json::Value;

use self::switches::{Kind, SWITCHES, Switch};
use super::connection::Connection;
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Refusal, Shown, on_to, page};
use super::session::{Person, Visit};
use crate::directory::extensions::{self, NewExtension};
use crate::directory::settings::{self, SettingsChange};
use crate::error::Error;
use crate::model::change::Change;
use crate::model::configuration::{Source, check_name, check_provider};
use crate::model::provider::PROVIDERS;
use crate::model::switches::Preset;
use crate::store::Undo;
use crate::store::extensions::Extension;
use crate::web::access::Create;

/// What the forms of the page send, by name of the field.
type Fields = BTreeMap<String, String>;

#[derive(Template)]
#[template(path = "portal/connection_settings.html")]
struct SettingsPage {
    layout: Layout,
    connection: Connection,
    extensions: Vec<Extension>,
    /// What the fields show.
    fields: Fields,
    problems: Vec<Problem>,
}

impl SettingsPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.value(field) == value
    }

    fn switches() -> &'static [Switch] {
        &SWITCHES
    }

    fn presets() -> [(Preset, &'static str); 5] {
        Preset::ALL.map(|preset| {
            let about = match preset {
                Preset::Standard => "the defaults",
                Preset::Okta => "for Okta",
                Preset::Entra => "for Microsoft Entra ID",
                Preset::Idp => "for OneLogin, JumpCloud, Google, Ping and Rippling",
                Preset::Strict => "what the standard leaves open is refused",
            };
            (preset, about)
        })
    }

    /// Whether the provider has a name of its own, which may be changed.
    fn is_named(&self) -> bool {
        self.connection.one.configuration.source == Source::Other
    }

    fn provider_names() -> impl Iterator<Item = (&'static str, &'static str)> {
        PROVIDERS.iter().filter_map(|provider| Some((provider.provider?, provider.name)))
    }
}

/// The page with the present values; what `fields` holds comes before them.
fn settings_page(
    person: &Person<Create>,
    visit: (&crate::web::state::State, &str),
    fields: Fields,
    problems: Vec<Problem>,
) -> Shown {
    let (state, id) = visit;
    let connection = Connection::find(state, &person.by.reach, id, "settings")?;
    let extensions = state.store.read_inline(|at| extensions::list(at, &person.by.reach, id))?;
    let present = &connection.one.configuration;
    let mut shown = if fields.contains_key("pageMax") { Fields::new() } else { switches::present(&present.switches) };
    shown.insert("name".to_owned(), present.connection_name.clone());
    shown.insert("provider".to_owned(), present.provider.clone().unwrap_or_default());
    shown.insert("preset".to_owned(), present.switches.preset.as_str().to_owned());
    shown.extend(fields);
    let status = if problems.is_empty() { 200 } else { 422 };
    let layout = connection.layout(&person.signed, "Settings");
    Ok(page(status, &SettingsPage { layout, connection, extensions, fields: shown, problems }))
}

/// `GET /connections/{id}/settings`
pub(super) async fn show(person: Person<Create>, visit: Visit) -> Shown {
    settings_page(&person, (&visit.state, &visit.part("id")), Fields::new(), Vec::new())
}

/// `POST /connections/{id}/settings`: the form that was sent says which part it changes.
pub(super) async fn save(person: Person<Create>, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let part = fields.get("part").cloned().unwrap_or_default();
    let (asked, field) = match part.as_str() {
        "name" => (names(&fields), "name"),
        "preset" => (preset(&fields), "preset"),
        "switches" => {
            let changes = switches::changes(&fields);
            (changes.map(|switches| SettingsChange { switches, ..SettingsChange::default() }), "switches")
        }
        _ => return Err(Refusal::Because { status: 400, detail: "This form is not one of ours.".to_owned() }),
    };
    let change = match asked {
        Ok(change) => change,
        Err(problems) => return settings_page(&person, (&state, &id), fields, problems),
    };
    let (by, wanted) = (person.by.clone(), id.clone());
    let changed = state.store.write(Undo::Savepoint, move |tx| settings::change(tx, &by, &wanted, &change)).await;
    match changed {
        Ok(_) => Ok(on_to(&format!("/connections/{id}/settings?done=saved")).finish()),
        Err(Error::Conflict(detail) | Error::Refused(detail)) => {
            let problems = vec![Problem { field, sentence: format!("Nothing was changed: {detail}.") }];
            settings_page(&person, (&state, &id), fields, problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn names(fields: &Fields) -> Result<SettingsChange, Vec<Problem>> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let (name, provider) = (text("name"), text("provider"));
    let mut problems = Vec::new();
    if let Err(refused) = check_name(&name) {
        problems.push(Problem { field: "name", sentence: refused.replace("connectionName", "The name") });
    }
    if !provider.is_empty()
        && let Err(refused) = check_provider(&provider)
    {
        problems.push(Problem { field: "provider", sentence: refused });
    }
    let provider = match fields.contains_key("provider") {
        false => Change::Keep,
        true if provider.is_empty() => Change::Clear,
        true => Change::Set(provider),
    };
    let change = SettingsChange { connection_name: Some(name), provider, ..SettingsChange::default() };
    if problems.is_empty() { Ok(change) } else { Err(problems) }
}

fn preset(fields: &Fields) -> Result<SettingsChange, Vec<Problem>> {
    let preset = fields.get("preset").and_then(|word| word.parse::<Preset>().ok());
    let problem = || vec![Problem { field: "preset", sentence: "Choose one of the presets.".to_owned() }];
    preset.map(|preset| SettingsChange { preset: Some(preset), ..SettingsChange::default() }).ok_or_else(problem)
}

/// `POST /connections/{id}/schemas`: adds a schema.
pub(super) async fn add_schema(person: Person<Create>, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let refused =
        |fields, sentence| settings_page(&person, (&state, &id), fields, vec![Problem { field: "document", sentence }]);
    let document: Value = match serde_json::from_str(&text("document")) {
        Ok(document) => document,
        Err(problem) => return refused(fields, format!("The schema is no JSON: {problem}.")),
    };
    let new = NewExtension { resource_type: text("resource_type"), required: text("required") == "on", document };
    let (by, wanted) = (person.by.clone(), id.clone());
    match state.store.write(Undo::Savepoint, move |tx| extensions::add(tx, &by, &wanted, &new)).await {
        Ok(_) => Ok(on_to(&format!("/connections/{id}/settings?done=schema-added")).finish()),
        Err(Error::Conflict(detail) | Error::Refused(detail)) => refused(fields, format!("Not added: {detail}.")),
        Err(Error::Scim(problem)) => refused(fields, format!("Not added: {}.", problem.detail)),
        Err(error) => Err(error.into()),
    }
}

/// `POST /connections/{id}/schemas/remove`
pub(super) async fn remove_schema(person: Person<Create>, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let urn = fields.get("urn").cloned().unwrap_or_default();
    let purge = fields.get("purge").is_some_and(|purge| purge == "on");
    let (by, wanted) = (person.by.clone(), id.clone());
    match state.store.write(Undo::Savepoint, move |tx| extensions::delete(tx, &by, &wanted, &urn, purge)).await {
        Ok(()) => Ok(on_to(&format!("/connections/{id}/settings?done=schema-removed")).finish()),
        Err(Error::Conflict(detail)) => {
            let problems = vec![Problem { field: "schemas", sentence: format!("Not removed: {detail}.") }];
            settings_page(&person, (&state, &id), Fields::new(), problems)
        }
        Err(error) => Err(error.into()),
    }
}
