//! OAuth clients in the portal: the recommended method, the forms of all methods, secrets, and the warnings before they end.

use serde_json::Value;

use crate::app::{App, Client};
use crate::caller::CONFIGURATIONS;
use crate::portal::browser::{Browser, Page, own_app};

/// Adds an OAuth client and returns the page that follows, and its path.
#[track_caller]
fn add_client(owner: &mut Browser, id: &str, fields: &[(&str, &str)]) -> (Page, String) {
    let mut all = vec![("label", "Directory"), ("scope", "scim"), ("accessTokenLifetime", "3600")];
    all.retain(|(name, _)| !fields.iter().any(|(other, _)| other == name));
    all.extend(fields);
    let page = owner.submit(&format!("/connections/{id}/oauth-clients/new"), &all).answered(200);
    let path = page.at.split('?').next().unwrap().to_owned();
    (page, path)
}

const SECRET: &[(&str, &str)] = &[("method", "secret"), ("secretExpiresIn", "31536000")];

const FEDERATED: &[(&str, &str)] = &[
    ("method", "federated"),
    ("issuer", "https://login.microsoftonline.com/5f0f7a9c/v2.0"),
    ("jwksUrl", "https://login.microsoftonline.com/5f0f7a9c/discovery/v2.0/keys"),
    ("subject", "1c3b<i>"),
    ("audience", "api://77d0/.default"),
];

/// Value of the input with this id.
#[track_caller]
fn value_of<'p>(page: &'p Page, id: &str) -> &'p str {
    page.between(&format!("<input id=\"{id}\" type=\"text\" readonly value=\""), "\"")
}

#[track_caller]
fn actions_of(app: &App, account: &str) -> Vec<String> {
    let audit = app.operator().get(&format!("/directory/resources/v1/audit?account={account}")).answered(200);
    let items = audit.json["items"].as_array().unwrap();
    let actions = items.iter().filter_map(|item| item["action"].as_str()).map(str::to_owned);
    actions.filter(|action| action.starts_with("oauth_")).collect()
}

#[test]
fn each_provider_has_its_recommended_method_first() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    for (source, first, button) in [
        ("azure-ad", "Workload identity federation", "?method=federated"),
        ("okta", "OAuth client with a secret", "?method=secret"),
        ("other", "Token", "/tokens/new"),
    ] {
        let client = app.configuration_of("oauth-methods", source);
        let page = owner.get(&format!("/connections/{}/tokens", client.id)).answered(200);
        let heading = page.between("<h3>", " <span class=\"quiet\">(recommended)</span>");
        assert!(heading.ends_with(first), "{source}: {heading}");
        assert!(page.between("(recommended)", "<details>").contains(button), "{source}: {}", page.text);
        // Every method is on the page.
        for method in ["?method=secret", "?method=private_key_jwt", "?method=federated", "/tokens/new"] {
            assert!(page.contains(&format!("{method}\"")), "{source} has no {method}");
        }
    }
}

