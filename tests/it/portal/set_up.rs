//! Setting up a connection: token rotation, setup links, and the live test.

use serde_json::json;

use crate::app::{App, Client, Request, wait_until};
use crate::portal::browser::{Browser, Page, wait_for_text, with_fields};

/// A connection of that account created in the portal, as its identity provider uses it.
#[track_caller]
fn connection(app: &App, owner: &mut Browser, account: &str) -> Client {
    let fields = [("provider", "okta"), ("name", "Main"), ("account", account), ("sync", "on")];
    let page = owner.submit("/connections/new", &fields).answered(200);
    let id = page.at.split('/').nth(2).unwrap().to_owned();
    let base = format!("/directory/resources/scim/v2.0/{id}");
    let url = format!("http://{}{base}", app.address);
    Client { address: app.address, id, token: token_on(&page), base, url }
}

/// The token on a page.
#[track_caller]
fn token_on(page: &Page) -> String {
    format!("rct_{}", page.between("value=\"rct_", "\""))
}

/// A setup link of a connection; returns its path.
#[track_caller]
fn link(owner: &mut Browser, id: &str, provider: &str) -> String {
    let fields = [("life", "3600"), ("note", "For Bob & <b>co</b>"), ("provider", provider)];
    let page = owner.submit(&format!("/connections/{id}/links"), &fields).answered(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    format!("/s/rcl_{}", page.between("/s/rcl_", "\""))
}

/// Sends a form of the setup page with the form token of that page.
#[track_caller]
fn submit_form(visitor: &mut Browser, page: &Page, path: &str) -> Page {
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    visitor.submit(path, &[])
}

#[test]
fn a_rotation_is_tracked_until_the_old_token_can_be_revoked() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let old = connection(app, &mut owner, "portal-rotation");
    let tokens = format!("/connections/{}/tokens", old.id);
    old.get("/Users").answered(200);
    let refused = owner.submit(&format!("{tokens}/new"), &[("label", " "), ("life", "31"), ("rights", "everything")]);
    for field in ["label", "life", "rights"] {
        assert!(refused.status == 422 && refused.contains(&format!("href=\"#{field}\"")), "{field}: {}", refused.text);
    }
    let fields = [("label", "second"), ("life", "90"), ("rights", "all"), ("end_old", "on")];
    let page = owner.submit(&format!("{tokens}/new"), &fields).answered(200);
    let new = Client { token: token_on(&page), ..old.clone() };
    let page = wait_for_text(&mut owner, &tokens, "Do not revoke the old token yet");
    assert!(page.contains("The old token expires in 1 day"), "{}", page.text);
    assert!(!page.contains("Revoke the old token</button>"));
    new.get("/Users").answered(200);
    let page = wait_for_text(&mut owner, &tokens, "Revoke the old token</button>");
    // The script updates the table with the card, so that both say the same.
    let (card, table) = page.text.split_once("<div id=\"token-list\" data-live>").unwrap();
    assert!(card.contains("It was first used") && !table.split("</tr>").nth(1).unwrap().contains("never"), "{table}");
    let (form, _) = page.text.split_once("Revoke the old token</button>").unwrap();
    let revoke = form.rsplit_once("action=\"/connections/").unwrap().1.split('"').next().unwrap().to_owned();
    let page = owner.submit(&format!("/connections/{revoke}"), &[]).answered(200);
    assert!(page.contains("Revoked. It stopped working at once."), "{}", page.text);
    old.get("/Users").answered(401);
    new.get("/Users").answered(200);
}

#[test]
fn a_token_can_be_renamed_and_a_revoked_one_cannot_be_changed() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-token");
    let tokens = format!("/connections/{}/tokens", client.id);
    let page = owner.get(&tokens).answered(200);
    let one = format!("{tokens}/{}", page.between(&format!("<th scope=\"row\"><a href=\"{tokens}/"), "\""));
    assert!(owner.get(&one).contains("value=\"first token\""), "the form begins with the name as it is");
    owner.submit(&one, &[("label", "<script>x</script>"), ("life", "30")]).answered(200);
    let page = owner.get(&tokens).answered(200);
    assert!(
        page.contains("in 30 days") && page.contains("&#60;script&#62;x") && !page.contains("<script>x"),
        "{}",
        page.text
    );
    owner.submit(&format!("{one}/revoke"), &[]).answered(200);
    let page = owner.submit(&one, &[("label", "again"), ("life", "")]).answered(409);
    assert!(page.contains("revoked or expired"), "{}", page.text);
    assert!(owner.get(&tokens).contains("No token of this connection works."));
}

