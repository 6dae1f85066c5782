//! The home page: states, what needs attention, the latest changes, and the steps before production.

use serde_json::json;

use crate::app::wait_until;
use crate::portal::browser::{Browser, Page, own_app, wait_for_text, with_fields};
use crate::sample::user;

/// The number of connections in a state.
fn count_of(page: &Page, state: &str) -> usize {
    let cell = page.between(&format!("href=\"/connections?state={state}\">"), "</a>");
    let number = cell.split_once('>').unwrap().1.split('<').next().unwrap();
    number.parse().unwrap()
}

#[test]
fn the_home_page_has_the_states_the_worst_problems_first_and_the_latest_changes() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let empty = owner.get("/").answered(200);
    assert!(empty.contains("No connections yet") && empty.contains("href=\"/connections/new\""), "{}", empty.text);
    assert!(empty.contains("0 of 6") && empty.contains("Automatic backups are off"), "{}", empty.text);
    let live = app.configuration_of("acme", "okta");
    let failing = app.configuration_of("zeta", "azure-ad");
    app.configuration_of("idle", "other");
    live.created("/Users", &user("ann@home.example"));
    live.post("/Users", &user("ann@home.example")).answered(409);
    live.get("/Users?filter=userName%20eq%20%22look%40home.example%22").answered(200);
    failing.created("/Users", &user("bob@home.example"));
    for _ in 0..5 {
        failing.post("/Users", &user("bob@home.example")).answered(409);
    }
    wait_for_text(&mut owner, "/", "Created ann@home.example");
    wait_until("the failing connection", || count_of(&owner.clone().get("/"), "failing") == 1);
    let page = owner.get("/").answered(200);
    assert_eq!(["live", "waiting", "held"].map(|state| count_of(&page, state)), [1, 1, 0], "{}", page.text);
    // The failing connection is in front of the missing backups, and each has one action.
    let (attention, changes) = page.text.split_once("id=\"changes\"").unwrap();
    let position = |text: &str| attention.find(text).unwrap_or_else(|| panic!("no {text} in {}", page.text));
    assert!(position("pill failing\">Failing") < position("Automatic backups are off"), "{}", page.text);
    assert!(attention.contains(&format!("href=\"/connections/{}\">Open", failing.id)), "{}", page.text);
    // The rejected request is a change, the search is not.
    assert!(
        changes.contains("<b>× 5</b>")
            && changes.contains("userName")
            && changes.contains(">409<")
            && !changes.contains("look@home"),
        "{changes}"
    );
    assert!(page.contains("2 of 6"), "a connection and a user: {}", page.text);
    // The application has read the events up to a position when it requests those after it.
    let events =
        |query: &str| app.operator().get(&format!("/directory/resources/v1/events?{query}")).answered(200).json;
    let next = events("limit=1")["nextAfter"].as_str().unwrap().to_owned();
    events(&format!("after={next}&limit=1"));
    wait_for_text(&mut owner, "/", "3 of 6");
}

#[test]
fn the_home_page_has_only_what_the_admin_may_see() {
    let (app, _folder) = own_app();
    let client = app.configuration_of("acme", "okta");
    app.configuration_of("zeta", "other").created("/Users", &user("secret@zeta.example"));
    client.created("/Users", &user("ann@acme.example"));
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("acme"));
    let page = wait_for_text(&mut own, "/", "ann@acme.example");
    assert_eq!(["live", "waiting"].map(|state| count_of(&page, state)), [1, 0]);
    assert!(!page.contains("zeta") && !page.contains("Get ready") && !page.contains("backups"), "{}", page.text);
    let mut viewer = Browser::with_role(&app, "viewer", None);
    let page = viewer.get("/").answered(200);
    assert!(!page.contains("Latest changes") && !page.contains("ann@acme.example"), "{}", page.text);
}

