//! The order of pages compared with a sort in memory, and the indexes that provide it.

use proptest::prelude::*;
use rusqlite::{Connection, params};

use crate::scim::filter::ScimFilter;
use crate::scim::fold;
use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use crate::scim::sort::Sort;
use crate::store::engine::snapshot_gate::{ScanSnapshot, SnapshotGate};
use crate::store::filter_sql::{self, FilterContext};
use crate::store::tables::pages::*;

const SCHEMA: &str = include_str!("../../../../schema.sql");

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    filter_sql::register_functions(&connection).unwrap();
    // As in the store: query plans do not depend on parameter values.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection
}

fn collection_of(resource_type: &ResourceType) -> ResourceCollection<'_> {
    ResourceCollection { configuration: 7, resource_type: &resource_type.name }
}

/// Compiles the filter and the sort key for one type.
fn compiled(
    resource_type: &ResourceType,
    filter: Option<&str>,
    by: Option<&str>,
) -> (Option<CompiledFilter>, Option<SortKey>) {
    let context = FilterContext { configuration: 7, resource_type, base: "https://x.example/scim", parameters_used: 2 };
    let predicate = filter.map(|text| ScimFilter::parse(text).unwrap().check_for_any(resource_type).unwrap());
    let filter = predicate.map(|predicate| filter_sql::compile_filter(&predicate, &context));
    let used = 2 + filter.as_ref().map_or(0, |filter| filter.params.len());
    let field = by.and_then(|by| {
        Sort::read(Some(by), None).unwrap().unwrap().fields([resource_type].into_iter()).ok()?.remove(0)
    });
    let key =
        field.map(|field| filter_sql::compile_sort_key(&field, &FilterContext { parameters_used: used, ..context }));
    (filter, key)
}

fn plan(
    connection: &Connection,
    stream: &ResourceStream<'_>,
    half: SortHalf,
    start: StartAfter<'_>,
    ascending: bool,
) -> String {
    let requested = PageWindow { ascending, after: None, skip: 0, limit: 10 };
    let (sql, params) = build_statement(stream, half, start, (None, &requested));
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    format!("{}\n{sql}", rows.map(rusqlite::Result::unwrap).collect::<Vec<_>>().join("\n"))
}

#[test]
fn indexed_attributes_are_read_in_index_order() {
    let connection = database();
    for (by, index, column, key) in [
        ("userName", "resources_by_user_name", "user_name_key", SortValue::Text("x".to_owned())),
        ("displayName", "resources_by_display_name", "display_name_key", SortValue::Text("x".to_owned())),
        ("externalId", "resources_by_external_id", "external_id", SortValue::Text("x".to_owned())),
        ("active", "resources_by_active", "active", SortValue::Integer(1)),
        ("meta.lastModified", "resources_by_last_modified", "last_modified", SortValue::Integer(5)),
    ] {
        for filter in [None, Some("title co \"x\"")] {
            let (filter, sort) = compiled(&USER_TYPE, filter, Some(by));
            let stream =
                ResourceStream { collection: collection_of(&USER_TYPE), filter: filter.as_ref(), key: sort.as_ref() };
            for ascending in [true, false] {
                let sign = if ascending { '>' } else { '<' };
                for (half, start, line) in [
                    (SortHalf::WithValue, StartAfter::Nothing, format!("{index} (configuration=? AND type=?")),
                    (
                        SortHalf::WithValue,
                        StartAfter::RowAmongEqual(&key, 9),
                        format!("type=? AND {column}=? AND rowid{sign}?)"),
                    ),
                    (SortHalf::WithValue, StartAfter::Value(&key), format!("type=? AND {column}{sign}?)")),
                    (SortHalf::WithoutValue, StartAfter::Nothing, format!("type=? AND {column}=?)")),
                    (SortHalf::WithoutValue, StartAfter::Row(9), format!("type=? AND {column}=? AND rowid{sign}?)")),
                ] {
                    if half == SortHalf::WithoutValue && sort.as_ref().unwrap().always {
                        continue;
                    }
                    let plan = plan(&connection, &stream, half, start, ascending);
                    assert!(plan.contains(&line) && plan.contains(index), "{by} {half:?} {line}\n{plan}");
                    assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{by}\n{plan}");
                }
            }
        }
    }
}