#[test]
fn tokens_require_the_token_permission() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-token-rights");
    let tokens = format!("/connections/{}/tokens", client.id);
    let mut viewer = Browser::with_role(app, "viewer", None);
    let page = viewer.get(&tokens).answered(200);
    assert!(!page.contains("Create a new token") && !page.contains("/links"), "{}", page.text);
    for path in [format!("{tokens}/new"), format!("/connections/{}/links", client.id)] {
        viewer.get(&path).answered(403);
        let page = viewer.submit(&path, &[("label", "x"), ("life", "3600"), ("rights", "all")]).answered(403);
        assert!(page.contains("provisioning.tokens"), "{}", page.text);
    }
    connection(app, &mut owner, "portal-other");
    let mut other = Browser::with_role(app, "owner", Some("portal-other"));
    for path in ["tokens", "tokens/new", "links", "links/made"] {
        other.get(&format!("/connections/{}/{path}", client.id)).answered(404);
    }
    client.get("/Users").answered(200);
}

#[test]
fn a_set_up_link_is_sufficient_until_its_holder_finishes_the_setup() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let first = connection(app, &mut owner, "portal-visitor");
    let path = link(&mut owner, &first.id, "");
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    assert!(
        page.contains(&first.url) && page.contains("<h1>Connect Okta</h1>") && !page.contains("For Bob"),
        "{}",
        page.text
    );
    assert_eq!((page.header("referrer-policy"), page.header("x-robots-tag")), (Some("strict-origin"), Some("noindex")));
    assert!(!page.contains("rct_"));
    assert!(page.contains("OAuth client with a secret (recommended)</a>"), "{}", page.text);
    let page = submit_form(&mut visitor, &page, &format!("{path}/token")).answered(200);
    let client = Client { token: token_on(&page), ..first.clone() };
    assert!(visitor.get(&path).contains(&client.token), "a reload shows the token again");
    assert!(!Browser::anonymous(app).get(&path).contains(&client.token), "only in the browser that made it");
    client.get("/Users?startIndex=1&count=2").answered(200);
    wait_for_text(&mut visitor, &path, "Okta tested the connection");
    wait_for_text(&mut visitor, &path, "The one in use keeps working until it is revoked.");
    let page = visitor.submit(&format!("{path}/token"), &[]).answered(200);
    assert_ne!(token_on(&page), client.token);
    assert!(page.contains("Waiting for the new token to be used."), "{}", page.text);
    let listed = owner.get(&format!("/connections/{}/links", first.id));
    assert!(
        listed.contains("For Bob &#38; &#60;b&#62;co") && listed.contains("<td class=\"number\">2</td>"),
        "{}",
        listed.text
    );
    client.post("/Users", &json!({"schemas": [USER], "userName": "first@example.com"})).answered(201);
    let page = visitor.get(&path).answered(200);
    assert!(page.contains("Working: 1 user.</strong> Next: assign the other users"), "{}", page.text);
    assert!(
        page.contains("<h1>Connect Okta</h1>") && page.contains(&first.url) && !page.contains("has ended"),
        "{}",
        page.text
    );
    assert!(page.contains(&format!("href=\"{path}/done\">Finish</a>")), "{}", page.text);
    finish_setup(&mut visitor, &path);
    let audit = app.operator().get("/directory/resources/v1/audit?account=portal-visitor").answered(200);
    let items = audit.json["items"].as_array().unwrap();
    let by_link: Vec<&str> = items
        .iter()
        .filter(|item| item["actor"]["kind"] == "setup_link")
        .map(|item| item["action"].as_str().unwrap())
        .collect();
    assert_eq!(by_link, ["link.ended", "token.created", "token.created", "link.opened"]);
    assert!(!audit.json.to_string().contains(path.trim_start_matches("/s/")));
}

