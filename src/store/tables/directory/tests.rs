//! Tests of the statements of the directory.

use super::*;

/// Returns the query plan for a page of users after a position.
fn plan(table: &str, filter: &DirectoryFilter) -> Vec<String> {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../../../schema.sql")).unwrap();
    let collection = ResourceCollection { configuration: 1, resource_type: "User" };
    let position = DirectoryPosition { changed: 1, row: 1, id: "x".to_owned() };
    let is_current = get_view_tables(DirectoryView::Current).contains(&table);
    let view = if is_current { DirectoryView::Current } else { DirectoryView::Published };
    let page = CollectionPage { collection, view, filter, after: Some(&position), limit: 10, bytes_max: 1 };
    let (sql, values) = build_page_sql(table, &page);
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
    steps.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn pages_are_read_in_index_order_without_sorting() {
    let filters = [
        (DirectoryFilter::default(), "resources_in_order (configuration=? AND type=? AND rowid>?)"),
        (
            DirectoryFilter { active: Some(true), ..DirectoryFilter::default() },
            "resources_by_active (configuration=? AND type=? AND active=?",
        ),
        (
            DirectoryFilter { external_id: Some("x".into()), ..DirectoryFilter::default() },
            "resources_by_external_id (configuration=? AND type=? AND external_id=?",
        ),
        (
            DirectoryFilter { user_name_key: Some("x".into()), ..DirectoryFilter::default() },
            "resources_by_user_name (configuration=? AND type=? AND user_name_key=?",
        ),
        (
            DirectoryFilter { updated_since: Some(1), ..DirectoryFilter::default() },
            "resources_by_last_modified (configuration=? AND type=? AND last_modified>?",
        ),
    ];
    for (filter, index) in filters {
        for table in [get_view_tables(DirectoryView::Current)[0], get_view_tables(DirectoryView::Published)[0]] {
            let steps = plan(table, &filter);
            assert!(steps[0].contains(index), "{filter:?}: {steps:?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{filter:?}: {steps:?}");
        }
    }
}

#[test]
fn e_mail_addresses_names_and_members_are_found_by_an_index() {
    let by_id = DirectoryFilter { id: Some("x".into()), ..DirectoryFilter::default() };
    let by_email = DirectoryFilter { email_key: Some("x".into()), ..DirectoryFilter::default() };
    let by_name = DirectoryFilter { display_name_key: Some("x".into()), ..DirectoryFilter::default() };
    let by_member = DirectoryFilter { member_id: Some("x".into()), ..DirectoryFilter::default() };
    let held_by_id = "SEARCH r USING INDEX sqlite_autoindex_held_resources_1 (id=?)";
    let by_row = "SEARCH r USING INTEGER PRIMARY KEY";
    let by_public_id = "resources_by_id (id=?)";
    let by_key = "resources_by_display_name (configuration=? AND type=? AND display_name_key=?";
    for (filter, indexes) in [
        (by_id, [by_public_id, by_public_id, held_by_id]),
        (by_email, [by_row, by_row, held_by_id]),
        (by_name, [by_key, by_key, by_key]),
        (by_member, [by_row, by_public_id, held_by_id]),
    ] {
        let [published, held] = get_view_tables(DirectoryView::Published) else { panic!() };
        let current = get_view_tables(DirectoryView::Current)[0];
        for (table, index) in [current, published, held].into_iter().zip(indexes) {
            let steps = plan(table, &filter);
            assert!(steps.iter().any(|step| step.contains(index)), "{table} {filter:?}: {steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{table} {filter:?}: {steps:?}");
        }
    }
}

/// A search reads a range of one index and no row, however many users there are.
#[test]
fn prefixes_are_found_by_an_index_alone() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../../../schema.sql")).unwrap();
    let plan = |sql: &str, values: &[&str]| -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
        steps.collect::<rusqlite::Result<_>>().unwrap()
    };
    for (sql, expected) in [
        (
            prefix_search::build_prefix_sql("user_name_key"),
            "COVERING INDEX resources_by_user_name (configuration=? AND type=? AND user_name_key>? AND",
        ),
        (
            prefix_search::build_prefix_sql("display_name_key"),
            "COVERING INDEX resources_by_display_name (configuration=? AND type=? AND display_name_key>? AND",
        ),
        (
            prefix_search::build_prefix_sql("external_id"),
            "COVERING INDEX resources_by_external_id (configuration=? AND type=? AND external_id>? AND",
        ),
        (
            prefix_search::EMAIL_PREFIX_SQL.to_owned(),
            "SEARCH v USING PRIMARY KEY (configuration=? AND path=? AND key>? AND key<?)",
        ),
    ] {
        let steps = plan(&sql, &["1", "User", "a", "b"]);
        assert!(steps.len() == 1 && steps[0].contains(expected), "{steps:?}");
    }
    let steps = plan(prefix_search::NAMED_USERS_SQL, &["1", "a", "b"]);
    let expected = "resources_by_user_name (configuration=? AND type=? AND user_name_key>? AND user_name_key<?)";
    assert!(steps.len() == 1 && steps[0].contains(expected), "{steps:?}");
    let steps = plan(prefix_search::ID_PREFIX_SQL, &["0", "1", "10"]);
    assert!(steps.len() == 1 && steps[0].contains("resources_by_id (id>? AND id<?)"), "{steps:?}");
}

#[test]
fn users_are_scanned_in_index_order_without_sorting() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../../../schema.sql")).unwrap();
    for (sql, values, expected) in [
        (user_scan::BY_NAME_SQL, &["a"][..], "resources_by_user_name (configuration=? AND type=? AND user_name_key>?)"),
        (
            user_scan::BY_CHANGE_SQL,
            &["1", "1"][..],
            "resources_by_last_modified (configuration=? AND type=? AND last_modified<?)",
        ),
        (user_scan::BY_STATE_SQL, &["1"][..], "resources_by_active (configuration=? AND type=? AND active=?)"),
    ] {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(["1"].iter().chain(values)), |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
        assert!(steps.len() == 1 && steps[0].contains(expected), "{steps:?}");
    }
}

#[test]
fn held_resources_are_read_in_index_order() {
    let steps = plan(get_view_tables(DirectoryView::Published)[1], &DirectoryFilter::default());
    assert!(steps[0].contains("held_resources_in_order (configuration=? AND type=? AND resource>?)"), "{steps:?}");
}