#[test]
fn a_secret_is_displayed_once_with_the_names_of_the_console() {
    let app = App::shared();
    let (mut owner, mut other) = (Browser::owner(app), Browser::owner(app));
    let client = app.configuration_of("oauth-secret", "azure-ad");
    let (page, path) = add_client(&mut owner, &client.id, SECRET);
    let client_id = value_of(&page, "client-id").to_owned();
    let secret = value_of(&page, "client-secret").to_owned();
    assert!(client_id.starts_with("rcc_") && secret.starts_with("rcs_"), "{client_id} {secret}");
    assert_eq!(value_of(&page, "token-url"), format!("http://{}/oauth2/token", app.address));
    assert_eq!(value_of(&page, "scim-url"), client.url);
    for name in ["Tenant URL", "Token Endpoint", "Client Identifier", "Client Secret"] {
        assert!(page.contains(&format!(">{name}</label>")), "{name}: {}", page.text);
    }
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(fetch_token(&client, &client_id, &secret).0 == 200, "no token for the displayed values");
    assert!(owner.get(&path).contains(&secret), "a reload loses the secret");
    assert!(!other.get(&path).answered(200).contains(&secret), "another session has the secret");
    let list = owner.get(&format!("/connections/{}/tokens", client.id)).answered(200);
    assert!(list.contains(&client_id) && !list.contains(&secret), "{}", list.text);
    assert!(list.contains(&secret[secret.len() - 4..]) && list.contains("expires in 365 days"), "{}", list.text);
    // Rotation: a second secret, no third one, and the first is deleted.
    let secrets = format!("{path}/secrets/new");
    let wrong = owner.submit_only(&secrets, &[("label", " "), ("secretExpiresIn", "7")]).answered(422);
    for field in ["label", "secretExpiresIn"] {
        assert!(wrong.contains(&format!("id=\"{field}-problem\"")), "{field}: {}", wrong.text);
    }
    let page = owner.submit(&secrets, &[("label", "second"), ("secretExpiresIn", "2592000")]).answered(200);
    let second = value_of(&page, "client-secret").to_owned();
    assert!(second != secret && page.contains("Do not delete the old secret yet."), "{}", page.text);
    let third = owner.submit_only(&secrets, &[("label", "third"), ("secretExpiresIn", "2592000")]).answered(422);
    assert!(third.between("id=\"label-problem\">", "</p>").contains("at most 2"), "{}", third.text);
    let first_id = page.text.rsplit(&format!("{path}/secrets/")).next().unwrap().split('/').next().unwrap();
    let delete = format!("{path}/secrets/{first_id}/delete");
    let confirm = owner.get(&delete).answered(200);
    assert!(confirm.contains("first secret") && !confirm.contains("only valid secret"), "{}", confirm.text);
    let page = owner.submit(&delete, &[]).answered(200);
    assert!(page.contains("The secret is deleted.") && !page.contains("first secret"), "{}", page.text);
    owner.get(&delete).answered(404);
    assert_eq!(fetch_token(&client, &client_id, &secret).0, 401);
    assert_eq!(fetch_token(&client, &client_id, &second).0, 200);
    let last = page.between(&format!("{path}/secrets/"), "/delete").to_owned();
    assert!(owner.get(&format!("{path}/secrets/{last}/delete")).contains("only valid secret"));
    owner.submit(&format!("{path}/secrets/{last}/delete"), &[]).answered(200);
    assert!(!owner.get(&path).contains(&second), "a deleted secret is displayed");
    let actions = actions_of(app, "oauth-secret");
    let expected = ["oauth_secret.deleted", "oauth_secret.deleted", "oauth_secret.created", "oauth_client.created"];
    assert_eq!(actions, expected);
}