/// The holder of a link presses "Finish setup" and confirms it. Then the link and its forms answer 410.
#[track_caller]
fn finish_setup(visitor: &mut Browser, path: &str) {
    let page = visitor.get(&format!("{path}/done")).answered(200);
    assert!(
        page.contains("This closes the link for everyone.") && !page.contains("No user has arrived"),
        "{}",
        page.text
    );
    visitor.get(path).answered(200);
    let page = submit_form(visitor, &page, &format!("{path}/done")).answered(200);
    assert!(page.contains("Setup finished") && page.contains("closed for everyone"), "{}", page.text);
    let page = visitor.get(path).answered(410);
    assert!(page.contains("This setup link has ended") && page.contains("Ask the person who sent it"), "{}", page.text);
    assert!(!page.contains("Go to the home page") && !page.contains("Page not found"), "{}", page.text);
    for form in ["token", "client", "client-secret", "provider", "done"] {
        visitor.submit(&format!("{path}/{form}"), &[]).answered(410);
    }
    visitor.get(&format!("{path}/done")).answered(410);
}

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

#[test]
fn a_link_makes_an_oauth_client_and_the_next_credential_replaces_it() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let first = connection(app, &mut owner, "portal-link-oauth");
    let path = link(&mut owner, &first.id, "entra");
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    assert!(page.contains("Workload identity federation (recommended)</a>"), "{}", page.text);
    for other in ["method=secret", "method=private_key_jwt", "method=token"] {
        assert!(page.contains(other), "{other}: {}", page.text);
    }
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    let make = format!("{path}/client");
    let wrong = [("method", "federated"), ("issuer", "https://10.0.0.1"), ("subject", "s"), ("audience", "a")];
    let page = visitor.submit_only(&make, &wrong).answered(422);
    assert!(page.contains("id=\"issuer-problem\"") && page.contains("value=\"https://10.0.0.1\""), "{}", page.text);
    assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    let federated =
        [("method", "federated"), ("issuer", "https://id.example.com"), ("subject", "s"), ("audience", "a")];
    let page = visitor.submit(&make, &federated).answered(200);
    let replaced = page.between("value=\"rcc_", "\"").to_owned();
    assert!(page.contains("/oauth2/token\"") && !page.contains("rcs_"), "{}", page.text);
    // Another browser with the link sees the client, which is not secret.
    assert!(Browser::anonymous(app).get(&path).contains(&replaced));
    // The scope and the name are not those of the holder.
    let secret = [("method", "secret"), ("secretExpiresIn", "31536000"), ("label", "x"), ("scope", "openid")];
    let page = visitor.submit(&make, &secret).answered(200);
    let client_id = format!("rcc_{}", page.between("value=\"rcc_", "\""));
    let text = format!("rcs_{}", page.between("value=\"rcs_", "\""));
    assert!(!page.contains(&replaced) && page.contains(">Client Identifier</label>"), "{}", page.text);
    assert!(visitor.get(&path).contains(&text), "a reload loses the secret");
    assert!(!Browser::anonymous(app).get(&path).contains(&text), "only in the browser that made it");
    let credentials = owner.get(&format!("/connections/{}/tokens", first.id)).answered(200);
    assert!(credentials.contains(&client_id) && !credentials.contains(&replaced), "{}", credentials.text);
    let body = format!("grant_type=client_credentials&client_id={client_id}&client_secret={text}");
    let request = Request::new(app.address, "POST", &format!("{}/oauth2/token", first.base))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body.as_bytes());
    assert_eq!(request.attempt().unwrap().status, 200);
    let page = wait_for_text(&mut visitor, &path, "The one in use keeps working until it is revoked.");
    assert!(page.contains("Access token fetched<span class=\"unseen\"> (done)"), "{}", page.text);
    // A client that is in use stays valid next to the next one.
    let page = visitor.submit(&make, &secret).answered(200);
    assert_ne!(format!("rcc_{}", page.between("value=\"rcc_", "\"")), client_id);
    assert!(owner.get(&format!("/connections/{}/tokens", first.id)).contains(&client_id));
    let audit = app.operator().get("/directory/resources/v1/audit?account=portal-link-oauth").answered(200);
    let items = audit.json["items"].as_array().unwrap();
    let of_clients = items.iter().filter(|item| item["actor"]["kind"] == "setup_link");
    let actions: Vec<&str> = of_clients.map(|item| item["action"].as_str().unwrap()).collect();
    let expected = ["oauth_client.created", "oauth_client.created", "oauth_client.deleted", "oauth_client.created"];
    assert_eq!(actions[..4], expected, "{actions:?}");
}

