//! Lists of changes from the view of a consumer: whatever the page size, they have what the events lead to.

use super::*;
use crate::provisioning::directory::changes::{self, ChangesCursor, ChangesPage, ChangesQuery};
use crate::provisioning::feed::{self, FeedPosition};
use crate::store::tables::{held_changes, membership_events};

/// The number of the last event that changed each user, group and membership that is published.
#[derive(Debug, Default)]
struct LastChanges {
    users: BTreeMap<String, i64>,
    groups: BTreeMap<String, i64>,
    memberships: BTreeMap<String, i64>,
}

/// A membership as text.
fn join(group: &str, member: &str) -> String {
    format!("{group} {member}")
}

impl LastChanges {
    fn apply(&mut self, event: &Event) {
        let Some(id) = event.resource_id.clone() else { return };
        let (resource, action) = event.kind.split_once('.').unwrap();
        if action == "deleted" {
            self.users.remove(&id);
            self.groups.remove(&id);
            self.memberships.retain(|pair, _| pair.split(' ').all(|part| part != id));
            return;
        }
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        for member in payload["members"].as_array().into_iter().flatten() {
            let member_id = member["value"].as_str().unwrap();
            if member["type"] == "User" {
                self.users.insert(member_id.to_owned(), event.seq);
            }
            if action == "member_added" {
                self.memberships.insert(join(&id, member_id), event.seq);
            } else {
                self.memberships.remove(&join(&id, member_id));
            }
        }
        let all = if resource == "user" { &mut self.users } else { &mut self.groups };
        all.insert(id, event.seq);
    }

    /// The ids of one kind that changed after a number, by the number of the change. One event can change several.
    fn list_since(all: &BTreeMap<String, i64>, since: i64) -> Vec<(i64, String)> {
        let mut found: Vec<_> =
            all.iter().filter(|(_, seq)| **seq > since).map(|(id, seq)| (*seq, id.clone())).collect();
        found.sort();
        found
    }
}

/// Reads all pages of a list of changes.
fn collect_pages<T>(
    since: i64,
    limit: usize,
    read: impl Fn(&ChangesQuery) -> Result<ChangesPage<T>>,
) -> (Vec<T>, FeedPosition) {
    let position = FeedPosition::parse(&since.to_string()).unwrap();
    let mut cursor = ChangesCursor { position, skipped: 0 };
    let mut all = Vec::new();
    loop {
        let query = ChangesQuery { events: EventsQuery::default(), cursor, limit };
        let ChangesPage::Found { items, next, position } = read(&query).unwrap() else { panic!() };
        assert!(items.len() <= limit);
        all.extend(items);
        match next {
            Some(next) => cursor = next,
            None => return (all, position),
        }
    }
}

impl Fixture {
    /// Checks the lists of changes since several positions. Returns the number of published memberships.
    fn check_lists_of_changes(&self) -> usize {
        let read = |at: &Snapshot<'_>| rows::list_published_events(at, &EventsQuery::default(), 0, i64::MAX, UNLIMITED);
        let (events, _) = self.store.read_inline(read).unwrap();
        let mut last = LastChanges::default();
        for event in &events {
            last.apply(event);
        }
        let sequences: Vec<i64> = [0].into_iter().chain(events.iter().map(|event| event.seq)).collect();
        for since in sequences.iter().copied().step_by(7).chain(sequences.last().copied()) {
            for limit in [1, 2, 3, 1_000] {
                self.check_lists_since(&last, since, limit);
            }
        }
        last.memberships.len()
    }

    fn check_lists_since(&self, last: &LastChanges, since: i64, limit: usize) {
        // The order within one event is that of its members.
        let with_numbers = |all: &BTreeMap<String, i64>, ids: Vec<String>| {
            let numbers: Vec<(i64, String)> = ids.into_iter().map(|id| (all[&id], id)).collect();
            assert!(numbers.is_sorted_by_key(|(seq, _)| *seq), "{numbers:?}");
            let mut sorted = numbers;
            sorted.sort();
            sorted
        };
        let end = self.store.read_inline(feed::find_end).unwrap();
        for (resource_type, all) in [("User", &last.users), ("Group", &last.groups)] {
            let filter = DirectoryFilter::default();
            let (found, position) = collect_pages(since, limit, |query| {
                self.store.read_inline(|at| changes::list_changed_resources(at, resource_type, &filter, query))
            });
            let ids = found.into_iter().map(|found| found.stored.id).collect();
            assert_eq!(with_numbers(all, ids), LastChanges::list_since(all, since), "{resource_type} {since} {limit}");
            assert_eq!(position.seq(), end);
        }
        let (found, position) = collect_pages(since, limit, |query| {
            self.store.read_inline(|at| changes::list_changed_memberships(at, None, None, query))
        });
        let pairs = found.into_iter().map(|found| join(&found.group_id, &found.member_id)).collect();
        let expected = LastChanges::list_since(&last.memberships, since);
        assert_eq!(with_numbers(&last.memberships, pairs), expected, "{since} {limit}");
        assert_eq!(position.seq(), end);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// During a pause, between the steps of a catch-up and after it, every list of changes has each user, group and
    /// membership that changed once, in the order of the last change, with every page size.
    #[test]
    fn lists_of_changes_have_everything_once_with_every_page_size(acts in prop::collection::vec(act(), 1..60)) {
        let fixture = Fixture::new();
        for (turn, act) in acts.iter().enumerate() {
            fixture.act(turn, act);
        }
        fixture.check_lists_of_changes();
        fixture.act(0, &Act::Sync(true));
        fixture.step(3);
        fixture.check_lists_of_changes();
        while fixture.step(100) {}
        // The memberships of a deleted group end with its deletion; their rows follow within the steps.
        let rows = fixture.store.read_inline(membership_events::count_memberships).unwrap();
        prop_assert_eq!(usize::try_from(rows).unwrap(), fixture.check_lists_of_changes());
        prop_assert_eq!(fixture.store.read_inline(held_changes::count_emails).unwrap(), 0);
    }
}
