//! Pages of the list in each order, compared with a sort in memory, and the limits of counts.

use super::*;
use crate::clock;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use crate::management::configurations;
use crate::model::audit_context::AuditContext;
use crate::scim::index::IndexKeys;
use crate::store::Store;
use crate::store::Tx;
use crate::store::tables::resources::{InsertedVersion, ResourceCollection, ResourceValues};

/// A user of the tests: name, `active`, and time of the last change.
type Listed = (String, Option<bool>, Millis);

/// Creates a configuration of an account with these users. Returns its key.
fn add_configuration(tx: &Tx<'_>, account: &str, users: &[Listed]) -> Result<i64> {
    let context = AuditContext::server();
    let created = create_configuration(tx, &context, &NewConfiguration::sample(account))?;
    let key = configurations::find_configuration(tx, &context.scope, &created.id)?.key;
    let collection = ResourceCollection { configuration: key, resource_type: "User" };
    for (name, active, changed) in users {
        let keys = IndexKeys { user_name: Some(name.clone()), active: *active, ..IndexKeys::default() };
        let id = clock::new_id();
        let new = ResourceValues { id: &id, keys: &keys, unique_name: None, body: "{}" };
        resources::insert_resource(tx, collection, &new, InsertedVersion::first(*changed))?;
    }
    Ok(key)
}