#[test]
fn the_provider_that_the_holder_of_a_link_chooses_is_stored_before_the_first_call() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-link-provider");
    let (path, locked) = (link(&mut owner, &client.id, ""), link(&mut owner, &client.id, "ping"));
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    let choose = format!("{path}/provider");
    assert!(visitor.submit(&choose, &[("provider", "nothing")]).answered(200).contains("<h1>Connect Okta</h1>"));
    let page = visitor.submit(&choose, &[("provider", "entra")]).answered(200);
    assert!(page.contains("<h1>Connect Microsoft Entra ID</h1>") && page.contains("?show=provider"));
    let overview = format!("/connections/{}", client.id);
    assert!(owner.get(&format!("{overview}/setup")).contains("Enterprise apps"));
    let configuration = format!("/directory/resources/v1/configurations/scim2/{}", client.id);
    assert_eq!(app.operator().get(&configuration).answered(200).json["source"], "azure-ad");
    // A link for one provider shows its steps and does not let the holder choose.
    let mut other = Browser::anonymous(app);
    let page = other.get(&locked).answered(200);
    assert!(page.contains("<h1>Connect PingOne</h1>") && !page.contains("?show=provider"), "{}", page.text);
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut other.form_token);
    other.submit(&format!("{locked}/provider"), &[("provider", "okta")]).answered(403);
    client.get("/Users").answered(200);
    let page = wait_for_text(&mut visitor, &path, "A request had a valid token of this connection.");
    assert!(!page.contains("?show=provider"), "{}", page.text);
    let refused = visitor.submit(&choose, &[("provider", "okta")]).answered(403);
    assert!(refused.contains("does not allow this") && !refused.contains("Go to the home page"), "{}", refused.text);
    let audit = app.operator().get("/directory/resources/v1/audit?account=portal-link-provider").answered(200);
    let items = audit.json["items"].as_array().unwrap();
    let changed = items.iter().find(|item| item["action"] == "configuration.updated").unwrap();
    assert_eq!((&changed["actor"]["kind"], &changed["after"]["source"]), (&json!("setup_link"), &json!("azure-ad")));
}

#[test]
fn a_link_that_replaces_the_token_rotates_it_on_a_live_connection() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let old = connection(app, &mut owner, "portal-link-rotation");
    old.post("/Users", &json!({"schemas": [USER], "userName": "live@example.com"})).answered(201);
    let links = format!("/connections/{}/links", old.id);
    let refused = owner.submit(&links, &[("life", "3600"), ("purpose", "everything")]);
    assert!(refused.status == 422 && refused.contains("href=\"#purpose\""), "{}", refused.text);
    let page = owner.submit(&links, &[("life", "3600"), ("purpose", "replace-token")]).answered(200);
    let path = format!("/s/rcl_{}", page.between("/s/rcl_", "\""));
    assert!(owner.get(&links).contains("<span class=\"quiet\">Replace the token</span>"));
    let mut visitor = Browser::anonymous(app);
    let page = wait_for_text(&mut visitor, &path, "is in use, last");
    assert!(page.contains("<h1>Replace the token in Okta</h1>") && page.contains("10 more tokens."), "{}", page.text);
    assert!(!page.contains("?show=provider") && !page.contains("method=secret"), "{}", page.text);
    assert!(!page.contains("Creating a third revokes"), "{}", page.text);
    let page = submit_form(&mut visitor, &page, &format!("{path}/token")).answered(200);
    let lost = Client { token: token_on(&page), ..old.clone() };
    assert!(page.contains("Waiting for the new token to be used."), "{}", page.text);
    // The first new token was lost: the next one replaces it, and not the one in use.
    let page = visitor.submit(&format!("{path}/token"), &[]).answered(200);
    let new = Client { token: token_on(&page), ..old.clone() };
    lost.get("/Users").answered(401);
    old.get("/Users").answered(200);
    new.get("/Users").answered(200);
    wait_for_text(&mut visitor, &path, "The new token is in use.");
    let page = visitor.get(&format!("{path}?method=token")).answered(200);
    assert!(page.contains("Creating a third revokes the oldest") && page.contains("8 more tokens."), "{}", page.text);
    let client = [("method", "secret"), ("secretExpiresIn", "31536000")];
    visitor.submit(&format!("{path}/client"), &client).answered(403);
    old.get("/Users").answered(200);
    let audit = app.operator().get("/directory/resources/v1/audit?account=portal-link-rotation").answered(200);
    let items = audit.json["items"].as_array().unwrap();
    let of_link = items.iter().filter(|item| item["actor"]["kind"] == "setup_link");
    let actions: Vec<&str> = of_link.map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["token.created", "token.revoked", "token.created", "link.opened"]);
}

