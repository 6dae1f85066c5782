//! Parsing, references and order of bulk jobs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::references::{self, CreatedResource};
use super::{BulkJob, BulkMethod, BulkPlan, ItemProperties, OPERATIONS_MAX, parse_bulk_job, plan_execution};
use crate::error::{Error, ScimType};
use crate::scim::dialect::DialectRules;
use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
use crate::scim::urn;

fn job(operations: Value) -> BulkJob {
    parse_bulk_job(json!({"schemas": [urn::BULK_REQUEST], "Operations": operations}), DialectRules::LENIENT).unwrap()
}

fn whole(body: Value) -> Error {
    parse_bulk_job(body, DialectRules::LENIENT).unwrap_err()
}

fn post(endpoint: &str, name: &str, data: Value) -> Value {
    json!({"method": "POST", "path": endpoint, "bulkId": name, "data": data})
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({"value": format!("bulkId:{member}")})).collect();
    post("/Groups", name, json!({"displayName": name, "members": members}))
}

fn user(name: &str) -> Value {
    post("/Users", name, json!({"userName": name}))
}

fn planned(operations: Value) -> BulkPlan {
    let job = job(operations);
    let facts: Vec<ItemProperties<'_>> = job
        .items
        .iter()
        .map(|item| {
            let of = if item.path.starts_with("/Users") { &USER_TYPE } else { &GROUP_TYPE };
            let id = item.path.rsplit('/').next().filter(|_| item.method != Some(BulkMethod::Post));
            if item.error.is_some() { ItemProperties::rejected(item) } else { ItemProperties::from_item(item, of, id) }
        })
        .collect();
    plan_execution(&facts)
}

/// The steps, and the numbers of the refused items.
fn order(operations: Value) -> (Vec<Vec<usize>>, Vec<usize>) {
    let plan = planned(operations);
    (plan.steps, plan.rejected.into_iter().map(|(number, _)| number).collect())
}

fn each(numbers: &[usize]) -> Vec<Vec<usize>> {
    numbers.iter().map(|&number| vec![number]).collect()
}

#[test]
fn an_invalid_body_is_rejected_as_a_whole() {
    let schemas = json!([urn::BULK_REQUEST]);
    for body in [
        json!([]),
        json!({"Operations": [user("a")]}),
        json!({"schemas": [urn::PATCH_OP], "Operations": [user("a")]}),
        json!({"schemas": schemas}),
        json!({"schemas": schemas, "Operations": []}),
        json!({"schemas": schemas, "Operations": {}}),
    ] {
        assert_eq!(whole(body.clone()).scim_type(), Some(ScimType::InvalidSyntax), "{body}");
    }
    for wrong in [json!(0), json!(-1), json!(1.5), json!("1"), json!([1])] {
        let body = json!({"schemas": schemas, "failOnErrors": wrong, "Operations": [user("a")]});
        assert_eq!(whole(body.clone()).scim_type(), Some(ScimType::InvalidValue), "{body}");
    }
    let many: Vec<Value> = (0..=OPERATIONS_MAX).map(|_| user("a")).collect();
    let refused = whole(json!({"schemas": schemas, "Operations": many}));
    assert_eq!(refused.status(), 413);
    assert!(refused.to_string().contains("1000"), "{}", refused.to_string());
}

