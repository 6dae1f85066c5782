//! DELETE and its consequences (RFC 7644 section 3.6).

use serde_json::{Value, json};

use crate::app::App;
use crate::sample::{group, operation, user, user_with};

#[test]
fn a_deleted_user_is_gone_from_everywhere() {
    // D41
    let client = App::shared().configuration("other");
    let document = user_with("ada", &json!({"externalId": "e1", "emails": [{"value": "ada@x"}]}));
    let id = client.created("/Users", &document);
    let team = client.post("/Groups", &group("Team", &[&id])).answered(201);
    let path = format!("/Users/{id}");
    let reply = client.delete(&path).answered(204);
    assert_eq!(reply.header("content-type"), "");
    client.get(&path).refused(404, "");
    client.put(&path, &user("ada")).refused(404, "");
    client.patch(&path, &operation("replace", "title", &json!("x"))).refused(404, "");
    client.delete(&path).refused(404, "");
    for filter in
        ["userName eq \"ada\"", "externalId eq \"e1\"", "emails.value eq \"ada@x\"", &format!("id eq \"{id}\"")]
    {
        assert_eq!(client.find("/Users", filter), Vec::<Value>::new(), "{filter}");
    }
    assert_eq!(client.count("/Users"), 0);
    let after = client.get(&format!("/Groups/{}", team.id())).answered(200);
    assert_eq!(after.json["members"], json!([]));
    assert_ne!(after.version(), team.version());
    assert!(client.find("/Groups", &format!("members.value eq \"{id}\"")).is_empty());
}

#[test]
fn a_name_can_be_reused_and_an_id_cannot() {
    // D24
    let client = App::shared().configuration("other");
    let first = client.post("/Users", &user("ada")).answered(201);
    client.delete(&format!("/Users/{}", first.id())).answered(204);
    let second = client.post("/Users", &user("ADA")).answered(201);
    assert_ne!(first.id(), second.id());
    let group_id = client.created("/Groups", &group("Team", &[]));
    client.delete(&format!("/Groups/{group_id}")).answered(204);
    client.created("/Groups", &group("team", &[]));
}

#[test]
fn a_deleted_group_does_not_delete_its_members() {
    // The version of a resource that referred to it changes.
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &group("Team", &[&id]));
    let before = client.get(&format!("/Users/{id}")).answered(200);
    assert_eq!(super::values(&before.json["groups"]), [team.as_str()]);
    client.delete(&format!("/Groups/{team}")).answered(204);
    let after = client.get(&format!("/Users/{id}")).answered(200);
    assert!(after.json.get("groups").is_none(), "{}", after.json);
    assert_ne!(after.version(), before.version());
}

#[test]
fn deactivation_is_not_deletion() {
    // D16, D41
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &group("Team", &[&id]));
    let path = format!("/Users/{id}");
    let change = |active: bool| client.patch(&path, &operation("replace", "active", &json!(active))).answered(200).json;
    assert_eq!(change(false)["active"], false);
    client.get(&path).answered(200);
    assert_eq!(client.find("/Users", "userName eq \"ada\"").len(), 1);
    assert_eq!(super::values(&client.get(&format!("/Groups/{team}")).json["members"]), [id.as_str()]);
    client.post("/Users", &user("ada")).refused(409, "uniqueness");
    assert_eq!(change(true)["active"], true);
}

#[test]
fn a_resource_is_deleted_only_under_its_own_type() {
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    client.delete(&format!("/Groups/{id}")).refused(404, "");
    client.get(&format!("/Groups/{id}")).refused(404, "");
    client.get(&format!("/Users/{id}")).answered(200);
}
