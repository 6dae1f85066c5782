//! Every page with every role: permissions, and the rules for all answers.

use std::collections::BTreeSet;

use serde_json::json;

use crate::app::App;
use crate::portal::browser::{Browser, Page, own_app, wait_for_text, with_fields};
use crate::sample;

/// The pages, with the status for an owner, a provisioning manager, a viewer, and a provisioning manager of another
/// account. Without a session the answer redirects to the sign-in page.
const PAGES: &[(&str, [u16; 4])] = &[
    ("/", [200, 200, 200, 200]),
    ("/app", [200, 200, 200, 200]),
    ("/users", [200, 200, 200, 200]),
    ("/users/export.csv", [200, 200, 200, 200]),
    ("/connections", [200, 200, 200, 200]),
    ("/connections/export.csv", [200, 200, 200, 200]),
    ("/connections/new", [200, 200, 403, 200]),
    ("/connections/links/new", [303, 303, 403, 303]),
    ("/connections/links/made", [200, 200, 403, 200]),
    ("/connections/links/made.csv", [303, 303, 403, 303]),
    ("/connections/receipt/{receipt}", [200, 200, 403, 404]),
    ("/connections/receipt/unknown", [404, 404, 403, 404]),
    ("/connections/deleted", [200, 200, 403, 200]),
    ("/connections/deleted/{deleted}", [200, 200, 403, 404]),
    ("/connections/deleted/{deleted}/users", [200, 200, 200, 404]),
    ("/connections/deleted/{deleted}/users/{left}", [200, 200, 200, 404]),
    ("/connections/deleted/{deleted}/users/unknown", [404, 404, 404, 404]),
    ("/connections/deleted/{deleted}/groups", [200, 200, 200, 404]),
    ("/connections/deleted/{deleted}/groups/{left}", [404, 404, 404, 404]),
    ("/connections/deleted/{deleted}/export/{export}", [200, 200, 200, 404]),
    ("/connections/deleted/{deleted}/export/unknown", [404, 404, 404, 404]),
    ("/connections/deleted/{connection}/users", [404, 404, 404, 404]),
    ("/connections/{deleted}/users", [404, 404, 404, 404]),
    ("/connections/{connection}", [200, 200, 200, 404]),
    ("/connections/{connection}/token", [200, 200, 200, 404]),
    ("/connections/{connection}/setup", [200, 200, 200, 404]),
    ("/connections/{connection}/settings", [200, 200, 403, 404]),
    ("/connections/{connection}/schemas", [200, 200, 403, 404]),
    ("/connections/{connection}/export/{export}", [200, 200, 200, 404]),
    ("/connections/{connection}/export/unknown", [404, 404, 404, 404]),
    ("/connections/{connection}/requests/export.csv", [200, 200, 403, 404]),
    ("/connections/{connection}/requests/{request}/replay", [200, 200, 403, 404]),
    ("/requests", [200, 200, 403, 200]),
    ("/requests/export.csv", [200, 200, 403, 200]),
    ("/connections/{connection}/delete", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens", [200, 200, 200, 404]),
    ("/connections/{connection}/tokens/new", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens/{token}", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens/{token}/revoke", [200, 200, 403, 404]),
    ("/connections/{connection}/tokens/unknown", [404, 404, 403, 404]),
    ("/connections/{connection}/oauth-clients/new", [200, 200, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}", [200, 200, 403, 404]),
    ("/connections/{connection}/oauth-clients/unknown", [404, 404, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/edit", [200, 200, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/delete", [200, 200, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/secrets/new", [200, 200, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/secrets/{oauth_secret}/delete", [200, 200, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/secrets/unknown/delete", [404, 404, 403, 404]),
    ("/connections/{connection}/links", [200, 200, 403, 404]),
    ("/connections/{connection}/links/made", [200, 200, 403, 404]),
    ("/connections/{connection}/undeclared", [200, 200, 200, 404]),
    ("/connections/{connection}/preview", [200, 200, 200, 404]),
    ("/connections/{connection}/hold", [200, 200, 200, 404]),
    ("/connections/{connection}/undo", [200, 200, 200, 404]),
    ("/connections/{connection}/users", [200, 200, 200, 404]),
    ("/connections/{connection}/users/{user}", [200, 200, 200, 404]),
    ("/connections/{connection}/users/unknown", [404, 404, 404, 404]),
    ("/connections/{connection}/groups", [200, 200, 200, 404]),
    ("/connections/{connection}/groups/{group}", [200, 200, 200, 404]),
    ("/connections/{connection}/groups/{user}", [404, 404, 404, 404]),
    ("/connections/{connection}/deleted", [200, 200, 200, 404]),
    ("/connections/{connection}/requests", [200, 200, 403, 404]),
    ("/connections/{connection}/requests/{request}", [200, 200, 403, 404]),
    ("/connections/{connection}/requests/unknown", [404, 404, 403, 404]),
    ("/connections/{connection}/events/{event}", [200, 200, 200, 404]),
    ("/connections/{connection}/events/unknown", [404, 404, 404, 404]),
    ("/connections/unknown", [404, 404, 404, 404]),
    ("/find", [200, 200, 200, 200]),
    ("/accounts", [200, 200, 200, 200]),
    ("/accounts/export.csv", [200, 200, 200, 200]),
    ("/accounts/new", [200, 403, 403, 403]),
    ("/accounts/{account}", [200, 200, 200, 404]),
    ("/accounts/{account}/delete", [200, 403, 403, 403]),
    ("/personal-data", [200, 200, 200, 200]),
    ("/personal-data/erase", [200, 200, 403, 200]),
    ("/personal-data/{personal_data}", [200, 200, 200, 404]),
    ("/personal-data/{personal_data}/file", [200, 200, 403, 404]),
    ("/personal-data/unknown", [404, 404, 404, 404]),
    ("/personal-data/unknown/file", [404, 404, 403, 404]),
    ("/audit", [200, 403, 403, 403]),
    ("/audit/export.csv", [200, 403, 403, 403]),
    ("/audit/export.json", [200, 403, 403, 403]),
    ("/webhooks", [200, 403, 403, 403]),
    ("/webhooks/new", [200, 403, 403, 403]),
    ("/webhooks/{webhook}", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/delete", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/settings", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/keys", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/lanes/{connection}", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/attempts", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/attempts/{attempt}", [200, 403, 403, 403]),
    ("/webhooks/{webhook}/lanes/unknown", [404, 403, 403, 403]),
    ("/webhooks/{webhook}/attempts/unknown", [404, 403, 403, 403]),
    ("/webhooks/unknown", [404, 403, 403, 403]),
    ("/profile", [200, 200, 200, 200]),
    ("/settings", [303, 403, 403, 403]),
    ("/settings/people", [200, 403, 403, 403]),
    ("/settings/people/new", [200, 403, 403, 403]),
    ("/settings/people/{admin_id}", [200, 403, 403, 403]),
    ("/settings/people/unknown", [404, 403, 403, 403]),
    ("/settings/people/invites/{invite}", [200, 403, 403, 403]),
    ("/settings/people/invites/unknown", [404, 403, 403, 403]),
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
    ("/settings/branding", [200, 403, 403, 403]),
    ("/settings/backup/unknown", [404, 403, 403, 403]),
    ("/settings/doctor", [200, 403, 403, 403]),
    ("/settings/about", [200, 403, 403, 403]),
    ("/settings/about/licences", [200, 403, 403, 403]),
    ("/settings/sso", [200, 403, 403, 403]),
    ("/settings/sso/test", [404, 403, 403, 403]),
];

/// The form actions, with the status for a provisioning manager, a viewer, and a provisioning manager of another
/// account who send a form without a token: 403 even with permission, because the form token is absent.
const FORMS: &[(&str, [u16; 3])] = &[
    ("/logout", [403, 403, 403]),
    ("/app/test", [403, 403, 403]),
    ("/connections/new", [403, 403, 403]),
    ("/connections/bulk", [403, 403, 403]),
    ("/connections/links/new", [403, 403, 403]),
    ("/connections/{connection}/sync", [403, 403, 403]),
    ("/connections/{connection}/simulation", [403, 403, 403]),
    ("/connections/{connection}/simulation/remove", [403, 403, 403]),
    ("/connections/{connection}/hold", [403, 403, 403]),
    ("/connections/{connection}/undo", [403, 403, 403]),
    ("/connections/{connection}/requests/{request}/replay", [403, 403, 403]),
    ("/connections/{connection}/quotas", [403, 403, 403]),
    ("/connections/{connection}/settings", [403, 403, 403]),
    ("/connections/{connection}/undeclared", [403, 403, 404]),
    ("/connections/{connection}/schemas", [403, 403, 403]),
    ("/connections/{connection}/schemas/remove", [403, 403, 403]),
    ("/connections/{connection}/delete", [403, 403, 404]),
    ("/connections/{connection}/deleted/{user}/restore", [403, 403, 403]),
    ("/connections/deleted/{deleted}", [403, 403, 404]),
    ("/connections/{connection}/tokens/new", [403, 403, 403]),
    ("/connections/{connection}/tokens/revoke-all", [403, 403, 404]),
    ("/connections/{connection}/tokens/{token}", [403, 403, 403]),
    ("/connections/{connection}/tokens/{token}/revoke", [403, 403, 403]),
    ("/connections/{connection}/oauth-clients/new", [403, 403, 403]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/edit", [403, 403, 404]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/state", [403, 403, 403]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/delete", [403, 403, 403]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/secrets/new", [403, 403, 403]),
    ("/connections/{connection}/oauth-clients/{oauth_client}/secrets/{oauth_secret}/delete", [403, 403, 403]),
    ("/connections/{connection}/links", [403, 403, 403]),
    ("/connections/{connection}/links/{link}/revoke", [403, 403, 403]),
    ("/accounts/new", [403, 403, 403]),
    ("/accounts/{account}", [403, 403, 403]),
    ("/accounts/{account}/delete", [403, 403, 403]),
    ("/accounts/{account}/quotas", [403, 403, 403]),
    ("/personal-data/export", [403, 403, 403]),
    ("/personal-data/erase", [403, 403, 403]),
    ("/webhooks/new", [403, 403, 403]),
    ("/webhooks/{webhook}/state", [403, 403, 403]),
    ("/webhooks/{webhook}/test", [403, 403, 403]),
    ("/webhooks/{webhook}/delete", [403, 403, 403]),
    ("/webhooks/{webhook}/settings", [403, 403, 403]),
    ("/webhooks/{webhook}/keys", [403, 403, 403]),
    ("/webhooks/{webhook}/keys/{webhook_key}/remove", [403, 403, 403]),
    ("/webhooks/{webhook}/lanes/{connection}", [403, 403, 403]),
    ("/webhooks/{webhook}/lanes/{connection}/resend", [403, 403, 403]),
    ("/webhooks/{webhook}/attempts/{attempt}/resend", [403, 403, 403]),
    ("/settings/server/account-webhooks", [403, 403, 403]),
    ("/profile/codes", [403, 403, 403]),
    ("/profile/codes/confirm", [403, 403, 403]),
    ("/profile/codes/off", [403, 403, 403]),
    ("/profile/password", [403, 403, 403]),
    ("/profile/sessions", [403, 403, 403]),
    ("/profile/sso", [403, 403, 403]),
    ("/profile/theme", [403, 403, 403]),
    ("/profile/wrong-codes", [403, 403, 403]),
    ("/profile/zone", [403, 403, 403]),
    ("/settings/people/new", [403, 403, 403]),
    ("/settings/people/invites/{invite}/revoke", [403, 403, 403]),
    ("/settings/people/{admin_id}", [403, 403, 403]),
    ("/settings/people/{admin_id}/active", [403, 403, 403]),
    ("/settings/people/{admin_id}/password", [403, 403, 403]),
    ("/settings/people/{admin_id}/unlink", [403, 403, 403]),
    ("/settings/sso", [403, 403, 403]),
    ("/settings/sso/remove", [403, 403, 403]),
    ("/settings/roles/new", [403, 403, 403]),
    ("/settings/roles/{role}", [403, 403, 403]),
    ("/settings/roles/{role}/remove", [403, 403, 403]),
    ("/settings/keys/new", [403, 403, 403]),
    ("/settings/keys/{key}/revoke", [403, 403, 403]),
    ("/settings/people/{admin_id}/unlink", [403, 403, 403]),
    ("/settings/sso", [403, 403, 403]),
    ("/settings/sso/remove", [403, 403, 403]),
    ("/settings/server/url", [403, 403, 403]),
    ("/settings/server/self-service", [403, 403, 403]),
    ("/settings/backup", [403, 403, 403]),
    ("/settings/backup/download", [403, 403, 403]),
    ("/settings/backup/unknown/verify", [403, 403, 403]),
    ("/settings/branding", [403, 403, 403]),
    ("/settings/doctor/clock", [403, 403, 403]),
];

/// Routes without a session, with the status for a caller who does not know the secret.
const OPEN: &[(&str, &str, u16)] = &[
    ("GET", "/docs", 200),
    ("GET", "/docs/unknown", 404),
    ("GET", "/setup/unknown", 404),
    ("POST", "/setup/unknown", 404),
    ("GET", "/invite/unknown", 404),
    ("POST", "/invite/unknown", 403),
    ("GET", "/login", 200),
    ("POST", "/login", 403),
    ("GET", "/login/code", 303),
    ("POST", "/login/code", 403),
    ("GET", "/login/link", 303),
    ("POST", "/login/link", 403),
    ("GET", "/login/sso", 404),
    ("GET", "/login/sso/callback", 403),
    ("GET", "/brand/unknown/style.css", 404),
    ("GET", "/brand/unknown/logo", 404),
    ("GET", "/s/{secret}", 200),
    ("GET", "/s/unknown", 404),
    ("POST", "/s/{secret}/token", 403),
    ("POST", "/s/unknown/token", 403),
    ("POST", "/s/{secret}/old-token", 403),
    ("POST", "/s/{secret}/provider", 403),
    ("POST", "/s/{secret}/client", 403),
    ("POST", "/s/unknown/client", 403),
    ("POST", "/s/{secret}/client-secret", 403),
    ("GET", "/s/{secret}/done", 200),
    ("GET", "/s/unknown/done", 404),
    ("POST", "/s/{secret}/done", 403),
];

/// The placeholders of the tables above.
const PARTS: [&str; 24] = [
    "{invite}",
    "{left}",
    "{export}",
    "{connection}",
    "{receipt}",
    "{deleted}",
    "{account}",
    "{admin_id}",
    "{role}",
    "{key}",
    "{token}",
    "{link}",
    "{user}",
    "{group}",
    "{request}",
    "{event}",
    "{webhook}",
    "{webhook_key}",
    "{attempt}",
    "{oauth_client}",
    "{oauth_secret}",
    "{personal_data}",
    "{secret}",
    "unknown",
];

/// Browsers with every kind of role, and one object of each kind.
struct PortalFixture {
    owner: Browser,
    others: [Browser; 3],
    anonymous: Browser,
    parts: Vec<(&'static str, String)>,
}

impl PortalFixture {
    fn new(app: &App) -> Self {
        let mut owner = Browser::owner(app);
        let (account, elsewhere) = (format!("house-{}", owner.email), format!("elsewhere-{}", owner.email));
        owner.submit("/accounts/new", &[("id", &elsewhere)]).answered(200);
        let live = app.configuration_of(&account, "okta");
        let gone = app.configuration_of(&account, "okta");
        let left = gone.created("/Users", &json!({"schemas": [sample::USER], "userName": "left@house.example"}));
        let (name, delete) = (heading(&owner.get(&format!("/connections/{}", gone.id))), gone.id.clone());
        let deleted = owner.submit(&format!("/connections/{delete}/delete"), &[("name", &name)]).answered(200);
        let receipt = deleted.at.rsplit('/').next().unwrap_or_default().to_owned();
        let user = live.created("/Users", &sample::user("user@house.example"));
        let group = live.created("/Groups", &sample::group("House", &[&user]));
        let connection = format!("/connections/{}", live.id);
        let (secret, link_id) = add_link(&mut owner, &connection);
        let tokens = owner.get(&format!("{connection}/tokens"));
        let token = tokens.between(&format!("href=\"{connection}/tokens/01"), "\"").to_owned();
        let (oauth_client, oauth_secret) = add_oauth_client(&mut owner, &connection);
        let log = wait_for_text(&mut owner, &format!("{connection}/requests"), ">Created group </a>");
        let request = log.between(&format!("href=\"{connection}/requests/01"), "\"").to_owned();
        let history = owner.get(&format!("{connection}/users/{user}"));
        let event = history.between(&format!("href=\"{connection}/events/"), "\"").to_owned();
        let role_name = format!("Auditor {}", owner.email);
        owner.submit("/settings/roles/new", &[("name", &role_name), ("audit.read", "on")]).answered(200);
        let key = owner.submit("/settings/keys/new", &[("name", "house"), ("audit.read", "on")]).answered(200);
        let invite = add_invite(&mut owner);
        let webhook = add_webhook(&mut owner);
        let personal_data = add_export(&mut owner, &account, &user);
        let others = [
            Browser::with_role(app, "provisioning-manager", None),
            Browser::with_role(app, "viewer", None),
            Browser::with_role(app, "provisioning-manager", Some(&elsewhere)),
        ];
        let admin_id = link(&owner.get("/settings/people"), "/settings/people/", &others[1].email);
        let role = link(&owner.get("/settings/roles"), "/settings/roles/", &role_name);
        let parts = vec![
            ("{receipt}", receipt),
            ("{invite}", invite),
            ("{left}", left),
            ("{export}", "users.csv".to_owned()),
            ("{connection}", live.id),
            ("{user}", user),
            ("{group}", group),
            ("{secret}", secret),
            ("{personal_data}", personal_data),
            ("{oauth_client}", oauth_client),
            ("{oauth_secret}", oauth_secret),
            ("{link}", link_id),
            ("{token}", format!("01{token}")),
            ("{request}", format!("01{request}")),
            ("{deleted}", gone.id),
            ("{account}", sample::encode(&account)),
            ("{admin_id}", admin_id),
            ("{role}", role),
            ("{event}", event),
            ("{webhook}", webhook.id),
            ("{webhook_key}", webhook.key),
            ("{attempt}", webhook.attempt),
            ("{key}", key.at.rsplit('/').next().unwrap_or_default().to_owned()),
        ];
        Self { owner, others, anonymous: Browser::anonymous(app), parts }
    }

    fn path(&self, template: &str) -> String {
        self.parts.iter().fold(template.to_owned(), |path, (part, value)| path.replace(part, value))
    }
}

/// Adds a setup link; returns its secret and its id.
fn add_link(owner: &mut Browser, connection: &str) -> (String, String) {
    let made = owner.submit(&format!("{connection}/links"), &[("life", "3600")]).answered(200);
    let links = owner.get(&format!("{connection}/links"));
    let id = links.between(&format!("action=\"{connection}/links/"), "/revoke").to_owned();
    (made.between("/s/", "\"").to_owned(), id)
}

/// Invites an admin; returns the id of the invitation.
fn add_invite(owner: &mut Browser) -> String {
    let page = owner.submit("/settings/people/new", &[("email", "house@invite.example"), ("role", "viewer")]);
    page.answered(200).at.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Exports the data of a user; returns the id of the request.
fn add_export(owner: &mut Browser, account: &str, user: &str) -> String {
    let page = owner.submit("/personal-data/export", &[("account", account), ("user", user)]).answered(200);
    let id = page.at.rsplit('/').next().unwrap_or_default().to_owned();
    wait_for_text(owner, &format!("/personal-data/{id}"), "Download the JSON file");
    id
}

/// Adds an OAuth client; returns its id and that of its secret.
fn add_oauth_client(owner: &mut Browser, connection: &str) -> (String, String) {
    let fields = [
        ("method", "secret"),
        ("label", "house"),
        ("scope", "scim"),
        ("accessTokenLifetime", "3600"),
        ("secretExpiresIn", "31536000"),
    ];
    let page = owner.submit(&format!("{connection}/oauth-clients/new"), &fields).answered(200);
    let client = page.between("/oauth-clients/", "/").to_owned();
    let secret = page.between(&format!("/oauth-clients/{client}/secrets/"), "/delete").to_owned();
    (client, secret)
}

/// Ids of a webhook with an earlier key and an attempt.
struct AddedWebhook {
    id: String,
    key: String,
    attempt: String,
}

fn add_webhook(owner: &mut Browser) -> AddedWebhook {
    let fields = [
        ("url", "https://hook.invalid/events"),
        ("events", "all"),
        ("format", "standard"),
        ("payload", "full"),
        ("batchSize", "100"),
        ("start", "latest"),
        ("signature", "hmac"),
    ];
    let made = owner.submit("/webhooks/new", &fields).answered(200);
    let id = made.at.split('/').nth(2).unwrap_or_default().to_owned();
    let keys = owner.submit(&format!("/webhooks/{id}/keys"), &[("overlap", "24h")]).answered(200);
    let key = keys.between("/keys/", "/remove").to_owned();
    let test = owner.submit(&format!("/webhooks/{id}/test"), &[]).answered(200);
    let attempt = test.at.rsplit('/').next().unwrap_or_default().to_owned();
    AddedWebhook { id, key, attempt }
}

/// The first heading of a page.
fn heading(page: &Page) -> String {
    page.between("<h1>", "</h1>").to_owned()
}

/// The last segment of the link below `folder` that precedes `text` most closely.
fn link(page: &Page, folder: &str, text: &str) -> String {
    let before = page.text.split(text).next().unwrap_or_default();
    let (_, rest) = before.rsplit_once(&format!("href=\"{folder}")).unwrap_or_else(|| panic!("{text}: {}", page.text));
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn only(browser: &mut Browser, path: &str) -> Page {
    let request = browser.request("GET", path);
    browser.send(&request, path)
}

fn assert_security_headers(page: &Page) {
    let header = |name: &str| page.header(name).unwrap_or_else(|| panic!("{}: no {name}", page.at));
    let policy = header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{}: {policy}", page.at);
    }
    assert!(!policy.contains("unsafe"), "{}: {policy}", page.at);
    assert_eq!(header("x-content-type-options"), "nosniff");
    // The URL of a setup page contains a secret.
    let has_secret = page.at.starts_with("/s/") || page.status == 200 && page.at.starts_with("/setup/");
    assert_eq!(header("referrer-policy"), if has_secret { "strict-origin" } else { "same-origin" }, "{}", page.at);
    assert_eq!(header("cache-control"), "no-store");
    if page.status != 303 && header("content-type").starts_with("text/html") {
        assert_eq!(page.text.matches("<h1").count(), 1, "{}", page.at);
        assert!(!page.contains(" style=") && !page.contains(" onclick=") && !page.contains("<script>"), "{}", page.at);
    }
}

/// A path of the tables or a registered path with `*` for each variable segment.
fn shape(path: &str) -> String {
    let part =
        |part: &str| if part.starts_with('{') || PARTS.contains(&part) { "*".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn the_tables_list_every_route_of_the_portal() {
    let pages = PAGES.iter().map(|(path, _)| ("GET", *path));
    let forms = FORMS.iter().map(|(path, _)| ("POST", *path));
    let open = OPEN.iter().map(|(method, path, _)| (*method, *path));
    let walked: BTreeSet<(&str, String)> =
        pages.chain(forms).chain(open).map(|(method, path)| (method, shape(path))).collect();
    let routes: BTreeSet<(&str, String)> =
        rollcall::web::portal::list_routes().into_iter().map(|(method, path)| (method, shape(path))).collect();
    let left_out: Vec<_> = routes.difference(&walked).collect();
    assert!(left_out.is_empty(), "PAGES, FORMS or OPEN must list: {left_out:?}");
    let gone: Vec<_> = walked.difference(&routes).collect();
    assert!(gone.is_empty(), "these routes no longer exist: {gone:?}");
}

#[test]
fn public_routes_return_nothing_without_the_secret() {
    let (app, _folder) = own_app();
    let fixture = PortalFixture::new(&app);
    let mut wrong = Vec::new();
    for (method, template, expected) in OPEN {
        let path = fixture.path(template);
        let mut browser = Browser::anonymous(&app);
        let request = with_fields(browser.request(method, &path), &[]);
        let page = browser.send(&request, &path);
        assert_security_headers(&page);
        if page.status != *expected {
            wrong.push(format!("{method} {template}: {} instead of {expected}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_page_is_allowed_only_for_its_roles() {
    let (app, _folder) = own_app();
    let mut fixture = PortalFixture::new(&app);
    let mut wrong = Vec::new();
    for (template, expected) in PAGES {
        let path = fixture.path(template);
        let browsers = std::iter::once(&mut fixture.owner).chain(&mut fixture.others);
        for (browser, (role, expected)) in
            browsers.zip(["owner", "manager", "viewer", "elsewhere"].iter().zip(expected))
        {
            let page = only(browser, &path);
            assert_security_headers(&page);
            if page.status != *expected {
                wrong.push(format!("{template} to {role}: {} instead of {expected}", page.status));
            }
        }
        let page = only(&mut fixture.anonymous, &path);
        assert_security_headers(&page);
        let sent_to = page.header("location").unwrap_or_default();
        if page.status != 303 || !sent_to.starts_with("/login?next=") {
            wrong.push(format!("{template} without a session: {} {sent_to}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_form_is_accepted_from_another_site_or_without_permission() {
    let (app, _folder) = own_app();
    let mut fixture = PortalFixture::new(&app);
    let mut wrong = Vec::new();
    let own = format!("http://{}", app.address);
    for (template, expected) in FORMS {
        let path = fixture.path(template);
        let good = fixture.owner.form_token.clone();
        for (why, origin, token) in [
            ("without a token", own.as_str(), ""),
            ("with a made-up token", own.as_str(), "0123456789abcdef0123456789abcdef"),
            ("from another site", "https://evil.example", good.as_str()),
        ] {
            let request = fixture.owner.request("POST", &path).header("Origin", origin);
            let page = fixture.owner.send(&with_fields(request, &[("form_token", token)]), &path);
            assert_security_headers(&page);
            if page.status != 403 {
                wrong.push(format!("{template} {why}: {}", page.status));
            }
        }
        for (browser, expected) in fixture.others.iter_mut().zip(expected) {
            let request = browser.request("POST", &path).header("Origin", &own);
            let page = browser.send(&with_fields(request, &[]), &path);
            if page.status != *expected {
                wrong.push(format!("{template} as {}: {} instead of {expected}", browser.email, page.status));
            }
        }
        let request = fixture.anonymous.request("POST", &path).header("Origin", &own);
        let page = fixture.anonymous.send(&with_fields(request, &[]), &path);
        if page.status != 303 {
            wrong.push(format!("{template} without a session: {}", page.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_valid_form_token_does_not_replace_a_permission() {
    let (app, _folder) = own_app();
    let mut fixture = PortalFixture::new(&app);
    let viewer = 1;
    for template in
        ["/connections/new", "/accounts/{account}", "/settings/server/url", "/connections/deleted/{deleted}"]
    {
        let path = fixture.path(template);
        let page = fixture.others[viewer].submit_only(&path, &[]).answered(403);
        assert!(page.contains("You don’t have permission"), "{template}: {}", page.text);
    }
}

#[test]
fn a_role_without_read_permission_sees_no_connections() {
    let (app, _folder) = own_app();
    let mut fixture = PortalFixture::new(&app);
    let role = fixture.path("{role}");
    let mut auditor = Browser::with_role(&app, &role, None);
    let connection = fixture.path("/connections/{connection}");
    for path in ["/connections", connection.as_str(), "/connections/unknown", "/settings/people"] {
        assert_eq!(only(&mut auditor, path).status, 404, "{path}");
    }
    assert_eq!(auditor.get("/audit").status, 200);
    assert!(!auditor.get("/audit").contains("href=\"/connections\""));
    let demoted = fixture.path("/settings/people/{admin_id}");
    fixture.owner.submit(&format!("{demoted}/active"), &[("active", "off")]).answered(200);
    assert!(fixture.others[1].get("/connections").at.starts_with("/login"), "a disabled admin is still signed in");
}
