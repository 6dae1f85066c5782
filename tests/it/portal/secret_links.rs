//! Setup links that replace the secret of an OAuth client, created in the portal and by the management API.

use serde_json::json;

use crate::app::{App, Client};
use crate::caller::CONFIGURATIONS;
use crate::portal::browser::{Browser, Page, wait_for_text};

const CLIENT_FIELDS: [(&str, &str); 5] = [
    ("method", "secret"),
    ("label", "Directory"),
    ("scope", "scim"),
    ("accessTokenLifetime", "3600"),
    ("secretExpiresIn", "31536000"),
];

/// Adds an OAuth client to a connection; returns its id and its secret.
#[track_caller]
fn add_client(owner: &mut Browser, connection: &str) -> (String, String) {
    let page = owner.submit(&format!("/connections/{connection}/oauth-clients/new"), &CLIENT_FIELDS).answered(200);
    (value_of(&page, "client-id"), value_of(&page, "client-secret"))
}

/// Value of the input with this id.
#[track_caller]
fn value_of(page: &Page, id: &str) -> String {
    page.between(&format!("<input id=\"{id}\" type=\"text\" readonly value=\""), "\"").to_owned()
}

/// Status of a request for an access token.
fn fetch_token(app: &App, client_id: &str, secret: &str) -> u16 {
    let pairs = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", secret)];
    crate::oauth::form_request(app, "/oauth2/token", &pairs).send().status
}

/// Sends a form of the page of a link.
#[track_caller]
fn submit(visitor: &mut Browser, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    visitor.submit(path, fields)
}

