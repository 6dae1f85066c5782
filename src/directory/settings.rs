//! What can be set of a configuration after it was made: its name, its provider and its switches.

use serde_json::{Map, Value, json};

use super::{configurations, extensions, passwords};
use crate::error::{Error, Result};
use crate::model::actor::By;
use crate::model::change::Change;
use crate::model::configuration::{self, Configuration};
use crate::model::event::{Happening, Kind};
use crate::model::switches::{Changes, Passwords, Preset, Switches};
use crate::scim::schema::standard_types;
use crate::store::{Tx, configurations as rows, events, unique_names};

/// What a caller wants to be different.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// Another name.
    pub connection_name: Option<String>,
    /// Another name of the provider, or none.
    pub provider: Change<String>,
    /// A preset whose values all switches take.
    pub preset: Option<Preset>,
    /// Single switches, after the preset.
    pub switches: Changes,
}

/// Changes settings of a configuration; requests follow them from the next one on. A change that changes nothing leaves no
/// trace.
///
/// # Errors
/// `NotFound`; `Refused` names what breaks a rule; `Conflict` where the name is taken, the default page is larger than the
/// largest, or groups share names that are to be unique. Run it with `Undo::Savepoint`.
pub fn change(tx: &Tx<'_>, by: &By, id: &str, change: &SettingsChange) -> Result<Configuration> {
    let before = configurations::within(tx, &by.reach, id)?;
    let mut after = changed(&before, change)?;
    if change.switches.wanted_attributes.is_some() {
        after.switches.wanted_attributes = wanted(tx, &after)?;
    }
    if after == before {
        return Ok(before);
    }
    rows::save_settings(tx, &after)?;
    if after.switches.unique_group_names != before.switches.unique_group_names {
        follow_unique_names(tx, before.key, after.switches.unique_group_names)?;
    }
    if after.switches.passwords == Passwords::Ignore && before.switches.passwords == Passwords::Verify {
        passwords::forget_all(tx, before.key)?;
    }
    let payload = difference(&before, &after);
    let kind = Kind::Configuration(Happening::Updated);
    events::append(tx, &after.account, after.key, kind, None, &payload.to_string())?;
    configurations::audited(
        tx,
        by,
        &before,
        "configuration.updated",
        Some(difference(&after, &before)),
        Some(payload),
    )?;
    configurations::by_id(tx, id)
}

fn changed(before: &Configuration, change: &SettingsChange) -> Result<Configuration> {
    let mut after = before.clone();
    if let Some(name) = &change.connection_name {
        configuration::check_name(name).map_err(Error::Refused)?.clone_into(&mut after.connection_name);
    }
    match &change.provider {
        Change::Keep => {}
        Change::Clear => after.provider = None,
        Change::Set(name) => {
            after.provider = Some(configuration::check_provider(name).map_err(Error::Refused)?.to_owned());
        }
    }
    change.switches.check().map_err(Error::Refused)?;
    if let Some(preset) = change.preset {
        // What somebody decided about people's data is no matter of a provider's habits.
        let wanted_attributes = std::mem::take(&mut after.switches.wanted_attributes);
        after.switches = Switches { wanted_attributes, ..preset.switches() };
    }
    change.switches.apply(&mut after.switches);
    let Switches { page_default, page_max, .. } = after.switches;
    if page_default > page_max {
        let detail = format!("switches.pageDefault ({page_default}) must not be above pageMax ({page_max})");
        return Err(Error::Conflict(detail));
    }
    Ok(after)
}

/// The wanted attributes as the schemas spell them, each once.
fn wanted(tx: &Tx<'_>, of: &Configuration) -> Result<Vec<String>> {
    let types = extensions::types(tx, of.key)?;
    let mut known = Vec::new();
    for text in &of.switches.wanted_attributes {
        let Some(name) = types.iter().find_map(|of| of.storable(text)) else {
            let shown: String = text.chars().take(60).collect();
            let detail = format!("switches.wantedAttributes: users and groups have no attribute {shown:?} to store");
            return Err(Error::Conflict(detail));
        };
        if !known.contains(&name) {
            known.push(name);
        }
    }
    Ok(known)
}

/// Writes which rows the unique index looks at.
fn follow_unique_names(tx: &Tx<'_>, configuration: i64, unique: bool) -> Result<()> {
    for of in standard_types().into_iter().filter(|of| of.members().is_some()) {
        if unique {
            unique_names::begin(tx, configuration, &of.name)
                .map_err(|refused| in_switch("switches.uniqueGroupNames", refused))?;
        } else {
            unique_names::end(tx, configuration, &of.name)?;
        }
    }
    Ok(())
}

fn in_switch(name: &str, refused: Error) -> Error {
    match refused {
        Error::Conflict(detail) => Error::Conflict(format!("{name}: {detail}")),
        other => other,
    }
}

