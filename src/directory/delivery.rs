//! What the operator's application has read of a configuration's events, told by how far it asks the event feed to go on.

use super::feed;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::configuration::Configuration;
use crate::store::{Snapshot, Tx, accounts, configurations, events, feed_positions};

/// Events behind the place of the reader that are looked at: more are counted as more.
const LOOKED_AT_MAX: u32 = 5_000;

/// Whose events somebody asked for; empty for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Id of an account.
    pub account: String,
    /// Id of a configuration.
    pub configuration_id: String,
}

/// What has become of the events of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// There is none yet, or none that may go on.
    Nothing,
    /// Nobody has ever read the feed.
    Unread,
    /// Somebody reads it.
    Read {
        /// When somebody last asked.
        at: Millis,
        /// Whether the first event is among what was read.
        has_begun: bool,
        /// Events that were not read yet.
        waiting: u32,
        /// Whether there may be more than that.
        is_more: bool,
    },
}

/// Keeps how far somebody has read. What was asked for and does not exist leaves no trace.
///
/// # Errors
/// What the store says.
pub fn note(tx: &Tx<'_>, asked: &Asked, seq: i64, at: Millis) -> Result<()> {
    let Asked { account, configuration_id } = asked;
    let is_account = account.is_empty() || accounts::by_id(tx, account)?.is_some();
    let is_known = configuration_id.is_empty() || configurations::by_id(tx, configuration_id)?.is_some();
    if is_account && is_known {
        feed_positions::note(tx, account, configuration_id, seq.min(feed::end(tx)?), at)?;
    }
    Ok(())
}

/// What has become of the events of a configuration.
///
/// # Errors
/// What the store says.
pub fn of(at: &Snapshot<'_>, configuration: &Configuration) -> Result<Delivery> {
    looked_at(at, configuration, LOOKED_AT_MAX)
}

fn looked_at(at: &Snapshot<'_>, configuration: &Configuration, look: u32) -> Result<Delivery> {
    let Some(first) = events::first_published(at, configuration.key)? else { return Ok(Delivery::Nothing) };
    let Some((seq, read_at)) = feed_positions::furthest(at, &configuration.account, &configuration.id)? else {
        return Ok(Delivery::Unread);
    };
    let (waiting, is_more) = events::waiting(at, configuration.key, seq, look)?;
    Ok(Delivery::Read { at: read_at, has_begun: first <= seq, waiting, is_more })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock;
    use crate::directory::Scope;
    use crate::directory::configurations::{NewConfiguration, create};
    use crate::directory::resources::{self, Prepared};
    use crate::directory::tokens::TokenDraft;
    use crate::model::actor::By;
    use crate::model::configuration::Source;
    use crate::scim::schema::USER_TYPE;
    use crate::scim::validate;
    use crate::secret::Token;
    use crate::store::{Access, Store, Undo};

    struct Fixture {
        store: Store,
        made: Configuration,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Access::Serve).unwrap();
            let new = NewConfiguration {
                id: clock::new_id(),
                account: "acme".to_owned(),
                connection_name: None,
                source: Source::Okta,
                provider: None,
                preset: None,
                sync: true,
                token: TokenDraft::new(clock::new_id(), &Token::generate().unwrap(), "first"),
            };
            let made = store.write_blocking(Undo::Savepoint, move |tx| create(tx, &By::server(), &new)).unwrap();
            Self { store, made, _folder: folder }
        }

        /// Each user is an event.
        fn add_users(&self, names: &[&str]) {
            let made = self.made.clone();
            let scope = self.store.read_inline(|at| Scope::of(at, made)).unwrap();
            for name in names {
                let body = json!({"schemas": [USER_TYPE.schema.id], "userName": name});
                let draft = validate::new_resource(&body, &USER_TYPE, resources::rules(&scope)).unwrap();
                let (prepared, id, scope) = (Prepared::new(draft, &USER_TYPE), clock::new_id(), scope.clone());
                let job = move |tx: &Tx<'_>| resources::create(tx, &scope, &USER_TYPE, &id, &prepared, -1).map(drop);
                self.store.write_blocking(Undo::Unneeded, job).unwrap();
            }
        }

        fn note(&self, account: &str, configuration_id: &str, seq: i64) {
            let asked = Asked { account: account.to_owned(), configuration_id: configuration_id.to_owned() };
            self.store.write_blocking(Undo::Savepoint, move |tx| note(tx, &asked, seq, 7)).unwrap();
        }

        fn delivery(&self) -> Delivery {
            self.store.read_inline(|at| of(at, &self.made)).unwrap()
        }
    }

    #[test]
    fn it_is_known_what_was_read_and_what_waits() {
        let one = Fixture::new();
        assert_eq!(one.delivery(), Delivery::Nothing);
        one.add_users(&["ada", "bob", "cid"]);
        assert_eq!(one.delivery(), Delivery::Unread);
        let end = one.store.read_inline(feed::end).unwrap();
        let read = |has_begun, waiting| Delivery::Read { at: 7, has_begun, waiting, is_more: false };
        one.note("acme", "", end - 3);
        assert_eq!(one.delivery(), read(false, 3));
        one.note("", &one.made.id, end - 1);
        one.note("elsewhere", "", end);
        one.note("acme", "", end - 2);
        assert_eq!(one.delivery(), read(true, 1));
        one.note("", "", end + 99);
        assert_eq!(one.delivery(), read(true, 0));
        one.add_users(&["dee"]);
        assert_eq!(one.delivery(), read(true, 1));
    }

    #[test]
    fn who_reads_for_others_or_for_nobody_has_not_read_it() {
        let one = Fixture::new();
        one.add_users(&["ada"]);
        one.note("nobody", "", 99);
        one.note("acme", &clock::new_id(), 99);
        assert_eq!(one.delivery(), Delivery::Unread);
    }

    #[test]
    fn far_more_than_is_looked_at_is_told_as_more() {
        let one = Fixture::new();
        one.add_users(&["ada", "bob"]);
        one.note("", "", 0);
        let Delivery::Read { waiting, is_more, .. } = one.store.read_inline(|at| looked_at(at, &one.made, 2)).unwrap()
        else {
            panic!()
        };
        // The first event of all is that of the configuration itself, which counts too.
        assert_eq!((waiting, is_more), (2, true));
    }
}
