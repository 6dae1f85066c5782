//! PATCH requests that must be refused, whole (T23, T24, T32), and the dialects that must not destroy data (T33).

use serde_json::{Value, json};

use super::Populated;
use crate::app::App;
use crate::sample::{PATCH_OP, group, operations, removal, user};

/// Operations that cannot be understood or lead nowhere, with the word for it; `|` where the RFC leaves two.
fn unreadable_operations() -> Vec<(Value, &'static str)> {
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
        // a typing error of the administrator, who must hear of it.
        (replace("dispalyName", json!("x")), "invalidPath"),
        (replace("name.shoeSize", json!("x")), "invalidPath"),
        (replace("title[value eq \"x\"]", json!("x")), "invalidPath"),
        (json!({"op": "replace", "path": 5, "value": "x"}), "invalidPath|invalidSyntax"),
        (replace("emails[0]", json!({"value": "x"})), "invalidFilter"),
        (replace("emails[type eq]", json!({"value": "x"})), "invalidFilter"),
        (replace("emails[type like \"x\"].value", json!("x")), "invalidFilter"),
        (replace("emails[nothing eq \"x\"].value", json!("x")), "invalidFilter"),
        (replace("emails[type eq \"fax\"].value", json!("x")), "noTarget"),
        (replace("emails[type eq \"fax\"]", json!({"value": "x"})), "noTarget"),
    ]
}

/// Operations that a user refuses, with the word for it.
fn refused_by_a_user() -> Vec<(Value, &'static str)> {
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
fn an_operation_that_cannot_be_done_is_refused_with_its_word() {
    // T32, R-205 to, RFC 7644 section 3.5.2
    Populated::new().unchanged_by(|on| {
        let path = format!("/Users/{}", on.user);
        let mut unplaced = Vec::new();
        for (bad, words) in [unreadable_operations(), refused_by_a_user()].concat() {
            // The good operation before the bad one must leave no trace either.
            let good = json!({"op": "replace", "path": "title", "value": "Changed"});
            let reply = on.client.patch(&path, &operations(&json!([good, bad])));
            assert_eq!(reply.status, 400, "{bad}: {}", reply.json);
            let detail = reply.refused(400, words).json["detail"].to_string();
            //
            if !detail.contains("Operations[1]") {
                unplaced.push(format!("{bad}: {detail}"));
            }
        }
        assert!(unplaced.is_empty(), "which operation?\n{}", unplaced.join("\n"));
    });
}

#[test]
fn a_body_with_nul_is_refused_before_its_operations_are_read() {
    Populated::new().unchanged_by(|on| {
        let nul = json!([{"op": "replace", "path": "title", "value": "a\0b"}]);
        on.client.patch(&format!("/Users/{}", on.user), &operations(&nul)).refused(400, "invalidValue");
    });
}

#[test]
fn an_add_needs_a_value() {
    //
    Populated::new().unchanged_by(|on| {
        let reply =
            on.client.patch(&format!("/Users/{}", on.user), &operations(&json!([{"op": "add", "path": "title"}])));
        reply.refused(400, "invalidSyntax|invalidValue");
    });
}

#[test]
fn a_patch_without_operations_is_invalid_syntax() {
    //
    let bodies = [
        json!({}),
        json!([]),
        json!({"schemas": [PATCH_OP]}),
        json!({"schemas": [PATCH_OP], "Operations": []}),
        json!({"schemas": [PATCH_OP], "Operations": null}),
        json!({"schemas": [PATCH_OP], "Operations": "x"}),
        json!({"schemas": [PATCH_OP], "Operations": [[]]}),
        json!({"userName": "x"}),
    ];
    Populated::new().unchanged_by(|on| {
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
    let nobody = "00000000-0000-7000-8000-000000000000";
    Populated::new().unchanged_by(|on| {
        let path = format!("/Groups/{}", on.group);
        let (user, group) = (&on.user, &on.group);
        let table = [
            (json!({"op": "remove"}), "noTarget"),
            (json!({"op": "remove", "path": "displayName"}), "mutability"),
            (json!({"op": "replace", "path": "displayName", "value": ""}), "invalidValue"),
            (json!({"op": "replace", "path": "displayName", "value": 5}), "invalidValue"),
            (
                json!({"op": "replace", "path": format!("members[value eq \"{user}\"].value"), "value": nobody}),
                "mutability",
            ),
            (json!({"op": "add", "path": "members", "value": [{"value": nobody}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{"value": user}, {"value": nobody}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{"value": group}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": 5}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{}]}), "invalidValue"),
            (json!({"op": "remove", "path": "members[value eq"}), "invalidPath|invalidFilter"),
            (json!({"op": "remove", "path": "members[nothing eq \"x\"]"}), "invalidFilter"),
            (json!({"op": "replace", "path": "id", "value": "x"}), "mutability"),
        ];
        for (bad, word) in table {
            let good = json!({"op": "remove", "path": "members"});
            let reply = on.client.patch(&path, &operations(&json!([good, bad])));
            assert_eq!(reply.status, 400, "{bad}: {}", reply.json);
            reply.refused(400, word);
        }
    });
}

#[test]
fn no_dialect_empties_a_group_by_accident() {
    // T33, D30, D31, R-229, R-231
    let client = App::shared().configuration("other");
    let people: Vec<String> = ["a", "b", "c"].iter().map(|name| client.created("/Users", &user(name))).collect();
    let members = |path: &str| -> Vec<String> {
        let shown = client.get(path).answered(200).json;
        let mut ids: Vec<String> = shown["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["value"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let fresh = |name: &str| {
        let ids: Vec<&str> = people.iter().map(String::as_str).collect();
        format!("/Groups/{}", client.created("/Groups", &group(name, &ids)))
    };
    let mut all = people.clone();
    all.sort();
    let without_first: Vec<String> = all.iter().filter(|id| **id != people[0]).cloned().collect();

    // Entra without its feature flag: a path and a list of values.
    let path = fresh("value list");
    let body = operations(&json!([{"op": "Remove", "path": "members", "value": [{"value": people[0]}]}]));
    client.patch(&path, &body).answered(200);
    assert_eq!(members(&path), without_first);

    // A member who is not there.
    let path = fresh("no match");
    client.patch(&path, &removal("members[value eq \"00000000-0000-7000-8000-000000000000\"]")).answered(200);
    assert_eq!(members(&path), all);

    // A list with nothing that is there.
    let nobody =
        json!([{"op": "remove", "path": "members", "value": [{"value": "00000000-0000-7000-8000-000000000000"}]}]);
    client.patch(&path, &operations(&nobody)).answered(200);
    assert_eq!(members(&path), all);

    // A replace without a path touches what it names (Okta sends this after every push).
    let path = fresh("rename");
    let id = path.rsplit('/').next().unwrap();
    let rename = operations(&json!([{"op": "replace", "value": {"id": id, "displayName": "renamed"}}]));
    client.patch(&path, &rename).answered(200);
    assert_eq!(members(&path), all);

    // Adding never removes.
    client
        .patch(&path, &operations(&json!([{"op": "add", "path": "members", "value": [{"value": people[0]}]}])))
        .answered(200);
    client.patch(&path, &operations(&json!([{"op": "add", "path": "members", "value": []}]))).answered(200);
    assert_eq!(members(&path), all);
}