#[test]
fn an_error_in_an_item_is_stored_in_that_item() {
    let data = json!({"userName": "a"});
    let operations = [
        (json!(7), ScimType::InvalidSyntax),
        (json!({"path": "/Users", "bulkId": "a", "data": data}), ScimType::InvalidSyntax),
        (json!({"method": "GET", "path": "/Users"}), ScimType::InvalidSyntax),
        (json!({"method": "POST", "path": "/Users", "data": data}), ScimType::InvalidSyntax),
        (json!({"method": "POST", "path": "/Users", "bulkId": "", "data": data}), ScimType::InvalidSyntax),
        (json!({"method": "POST", "path": "/Users", "bulkId": 7, "data": data}), ScimType::InvalidSyntax),
        (json!({"method": "POST", "bulkId": "a", "data": data}), ScimType::InvalidSyntax),
        (json!({"method": "POST", "path": "/Users", "bulkId": "a"}), ScimType::InvalidSyntax),
        (json!({"method": "PUT", "path": "/Users/1", "version": 3, "data": data}), ScimType::InvalidValue),
        (json!({"method": "PUT", "path": "/Users/1", "version": "\"", "data": data}), ScimType::InvalidValue),
    ];
    let read = job(operations.iter().map(|(operation, _)| operation.clone()).collect());
    for (item, (operation, scim_type)) in read.items.iter().zip(operations) {
        assert_eq!(item.error.as_ref().and_then(crate::error::Error::scim_type), Some(scim_type), "{operation}");
    }
    let doubles = job(json!([user("a"), user("a"), user("b")]));
    let refused: Vec<bool> = doubles.items.iter().map(|item| item.error.is_some()).collect();
    assert_eq!(refused, [false, true, false]);
}

#[test]
fn operations_alone_are_a_patch_unless_the_rules_are_strict() {
    let bare = json!([{"method": "patch", "path": "/Users/1", "data": [{"op": "remove", "path": "title"}]}]);
    let lenient = job(bare.clone());
    assert_eq!(lenient.items[0].data["schemas"], json!([urn::PATCH_OP]));
    let strict = DialectRules { strict: true, ..DialectRules::LENIENT };
    let unchanged = parse_bulk_job(json!({"schemas": [urn::BULK_REQUEST], "Operations": bare}), strict).unwrap();
    assert!(unchanged.items[0].data.is_array());
}

#[test]
fn references_are_found_and_replaced_in_all_values() {
    let mut data = json!({
        "members": [{"value": "bulkId:a", "$ref": "bulkId:a"}, {"value": "7", "$ref": "../Users/bulkId:b"}],
        "urn:x": {"manager": {"value": "bulkId:b"}, "list": ["bulkId:a", "no bulkId:a", "Bulkid:a"]},
        "path": "members[value eq \"bulkId:a\" or value eq \"bulkId:b\"]",
        "title": "\"bulkId:a\"",
    });
    let mut found = BTreeSet::new();
    references::collect_references(&data, &mut found);
    assert_eq!(found, BTreeSet::from(["a", "b"]));
    let (a, b) = ("0001".to_owned(), "0002".to_owned());
    let made = [
        ("a", CreatedResource { id: a, location: "http://x/1".to_owned() }),
        ("b", CreatedResource { id: b, location: String::new() }),
    ];
    let find = |name: &str| made.iter().find(|(key, _)| *key == name).map(|(_, made)| made);
    references::replace_references(&mut data, &find).unwrap();
    let expected = json!({
        "members": [{"value": "0001", "$ref": "http://x/1"}, {"value": "7", "$ref": "../Users/0002"}],
        "urn:x": {"manager": {"value": "0002"}, "list": ["0001", "no bulkId:a", "Bulkid:a"]},
        "path": "members[value eq \"0001\" or value eq \"0002\"]",
        "title": "\"bulkId:a\"",
    });
    assert_eq!(data, expected);
    assert_eq!(references::replace_references(&mut json!(["bulkId:c"]), &find), Err("c".to_owned()));
}

#[test]
fn a_post_runs_before_items_that_refer_to_it_and_the_rest_stays_in_order() {
    assert_eq!(order(json!([user("a"), group("g", &["a"]), user("b")])), (each(&[0, 1, 2]), vec![]));
    assert_eq!(order(json!([group("g", &["a", "b"]), user("a"), user("b")])), (each(&[1, 2, 0]), vec![]));
    let chain = json!([group("g", &["h"]), group("h", &["a"]), user("x"), user("a")]);
    assert_eq!(order(chain), (each(&[3, 1, 0, 2]), vec![]));
    let path = json!([{"method": "PATCH", "path": "/Groups/bulkId:g", "data": {}}, group("g", &[])]);
    assert_eq!(order(path), (each(&[1, 0]), vec![]));
}

