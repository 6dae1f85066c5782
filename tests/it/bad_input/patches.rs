//! PATCH requests that must be refused completely (T23, T24, T32), and dialects that must not delete data (T33).

use serde_json::{Value, json};

use super::Populated;
use crate::app::App;
use crate::sample::{PATCH_OP, group, operations, removal, user};

/// Invalid operations and operations without a target, with their `scimType`; `|` where the RFC allows two.
fn invalid_operations() -> Vec<(Value, &'static str)> {
    let replace = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
    vec![
        (json!({"op": "move", "path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"op": "", "path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"op": 5, "path": "title", "value": "x"}), "invalidSyntax"),
        (json!({"path": "title", "value": "x"}), "invalidSyntax"),
        (json!("replace"), "invalidSyntax"),
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "remove", "path": null}), "noTarget"),
        (replace("emails[", json!("x")), "invalidPath"),
        (replace("emails]", json!("x")), "invalidPath"),
        (replace("a.b.c", json!("x")), "invalidPath"),
        (replace("name..givenName", json!("x")), "invalidPath"),
        (replace(".title", json!("x")), "invalidPath"),
        (replace("title.", json!("x")), "invalidPath"),
        (replace("title name", json!("x")), "invalidPath"),
        (replace("title[value eq \"x\"]", json!("x")), "invalidPath"),
        (json!({"op": "replace", "path": 5, "value": "x"}), "invalidPath|invalidSyntax"),
        (replace("emails[0]", json!({"value": "x"})), "invalidFilter"),
        (replace("emails[type eq]", json!({"value": "x"})), "invalidFilter"),
        (replace("emails[type like \"x\"].value", json!("x")), "invalidFilter"),
        (replace("emails[type eq \"fax\"].value", json!("x")), "noTarget"),
        (replace("emails[type eq \"fax\"]", json!({"value": "x"})), "noTarget"),
    ]
}

/// Operations that are invalid for a user, with their `scimType`.
fn operations_refused_for_a_user() -> Vec<(Value, &'static str)> {
    let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
    let replace = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
    let remove = |path: &str| json!({"op": "remove", "path": path});
    vec![
        (replace("id", json!("mine")), "mutability"),
        (replace("groups", json!([])), "mutability"),
        (add("groups", json!([{"value": "x"}])), "mutability"),
        (remove("groups"), "mutability"),
        (replace("meta.created", json!("1999-01-01T00:00:00Z")), "mutability"),
        (remove("userName"), "mutability"),
        (remove("id"), "mutability"),
        (replace("userName", json!("")), "invalidValue"),
        (replace("userName", json!(5)), "invalidValue"),
        (replace("active", json!(5)), "invalidValue"),
        (replace("active", json!("perhaps")), "invalidValue"),
        (replace("title", json!({"x": "y"})), "invalidValue"),
        (replace("name", json!(5)), "invalidValue"),
        (add("emails", json!([{"value": 5}])), "invalidValue"),
        (json!({"op": "replace", "value": "x"}), "invalidValue|invalidSyntax"),
        (json!({"op": "add", "value": [1]}), "invalidValue|invalidSyntax"),
    ]
}

#[test]
fn an_invalid_operation_is_refused_with_its_scim_type() {
    // T32, R-205 to, RFC 7644 section 3.5.2
    Populated::new().assert_unchanged(|on| {
        let path = format!("/Users/{}", on.user);
        let mut without_position = Vec::new();
        for (bad, scim_types) in [invalid_operations(), operations_refused_for_a_user()].concat() {
            // the valid operation before the invalid one must not be applied either.
            let good = json!({"op": "replace", "path": "title", "value": "Changed"});
            let reply = on.client.patch(&path, &operations(&json!([good, bad])));
            assert_eq!(reply.status, 400, "{bad}: {}", reply.json);
            let detail = reply.refused(400, scim_types).json["detail"].to_string();
            //
            if !detail.contains("Operations[1]") {
                without_position.push(format!("{bad}: {detail}"));
            }
        }
        assert!(without_position.is_empty(), "which operation?\n{}", without_position.join("\n"));
    });
}

#[test]
fn a_body_with_nul_is_refused_before_its_operations_are_read() {
    Populated::new().assert_unchanged(|on| {
        let nul = json!([{"op": "replace", "path": "title", "value": "a\0b"}]);
        on.client.patch(&format!("/Users/{}", on.user), &operations(&nul)).refused(400, "invalidValue");
    });
}

#[test]
fn an_add_and_a_replace_need_a_value() {
    // an absent value is not null.
    Populated::new().assert_unchanged(|on| {
        let (user, group) = (format!("/Users/{}", on.user), format!("/Groups/{}", on.group));
        for op in ["add", "replace"] {
            for (resource, path) in
                [(&user, "title"), (&user, "active"), (&user, "emails"), (&group, "members"), (&group, "displayName")]
            {
                let reply = on.client.patch(resource, &operations(&json!([{"op": op, "path": path}])));
                reply.refused(400, "invalidValue");
            }
        }
    });
}

