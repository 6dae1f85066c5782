//! Which headers determine the client address (T18, T11).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, Request, serve_with_refuses};
use crate::caller::Caller;
use crate::sample::user;

/// Two client addresses.
const ONE: &str = "198.51.100.1";
const OTHER: &str = "2001:db8:1::7";

/// A server that trusts a proxy on this machine.
fn with_a_proxy(data: &Path) -> App {
    App::start_with(data, &["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8", "--public-url", "https://scim.example.com"])
}

/// The address of this call in the request log, which is written with a delay.
fn logged_address(operator: &Caller, client: &Client, reply: &Reply) -> Value {
    let id = reply.header("x-request-id");
    let path = format!("/directory/resources/v1/configurations/scim2/{}/requests/{id}", client.id);
    for _ in 0..200 {
        let logged = operator.get(&path);
        if logged.status == 200 {
            return logged.json["address"].clone();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the call {id} is not in the log");
}

#[test]
fn a_trusted_proxy_determines_the_address_of_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_a_proxy(folder.path());
    let (client, operator) = (app.configuration("other"), app.operator());
    for (name, value, address) in [
        ("X-Forwarded-For", ONE, ONE),
        ("X-Forwarded-For", "1.1.1.1, 198.51.100.1, 10.0.0.3", ONE),
        ("Forwarded", "for=\"[2001:db8:1::7]:4711\";proto=https", OTHER),
        ("X-Forwarded-For", "198.51.100.1, unknown", "127.0.0.1"),
    ] {
        let reply = client.request("GET", "/Users").header(name, value).send().answered(200);
        assert_eq!(logged_address(&operator, &client, &reply), address, "{name}: {value}");
    }
    let both = client.request("GET", "/Users").header("X-Forwarded-For", ONE).header("Forwarded", "for=1.1.1.1");
    let reply = both.send().answered(200);
    assert_eq!(logged_address(&operator, &client, &reply), "127.0.0.1", "two headers that differ");
    let guess = client.request("GET", "/Users").header("Authorization", "Bearer wrong");
    let reply = guess.header("X-Forwarded-For", OTHER).send().answered(401);
    assert_eq!(logged_address(&operator, &client, &reply), OTHER, "a near miss");
}

#[test]
fn changes_in_the_audit_log_come_from_the_caller_not_from_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_a_proxy(folder.path());
    let operator = app.operator().for_account("acme");
    let make = operator.request("POST", crate::caller::CONFIGURATIONS).json(&json!({"source": "okta"}));
    make.header("Content-Type", "application/json").header("X-Forwarded-For", ONE).send().answered(201);
    let audit = operator.get("/directory/resources/v1/audit").answered(200).json;
    assert_eq!(audit["items"][0]["address"], ONE, "{audit}");
}

#[test]
fn a_header_of_an_untrusted_caller_is_ignored_and_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let app = App::start_in(&folder.path().join("data"), &[], &[], &log);
    let (client, operator) = (app.configuration("other"), app.operator());
    for name in ["X-Forwarded-For", "Forwarded"] {
        let reply = client.request("GET", "/Users").header(name, ONE).send().answered(200);
        assert_eq!(logged_address(&operator, &client, &reply), "127.0.0.1");
    }
    drop(app);
    let said = std::fs::read_to_string(log).unwrap();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("forwarding header")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("127.0.0.1") && warnings[0].contains("trusted_proxies"), "{warnings:?}");
    assert!(!said.contains(ONE), "the header of an untrusted client is not in the log");
}

#[test]
fn without_a_public_url_no_proxy_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let trust = ["--trusted-proxies", "127.0.0.1"];
    let output = serve_with_refuses(folder.path(), &trust, Duration::from_secs(20));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--trusted-proxies") && said.contains("--public-url"), "{said}");
    drop(App::start_with(folder.path(), &["--public-url", "https://scim.example.com"]));
    drop(App::start_with(folder.path(), &trust));
    let wrong = ["--trusted-proxies", "0.0.0.0/0", "--public-url", "https://scim.example.com"];
    let output = serve_with_refuses(folder.path(), &wrong, Duration::from_secs(20));
    assert!(String::from_utf8_lossy(&output.stderr).contains("every address"));
}

#[test]
fn a_trusted_proxy_cannot_set_the_host_of_the_server() {
    // T18
    let folder = tempfile::tempdir().unwrap();
    let app = with_a_proxy(folder.path());
    let client = app.configuration("other");
    let request = client.request("POST", "/Users").json(&user("x")).header("Host", "evil.example");
    let request = request.header("X-Forwarded-Host", "evil.example").header("X-Forwarded-Proto", "gopher");
    let made = request.header("Forwarded", "for=198.51.100.1;host=evil.example;proto=gopher").send().answered(201);
    let location = made.answer.header("location").unwrap().to_owned();
    assert!(location.starts_with("https://scim.example.com/directory/"), "{location}");
    assert!(!made.json.to_string().contains("evil.example"));
}

#[test]
fn with_a_proxy_each_address_has_its_own_budget_for_wrong_tokens() {
    // T11
    let folder = tempfile::tempdir().unwrap();
    let app = with_a_proxy(folder.path());
    let client = app.configuration("other");
    let from = |token: &str, address: &str| -> Request {
        let header = format!("Bearer {token}");
        client.request("GET", "/Users").header("Authorization", &header).header("X-Forwarded-For", address)
    };
    let spent = (0..1_000).map(|_| from("wrong", ONE).send()).find(|reply| reply.status != 401);
    let refused = spent.expect("an end to the budget").refused(429, "");
    assert!(refused.answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|n| n > 0)));
    // Entries that the client prepends do not count; the proxy's own entry counts.
    assert_refused_soon(|| from("wrong", &format!("203.0.113.9, {ONE}")).send().status);
    from("wrong", OTHER).send().refused(401, "");
    from(&client.token, ONE).send().answered(200);
    from(&client.token, OTHER).send().answered(200);
    client.get("/Users").answered(200);
    // The management API uses the same limit. The budget is refilled every second, so use up what came back.
    assert_refused_soon(|| {
        let anonymous = app.anonymous().with("wrong").request("GET", crate::caller::CONFIGURATIONS);
        anonymous.header("X-Forwarded-For", ONE).send().status
    });
}

/// Repeats the request until the answer is 429, at most 20 times.
fn assert_refused_soon(request: impl Fn() -> u16) {
    assert!((0..20).any(|_| request() == 429), "no request of 20 was refused");
}

#[test]
fn with_a_proxy_wrong_passwords_of_one_address_do_not_block_others() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_a_proxy(folder.path());
    let sign_in = |address: &str| {
        let form = Request::new(app.address, "POST", "/login").body(b"email=ada%40example.com&password=wrong");
        let form = form.header("Content-Type", "application/x-www-form-urlencoded");
        form.header("Origin", "https://scim.example.com").header("X-Forwarded-For", address).send().status
    };
    let tries: Vec<u16> = (0..6).map(|_| sign_in(ONE)).collect();
    assert_eq!(tries, [401, 401, 401, 401, 401, 429]);
    assert_eq!(sign_in(OTHER), 401);
}