#[test]
fn a_link_grants_nothing_else_and_rejects_forms_of_other_sites() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-link");
    let (path, other) = (link(&mut owner, &client.id, "entra"), link(&mut owner, &client.id, ""));
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    assert!(page.contains("<h1>Connect Microsoft Entra ID</h1>") && !page.contains("?show=provider"), "{}", page.text);
    assert!(visitor.get(&format!("/connections/{}", client.id)).at.starts_with("/login"));
    let token = page.between("name=\"form_token\" value=\"", "\"").to_owned();
    let own = format!("http://{}", app.address);
    for (to, token, header) in [
        (&path, "", ("Origin", own.as_str())),
        (&other, token.as_str(), ("Origin", own.as_str())),
        (&path, token.as_str(), ("Origin", "https://evil.example")),
        (&path, token.as_str(), ("Sec-Fetch-Site", "cross-site")),
    ] {
        for what in ["token", "client", "provider", "done"] {
            let address = format!("{to}/{what}");
            let request = visitor.request("POST", &address).header(header.0, header.1);
            let page = visitor.send(&with_fields(request, &[("form_token", token)]), &address);
            assert_eq!(page.status, 403, "{address} {header:?}: {}", page.text);
        }
    }
    assert!(submit_form(&mut visitor, &page, &format!("{path}/done")).answered(200).contains("Setup finished"));
    visitor.get(&path).answered(410);
    let unknown = visitor.get(&format!("/s/rcl_{}", "x".repeat(43))).answered(404);
    assert!(unknown.contains("There is no such setup link") && !unknown.contains("Go to the home page"));
    let listed = owner.get(&format!("/connections/{}/links", client.id));
    let revoke = format!("/connections/{}/links/{}", client.id, listed.between(&format!("{}/links/", client.id), "\""));
    owner.submit(&revoke, &[]).answered(200);
    let revoked = visitor.get(&other).answered(410);
    assert!(
        revoked.contains("This setup link has ended") && !revoked.contains("Go to the home page"),
        "{}",
        revoked.text
    );
}

#[test]
fn a_link_makes_ten_tokens_and_is_in_the_audit_log_once_for_each_address_and_day() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let flags = ["--log-level", "trace", "--trusted-proxies", "127.0.0.1", "--public-url", "http://127.0.0.1:8080"];
    let app = App::start_in(&folder.path().join("data"), &flags, &[], &log);
    let mut owner = Browser::owner(&app);
    let client = connection(&app, &mut owner, "portal-limits");
    let path = link(&mut owner, &client.id, "");
    let count = |owner: &mut Browser, action: &str| {
        let page = owner.get(&format!("/audit/export.json?action={action}")).answered(200);
        page.text.matches(&format!("\"{action}\"")).count()
    };
    let tokens_before = count(&mut owner, "token.created");
    for number in 0..200 {
        let mut visitor = Browser::anonymous(&app);
        let request = visitor.request("GET", &path).header("X-Forwarded-For", &format!("203.0.113.{}", number % 60));
        visitor.send(&request, &path).answered(200);
    }
    let mut visitor = Browser::anonymous(&app);
    for number in 0..12 {
        if number == 0 {
            let page = visitor.get(&path).answered(200);
            page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
        }
        let page = visitor.submit(&format!("{path}/token"), &[]);
        assert_eq!(page.status, if number < 10 { 200 } else { 409 }, "{number}: {}", page.text);
        assert!(number < 10 || page.contains("This setup link cannot create more tokens"), "{}", page.text);
    }
    assert!(visitor.get(&path).contains("This link cannot create more tokens."));
    assert_eq!(count(&mut owner, "link.opened"), 50, "60 addresses on one day, of which 50 are recorded");
    assert_eq!(count(&mut owner, "token.created") - tokens_before, 10);
    let listed = owner.get(&format!("/connections/{}/links", client.id));
    assert!(listed.contains("<td class=\"number\">201</td>"), "{}", listed.text);
    // The secret is in no line of the log.
    let secret = path.trim_start_matches("/s/");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("/s/{secret}") && !text.contains(secret), "the log contains the secret of the link");
}

