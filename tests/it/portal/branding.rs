//! Branding: the form with a logo, its files, and the pages of setup links that have it.

use serde_json::json;

use crate::app::App;
use crate::portal::browser::{Browser, Page, own_app};

const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

/// Sends the form as a browser does: with a file, and with the fields that are not in `fields` empty.
#[track_caller]
fn save(owner: &mut Browser, fields: &[(&str, &str)], logo: &[u8]) -> Page {
    let mut body = Vec::new();
    // As on a compressed page: random bytes, and the token XOR these.
    let token = format!("{}{}", "0".repeat(owner.form_token.len()), owner.form_token);
    let all = ["product_name", "accent", "support", "return_url", "remove_logo"];
    let value = |name: &str| fields.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value);
    for (name, value) in all.map(|name| (name, value(name))).into_iter().chain([("form_token", token.as_str())]) {
        body.extend(
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes(),
        );
    }
    body.extend(b"--edge\r\nContent-Disposition: form-data; name=\"logo\"; filename=\"logo.bin\"\r\n");
    body.extend(b"Content-Type: application/octet-stream\r\n\r\n");
    body.extend(logo);
    body.extend(b"\r\n--edge--\r\n");
    let path = "/settings/branding";
    let own = format!("http://{}", owner.address);
    let request = owner.request("POST", path).header("Origin", &own);
    let request = request.header("Content-Type", "multipart/form-data; boundary=edge").body(&body);
    owner.send(&request, path)
}

#[test]
fn the_branding_is_on_the_pages_of_set_up_links_and_not_on_those_of_admins() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    owner.get("/settings/branding").answered(200);
    let fields = [
        ("product_name", "North & <light>"),
        ("accent", "#0B7A75"),
        ("support", "help@northlight.example"),
        ("return_url", "https://app.northlight.example/done"),
    ];
    save(&mut owner, &fields, SVG).answered(303);
    let page = owner.get("/settings/branding").answered(200);
    assert!(page.contains("value=\"North &#38; &#60;light&#62;\"") && page.contains("#0b7a75"), "{}", page.text);
    let version = page.between("/brand/", "/").to_owned();
    let mut visitor = Browser::anonymous(&app);
    let style = visitor.get(&format!("/brand/{version}/style.css")).answered(200);
    assert_eq!(
        (style.header("content-type"), style.text.as_str()),
        (Some("text/css; charset=utf-8"), ".branded { --primary: #0b7a75; }\n")
    );
    let logo = visitor.get(&format!("/brand/{version}/logo")).answered(200);
    assert_eq!((logo.header("content-type"), logo.text.as_bytes()), (Some("image/svg+xml"), SVG));
    assert_eq!(
        (logo.header("content-security-policy"), logo.header("x-content-type-options")),
        (Some("sandbox; default-src 'none'; style-src 'unsafe-inline'"), Some("nosniff"))
    );
    let unknown = visitor.get(&format!("/s/rcl_{}", "x".repeat(43))).answered(404);
    assert!(
        unknown.contains("North &#38; &#60;light&#62; (help@northlight.example) for a new one"),
        "{}",
        unknown.text
    );
    assert!(unknown.contains("href=\"mailto:help@northlight.example\"") && !unknown.contains("Rollcall"));
    assert!(!owner.get("/").contains("/brand/"));
    let client = app.configuration_of(&owner.email, "okta");
    let made = owner.submit(&format!("/connections/{}/links", client.id), &[("life", "3600")]).answered(200);
    let link = format!("/s/rcl_{}", made.between("/s/rcl_", "\""));
    let page = visitor.get(&link).answered(200);
    assert!(page.contains("<h1>Connect Okta to North &#38; &#60;light&#62;</h1>"), "{}", page.text);
    assert!(page.contains(&format!("/brand/{version}/style.css")) && page.contains("Need help?</a>"), "{}", page.text);
    let page = visitor.get(&format!("{link}/done")).answered(200);
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    let page = visitor.submit(&format!("{link}/done"), &[]).answered(200);
    assert!(page.contains("href=\"https://app.northlight.example/done\">Return to North"), "{}", page.text);
    let ended = visitor.get(&link).answered(410);
    assert!(ended.contains("(help@northlight.example) for a new one"), "{}", ended.text);
    // Without a file the logo stays, until it is removed. The version changes with each change.
    save(&mut owner, &[("product_name", "South")], b"").answered(303);
    visitor.get(&format!("/brand/{version}/logo")).answered(404);
    let page = owner.get("/settings/branding").answered(200);
    let version = page.between("/brand/", "/").to_owned();
    visitor.get(&format!("/brand/{version}/logo")).answered(200);
    visitor.get(&format!("/brand/{version}/style.css")).answered(404);
    save(&mut owner, &[("product_name", "South"), ("remove_logo", "on")], b"").answered(303);
    assert!(!owner.get("/settings/branding").contains("/brand/"));
    let audit = owner.get("/audit/export.json?action=branding.updated").answered(200);
    assert_eq!(audit.text.matches("\"branding.updated\"").count(), 3, "{}", audit.text);
    assert!(audit.contains("image/svg+xml") && !audit.contains("alert(1)"), "{}", audit.text);
}

