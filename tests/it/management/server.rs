//! Settings of the server, and the effect of self-service.

use serde_json::{Value, json};

use crate::app::{App, serve_with_refuses};
use crate::caller::CONFIGURATIONS;
use crate::identity::{AUDIENCE, ISSUER, Signer, app_for};

const SETTINGS: &str = "/directory/resources/v1/settings";

#[test]
fn the_settings_contain_the_configured_values() {
    let app = App::shared();
    let settings = app.operator().get(SETTINGS).answered(200).json;
    assert_eq!(settings["publicUrl"], format!("http://{}", app.address));
    assert_eq!(settings["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(settings["userTokens"], json!({"configured": false, "issuer": null, "audience": []}));
    assert!(settings["selfService"].is_boolean());
}

#[test]
fn disabled_self_service_blocks_only_accounts() {
    // S-020
    let signer = Signer::new("one");
    let (_folder, app) = app_for(&signer);
    let operator = app.operator();
    let configured = operator.get(SETTINGS).answered(200).json["userTokens"].clone();
    assert_eq!(configured, json!({"configured": true, "issuer": ISSUER, "audience": [AUDIENCE]}));
    let client = operator.configuration("acme", "okta");
    let key = app.account_key("acme", &[]);
    let create = ["api-key", "create", "--name", "x", "--account", "acme", "--output", "json"];
    let credentials: Value = serde_json::from_slice(&app.succeeds(&create)).unwrap();
    let exchanged = app.anonymous().post("/auth/vendor", &credentials).answered(200).text("token");
    let accounts = [key, app.anonymous().with(&exchanged), app.anonymous().with(&signer.token("acme", &["fe.*"]))];
    for caller in &accounts {
        caller.get(CONFIGURATIONS).answered(200);
    }
    let off = operator.patch(SETTINGS, &json!({"selfService": false})).answered(200);
    assert_eq!(off.json["selfService"], false);
    for caller in &accounts {
        caller.get(CONFIGURATIONS).problem(403);
        caller.post(CONFIGURATIONS, &json!({"source": "okta"})).problem(403);
        caller.delete(&format!("{CONFIGURATIONS}/{}", client.id)).problem(403);
    }
    for path in ["/auth/vendor", "/identity/resources/auth/v1/api-token"] {
        app.anonymous().post(path, &credentials).problem(403);
    }
    operator.get(CONFIGURATIONS).answered(200);
    client.get("/Users").answered(200);
    app.succeeds(&["self-service", "on"]);
    for caller in &accounts {
        caller.get(CONFIGURATIONS).answered(200);
    }
    app.succeeds(&["self-service", "off"]);
    assert_eq!(operator.get(SETTINGS).answered(200).json["selfService"], false);
}

#[test]
fn a_switch_that_is_no_boolean_is_refused() {
    let operator = App::shared().operator();
    for body in [json!({"selfService": "off"}), json!({"selfService": 0}), json!({"selfService": []})] {
        let reply = operator.patch(SETTINGS, &body).problem(400);
        assert!(reply.json["message"].as_str().unwrap().contains("selfService"), "{}", reply.json);
    }
}

#[test]
fn incomplete_user_token_settings_prevent_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere.pem");
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "no key").unwrap();
    let rest = ["--user-token-issuer", ISSUER, "--user-token-audience", AUDIENCE];
    let file =
        |path: &std::path::Path| [&rest[..], &["--user-token-key-file", path.to_str().unwrap()]].concat().join("\n");
    for (flags, named) in [
        ("--user-token-jwks-url\nhttps://id.example.com/jwks".to_owned(), "--user-token-issuer"),
        (rest.join("\n"), "--user-token-jwks-url"),
        (file(&nowhere), "--user-token-key-file"),
        (file(&broken), "--user-token-key-file"),
        ("--user-token-algorithms\nHS256".to_owned(), "--user-token-algorithms"),
        ("--allowed-origin\n*".to_owned(), "--allowed-origin"),
    ] {
        let flags: Vec<&str> = flags.lines().collect();
        let output = serve_with_refuses(&folder.path().join("data"), &flags, std::time::Duration::from_secs(20));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(named), "{flags:?}: {said}");
    }
}

#[test]
fn a_signing_key_that_others_can_read_keeps_the_server_from_starting() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(App::start(folder.path()));
    let key = folder.path().join("signing-key.pem");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = serve_with_refuses(folder.path(), &[], std::time::Duration::from_secs(20));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("signing-key.pem") && said.contains("chmod 600"), "{said}");
}
