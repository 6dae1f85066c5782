//! Customers by their names, with the id where it is different.

use serde_json::json;

use crate::portal::browser::{Browser, own_app};
use crate::sample::user;

#[test]
fn pages_name_customers_and_the_id_stays_reachable() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme-17", "okta");
    client.created("/Users", &user("left@acme.example"));
    app.operator().patch("/directory/resources/v1/accounts/acme-17", &json!({"name": "Acme <Inc>"})).answered(204);
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("acme-17"));
    owner
        .submit("/settings/keys/new", &[("name", "feed"), ("account", "acme-17"), ("directory.read", "on")])
        .answered(200);
    let invited = [("email", "new@acme.example"), ("role", "viewer"), ("account", "acme-17")];
    let invitation = owner.submit("/settings/people/new", &invited).answered(200);
    let webhook = [
        ("url", "https://hook.invalid/events"),
        ("events", "all"),
        ("format", "standard"),
        ("payload", "full"),
        ("batchSize", "100"),
        ("start", "latest"),
        ("signature", "hmac"),
        ("account", "acme-17"),
    ];
    let made = owner.submit("/webhooks/new", &webhook).answered(200);
    let hook = format!("/webhooks/{}", made.at.split('/').nth(2).unwrap());
    let name = owner.get(&format!("/connections/{}", client.id)).between("<h1>", "</h1>").to_owned();
    owner.submit(&format!("/connections/{}/delete", client.id), &[("name", &name)]).answered(200);
    let cell = "<bdi>Acme &#60;Inc&#62;</bdi><span class=\"sub\"><span class=\"unseen\">ID </span>acme-17</span>";
    let inline = "<bdi>Acme &#60;Inc&#62;</bdi> <span class=\"quiet\">(ID acme-17)</span>";
    let keys = owner.get("/settings/keys");
    let before = keys.text.split(">feed</a>").next().unwrap();
    let key = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap().to_owned();
    for (path, text) in [
        ("/settings/people".to_owned(), cell),
        ("/settings/keys".to_owned(), cell),
        ("/webhooks".to_owned(), cell),
        ("/connections/deleted".to_owned(), cell),
        (format!("/connections/deleted/{}", client.id), inline),
        (key, inline),
        (invitation.at.clone(), inline),
        (hook, inline),
        ("/audit".to_owned(), "<bdi title=\"ID acme-17\">Acme &#60;Inc&#62;</bdi> · "),
        ("/audit".to_owned(), "<p>Customer ID <code>acme-17</code></p>"),
    ] {
        let page = owner.get(&path).answered(200);
        assert!(page.contains(text), "{path}: {}", page.text);
    }
    let profile = own.get("/profile").answered(200);
    assert!(profile.contains(&format!("only for the customer {inline}")), "{}", profile.text);
    let form = own.get("/connections/new").answered(200);
    assert!(form.contains("<strong title=\"ID acme-17\">Acme &#60;Inc&#62;</strong>"), "{}", form.text);
    let invitation = invitation.between("/invite/", "\"").to_owned();
    let page = Browser::anonymous(&app).get(&format!("/invite/{invitation}")).answered(200);
    assert!(page.contains("for the customer <strong>Acme &#60;Inc&#62;</strong>"), "{}", page.text);
}

#[test]
fn the_audit_log_names_the_account_of_the_time_of_a_change_and_not_a_later_one_with_its_id() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let operator = app.operator();
    for name in ["First", "Second"] {
        operator.post("/directory/resources/v1/accounts", &json!({"id": "same", "name": name})).answered(201);
        if name == "First" {
            operator.delete("/directory/resources/v1/accounts/same").answered(204);
        }
    }
    let page = owner.get("/audit?account=&action=account.created").answered(200);
    assert!(page.contains("created the customer <bdi>First</bdi>"), "{}", page.text);
    assert!(page.contains("created the customer <bdi>Second</bdi>"), "{}", page.text);
}