#[test]
fn invalid_values_and_files_change_nothing() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    owner.get("/settings/branding").answered(200);
    let fields = [
        ("product_name", "South"),
        ("accent", "#ffff00"),
        ("support", "javascript:alert(1)"),
        ("return_url", "http://app.example"),
    ];
    let page = save(&mut owner, &fields, b"GIF89a").answered(422);
    for field in ["accent", "support", "return_url", "logo"] {
        assert!(page.contains(&format!("id=\"{field}-problem\"")), "{field}: {}", page.text);
    }
    let page = save(&mut owner, &[], &vec![b'x'; 200 * 1024]).answered(422);
    assert!(page.contains("at most 100 KiB") && !page.contains("value=\"South\""), "{}", page.text);
    let form_token = std::mem::replace(&mut owner.form_token, "made up".to_owned());
    save(&mut owner, &[("product_name", "South")], b"").answered(403);
    owner.form_token = form_token;
    assert!(!owner.get("/settings/branding").contains("South"));
}

#[test]
fn the_branding_is_a_part_of_the_settings_of_the_server() {
    const SETTINGS: &str = "/directory/resources/v1/settings";
    let (app, _folder) = own_app();
    let operator = app.operator();
    let change = json!({"branding": {"productName": "Northlight", "support": "https://help.northlight.example"}});
    let changed = operator.patch(SETTINGS, &change).answered(200).json["branding"].clone();
    let expected = json!({"productName": "Northlight", "accent": null, "support": "https://help.northlight.example",
        "returnUrl": null, "hasLogo": false});
    assert_eq!(changed, expected);
    let refused = operator.patch(SETTINGS, &json!({"branding": {"accent": "#eeeeee"}})).problem(400);
    assert!(refused.text("message").contains("branding.accent: Choose a darker color"), "{}", refused.json);
    let cleared = operator.patch(SETTINGS, &json!({"branding": {"support": null}})).answered(200).json;
    assert_eq!(
        (&cleared["branding"]["support"], &cleared["branding"]["productName"]),
        (&json!(null), &json!("Northlight"))
    );
    assert_eq!(App::shared().operator().get(SETTINGS).answered(200).json["branding"]["hasLogo"], false);
}

/// Sends a request as a browser does, with a form as its body.
fn sent(visitor: &mut Browser, (method, path): (&str, &str), body: &[u8]) -> Page {
    let own = format!("http://{}", visitor.address);
    let request = visitor.request(method, path).header("Origin", &own);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    visitor.send(&request, path)
}

#[test]
fn errors_below_a_set_up_link_have_the_branding_and_the_way_back() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    owner.get("/settings/branding").answered(200);
    save(&mut owner, &[("product_name", "Northlight"), ("support", "help@northlight.example")], SVG).answered(303);
    let client = app.configuration_of(&owner.email, "okta");
    let made = owner.submit(&format!("/connections/{}/links", client.id), &[("life", "3600")]).answered(200);
    let link = format!("/s/rcl_{}", made.between("/s/rcl_", "\""));
    let large = vec![b'x'; 3 * 1024 * 1024];
    let unreadable = [b"form_token=".as_slice(), &[0xff]].concat();
    let requests: [(&str, String, &[u8], u16, &str); 7] = [
        ("PUT", link.clone(), b"", 405, "use its buttons"),
        ("GET", format!("{link}/token"), b"", 405, "use its buttons"),
        ("POST", format!("{link}/token"), b"form_token=wrong", 403, "repeat the step"),
        ("POST", format!("{link}/done"), &large, 413, "too large"),
        ("POST", format!("{link}/provider"), &unreadable, 400, "not valid"),
        ("GET", format!("{link}/nothing"), b"", 404, "no such page"),
        ("GET", "/s/rcl_unknown/nothing".to_owned(), b"", 404, "no such page"),
    ];
    for browser in [&mut Browser::anonymous(&app), &mut owner] {
        for (method, path, body, status, what) in &requests {
            let page = sent(browser, (method, path), body).answered(*status);
            let name = format!("{method} {path}: {}", page.text);
            assert!(page.contains("<strong>Northlight</strong>") && page.contains("/brand/"), "{name}");
            assert!(page.contains(what) && page.contains("help@northlight.example"), "{name}");
            let back = format!("href=\"{link}\">Open the setup page</a>");
            assert_eq!(page.contains(&back), path.starts_with(&link), "{name}");
            for term in ["Sign in", "Sign out", "aria-label=\"Main\"", "Go to the home page", "Rollcall"] {
                assert!(!page.contains(term), "{term} in {name}");
            }
            assert_eq!(page.header("referrer-policy"), Some("strict-origin"), "{name}");
            assert_eq!(page.header("x-robots-tag"), Some("noindex"), "{name}");
        }
    }
    // The page of an ended link has no way back, and an error elsewhere is that of an admin.
    let mut visitor = Browser::anonymous(&app);
    let page = visitor.get(&format!("{link}/done")).answered(200);
    page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut visitor.form_token);
    visitor.submit(&format!("{link}/done"), &[]).answered(200);
    assert!(!sent(&mut visitor, ("PUT", &link), b"").answered(405).contains("Open the setup page</a>"));
    let page = sent(&mut owner, ("PUT", "/connections"), b"").answered(405);
    assert!(page.contains("aria-label=\"Main\"") && !page.contains("Northlight"), "{}", page.text);
}