#[test]
fn tokens_that_expire_soon_are_on_the_home_page() {
    let (app, _folder) = own_app();
    let client = app.configuration_of("acme", "okta");
    let tokens = format!("{}/{}/tokens", crate::caller::CONFIGURATIONS, client.id);
    let operator = app.operator();
    let id = operator.get(&tokens).answered(200).json["items"][0]["id"].as_str().unwrap().to_owned();
    let mut owner = Browser::owner(&app);
    assert!(!owner.get("/").contains("This token expires"));
    let end = jiff::Timestamp::now() + std::time::Duration::from_hours(50);
    operator.patch(&format!("{tokens}/{id}"), &json!({"expiresAt": end.to_string()})).answered(204);
    let page = owner.get("/").answered(200);
    assert!(page.contains("This token expires in 2 days"), "{}", page.text);
    assert!(page.contains(&format!("href=\"/connections/{}/tokens\">Replace", client.id)), "{}", page.text);
}

#[test]
fn the_list_of_connections_has_counts_by_state_and_sorts_by_each_column() {
    let (app, _folder) = own_app();
    for (account, users) in [("beta", 2), ("acme", 0), ("zeta", 1)] {
        let client = app.configuration_of(account, "okta");
        for number in 0..users {
            client.created("/Users", &user(&format!("u{number}@{account}.example")));
        }
    }
    let mut owner = Browser::owner(&app);
    wait_until("two connections are live", || {
        let page = owner.clone().get("/connections").answered(200);
        page.contains("Live <b>2</b>") && page.contains("Waiting <b>1</b>")
    });
    let accounts = |page: &Page| -> Vec<&'static str> {
        let rows = page.text.split("<tbody>").nth(1).unwrap();
        let mut found: Vec<(usize, &'static str)> = ["acme", "beta", "zeta"]
            .into_iter()
            .filter_map(|name| Some((rows.find(&format!("<span class=\"sub\">{name}"))?, name)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect()
    };
    for (query, expected) in [
        ("", &["acme", "beta", "zeta"][..]),
        ("?sort=users", &["beta", "zeta", "acme"]),
        ("?sort=account", &["acme", "beta", "zeta"]),
        ("?state=live&sort=users", &["beta", "zeta"]),
        ("?state=waiting", &["acme"]),
        ("?sort=unknown", &["acme", "beta", "zeta"]),
    ] {
        let page = owner.get(&format!("/connections{query}")).answered(200);
        assert_eq!(accounts(&page), expected, "{query}: {}", page.text);
    }
    let page = owner.get("/connections?state=live&sort=users").answered(200);
    assert!(page.contains("aria-sort=\"descending\"") && page.contains("Live <b>2</b>"), "{}", page.text);
    // The file has the same connections in the same order.
    assert!(page.contains("href=\"/connections/export.csv?state=live&#38;sort=users\""), "{}", page.text);
    let file = owner.get("/connections/export.csv?state=live&sort=users").answered(200);
    assert!(file.header("content-disposition").unwrap().starts_with("attachment"));
    let lines: Vec<&str> = file.text.split("\r\n").collect();
    assert_eq!(lines.len(), 4, "{}", file.text);
    assert!(lines[0].starts_with("id,name,customer,account,provider,"), "{}", lines[0]);
    assert!(lines[1].contains("\"beta\"") && lines[2].contains("\"zeta\""), "{}", file.text);
}

#[test]
fn selected_connections_are_paused_resumed_and_exported_together() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let clients = ["acme", "beta", "zeta"].map(|account| app.configuration_of(account, "okta"));
    let fields: Vec<String> = clients[..2].iter().map(|client| format!("c-{}", client.id)).collect();
    let send = |browser: &mut Browser, action: &str, fields: &[String]| {
        let mut form = vec![(action, "on"), ("back", "/connections?sort=account")];
        form.extend(fields.iter().map(|name| (name.as_str(), "on")));
        browser.submit("/connections/bulk", &form)
    };
    let page = send(&mut owner, "pause", &fields).answered(200);
    assert!(page.at.starts_with("/connections?sort=account") && page.contains("Paused <b>2</b>"), "{}", page.text);
    let page = send(&mut owner, "resume", &fields[..1]).answered(200);
    assert!(page.contains("Paused <b>1</b>"), "{}", page.text);
    let page = send(&mut owner, "pause", &[]).answered(200);
    assert!(page.contains("Select at least one connection"), "{}", page.text);
    let file = send(&mut owner, "export", &fields).answered(200);
    assert!(file.text.lines().count() == 3 && !file.text.contains("zeta"), "{}", file.text);
    // Other accounts are out of reach, and a role that only reads changes nothing.
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("zeta"));
    let page = send(&mut own, "pause", &fields).answered(200);
    assert!(page.contains("Nothing was changed: one of the selected connections does not exist"), "{}", page.text);
    // All or nothing, whatever the order: an id that does not exist any more changes no other connection.
    for gone in ["c-00000000-0000-7000-8000-000000000000", "c-ffffffff-ffff-7fff-bfff-ffffffffffff"] {
        let page = send(&mut owner, "pause", &[fields[0].clone(), gone.to_owned()]).answered(200);
        assert!(page.contains("Nothing was changed") && page.contains("Paused <b>1</b>"), "{}", page.text);
    }
    let mut viewer = Browser::with_role(&app, "viewer", None);
    send(&mut viewer, "pause", &fields).answered(403);
    assert!(owner.get("/connections").contains("Paused <b>1</b>"));
}

