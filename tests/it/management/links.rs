//! Setup links: created, listed without their secret, revoked.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};

fn listed(caller: &Caller, links: &str) -> Vec<Value> {
    let reply = caller.get(links).answered(200);
    reply.json["items"].as_array().unwrap_or_else(|| panic!("items in {}", reply.json)).clone()
}

#[test]
fn a_link_is_returned_once_listed_without_its_secret_and_revoked() {
    let app = App::shared();
    let client = app.operator().configuration("links", "okta");
    let links = format!("{CONFIGURATIONS}/{}/links", client.id);
    let admin = app.account_key("links", &["provisioning.tokens", "directory.read"]);
    let made = admin.post(&links, &json!({"expiresIn": 3_600, "note": "for Bob", "provider": "okta"})).answered(201);
    let (id, url) = (made.text("id"), made.text("url"));
    let (_, secret) = url.rsplit_once("/s/").expect("the URL ends in the secret");
    assert!(secret.len() > 40 && made.header("cache-control") == "no-store", "{url}");
    let found = listed(&admin, &links);
    assert_eq!((&found[0]["id"], &found[0]["note"], &found[0]["live"]), (&json!(id), &json!("for Bob"), &json!(true)));
    assert_eq!((&found[0]["opened"], &found[0]["expiresAt"]), (&json!(0), &made.json["expiresAt"]));
    assert_eq!(found[0]["purpose"], "setup");
    let rotation = admin.post(&links, &json!({"purpose": "replace-token"})).answered(201).text("id");
    assert_eq!(listed(&admin, &links)[0]["purpose"], "replace-token");
    admin.delete(&format!("{links}/{rotation}")).answered(204);
    assert!(!json!(found).to_string().contains(secret));
    admin.delete(&format!("{links}/{id}")).answered(204);
    admin.delete(&format!("{links}/{id}")).problem(404);
    let found = listed(&admin, &links);
    assert!(found[1]["live"] == false && found[1]["endedAt"].is_string(), "{found:#?}");
    let audit = app.operator().get("/directory/resources/v1/audit?account=links&action=link").answered(200);
    assert_eq!(audit.json["items"][0]["action"], "link.revoked");
    assert_eq!(
        (&audit.json["items"][3]["action"], &audit.json["items"][3]["subjectId"]),
        (&json!("link.created"), &json!(id))
    );
    assert!(!audit.json.to_string().contains(secret));
}

#[test]
fn a_link_is_valid_for_one_day_by_default_and_within_limits() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("link-lives", "okta");
    let links = format!("{CONFIGURATIONS}/{}/links", client.id);
    operator.request("POST", &links).send().answered(201);
    let found = listed(&operator, &links);
    let day = |name: &str| found[0][name].as_str().unwrap()[8..10].parse::<i64>().unwrap();
    assert_ne!(day("createdAt"), day("expiresAt"));
    for (body, field) in [
        (json!({"expiresIn": 299}), "expiresIn"),
        (json!({"expiresIn": 2_592_001}), "expiresIn"),
        (json!({"expiresIn": "3600"}), "expiresIn"),
        (json!({"note": "x".repeat(201)}), "note"),
        (json!({"note": "a\nb"}), "note"),
        (json!({"note": "a\u{200b}b"}), "note"),
        (json!({"note": "a\u{ad}b"}), "note"),
        (json!({"note": "a\u{202e}b"}), "note"),
        (json!({"provider": ""}), "provider"),
        (json!({"purpose": "rotate"}), "purpose"),
    ] {
        let refused = operator.post(&links, &body).problem(400);
        assert!(refused.text("message").starts_with(field), "{}", refused.json);
    }
    let document = operator.get("/openapi.json").answered(200).json;
    let pattern = document["components"]["schemas"]["NewLink"]["properties"]["note"]["pattern"].as_str().unwrap();
    for hidden in ["\\u200b", "\\u00ad", "\\u202a-\\u202e", "\\x00-\\x1f"] {
        assert!(pattern.contains(hidden), "{hidden} in {pattern}");
    }
    for _ in 1..20 {
        operator.post(&links, &json!({})).answered(201);
    }
    operator.post(&links, &json!({})).problem(409);
    let page = operator.get(&format!("{links}?limit=15")).answered(200).json;
    let rest = operator.get(&format!("{links}?limit=15&cursor={}", page["nextCursor"].as_str().unwrap()));
    assert_eq!(rest.answered(200).json["items"].as_array().unwrap().len(), 5);
}

#[test]
fn foreign_links_are_not_found_and_links_end_with_their_configuration() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("link-ends", "okta");
    let links = format!("{CONFIGURATIONS}/{}/links", client.id);
    let id = operator.post(&links, &json!({})).answered(201).text("id");
    let other = app.account_key("link-thieves", &["provisioning.tokens", "directory.read"]);
    other.get(&links).problem(404);
    other.post(&links, &json!({})).problem(404);
    other.delete(&format!("{links}/{id}")).problem(404);
    let second = operator.configuration("link-ends", "other");
    operator.delete(&format!("{CONFIGURATIONS}/{}/links/{id}", second.id)).problem(404);
    operator.delete(&format!("{CONFIGURATIONS}/{}", client.id)).answered(204);
    operator.get(&links).problem(404);
}
