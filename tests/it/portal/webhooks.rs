//! Webhooks in the portal: the form, keys, lanes, attempts, and the chain from an event to its deliveries.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::app::{App, open_database, wait_until};
use crate::portal::browser::{Browser, Page, wait_for_text};
use crate::sample;

/// An endpoint of an application on this machine.
#[derive(Clone)]
struct Endpoint {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    /// Head and body of each request.
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Endpoint {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Self {
            address: listener.local_addr().unwrap(),
            status: Arc::new(AtomicU16::new(200)),
            requests: Arc::default(),
        };
        let own = endpoint.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                own.answer(stream);
            }
        });
        endpoint
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            head.push_str(&line.to_lowercase());
            line.clear();
        }
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("0");
        let mut body = vec![0; length.trim().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        self.requests.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
        let status = self.status.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 12\r\nConnection: close\r\n\r\n<b>seen</b>\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    }

    fn url(&self) -> String {
        format!("http://user:pa55@{}/events?key=s3cret", self.address)
    }

    fn set_status(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn last(&self) -> (String, String) {
        self.requests.lock().unwrap().last().cloned().unwrap()
    }
}

fn start_app() -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (App::start_with(folder.path(), &["--outgoing-allow-networks", "127.0.0.1"]), folder)
}

/// The form with its defaults.
fn fields<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("events", "all"),
        ("format", "standard"),
        ("payload", "full"),
        ("batchSize", "100"),
        ("start", "latest"),
        ("signature", "hmac"),
    ];
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more);
    all
}

/// Adds a webhook and returns the page that follows, and its path.
#[track_caller]
fn add_webhook(browser: &mut Browser, more: &[(&str, &str)]) -> (Page, String) {
    let page = browser.submit("/webhooks/new", &fields(more)).answered(200);
    let id = page.at.split('/').nth(2).unwrap().to_owned();
    (page, format!("/webhooks/{id}"))
}

#[test]
fn errors_are_at_the_fields_and_the_input_stays() {
    let (app, _folder) = start_app();
    let mut owner = Browser::owner(&app);
    let empty = owner.get("/webhooks").answered(200);
    assert!(empty.contains("No webhooks yet") && empty.contains("href=\"/webhooks/new\""), "{}", empty.text);
    let wrong = [
        ("url", "https://10.0.0.1/events"),
        ("description", "My application"),
        ("events", "some"),
        ("batchSize", "0"),
        ("rateLimit", "many"),
        ("headers", "Host: x"),
    ];
    let page = owner.submit_only("/webhooks/new", &fields(&wrong)).answered(422);
    for (field, sentence) in [
        ("url", "--outgoing-allow-networks"),
        ("kinds", "at least one kind"),
        ("batchSize", "from 1 to 100"),
        ("rateLimit", "from 1 to 1000"),
        ("headers", "is not allowed"),
    ] {
        let problem = page.between(&format!("id=\"{field}-problem\">"), "</p>");
        assert!(problem.contains(sentence), "{field}: {problem}");
        assert!(page.contains(&format!("href=\"#{field}\"")), "{field} is not in the summary");
    }
    assert!(page.contains("value=\"My application\"") && page.contains("value=\"https://10.0.0.1/events\""));
    assert!(page.contains("<details open>"), "the folded fields with errors are closed");
    for (name, value, problem) in [
        ("url", "ftp://app.example.com/", "url"),
        ("url", "", "url"),
        ("account", "no-such-account", "account"),
        ("signature", "none", "signature"),
        ("start", "", "start"),
        ("headers", "x-a: 1\nx-a: 2", "headers"),
        ("headers", "x-a: ***", "headers"),
        ("headers", "no colon", "headers"),
    ] {
        let given = [("url", "https://app.example.com/events"), (name, value)];
        let given: Vec<_> = if name == "url" { vec![(name, value)] } else { given.to_vec() };
        let page = owner.submit_only("/webhooks/new", &fields(&given)).answered(422);
        assert!(page.contains(&format!("id=\"{problem}-problem\"")), "{name}={value}: {}", page.text);
    }
    let nothing = [
        ("url", "https://app.example.com/events"),
        ("format", "set"),
        ("events", "some"),
        ("kind.configuration.created", "on"),
    ];
    let page = owner.submit_only("/webhooks/new", &fields(&nothing)).answered(422);
    assert!(page.between("id=\"kinds-problem\">", "</p>").contains("users and groups only"), "{}", page.text);
    assert!(owner.get("/webhooks").contains("No webhooks yet"));
}