#[test]
fn the_live_test_explains_failed_attempts_and_the_fix() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-live");
    let other = connection(app, &mut owner, "portal-live-other");
    let overview = format!("/connections/{}", client.id);
    assert!(owner.get(&overview).contains("Nothing received. Enter the URL in Okta."));
    let with_token = |token: &str| Client { token: token.to_owned(), ..client.clone() };
    with_token(&format!("Bearer {}", client.token)).get("/Users").answered(401);
    wait_for_text(&mut owner, &overview, "The token begins with “Bearer”");
    with_token(&format!("{}x", &client.token)).get("/Users").answered(401);
    wait_for_text(&mut owner, &overview, "Unknown token");
    with_token(&other.token).get("/Users").answered(401);
    let page = wait_for_text(&mut owner, &overview, "The token belongs to another connection");
    assert!(!page.contains("Fixed: a later request succeeded."), "{}", page.text);
    assert!(!page.contains(&client.token) && !page.contains(&other.token));
    client.get("/Users/Users").answered(404);
    wait_for_text(&mut owner, &overview, "The URL ends in /Users");
    client.get(&format!("/scim/v2/{}/Users", client.id)).answered(404);
    wait_for_text(&mut owner, &overview, "The URL is entered twice");
    client.get("/Users").answered(200);
    let page = wait_for_text(&mut owner, &overview, "Fixed: a later request succeeded.");
    assert!(page.contains("A read request was answered."), "{}", page.text);
    client.post("/Users", &json!({"schemas": [USER], "userName": "a@example.com"})).answered(201);
    wait_for_text(&mut owner, &overview, "Users <span class=\"count\">1</span>");
    assert!(owner.get(&overview).contains("<details><summary>Live check</summary>"));
}

#[test]
fn the_live_test_has_a_step_for_access_tokens() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-live-oauth");
    let overview = format!("/connections/{}", client.id);
    assert!(!owner.get(&overview).contains("Access token fetched"));
    let fields = [
        ("method", "secret"),
        ("label", "Okta"),
        ("scope", "scim"),
        ("accessTokenLifetime", "3600"),
        ("secretExpiresIn", "31536000"),
    ];
    let page = owner.submit(&format!("{overview}/oauth-clients/new"), &fields).answered(200);
    let id = format!("rcc_{}", page.between("value=\"rcc_", "\""));
    let secret = format!("rcs_{}", page.between("value=\"rcs_", "\""));
    assert!(owner.get(&overview).contains("No access token was requested yet."));
    let fetch = |secret: &str| {
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = Request::new(app.address, "POST", &format!("{}/oauth2/token", client.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.as_bytes());
        request.attempt().unwrap().status
    };
    assert_eq!(fetch("rcs_wrong"), 401);
    let page = wait_for_text(&mut owner, &overview, "The last request failed: the client secret is wrong");
    assert!(page.contains("Access token fetched</strong> <span class=\"quiet\">(waiting)"), "{}", page.text);
    assert_eq!(fetch(&secret), 200);
    wait_for_text(&mut owner, &overview, "Access token fetched</strong> <span class=\"quiet\">(done)");
}

#[test]
fn a_failed_request_is_explained_in_its_step_and_the_list_of_links_has_the_step_reached() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-link-mistake");
    let links = format!("/connections/{}/links", client.id);
    let fields = [("life", "3600"), ("note", ""), ("provider", "okta")];
    let page = owner.submit(&links, &fields).answered(200);
    assert!(page.contains("href=\"mailto:?subject=Set%20up%20user%20provisioning") && page.contains("Send by e-mail"));
    let path = format!("/s/rcl_{}", page.between("/s/rcl_", "\""));
    assert!(owner.get(&links).contains("<td>Not started</td>"));
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&format!("{path}?method=token")).answered(200);
    for text in [
        "SCIM 2.0 Base Url</label>",
        "Create the token</button>",
        "User provisioning for <bdi>portal-link-mistake",
        "Listening",
    ] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    for text in ["API reference", "Rollcall", "event feed", "Delivered to your app"] {
        assert!(!page.contains(text), "{text}: {}", page.text);
    }
    assert!(page.contains("data-refresh=\"2\"") && page.contains("This is a test address."), "{}", page.text);
    assert!(owner.get(&format!("/connections/{}/setup", client.id)).contains("Okta cannot use this provisioning URL."));
    Client { token: format!("{}x", client.token), ..client.clone() }.get("/Users").answered(401);
    let page = wait_for_text(&mut visitor, &path, "Okta sent a request, but the token is unknown");
    assert!(page.contains("Token not accepted") && page.contains("Paste the complete token"), "{}", page.text);
    client.get("/Users").answered(200);
    let page = wait_for_text(&mut visitor, &path, "Test passed<span class=\"unseen\"> (done)");
    assert!(!page.contains("Okta sent a request, but") && page.contains("<span class=\"dot done\""), "{}", page.text);
    assert!(owner.get(&links).contains("<td>3 of 5: Test passed</td>"));
}

