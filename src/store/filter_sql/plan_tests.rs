//! Query plans of compiled filters: each uses an index, and no table is scanned.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::*;
use crate::scim::filter::ScimFilter;
use crate::scim::schema::{GROUP_TYPE, USER_TYPE};

const SCHEMA: &str = include_str!("../../../schema.sql");

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register_functions(&connection).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
}

fn compiled(text: &str, resource_type: &ResourceType) -> CompiledFilter {
    let predicate = ScimFilter::parse(text).unwrap().check(resource_type).unwrap();
    compile_filter(
        &predicate,
        &FilterContext { configuration: 7, resource_type, base: "https://x.example/scim", parameters_used: 2 },
    )
}

/// Returns the lines of the query plan.
fn plan(connection: &Connection, condition: &CompiledFilter) -> String {
    let sql = format!("EXPLAIN QUERY PLAN SELECT r.resource FROM resources r WHERE {}", condition.clause(1, 2));
    let mut statement = connection.prepare(&sql).unwrap();
    let mut params = vec![Value::Integer(7), Value::Text("User".into())];
    params.extend(condition.params.iter().cloned());
    let rows = statement.query_map(rusqlite::params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

const MANAGER_EQ: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq \"x\"";
const BY_ROW: &str = "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)";

/// Resource type, filter, and the expected line in its query plan.
const EXPECTED_PLANS: &[(&str, &str, &str)] = &[
    ("User", "userName eq \"x\"", "resources_by_user_name (configuration=? AND type=? AND user_name_key=?)"),
    (
        "User",
        "userName sw \"x\"",
        "resources_by_user_name (configuration=? AND type=? AND user_name_key>? AND user_name_key<?)",
    ),
    ("User", "externalId eq \"x\"", "resources_by_external_id (configuration=? AND type=? AND external_id=?)"),
    ("User", "displayName eq \"x\"", "resources_by_display_name (configuration=? AND type=? AND display_name_key=?)"),
    ("Group", "displayName eq \"x\"", "resources_by_display_name (configuration=? AND type=? AND display_name_key=?)"),
    (
        "Group",
        "displayName sw \"x\"",
        "resources_by_display_name (configuration=? AND type=? AND display_name_key>? AND",
    ),
    ("User", "active eq true", "resources_by_active (configuration=? AND type=? AND active=?)"),
    ("User", "id eq \"x\"", "resources_by_id (id=?)"),
    (
        "User",
        "meta.lastModified gt \"2024-01-01T00:00:00Z\"",
        "resources_by_last_modified (configuration=? AND type=? AND last_modified>?)",
    ),
    ("User", "emails.value eq \"x\"", BY_ROW),
    ("User", "emails eq \"x\"", BY_ROW),
    ("User", "emails[type eq \"work\"].value eq \"x\"", BY_ROW),
    ("User", "emails[type eq \"work\" and value eq \"x\"]", BY_ROW),
    ("User", "manager eq \"x\"", BY_ROW),
    ("User", "manager[value eq \"x\"]", BY_ROW),
    ("User", MANAGER_EQ, BY_ROW),
    ("User", "groups.value eq \"x\"", BY_ROW),
    ("Group", "members.value eq \"x\"", BY_ROW),
    ("Group", "members eq \"x\"", BY_ROW),
    ("Group", "members[value eq \"x\" and type eq \"User\"]", BY_ROW),
    // Two terms: the more selective one is searched first.
    ("User", "userName eq \"x\" and externalId eq \"y\"", "resources_by_"),
    (
        "User",
        "title co \"x\" and userName eq \"x\"",
        "resources_by_user_name (configuration=? AND type=? AND user_name_key=?)",
    ),
    (
        "User",
        "userName eq \"x\" and active eq true",
        "resources_by_user_name (configuration=? AND type=? AND user_name_key=?)",
    ),
    ("User", "emails.value eq \"x\" and active eq true", BY_ROW),
    ("User", "active eq true and (title pr and emails.value eq \"x\")", BY_ROW),
    ("User", "id eq \"x\" and manager eq \"y\"", "SEARCH r USING"),
    ("Group", "id eq \"x\" and members eq \"y\"", "SEARCH r USING"),
];

#[test]
fn every_indexed_filter_uses_its_index() {
    let connection = database();
    for (type_name, text, line) in EXPECTED_PLANS {
        let resource_type = if *type_name == "User" { &**USER_TYPE } else { &**GROUP_TYPE };
        let condition = compiled(text, resource_type);
        let plan = plan(&connection, &condition);
        assert!(plan.contains(line), "{text}\n{}\n{plan}", condition.sql);
        for scan in ["SCAN r", "SCAN x", "SCAN l", "SCAN m", "SCAN v", "resources_in_order"] {
            // The nested memberships are computed once and then scanned.
            let is_computed = scan == "SCAN l" && text.contains("groups");
            assert!(is_computed || !plan.contains(scan), "{text}\n{}\n{plan}", condition.sql);
        }
        let is_selective = text.contains(" eq ") && *text != "active eq true";
        assert_eq!(condition.indexed, is_selective, "{text}");
    }
}

#[test]
fn an_or_filter_is_indexed_only_if_both_sides_are() {
    let connection = database();
    for (text, indexed) in [
        ("userName eq \"x\" or userName eq \"y\"", true),
        ("userName eq \"x\" or emails.value eq \"x\"", true),
        ("id eq \"x\" or emails.value eq \"x\"", true),
        ("emails.value eq \"x\" or manager eq \"y\"", true),
        ("userName eq \"x\" or externalId eq \"y\" or displayName eq \"z\"", true),
        ("userName eq \"x\" or title eq \"x\"", false),
        ("not (userName eq \"x\")", false),
        ("userName ne \"x\"", false),
        ("emails.value ne \"x\"", false),
        ("members.display eq \"x\"", false),
    ] {
        let resource_type = if text.starts_with("members") { &GROUP_TYPE } else { &USER_TYPE };
        let condition = compiled(text, resource_type);
        assert_eq!(condition.indexed, indexed, "{text}");
        let plan = plan(&connection, &condition);
        assert!(
            !indexed || !(plan.contains("SCAN r") || plan.contains("resources_in_order")),
            "{text}\n{}\n{plan}",
            condition.sql
        );
    }
}

#[test]
fn the_sql_depends_only_on_the_structure_of_the_filter() {
    let hostile = "'; DROP TABLE resources; -- %_*[a-z] \\\" ?1 :x @y $z";
    for (left, right) in [
        ("userName eq \"HOLE\"", "userName eq \"x\""),
        ("title co \"HOLE\" or nickName sw \"HOLE\"", "locale co \"\" or timezone sw \"x\""),
        ("emails[type eq \"HOLE\"].value eq \"HOLE\"", "emails[type eq \"a\"].value eq \"b\""),
        ("meta.location eq \"HOLE\"", "meta.location eq \"x\""),
        ("department eq \"HOLE\"", "title eq \"x\""),
    ] {
        let left = compiled(&left.replace("HOLE", hostile), &USER_TYPE);
        assert_eq!(left.sql, compiled(right, &USER_TYPE).sql);
        assert!(
            !left.sql.contains("DROP") && !left.sql.contains("title") && !left.sql.contains("urn:"),
            "{}",
            left.sql
        );
        plan(&database(), &left);
    }
}

#[test]
fn parameters_follow_those_of_the_caller() {
    let predicate = ScimFilter::parse("userName eq \"Ada\" and emails eq \"B\"").unwrap().check(&USER_TYPE).unwrap();
    let context = FilterContext { configuration: 7, resource_type: &USER_TYPE, base: "", parameters_used: 5 };
    let condition = compile_filter(&predicate, &context);
    assert!(condition.sql.starts_with("(r.user_name_key = ?6 AND "), "{}", condition.sql);
    let texts: Vec<Value> =
        vec!["ada".to_owned().into(), 7_i64.into(), "emails.value".to_owned().into(), "b".to_owned().into()];
    assert_eq!(condition.params, texts);
}

#[test]
fn the_largest_filters_compile_to_valid_statements() {
    let connection = database();
    let many = vec!["emails[type ne \"a\" and groups ne \"x\"]".replace("groups", "display"); 100].join(" and ");
    plan(&connection, &compiled(&many, &USER_TYPE));
    let many = vec!["groups.display ne \"x\""; 200].join(" or ");
    plan(&connection, &compiled(&many, &USER_TYPE));
    let deep = format!("{}manager ne \"x\"{}", "not (".repeat(32), ")".repeat(32));
    plan(&connection, &compiled(&deep, &USER_TYPE));
}

#[test]
fn only_a_comparison_with_one_key_is_read_on_the_event_loop() {
    let slow = vec!["emails.value co \"y\""; 20].join(" or ");
    for (text, expected) in [
        ("userName eq \"x\"", true),
        ("id eq \"x\"", true),
        ("externalId eq \"x\"", true),
        ("displayName eq \"x\"", true),
        ("userName ne \"x\"", false),
        ("userName sw \"x\"", false),
        ("not (userName eq \"x\")", false),
        ("userName eq \"x\" or userName eq \"y\"", false),
        ("userName eq \"x\" and active eq true", false),
        ("active eq true", false),
        ("title eq \"x\"", false),
        ("emails.value eq \"x\"", false),
        ("groups.value eq \"x\"", false),
        ("manager.displayName eq \"x\"", false),
        (&*format!("userName eq \"x\" and ({slow})"), false),
    ] {
        assert_eq!(compiled(text, &USER_TYPE).single_key, expected, "{text}");
    }
}
