//! A waiting connection is tried with a simulated provider.

use serde_json::{Value, json};

use crate::portal::browser::{Browser, own_app, wait_for_text};

const FEED: &str = "/directory/resources/v1/events?limit=1000";

#[test]
fn a_simulated_provider_shows_a_first_sync_and_is_removed_with_one_click() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for source in ["okta", "azure-ad", "other"] {
        let client = app.configuration(source);
        let waiting = format!("/connections/{}", client.id);
        assert!(owner.get(&waiting).answered(200).contains("Try it with a simulated provider"));
        let page = owner.submit(&format!("{waiting}/simulation"), &[]).answered(200);
        assert!(page.at.ends_with("?done=simulated") && page.contains("(simulated)"), "{}: {}", page.at, page.text);
        let simulated = page.at.split('?').next().unwrap().to_owned();
        assert_ne!(simulated, waiting);
        // Its pages are those of a real one: users, a group, requests, and what was rejected.
        let users = owner.get(&format!("{simulated}/users")).answered(200);
        assert_eq!(users.text.matches("@simulated.invalid</a>").count(), 5, "{}", users.text);
        assert!(owner.get(&format!("{simulated}/groups")).answered(200).contains("Simulated team"));
        wait_for_text(&mut owner, &simulated, "Problems, last 24 hours");
        assert!(!owner.get(&simulated).contains("Try it with"));
        // The application gets nothing.
        let events = app.operator().get(FEED).answered(200).json["events"].as_array().unwrap().clone();
        assert!(events.iter().all(|event| event["kind"] != "user.created"), "{events:?}");
        for list in ["users", "groups"] {
            let found = app.operator().get(&format!("/directory/resources/v1/{list}?limit=1000")).answered(200).json;
            assert!(!found.to_string().contains("imulated"), "{found}");
        }
        // It cannot go live, in the portal and elsewhere, and has no valid token.
        let live = owner.submit(&format!("{simulated}/sync"), &[("sync", "on")]).answered(409);
        assert!(live.contains("does not go live"), "{}", live.text);
        let id = simulated.trim_start_matches("/connections/");
        let refused = app.rollcall(&["configuration", "update", id, "--sync", "on"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(owner.get(&simulated).contains("No valid token"));
        assert!(!owner.get("/").contains("This token expires"));
        // A second run needs the removal of the first one.
        let again = owner.submit(&format!("{waiting}/simulation"), &[]).answered(200);
        assert!(again.contains("There is already a temporary connection"), "{}", again.text);
        // Only the temporary connection can be removed in this way.
        owner.submit(&format!("{waiting}/simulation/remove"), &[]).answered(404);
        let removed = owner.submit(&format!("{simulated}/simulation/remove"), &[]).answered(200);
        assert!(removed.contains("The temporary connection is deleted"), "{}", removed.text);
        owner.get(&simulated).answered(404);
        let page = owner.get(&waiting).answered(200);
        assert!(page.contains("Nothing received yet.") && page.contains("Try it with a simulated provider"));
        let leftovers = |browser: &mut Browser| browser.get("/connections/deleted").answered(200);
        crate::app::wait_until("the purge", || !leftovers(&mut owner.clone()).contains("(simulated)"));
    }
    let audit = owner.get("/audit").answered(200);
    assert!(audit.contains("(simulated)"), "{}", audit.text);
}

#[test]
fn a_connection_with_requests_is_not_simulated() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration("okta");
    client.get("/Users").answered(200);
    let path = format!("/connections/{}", client.id);
    wait_for_text(&mut owner, &path, "is connected");
    assert!(!owner.get(&path).contains("Try it with"));
    let late = owner.submit(&format!("{path}/simulation"), &[]).answered(200);
    assert!(late.at.starts_with(&path) && late.contains("has received a request already"), "{}", late.text);
    let mut viewer = Browser::with_role(&app, "viewer", None);
    let waiting = format!("/connections/{}", app.configuration("okta").id);
    assert!(!viewer.get(&waiting).answered(200).contains("Try it with"));
    viewer.submit(&format!("{waiting}/simulation"), &[]).answered(403);
}

#[test]
fn the_api_marks_a_temporary_connection() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration("okta");
    owner.submit(&format!("/connections/{}/simulation", client.id), &[]).answered(200);
    let listed: Value = serde_json::from_slice(&app.succeeds(&["configuration", "list", "--output", "json"])).unwrap();
    let marks: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["provider"]).collect();
    assert!(marks.contains(&&json!("simulated")), "{listed:#}");
}