#[test]
fn a_patch_without_operations_is_invalid_syntax() {
    //
    let bodies = [
        json!({}),
        json!([]),
        json!({"schemas": [PATCH_OP]}),
        json!({"schemas": [PATCH_OP], "Operations": null}),
        json!({"schemas": [PATCH_OP], "Operations": "x"}),
        json!({"schemas": [PATCH_OP], "Operations": [[]]}),
        json!({"userName": "x"}),
    ];
    Populated::new().assert_unchanged(|on| {
        for path in [format!("/Users/{}", on.user), format!("/Groups/{}", on.group)] {
            for body in &bodies {
                let reply = on.client.patch(&path, body);
                assert_eq!(reply.status, 400, "{body}: {}", reply.json);
                reply.refused(400, "invalidSyntax");
            }
        }
    });
}

#[test]
fn a_group_refuses_what_would_break_it() {
    //
    let unknown = "00000000-0000-7000-8000-000000000000";
    Populated::new().assert_unchanged(|on| {
        let path = format!("/Groups/{}", on.group);
        let (user, group) = (&on.user, &on.group);
        let table = [
            (json!({"op": "remove"}), "noTarget"),
            (json!({"op": "remove", "path": "displayName"}), "mutability"),
            (json!({"op": "replace", "path": "displayName", "value": ""}), "invalidValue"),
            (json!({"op": "replace", "path": "displayName", "value": 5}), "invalidValue"),
            (
                json!({"op": "replace", "path": format!("members[value eq \"{user}\"].value"), "value": unknown}),
                "mutability",
            ),
            (json!({"op": "add", "path": "members", "value": [{"value": unknown}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{"value": user}, {"value": unknown}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{"value": group}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": 5}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{}]}), "invalidValue"),
            (json!({"op": "remove", "path": "members[value eq"}), "invalidPath|invalidFilter"),
            (json!({"op": "remove", "path": "members[nothing eq \"x\"]"}), "invalidFilter"),
            (json!({"op": "replace", "path": "id", "value": "x"}), "mutability"),
        ];
        for (bad, scim_type) in table {
            let good = json!({"op": "remove", "path": "members"});
            let reply = on.client.patch(&path, &operations(&json!([good, bad])));
            assert_eq!(reply.status, 400, "{bad}: {}", reply.json);
            reply.refused(400, scim_type);
        }
    });
}

#[test]
fn no_patch_dialect_empties_a_group_unintentionally() {
    // T33, D30, D31, R-229, R-231
    let client = App::shared().configuration("other");
    let user_ids: Vec<String> = ["a", "b", "c"].iter().map(|name| client.created("/Users", &user(name))).collect();
    let members = |path: &str| -> Vec<String> {
        let document = client.get(path).answered(200).json;
        let mut ids: Vec<String> = document["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["value"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let fresh = |name: &str| {
        let ids: Vec<&str> = user_ids.iter().map(String::as_str).collect();
        format!("/Groups/{}", client.created("/Groups", &group(name, &ids)))
    };
    let mut all = user_ids.clone();
    all.sort();
    let without_first: Vec<String> = all.iter().filter(|id| **id != user_ids[0]).cloned().collect();

    // Entra without its feature flag: a path and a list of values.
    let path = fresh("value list");
    let body = operations(&json!([{"op": "Remove", "path": "members", "value": [{"value": user_ids[0]}]}]));
    client.patch(&path, &body).answered(200);
    assert_eq!(members(&path), without_first);

    // A member that is not in the group.
    let path = fresh("no match");
    client.patch(&path, &removal("members[value eq \"00000000-0000-7000-8000-000000000000\"]")).answered(200);
    assert_eq!(members(&path), all);

    // A list of members that are not in the group.
    let unknown =
        json!([{"op": "remove", "path": "members", "value": [{"value": "00000000-0000-7000-8000-000000000000"}]}]);
    client.patch(&path, &operations(&unknown)).answered(200);
    assert_eq!(members(&path), all);

    // A replace without a path changes only the attributes it contains (Okta sends this after every push).
    let path = fresh("rename");
    let id = path.rsplit('/').next().unwrap();
    let rename = operations(&json!([{"op": "replace", "value": {"id": id, "displayName": "renamed"}}]));
    client.patch(&path, &rename).answered(200);
    assert_eq!(members(&path), all);

    // An add never removes members.
    client
        .patch(&path, &operations(&json!([{"op": "add", "path": "members", "value": [{"value": user_ids[0]}]}])))
        .answered(200);
    client.patch(&path, &operations(&json!([{"op": "add", "path": "members", "value": []}]))).answered(200);
    assert_eq!(members(&path), all);
}
