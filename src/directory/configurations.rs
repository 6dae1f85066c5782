//! Making, listing and deleting configurations.

use serde_json::{Value, json};

use super::leftovers;
use super::sync::{self, Behind};
use super::tokens::{self, TokenDraft};
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::configuration::{self, Configuration, Source};
use crate::model::event::{Happening, Kind};
use crate::model::switches::Preset;
use crate::model::{account, ids};
use crate::store::audit::{self, Entry};
use crate::store::configurations::{self as rows, NewRow};
use crate::store::purge::{self, Purging};
use crate::store::{Snapshot, Tx, accounts, counts, events, held, links, requests};

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct NewConfiguration {
    /// A new id, made by the caller.
    pub id: String,
    /// The account; made where it is used for the first time.
    pub account: String,
    /// The name people see; without one, the source's label and the end of the id.
    pub connection_name: Option<String>,
    /// Kind of identity provider; chooses the preset.
    pub source: Source,
    /// The provider's own name where the source is `other`.
    pub provider: Option<String>,
    /// How it reads requests; without one, what suits the source and the provider.
    pub preset: Option<Preset>,
    /// Whether changes reach the operator's application.
    pub sync: bool,
    /// Its first token.
    pub token: TokenDraft,
}

/// What a deletion does with the users and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// They stay as leftovers of the account.
    Keep,
    /// They are removed for good, also those that an earlier deletion kept.
    Purge,
}

/// What a deletion found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The configuration as it was.
    pub configuration: Configuration,
    /// Type and number of the resources it had, kept or purged.
    pub resources: Vec<(String, i64)>,
}

/// Makes a configuration with its first token, and the account where there is none.
///
/// Errors: `Refused` names the argument that breaks a rule, `Conflict` a name that the account has already. Fails after
/// having written: run it with `Undo::Savepoint`.
pub fn create(tx: &Tx<'_>, by: &By, new: &NewConfiguration) -> Result<Configuration> {
    account::check_id(&new.account).map_err(Error::Refused)?;
    let given = new.connection_name.as_deref().map(configuration::check_name);
    let name = match given.transpose().map_err(Error::Refused)? {
        Some(name) => name.to_owned(),
        None => configuration::default_name(new.source, &new.id),
    };
    let provider = new.provider.as_deref().map(configuration::check_provider);
    let provider = provider.transpose().map_err(Error::Refused)?;
    accounts::ensure(tx, &new.account)?;
    let switches = new.preset.unwrap_or_else(|| Preset::for_source(new.source, provider)).switches();
    let row = NewRow {
        id: &new.id,
        account: &new.account,
        connection_name: &name,
        source: new.source,
        provider,
        switches: &switches,
        sync: new.sync,
    };
    let key = rows::insert(tx, &row)?;
    tokens::keep(tx, key, &new.token)?;
    let payload = json!({"connectionName": name, "source": new.source.as_str(), "provider": provider});
    note(tx, &new.account, key, Happening::Created, &payload)?;
    let made = by_id(tx, &new.id)?;
    audited(tx, by, &made, "configuration.created", None, Some(described(&made)))?;
    Ok(made)
}

/// The configuration with that id; `NotFound` where there is none or it is deleted.
pub fn by_id(snapshot: &Snapshot<'_>, id: &str) -> Result<Configuration> {
    rows::by_id(snapshot, id)?.ok_or_else(|| not_found(id))
}

/// The configuration with that id within a reach; one outside of it is not there, in the same words.
pub fn within(snapshot: &Snapshot<'_>, reach: &Reach, id: &str) -> Result<Configuration> {
    by_id(snapshot, id).and_then(|found| if reach.covers(&found.account) { Ok(found) } else { Err(not_found(id)) })
}

/// Configurations of one account, or of all, oldest first.
pub fn list(snapshot: &Snapshot<'_>, account: Option<&str>) -> Result<Vec<Configuration>> {
    rows::list(snapshot, account)
}

/// Lets changes reach the operator's application, or stops them. Once they may, what waited is told: at once as far as
/// it is not too much, the rest by [`sync::catch_up`] in steps. `NotFound` where there is no such configuration.
pub fn set_sync(tx: &Tx<'_>, by: &By, id: &str, sync: bool) -> Result<()> {
    let found = within(tx, &by.reach, id)?;
    if found.sync == sync {
        return Ok(());
    }
    rows::set_sync(tx, found.key, sync)?;
    let payload = json!({"syncToUserManagement": sync});
    note(tx, &found.account, found.key, Happening::Updated, &payload)?;
    let before = json!({"syncToUserManagement": found.sync});
    audited(tx, by, &found, "configuration.updated", Some(before), Some(payload))?;
    let behind = Behind { configuration: found.key, account: found.account };
    sync::catch_up(tx, &behind, sync::AT_ONCE_MAX)
}

