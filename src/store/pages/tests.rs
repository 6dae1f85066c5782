//! The order of pages, held to a sort in memory, and the indexes that give it.

use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::super::filter_sql::{self, Context};
use super::*;
use crate::scim::filter::Filter;
use crate::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use crate::scim::sort::Sort;
use crate::scim::text;

const SCHEMA: &str = include_str!("../../../schema.sql");

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    filter_sql::register(&connection).unwrap();
    // As the store sets it: plans do not depend on values.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection
}

fn of(resource_type: &ResourceType) -> Collection<'_> {
    Collection { configuration: 7, resource_type: &resource_type.name }
}

/// Filter and sort key of one type.
fn compiled(of: &ResourceType, filter: Option<&str>, by: Option<&str>) -> (Option<Where>, Option<SortKey>) {
    let context = Context { configuration: 7, resource_type: of, base: "https://x.example/scim", taken: 2 };
    let predicate = filter.map(|text| Filter::parse(text).unwrap().check_for_any(of).unwrap());
    let filter = predicate.map(|predicate| filter_sql::compile(&predicate, &context));
    let taken = 2 + filter.as_ref().map_or(0, |filter| filter.params.len());
    let field = by.and_then(|by| Sort::read(Some(by), None).unwrap().unwrap().fields([of].into_iter()).ok()?.remove(0));
    let key = field.map(|field| filter_sql::sort_key(&field, &Context { taken, ..context }));
    (filter, key)
}

fn plan(connection: &Connection, stream: &Stream<'_>, half: Half, behind: Behind<'_>, ascending: bool) -> String {
    let wanted = Window { ascending, after: None, skip: 0, limit: 10 };
    let (sql, params) = statement(stream, half, behind, &wanted);
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    format!("{}\n{sql}", rows.map(rusqlite::Result::unwrap).collect::<Vec<_>>().join("\n"))
}

#[test]
fn indexed_attributes_are_read_in_the_order_of_their_index() {
    let connection = database();
    for (by, index, column, key) in [
        ("userName", "resources_by_user_name", "user_name_key", Key::Text("x".to_owned())),
        ("displayName", "resources_by_display_name", "display_name_key", Key::Text("x".to_owned())),
        ("externalId", "resources_by_external_id", "external_id", Key::Text("x".to_owned())),
        ("active", "resources_by_active", "active", Key::Whole(1)),
        ("meta.lastModified", "resources_by_last_modified", "last_modified", Key::Whole(5)),
    ] {
        for filter in [None, Some("title co \"x\"")] {
            let (filter, sort) = compiled(&USER_TYPE, filter, Some(by));
            let stream = Stream { of: of(&USER_TYPE), filter: filter.as_ref(), key: sort.as_ref() };
            for ascending in [true, false] {
                let sign = if ascending { '>' } else { '<' };
                for (half, behind, line) in [
                    (Half::Valued, Behind::Nothing, format!("{index} (configuration=? AND type=?")),
                    (Half::Valued, Behind::Tie(&key, 9), format!("type=? AND {column}=? AND rowid{sign}?)")),
                    (Half::Valued, Behind::Value(&key), format!("type=? AND {column}{sign}?)")),
                    (Half::Missing, Behind::Nothing, format!("type=? AND {column}=?)")),
                    (Half::Missing, Behind::Row(9), format!("type=? AND {column}=? AND rowid{sign}?)")),
                ] {
                    if half == Half::Missing && sort.as_ref().unwrap().always {
                        continue;
                    }
                    let plan = plan(&connection, &stream, half, behind, ascending);
                    assert!(plan.contains(&line) && plan.contains(index), "{by} {half:?} {line}\n{plan}");
                    assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{by}\n{plan}");
                }
            }
        }
    }
}

