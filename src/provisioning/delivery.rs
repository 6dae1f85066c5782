//! Delivery status: which events of a configuration the operator's application has read. It is derived from the
//! positions that the application requests from the event feed.

use crate::clock::Millis;
use crate::error::Result;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::provisioning::feed;
pub use crate::store::tables::feed_positions::ReaderPosition;
use crate::store::tables::{accounts, configurations, events, feed_positions};
use crate::store::{Snapshot, Tx};

/// Maximum number of unread events that are counted.
const COUNTED_MAX: u32 = 5_000;

/// Key of the positions of readers that read the events of all accounts.
const ALL_ACCOUNTS: i64 = 0;

/// The filter of a feed request. An empty field matches all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeedFilter {
    /// Id of an account.
    pub account: String,
    /// Key of the account, if the reader is limited to it.
    pub account_key: Option<i64>,
    /// Id of a configuration.
    pub configuration_id: String,
}

/// Delivery status of the events of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// There is no published event yet.
    NoEvents,
    /// No application has read the feed.
    Unread,
    /// An application reads the feed.
    Read {
        /// Time of the last request.
        at: Millis,
        /// Whether the first event has been read.
        has_begun: bool,
        /// Number of unread events.
        waiting: u32,
        /// Whether there may be more unread events.
        is_more: bool,
    },
}

/// Records the position up to which an application has read the feed. A filter with an unknown account or configuration
/// is ignored.
pub fn record_position(tx: &Tx<'_>, filter: &FeedFilter, seq: i64, at: Millis) -> Result<()> {
    let FeedFilter { account, account_key, configuration_id } = filter;
    let account = match account.as_str() {
        "" => Some(ALL_ACCOUNTS),
        id => accounts::find_account_ref(tx, id)?.map(|found| found.key),
    };
    let Some(account) = account.filter(|key| account_key.is_none_or(|own| own == *key)) else { return Ok(()) };
    let is_configuration =
        configuration_id.is_empty() || configurations::find_configuration_by_id(tx, configuration_id)?.is_some();
    if is_configuration {
        feed_positions::record_position(tx, account, configuration_id, seq.min(feed::find_end(tx)?), at)?;
    }
    Ok(())
}

/// Returns the delivery status of the events of a configuration.
pub fn find_delivery(at: &Snapshot<'_>, configuration: &Configuration) -> Result<DeliveryState> {
    find_delivery_up_to(at, configuration, COUNTED_MAX)
}

fn find_delivery_up_to(at: &Snapshot<'_>, configuration: &Configuration, counted_max: u32) -> Result<DeliveryState> {
    let Some(first) = events::find_first_published(at, configuration.key)? else { return Ok(DeliveryState::NoEvents) };
    let Some((seq, read_at)) =
        feed_positions::find_furthest_position(at, configuration.account.key, &configuration.id)?
    else {
        return Ok(DeliveryState::Unread);
    };
    let (waiting, is_more) = events::count_waiting_events(at, configuration.key, seq, counted_max)?;
    Ok(DeliveryState::Read { at: read_at, has_begun: first <= seq, waiting, is_more })
}

/// A reader of the feed.
#[derive(Debug, Clone)]
pub struct FeedReader {
    /// Its filter and position.
    pub position: ReaderPosition,
    /// Number of events after its position. Fewer of them may match its filter.
    pub newer: i64,
}

/// Returns at most `limit` readers within the account scope, the last read first. Readers with the same filter are one.
pub fn list_readers(at: &Snapshot<'_>, scope: &AccountScope, limit: u32) -> Result<Vec<FeedReader>> {
    let end = feed::find_end(at)?;
    let found = feed_positions::list_positions(at, scope.filter(None).as_ref(), limit)?;
    Ok(found.into_iter().map(|position| FeedReader { newer: (end - position.seq).max(0), position }).collect())
}

/// Whether any application has read the feed.
pub fn has_readers(at: &Snapshot<'_>) -> Result<bool> {
    feed_positions::has_positions(at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock;
    use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
    use crate::model::audit_context::AuditContext;
    use crate::provisioning::Scope;
    use crate::provisioning::resources::{self, PreparedResource, ResourceWrite};
    use crate::scim::schema::USER_TYPE;
    use crate::scim::validate;
    use crate::store::Store;

    struct Fixture {
        store: Store,
        created: Configuration,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open_for_server(folder.path()).unwrap();
            let new = NewConfiguration::sample("acme");
            let created =
                store.write_blocking(move |tx| create_configuration(tx, &AuditContext::server(), &new)).unwrap();
            Self { store, created, _folder: folder }
        }

        /// Each user appends one event.
        fn add_users(&self, names: &[&str]) {
            let created = self.created.clone();
            let scope = self.store.read_inline(|at| Scope::load(at, created)).unwrap();
            for name in names {
                let body = json!({"schemas": [USER_TYPE.schema.id], "userName": name});
                let draft = validate::read_new_resource(&body, &USER_TYPE, resources::build_rules(&scope)).unwrap();
                let (prepared, id, scope) =
                    (PreparedResource::new(draft, &USER_TYPE).unwrap(), clock::new_id(), scope.clone());
                let job = move |tx: &Tx<'_>| {
                    let write = ResourceWrite::new(&scope, &USER_TYPE, &id);
                    resources::create_resource(tx, &write, &prepared).map(drop)
                };
                self.store.write_blocking_without_savepoint(job).unwrap();
            }
        }

        fn note(&self, account: &str, configuration_id: &str, seq: i64) {
            let filter = FeedFilter {
                account: account.to_owned(),
                account_key: None,
                configuration_id: configuration_id.to_owned(),
            };
            self.store.write_blocking(move |tx| record_position(tx, &filter, seq, 7)).unwrap();
        }

        fn delivery(&self) -> DeliveryState {
            self.store.read_inline(|at| find_delivery(at, &self.created)).unwrap()
        }
    }

    #[test]
    fn read_and_unread_events_are_counted() {
        let one = Fixture::new();
        assert_eq!(one.delivery(), DeliveryState::NoEvents);
        one.add_users(&["ada", "bob", "cid"]);
        assert_eq!(one.delivery(), DeliveryState::Unread);
        let end = one.store.read_inline(feed::find_end).unwrap();
        let read = |has_begun, waiting| DeliveryState::Read { at: 7, has_begun, waiting, is_more: false };
        one.note("acme", "", end - 3);
        assert_eq!(one.delivery(), read(false, 3));
        one.note("", &one.created.id, end - 1);
        one.note("elsewhere", "", end);
        one.note("acme", "", end - 2);
        assert_eq!(one.delivery(), read(true, 1));
        one.note("", "", end + 99);
        assert_eq!(one.delivery(), read(true, 0));
        one.add_users(&["dee"]);
        assert_eq!(one.delivery(), read(true, 1));
    }

    #[test]
    fn a_position_of_another_or_unknown_account_does_not_count() {
        let one = Fixture::new();
        one.add_users(&["ada"]);
        one.note("unknown", "", 99);
        one.note("acme", &clock::new_id(), 99);
        assert_eq!(one.delivery(), DeliveryState::Unread);
    }

    #[test]
    fn more_unread_events_than_the_maximum_are_reported_as_more() {
        let one = Fixture::new();
        one.add_users(&["ada", "bob"]);
        one.note("", "", 0);
        let DeliveryState::Read { waiting, is_more, .. } =
            one.store.read_inline(|at| find_delivery_up_to(at, &one.created, 2)).unwrap()
        else {
            panic!()
        };
        // The event of the configuration itself is the first one and counts too.
        assert_eq!((waiting, is_more), (2, true));
    }
}
