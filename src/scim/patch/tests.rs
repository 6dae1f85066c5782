//! PATCH according to RFC 7644 section 3.5.2, and requests of identity providers.

use serde_json::{Value, json};

use super::{apply_edits, parse_patch};
use crate::error::{Error, ScimType};
use crate::scim::dialect::{ActiveRemoval, DialectRules};
use crate::scim::password::{self, PasswordChange};
use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
use crate::scim::work::WorkBudget;

const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const ENTRA: DialectRules = DialectRules { create_on_no_target: true, ..DialectRules::LENIENT };
const STRICT: DialectRules = DialectRules { strict: true, ..DialectRules::LENIENT };

fn patched(before: &Value, operations: &Value, rules: DialectRules) -> Result<Value, Error> {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
    let patch = parse_patch(&body, &USER_TYPE, rules)?;
    let mut attributes = before.as_object().unwrap().clone();
    apply_edits(&patch.edits, &mut attributes, &USER_TYPE, rules, &mut WorkBudget::default())?;
    Ok(Value::Object(attributes))
}

#[track_caller]
fn gives(before: Value, operations: Value, after: Value) {
    assert_eq!(patched(&before, &operations, DialectRules::LENIENT).unwrap(), after, "{operations}");
}

#[track_caller]
fn refused(before: Value, operations: Value, scim_type: ScimType) {
    let error = patched(&before, &operations, DialectRules::LENIENT).expect_err(&operations.to_string());
    assert_eq!((error.status(), error.scim_type()), (400, Some(scim_type)), "{operations}: {error}");
}

#[test]
fn add_sets_merges_and_appends() {
    gives(
        json!({"userName": "a"}),
        json!([{"op": "Add", "path": "nickName", "value": "x"}]),
        json!({"userName": "a", "nickName": "x"}),
    );
    gives(
        json!({"name": {"familyName": "F"}}),
        json!([{"op": "add", "path": "name", "value": {"givenName": "G"}}]),
        json!({"name": {"familyName": "F", "givenName": "G"}}),
    );
    let work = json!({"value": "a@x", "type": "work", "primary": true});
    gives(
        json!({"emails": [work]}),
        json!([{"op": "add", "path": "emails", "value": {"value": "b@x", "primary": true}}]),
        json!({"emails": [{"value": "a@x", "type": "work", "primary": false}, {"value": "b@x", "primary": true}]}),
    );
    gives(
        json!({"emails": [work]}),
        json!([{"op": "add", "path": "emails", "value": [{"value": "a@x", "type": "work", "display": "A"}]}]),
        json!({"emails": [{"value": "a@x", "type": "work", "primary": true, "display": "A"}]}),
    );
}

#[test]
fn without_a_path_names_may_be_dotted_or_qualified() {
    let value = json!({
        "name.givenName": "G", format!("{URN}:department"): "D", URN: {"manager": "7"}, "id": "other", "unknown": 1,
        "emails[type eq \"work\"].value": "w@x", "groups": [{"value": "g"}],
    });
    gives(
        json!({"title": "T"}),
        json!([{"op": "add", "value": value}]),
        json!({
            "title": "T", "name": {"givenName": "G"}, URN: {"department": "D", "manager": {"value": "7"}},
            "emails": [{"type": "work", "value": "w@x"}],
        }),
    );
    refused(json!({}), json!([{"op": "replace", "value": "x"}]), ScimType::InvalidValue);
    refused(json!({}), json!([{"op": "remove", "value": {"title": "x"}}]), ScimType::NoTarget);
}

#[test]
fn replace_on_a_value_path_changes_what_matches() {
    let two = json!({"addresses": [
        {"type": "work", "locality": "A"}, {"type": "work", "locality": "B", "region": "R"},
        {"type": "home", "locality": "C"}
    ]});
    gives(
        two,
        json!([{"op": "replace", "path": "addresses[type eq \"WORK\"].locality", "value": "X"}]),
        json!({"addresses": [
            {"type": "work", "locality": "X"}, {"type": "work", "locality": "X", "region": "R"},
            {"type": "home", "locality": "C"}
        ]}),
    );
    gives(
        json!({"emails": [{"type": "work", "value": "a", "display": "A"}]}),
        json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": {"value": "b"}}]),
        json!({"emails": [{"type": "work", "value": "b"}]}),
    );
}

