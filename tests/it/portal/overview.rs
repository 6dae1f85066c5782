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
    assert!(owner.get(&overview(&client)).contains("No requests in the last 24 hours."));
    client.post("/Users", &sample::user("one@chart.example")).answered(201);
    client.get("/Users").answered(200);
    client.post("/Users", &sample::user("one@chart.example")).answered(409);
    Client { token: "rct_unknown".to_owned(), ..client.clone() }.get("/Users").answered(401);
    let page = wait_for_text(&mut owner, &overview(&client), "2 accepted, 2 rejected.");
    assert!(page.contains("<rect class=\"accepted\"") && page.contains("<rect class=\"refused\""), "{}", page.text);
    assert!(page.contains("<td class=\"number\">2</td><td class=\"number\">2</td></tr>"), "{}", page.text);
}

#[test]
fn the_overview_shows_how_far_the_application_has_read() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let path = overview(&client);
    assert!(owner.get(&path).contains("No events yet."));
    client.created("/Users", &sample::user("one@delivery.example"));
    assert!(owner.get(&path).contains("Your app isn’t reading events yet."));
    let key = app.account_key("acme", &[]);
    let page = key.get(FEED).answered(200).json;
    let after = page["nextAfter"].as_str().unwrap();
    assert!(owner.get(&path).contains("Your app isn’t reading events"), "delivered events are not confirmed yet");
    app.account_key("elsewhere", &[]).get(&format!("{FEED}?after={after}")).answered(200);
    key.get(&format!("{FEED}?after={after}")).answered(200);
    let page = wait_for_text(&mut owner, &path, "Up to date.");
    assert!(page.contains("<li class=\"done\"><strong>Delivered to your app</strong>") || !page.contains("Live test"));
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
    wait_for_text(&mut owner, &overview(&other), "Up to date.");
    assert!(owner.get(&overview(&client)).contains("Your app isn’t reading events yet."));
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

#[test]
fn rejected_requests_are_grouped_by_cause_with_the_fix() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration("okta");
    client.created("/Users", &sample::user("one@problems.example"));
    for _ in 0..3 {
        client.post("/Users", &sample::user("one@problems.example")).answered(409);
    }
    Client { token: "rct_unknown".to_owned(), ..client.clone() }.get("/Users").answered(401);
    let no_token = Client { token: String::new(), ..client.clone() };
    no_token.get("/Users").answered(401);
    let page = wait_for_text(&mut owner, &overview(&client), "does not contain a bearer token");
    let problems = page.between("id=\"problems-title\"", "</section>");
    // The most frequent one is first.
    let taken = problems.split("<tbody>").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(taken.contains("userName is taken") && taken.contains("<td class=\"number\">3</td>"), "{problems}");
    assert!(taken.contains("match the user by userName"), "{problems}");
    let query = taken.split("/requests?").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let log = owner.get(&format!("{}/requests?{query}", overview(&client))).answered(200);
    assert!(log.contains("<b>× 3</b>") && !log.contains("bearer token"), "{}", log.text);
    let searches = owner.get(&format!("{}/requests?only=reads", overview(&client))).answered(200);
    assert!(searches.contains(">GET<") && !searches.contains("userName is taken"), "{}", searches.text);
    let changes = owner.get(&format!("{}/requests?only=changes", overview(&client))).answered(200);
    assert!(changes.contains("userName is taken") && !changes.contains(">401<"), "{}", changes.text);
    let file = owner.get(&format!("{}/requests/export.csv?only=failed", overview(&client))).answered(200);
    assert_eq!(file.text.lines().count(), 6, "{}", file.text);
}

