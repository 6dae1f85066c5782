//! A PATCH that is evaluated on the attributes that it names has the result of an evaluation on the whole text.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::provisioning::tests::open_store_with_configuration;
use crate::scim::render;
use crate::scim::schema::USER_TYPE;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const OTHER: &str = "urn:example:params:scim:Other";

/// Users with two extensions.
static TYPE: LazyLock<ResourceType> = LazyLock::new(|| {
    let mut users = ResourceType::clone(&USER_TYPE);
    let mut other = users.extensions[0].clone();
    Arc::make_mut(&mut other.schema).id = OTHER.into();
    users.extensions.push(other);
    users
});

fn stored(user: &Value) -> StoredResource {
    let draft = validate::read_new_resource(user, &TYPE, crate::scim::dialect::DialectRules::LENIENT).unwrap();
    let body = render::build_stored_text(&draft.attributes, &TYPE);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let (version, created_at, last_modified) = (1, 0, 0);
    StoredResource { key: 1, configuration: 1, id, version, created_at, last_modified, member_count: 0, body }
}

/// The attributes that differ, before and after.
fn list_differences(before: &Attributes, after: &Attributes) -> BTreeMap<String, [Option<Value>; 2]> {
    let names = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    names.map(|name| (name.clone(), [before.get(name).cloned(), after.get(name).cloned()])).collect()
}

/// Evaluates in both ways. Returns whether something changes, `None` for an error.
fn compare_evaluations(scope: &Scope, stored: &StoredResource, patch: &Patch) -> Option<bool> {
    let write = ResourceWrite::new(scope, &TYPE, &stored.id);
    let whole = evaluate_edits(stored, scope, &TYPE, patch, &mut WorkBudget::default());
    let partial = evaluate_partially(stored, &write, patch, &WorkBudget::default());
    let (before, after) = match whole {
        Err(expected) => {
            assert_eq!(partial.unwrap_err().to_string(), expected.to_string());
            return None;
        }
        Ok(whole) => whole,
    };
    let (found_before, found_after, found) = partial.unwrap().expect("the text is as this version writes it");
    let differences = list_differences(&before, &after);
    assert_eq!(list_differences(&found_before, &found_after), differences);
    for name in DESCRIBING {
        assert_eq!([before.get(name), after.get(name)], [found_before.get(name), found_after.get(name)]);
    }
    let schemas = |attributes: &Attributes| render::list_schemas(attributes, &TYPE);
    if schemas(&before) != schemas(&after) {
        let found = (schemas(&found_before), schemas(&found_after));
        assert_eq!(found, (schemas(&before), schemas(&after)), "the event names all extensions");
    }
    assert_eq!(found.is_some(), !differences.is_empty());
    if let Some(found) = found {
        let expected = DerivedValues::compute(&before, &after, &TYPE).unwrap();
        assert_eq!((found.body, found.keys), (expected.body, expected.keys));
    }
    Some(!differences.is_empty())
}

fn draw_value() -> impl Strategy<Value = Value> {
    let text = select(vec!["", "a", "Ä\"]}", "b@x", "7"]).prop_map(Value::from);
    let part = select(vec!["value", "type", "familyName", "display"]);
    prop_oneof![
        2 => text.clone(),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => (part.clone(), text.clone()).prop_map(|(part, text)| json!({part: text})),
        1 => (part, text).prop_map(|(part, text)| json!([{part: text}])),
    ]
}

fn draw_operation() -> impl Strategy<Value = Value> {
    let department = select(vec![ENTERPRISE, OTHER]).prop_map(|urn| format!("{urn}:department"));
    let path = select(vec![
        "active",
        "userName",
        "displayName",
        "externalId",
        "title",
        "name",
        "name.familyName",
        "emails",
        "manager",
        "emails[type eq \"work\"].value",
        "phoneNumbers",
        "members",
        "schemas",
        "id",
        ENTERPRISE,
        "NickName",
    ]);
    let path = prop_oneof![8 => path.prop_map(str::to_owned), 1 => department];
    let op = select(vec!["add", "replace", "remove"]);
    (op, path, draw_value(), any::<bool>()).prop_map(|(op, path, value, has_path)| {
        if has_path || op == "remove" {
            json!({"op": op, "path": path, "value": value})
        } else {
            json!({"op": op, "value": {path: value}})
        }
    })
}

fn draw_user() -> impl Strategy<Value = Value> {
    let optional = select(vec![
        json!({}),
        json!({"active": false, "title": "x\n", "displayName": "A"}),
        json!({"externalId": "e", "emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x"}]}),
        json!({"name": {"familyName": "F"}, (ENTERPRISE): {"department": "D", "manager": {"value": "m"}}}),
        json!({(OTHER): {"department": "D"}}),
    ]);
    (optional.clone(), optional).prop_map(|(one, other)| {
        let mut user = json!({"userName": "Ada"});
        for (name, value) in [one, other].iter().filter_map(Value::as_object).flatten() {
            user[name] = value.clone();
        }
        user
    })
}

thread_local! {
    static SCOPE: Arc<Scope> = Arc::new(open_store_with_configuration().2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn a_partial_evaluation_has_the_result_of_a_whole_one(
        user in draw_user(),
        operations in prop::collection::vec(draw_operation(), 1..5),
    ) {
        let scope = SCOPE.with(Arc::clone);
        let body = json!({"Operations": operations});
        if let Ok(patch) = patch::parse_patch(&body, &TYPE, build_rules(&scope)) {
            compare_evaluations(&scope, &stored(&user), &patch);
        }
    }
}

#[test]
fn a_change_of_one_attribute_is_evaluated_partially() {
    let (_folder, _store, scope) = open_store_with_configuration();
    let user = json!({"userName": "Ada", "active": true, "title": "T", (ENTERPRISE): {"department": "D"}});
    for (path, value, expected) in [
        ("active", json!(false), Some(true)),
        ("active", json!(true), Some(false)),
        ("title", json!("U"), Some(true)),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", json!("E"), Some(true)),
        ("userName", json!(""), None),
    ] {
        let body = json!({"Operations": [{"op": "replace", "path": path, "value": value}]});
        let patch = patch::parse_patch(&body, &TYPE, build_rules(&scope));
        let changes = patch.ok().and_then(|patch| compare_evaluations(&scope, &stored(&user), &patch));
        assert_eq!(changes, expected, "{path}");
    }
}