/// The actions of setup links in the audit log of an account, the newest first.
fn link_actions(app: &App, account: &str) -> Vec<String> {
    let audit = app.operator().get(&format!("/directory/resources/v1/audit?account={account}")).answered(200);
    let items = audit.json["items"].as_array().unwrap();
    let of_links = items.iter().filter(|item| item["actor"]["kind"] == "setup_link");
    of_links.map(|item| item["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_holder_of_a_link_replaces_the_secret_of_a_client_and_deletes_the_old_one() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("secret-link", "okta");
    let (id, old) = add_client(&mut owner, &client.id);
    assert_eq!(fetch_token(app, &id, &old), 200);
    let links = format!("/connections/{}/links", client.id);
    assert!(owner.get(&links).contains(&format!("<option value=\"{id}\">Replace the secret of Directory</option>")));
    let page = owner.submit(&links, &[("life", "3600"), ("purpose", &id)]).answered(200);
    let path = format!("/s/rcl_{}", page.between("/s/rcl_", "\""));
    assert!(page.contains("subject=Replace%20the%20client%20secret%20of%20user%20provisioning"), "{}", page.text);
    assert!(owner.get(&links).contains("<td>Not started</td>"));
    assert!(owner.get(&links).contains("<span class=\"quiet\">Replace the secret of “Directory”</span>"));
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    assert!(page.contains("<h1>Replace the client secret in Okta</h1>"), "{}", page.text);
    assert!(page.contains("The current secret stays valid until <time") && page.contains("10 more secrets."));
    // The link creates nothing else.
    for what in ["token", "client"] {
        submit(&mut visitor, &page, &format!("{path}/{what}"), &CLIENT_FIELDS).answered(403);
    }
    submit(&mut visitor, &page, &format!("{path}/old-token"), &[]).answered(403);
    let refused = visitor.submit(&format!("{path}/client-secret"), &[("secretExpiresIn", "1")]).answered(422);
    assert!(refused.contains("id=\"secretExpiresIn-problem\""), "{}", refused.text);
    let page = visitor.submit(&format!("{path}/client-secret"), &[("secretExpiresIn", "2592000")]).answered(200);
    let lost = value_of(&page, "client-secret");
    assert!(page.contains("Waiting for the new secret to be used."));
    assert_eq!(value_of(&page, "client-id"), id);
    assert!(!Browser::anonymous(app).get(&path).contains(&lost), "another browser does not see the secret");
    // A lost one is replaced: the client never has more than two.
    let form = visitor.get(&format!("{path}?method=secret")).answered(200);
    assert!(form.contains("This link can create 9 more secrets."), "{}", form.text);
    let page = visitor.submit(&format!("{path}/client-secret"), &[("secretExpiresIn", "31536000")]).answered(200);
    let new = value_of(&page, "client-secret");
    assert_eq!([&lost, &old, &new].map(|secret| fetch_token(app, &id, secret)), [401, 200, 200]);
    let page = wait_for_text(&mut visitor, &path, "The new secret is in use.");
    assert!(
        page.contains("Delete the old secret</button>") && page.contains("Delete the old secret to create another.")
    );
    visitor.submit(&format!("{path}/client-secret"), &[("secretExpiresIn", "31536000")]).answered(409);
    let page = visitor.submit(&format!("{path}/old-token"), &[]).answered(200);
    assert!(!page.contains("Delete the old secret</button>"), "{}", page.text);
    assert_eq!([&old, &new].map(|secret| fetch_token(app, &id, secret)), [401, 200]);
    let actions =
        ["oauth_secret.deleted", "oauth_secret.created", "oauth_secret.deleted", "oauth_secret.created", "link.opened"];
    assert_eq!(link_actions(app, "secret-link"), actions);
    let finish = visitor.get(&format!("{path}/done")).answered(200);
    assert!(finish.contains("<button class=\"primary\">Finish secret rotation</button>"), "{}", finish.text);
    assert!(!finish.contains("Finish setup") && !finish.contains("not in use yet"), "{}", finish.text);
    assert!(owner.get(&links).contains("<td>New secret in use</td>"));
    let done = visitor.submit(&format!("{path}/done"), &[]).answered(200);
    assert!(done.contains("<h1>Rotation finished</h1>"), "{}", done.text);
    let audit = owner.get("/audit?account=secret-link").answered(200);
    assert!(audit.contains("finished the client secret rotation of"), "{}", audit.text);
    assert!(audit.contains("created a link to replace a client secret of"), "{}", audit.text);
    let ended = visitor.get(&path).answered(410);
    assert!(ended.contains("This setup link has ended"), "{}", ended.text);
    visitor.submit(&format!("{path}/client-secret"), &[("secretExpiresIn", "31536000")]).answered(410);
    assert_eq!(fetch_token(app, &id, &new), 200);
}

#[test]
fn the_api_creates_links_for_the_secret_of_a_client() {
    let app = App::shared();
    let (mut owner, operator) = (Browser::owner(app), app.operator());
    let client = app.configuration_of("secret-link-api", "okta");
    let (id, _) = add_client(&mut owner, &client.id);
    let links = format!("{CONFIGURATIONS}/{}/links", client.id);
    for (body, status) in [
        (json!({"clientId": id}), 400),
        (json!({"purpose": "setup", "clientId": id}), 400),
        (json!({"purpose": "replace-token", "clientId": "rcc_unknown"}), 404),
        (json!({"purpose": "replace-token", "clientId": 7}), 400),
    ] {
        operator.post(&links, &body).problem(status);
    }
    // No token is in use, and one client has secrets.
    let made = operator.post(&links, &json!({"purpose": "replace-token"})).answered(201);
    let listed = operator.get(&links).answered(200).json;
    assert_eq!(
        (&listed["items"][0]["clientId"], &listed["items"][0]["purpose"]),
        (&json!(id), &json!("replace-token"))
    );
    let path = format!("/s/{}", made.text("url").rsplit('/').next().unwrap());
    assert!(Browser::anonymous(app).get(&path).contains("Replace the client secret in Okta"));
    // With a token in use, the token is meant unless the client is named.
    Client::clone(&client).get("/Users").answered(200);
    let links_of = |body: &serde_json::Value| {
        operator.post(&links, body).answered(201);
        operator.get(&links).answered(200).json["items"][0]["clientId"].clone()
    };
    crate::app::wait_until("the use of the token is stored", || {
        links_of(&json!({"purpose": "replace-token"})).is_null()
    });
    assert_eq!(links_of(&json!({"purpose": "replace-token", "clientId": id})), json!(id));
    assert!(links_of(&json!({})).is_null());
}

#[test]
fn a_link_says_that_its_client_does_not_exist_any_more() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("secret-link-gone", "okta");
    let (id, _) = add_client(&mut owner, &client.id);
    let links = format!("/connections/{}/links", client.id);
    let page = owner.submit(&links, &[("life", "3600"), ("purpose", &id)]).answered(200);
    let path = format!("/s/rcl_{}", page.between("/s/rcl_", "\""));
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    owner
        .submit(&format!("/connections/{}/oauth-clients/{id}/delete", client.id), &[("confirmed", "on")])
        .answered(200);
    let gone = visitor.get(&path).answered(200);
    assert!(gone.contains("was deleted or disabled") && !gone.contains("Create the secret"), "{}", gone.text);
    submit(&mut visitor, &page, &format!("{path}/client-secret"), &[("secretExpiresIn", "31536000")]).answered(403);
    let refused = owner.submit(&links, &[("life", "3600"), ("purpose", &id)]).answered(422);
    assert!(refused.contains("id=\"purpose-problem\""), "{}", refused.text);
    assert!(owner.get(&links).contains("Replace a client secret"));
}
