//! The overview of a connection: the calls of a day, and how far the operator's application has read the feed.

use crate::app::{App, Client};
use crate::portal::browser::{Browser, own_app, wait_for_text};
use crate::sample;

const FEED: &str = "/directory/resources/v1/events";

fn overview(client: &Client) -> String {
    format!("/connections/{}", client.id)
}

#[test]
fn the_calls_of_a_day_are_charted_and_counted() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration("okta");
    assert!(owner.get(&overview(&client)).contains("No call came in the last 24 hours."));
    client.post("/Users", &sample::user("one@chart.example")).answered(201);
    client.get("/Users").answered(200);
    client.post("/Users", &sample::user("one@chart.example")).answered(409);
    Client { token: "rct_unknown".to_owned(), ..client.clone() }.get("/Users").answered(401);
    let page = wait_for_text(&mut owner, &overview(&client), "2 calls were accepted and 2 refused.");
    assert!(page.contains("<rect class=\"accepted\"") && page.contains("<rect class=\"refused\""), "{}", page.text);
    assert!(page.contains("<td class=\"number\">2</td><td class=\"number\">2</td></tr>"), "{}", page.text);
}

#[test]
fn the_overview_shows_how_far_the_application_has_read() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let path = overview(&client);
    assert!(owner.get(&path).contains("There is nothing to hand on yet."));
    client.created("/Users", &sample::user("one@delivery.example"));
    assert!(owner.get(&path).contains("No application has read the event feed yet"));
    let key = app.account_key("acme", &[]);
    let page = key.get(FEED).answered(200).json;
    let after = page["nextAfter"].as_str().unwrap();
    assert!(owner.get(&path).contains("No application has read"), "delivered events are not confirmed yet");
    app.account_key("elsewhere", &[]).get(&format!("{FEED}?after={after}")).answered(200);
    key.get(&format!("{FEED}?after={after}")).answered(200);
    let page = wait_for_text(&mut owner, &path, "Everything was read.");
    assert!(
        page.contains("<li class=\"done\"><strong>The application has read it</strong>") || !page.contains("Live test")
    );
    client.created("/Users", &sample::user("two@delivery.example"));
    assert!(owner.get(&path).contains("1 event is not read yet."));
}

#[test]
fn reading_the_feed_of_another_connection_does_not_count() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (client, other) = (app.configuration_of("acme", "okta"), app.configuration_of("acme", "okta"));
    for one in [&client, &other] {
        one.created("/Users", &sample::user("one@delivery.example"));
    }
    let end = app.operator().get(&format!("{FEED}?after=latest")).answered(200).text("nextAfter");
    app.operator().get(&format!("{FEED}?after={end}&configuration={}", other.id)).answered(200);
    wait_for_text(&mut owner, &overview(&other), "Everything was read.");
    assert!(owner.get(&overview(&client)).contains("No application has read the event feed yet"));
}

#[test]
fn leaked_tokens_are_revoked_with_one_form() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("portal-leak", "okta");
    let tokens = format!("/connections/{}/tokens", client.id);
    let name = owner.get(&overview(&client)).between("<h1>", "</h1>").to_owned();
    let wrong = owner.submit_only(&format!("{tokens}/revoke-all"), &[("name", "another")]).answered(422);
    assert!(
        wrong.contains(&format!("Type the name exactly: {name}"))
            && wrong.contains("<details class=\"card narrow\" open>")
    );
    client.get("/Users").answered(200);
    let page = owner.submit(&format!("{tokens}/revoke-all"), &[("name", &name)]).answered(200);
    assert!(
        page.contains("Every token of this connection is revoked.")
            && page.contains("No token of this connection works.")
    );
    assert!(!page.contains("revoke-all"));
    client.get("/Users").answered(401);
    let audit = owner.get(&format!("/audit?action=token.revoked&configuration={}", client.id));
    assert!(audit.contains(&owner.email), "{}", audit.text);
    let mut viewer = Browser::with_role(app, "viewer", None);
    assert!(!viewer.get(&tokens).contains("revoke-all"));
    viewer.submit_only(&format!("{tokens}/revoke-all"), &[("name", &name)]).answered(403);
}