/// Reads all pages, with and without the counts, and returns the row numbers.
fn walk(at: &Snapshot<'_>, query: &UserQuery, has_counts: bool) -> Vec<i64> {
    let scope = AccountScope::AllAccounts;
    let selection = UserList::read(at, &scope, None).unwrap().select(at, &query.filter).unwrap();
    let selection = Some(&selection).filter(|_| has_counts);
    let (mut rows, mut query) = (Vec::new(), query.clone());
    loop {
        let list = UserList::read(at, &scope, query.after.as_ref()).unwrap();
        let page = list.read_page(at, &query, selection).unwrap();
        assert!(page.users.len() <= query.limit);
        rows.extend(page.users.iter().map(|user| user.stored.key));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

/// The row numbers of the users that match, sorted in memory.
fn sort_users(all: &[(i64, i64, Listed)], order: UserOrder, prefix: &str, active: Option<bool>) -> Vec<i64> {
    let mut found: Vec<(UserPosition, i64)> = all
        .iter()
        .filter(|(_, _, (name, is_active, _))| {
            name.starts_with(prefix) && active.is_none_or(|active| active == (*is_active == Some(true)))
        })
        .map(|(configuration, row, (name, is_active, changed))| {
            let is_active = *is_active == Some(true);
            let user = ScannedUser { row: *row, name: name.clone(), changed: *changed, is_active };
            (UserPosition::new(order, *configuration, user), *row)
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn each_order_has_all_users_once_whatever_the_size_of_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_command(folder.path()).unwrap();
    // Names and times that repeat over the configurations, and three values of `active`.
    let users = |seed: usize| -> Vec<Listed> {
        let active = [Some(true), Some(false), None, Some(true), Some(true)];
        (0..40)
            .map(|at| {
                let mixed = (at * 17 + seed * 5) % 40;
                let letter = ["a", "ab", "b"][mixed % 3];
                (format!("{letter}{mixed:02}"), active[(at + seed) % 5], Millis::try_from(mixed / 4).unwrap())
            })
            .collect()
    };
    let all = store.write_blocking(move |tx| {
        let (mut all, mut row) = (Vec::new(), 0);
        for (seed, account) in ["zeta", "acme", "beta"].into_iter().enumerate() {
            let listed = users(seed);
            let key = add_configuration(tx, account, &listed)?;
            for user in listed {
                row += 1;
                all.push((key, row, user));
            }
        }
        Ok(all)
    });
    let all = all.unwrap();
    for order in [UserOrder::Configuration, UserOrder::Name, UserOrder::Changed] {
        for (prefix, active) in
            [("", None), ("a", None), ("ab1", None), ("", Some(true)), ("b", Some(false)), ("x", None)]
        {
            let expected = sort_users(&all, order, prefix, active);
            for (limit, has_counts) in [(1, true), (7, true), (7, false), (50, true), (200, false)] {
                let query = UserQuery { filter: UserFilter::new(prefix, active), order, after: None, limit };
                let rows = store.read_inline(|at| Ok(walk(at, &query, has_counts))).unwrap();
                assert_eq!(rows, expected, "{order:?} {prefix} {active:?} {limit} {has_counts}");
            }
        }
    }
    let counts = store.read_inline(|at| {
        let list = UserList::read(at, &AccountScope::AllAccounts, None)?;
        let with_text = list.select(at, &UserFilter::new("AB", Some(true)))?.counts;
        Ok((list.select(at, &UserFilter::default())?.counts, with_text))
    });
    let (without_text, with_text) = counts.unwrap();
    assert_eq!(without_text, UserCounts::new(120, 72, false));
    let of_text = |active| sort_users(&all, UserOrder::Name, "ab", active).len();
    assert_eq!(with_text, UserCounts::new(of_text(None), of_text(Some(true)), false));
}

/// A store with one configuration of users `a00000`, `a00001` and so on, of which every 50th is active.
fn store_with_many_users(count: usize) -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_command(folder.path()).unwrap();
    let users: Vec<Listed> =
        (0..count).map(|at| (format!("a{at:05}"), Some(at % 50 == 49), Millis::try_from(at).unwrap())).collect();
    store.write_blocking(move |tx| add_configuration(tx, "acme", &users)).unwrap();
    (store, folder)
}

/// The numbers of a filter, and a page of 50 users.
fn read_selected(
    store: &Store,
    (text, active): (&str, Option<bool>),
    order: UserOrder,
    after: Option<UserPosition>,
) -> (UserCounts, UserPage) {
    let read = |at: &Snapshot<'_>| {
        let list = UserList::read(at, &AccountScope::AllAccounts, None)?;
        let filter = UserFilter::new(text, active);
        let selection = list.select(at, &filter)?;
        let query = UserQuery { filter, order, after, limit: 50 };
        Ok((selection.counts, list.read_page(at, &query, Some(&selection))?))
    };
    store.read_inline(read).unwrap()
}

#[test]
fn more_than_ten_thousand_users_are_not_compared_one_by_one() {
    let (store, _folder) = store_with_many_users(COUNTED_MAX + 5);
    let (counts, page) = read_selected(&store, ("", Some(true)), UserOrder::Changed, None);
    assert_eq!(counts, UserCounts::new(COUNTED_MAX + 5, 200, false));
    assert_eq!(page.users.first().map(|user| user.stored.last_modified), Some(9_999));
    // A filter that most users match reads the index in its order, and stops at the end of the page.
    let (_, page) = read_selected(&store, ("", Some(false)), UserOrder::Changed, None);
    assert_eq!(page.users.first().map(|user| user.stored.last_modified), Some(10_004));
}

#[test]
fn a_search_finds_a_limited_number_of_users_and_an_export_finds_all() {
    let (store, _folder) = store_with_many_users(MATCHES_MAX + 500);
    let (counts, page) = read_selected(&store, ("a", None), UserOrder::Name, None);
    assert_eq!(counts.all, FilterCount { users: MATCHES_MAX, is_more: true });
    assert_eq!((page.users.len(), page.next.is_some()), (50, true));
    // The list ends with the last user that was found.
    let last = UserPosition::Name(format!("a{:05}", MATCHES_MAX - 1), i64::MAX);
    let (_, page) = read_selected(&store, ("a", None), UserOrder::Name, Some(last));
    assert_eq!((page.users.len(), page.next), (0, None));
    let filter = UserFilter::new("a", None);
    let query = UserQuery { filter, order: UserOrder::Configuration, after: None, limit: 500 };
    let rows = store.read_inline(|at| Ok(walk(at, &query, false))).unwrap();
    assert_eq!(rows.len(), MATCHES_MAX + 500);
}

#[test]
fn a_search_compares_the_beginning_of_each_name_address_and_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_command(folder.path()).unwrap();
    let ids = store.write_blocking(|tx| {
        let keys = ["acme", "zeta"].map(|account| add_configuration(tx, account, &[]).unwrap());
        let mut ids = Vec::new();
        for (number, configuration) in keys.into_iter().enumerate() {
            let collection = ResourceCollection { configuration, resource_type: "User" };
            let keys = IndexKeys {
                user_name: Some(format!("ann{number}@x.example")),
                display_name: Some(format!("lovelace {number}")),
                external_id: Some(format!("EXT-{number}")),
                values: vec![("emails.value".into(), format!("mail{number}@x.example"))],
                ..IndexKeys::default()
            };
            let id = clock::new_id();
            let new = ResourceValues { id: &id, keys: &keys, unique_name: None, body: "{}" };
            resources::insert_resource(tx, collection, &new, InsertedVersion::first(0))?;
            ids.push(id);
        }
        Ok(ids)
    });
    let ids = ids.unwrap();
    let count = |scope: &AccountScope, text: &str| {
        let read = |at: &Snapshot<'_>| {
            let list = UserList::read(at, scope, None)?;
            Ok(list.select(at, &UserFilter::new(text, None))?.counts.all.users)
        };
        store.read_inline(read).unwrap()
    };
    let first = store.read_inline(|at| Ok(directory::list_sources(at, None, 0, 1)?.remove(0))).unwrap();
    let (all, acme) = (AccountScope::AllAccounts, AccountScope::Account(first.account));
    for text in ["ANN", "Lovelace", "EXT-", "Mail", "ann"] {
        assert_eq!(count(&all, text), 2, "{text}");
    }
    for text in ["ann1", "lovelace 1", "EXT-1", "mail1", ids[1].as_str(), &ids[1].to_ascii_uppercase()] {
        assert_eq!(count(&all, text), 1, "{text}");
        assert_eq!(count(&acme, text), 0, "{text}");
    }
    // An id begins with its time, which these two have nearly in common; fewer characters would fit too many.
    assert_eq!((count(&all, &ids[0][..ID_PREFIX_MIN]), count(&all, &ids[0][..ID_PREFIX_MIN - 1])), (2, 0));
    // Other attributes have an index that is compared with case, or none.
    for text in ["ext-", "nn0", "x.example"] {
        assert_eq!(count(&all, text), 0, "{text}");
    }
    // A page of an export has the same users.
    for text in ["EXT-1", ids[1].as_str()] {
        let filter = UserFilter::new(text, None);
        let query = UserQuery { filter, order: UserOrder::Configuration, after: None, limit: 5 };
        assert_eq!(store.read_inline(|at| Ok(walk(at, &query, false))).unwrap().len(), 1, "{text}");
    }
}
