//! Every page with every role: who sees what, and what holds for all answers.

use std::collections::BTreeSet;

use serde_json::json;

use crate::app::App;
use crate::portal::browser::{Browser, Page, once_it_says, own_app, with_fields};
use crate::sample;

/// The pages, and what they answer to an owner, a provisioning manager, a viewer, and a provisioning manager of another
/// account. Whoever is not signed in is sent to sign in.
const PAGES: &[(&str, [u16; 4])] = &[
    ("/", [303, 303, 303, 303]),
    ("/connections", [200, 200, 200, 200]),
    ("/connections/new", [200, 200, 403, 200]),
    ("/connections/receipt", [200, 200, 403, 200]),
    ("/connections/deleted", [200, 200, 403, 200]),
    ("/connections/deleted/{deleted}", [200, 200, 403, 404]),
    ("/connections/{connection}", [200, 200, 200, 404]),
    ("/connections/{connection}/token", [200, 200, 200, 404]),
    ("/connections/{connection}/setup", [200, 200, 200, 404]),
    ("/connections/{connection}/settings", [200, 200, 403, 404]),
    ("/connections/{connection}/delete", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens", [200, 200, 200, 404]),
    ("/connections/{connection}/tokens/new", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens/{token}", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens/{token}/revoke", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens/nobody", [404, 404, 403, 404]),
    ("/connections/{connection}/links", [200, 200, 403, 404]),
    ("/connections/{connection}/links/made", [200, 200, 403, 404]),
    ("/connections/{connection}/users", [200, 200, 200, 404]),
    ("/connections/{connection}/users/{user}", [200, 200, 200, 404]),
    ("/connections/{connection}/users/nobody", [404, 404, 404, 404]),
    ("/connections/{connection}/groups", [200, 200, 200, 404]),
    ("/connections/{connection}/groups/{group}", [200, 200, 200, 404]),
    ("/connections/{connection}/groups/{user}", [404, 404, 404, 404]),
    ("/connections/{connection}/requests", [200, 200, 403, 404]),
    ("/connections/{connection}/requests/{request}", [200, 200, 403, 404]),
    ("/connections/{connection}/requests/nobody", [404, 404, 403, 404]),
    ("/connections/nobody", [404, 404, 404, 404]),
    ("/find", [200, 200, 403, 200]),
    ("/accounts", [200, 200, 200, 200]),
    ("/accounts/new", [200, 403, 403, 403]),
    ("/accounts/{account}", [200, 200, 200, 404]),
    ("/accounts/{account}/delete", [200, 403, 403, 403]),
    ("/audit", [200, 403, 403, 403]),
    ("/audit/export.csv", [200, 403, 403, 403]),
    ("/audit/export.json", [200, 403, 403, 403]),
    ("/profile", [200, 200, 200, 200]),
    ("/settings", [303, 403, 403, 403]),
    ("/settings/people", [200, 403, 403, 403]),
    ("/settings/people/new", [200, 403, 403, 403]),
    ("/settings/people/{person}", [200, 403, 403, 403]),
    ("/settings/people/nobody", [404, 403, 403, 403]),
    ("/settings/roles", [200, 403, 403, 403]),
    ("/settings/roles/new", [200, 403, 403, 403]),
    ("/settings/roles/{role}", [200, 403, 403, 403]),
    ("/settings/keys", [200, 403, 403, 403]),
    ("/settings/keys/new", [200, 403, 403, 403]),
    ("/settings/keys/{key}", [200, 403, 403, 403]),
    ("/settings/sso", [200, 403, 403, 403]),
    ("/settings/sso/test", [404, 403, 403, 403]),
    ("/settings/server", [200, 403, 403, 403]),
    ("/settings/backup", [200, 403, 403, 403]),
    ("/settings/doctor", [200, 403, 403, 403]),
    ("/settings/about", [200, 403, 403, 403]),
    ("/settings/about/licences", [200, 403, 403, 403]),
    ("/settings/sso", [200, 403, 403, 403]),
    ("/settings/sso/test", [404, 403, 403, 403]),
];

/// Where forms go, and what a provisioning manager, a viewer, and a provisioning manager of another account get for one
/// without a token: 403 too where they may, because the form is not theirs.
const FORMS: &[(&str, [u16; 3])] = &[
    ("/logout", [403, 403, 403]),
    ("/connections/new", [403, 403, 403]),
    ("/connections/{connection}/sync", [403, 403, 403]),
    ("/connections/{connection}/settings", [403, 403, 403]),
    ("/connections/{connection}/schemas", [403, 403, 403]),
    ("/connections/{connection}/schemas/remove", [403, 403, 403]),
    ("/connections/{connection}/delete", [403, 403, 404]),
    ("/connections/deleted/{deleted}", [403, 403, 404]),
    ("/connections/{connection}/tokens/new", [403, 403, 403]),
    ("/connections/{connection}/tokens/revoke-all", [403, 403, 404]),
    ("/connections/{connection}/tokens/{token}", [403, 403, 403]),
    ("/connections/{connection}/tokens/{token}/revoke", [403, 403, 403]),
    ("/connections/{connection}/links", [403, 403, 403]),
    ("/connections/{connection}/links/{link}/revoke", [403, 403, 403]),
    ("/accounts/new", [403, 403, 403]),
    ("/accounts/{account}", [403, 403, 403]),
    ("/accounts/{account}/delete", [403, 403, 403]),
    ("/profile/codes", [403, 403, 403]),
    ("/profile/codes/confirm", [403, 403, 403]),
    ("/profile/codes/off", [403, 403, 403]),
    ("/profile/password", [403, 403, 403]),
    ("/profile/sessions", [403, 403, 403]),
    ("/profile/theme", [403, 403, 403]),
    ("/profile/zone", [403, 403, 403]),
    ("/settings/people/new", [403, 403, 403]),
    ("/settings/people/{person}", [403, 403, 403]),
    ("/settings/people/{person}/active", [403, 403, 403]),
    ("/settings/people/{person}/password", [403, 403, 403]),
    ("/settings/people/{person}/unlink", [403, 403, 403]),
    ("/settings/sso", [403, 403, 403]),
    ("/settings/sso/remove", [403, 403, 403]),
    ("/settings/roles/new", [403, 403, 403]),
    ("/settings/roles/{role}", [403, 403, 403]),
    ("/settings/roles/{role}/remove", [403, 403, 403]),
    ("/settings/keys/new", [403, 403, 403]),
    ("/settings/keys/{key}/revoke", [403, 403, 403]),
    ("/settings/people/{person}/unlink", [403, 403, 403]),
    ("/settings/sso", [403, 403, 403]),
    ("/settings/sso/remove", [403, 403, 403]),
    ("/settings/server/url", [403, 403, 403]),
    ("/settings/server/self-service", [403, 403, 403]),
    ("/settings/backup", [403, 403, 403]),
];

/// What needs nobody to be signed in, and what somebody gets who knows none of its secrets.
const OPEN: &[(&str, &str, u16)] = &[
    ("GET", "/setup/nobody", 404),
    ("POST", "/setup/nobody", 404),
    ("GET", "/login", 200),
    ("POST", "/login", 403),
    ("GET", "/login/code", 303),
    ("POST", "/login/code", 403),
    ("GET", "/login/sso", 404),
    ("GET", "/login/sso/callback", 403),
    ("GET", "/s/{secret}", 200),
    ("GET", "/s/nobody", 404),
    ("POST", "/s/{secret}/token", 403),
    ("POST", "/s/nobody/token", 403),
    ("POST", "/s/{secret}/done", 403),
];

/// What the tables above put in place of a part of a path.
const PARTS: [&str; 13] = [
    "{connection}",
    "{deleted}",
    "{account}",
    "{person}",
    "{role}",
    "{key}",
    "{token}",
    "{link}",
    "{user}",
    "{group}",
    "{request}",
    "{secret}",
    "nobody",
];

/// People of every kind, and one of each thing.
struct House {
    owner: Browser,
    others: [Browser; 3],
    stranger: Browser,
    parts: Vec<(&'static str, String)>,
}

impl House {
    fn new(app: &App) -> Self {
        let mut owner = Browser::owner(app);
        let (account, elsewhere) = (format!("house-{}", owner.email), format!("elsewhere-{}", owner.email));
        owner.submit("/accounts/new", &[("id", &elsewhere)]).answered(200);
        let live = app.configuration_of(&account, "okta");
        let gone = app.configuration_of(&account, "okta");
        gone.created("/Users", &json!({"schemas": [sample::USER], "userName": "left@house.example"}));
        let (name, delete) = (heading(&owner.get(&format!("/connections/{}", gone.id))), gone.id.clone());
        owner.submit(&format!("/connections/{delete}/delete"), &[("name", &name)]).answered(200);
        let user = live.created("/Users", &sample::user("somebody@house.example"));
        let group = live.created("/Groups", &sample::group("House", &[&user]));
        let connection = format!("/connections/{}", live.id);
        let made = owner.submit(&format!("{connection}/links"), &[("life", "3600")]).answered(200);
        let secret = made.between("/s/", "\"").to_owned();
        let links = owner.get(&format!("{connection}/links"));
        let link_id = links.between(&format!("action=\"{connection}/links/"), "/revoke").to_owned();
        let tokens = owner.get(&format!("{connection}/tokens"));
        let token = tokens.between(&format!("href=\"{connection}/tokens/01"), "\"").to_owned();
        let log = once_it_says(&mut owner, &format!("{connection}/requests"), "Added the group");
        let request = log.between(&format!("href=\"{connection}/requests/01"), "\"").to_owned();
        let role_name = format!("Auditor {}", owner.email);
        owner.submit("/settings/roles/new", &[("name", &role_name), ("audit.read", "on")]).answered(200);
        let key = owner.submit("/settings/keys/new", &[("name", "house"), ("audit.read", "on")]).answered(200);
        let others = [
            Browser::with_role(app, "provisioning-manager", None),
            Browser::with_role(app, "viewer", None),
            Browser::with_role(app, "provisioning-manager", Some(&elsewhere)),
        ];
        let person = link(&owner.get("/settings/people"), "/settings/people/", &others[1].email);
        let role = link(&owner.get("/settings/roles"), "/settings/roles/", &role_name);
        let parts = vec![
            ("{connection}", live.id),
            ("{user}", user),
            ("{group}", group),
            ("{secret}", secret),
            ("{link}", link_id),
            ("{token}", format!("01{token}")),
            ("{request}", format!("01{request}")),
            ("{deleted}", gone.id),
            ("{account}", sample::encode(&account)),
            ("{person}", person),
            ("{role}", role),
            ("{key}", key.at.rsplit('/').next().unwrap_or_default().to_owned()),
        ];
        Self { owner, others, stranger: Browser::stranger(app), parts }
    }

    fn path(&self, template: &str) -> String {
        self.parts.iter().fold(template.to_owned(), |path, (part, value)| path.replace(part, value))
    }
}

/// The first heading of a page.
fn heading(page: &Page) -> String {
    page.between("<h1>", "</h1>").to_owned()
}

/// The last part of the link below `folder` that stands closest before `text`.
fn link(page: &Page, folder: &str, text: &str) -> String {
    let before = page.text.split(text).next().unwrap_or_default();
    let (_, rest) = before.rsplit_once(&format!("href=\"{folder}")).unwrap_or_else(|| panic!("{text}: {}", page.text));
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn only(browser: &mut Browser, path: &str) -> Page {
    let request = browser.request("GET", path);
    browser.send(&request, path)
}

fn is_guarded(page: &Page) {
    let header = |name: &str| page.header(name).unwrap_or_else(|| panic!("{}: no {name}", page.at));
    let policy = header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{}: {policy}", page.at);
    }
    assert!(!policy.contains("unsafe"), "{}: {policy}", page.at);
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "same-origin");
    assert_eq!(header("cache-control"), "no-store");
    if page.status != 303 && header("content-type").starts_with("text/html") {
        assert_eq!(page.text.matches("<h1").count(), 1, "{}", page.at);
        assert!(!page.says(" style=") && !page.says(" onclick=") && !page.says("<script>"), "{}", page.at);
    }
}

/// A path of the tables with a mark for each part that varies, as the registered paths have them.
fn shape(path: &str) -> String {
    let part =
        |part: &str| if part.starts_with('{') || PARTS.contains(&part) { "*".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn no_place_of_the_portal_is_left_out_of_the_walks() {
    let pages = PAGES.iter().map(|(path, _)| ("GET", *path));
    let forms = FORMS.iter().map(|(path, _)| ("POST", *path));
    let open = OPEN.iter().map(|(method, path, _)| (*method, *path));
    let walked: BTreeSet<(&str, String)> =
        pages.chain(forms).chain(open).map(|(method, path)| (method, shape(path))).collect();
    let places: BTreeSet<(&str, String)> =
        rollcall::web::portal::places().into_iter().map(|(method, path)| (method, shape(path))).collect();
    let left_out: Vec<_> = places.difference(&walked).collect();
    assert!(left_out.is_empty(), "PAGES, FORMS or OPEN must say who may come here: {left_out:?}");
    let gone: Vec<_> = walked.difference(&places).collect();
    assert!(gone.is_empty(), "these are no places any more: {gone:?}");
}

#[test]
fn what_is_open_to_all_gives_nothing_to_those_who_know_nothing() {
    let (app, _folder) = own_app();
    let house = House::new(&app);
    let mut wrong = Vec::new();
    for (method, template, wanted) in OPEN {
        let path = house.path(template);
        let mut browser = Browser::stranger(&app);
        let request = with_fields(browser.request(method, &path), &[]);
        let page = browser.send(&request, &path);
        is_guarded(&page);
        if page.status != *wanted {
            wrong.push(format!("{method} {template}: {} instead of {wanted}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_page_opens_to_the_roles_it_is_for() {
    let (app, _folder) = own_app();
    let mut house = House::new(&app);
    let mut wrong = Vec::new();
    for (template, wanted) in PAGES {
        let path = house.path(template);
        let browsers = std::iter::once(&mut house.owner).chain(&mut house.others);
        for (browser, (who, wanted)) in browsers.zip(["owner", "manager", "viewer", "elsewhere"].iter().zip(wanted)) {
            let page = only(browser, &path);
            is_guarded(&page);
            if page.status != *wanted {
                wrong.push(format!("{template} to {who}: {} instead of {wanted}", page.status));
            }
        }
        let page = only(&mut house.stranger, &path);
        is_guarded(&page);
        let sent_to = page.header("location").unwrap_or_default();
        if page.status != 303 || !sent_to.starts_with("/login?next=") {
            wrong.push(format!("{template} to a stranger: {} {sent_to}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_form_is_taken_from_elsewhere_or_from_those_who_may_not() {
    let (app, _folder) = own_app();
    let mut house = House::new(&app);
    let mut wrong = Vec::new();
    let own = format!("http://{}", app.address);
    for (template, wanted) in FORMS {
        let path = house.path(template);
        let good = house.owner.form_token.clone();
        for (why, origin, token) in [
            ("without a token", own.as_str(), ""),
            ("with a made-up token", own.as_str(), "0123456789abcdef0123456789abcdef"),
            ("from another site", "https://evil.example", good.as_str()),
        ] {
            let request = house.owner.request("POST", &path).header("Origin", origin);
            let page = house.owner.send(&with_fields(request, &[("form_token", token)]), &path);
            is_guarded(&page);
            if page.status != 403 {
                wrong.push(format!("{template} {why}: {}", page.status));
            }
        }
        for (browser, wanted) in house.others.iter_mut().zip(wanted) {
            let request = browser.request("POST", &path).header("Origin", &own);
            let page = browser.send(&with_fields(request, &[]), &path);
            if page.status != *wanted {
                wrong.push(format!("{template} as {}: {} instead of {wanted}", browser.email, page.status));
            }
        }
        let request = house.stranger.request("POST", &path).header("Origin", &own);
        let page = house.stranger.send(&with_fields(request, &[]), &path);
        if page.status != 303 {
            wrong.push(format!("{template} as a stranger: {}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_role_lacks_is_refused_with_its_token_too() {
    let (app, _folder) = own_app();
    let mut house = House::new(&app);
    let viewer = 1;
    for template in
        ["/connections/new", "/accounts/{account}", "/settings/server/url", "/connections/deleted/{deleted}"]
    {
        let path = house.path(template);
        let page = house.others[viewer].submit_only(&path, &[]).answered(403);
        assert!(page.says("You may not do this"), "{template}: {}", page.text);
    }
}

#[test]
fn a_role_without_the_right_to_see_connections_learns_of_none() {
    let (app, _folder) = own_app();
    let mut house = House::new(&app);
    let role = house.path("{role}");
    let mut auditor = Browser::with_role(&app, &role, None);
    let connection = house.path("/connections/{connection}");
    for path in ["/connections", connection.as_str(), "/connections/nobody", "/settings/people"] {
        assert_eq!(only(&mut auditor, path).status, 404, "{path}");
    }
    assert_eq!(auditor.get("/audit").status, 200);
    assert!(!auditor.get("/audit").says("href=\"/connections\""));
    let demoted = house.path("/settings/people/{person}");
    house.owner.submit(&format!("{demoted}/active"), &[("active", "off")]).answered(200);
    assert!(house.others[1].get("/connections").at.starts_with("/login"), "a disabled person is still signed in");
}