#[test]
fn a_federated_client_is_created_changed_disabled_and_deleted() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("oauth-federated", "azure-ad");
    let new = format!("/connections/{}/oauth-clients/new", client.id);
    let form = owner.get(&new).answered(200);
    for name in ["Issuer", "JWKS URL", "Subject", "Audience"] {
        assert!(form.contains(&format!(">{name}</label>")), "{name}: {}", form.text);
    }
    let (page, path) = add_client(&mut owner, &client.id, FEDERATED);
    for name in ["SCIM URL", "Token URL", "Client ID"] {
        assert!(page.contains(&format!(">{name}</label>")), "{name}: {}", page.text);
    }
    assert!(page.contains("1c3b&#60;i&#62;") && !page.contains("client-secret"), "{}", page.text);
    owner.get(&format!("{path}/secrets/new")).answered(409);
    // The form has the stored values. A value that is not valid stays in it.
    let edit = format!("{path}/edit");
    assert!(owner.get(&edit).contains("value=\"api://77d0/.default\""));
    let mut changed = FEDERATED.to_vec();
    changed.extend([("label", "Entra"), ("scope", "scim.users"), ("accessTokenLifetime", "7200")]);
    changed.retain(|(name, _)| *name != "subject");
    let page = owner.submit_only(&edit, &changed).answered(422);
    assert!(page.contains("id=\"subject-problem\"") && page.contains("value=\"scim.users\""), "{}", page.text);
    changed.push(("subject", "2d4c"));
    let page = owner.submit(&edit, &changed).answered(200);
    assert!(page.contains("<code>scim.users</code>") && page.contains("2 hours"), "{}", page.text);
    let page = owner.submit(&format!("{path}/state"), &[("state", "disabled")]).answered(200);
    assert!(page.contains("Disabled. Its access tokens"), "{}", page.text);
    let list = owner.get(&format!("/connections/{}/tokens", client.id)).answered(200);
    assert!(list.contains("<span class=\"state paused\">Disabled</span>"), "{}", list.text);
    let page = owner.submit(&format!("{path}/state"), &[("state", "active")]).answered(200);
    assert!(page.contains("Enabled. It gets access tokens again."), "{}", page.text);
    assert!(owner.submit_only(&format!("{path}/delete"), &[]).answered(422).contains("confirmed-problem"));
    let page = owner.submit(&format!("{path}/delete"), &[("confirmed", "on")]).answered(200);
    assert!(page.contains("The OAuth client is deleted.") && !page.contains("rcc_"), "{}", page.text);
    owner.get(&path).answered(404);
    let updated = "oauth_client.updated";
    let expected = ["oauth_client.deleted", updated, updated, updated, "oauth_client.created"];
    assert_eq!(actions_of(app, "oauth-federated"), expected);
}

#[test]
fn errors_are_at_the_fields_and_the_input_stays() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("oauth-errors", "okta");
    let new = format!("/connections/{}/oauth-clients/new", client.id);
    let keys = r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#;
    for (fields, field, sentence) in [
        (vec![("method", "secret"), ("label", "")], "label", "The name"),
        (vec![("method", "secret"), ("scope", "openid")], "scope", "scim.read"),
        (vec![("method", "secret"), ("secretExpiresIn", "1")], "secretExpiresIn", "Choose"),
        (vec![("method", "secret"), ("accessTokenLifetime", "1")], "accessTokenLifetime", "Choose"),
        (vec![("method", "private_key_jwt")], "jwksUrl", "or the keys themselves"),
        (vec![("method", "private_key_jwt"), ("jwksUrl", "keys")], "jwksUrl", "https://"),
        (
            vec![("method", "private_key_jwt"), ("jwksUrl", "https://10.0.0.1/k")],
            "jwksUrl",
            "--outgoing-allow-networks",
        ),
        (vec![("method", "private_key_jwt"), ("jwks", "no json")], "jwks", "cannot be used"),
        (vec![("method", "private_key_jwt"), ("jwks", keys)], "jwks", "cannot be used"),
        (vec![("method", "federated"), ("issuer", "")], "issuer", "Copy the issuer"),
        (vec![("method", "federated"), ("issuer", "http://169.254.169.254")], "issuer", "cannot be called"),
        (vec![("method", "federated"), ("issuer", "https://a.example")], "audience", "Copy the audience"),
    ] {
        let mut all = vec![("label", "Typed name"), ("scope", "scim"), ("accessTokenLifetime", "3600")];
        all.push(("secretExpiresIn", "31536000"));
        all.retain(|(name, _)| !fields.iter().any(|(other, _)| other == name));
        all.extend(&fields);
        let page = owner.submit_only(&new, &all).answered(422);
        let problem = page.between(&format!("id=\"{field}-problem\">"), "</p>");
        assert!(problem.contains(sentence), "{fields:?}: {problem}");
        assert!(page.contains(&format!("href=\"#{field}\"")), "{field} is not in the summary");
        assert!(field == "label" || page.contains("value=\"Typed name\""), "{fields:?}: {}", page.text);
    }
    for number in 0..5 {
        add_client(&mut owner, &client.id, &[("label", &format!("Client {number}")), SECRET[0], SECRET[1]]);
    }
    let all = [("label", "Sixth"), ("scope", "scim"), ("accessTokenLifetime", "3600"), SECRET[0], SECRET[1]];
    let page = owner.submit_only(&new, &all).answered(422);
    assert!(page.between("id=\"label-problem\">", "</p>").contains("at most 5"), "{}", page.text);
}