#[test]
fn the_order_of_creation_needs_no_sorting_and_few_matches_are_not_looked_for_along_another_index() {
    let connection = database();
    let stream = Stream { of: of(&USER_TYPE), filter: None, key: None };
    for behind in [Behind::Nothing, Behind::Row(9)] {
        let plan = plan(&connection, &stream, Half::Missing, behind, true);
        assert!(plan.contains("(configuration=? AND type=?") && !plan.contains("TEMP B-TREE"), "{plan}");
        assert!(plan.contains("rowid>?") || matches!(behind, Behind::Nothing), "{plan}");
    }
    let (filter, key) = compiled(&USER_TYPE, Some("emails.value eq \"x\""), Some("userName"));
    let stream = Stream { filter: filter.as_ref(), key: key.as_ref(), ..stream };
    let plan = plan(&connection, &stream, Half::Valued, Behind::Nothing, true);
    assert!(plan.contains("SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
}

#[test]
fn a_position_at_any_depth_is_the_one_that_counting_finds() {
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
    let [users, groups] =
        [&**USER_TYPE, &**GROUP_TYPE].map(|of_type| Stream { of: of(of_type), filter: None, key: None });
    for streams in [&[users][..], &[users, groups], &[groups]] {
        let everything = Window { ascending: true, after: None, skip: 0, limit: 1 << 40 };
        let all = window(&at, streams, &everything).unwrap();
        assert!(all.is_sorted_by_key(|found| found.position.row) && all.len() > 4_000);
        let depths =
            [0, 1, 1_000, 1_001, 4_095, 4_096, 4_097, 6_000, 9_999, all.len() - 1, all.len(), all.len() + 1, 1 << 40];
        for skip in depths {
            let page = window(&at, streams, &Window { skip: skip as u64, limit: 3, ..everything }).unwrap();
            let expected: Vec<Found> = all.iter().skip(skip).take(3).cloned().collect();
            assert_eq!(page, expected, "{skip}");
        }
    }
}

/// Row numbers of users and groups with their displayName and title.
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
        let row = params![i64::try_from(row).unwrap(), kind, name.map(text::key), body];
        connection.execute(sql, row).unwrap();
    }
    let counts = "INSERT INTO resource_counts (configuration, type, stretch, total)
                  SELECT configuration, type, 0, count(*) FROM resources GROUP BY 1, 2";
    connection.execute(counts, []).unwrap();
    connection
}

fn sorted(world: &Named, by: &str) -> Vec<Position> {
    let mut all: Vec<Position> = world
        .iter()
        .enumerate()
        .map(|(row, (is_user, name, title))| {
            let value = if by == "displayName" { *name } else { title.filter(|_| *is_user) };
            let key = value.map(|value| Key::Text(text::key(value).into_owned()));
            Position { key, row: i64::try_from(row).unwrap() }
        })
        .collect();
    all.sort_by(Position::compare);
    all
}

/// Pages from that window on, each behind the last place of the one before.
fn walk(at: &Snapshot<'_>, streams: &[Stream<'_>], ascending: bool, limit: usize) -> Vec<Position> {
    let mut walked: Vec<Position> = Vec::new();
    loop {
        let after = walked.last().cloned();
        let wanted = Window { ascending, after: after.as_ref(), skip: 0, limit: limit as u64 };
        let page = window(at, streams, &wanted).unwrap();
        if page.is_empty() {
            return walked;
        }
        walked.extend(page.into_iter().map(|found| found.position));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn every_way_to_page_gives_the_same_sequence(world in worlds(), limit in 1..7_usize, skip in 0..27_usize) {
        let connection = filled(&world);
        let at = Snapshot::new(&connection);
        for by in ["displayName", "title"] {
            let keys = [&**USER_TYPE, &**GROUP_TYPE].map(|of_type| (of_type, compiled(of_type, None, Some(by)).1));
            let both: Vec<Stream<'_>> =
                keys.iter().map(|(of_type, key)| Stream { of: of(of_type), filter: None, key: key.as_ref() }).collect();
            for ascending in [true, false] {
                let mut expected = sorted(&world, by);
                if !ascending {
                    expected.reverse();
                }
                prop_assert_eq!(&walk(&at, &both, ascending, limit), &expected);
                let wanted = Window { ascending, after: None, skip: skip as u64, limit: limit as u64 };
                for streams in [&both[..], &both[..1], &both[1..]] {
                    let is_in = |place: &&Position| {
                        streams.len() == 2 || world[usize::try_from(place.row).unwrap()].0 == (streams[0].of.resource_type == "User")
                    };
                    let of_these: Vec<Position> = expected.iter().filter(is_in).cloned().collect();
                    prop_assert_eq!(&walk(&at, streams, ascending, limit), &of_these);
                    let page: Vec<Position> = window(&at, streams, &wanted).unwrap().into_iter().map(|found| found.position).collect();
                    let rest: Vec<Position> = of_these.into_iter().skip(skip).take(limit).collect();
                    prop_assert_eq!(page, rest);
                }
            }
        }
    }
}