#[test]
fn a_link_to_any_scim_client_begins_with_the_choice_of_the_provider() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let fields = [("provider", "custom"), ("account", "portal-link-choice"), ("sync", "on")];
    let page = owner.submit("/connections/new", &fields).answered(200);
    let id = page.at.split('/').nth(2).unwrap().to_owned();
    assert!(owner.get(&format!("/connections/{id}")).contains("<h1>portal-link-choice – Custom SCIM 2.0</h1>"));
    let path = link(&mut owner, &id, "");
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&path).answered(200);
    assert!(
        page.contains("<h1>Choose your identity provider</h1>") && page.contains("value=\"entra\""),
        "{}",
        page.text
    );
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    let page = visitor.submit(&format!("{path}/provider"), &[("provider", "custom")]).answered(200);
    assert!(
        page.contains("<h1>Connect your SCIM client</h1>") && page.contains("Choose another provider"),
        "{}",
        page.text
    );
    let page = visitor.submit(&format!("{path}/provider"), &[("provider", "jumpcloud")]).answered(200);
    assert!(page.contains("<h1>Connect JumpCloud</h1>") && page.contains("Token Key"), "{}", page.text);
    assert!(visitor.get(&path).contains("<h1>Connect JumpCloud</h1>"));
    assert!(visitor.get(&format!("{path}?show=provider")).contains("<h1>Choose your identity provider</h1>"));
}

#[test]
fn mistakes_of_the_mapping_are_in_their_step_next_to_the_field() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = connection(app, &mut owner, "portal-link-mapping");
    let path = link(&mut owner, &client.id, "okta");
    let mut visitor = Browser::anonymous(app);
    visitor.get(&path).answered(200);
    let body = |name: &str, more: serde_json::Value| {
        let mut user = json!({"schemas": [USER], "userName": name, "externalId": "1"});
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        user
    };
    client.post("/Users", &body("", json!({}))).answered(400);
    let page = wait_for_text(&mut visitor, &path, "Okta sent a request, but userName is missing");
    // The field is the first one that names the attribute: "Application username format".
    let position = |text: &str| page.text.find(text).unwrap_or_else(|| panic!("no {text} in {}", page.text));
    assert!(position("but userName is missing") < position("id=\"step-connect\""), "{}", page.text);
    client.post("/Users", &body("ann", json!({"deskColour": "red"}))).answered(201);
    let page = wait_for_text(&mut visitor, &path, "Okta sends attributes that are not stored: deskColour");
    let step = page.between("id=\"step-to-app\"", "id=\"step-assign\"");
    assert!(step.contains("not stored: deskColour"), "{step}");
    assert!(page.contains("The userName of 1 of 1 users is not an e-mail address"), "{}", page.text);
    wait_until("a later change resolves the rejected one", || !visitor.clone().get(&path).contains("but userName"));
}

#[test]
fn a_new_token_says_until_when_it_is_visible() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let fields = [("provider", "okta"), ("name", "Until"), ("account", "portal-until"), ("sync", "on")];
    let page = owner.submit("/connections/new", &fields).answered(200);
    let end = page.between("The token is visible until <time datetime=\"", "\"");
    let end: jiff::Timestamp = end.parse().unwrap();
    let left = end.as_second() - jiff::Timestamp::now().as_second();
    assert!((240..=300).contains(&left), "{left}");
    assert!(page.contains("data-left=\""), "{}", page.text);
    let path = link(&mut owner, page.at.split('/').nth(2).unwrap(), "");
    let mut visitor = Browser::anonymous(app);
    let page = visitor.get(&format!("{path}?method=token")).answered(200);
    let page = submit_form(&mut visitor, &page, &format!("{path}/token")).answered(200);
    assert!(page.contains("Visible until <time datetime=\""), "{}", page.text);
}
