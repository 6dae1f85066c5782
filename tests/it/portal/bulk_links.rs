//! Setup links of several connections at once.

use serde_json::json;

use crate::app::App;
use crate::caller::CONFIGURATIONS;
use crate::portal::browser::{Browser, Page, own_app};

/// Checks the e-mails of the links on a page: of a customer with a name, and of one without.
fn assert_mails_name_the_product(app: &App, owner: &mut Browser, page: &Page) {
    // Without branding and without a name of the customer, the mail names neither, and not the connection.
    assert!(page.contains("subject=Set%20up%20user%20provisioning%20%E2%80%93%20Acme%20Inc.&"), "{}", page.text);
    assert!(page.contains("subject=Set%20up%20user%20provisioning&"), "{}", page.text);
    assert!(page.contains("the%20identity%20provider%20of%20Acme%20Inc.%3A"), "{}", page.text);
    app.operator()
        .patch("/directory/resources/v1/settings", &json!({"branding": {"productName": "Northlight"}}))
        .answered(200);
    let branded = owner.get("/connections/links/made").answered(200);
    assert!(branded.contains("of%20Acme%20Inc.%20to%20Northlight%3A"), "{}", branded.text);
    assert!(branded.contains("your%20identity%20provider%20to%20Northlight%3A"), "{}", branded.text);
    assert!(branded.contains("user%20provisioning%20for%20Northlight%20%E2%80%93%20Acme%20Inc."), "{}", branded.text);
    app.operator().patch("/directory/resources/v1/settings", &json!({"branding": {"productName": null}})).answered(200);
}

#[test]
fn selected_connections_get_one_link_each_that_is_visible_once() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let clients = ["acme", "beta", "zeta"].map(|account| app.configuration_of(account, "okta"));
    app.operator().patch("/directory/resources/v1/accounts/acme", &json!({"name": "Acme Inc."})).answered(204);
    let fields: Vec<String> = clients[..2].iter().map(|client| format!("c-{}", client.id)).collect();
    let selected = [("links", "on"), ("back", "/connections"), (&fields[0], "on"), (&fields[1], "on")];
    let page = owner.submit("/connections/bulk", &selected).answered(200);
    assert!(page.at.starts_with("/connections/links/new?ids="), "{}", page.at);
    assert!(page.contains("Create 2 links") && page.contains("Acme Inc.") && !page.contains("zeta"), "{}", page.text);
    let ids = format!("{},{}", clients[0].id, clients[1].id);
    for (life, note, field) in [("9", "", "life"), ("3600", &*"x".repeat(201), "note"), ("3600", "a\u{202e}b", "note")]
    {
        let form = [("ids", ids.as_str()), ("life", life), ("note", note)];
        let refused = owner.submit("/connections/links/new", &form).answered(422);
        assert!(refused.contains(&format!("id=\"{field}-problem\"")), "{}", refused.text);
    }
    let form = [("ids", ids.as_str()), ("life", "3600"), ("note", "rollout")];
    let page = owner.submit("/connections/links/new", &form).answered(200);
    assert!(page.at == "/connections/links/made" && page.contains("2 links, one for each connection"), "{}", page.text);
    let secrets: Vec<String> = page
        .text
        .split("/s/rcl_")
        .skip(1)
        .map(|rest| rest[..43].to_owned())
        .filter(|text| !text.contains('%'))
        .collect();
    assert!(page.contains("Acme Inc.") && page.contains("href=\"mailto:?subject="), "{}", page.text);
    assert_mails_name_the_product(&app, &mut owner, &page);
    // The field and the e-mail of each link have the same secret.
    let mut distinct = secrets.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 2, "{secrets:?}");
    for secret in &distinct {
        let link = Browser::anonymous(&app).get(&format!("/s/rcl_{secret}")).answered(200);
        assert!(link.contains("<h1>Connect Okta</h1>"), "{}", link.text);
    }
    let file = owner.get("/connections/links/made.csv").answered(200);
    assert!(file.header("content-disposition").is_some_and(|value| value.contains("setup-links.csv")));
    assert!(
        file.text.lines().count() == 3 && file.contains("\"Acme Inc.\",\"acme\",\"Okta\",\"http://"),
        "{}",
        file.text
    );
    assert!(distinct.iter().all(|secret| file.contains(secret)), "{}", file.text);
    // Another browser, also of the same admin, does not see them.
    let mut other = Browser { cookies: std::collections::BTreeMap::new(), ..owner.clone() };
    other.sign_in();
    let page = other.get("/connections/links/made").answered(200);
    assert!(page.contains("cannot be shown any more") && !page.contains("rcl_"), "{}", page.text);
    let page = other.get("/connections/links/made.csv").answered(200);
    assert!(page.at == "/connections/links/made", "{}", page.at);
    let audit = app.operator().get("/directory/resources/v1/audit?action=link.created").answered(200).json;
    let notes: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|one| one["after"]["note"].as_str().unwrap()).collect();
    assert_eq!(notes, ["rollout", "rollout"]);
}

/// Name of a connection.
fn operator_name(app: &App, id: &str) -> String {
    let found = app.operator().get(&format!("{CONFIGURATIONS}/{id}")).answered(200);
    found.json["connectionName"].as_str().unwrap().to_owned()
}

#[test]
fn all_connections_get_a_link_or_none_does() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (one, two) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "okta"));
    let links = |id: &str| format!("{CONFIGURATIONS}/{id}/links");
    for _ in 0..20 {
        app.operator().post(&links(&two.id), &json!({})).answered(201);
    }
    let ids = format!("{},{}", one.id, two.id);
    let form = [("ids", ids.as_str()), ("life", "3600")];
    let refused = owner.submit("/connections/links/new", &form).answered(422);
    let name = operator_name(&app, &two.id);
    let sentence = format!("No link was created. “{name}” has 20 live links. Revoke one of them first.");
    assert!(refused.contains(&sentence) && refused.contains("id=\"connections-problem\""), "{}", refused.text);
    let links = format!("/connections/{}/links", two.id);
    let refused = owner.submit(&links, &[("life", "3600")]).answered(409);
    assert!(refused.contains("This connection has 20 live links. Revoke one first."), "{}", refused.text);
    let links = |id: &str| format!("{CONFIGURATIONS}/{id}/links");
    let listed = app.operator().get(&links(&one.id)).answered(200).json;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(0));
    let gone = format!("{},00000000-0000-7000-8000-000000000000", one.id);
    let page = owner.get(&format!("/connections/links/new?ids={gone}")).answered(200);
    assert!(page.contains("Nothing was changed: one of the selected connections"), "{}", page.text);
    for ids in ["", "x", ",,"] {
        let page = owner.get(&format!("/connections/links/new?ids={ids}")).answered(200);
        assert!(page.contains("Select at least one connection"), "{ids}: {}", page.text);
    }
    // Connections of other accounts are out of reach, and a role without the permission has no button.
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("acme"));
    let page = own.get(&format!("/connections/links/new?ids={ids}")).answered(200);
    assert!(page.contains("Nothing was changed"), "{}", page.text);
    assert!(own.get("/connections").contains("name=\"links\""));
    let mut viewer = Browser::with_role(&app, "viewer", None);
    assert!(!viewer.get("/connections").contains("name=\"links\""));
}