#[test]
fn a_cycle_is_one_step() {
    let cycle = json!([user("x"), group("a", &["b"]), group("b", &["c"]), user("u"), group("c", &["a", "u"])]);
    assert_eq!(order(cycle), (vec![vec![0], vec![3], vec![1, 2, 4]], vec![]));
    let itself = post("/Users", "a", json!({"userName": "a", "manager": {"value": "bulkId:a"}}));
    assert_eq!(planned(json!([itself])).needs, [[0]]);
}

#[test]
fn a_reference_to_an_unknown_bulk_id_is_rejected() {
    let plan = planned(json!([group("g", &["absent"]), user("a")]));
    let (number, error) = &plan.rejected[0];
    assert_eq!((*number, error.status()), (0, 409));
    assert_eq!(error.param("bulk_id"), Some("\"absent\""));
    let patch = json!([{"method": "PATCH", "path": "/Users/1", "bulkId": "p", "data": {}}, group("g", &["p"])]);
    assert_eq!(order(patch).1, [1]);
}

#[test]
fn a_post_does_not_overtake_items_that_may_use_or_free_its_name() {
    let refers = json!({"method": "PUT", "path": "/Users/1", "data": {"userName": "x", "manager": "bulkId:a"}});
    for (between, refused) in [
        (json!({"method": "DELETE", "path": "/Users/7"}), true),
        (json!({"method": "PUT", "path": "/Users/7", "data": {"userName": "z"}}), true),
        (
            json!({"method": "PATCH", "path": "/Users/7", "data": [{"op": "add", "path": "UserName", "value": "z"}]}),
            true,
        ),
        (json!({"method": "PATCH", "path": "/Users/7", "data": [{"op": "add", "value": {"userName": "z"}}]}), true),
        (json!({"method": "PATCH", "path": "/Users/7", "data": [{"op": "remove", "path": "title"}]}), false),
        (post("/Users", "b", json!({"userName": "A"})), true),
        (post("/Users", "b", json!({"userName": "b"})), false),
        (json!({"method": "DELETE", "path": "/Groups/7"}), false),
        (refers.clone(), false),
    ] {
        let expected = if refused { vec![0] } else { vec![] };
        assert_eq!(order(json!([refers, between, user("a")])).1, expected, "{between}");
    }
    let refers = group("g", &["h"]);
    for (between, refused) in [
        (json!({"method": "DELETE", "path": "/Users/7"}), true),
        (json!({"method": "PATCH", "path": "/Users/7", "version": "W/\"1\"", "data": {}}), true),
        (json!({"method": "PATCH", "path": "/Users/7", "data": {}}), false),
    ] {
        let expected = if refused { vec![0] } else { vec![] };
        assert_eq!(order(json!([refers, between, group("h", &[])])).1, expected, "{between}");
    }
}

#[test]
fn the_longest_chain_and_the_largest_cycle_are_ordered() {
    let last = OPERATIONS_MAX - 1;
    let next = |n: usize| group(&format!("g{n}"), &[&format!("g{}", n + 1)]);
    let mut items: Vec<Value> = (0..last).map(next).collect();
    items.push(group(&format!("g{last}"), &[]));
    let (steps, refused) = order(Value::Array(items.clone()));
    assert!(refused.is_empty());
    assert_eq!((steps.len(), &steps[0][..]), (OPERATIONS_MAX, &[last][..]));
    items[last] = group(&format!("g{last}"), &["g0"]);
    assert_eq!(order(Value::Array(items)).0, [(0..=last).collect::<Vec<_>>()]);
}