/// What `to` has that `from` has not, in the words of the management API.
fn difference(from: &Configuration, to: &Configuration) -> Value {
    let mut shown = Map::new();
    if from.connection_name != to.connection_name {
        shown.insert("connectionName".to_owned(), json!(to.connection_name));
    }
    if from.provider != to.provider {
        shown.insert("provider".to_owned(), json!(to.provider));
    }
    if from.switches.preset != to.switches.preset {
        shown.insert("preset".to_owned(), json!(to.switches.preset));
    }
    let switches = Changes::between(&from.switches, &to.switches);
    if !switches.is_nothing() {
        shown.insert("switches".to_owned(), json!(switches));
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::sync::Arc;

    use crate::directory::Scope;
    use crate::directory::configurations::NewConfiguration;
    use crate::directory::resources::{self, Prepared};
    use crate::directory::shown::collection;
    use crate::directory::tokens::TokenDraft;
    use crate::model::configuration::Source;
    use crate::scim::password::{Password, PasswordDigest};
    use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
    use crate::scim::urn::{GROUP, USER};
    use crate::scim::{self, validate};
    use crate::secret::Token;
    use crate::store::{self, Access, Store, Undo};

    fn by() -> By {
        By::command_line("somebody".to_owned())
    }

    fn new() -> NewConfiguration {
        NewConfiguration {
            id: clock::new_id(),
            account: "acme".to_owned(),
            connection_name: Some("Main".to_owned()),
            source: Source::Okta,
            provider: None,
            preset: None,
            sync: true,
            token: TokenDraft::new(clock::new_id(), &Token::generate().unwrap(), "first"),
        }
    }

    fn make(store: &Store) -> Configuration {
        store.write_blocking(Undo::Savepoint, move |tx| configurations::create(tx, &by(), &new())).unwrap()
    }

    fn set(store: &Store, id: &str, settings: SettingsChange) -> Configuration {
        let id = id.to_owned();
        store.write_blocking(Undo::Savepoint, move |tx| change(tx, &by(), &id, &settings)).unwrap()
    }

    /// A configuration, and what is told after its settings were changed.
    fn told(changes: Vec<SettingsChange>) -> (Configuration, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Command).unwrap();
        let made = make(&store);
        for settings in changes {
            set(&store, &made.id, settings);
        }
        let events = store.read_inline(|at| events::after(at, 1, 100)).unwrap();
        let now = store.read_inline(|at| configurations::by_id(at, &made.id)).unwrap();
        assert_eq!(now.revision - made.revision, i64::try_from(events.len()).unwrap());
        (now, events.into_iter().map(|event| event.payload).collect())
    }

    #[test]
    fn what_changed_is_told_and_nothing_else() {
        let switches = Changes { page_max: Some(200), bulk: Some(true), ..Changes::default() };
        let provider = Change::Set(" Okta Preview ".to_owned());
        let renamed =
            SettingsChange { connection_name: Some("Main".to_owned()), provider, switches, ..Default::default() };
        let (now, told) = told(vec![renamed.clone(), renamed, SettingsChange::default()]);
        assert_eq!(told, [r#"{"provider":"Okta Preview","switches":{"pageMax":200}}"#]);
        assert_eq!((now.provider.as_deref(), now.switches.page_max), (Some("Okta Preview"), 200));
    }

    #[test]
    fn a_write_that_began_before_a_switch_moved_heeds_what_it_says_now() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Command).unwrap();
        let made = make(&store);
        let turn = |unique, passwords| {
            let switches =
                Changes { unique_group_names: Some(unique), passwords: Some(passwords), ..Changes::default() };
            set(&store, &made.id, SettingsChange { switches, ..SettingsChange::default() })
        };
        let old = turn(false, Passwords::Verify);
        let scope = store.read_inline(|at| Scope::of(at, old)).unwrap();
        turn(true, Passwords::Ignore);
        let write = |of: Arc<ResourceType>, body: Value| {
            let mut draft = validate::new_resource(&body, &of, resources::rules(&scope)).unwrap();
            assert_eq!(draft.password.is_some(), body.get("password").is_some());
            if let Some(password) = &mut draft.password {
                *password = Password::Hashed(PasswordDigest("digest".to_owned()));
            }
            let (prepared, scope, id) = (Prepared::new(draft, &of), scope.clone(), clock::new_id());
            let create = move |tx: &Tx<'_>| {
                resources::create(tx, &scope, &of, &id, &prepared, 100)?;
                let stored = store::resources::by_id(tx, collection(&scope, &of), &id)?;
                store::passwords::digest_of(tx, &stored.ok_or_else(scim::Error::not_found)?)
            };
            store.write_blocking(Undo::Savepoint, create)
        };
        let group = |name: &str| json!({"schemas": [GROUP], "displayName": name});
        write(GROUP_TYPE.clone(), group("Engineering")).unwrap();
        let refused = write(GROUP_TYPE.clone(), group("engineering")).unwrap_err();
        assert!(refused.to_string().contains("displayName is taken"), "{refused}");
        let user = json!({"schemas": [USER], "userName": "ada", "password": "correct horse"});
        assert_eq!(write(USER_TYPE.clone(), user).unwrap(), None);
    }

    #[test]
    fn a_preset_takes_back_what_was_set_by_hand() {
        let by_hand = |page_max, preset| SettingsChange {
            preset,
            switches: Changes { page_max: Some(page_max), ..Changes::default() },
            ..SettingsChange::default()
        };
        let reset = SettingsChange { preset: Some(Preset::Okta), ..SettingsChange::default() };
        let (now, told) = told(vec![by_hand(200, None), reset, by_hand(300, Some(Preset::Strict))]);
        assert_eq!(told[1], r#"{"switches":{"pageMax":500}}"#);
        assert_eq!(now.switches, Switches { page_max: 300, ..Preset::Strict.switches() });
    }
}