#[test]
fn requests_of_all_connections_are_listed_and_exported_within_the_account() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    assert!(owner.get("/requests").answered(200).contains("No requests yet"));
    let (acme, zeta) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "azure-ad"));
    acme.created("/Users", &sample::user("one@acme.example"));
    zeta.created("/Users", &sample::user("two@zeta.example"));
    zeta.post("/Users", &sample::user("two@zeta.example")).answered(409);
    zeta.get("/Users").answered(200);
    let page = wait_for_text(&mut owner, "/requests", "Listed users");
    for text in ["one@acme.example", "two@zeta.example", "userName is taken", "zeta ·", "acme ·"] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    let rejected = owner.get("/requests?only=failed").answered(200);
    assert!(rejected.contains("userName is taken") && !rejected.contains("Created"), "{}", rejected.text);
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("acme"));
    let page = own.get("/requests").answered(200);
    assert!(page.contains("one@acme.example") && !page.contains("zeta"), "{}", page.text);
    let file = own.get("/requests/export.csv").answered(200);
    assert!(
        file.text.starts_with("time,customer,account,connection,") && file.contains("\"acme\",\"acme\""),
        "{}",
        file.text
    );
    assert!(file.text.lines().count() == 2 && file.text.contains("one@acme.example"), "{}", file.text);
    assert_eq!(owner.get("/requests/export.csv?only=changes").answered(200).text.lines().count(), 4);
}

#[test]
fn users_and_groups_are_exported_and_the_export_is_audited() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let ann = client.created("/Users", &sample::user("ann@export.example"));
    client.created("/Groups", &sample::group("Crew", &[&ann]));
    let export =
        |owner: &mut Browser, file: &str| owner.get(&format!("{}/export/{file}", overview(&client))).answered(200);
    let users = export(&mut owner, "users.csv");
    assert!(users.text.lines().count() == 2 && users.text.contains("ann@export.example"), "{}", users.text);
    let groups = export(&mut owner, "groups.json");
    let groups: serde_json::Value = serde_json::from_str(&groups.text).unwrap();
    assert_eq!(groups[0]["members"][0]["value"], ann.as_str());
    assert!(owner.get("/audit?action=configuration.exported").answered(200).contains("exported"));
}

#[test]
fn the_readers_of_the_feed_are_listed_with_their_position() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    assert!(owner.get("/app").answered(200).contains("No app has read the event feed yet"));
    let client = app.configuration_of("acme", "okta");
    client.created("/Users", &sample::user("one@readers.example"));
    let end = app.operator().get(&format!("{FEED}?after=latest")).answered(200).text("nextAfter");
    app.operator().get(&format!("{FEED}?after={end}")).answered(200);
    app.account_key("acme", &[]).get(&format!("{FEED}?after={end}")).answered(200);
    let page = wait_for_text(&mut owner, "/app", "customer acme");
    assert!(page.contains("all events") && page.contains("<td class=\"number\">0</td></tr>"), "{}", page.text);
    client.created("/Users", &sample::user("two@readers.example"));
    assert!(owner.get("/app").contains("<td class=\"number\">at most 1</td></tr>"));
    // An admin of an account sees the readers of that account only.
    let mut own = Browser::with_role(&app, "viewer", Some("acme"));
    let page = own.get("/app").answered(200);
    assert!(page.contains("customer acme") && !page.contains("all events"), "{}", page.text);
    app.configuration_of("zeta", "okta");
    let mut other = Browser::with_role(&app, "viewer", Some("zeta"));
    assert!(other.get("/app").answered(200).contains("No app has read"));
}

#[test]
fn the_overview_says_how_to_make_the_provider_send_everything_again() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "azure-ad");
    let page = owner.get(&overview(&client)).answered(200);
    for text in [
        "Send everything again",
        "<strong>Restart provisioning</strong>",
        "href=\"https://learn.microsoft.com/",
        "2026-11-30",
    ] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.contains("let Microsoft Entra ID send everything again"), "{}", page.text);
    client.created("/Users", &sample::user("one@again.example"));
    client.post("/Users", &sample::user("one@again.example")).answered(409);
    let page = wait_for_text(&mut owner, &overview(&client), "Problems, last 24 hours");
    let link = "href=\"#send-again\">let Microsoft Entra ID send everything again";
    assert!(page.contains(link) && page.contains("id=\"send-again\""), "{}", page.text);
    let other = app.configuration_of("acme", "other");
    assert!(!owner.get(&overview(&other)).contains("Send everything again"));
}
