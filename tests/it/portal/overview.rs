//! The overview of a connection: the calls of a day, and what the operator's application has read.

use crate::app::{App, Client};
use crate::portal::browser::{Browser, once_it_says, own_app};
use crate::sample;

const FEED: &str = "/directory/resources/v1/events";

fn overview(client: &Client) -> String {
    format!("/connections/{}", client.id)
}

#[test]
fn the_calls_of_a_day_are_drawn_and_counted() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration("okta");
    assert!(owner.get(&overview(&client)).says("No call came in the last 24 hours."));
    client.post("/Users", &sample::user("one@chart.example")).answered(201);
    client.get("/Users").answered(200);
    client.post("/Users", &sample::user("one@chart.example")).answered(409);
    Client { token: "rct_nobody".to_owned(), ..client.clone() }.get("/Users").answered(401);
    let page = once_it_says(&mut owner, &overview(&client), "2 calls were accepted and 2 refused.");
    assert!(page.says("<rect class=\"accepted\"") && page.says("<rect class=\"refused\""), "{}", page.text);
    assert!(page.says("<td class=\"number\">2</td><td class=\"number\">2</td></tr>"), "{}", page.text);
}

#[test]
fn it_is_shown_how_far_the_application_has_read() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let path = overview(&client);
    assert!(owner.get(&path).says("There is nothing to hand on yet."));
    client.created("/Users", &sample::user("one@delivery.example"));
    assert!(owner.get(&path).says("No application has read the event feed yet"));
    let key = app.account_key("acme", &[]);
    let page = key.get(FEED).answered(200).json;
    let after = page["nextAfter"].as_i64().unwrap();
    assert!(owner.get(&path).says("No application has read"), "what was given is not dealt with yet");
    app.account_key("elsewhere", &[]).get(&format!("{FEED}?after={after}")).answered(200);
    key.get(&format!("{FEED}?after={after}")).answered(200);
    let page = once_it_says(&mut owner, &path, "Everything was read.");
    assert!(page.says("<li class=\"done\"><strong>The application has read it</strong>") || !page.says("Live test"));
    client.created("/Users", &sample::user("two@delivery.example"));
    assert!(owner.get(&path).says("1 event is not read yet."));
}

#[test]
fn a_feed_that_was_read_for_others_is_not_read_for_this_connection() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (client, other) = (app.configuration_of("acme", "okta"), app.configuration_of("acme", "okta"));
    for one in [&client, &other] {
        one.created("/Users", &sample::user("one@delivery.example"));
    }
    app.operator().get(&format!("{FEED}?after=9&configuration={}", other.id)).answered(200);
    once_it_says(&mut owner, &overview(&other), "Everything was read.");
    assert!(owner.get(&overview(&client)).says("No application has read the event feed yet"));
}

#[test]
fn tokens_that_leaked_are_dead_with_one_form() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("portal-leak", "okta");
    let tokens = format!("/connections/{}/tokens", client.id);
    let name = owner.get(&overview(&client)).between("<h1>", "</h1>").to_owned();
    let wrong = owner.submit_only(&format!("{tokens}/revoke-all"), &[("name", "another")]).answered(422);
    assert!(
        wrong.says(&format!("Type the name exactly: {name}")) && wrong.says("<details class=\"card narrow\" open>")
    );
    client.get("/Users").answered(200);
    let page = owner.submit(&format!("{tokens}/revoke-all"), &[("name", &name)]).answered(200);
    assert!(page.says("Every token of this connection is revoked.") && page.says("No token of this connection works."));
    assert!(!page.says("revoke-all"));
    client.get("/Users").answered(401);
    let audit = owner.get(&format!("/audit?action=token.revoked&configuration={}", client.id));
    assert!(audit.says(&owner.email), "{}", audit.text);
    let mut viewer = Browser::with_role(app, "viewer", None);
    assert!(!viewer.get(&tokens).says("revoke-all"));
    viewer.submit_only(&format!("{tokens}/revoke-all"), &[("name", &name)]).answered(403);
}