#[test]
fn a_test_event_shows_which_readers_of_the_feed_have_read_it() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    app.configuration_of("zeta", "okta");
    let feed = "/directory/resources/v1/events";
    let (acme, zeta) = (app.account_key("acme", &[]), app.account_key("zeta", &[]));
    for key in [&acme, &zeta] {
        let after = key.get(&format!("{feed}?after=latest")).answered(200).text("nextAfter");
        key.get(&format!("{feed}?after={after}")).answered(200);
    }
    wait_for_text(&mut owner, "/app", "customer zeta");
    let page = owner.submit("/app/test", &[("configuration", &client.id)]).answered(200);
    assert!(
        page.contains("Test event ") && page.contains("Reader of customer acme: has not read it yet"),
        "{}",
        page.text
    );
    assert!(!page.contains("Reader of customer zeta") && page.contains("data-refresh=\"2\""), "{}", page.text);
    let events = acme.get(&format!("{feed}?limit=100")).answered(200).json;
    let last = events["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["kind"], &last["data"]), (&json!("configuration.tested"), &json!({"test": true})));
    assert_eq!(page.at, format!("/app?event={}", last["seq"]));
    acme.get(&format!("{feed}?after={}", events["nextAfter"].as_str().unwrap())).answered(200);
    let page = wait_for_text(&mut owner, &page.at, "Reader of customer acme: has read it");
    assert!(!page.contains("data-refresh=\"2\""), "{}", page.text);
    // At most one in 10 seconds for each account, and only for admins who may change connections.
    let origin = format!("http://{}", app.address);
    let again = owner.request("POST", "/app/test").header("Origin", &origin);
    let fields = [("form_token", owner.form_token.as_str()), ("configuration", &client.id)];
    let again = with_fields(again, &fields).attempt().unwrap();
    let text = String::from_utf8_lossy(&again.body).into_owned();
    assert!(again.status == 429 && text.contains("had a test event in the last 10 seconds"), "{text}");
    owner.submit("/app/test", &[("configuration", "unknown")]).answered(404);
    let mut viewer = Browser::with_role(&app, "viewer", None);
    viewer.submit("/app/test", &[("configuration", &client.id)]).answered(403);
    assert!(!viewer.get("/app").answered(200).contains("Send a test event"));
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("zeta"));
    own.submit("/app/test", &[("configuration", &client.id)]).answered(404);
    assert!(!own.get(&page.at).answered(200).contains("Test event "));
}
