//! The public URL: set at the first run, changed while the server runs, or given on the command line.

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, Page, own_app, with_fields};
use crate::sample;

const FORM: &str = "/settings/server/url";

/// Sends a form as a browser does that opened the page at that origin.
#[track_caller]
fn from(browser: &mut Browser, origin: &str, path: &str, fields: &[(&str, &str)]) -> Page {
    let token = browser.form_token.clone();
    let mut all = vec![("form_token", token.as_str())];
    all.extend(fields);
    let request = browser.request("POST", path).header("Origin", origin).header("Sec-Fetch-Site", "same-origin");
    browser.send(&with_fields(request, &all), path)
}

#[test]
fn every_address_begins_with_the_new_public_url_at_once() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration("okta");
    let connection = format!("/connections/{}", client.id);
    let operator = app.operator();
    assert!(operator.get("/openapi.json").answered(200).json.to_string().contains(&app.address.to_string()));
    owner.submit(FORM, &[("public_url", "http://Scim.Example:8443/base/")]).answered(200);
    let new = "http://scim.example:8443/base";
    assert!(owner.get(&connection).contains(&format!("{new}/directory/")));
    let made = client.post("/Users", &sample::user("moved@public.example")).answered(201);
    assert!(made.header("location").starts_with(new), "{}", made.header("location"));
    let document = operator.get("/openapi.json").answered(200).json;
    assert_eq!(document["servers"][0]["url"], new);
    assert!(owner.get("/docs/api").contains(new));
    let listed = String::from_utf8(app.succeeds(&["configuration", "list", "--output", "json"])).unwrap();
    assert!(listed.contains(new), "{listed}");
    let rows = operator.get("/directory/resources/v1/audit?action=settings").answered(200).json;
    let row = &rows["items"][0];
    assert_eq!(row["actor"]["name"], owner.email, "{rows}");
    assert_eq!(row["after"]["publicUrl"], new, "{rows}");
}

#[test]
fn an_invalid_public_url_is_explained_at_its_field() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for wrong in ["", "scim.example.com", "ftp://x.example", "https://a@b.example", "http://x.example/?a=1"] {
        let page = owner.submit_only(FORM, &[("public_url", wrong)]).answered(422);
        assert!(page.contains("id=\"public_url-problem\""), "{wrong}: {}", page.text);
    }
    assert!(owner.get("/settings/server").contains(&format!("http://{}", app.address)));
}

#[test]
fn a_public_url_with_https_locks_out_no_admin() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let fields = [("public_url", "https://scim.example")];
    let page = from(&mut owner, &format!("http://{}", app.address), FORM, &fields).answered(422);
    assert!(page.contains("https://scim.example/settings/server"), "{}", page.text);
    let old = owner.cookies["rc"].clone();
    let saved = from(&mut owner, "https://scim.example", FORM, &fields).answered(303);
    let cookie = saved.header("set-cookie").unwrap();
    assert!(cookie.starts_with(&format!("__Host-rc={old};")) && cookie.contains("Secure"), "{cookie}");
    assert!(owner.get("/settings/server").answered(200).contains("https://scim.example"));
    let back = from(&mut owner, "https://scim.example", FORM, &[("public_url", "http://scim.example")]).answered(303);
    assert!(back.header("set-cookie").unwrap().starts_with("rc="));
}

#[test]
fn a_public_url_from_the_command_line_is_displayed_and_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--public-url", "http://given.example"]);
    let mut owner = Browser::owner(&app);
    let page = owner.get("/settings/server").answered(200);
    assert!(
        page.contains("http://given.example")
            && page.contains("--public-url")
            && !page.contains("action=\"/settings/server/url\"")
    );
    let refused = owner.submit_only(FORM, &[("public_url", "http://other.example")]).answered(422);
    assert!(refused.contains("stays http://given.example"), "{}", refused.text);
}

#[test]
fn the_first_run_sets_the_public_url() {
    let (app, _folder) = own_app();
    let address = String::from_utf8(app.succeeds(&["setup-url"])).unwrap();
    let path = format!("/setup/{}", address.trim().rsplit('/').next().unwrap());
    let mut browser = Browser::anonymous(&app);
    let request = browser.request("GET", &path).header("Host", "scim.example.com");
    let page = browser.send(&request, &path).answered(200);
    assert!(page.contains("value=\"https://scim.example.com\""), "{}", page.text);
    assert!(browser.get(&path).contains(&format!("value=\"http://{}\"", app.address)));
    let mut fields = vec![("name", "Ada"), ("email", "ada@first.example"), ("password", PASSWORD)];
    let wrong = [&fields[..], &[("public_url", "nonsense")]].concat();
    assert!(browser.submit_only(&path, &wrong).answered(422).contains("id=\"public_url-problem\""));
    fields.push(("public_url", "https://scim.example.com"));
    let page = from(&mut browser, "https://scim.example.com", &path, &fields).answered(303);
    assert!(page.header("set-cookie").unwrap().starts_with("__Host-rc="));
    assert!(browser.get("/settings/server").answered(200).contains("https://scim.example.com"));
    let admins = browser.get("/settings/people").answered(200);
    assert!(admins.contains("ada@first.example") && !admins.contains(">never<"), "{}", admins.text);
}