#[test]
fn a_value_path_that_matches_nothing_is_no_target_or_creates_the_element() {
    let replace = json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"}]);
    refused(json!({}), replace.clone(), ScimType::NoTarget);
    assert_eq!(patched(&json!({}), &replace, ENTRA).unwrap(), json!({"emails": [{"type": "work", "value": "x"}]}));
    // There is nothing to clear.
    let clear = json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": ""}]);
    gives(json!({"title": "T"}), clear, json!({"title": "T"}));
    let add = json!([
        {"op": "add", "path": "emails[type eq \"work\"].value", "value": "x"},
        {"op": "add", "path": "emails[type eq \"work\"].primary", "value": "True"},
    ]);
    gives(json!({}), add, json!({"emails": [{"type": "work", "value": "x", "primary": true}]}));
    let vague = json!([{"op": "add", "path": "emails[type sw \"w\"].value", "value": "x"}]);
    assert_eq!(patched(&json!({}), &vague, ENTRA).unwrap_err().scim_type(), Some(ScimType::NoTarget));
    gives(json!({"title": "T"}), json!([{"op": "remove", "path": "emails[type eq \"fax\"]"}]), json!({"title": "T"}));
    assert_eq!(
        patched(&json!({}), &json!([{"op": "remove", "path": "emails[type eq \"fax\"]"}]), STRICT)
            .unwrap_err()
            .scim_type(),
        Some(ScimType::NoTarget)
    );
}

#[test]
fn remove_deletes_attributes_elements_and_sub_attributes() {
    let user =
        json!({"title": "T", "name": {"givenName": "G"}, "emails": [{"value": "a", "type": "work"}, {"value": "b"}]});
    gives(
        user.clone(),
        json!([{"op": "remove", "path": "title"}, {"op": "remove", "path": "name.givenName"}, {"op": "remove", "path": "emails[value eq \"a\"]"}]),
        json!({"emails": [{"value": "b"}]}),
    );
    gives(
        user.clone(),
        json!([{"op": "remove", "path": "emails", "value": [{"value": "b"}]}]),
        json!({"title": "T", "name": {"givenName": "G"}, "emails": [{"value": "a", "type": "work"}]}),
    );
    gives(
        user,
        json!([{"op": "Remove", "path": "emails[type eq \"work\"].value"}, {"op": "remove", "path": "name"}]),
        json!({"title": "T", "emails": [{"value": "b"}]}),
    );
    refused(json!({"userName": "a"}), json!([{"op": "remove", "path": "userName"}]), ScimType::Mutability);
    refused(json!({}), json!([{"op": "remove"}]), ScimType::NoTarget);
}

#[test]
fn replace_with_nothing_clears() {
    for value in [json!(null), json!([])] {
        gives(
            json!({"emails": [{"value": "a"}]}),
            json!([{"op": "replace", "path": "emails", "value": value}]),
            json!({}),
        );
    }
    gives(json!({"title": "T"}), json!([{"op": "replace", "value": {"title": null}}]), json!({}));
    gives(
        json!({"name": {"givenName": "G", "familyName": "F"}}),
        json!([{"op": "replace", "path": "name", "value": {"givenName": null}}]),
        json!({"name": {"familyName": "F"}}),
    );
}

#[test]
fn a_manager_comes_in_many_forms_and_is_always_an_object() {
    for value in [json!("7"), json!({"value": "7"}), json!([{"value": "7", "$ref": null}]), json!({"managerId": "7"})] {
        for path in [format!("{URN}:manager"), "manager".to_owned()] {
            gives(
                json!({}),
                json!([{"op": "Add", "path": path, "value": value}]),
                json!({URN: {"manager": {"value": "7"}}}),
            );
        }
    }
    gives(
        json!({}),
        json!([{"op": "add", "path": "manager.value", "value": "7"}]),
        json!({URN: {"manager": {"value": "7"}}}),
    );
    for path in ["manager", "manager[value eq \"7\"]", URN] {
        gives(json!({URN: {"manager": {"value": "7"}}}), json!([{"op": "remove", "path": path}]), json!({}));
    }
    refused(json!({}), json!([{"op": "add", "path": "manager.displayName", "value": "x"}]), ScimType::Mutability);
}

