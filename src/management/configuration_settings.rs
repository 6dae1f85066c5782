//! Settings of an existing configuration: its name, its provider and its switches.

use serde_json::{Map, Value, json};

use crate::error::{Reason, Result};
use crate::management::configurations::holds;
use crate::management::{configurations, schema_extensions};
use crate::model::audit_context::AuditContext;
use crate::model::configuration::{self, Configuration};
use crate::model::event::EventAction;
use crate::model::field_change::FieldChange;
use crate::model::hold::HoldChanges;
use crate::model::switches::{PasswordHandling, Preset, SwitchChanges, Switches};
use crate::providers::{self, IdentityProvider};
use crate::provisioning::passwords;
use crate::scim::schema::standard_types;
use crate::store::Tx;
use crate::store::tables::audit::NewAuditEntry;
use crate::store::tables::{configurations as rows, unique_names};

/// Changes to the settings of a configuration.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// New name.
    pub connection_name: Option<String>,
    /// New name of the provider, or none.
    pub provider: FieldChange<String>,
    /// A preset: sets all switches to its values.
    pub preset: Option<Preset>,
    /// Single switches, applied after the preset.
    pub switches: SwitchChanges,
    /// When the configuration is held.
    pub hold: HoldChanges,
    /// Users whose removal waits for a decision; `None` changes nothing.
    pub protected_users: Option<Vec<String>>,
}

/// Changes settings of a configuration and returns the configuration. They are effective from the next request on.
/// Without a difference, no event and no audit entry are appended.
///
/// # Errors
/// `NotFound`. `Invalid` names an invalid field. `Conflict` if the name is in use, the default page size is above the
/// maximum, or groups share names that must become unique. It can fail after its first change: run it with `Store::write`.
pub fn change_settings(
    tx: &Tx<'_>,
    context: &AuditContext,
    id: &str,
    change: &SettingsChange,
) -> Result<Configuration> {
    let before = configurations::find_configuration(tx, &context.scope, id)?;
    let mut after = apply_change(&before, change)?;
    if change.switches.stored_attributes.is_some() {
        after.switches.stored_attributes = normalize_stored_attributes(tx, &after)?;
    }
    let mut is_hold_changed = holds::change_settings(tx, context, &before, &change.hold)?;
    if let Some(users) = &change.protected_users {
        is_hold_changed |= holds::change_protected_users(tx, context, &before, users)?;
    }
    if after == before {
        return if is_hold_changed { configurations::find_configuration_by_id(tx, id) } else { Ok(before) };
    }
    save_change(tx, context, &before, &after)?;
    configurations::find_configuration_by_id(tx, id)
}

/// Sets the identity provider of a configuration, with the source that it has in the API. Switches that are those of the preset
/// of the earlier provider become those of the new one.
///
/// # Errors
/// `NotFound`. It can fail after its first change: run it with `Store::write`.
pub(crate) fn change_provider(
    tx: &Tx<'_>,
    context: &AuditContext,
    id: &str,
    provider: &IdentityProvider,
) -> Result<()> {
    let before = configurations::find_configuration(tx, &context.scope, id)?;
    let present = providers::provider_of_configuration(&before);
    if present.key == provider.key {
        return Ok(());
    }
    let mut after = before.clone();
    after.source = provider.source;
    after.provider = provider.provider.map(str::to_owned);
    let mut by_preset = before.clone();
    apply_preset(&mut by_preset.switches, present.preset);
    if by_preset.switches == before.switches {
        apply_preset(&mut after.switches, provider.preset);
    }
    save_change(tx, context, &before, &after)
}

/// Stores what differs, with its event and its audit entry.
fn save_change(tx: &Tx<'_>, context: &AuditContext, before: &Configuration, after: &Configuration) -> Result<()> {
    rows::save_settings(tx, after)?;
    if after.switches.unique_group_names != before.switches.unique_group_names {
        update_unique_names(tx, before.key, after.switches.unique_group_names)?;
    }
    if after.switches.passwords == PasswordHandling::Ignore && before.switches.passwords == PasswordHandling::Verify {
        passwords::remove_all_passwords(tx, before.key)?;
    }
    let payload = diff_settings(before, after);
    configurations::append_event(tx, after, EventAction::Updated, &payload)?;
    let entry = NewAuditEntry::new("configuration.updated", Some(diff_settings(after, before)), Some(payload));
    configurations::append_audit_entry(tx, context, before, entry)
}

/// Sets all switches to the values of a preset, except what is stored, and for how long: these are data protection decisions.
fn apply_preset(switches: &mut Switches, preset: Preset) {
    let Switches { stored_attributes, tombstone_days, .. } = std::mem::take(switches);
    *switches = Switches { tombstone_days, stored_attributes, ..preset.switches() };
}