/// Deletes a configuration: its tokens are dead and its name is free with the commit. With [`Content::Purge`] its users
/// and groups go too, in steps where they are many ([`leftovers::step`]); that also works on one that was deleted before.
///
/// Errors: `NotFound` where there is no such configuration, or it was deleted before and nothing is to be purged.
pub fn delete(tx: &Tx<'_>, by: &By, id: &str, content: Content) -> Result<Deleted> {
    let found = rows::by_id_even_deleted(tx, id)?.filter(|found| by.reach.covers(&found.account));
    let found = found.ok_or_else(|| not_found(id))?;
    let was_live = found.deleted_at.is_none();
    let resources = counts::all(tx, found.key)?;
    let gate = held::gate(tx, found.key)?;
    // Of what changed during a pause, images may be left when the resources themselves are gone.
    let has_any = !resources.is_empty() || gate.is_some_and(|gate| gate.holds);
    if !was_live && (content == Content::Keep || !has_any || gate.is_some_and(|gate| gate.purging)) {
        return Err(not_found(id));
    }
    if was_live {
        tokens::revoke_all(tx, found.key)?;
        links::end_all(tx, found.key)?;
        rows::mark_deleted(tx, found.key)?;
    }
    // Numbers only: the event outlives the people it is about.
    let payload = json!({
        "connectionName": found.connection_name,
        "purged": content == Content::Purge,
        "resources": resources.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    note(tx, &found.account, found.key, Happening::Deleted, &payload)?;
    audited(tx, by, &found, "configuration.deleted", Some(described(&found)), Some(payload))?;
    if content == Content::Purge {
        requests::set_forgotten(tx, found.key, true)?;
        purge::begin(tx, found.key)?;
        let purging = Purging { configuration: found.key, account: found.account.clone(), redacted: 0 };
        leftovers::step(tx, &purging, leftovers::AT_ONCE_MAX)?;
    }
    Ok(Deleted { configuration: found, resources })
}

fn note(tx: &Tx<'_>, account: &str, key: i64, what: Happening, payload: &Value) -> Result<()> {
    let kind = Kind::Configuration(what);
    events::append(tx, account, key, kind, None, &payload.to_string())?;
    Ok(())
}

/// A configuration as the audit log shows it.
fn described(one: &Configuration) -> Value {
    json!({
        "connectionName": one.connection_name,
        "source": one.source.as_str(),
        "provider": one.provider,
        "syncToUserManagement": one.sync,
        "switches": one.switches,
    })
}

/// Keeps who changed something of a configuration.
pub(super) fn audited(
    tx: &Tx<'_>,
    by: &By,
    of: &Configuration,
    action: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let (account, configuration_id) = (Some(of.account.as_str()), Some(of.id.as_str()));
    audit::append(tx, by, &Entry { action, account, configuration_id, subject_id: None, before, after })
}

pub(super) fn not_found(id: &str) -> Error {
    // A text that cannot be an id is not repeated: it may be anything, even a token in the wrong place.
    if ids::is_id(id) {
        Error::NotFound(format!("there is no configuration {id}"))
    } else {
        Error::NotFound("there is no such configuration: give its id, a UUID in lower case".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::model::switches::UnknownMembers;
    use crate::secret::{Token, digest};
    use crate::store::tokens::authenticate;
    use crate::store::{Access, Store, Undo};

    fn by() -> By {
        By::command_line("somebody".to_owned())
    }

    struct Fixture {
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Access::Command).unwrap();
            Self { store, _folder: folder }
        }

        fn write<T: Send + 'static>(&self, job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
            self.store.write_blocking(Undo::Savepoint, job)
        }

        fn create(&self, name: Option<&str>, source: Source) -> Result<(Configuration, Token)> {
            let token = Token::generate().unwrap();
            let new = NewConfiguration {
                id: clock::new_id(),
                account: "acme".into(),
                connection_name: name.map(str::to_owned),
                source,
                provider: None,
                preset: None,
                sync: true,
                token: TokenDraft::new(clock::new_id(), &token, "first"),
            };
            self.write(move |tx| create(tx, &by(), &new)).map(|made| (made, token))
        }

        fn is_live(&self, token: &Token) -> bool {
            let digest = digest(token.reveal());
            self.store
                .read_inline(|snapshot| authenticate(snapshot, &digest))
                .unwrap()
                .is_some_and(|row| row.is_live(clock::now()))
        }

        fn kinds(&self) -> Vec<String> {
            let events = self.store.read_inline(|snapshot| events::after(snapshot, 0, 100));
            events.unwrap().into_iter().map(|event| event.kind).collect()
        }
    }

    #[test]
    fn a_new_configuration_has_an_account_a_name_a_preset_and_a_token() {
        let fixture = Fixture::new();
        let (made, token) = fixture.create(None, Source::Okta).unwrap();
        assert_eq!(made.connection_name, format!("Okta {}", ids::short(&made.id)));
        assert_eq!(made.switches.preset, Preset::Okta);
        assert_eq!(made.switches.unknown_members, UnknownMembers::Skip);
        assert_eq!((made.last_sync, made.deleted_at), (None, None));
        assert!(fixture.is_live(&token));
        let account = fixture.store.read_inline(|snapshot| accounts::by_id(snapshot, "acme"));
        assert_eq!(account.unwrap().unwrap().name, "acme");
        assert_eq!(fixture.kinds(), ["configuration.created"]);
    }

    #[test]
    fn a_name_is_taken_once_per_account_and_free_again_after_deletion() {
        let fixture = Fixture::new();
        let (made, _) = fixture.create(Some(" Main "), Source::Other).unwrap();
        assert_eq!(made.connection_name, "Main");
        let refused = fixture.create(Some("Main"), Source::Other).unwrap_err();
        assert!(matches!(refused, Error::Conflict(text) if text.contains("\"Main\"")));
        assert_eq!(fixture.kinds(), ["configuration.created"]);
        let id = made.id.clone();
        fixture.write(move |tx| delete(tx, &by(), &id, Content::Keep)).unwrap();
        fixture.create(Some("Main"), Source::Other).unwrap();
    }

    #[test]
    fn broken_arguments_are_refused_by_name() {
        let fixture = Fixture::new();
        let refused = fixture.create(Some(" "), Source::Other).unwrap_err();
        assert!(matches!(refused, Error::Refused(text) if text.starts_with("connectionName")));
        assert!(fixture.kinds().is_empty());
    }

    #[test]
    fn deletion_kills_the_tokens_and_hides_the_configuration() {
        let fixture = Fixture::new();
        let (made, token) = fixture.create(None, Source::AzureAd).unwrap();
        let id = made.id.clone();
        fixture.write(move |tx| delete(tx, &by(), &id, Content::Keep)).unwrap();
        assert!(!fixture.is_live(&token));
        let left = fixture.store.read_inline(|snapshot| list(snapshot, Some("acme")));
        assert_eq!(left.unwrap(), []);
        let again = fixture.write(move |tx| delete(tx, &by(), &made.id, Content::Keep));
        assert!(matches!(again, Err(Error::NotFound(_))));
        assert_eq!(fixture.kinds(), ["configuration.created", "configuration.deleted"]);
    }

    #[test]
    fn a_purge_reaches_what_an_earlier_deletion_kept() {
        let fixture = Fixture::new();
        let (made, _) = fixture.create(None, Source::Other).unwrap();
        let (key, id) = (made.key, made.id);
        fixture.write(move |tx| counts::add(tx, key, "User", 1, 3)).unwrap();
        let first = id.clone();
        let kept = fixture.write(move |tx| delete(tx, &by(), &first, Content::Keep)).unwrap();
        assert_eq!(kept.resources, [("User".to_owned(), 3)]);
        let second = id.clone();
        fixture.write(move |tx| delete(tx, &by(), &second, Content::Purge)).unwrap();
        let total = fixture.store.read_inline(|snapshot| counts::total(snapshot, key, "User"));
        assert_eq!(total.unwrap(), 0);
        let third = fixture.write(move |tx| delete(tx, &by(), &id, Content::Purge));
        assert!(matches!(third, Err(Error::NotFound(_))));
    }

    #[test]
    fn rotation_keeps_the_two_newest_tokens() {
        let fixture = Fixture::new();
        let (made, first) = fixture.create(None, Source::Other).unwrap();
        let rotate = || {
            let token = Token::generate().unwrap();
            let draft = TokenDraft::new(clock::new_id(), &token, "rotated");
            let id = made.id.clone();
            fixture.write(move |tx| tokens::rotate(tx, &by(), &id, &draft, None)).unwrap();
            token
        };
        let second = rotate();
        assert!(fixture.is_live(&first) && fixture.is_live(&second));
        let third = rotate();
        assert!(!fixture.is_live(&first));
        assert!(fixture.is_live(&second) && fixture.is_live(&third));
    }

    #[test]
    fn pausing_is_one_event_and_repeating_it_none() {
        let fixture = Fixture::new();
        let (made, _) = fixture.create(None, Source::Other).unwrap();
        for _ in 0..2 {
            let id = made.id.clone();
            fixture.write(move |tx| set_sync(tx, &by(), &id, false)).unwrap();
        }
        assert_eq!(fixture.kinds(), ["configuration.created", "configuration.updated"]);
    }
}
