//! PUT (RFC 7644 section 3.5.1).

use serde_json::json;

use crate::app::App;
use crate::sample::{ENTERPRISE, USER, group, user, user_with};

#[test]
fn a_replace_clears_what_it_leaves_out() {
    // D25
    let client = App::shared().configuration("other");
    let full = json!({"title": "Countess", "externalId": "e1", "name": {"givenName": "Ada", "familyName": "King"}, "emails": [{"value": "a@x"}], ENTERPRISE: {"department": "x"}});
    let made = client.post("/Users", &user_with("ada", &full)).answered(201);
    let path = format!("/Users/{}", made.id());
    let replaced =
        client.put(&path, &user_with("ada", &json!({"name": {"givenName": "Ada"}, "nickName": null}))).answered(200);
    assert_eq!(replaced.json["name"], json!({"givenName": "Ada"}));
    for name in ["title", "externalId", "emails", "nickName", ENTERPRISE] {
        assert!(replaced.json.get(name).is_none(), "{name} in {}", replaced.json);
    }
    assert_eq!(replaced.json["schemas"], json!([USER]));
    assert_eq!(replaced.json["meta"]["created"], made.json["meta"]["created"]);
    assert_ne!(replaced.version(), made.version());
    assert_eq!(client.get(&path).answered(200).json, replaced.json);
}

#[test]
fn a_replace_without_active_does_not_change_it() {
    // R-198, D25
    let client = App::shared().configuration("other");
    for active in [true, false] {
        let path = format!(
            "/Users/{}",
            client.created("/Users", &user_with(&format!("{active}"), &json!({"active": active})))
        );
        let replaced = client.put(&path, &user_with(&format!("{active}"), &json!({"title": "x"}))).answered(200).json;
        assert_eq!(replaced["active"], active);
        let turned =
            client.put(&path, &user_with(&format!("{active}"), &json!({"active": !active}))).answered(200).json;
        assert_eq!(turned["active"], !active);
    }
}

#[test]
fn a_replace_that_changes_nothing_keeps_version_and_time() {
    //
    let client = App::shared().configuration("other");
    let document = user_with("x", &json!({"title": "t", "emails": [{"value": "a@x", "type": "work"}]}));
    let made = client.post("/Users", &document).answered(201);
    let path = format!("/Users/{}", made.id());
    assert_eq!(client.put(&path, &document).answered(200).json, made.json);
    assert_eq!(client.put(&path, &made.json).answered(200).json, made.json);
    let team = client.post("/Groups", &group("g", &[&made.id()])).answered(201);
    assert_eq!(client.put(&format!("/Groups/{}", team.id()), &team.json).answered(200).json, team.json);
}

#[test]
fn a_replace_never_creates() {
    //
    let client = App::shared().configuration("other");
    for path in ["/Users/00000000-0000-7000-8000-000000000000", "/Users/unknown", "/Groups/unknown"] {
        client.put(path, &user("x")).refused(404, "");
        client.put(path, &json!({"broken": true})).refused(404, "");
    }
    assert_eq!(client.count("/Users") + client.count("/Groups"), 0);
}

#[test]
fn a_rename_to_a_taken_name_is_a_conflict() {
    //
    let client = App::shared().configuration("other");
    client.created("/Users", &user("taken"));
    let path = format!("/Users/{}", client.created("/Users", &user("free")));
    client.put(&path, &user("TAKEN")).refused(409, "uniqueness");
    assert_eq!(client.get(&path).answered(200).json["userName"], "free");
    assert_eq!(client.put(&path, &user("FREE")).answered(200).json["userName"], "FREE");
    client.created("/Groups", &group("Taken", &[]));
    let path = format!("/Groups/{}", client.created("/Groups", &group("Free", &[])));
    client.put(&path, &group("taken", &[])).refused(409, "uniqueness");
}

#[test]
fn a_replaced_group_has_the_members_that_were_sent() {
    // R-197, Okta custom apps
    let client = App::shared().configuration("other");
    let user_ids: Vec<String> = ["a", "b", "c"].iter().map(|name| client.created("/Users", &user(name))).collect();
    let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[&user_ids[0], &user_ids[1]])));
    let replaced = client.put(&path, &group("Team", &[&user_ids[1], &user_ids[2]])).answered(200).json;
    let mut members = super::values(&replaced["members"]);
    members.sort_unstable();
    let mut expected = vec![user_ids[1].as_str(), user_ids[2].as_str()];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert!(client.get(&format!("/Users/{}", user_ids[0])).answered(200).json.get("groups").is_none());
    // Absent is not empty.
    let unchanged = client.put(&path, &json!({"displayName": "Team"})).answered(200).json;
    assert_eq!(super::values(&unchanged["members"]).len(), 2);
    for empty in [json!(null), json!([])] {
        client.put(&path, &group("Team", &[&user_ids[0]])).answered(200);
        let emptied = client.put(&path, &json!({"displayName": "Team", "members": empty})).answered(200).json;
        assert_eq!(emptied["members"], json!([]));
    }
}

#[test]
fn groups_in_a_replaced_user_change_no_membership() {
    // R-044, D25
    let client = App::shared().configuration("other");
    let user_id = client.created("/Users", &user("a"));
    let team = client.created("/Groups", &group("Team", &[&user_id]));
    let path = format!("/Users/{user_id}");
    for groups in [json!([]), json!([{"value": "admins"}])] {
        let replaced = client.put(&path, &user_with("a", &json!({"groups": groups}))).answered(200).json;
        assert_eq!(super::values(&replaced["groups"]), [team.as_str()]);
    }
}