#[test]
fn creation_order_needs_no_sorting_and_a_selective_filter_does_not_scan_the_sort_index() {
    let connection = database();
    let stream = ResourceStream { collection: collection_of(&USER_TYPE), filter: None, key: None };
    for start in [StartAfter::Nothing, StartAfter::Row(9)] {
        let plan = plan(&connection, &stream, SortHalf::WithoutValue, start, true);
        assert!(plan.contains("(configuration=? AND type=?") && !plan.contains("TEMP B-TREE"), "{plan}");
        assert!(plan.contains("rowid>?") || matches!(start, StartAfter::Nothing), "{plan}");
    }
    let (filter, key) = compiled(&USER_TYPE, Some("emails.value eq \"x\""), Some("userName"));
    let stream = ResourceStream { filter: filter.as_ref(), key: key.as_ref(), ..stream };
    let plan = plan(&connection, &stream, SortHalf::WithValue, StartAfter::Nothing, true);
    assert!(plan.contains("SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
}

#[test]
fn a_position_at_any_depth_is_the_one_found_by_counting() {
    let connection = database();
    connection
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             INSERT INTO resources (resource, configuration, type, id, version, created_at, last_modified, body)
             SELECT i, 7 + (i % 5 = 0), iif(i % 3 = 0, 'Group', 'User'), i, 1, 0, 0, '{}' FROM n;
             DELETE FROM resources WHERE resource BETWEEN 9000 AND 13500 OR resource % 11 = 0;
             INSERT INTO resource_counts (configuration, type, stretch, total)
             SELECT configuration, type, resource >> 12, count(*) FROM resources GROUP BY 1, 2, 3;",
        )
        .unwrap();
    let at = Snapshot::new(&connection);
    let [users, groups] = [&**USER_TYPE, &**GROUP_TYPE].map(|of_type| ResourceStream {
        collection: collection_of(of_type),
        filter: None,
        key: None,
    });
    for streams in [&[users][..], &[users, groups], &[groups]] {
        let everything = PageWindow { ascending: true, after: None, skip: 0, limit: 1 << 40 };
        let all = read_page(&at, streams, &everything).unwrap();
        assert!(all.is_sorted_by_key(|found| found.position.row) && all.len() > 4_000);
        let depths =
            [0, 1, 1_000, 1_001, 4_095, 4_096, 4_097, 6_000, 9_999, all.len() - 1, all.len(), all.len() + 1, 1 << 40];
        for skip in depths {
            let page = read_page(&at, streams, &PageWindow { skip: skip as u64, limit: 3, ..everything }).unwrap();
            let expected: Vec<PageRow> = all.iter().skip(skip).take(3).cloned().collect();
            assert_eq!(page, expected, "{skip}");
        }
    }
}

/// Users (true) and groups by row number, with displayName and title.
type Named = Vec<(bool, Option<&'static str>, Option<&'static str>)>;

fn worlds() -> impl Strategy<Value = Named> {
    let names = prop::sample::select(vec!["ada", "Ada", "b", "B\u{e9}", "be\u{301}", "\u{e4}", "z", ""]);
    let one = (any::<bool>(), prop::option::of(names.clone()), prop::option::of(names));
    // A group always has a name.
    let one = one.prop_map(|(is_user, name, title)| (is_user, if is_user { name } else { name.or(Some("b")) }, title));
    prop::collection::vec(one, 0..25)
}

fn filled(world: &Named) -> Connection {
    let connection = database();
    for (row, (is_user, name, title)) in world.iter().enumerate() {
        let sql = "INSERT INTO resources (resource, configuration, type, id, version, created_at, last_modified, \
                   display_name_key, body) VALUES (?1, 7, ?2, ?1, 1, 0, 0, ?3, ?4)";
        let body = serde_json::json!({"title": title}).to_string();
        let kind = if *is_user { "User" } else { "Group" };
        let row = params![i64::try_from(row).unwrap(), kind, name.map(fold::fold_case), body];
        connection.execute(sql, row).unwrap();
    }
    let counts = "INSERT INTO resource_counts (configuration, type, stretch, total)
                  SELECT configuration, type, 0, count(*) FROM resources GROUP BY 1, 2";
    connection.execute(counts, []).unwrap();
    connection
}

fn sorted(world: &Named, by: &str) -> Vec<SortPosition> {
    let mut all: Vec<SortPosition> = world
        .iter()
        .enumerate()
        .map(|(row, (is_user, name, title))| {
            let value = if by == "displayName" { *name } else { title.filter(|_| *is_user) };
            let key = value.map(|value| SortValue::Text(fold::fold_case(value).into_owned()));
            SortPosition { key, row: i64::try_from(row).unwrap() }
        })
        .collect();
    all.sort_by(SortPosition::compare);
    all
}

/// Reads all pages, each after the last position of the previous one.
fn walk(at: &Snapshot<'_>, streams: &[ResourceStream<'_>], ascending: bool, limit: usize) -> Vec<SortPosition> {
    let mut walked: Vec<SortPosition> = Vec::new();
    loop {
        let after = walked.last().cloned();
        let requested = PageWindow { ascending, after: after.as_ref(), skip: 0, limit: limit as u64 };
        let page = read_page(at, streams, &requested).unwrap();
        if page.is_empty() {
            return walked;
        }
        walked.extend(page.into_iter().map(|found| found.position));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn all_kinds_of_paging_return_the_same_sequence(world in worlds(), limit in 1..7_usize, skip in 0..27_usize) {
        let connection = filled(&world);
        let at = Snapshot::new(&connection);
        for by in ["displayName", "title"] {
            let keys = [&**USER_TYPE, &**GROUP_TYPE].map(|of_type| (of_type, compiled(of_type, None, Some(by)).1));
            let both: Vec<ResourceStream<'_>> =
                keys.iter().map(|(of_type, key)| ResourceStream { collection: collection_of(of_type), filter: None, key: key.as_ref() }).collect();
            for ascending in [true, false] {
                let mut expected = sorted(&world, by);
                if !ascending {
                    expected.reverse();
                }
                prop_assert_eq!(&walk(&at, &both, ascending, limit), &expected);
                let requested = PageWindow { ascending, after: None, skip: skip as u64, limit: limit as u64 };
                for streams in [&both[..], &both[..1], &both[1..]] {
                    let is_in = |position: &&SortPosition| {
                        streams.len() == 2 || world[usize::try_from(position.row).unwrap()].0 == (streams[0].collection.resource_type == "User")
                    };
                    let of_these: Vec<SortPosition> = expected.iter().filter(is_in).cloned().collect();
                    prop_assert_eq!(&walk(&at, streams, ascending, limit), &of_these);
                    let page: Vec<SortPosition> = read_page(&at, streams, &requested).unwrap().into_iter().map(|found| found.position).collect();
                    let rest: Vec<SortPosition> = of_these.into_iter().skip(skip).take(limit).collect();
                    prop_assert_eq!(page, rest);
                }
            }
        }
    }
}

/// Adds users in ranges of row numbers that others use too.
fn insert_users(connection: &Connection, count: i64) {
    for number in 0..count {
        let row = number * 3;
        connection
            .execute(
                "INSERT INTO resources (resource, id, configuration, type, version, created_at, last_modified, body)
                 VALUES (?1, ?2, 7, 'User', 1, 0, 0, ?3)",
                params![
                    row,
                    format!("id-{row}"),
                    format!("{{\"title\":\"t{:04}\",\"nickName\":\"{row}\"}}", number * 37 % 1_009)
                ],
            )
            .unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO resource_counts SELECT configuration, type, resource >> 12, count(*) FROM resources
             GROUP BY 1, 2, 3",
        )
        .unwrap();
}

#[test]
fn a_scan_in_several_snapshots_finds_what_a_scan_in_one_finds() {
    let connection = database();
    insert_users(&connection, 9_000);
    let gate = SnapshotGate::default();
    let later = std::time::Instant::now() + std::time::Duration::from_mins(10);
    connection.execute_batch("BEGIN").unwrap();
    let scan = ScanSnapshot::enter(&gate, later).unwrap().with_age_max(std::time::Duration::ZERO);
    let (one, several) = (Snapshot::new(&connection), Snapshot::of_scan(&connection, &scan));
    for text in ["title co \"t000\"", "title co \"3\"", "title co \"none\""] {
        for by in [None, Some("title"), Some("userName"), Some("nickName")] {
            let (filter, key) = compiled(&USER_TYPE, Some(text), by);
            let collection = collection_of(&USER_TYPE);
            let streams = [ResourceStream { collection, filter: filter.as_ref(), key: key.as_ref() }];
            let mut after = None;
            for (ascending, skip, limit) in
                [(true, 0, 5), (false, 0, 5), (true, 12, 100), (false, 12, 100), (true, 5_000, 7)]
            {
                let window = PageWindow { ascending, after: after.as_ref(), skip, limit };
                let expected = read_page(&one, &streams, &window).unwrap();
                assert_eq!(read_page(&several, &streams, &window).unwrap(), expected, "{text} by {by:?}: {window:?}");
                after = if skip == 12 { expected.get(3).map(|row| row.position.clone()) } else { None };
            }
            let filter = filter.as_ref().unwrap();
            let total = count_matches(&one, collection, filter).unwrap();
            assert_eq!(count_matches(&several, collection, filter).unwrap(), total);
        }
    }
    assert!(scan.renewals() > 100, "{}", scan.renewals());
}

#[test]
fn a_range_of_a_scan_is_read_by_the_index_of_the_type() {
    let connection = database();
    let (filter, _) = compiled(&USER_TYPE, Some("title co \"x\""), None);
    let stream = ResourceStream { collection: collection_of(&USER_TYPE), filter: filter.as_ref(), key: None };
    let window = PageWindow { ascending: true, after: None, skip: 0, limit: 10 };
    let range = Some((0, 4_096));
    let (sql, params) = build_statement(&stream, SortHalf::WithoutValue, StartAfter::Row(5), (range, &window));
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
    let is_range = |step: &String| step.contains("rowid>? AND rowid<?");
    assert!(steps.len() == 1 && steps.iter().all(is_range), "{steps:?}");
}
