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
    let counts = UserList::read(at, &scope, None).unwrap().count(at, &query.filter).unwrap();
    let counts = Some(&counts).filter(|_| has_counts);
    let (mut rows, mut query) = (Vec::new(), query.clone());
    loop {
        let list = UserList::read(at, &scope, query.after.as_ref()).unwrap();
        let page = list.read_page(at, &query, counts).unwrap();
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
        Ok((list.count(at, &UserFilter::default())?, list.count(at, &UserFilter::new("AB", Some(true)))?))
    });
    let (without_text, with_text) = counts.unwrap();
    assert_eq!(without_text, UserCounts::new(120, 72, false));
    let of_text = |active| sort_users(&all, UserOrder::Name, "ab", active).len();
    assert_eq!(with_text, UserCounts::new(of_text(None), of_text(Some(true)), false));
}

#[test]
fn more_than_ten_thousand_users_are_not_counted_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_command(folder.path()).unwrap();
    let users: Vec<Listed> = (0..COUNTED_MAX + 5)
        .map(|at| (format!("a{at:05}"), Some(at % 50 == 49), Millis::try_from(at).unwrap()))
        .collect();
    store.write_blocking(move |tx| add_configuration(tx, "acme", &users)).unwrap();
    let read = |prefix: &str, active, order, after: Option<UserPosition>| {
        store
            .read_inline(|at| {
                let list = UserList::read(at, &AccountScope::AllAccounts, None)?;
                let filter = UserFilter::new(prefix, active);
                let counts = list.count(at, &filter)?;
                let query = UserQuery { filter, order, after, limit: 50 };
                Ok((counts, list.read_page(at, &query, Some(&counts))?))
            })
            .unwrap()
    };
    let (counts, page) = read("a", None, UserOrder::Changed, None);
    assert_eq!(counts, UserCounts { all: FilterCount { users: COUNTED_MAX, is_more: true }, ..counts });
    let times: Vec<Millis> = page.users.iter().map(|user| user.stored.last_modified).collect();
    assert_eq!((times.first(), times.last()), (Some(&10_004), Some(&9_955)));
    // Without a text, the numbers are those of the counters.
    let (counts, page) = read("", Some(true), UserOrder::Changed, None);
    assert_eq!(counts, UserCounts::new(COUNTED_MAX + 5, 200, false));
    assert_eq!(page.users.first().map(|user| user.stored.last_modified), Some(9_999));
    // A filter that most users do not match ends a page early; the next one continues.
    let (mut found, mut after, mut pages) = (0, None, 0);
    loop {
        let (_, page) = read("a", Some(true), UserOrder::Name, after);
        found += page.users.len();
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!((found, pages) == (200, 4) || (found, pages) == (200, 5), "{found} {pages}");
}
