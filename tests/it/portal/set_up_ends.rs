//! Setup links at their ends: replaced tokens, deleted connections, rejected users, and connections without a token.

use crate::app::{App, Client, wait_until};
use crate::portal::browser::{Browser, Page, wait_for_text};
use crate::sample::{USER, user};

/// A setup link of a connection; returns its path.
#[track_caller]
fn link(owner: &mut Browser, id: &str, purpose: &str) -> String {
    let fields = [("life", "3600"), ("purpose", purpose)];
    let page = owner.submit(&format!("/connections/{id}/links"), &fields).answered(200);
    format!("/s/rcl_{}", page.between("/s/rcl_", "\""))
}

/// Creates a token with the form of a page of a link, and returns it.
#[track_caller]
fn create_token(visitor: &mut Browser, page: &Page, path: &str) -> String {
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    let made = visitor.submit(&format!("{path}/token"), &[]).answered(200);
    format!("rct_{}", made.between("value=\"rct_", "\""))
}

#[test]
fn a_token_that_another_browser_has_replaced_is_not_offered_any_more() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("set-up-two-browsers", "okta");
    let path = link(&mut owner, &client.id, "setup");
    let (mut one, mut other) = (Browser::anonymous(app), Browser::anonymous(app));
    let page = one.get(&path).answered(200);
    let first = create_token(&mut one, &page, &path);
    assert!(one.get(&path).contains(&first));
    let second = create_token(&mut other, &page, &path);
    Client { token: first.clone(), ..client.clone() }.get("/Users").answered(401);
    Client { token: second.clone(), ..client }.get("/Users").answered(200);
    let page = one.get(&path).answered(200);
    assert!(!page.contains(&first) && !page.contains("Copy it now"), "{}", page.text);
    assert!(page.contains("Not visible any more"), "{}", page.text);
    assert!(other.get(&path).contains(&second));
}

#[test]
fn the_holder_of_a_link_revokes_the_old_token_when_the_new_one_is_in_use() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let old = app.configuration_of("set-up-revocation", "okta");
    old.created("/Users", &user("live@revocation.example"));
    let path = link(&mut owner, &old.id, "replace-token");
    let mut visitor = Browser::anonymous(app);
    let page = wait_for_text(&mut visitor, &path, "is in use, last");
    assert!(page.contains("The current token keeps working until it is revoked."), "{}", page.text);
    let new = Client { token: create_token(&mut visitor, &page, &path), ..old.clone() };
    visitor.submit(&format!("{path}/old-token"), &[]).answered(403);
    old.get("/Users").answered(200);
    new.get("/Users").answered(200);
    let finish = visitor.get(&format!("{path}/done")).answered(200);
    assert!(finish.contains("<h1>Finish token rotation</h1>"), "{}", finish.text);
    let links = format!("/connections/{}/links", old.id);
    wait_for_text(&mut visitor, &path, "Revoke the old token</button>");
    assert!(owner.get(&links).contains("<td>New token in use</td>"));
    let page = visitor.submit(&format!("{path}/old-token"), &[]).answered(200);
    assert!(!page.contains("Revoke the old token</button>"), "{}", page.text);
    old.get("/Users").answered(401);
    new.get("/Users").answered(200);
    let audit = app.operator().get("/directory/resources/v1/audit?account=set-up-revocation").answered(200);
    let items = audit.json["items"].as_array().unwrap();
    assert_eq!((&items[0]["action"], &items[0]["actor"]["kind"]), (&"token.revoked".into(), &"setup_link".into()));
}

#[test]
fn a_link_of_a_deleted_connection_does_not_say_that_provisioning_continues() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("set-up-deleted", "okta");
    let path = link(&mut owner, &client.id, "setup");
    let configuration = format!("{}/{}", crate::caller::CONFIGURATIONS, client.id);
    app.operator().delete(&configuration).answered(204);
    let page = Browser::anonymous(app).get(&path).answered(410);
    assert!(page.contains("or the connection was deleted"), "{}", page.text);
    assert!(!page.contains("Provisioning that is set up continues"), "{}", page.text);
}

#[test]
fn rejected_users_are_named_on_the_page_of_the_link_and_for_the_operator() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("set-up-rejected", "okta");
    let path = link(&mut owner, &client.id, "setup");
    let mut visitor = Browser::anonymous(app);
    for _ in 0..3 {
        client.post("/Users", &serde_json::json!({"schemas": [USER], "displayName": "x"})).refused(400, "invalidValue");
    }
    let page = wait_for_text(&mut visitor, &path, "requests to create a user were rejected");
    assert!(page.contains("userName is missing") && !page.contains("Assign a user to the app"), "{}", page.text);
    let overview = format!("/connections/{}", client.id);
    wait_for_text(&mut owner, &overview, "is connected, but the last 3 requests were rejected");
    client.created("/Users", &user("first@rejected.example"));
    wait_for_text(&mut visitor, &path, "A user arrived, so the connection works.");
}

#[test]
fn a_link_that_replaces_a_token_needs_one() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("set-up-no-token", "okta");
    let links = format!("/connections/{}/links", client.id);
    let name = owner.get(&format!("/connections/{}", client.id)).answered(200);
    let name = name.between("<h1>", "</h1>").to_owned();
    owner.submit(&format!("/connections/{}/tokens/revoke-all", client.id), &[("name", &name)]).answered(200);
    client.get("/Users").answered(401);
    let page = owner.submit(&links, &[("life", "3600"), ("purpose", "replace-token")]).answered(422);
    assert!(page.contains("no token that works") && page.contains("id=\"purpose-problem\""), "{}", page.text);
    link(&mut owner, &client.id, "setup");
    wait_until("the list has one link", || owner.clone().get(&links).contains("1 link, the newest first"));
}