#[test]
fn oauth_clients_require_the_token_permission() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("oauth-rights", "okta");
    let (_, path) = add_client(&mut owner, &client.id, SECRET);
    let mut viewer = Browser::with_role(app, "viewer", None);
    let page = viewer.get(&format!("/connections/{}/tokens", client.id)).answered(200);
    assert!(page.contains("Directory") && !page.contains("oauth-clients/"), "{}", page.text);
    for path in [path.clone(), format!("{path}/edit"), format!("{path}/secrets/new")] {
        assert!(viewer.get(&path).answered(403).contains("provisioning.tokens"));
    }
    viewer.submit(&format!("{path}/delete"), &[("confirmed", "on")]).answered(403);
    // With the permission for tokens alone, a client can be disabled and not enabled or created.
    let role = [("name", "Token revoker"), ("provisioning.read", "on"), ("provisioning.tokens", "on")];
    let page = owner.submit("/settings/roles/new", &role).answered(200);
    let before = page.text.split("Token revoker").next().unwrap();
    let role = before.rsplit("href=\"/settings/roles/").next().unwrap().split('"').next().unwrap();
    let mut revoker = Browser::with_role(app, role, None);
    revoker.get(&format!("/connections/{}/oauth-clients/new", client.id)).answered(403);
    let page = revoker.submit(&format!("{path}/state"), &[("state", "disabled")]).answered(200);
    assert!(!page.contains("<button>Enable</button>") && !page.contains("second secret"), "{}", page.text);
    revoker.submit(&format!("{path}/state"), &[("state", "active")]).answered(403);
}

#[test]
fn the_end_of_the_last_secret_is_announced() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("oauth-ending", "okta");
    let fields = [("label", "Soon over"), ("method", "secret"), ("secretExpiresIn", "2592000")];
    let (_, path) = add_client(&mut owner, &client.id, &fields);
    let pages = ["/".to_owned(), format!("/connections/{}", client.id), format!("/connections/{}/tokens", client.id)];
    for page in &pages {
        let page = owner.get(page).answered(200);
        assert!(page.contains("The secret of “Soon over” expires in 30 days."), "{}", page.text);
        assert!(page.contains(&format!("href=\"{path}\"")), "{}", page.text);
    }
    // A later secret ends the warning.
    owner.submit(&format!("{path}/secrets/new"), &[("label", "later"), ("secretExpiresIn", "31536000")]).answered(200);
    for page in &pages {
        assert!(!owner.get(page).answered(200).contains("“Soon over”"), "{page}");
    }
}

/// Fetches an access token at the token URL.
#[track_caller]
fn fetch_token(client: &Client, client_id: &str, secret: &str) -> (u16, Value) {
    let body = format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}");
    let request = crate::app::Request::new(client.address, "POST", &format!("{}/oauth2/token", client.base))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body.as_bytes());
    let answer = request.attempt().unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

#[test]
fn revoking_every_token_ends_the_access_tokens_of_clients_too() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("oauth-leak", "okta");
    let (page, _) = add_client(&mut owner, &client.id, SECRET);
    let (id, secret) = (value_of(&page, "client-id").to_owned(), value_of(&page, "client-secret").to_owned());
    let pairs = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let token = crate::oauth::form_request(app, "/oauth2/token", &pairs).send().answered(200).text("access_token");
    let with_access_token = Client { token, ..client.clone() };
    with_access_token.get("/Users").answered(200);
    let name = app.operator().get(&format!("{CONFIGURATIONS}/{}", client.id)).answered(200).text("connectionName");
    owner.submit(&format!("/connections/{}/tokens/revoke-all", client.id), &[("name", &name)]).answered(200);
    with_access_token.get("/Users").answered(401);
    client.get("/Users").answered(401);
    assert!(actions_of(app, "oauth-leak").contains(&"oauth_client.tokens_revoked".to_owned()));
}