#[test]
fn the_secret_is_displayed_once_with_code_that_verifies() {
    let (app, _folder) = start_app();
    let (mut owner, mut other) = (Browser::owner(&app), Browser::owner(&app));
    let (page, path) = add_webhook(&mut owner, &[("url", "https://app.example.com/in/events")]);
    let secret = page.between("value=\"whsec_", "\"").to_owned();
    assert_eq!(secret.len(), 44);
    for language in ["Node", "Python", "Go", "Rust"] {
        assert!(page.contains(&format!("<summary>{language}</summary>")), "{language}");
    }
    assert_eq!(page.text.matches("/in/events").count(), 4, "{}", page.text);
    let keys = format!("{path}/keys");
    assert!(owner.get(&keys).contains(&secret), "a reload loses the secret");
    assert!(!other.get(&keys).contains("whsec_") || !other.get(&keys).contains(&secret));
    // A rotation: both keys sign, then the earlier one is removed.
    let wrong = owner.submit_only(&keys, &[("overlap", "9d")]).answered(422);
    assert!(wrong.contains("id=\"overlap-problem\""), "{}", wrong.text);
    let rotated = owner.submit(&keys, &[("overlap", "24h")]).answered(200);
    assert!(!rotated.contains(&secret) && rotated.contains("value=\"whsec_"), "{}", rotated.text);
    let earlier = rotated.between("/keys/", "/remove").to_owned();
    let current = rotated.between("<th scope=\"row\" class=\"break\"><code>", "</code>").to_owned();
    assert_ne!(earlier, current);
    owner.submit_only(&format!("{keys}/{current}/remove"), &[]).answered(409);
    let removed = owner.submit(&format!("{keys}/{earlier}/remove"), &[]).answered(200);
    assert!(!removed.contains(&earlier) && removed.contains(&current), "{}", removed.text);
    // A key pair has no secret. Its public key is always readable.
    let (page, path) = add_webhook(&mut owner, &[("url", "https://app.example.com/"), ("signature", "ed25519")]);
    assert!(!page.contains("value=\"whsec_"), "{}", page.text);
    let public = page.between("whpk_", "<").to_owned();
    assert!(page.text.matches(&public).count() == 5 && other.get(&format!("{path}/keys")).contains(&public));
}