fn apply_change(before: &Configuration, change: &SettingsChange) -> Result<Configuration> {
    let mut after = before.clone();
    if let Some(name) = &change.connection_name {
        configuration::check_name(name)?.clone_into(&mut after.connection_name);
    }
    match &change.provider {
        FieldChange::Keep => {}
        FieldChange::Clear => after.provider = None,
        FieldChange::Set(name) => {
            after.provider = Some(configuration::check_provider(name)?.to_owned());
        }
    }
    change.switches.check()?;
    if let Some(preset) = change.preset {
        apply_preset(&mut after.switches, preset);
    }
    change.switches.apply(&mut after.switches);
    let Switches { page_default, page_max, .. } = after.switches;
    if page_default > page_max {
        return Err(Reason::PageDefaultAboveMax.with("default", page_default).with("max", page_max));
    }
    Ok(after)
}

/// The names of the attributes to store, in the case of the schemas and without duplicates.
fn normalize_stored_attributes(tx: &Tx<'_>, configuration: &Configuration) -> Result<Vec<String>> {
    let types = schema_extensions::load_resource_types(tx, configuration.key)?;
    let mut names = Vec::new();
    for text in &configuration.switches.stored_attributes {
        let Some(name) = types.iter().find_map(|one| one.storable_name(text)) else {
            let excerpt: String = text.chars().take(60).collect();
            return Err(Reason::StoredAttributeUnknown.with("name", format_args!("{excerpt:?}")));
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Adds the group names of a configuration to the unique index, or removes them.
fn update_unique_names(tx: &Tx<'_>, configuration: i64, unique: bool) -> Result<()> {
    for resource_type in standard_types().into_iter().filter(|one| one.members().is_some()) {
        if unique {
            unique_names::require_unique_names(tx, configuration, &resource_type.name)?;
        } else {
            unique_names::allow_duplicate_names(tx, configuration, &resource_type.name)?;
        }
    }
    Ok(())
}

/// The settings of `to` that differ from `from`, with the field names of the management API.
fn diff_settings(from: &Configuration, to: &Configuration) -> Value {
    let mut changes = Map::new();
    if from.connection_name != to.connection_name {
        changes.insert("connectionName".to_owned(), json!(to.connection_name));
    }
    if from.source != to.source {
        changes.insert("source".to_owned(), json!(to.source.as_str()));
    }
    if from.provider != to.provider {
        changes.insert("provider".to_owned(), json!(to.provider));
    }
    if from.switches.preset != to.switches.preset {
        changes.insert("preset".to_owned(), json!(to.switches.preset));
    }
    let switches = SwitchChanges::between(&from.switches, &to.switches);
    if !switches.is_empty() {
        changes.insert("switches".to_owned(), json!(switches));
    }
    Value::Object(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::sync::Arc;

    use crate::management::configuration_lifecycle::{self, NewConfiguration};
    use crate::model::configuration::ConfigurationSource;
    use crate::provisioning::Scope;
    use crate::provisioning::rendered::collection_for;
    use crate::provisioning::resources::{self, PreparedResource, ResourceWrite};
    use crate::scim::password::{PasswordChange, PasswordDigest};
    use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
    use crate::scim::urn::{GROUP, USER};
    use crate::scim::validate;
    use crate::store::Store;
    use crate::store::tables::events;

    fn test_context() -> AuditContext {
        AuditContext::command_line("test-user".to_owned())
    }

    fn new() -> NewConfiguration {
        NewConfiguration { connection_name: Some("Main".to_owned()), ..NewConfiguration::sample("acme") }
    }

    fn make(store: &Store) -> Configuration {
        store
            .write_blocking(move |tx| configuration_lifecycle::create_configuration(tx, &test_context(), &new()))
            .unwrap()
    }

    fn set(store: &Store, id: &str, settings: SettingsChange) -> Configuration {
        let id = id.to_owned();
        store.write_blocking(move |tx| change_settings(tx, &test_context(), &id, &settings)).unwrap()
    }

    /// A configuration after changes of its settings, and the payloads of the events.
    fn change_all(changes: Vec<SettingsChange>) -> (Configuration, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let created = make(&store);
        for settings in changes {
            set(&store, &created.id, settings);
        }
        let events = store.read_inline(|at| events::list_events_after(at, 1, 100)).unwrap();
        let now = store.read_inline(|at| configurations::find_configuration_by_id(at, &created.id)).unwrap();
        assert_eq!(now.revision - created.revision, i64::try_from(events.len()).unwrap());
        (now, events.into_iter().map(|event| event.payload).collect())
    }

    #[test]
    fn another_provider_brings_its_source_and_its_preset_unless_the_switches_were_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let made = make(&store);
        let change = |key: &str| {
            let (id, provider) = (made.id.clone(), providers::find_provider(key).unwrap());
            store
                .write_blocking(move |tx| {
                    change_provider(tx, &test_context(), &id, provider)?;
                    configurations::find_configuration_by_id(tx, &id)
                })
                .unwrap()
        };
        let events = || store.read_inline(|at| events::list_events_after(at, 0, 100)).unwrap().len();
        let count = events();
        assert_eq!((change("okta").switches, events()), (made.switches.clone(), count));
        let entra = change("entra");
        assert_eq!((entra.source, entra.provider.as_deref()), (ConfigurationSource::AzureAd, None));
        assert_eq!((entra.switches, events()), (Preset::Entra.switches(), count + 1));
        let id = made.id.clone();
        let switches = SwitchChanges { page_max: Some(300), ..SwitchChanges::default() };
        let change_page = SettingsChange { switches, ..SettingsChange::default() };
        store.write_blocking(move |tx| change_settings(tx, &test_context(), &id, &change_page)).unwrap();
        let ping = change("ping");
        assert_eq!((ping.source, ping.provider.as_deref()), (ConfigurationSource::Other, Some("ping")));
        assert_eq!(ping.switches, Switches { page_max: 300, ..Preset::Entra.switches() });
    }

    #[test]
    fn an_event_has_only_the_changed_settings() {
        let switches = SwitchChanges { page_max: Some(200), bulk: Some(true), ..SwitchChanges::default() };
        let provider = FieldChange::Set(" Okta Preview ".to_owned());
        let renamed =
            SettingsChange { connection_name: Some("Main".to_owned()), provider, switches, ..Default::default() };
        let (now, payloads) = change_all(vec![renamed.clone(), renamed, SettingsChange::default()]);
        assert_eq!(payloads, [r#"{"provider":"Okta Preview","switches":{"pageMax":200}}"#]);
        assert_eq!((now.provider.as_deref(), now.switches.page_max), (Some("Okta Preview"), 200));
    }

    #[test]
    fn a_write_uses_the_switch_value_at_the_time_of_its_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let created = make(&store);
        let change_switches = |unique, passwords| {
            let switches = SwitchChanges {
                unique_group_names: Some(unique),
                passwords: Some(passwords),
                ..SwitchChanges::default()
            };
            set(&store, &created.id, SettingsChange { switches, ..SettingsChange::default() })
        };
        let old = change_switches(false, PasswordHandling::Verify);
        let scope = store.read_inline(|at| Scope::load(at, old)).unwrap();
        change_switches(true, PasswordHandling::Ignore);
        let write = |resource_type: Arc<ResourceType>, body: Value| {
            let mut draft = validate::read_new_resource(&body, &resource_type, resources::build_rules(&scope)).unwrap();
            assert_eq!(draft.password.is_some(), body.get("password").is_some());
            if let Some(password) = &mut draft.password {
                *password = PasswordChange::SetDigest(PasswordDigest("digest".to_owned()));
            }
            let (prepared, scope, id) = (PreparedResource::new(draft, &resource_type)?, scope.clone(), clock::new_id());
            let create = move |tx: &Tx<'_>| {
                resources::create_resource(tx, &ResourceWrite::new(&scope, &resource_type, &id), &prepared)?;
                let stored = crate::store::tables::resources::find_resource_by_id(
                    tx,
                    collection_for(&scope, &resource_type),
                    &id,
                )?;
                crate::store::tables::passwords::find_digest(tx, &stored.ok_or(Reason::ScimResourceNotFound)?)
            };
            store.write_blocking(create)
        };
        let group = |name: &str| json!({"schemas": [GROUP], "displayName": name});
        write(GROUP_TYPE.clone(), group("Engineering")).unwrap();
        let refused = write(GROUP_TYPE.clone(), group("engineering")).unwrap_err();
        assert_eq!(refused.reason(), Reason::GroupNameTaken);
        let user = json!({"schemas": [USER], "userName": "ada", "password": "correct horse"});
        assert_eq!(write(USER_TYPE.clone(), user).unwrap(), None);
    }

    #[test]
    fn a_preset_resets_switches_that_were_set_individually() {
        let page_max_change = |page_max, preset| SettingsChange {
            preset,
            switches: SwitchChanges { page_max: Some(page_max), ..SwitchChanges::default() },
            ..SettingsChange::default()
        };
        let reset = SettingsChange { preset: Some(Preset::Okta), ..SettingsChange::default() };
        let (now, payloads) =
            change_all(vec![page_max_change(200, None), reset, page_max_change(300, Some(Preset::Strict))]);
        assert_eq!(payloads[1], r#"{"switches":{"pageMax":500}}"#);
        assert_eq!(now.switches, Switches { page_max: 300, ..Preset::Strict.switches() });
    }
}
