//! Sign-ins in the audit log and in the server log. Callers without credentials can cause a limited number of entries.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::{App, Request};
use crate::caller::Caller;
use crate::portal::browser::{Browser, PASSWORD, own_app, with_fields};
use crate::portal::codes;

/// Most audit entries that 300 requests without credentials to each public route may cause in total.
const ENTRIES_MAX: usize = 60;
const ATTEMPTS: usize = 300;

fn list_entries(operator: &Caller, action: &str) -> Vec<Value> {
    let filter = if action.is_empty() { String::new() } else { format!("&action={action}") };
    let page = operator.get(&format!("/directory/resources/v1/audit?limit=500{filter}")).answered(200).json;
    page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

/// Waits until the failures are in the audit log; they are written with a delay.
#[track_caller]
fn wait_for_failures(operator: &Caller, total: i64) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let entries = list_entries(operator, "sign_in.failed");
        let counted: i64 = entries.iter().map(|entry| entry["after"]["count"].as_i64().unwrap()).sum();
        if counted == total {
            return entries;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{counted} of {total}: {entries:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn sign_in(app: &App, email: &str) -> u16 {
    let request = Request::new(app.address, "POST", "/login");
    let request = request.header("Origin", &format!("http://{}", app.address)).also("Sec-Fetch-Site", "same-origin");
    with_fields(request, &[("email", email), ("password", "not the password")]).attempt().unwrap().status
}

/// Sends a form once, also if the answer is 429.
fn send_form(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> u16 {
    let request = browser.request("POST", path).header("Sec-Fetch-Site", "same-origin");
    browser.send(&with_fields(request, fields), path).status
}

#[test]
fn sign_ins_are_audited_and_failures_are_one_entry_per_admin_reason_and_hour() {
    let (app, _folder) = own_app();
    let operator = app.operator();
    let owner = Browser::owner(&app);
    let entered = list_entries(&operator, "sign_in.succeeded");
    assert_eq!(entered.len(), 1, "{entered:?}");
    assert_eq!(
        (entered[0]["actor"]["name"].as_str(), entered[0]["address"].as_str()),
        (Some(owner.email.as_str()), Some("127.0.0.1"))
    );
    // Four more attempts are within the limit of the admin, the others are throttled.
    let answers: Vec<u16> = (0..20).map(|_| sign_in(&app, &owner.email)).collect();
    let unknown: Vec<u16> = (0..4).map(|number| sign_in(&app, &format!("unknown-{number}@x.example"))).collect();
    let with_status = |all: &[u16], status| i64::try_from(all.iter().filter(|one| **one == status).count()).unwrap();
    assert_eq!(with_status(&answers, 401) + with_status(&answers, 429), 20, "{answers:?}");
    let total = i64::try_from(answers.len() + unknown.len()).unwrap();
    let entries = wait_for_failures(&operator, total);
    let of_reason = |reason: &str, subject: bool| -> i64 {
        let matching = entries
            .iter()
            .filter(|entry| entry["after"]["reason"] == reason && entry["subjectId"].is_string() == subject);
        matching.map(|entry| entry["after"]["count"].as_i64().unwrap()).sum()
    };
    assert_eq!(of_reason("wrong_password", true), with_status(&answers, 401), "{entries:?}");
    assert_eq!(of_reason("throttled", true), with_status(&answers, 429), "{entries:?}");
    assert_eq!(of_reason("wrong_password", false) + of_reason("throttled", false), 4, "{entries:?}");
    assert!(entries.len() <= 8, "one per admin, reason and hour: {entries:?}");
}

#[test]
fn callers_without_credentials_cannot_fill_the_audit_log() {
    let (app, _folder) = own_app();
    let operator = app.operator();
    let client = app.configuration("okta");
    let before = list_entries(&operator, "").len();
    let bogus = format!("rct_{}", "Q".repeat(43));
    let routes = [
        ("GET", "/login".to_owned()),
        ("POST", "/login".to_owned()),
        ("POST", "/login/code".to_owned()),
        ("GET", "/login/sso".to_owned()),
        ("GET", "/login/sso/callback?state=x&code=y".to_owned()),
        ("GET", format!("/s/rcl_{}", "Q".repeat(43))),
        ("POST", format!("/s/rcl_{}/token", "Q".repeat(43))),
        ("POST", "/auth/vendor".to_owned()),
        ("POST", "/identity/resources/auth/v1/api-token".to_owned()),
        ("POST", "/identity/resources/auth/v1/api-token/token/refresh".to_owned()),
        ("GET", "/directory/resources/v1/accounts".to_owned()),
        ("GET", format!("{}/Users", client.base)),
        ("POST", "/logout".to_owned()),
    ];
    for (method, path) in &routes {
        for number in 0..ATTEMPTS {
            let request = Request::new(app.address, method, path)
                .header("Authorization", &format!("Bearer {bogus}"))
                .also("Origin", &format!("http://{}", app.address))
                .also("Sec-Fetch-Site", "same-origin");
            let email = format!("someone-{number}@x.example");
            // Signing out without a session does not read the body.
            let request = if *method == "POST" && path != "/logout" {
                with_fields(request, &[("email", &email), ("password", "x"), ("code", "123456")])
            } else {
                request
            };
            let status = request.attempt().unwrap().status;
            assert!(status < 500 || status == 503, "{method} {path}: {status}");
        }
    }
    wait_for_failures(&operator, i64::try_from(ATTEMPTS).unwrap());
    let after = list_entries(&operator, "").len();
    assert!(after - before <= ENTRIES_MAX, "{} entries of {} calls", after - before, routes.len() * ATTEMPTS);
    let health = operator.get(&format!("{}/{}/health", crate::caller::CONFIGURATIONS, client.id)).answered(200).json;
    assert_eq!((&health["recentCalls"], &health["failing"]), (&Value::from(0), &Value::from(false)), "{health}");
}

#[test]
fn wrong_codes_are_one_entry_per_admin_and_hour() {
    codes::wait_for_early_step();
    let (app, _folder) = own_app();
    let operator = app.operator();
    let mut owner = Browser::owner(&app);
    codes::set_up(&mut owner);
    let mut thief = Browser::anonymous(&app);
    thief.email.clone_from(&owner.email);
    assert!(thief.sign_in().at.starts_with("/login/code"));
    let answers: Vec<u16> = (0..20).map(|_| send_form(&mut thief, "/login/code", &[("code", "000000")])).collect();
    // The fifth wrong code ends the sign-in; the other ones are not read.
    assert_eq!(answers[..4], [401; 4]);
    assert_eq!(answers[4..], [303; 16]);
    // The right password, while codes are refused.
    assert_eq!(send_form(&mut thief, "/login", &[("email", &owner.email), ("password", PASSWORD)]), 429);
    let entries = wait_for_failures(&operator, 6);
    let of_reason = |reason: &str| -> (usize, i64) {
        let matching = entries.iter().filter(|entry| entry["after"]["reason"] == reason);
        let counts = matching.map(|entry| entry["after"]["count"].as_i64().unwrap());
        (counts.clone().count(), counts.sum())
    };
    let (wrong, throttled) = (of_reason("wrong_code"), of_reason("throttled"));
    assert_eq!((wrong.1, throttled.1), (5, 1), "{entries:?}");
    // Two entries if the test runs across the end of an hour.
    assert!(wrong.0 <= 2 && entries.iter().all(|entry| entry["actor"]["name"] == owner.email.as_str()), "{entries:?}");
}

#[test]
fn failed_sign_ins_are_logged_with_reason_and_address_and_a_limit_per_address() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let app = App::start_in(&folder.path().join("data"), &["--log-format", "text"], &[], &log);
    for number in 0..60 {
        let status = sign_in(&app, &format!("someone-{number}@x.example"));
        assert!(status == 401 || status == 429, "{status}");
    }
    let begun = Instant::now();
    let text = loop {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("sign-in failed") || begun.elapsed() > Duration::from_mins(1) {
            break text;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("sign-in failed")).collect();
    // Ten per minute, which are refilled while the test runs.
    assert!((1..=20).contains(&lines.len()), "{} lines", lines.len());
    let filter =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/examples/fail2ban-rollcall.conf"));
    let filter = filter.unwrap();
    assert!(filter.contains("sign-in failed reason=\\S+ address=<HOST>"), "{filter}");
    for line in lines {
        let (_, fields) = line.split_once("sign-in failed reason=").unwrap_or_else(|| panic!("{line}"));
        let (reason, rest) = fields.split_once(" address=").unwrap_or_else(|| panic!("{line}"));
        assert!(["wrong_password", "throttled"].contains(&reason), "{line}");
        assert!(rest.starts_with("127.0.0.1 "), "{line}");
    }
}