#[test]
fn secrets_of_the_settings_are_masked_and_stay_when_the_form_is_saved() {
    let (app, _folder) = start_app();
    let endpoint = Endpoint::start();
    let mut owner = Browser::owner(&app);
    let url = endpoint.url();
    let headers = "Authorization: Bearer t0ken\nX-Team: blue";
    let (_, path) = add_webhook(&mut owner, &[("url", &url), ("headers", headers), ("description", "Directory")]);
    let settings = owner.get(&format!("{path}/settings")).answered(200);
    let masked = format!("http://***@{}/events?***", endpoint.address);
    assert_eq!(settings.between("name=\"url\" type=\"url\" value=\"", "\""), masked);
    assert!(settings.contains("authorization: ***") && settings.contains("x-team: ***"), "{}", settings.text);
    for page in ["/webhooks", &path, &format!("{path}/keys"), &format!("{path}/attempts"), "/audit"] {
        let page = owner.get(page).answered(200);
        for secret in ["pa55", "s3cret", "t0ken"] {
            assert!(!page.contains(secret), "{secret}: {}", page.text);
        }
    }
    let saved = [("url", masked.as_str()), ("headers", "x-team: ***\nauthorization: ***"), ("description", "Renamed")];
    let page = owner.submit(&format!("{path}/settings"), &fields(&saved)).answered(200);
    assert!(page.contains("<h1>Renamed</h1>") && page.contains("Changes saved."), "{}", page.text);
    let test = owner.submit(&format!("{path}/test"), &[]).answered(200);
    assert!(test.contains("Accepted.") && test.contains("Your application answered 200"), "{}", test.text);
    assert!(test.contains("&#60;b&#62;seen") && !test.contains("<b>seen"), "{}", test.text);
    let (head, body) = endpoint.last();
    assert!(head.contains("authorization: bearer t0ken") && head.starts_with("post /events?key=s3cret"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["type"], "webhook.test");
    // A masked part in another URL is not a value.
    let wrong = [("url", "https://***@other.example.com/"), ("headers", "")];
    let page = owner.submit_only(&format!("{path}/settings"), &fields(&wrong)).answered(422);
    assert!(page.between("id=\"url-problem\">", "</p>").contains("whole URL"), "{}", page.text);
    endpoint.set_status(302);
    let test = owner.submit(&format!("{path}/test"), &[]).answered(200);
    assert!(test.contains("Redirects are not followed."), "{}", test.text);
}

#[test]
fn an_event_leads_to_its_deliveries_and_back() {
    let (app, _folder) = start_app();
    let endpoint = Endpoint::start();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let old = client.created("/Users", &sample::user("before@hook.example"));
    let url = endpoint.url();
    let (_, path) = add_webhook(&mut owner, &[("url", &url), ("events", "some"), ("kind.user.created", "on")]);
    let user = client.created("/Users", &sample::user("ada@hook.example"));
    let attempts = wait_for_text(&mut owner, &format!("{path}/attempts"), "200 accepted");
    let attempt = attempts.between(&format!("href=\"{path}/attempts/"), "\"").to_owned();
    let page = owner.get(&format!("{path}/attempts/{attempt}")).answered(200);
    let user_path = format!("/connections/{}/users/{user}", client.id);
    assert!(page.contains("ada@hook.example") && page.contains(&format!("href=\"{user_path}\"")), "{}", page.text);
    assert!(page.contains("webhook-signature: ***") && page.contains("user.created"), "{}", page.text);
    assert!(!page.contains("have changed since"), "the body is not the one that was sent: {}", page.text);
    let event = page.between(&format!("href=\"/connections/{}/events/", client.id), "\"").to_owned();
    // From the user to the event and its deliveries.
    let history = owner.get(&user_path).answered(200);
    let event_path = format!("/connections/{}/events/{event}", client.id);
    assert!(history.contains(&format!("href=\"{event_path}\"")), "{}", history.text);
    let page = owner.get(&event_path).answered(200);
    assert!(page.contains(&format!("href=\"{path}/attempts/{attempt}\"")), "{}", page.text);
    assert!(page.contains("200 accepted"), "{}", page.text);
    client.patch(&format!("/Users/{user}"), &sample::operation("replace", "title", &json!("x"))).answered(200);
    let changed = owner.get(&user_path);
    let newest = changed.between(&format!("href=\"/connections/{}/events/", client.id), "\"").to_owned();
    let page = owner.get(&format!("/connections/{}/events/{newest}", client.id)).answered(200);
    assert!(page.contains("It does not get events of this kind."), "{}", page.text);
    let before = owner.get(&format!("/connections/{}/users/{old}", client.id));
    let first = before.between(&format!("href=\"/connections/{}/events/", client.id), "\"").to_owned();
    let page = owner.get(&format!("/connections/{}/events/{first}", client.id)).answered(200);
    assert!(page.contains("No attempt is stored."), "{}", page.text);
    // From the request log to the event.
    let log =
        wait_for_text(&mut owner, &format!("/connections/{}/requests?method=POST", client.id), "ada@hook.example");
    let request = log.between(&format!("href=\"/connections/{}/requests/01", client.id), "\"").to_owned();
    let page = owner.get(&format!("/connections/{}/requests/01{request}", client.id)).answered(200);
    assert!(page.contains("What changed") && page.contains(&format!("href=\"{event_path}\"")), "{}", page.text);
    // The live test and the overview of the connection.
    let page = owner.get(&format!("/connections/{}", client.id)).answered(200);
    assert!(page.contains("A webhook delivered the first event"), "{}", page.text);
    assert!(page.contains(&format!("href=\"{event_path}#deliveries\"")), "{}", page.text);
    check_resends(&mut owner, &endpoint, &path, &attempt, &client.id);
}

/// Sends one request and a range again.
#[track_caller]
fn check_resends(owner: &mut Browser, endpoint: &Endpoint, path: &str, attempt: &str, configuration: &str) {
    let before = endpoint.count();
    let first = endpoint.last();
    owner.submit(&format!("{path}/attempts/{attempt}/resend"), &[]).answered(200);
    wait_until("a repetition", || endpoint.count() > before);
    let (head, body) = endpoint.last();
    assert!(head.contains("webhook-resend: true") && body == first.1, "{head}");
    wait_for_text(owner, &format!("{path}/attempts"), "(again, on request)");
    let resend = format!("{path}/lanes/{configuration}/resend");
    for (from, to) in [("", ""), ("0", "5"), ("9", "5"), ("1000", "2000")] {
        let page = owner.submit_only(&resend, &[("from", from), ("to", to)]).answered(422);
        assert!(page.contains("-problem\""), "{from} {to}: {}", page.text);
    }
    owner.submit(&resend, &[("from", "1"), ("to", "1000")]).answered(200);
    wait_until("a repetition of a range", || endpoint.count() > before + 1);
    let audit = owner.get("/audit?action=webhook.resent").answered(200);
    assert!(audit.contains("webhook.resent") && audit.contains(&owner.email), "{}", audit.text);
}

#[test]
fn events_that_fail_are_reported_and_an_admin_resumes_or_skips_them() {
    let (app, _folder) = start_app();
    let endpoint = Endpoint::start();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let url = endpoint.url();
    let (_, path) = add_webhook(&mut owner, &[("url", &url), ("description", "Directory")]);
    endpoint.set_status(500);
    client.created("/Users", &sample::user("one@fail.example"));
    let page = wait_for_text(&mut owner, &path, "Retrying");
    assert!(page.contains("status 500") && page.contains("retrying for 1 connection"), "{}", page.text);
    assert!(owner.get("/webhooks").contains("retrying for 1 connection"));
    let failures = owner.get(&format!("{path}/attempts?outcome=failure")).answered(200);
    assert!(failures.contains("500 failed"), "{}", failures.text);
    let failed = failures.between(&format!("href=\"{path}/attempts/"), "\"").to_owned();
    let page = owner.get(&format!("{path}/attempts/{failed}")).answered(200);
    assert!(page.contains("Your application failed.") && !page.contains("/resend\""), "{}", page.text);
    owner.submit_only(&format!("{path}/attempts/{failed}/resend"), &[]).answered(409);
    assert!(owner.get(&format!("{path}/attempts?outcome=success")).contains("fits these filters"));
    assert!(owner.get(&format!("{path}/attempts?connection={}", client.id)).contains("500 failed"));
    assert!(!owner.get(&format!("{path}/attempts?connection=unknown")).contains("500 failed"));
    // Try again now.
    let lane = format!("{path}/lanes/{}", client.id);
    assert!(owner.get(&lane).answered(200).contains("Try again now"));
    endpoint.set_status(204);
    owner.submit(&lane, &[("from", "next")]).answered(200);
    wait_for_text(&mut owner, &path, "Everything was delivered.");
    // Skip.
    endpoint.set_status(500);
    client.created("/Users", &sample::user("two@fail.example"));
    wait_for_text(&mut owner, &path, "Retrying");
    let page = owner.submit_only(&lane, &[("from", "latest")]).answered(422);
    assert!(
        page.contains("1 event is left out permanently.") && page.contains("id=\"confirmed-problem\""),
        "{}",
        page.text
    );
    let page = owner.submit(&lane, &[("from", "latest"), ("confirmed", "on")]).answered(200);
    assert!(page.contains("The waiting events were left out.") && page.contains("Up to date"), "{}", page.text);
    let audit = owner.get("/audit?action=webhook.lane_resumed").answered(200);
    assert!(audit.contains("skippedEvents"), "{}", audit.text);
}

/// Checks the health of a connection with one webhook that fails.
#[track_caller]
fn check_failing_health(found: &Value, has_stopped: bool) {
    let (retrying, stopped) = if has_stopped { (0, 1) } else { (1, 0) };
    assert_eq!(
        (&found["failing"], &found["retryingWebhooks"], &found["stoppedWebhooks"]),
        (&json!(true), &json!(retrying), &json!(stopped))
    );
    assert!(found["undeliveredSince"].is_string());
}

#[test]
fn a_stopped_lane_is_an_alert_on_the_start_page() {
    let (app, _folder) = start_app();
    let endpoint = Endpoint::start();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let url = endpoint.url();
    let (_, path) = add_webhook(&mut owner, &[("url", &url), ("description", "Directory")]);
    endpoint.set_status(500);
    client.created("/Users", &sample::user("one@alert.example"));
    wait_for_text(&mut owner, &path, "Retrying");
    assert!(!owner.get("/").contains("Events do not reach your application"));
    let database = open_database(app.data.join("rollcall.db"));
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let lane = format!("{path}/lanes/{}", client.id);
    let connection = format!("/connections/{}", client.id);
    let health = format!("{}/{}/health", crate::caller::CONFIGURATIONS, client.id);
    let operator = app.operator();
    assert_eq!(operator.get(&health).answered(200).json["failing"], false);
    for (change, sentence, reason) in [
        (
            "failing_since = failing_since - 3700000",
            "are not accepted. The first failure was 1 hour ago.",
            "A webhook does not accept its events. The first failure was 1 hour ago. They are retried.",
        ),
        (
            "failures = 10, stopped_at = failing_since",
            "nothing is sent until you resume it",
            "All retries of one have failed: fix your application, then resume the webhook.",
        ),
    ] {
        database.execute_batch(&format!("UPDATE webhook_lanes SET {change}")).unwrap();
        crate::app::wait_for_snapshots();
        let page = owner.get(&connection).answered(200);
        assert!(page.contains(reason) && page.contains("pill failing"), "{}", page.text);
        check_failing_health(&operator.get(&health).answered(200).json, change.contains("stopped_at"));
        for page in ["/", "/webhooks", &path, &connection] {
            let page = owner.get(page).answered(200);
            assert!(page.contains("Events do not reach your application"), "{}: {}", page.at, page.text);
            assert!(
                page.contains(sentence) && page.contains(&format!("href=\"{lane}\"")),
                "{}: {}",
                page.at,
                page.text
            );
        }
    }
    let mut viewer = Browser::with_role(&app, "viewer", None);
    assert!(!viewer.get("/").contains("Events do not reach your application"));
    assert!(owner.get(&path).contains("stopped for 1 connection"));
    // Paused and resumed, and deleted.
    let page = owner.submit(&format!("{path}/state"), &[("state", "paused")]).answered(200);
    assert!(page.contains("Paused by an admin."), "{}", page.text);
    endpoint.set_status(200);
    owner.submit(&format!("{path}/state"), &[("state", "active")]).answered(200);
    wait_for_text(&mut owner, &path, "Everything was delivered.");
    owner.submit_only(&format!("{path}/delete"), &[]).answered(422);
    let page = owner.submit(&format!("{path}/delete"), &[("confirmed", "on")]).answered(200);
    assert!(page.contains("No webhooks yet") && page.contains("The webhook is deleted."), "{}", page.text);
    owner.get(&path).answered(404);
}

#[test]
fn an_admin_of_an_account_manages_its_webhooks_if_the_operator_allows_it() {
    let (app, _folder) = start_app();
    let mut owner = Browser::owner(&app);
    owner.submit("/accounts/new", &[("id", "acme")]).answered(200);
    let permissions = [("provisioning.read", "on"), ("webhooks.manage", "on")];
    let mut role = vec![("name", "Webhook manager")];
    role.extend(permissions);
    let page = owner.submit("/settings/roles/new", &role).answered(200);
    let before = page.text.split("Webhook manager").next().unwrap();
    let role = before.rsplit("href=\"/settings/roles/").next().unwrap().split('"').next().unwrap().to_owned();
    let mut own = Browser::with_role(&app, &role, Some("acme"));
    let mut manager = Browser::with_role(&app, &role, None);
    let (_, of_operator) =
        add_webhook(&mut owner, &[("url", "https://operator.example.com/"), ("description", "Ours")]);
    assert!(manager.get("/webhooks").answered(200).contains("Ours"), "the permission is enough for an operator");
    assert!(!own.get("/connections").contains("href=\"/webhooks\""));
    for path in ["/webhooks", "/webhooks/new", &of_operator] {
        let page = own.get(path).answered(403);
        assert!(page.contains("has not allowed webhooks of customers"), "{}", page.text);
    }
    own.submit_only("/webhooks/new", &fields(&[("url", "https://acme.example.com/")])).answered(403);
    let page = owner.submit("/settings/server/account-webhooks", &[("account_webhooks", "on")]).answered(200);
    assert!(
        page.contains("name=\"account_webhooks\" value=\"on\" aria-describedby=\"account_webhooks-help\" checked"),
        "{}",
        page.text
    );
    assert!(own.get("/connections").contains("href=\"/webhooks\""));
    assert!(own.get("/webhooks").answered(200).contains("No webhooks yet"));
    own.get(&of_operator).answered(404);
    let form = own.get("/webhooks/new").answered(200);
    assert!(form.contains("events of the customer <strong>acme</strong>") && !form.contains("id=\"account\""));
    // The account of the form does not count.
    let (_, path) = add_webhook(&mut own, &[("url", "https://acme.example.com/"), ("account", "other")]);
    let page = own.get(&path).answered(200);
    assert!(page.contains("the customer <bdi>acme</bdi>"), "{}", page.text);
    let list = owner.get("/webhooks").answered(200);
    assert!(list.contains("<td><bdi>acme</bdi></td>") && list.contains("<td>all customers</td>"), "{}", list.text);
    let page = own.submit(&format!("{path}/state"), &[("state", "paused")]).answered(200);
    assert!(page.contains("Paused by an admin."), "{}", page.text);
    own.submit_only(&format!("{of_operator}/state"), &[("state", "paused")]).answered(404);
}