#[test]
fn roles_as_entra_sends_them() {
    let packed = json!([{"op": "Add", "path": "roles", "value": [{"value": "{\"id\":\"1\",\"value\":\"admin\",\"displayName\":\"Admin\"}"}]}]);
    gives(json!({}), packed, json!({"roles": [{"value": "admin", "display": "Admin"}]}));
    let single = json!([{"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "admin"}]);
    gives(json!({}), single, json!({"roles": [{"primary": true, "value": "admin"}]}));
}

#[test]
fn booleans_come_as_text() {
    gives(
        json!({"active": true}),
        json!([{"op": "Replace", "path": "active", "value": "False"}]),
        json!({"active": false}),
    );
    refused(json!({}), json!([{"op": "replace", "path": "active", "value": "perhaps"}]), ScimType::InvalidValue);
    refused(json!({}), json!([{"op": "replace", "path": "active", "value": 1}]), ScimType::InvalidValue);
}

#[test]
fn each_error_has_its_scim_type() {
    for (operation, scim_type) in [
        (json!({"op": "move", "path": "title"}), ScimType::InvalidSyntax),
        (json!({"path": "title", "value": "x"}), ScimType::InvalidSyntax),
        (json!({"op": "add", "path": "title"}), ScimType::InvalidValue),
        (json!({"op": "replace", "path": "title"}), ScimType::InvalidValue),
        (json!({"op": "add", "path": "emails[", "value": "x"}), ScimType::InvalidPath),
        (json!({"op": "add", "path": 5, "value": "x"}), ScimType::InvalidPath),
        (json!({"op": "replace", "path": "emails[type is \"x\"].value", "value": "x"}), ScimType::InvalidFilter),
        (json!({"op": "replace", "path": "emails[0]", "value": "x"}), ScimType::InvalidFilter),
        (json!({"op": "replace", "path": "id", "value": "x"}), ScimType::Mutability),
        (json!({"op": "replace", "path": "meta.version", "value": "x"}), ScimType::Mutability),
        (json!({"op": "add", "path": "groups", "value": [{"value": "g"}]}), ScimType::Mutability),
        (json!({"op": "remove", "path": "schemas"}), ScimType::Mutability),
        (json!({"op": "replace", "path": "title", "value": {"a": 1}}), ScimType::InvalidValue),
        (json!("add"), ScimType::InvalidSyntax),
    ] {
        refused(json!({}), json!([operation]), scim_type);
    }
    let read = |body: Value| parse_patch(&body, &USER_TYPE, DialectRules::LENIENT).unwrap_err().scim_type();
    for body in [json!([]), json!({}), json!({"Operations": {"op": "add"}}), json!({"Operations": null})] {
        assert_eq!(read(body.clone()), Some(ScimType::InvalidSyntax), "{body}");
    }
}

#[test]
fn an_error_names_its_operation() {
    let operations = json!([{"op": "add", "path": "title", "value": "x"}, {"op": "replace", "path": "emails[type eq \"w\"].value", "value": "x"}]);
    assert!(
        patched(&json!({}), &operations, DialectRules::LENIENT).unwrap_err().to_string().starts_with("Operations[1]: ")
    );
}

#[test]
fn a_foreign_extension_in_a_path_is_skipped() {
    let operations = json!([
        {"op": "add", "path": "urn:example:Custom:1.0:User:shoeSize", "value": 9}, {"op": "add", "path": "title", "value": "T"}
    ]);
    gives(json!({}), operations.clone(), json!({"title": "T"}));
    assert!(patched(&json!({}), &operations, STRICT).is_err());
}

#[test]
fn a_password_is_accepted_and_discarded() {
    gives(json!({"title": "T"}), json!([{"op": "replace", "value": {"password": "x"}}]), json!({"title": "T"}));
    gives(json!({"title": "T"}), json!([{"op": "replace", "path": "password", "value": "x"}]), json!({"title": "T"}));
}

#[test]
fn a_stored_password_is_set_or_removed_and_the_last_operation_counts() {
    let storing = DialectRules { store_passwords: true, ..DialectRules::LENIENT };
    let read = |operations: Value| parse_patch(&json!({"Operations": operations}), &USER_TYPE, storing);
    let set = |text| Some(PasswordChange::SetClearText(password::normalize_password(text)));
    for (operations, expected) in [
        (json!([{"op": "replace", "path": "password", "value": "a"}]), set("a")),
        (json!([{"op": "Add", "path": "Password", "value": "a"}]), set("a")),
        (json!([{"op": "replace", "value": {"password": "a", "title": "T"}}]), set("a")),
        (json!([{"op": "remove", "path": "password"}]), Some(PasswordChange::Remove)),
        (json!([{"op": "replace", "path": "password", "value": null}]), Some(PasswordChange::Remove)),
        (json!([{"op": "remove", "path": "password"}, {"op": "add", "path": "password", "value": "b"}]), set("b")),
        (
            json!([{"op": "add", "path": "password", "value": "b"}, {"op": "remove", "path": "password"}]),
            Some(PasswordChange::Remove),
        ),
        (json!([{"op": "add", "path": "title", "value": "T"}]), None),
    ] {
        assert_eq!(read(operations.clone()).unwrap().password, expected, "{operations}");
    }
    for value in [json!(""), json!(7), json!(["a", "b"])] {
        let refused = read(json!([{"op": "replace", "path": "password", "value": value}])).unwrap_err();
        assert!(refused.to_string().contains("password"), "{}", refused.to_string());
    }
}

#[test]
fn elements_that_become_equal_are_one_element() {
    // RFC 7643 section 2.4; the primary element has precedence, then the changed one.
    let two = json!({"emails": [
        {"value": "a", "type": "work", "display": "A"}, {"value": "b", "type": "home", "primary": true, "display": "B"},
        {"value": "c", "type": "other"}
    ]});
    let set = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    let rest = json!({"value": "c", "type": "other"});
    for (operations, merged) in [
        (
            json!([
                {"op": "replace", "path": "emails[type ne \"other\"].value", "value": "x"},
                {"op": "replace", "path": "emails[value eq \"x\"].type", "value": "work"},
            ]),
            json!({"value": "x", "type": "work", "display": "B", "primary": true}),
        ),
        (
            set("emails[type eq \"work\"]", json!({"value": "b", "type": "home", "display": "N", "primary": false})),
            json!({"value": "b", "type": "home", "display": "B", "primary": true}),
        ),
        (
            set("emails[type eq \"work\"]", json!({"value": "b", "type": "home", "display": "N", "primary": true})),
            json!({"value": "b", "type": "home", "display": "N", "primary": true}),
        ),
        (
            json!([{"op": "add", "path": "emails[type eq \"home\"]", "value": {"value": "a", "type": "work"}}]),
            json!({"value": "a", "type": "work", "display": "B", "primary": true}),
        ),
    ] {
        gives(two.clone(), operations, json!({"emails": [merged, rest]}));
    }
    gives(
        two.clone(),
        json!([
            {"op": "replace", "path": "emails.value", "value": "x"},
            {"op": "remove", "path": "emails[type pr].type"},
            {"op": "replace", "path": "emails[value eq \"x\"].display", "value": "D"},
        ]),
        json!({"emails": [{"value": "x", "primary": true, "display": "D"}]}),
    );
    // Without a value, all sub-attributes except `primary` identify an element.
    let addresses = json!({"addresses": [
        {"type": "work", "locality": "A", "primary": false}, {"type": "work", "locality": "B", "primary": true}
    ]});
    gives(
        addresses.clone(),
        set("addresses[type eq \"work\"].locality", json!("C")),
        json!({"addresses": [{"type": "work", "locality": "C", "primary": true}]}),
    );
    gives(
        addresses.clone(),
        json!([{"op": "add", "path": "addresses", "value": [{"type": "work", "locality": "A"}]}]),
        addresses,
    );
}

#[test]
fn the_removal_of_active_follows_the_rule() {
    let removal = json!([{"op": "remove", "path": "active"}, {"op": "replace", "path": "title", "value": "T"}]);
    let apply = |active_removal| {
        let rules = DialectRules { active_removal, ..DialectRules::LENIENT };
        patched(&json!({"active": false}), &removal, rules)
    };
    assert_eq!(apply(ActiveRemoval::Keep).unwrap(), json!({"active": false, "title": "T"}));
    assert_eq!(apply(ActiveRemoval::Remove).unwrap(), json!({"title": "T"}));
    assert_eq!(apply(ActiveRemoval::Refuse).unwrap_err().scim_type(), Some(ScimType::Mutability));
}

#[test]
fn members_become_row_edits() {
    let edits = |operation: Value| {
        let body = json!({"Operations": [operation]});
        parse_patch(&body, &GROUP_TYPE, DialectRules::LENIENT).map(|patch| format!("{:?}", patch.edits))
    };
    for (operation, expected) in [
        (
            json!({"op": "add", "path": "members", "value": [{"value": "1", "$ref": null}, {"value": "1"}]}),
            "[Members(0, Add([MemberRef { id: \"1\" }]))]",
        ),
        (json!({"op": "add", "value": {"members": {"value": "1"}}}), "[Members(0, Add([MemberRef { id: \"1\" }]))]"),
        (json!({"op": "add", "path": "members", "value": ["1"]}), "[Members(0, Add([MemberRef { id: \"1\" }]))]"),
        (json!({"op": "add", "path": "members", "value": "1"}), "[Members(0, Add([MemberRef { id: \"1\" }]))]"),
        (json!({"op": "Remove", "path": "members", "value": [{"value": "1"}]}), "[Members(0, Remove([\"1\"]))]"),
        (json!({"op": "remove", "path": "members", "value": []}), "[Members(0, Remove([]))]"),
        (json!({"op": "remove", "path": "members"}), "[Members(0, Replace([]))]"),
        (json!({"op": "remove", "path": "members[value eq \"1\"]"}), "[Members(0, Remove([\"1\"]))]"),
        (json!({"op": "remove", "path": "members[value eq '1']"}), "[Members(0, Remove([\"1\"]))]"),
        (
            json!({"op": "replace", "path": "members", "value": [{"$ref": "https://x/Users/7"}]}),
            "[Members(0, Replace([MemberRef { id: \"7\" }]))]",
        ),
        (json!({"op": "replace", "path": "members", "value": null}), "[Members(0, Replace([]))]"),
    ] {
        assert_eq!(edits(operation.clone()).unwrap(), expected, "{operation}");
    }
    for (operation, scim_type) in [
        (json!({"op": "add", "path": "members", "value": [1]}), ScimType::InvalidValue),
        (json!({"op": "add", "path": "members", "value": [" "]}), ScimType::InvalidValue),
        (json!({"op": "replace", "path": "members"}), ScimType::InvalidValue),
        (json!({"op": "add", "path": "members", "value": [{}]}), ScimType::InvalidValue),
        (json!({"op": "replace", "path": "members[value eq \"1\"].value", "value": "2"}), ScimType::Mutability),
        (json!({"op": "replace", "path": "members.display", "value": "2"}), ScimType::Mutability),
        (json!({"op": "remove", "path": "members[nope eq \"1\"]"}), ScimType::InvalidFilter),
    ] {
        assert_eq!(edits(operation.clone()).unwrap_err().scim_type(), Some(scim_type), "{operation}");
    }
}

#[test]
fn strict_rules_ignore_the_value_of_a_remove() {
    // Without a filter all values are removed, regardless of the value of the operation.
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "remove", "path": "members", "value": [{"value": "1"}]}]
    });
    let patch = parse_patch(&body, &GROUP_TYPE, STRICT).unwrap();
    assert_eq!(format!("{:?}", patch.edits), "[Members(0, Replace([]))]");
}
