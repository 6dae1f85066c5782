//! `rollcall simulate` against the program, and against servers with one fault each.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rollcall::simulate::{
    CertificateTrust, CheckOutcome, ConnectOptions, Library, PlayOptions, TargetServer, play_conversation,
};
use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::CONFIGURATIONS;
use crate::http::{self, Answer};
use crate::https::authority::Authority;

/// Every provider, with the source that its admin would choose.
const PROVIDERS: &[(&str, &str)] = &[
    ("okta", "okta"),
    ("entra", "azure-ad"),
    ("onelogin", "other"),
    ("jumpcloud", "other"),
    ("ping", "other"),
    ("sailpoint", "other"),
    ("rauthy", "other"),
    ("any", "other"),
];

/// Checks of the validator that need more than a token.
const SKIPPED_WITHOUT_OAUTH: [&str; 3] = [
    "test 21, credentials are accepted",
    "test 21, a wrong token is refused",
    "test 22, federated credentials are accepted",
];

fn simulate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.arg("simulate").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Writes a token to a file of its own.
fn token_file(folder: &Path, token: &str) -> PathBuf {
    let path = folder.join("token");
    std::fs::write(&path, format!("{token}\n")).unwrap();
    path
}

/// Runs a provider with the token of a client against a URL, and returns the exit code and the report.
fn report_of(provider: &str, url: &str, token: &str, more: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = token_file(folder.path(), token);
    let mut arguments = vec![provider, url, "--format", "json", "--token-file", file.to_str().unwrap()];
    arguments.extend(more);
    let output = simulate(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains(token) && !String::from_utf8_lossy(&output.stderr).contains(token), "the token is printed");
    let report =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

fn checks_of(report: &Value) -> Vec<&Value> {
    let conversations = report["conversations"].as_array().unwrap();
    conversations.iter().flat_map(|conversation| conversation["checks"].as_array().unwrap()).collect()
}

/// The result of the check of that name.
#[track_caller]
fn result_of<'r>(report: &'r Value, name: &str) -> &'r Value {
    let checks = checks_of(report);
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"))
}

#[test]
fn every_provider_passes_against_this_program_and_leaves_nothing() {
    let app = App::shared();
    for (provider, source) in PROVIDERS {
        let client = app.configuration(source);
        let (code, report) = report_of(provider, &client.url, &client.token, &[]);
        let is_skipped = |check: &Value| {
            check["result"] == "skipped" && SKIPPED_WITHOUT_OAUTH.contains(&check["name"].as_str().unwrap())
        };
        let failed: Vec<&Value> =
            checks_of(&report).into_iter().filter(|check| check["result"] != "ok" && !is_skipped(check)).collect();
        assert!(failed.is_empty(), "{provider}: {failed:#?}");
        assert_eq!((code, &report["passed"]), (0, &json!(true)), "{provider}");
        assert!(checks_of(&report).len() >= 15, "{provider}");
        assert_eq!((client.count("/Users"), client.count("/Groups")), (0, 0), "{provider}");
    }
}

#[test]
fn the_list_names_every_provider_and_check() {
    let output = simulate(&["--list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for (provider, _) in PROVIDERS {
        assert!(text.lines().any(|line| line == *provider), "{provider} in {text}");
    }
    assert!(text.contains("    initial connection"), "{text}");
    // The 25 tests of the validator.
    for number in 1..=25 {
        assert!(text.contains(&format!("    test {number}, ")), "test {number}");
    }
}

#[test]
fn wrong_usage_ends_with_two_and_names_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (file, empty) = (token_file(folder.path(), "t"), folder.path().join("empty"));
    std::fs::write(&empty, " \n").unwrap();
    let (file, empty) = (file.to_str().unwrap(), empty.to_str().unwrap());
    let table: &[(&[&str], &str)] = &[
        (&["yahoo", "http://127.0.0.1:1/", "--token-file", file], "the providers are okta"),
        (&["okta", "http://127.0.0.1:1/"], "--token-file"),
        (&["okta", "ftp://127.0.0.1:1/", "--token-file", file], "write https://"),
        (&["okta", "http://127.0.0.1:1/", "--token-file", empty], "is empty"),
        (&["okta", "http://127.0.0.1:1/", "--token-file", "/absent"], "cannot be read"),
        (&["okta", "https://127.0.0.1:1/", "--token-file", file, "--ca-file", file], "no certificate"),
        (&["okta", "http://127.0.0.1:1/", "--token-file", file, "--filter", "no such"], "--list"),
        (&["okta", "http://127.0.0.1:1/", "--client-id", "x"], "--client-secret-file"),
    ];
    for (arguments, named) in table {
        let output = simulate(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(named), "{arguments:?}: {text}");
    }
}

/// Runs a provider that nothing can be checked for, and returns its message.
#[track_caller]
fn refusal_of(url: &str, token: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = token_file(folder.path(), token);
    let output = simulate(&[&["okta", url, "--token-file", file.to_str().unwrap()][..], more].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with(&format!("rollcall: {url}: ")) && !text.contains(token), "{text}");
    text
}

#[test]
fn a_wrong_url_token_or_host_ends_the_run_with_one_message() {
    let client = App::shared().configuration("okta");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = format!("http://{}", client.address);
    for (url, token, parts) in [
        (
            format!("http://{closed}/scim/v2"),
            "secret-token",
            &["no answer: Connection refused", "Check host and port"][..],
        ),
        (
            format!("http://{}/", silent.local_addr().unwrap()),
            "secret-token",
            &["no answer: the server did not answer in time"],
        ),
        (client.url.clone(), "secret-token", &["refuses the token (401, ", "give the token of this URL"]),
        (format!("{site}/no/such/path"), &client.token, &["answers 404", "not the base URL of a SCIM server"]),
        (format!("{}/Users", client.url), &client.token, &["answers 404", "not the base URL of a SCIM server"]),
    ] {
        let text = refusal_of(&url, token, &["--timeout", "1"]);
        for part in parts {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    assert_eq!((client.count("/Users"), client.count("/Groups")), (0, 0));
}

#[test]
fn a_redirect_and_a_page_are_not_a_scim_server() {
    let client = App::shared().configuration("okta");
    let redirect = Fault::of_answer(|_, mut answer| {
        answer.headers.push(("Location".to_owned(), "https://other.example/scim".to_owned()));
        Answer { status: 301, ..answer }
    });
    let text = refusal_of(&redirect.serve(&client), &client.token, &[]);
    assert!(text.contains("redirects to \"https://other.example/scim\""), "{text}");
    let page = Fault::of_answer(|_, mut answer| {
        answer.headers.retain(|(name, _)| name != "content-type");
        answer.headers.push(("Content-Type".to_owned(), "text/html".to_owned()));
        Answer { status: 200, body: b"<html>".to_vec(), ..answer }
    });
    let text = refusal_of(&page.serve(&client), &client.token, &[]);
    assert!(text.contains("answers 200 with text/html") && text.contains("base URL"), "{text}");
    let echo = Fault::of_answer(|head, answer| {
        let token = head.lines().find_map(|line| line.strip_prefix("Authorization: Bearer ")).unwrap_or("none");
        let body = json!({"detail": format!("the token {token} is wrong")}).to_string().into_bytes();
        Answer { status: 401, body, ..answer }
    });
    let text = refusal_of(&echo.serve(&client), &client.token, &[]);
    assert!(text.contains("the token … is wrong"), "{text}");
}

#[test]
fn a_server_that_stops_to_answer_ends_the_run_soon() {
    let client = App::shared().configuration("okta");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}{}", listener.local_addr().unwrap(), client.base);
    let target = client.address;
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let fault = Fault::of_answer(|_, answer| answer);
        let request = read_request(&mut stream);
        stream.write_all(&fault.exchange(&request, target)).unwrap();
    });
    let (code, report) = report_of("okta", &url, &client.token, &[]);
    assert_eq!(code, 1);
    let check =
        |name: &str| (result_of(&report, name)["result"].clone(), result_of(&report, name)["problems"][0].clone());
    let (result, problem) = check("test api credentials");
    assert!(result == "failed" && problem.as_str().unwrap().starts_with("no answer"), "{report:#}");
    // The provider needs the first one, and works without the second one.
    assert_eq!(check("create user"), (json!("failed"), json!("not sent: the server does not answer")));
    assert_eq!(check("clean up"), (json!("skipped"), json!("not sent: the server does not answer")));
}

#[test]
fn tests_21_and_22_of_the_validator_name_what_they_need() {
    let client = App::shared().configuration("azure-ad");
    let (code, report) = report_of("entra", &client.url, &client.token, &["--filter", "entra-validator"]);
    assert_eq!((code, &report["summary"]["skipped"]), (0, &json!(SKIPPED_WITHOUT_OAUTH.len())), "{report:#}");
    for name in SKIPPED_WITHOUT_OAUTH {
        let check = result_of(&report, name);
        let problem = check["problems"][0].as_str().unwrap_or_default();
        assert!(check["result"] == "skipped" && problem.starts_with("skipped: needs "), "{check:#}");
    }
}

#[test]
fn a_filter_reports_only_the_checks_of_that_name() {
    let client = App::shared().configuration("azure-ad");
    let (code, report) = report_of("entra", &client.url, &client.token, &["--filter", "Disable"]);
    let names: Vec<&str> = checks_of(&report).iter().filter_map(|check| check["name"].as_str()).collect();
    assert!(names.len() >= 4 && names.iter().all(|name| name.to_lowercase().contains("disable")), "{names:?}");
    assert_eq!((code, client.count("/Users")), (0, 0));
}

#[test]
fn resources_stay_if_that_is_asked_for() {
    let client = App::shared().configuration("okta");
    let (code, _) = report_of("okta", &client.url, &client.token, &["--keep"]);
    assert_eq!((code, client.count("/Users")), (0, 4));
}

#[test]
fn a_report_can_be_junit_in_a_file() {
    let client = App::shared().configuration("other");
    let folder = tempfile::tempdir().unwrap();
    let (token, file) = (token_file(folder.path(), &client.token), folder.path().join("report.xml"));
    let files = ["--token-file", token.to_str().unwrap(), "--output", file.to_str().unwrap()];
    let output = simulate(&[&["onelogin", &client.url, "--format", "junit"][..], &files].concat());
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "18 checks: 18 ok, 0 failed, 0 notes, 0 skipped");
    let xml = std::fs::read_to_string(file).unwrap();
    assert_eq!((xml.matches("<testcase ").count(), xml.matches("failures=\"0\"").count()), (18, 2), "{xml}");
}

#[test]
fn an_access_token_is_requested_with_client_credentials() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("simulated-oauth", "azure-ad");
    let path = format!("{CONFIGURATIONS}/{}/oauth-clients", client.id);
    let made = operator.post(&path, &json!({"label": "Simulated", "authentication": "secret"})).answered(201);
    let folder = tempfile::tempdir().unwrap();
    let secret = token_file(folder.path(), &made.text("clientSecret"));
    let id = made.text("clientId");
    let token_url = format!("http://{}/oauth2/token", app.address);
    let credentials = |id: &str| {
        let flags = ["--client-id", id, "--client-secret-file", secret.to_str().unwrap(), "--token-url", &token_url];
        simulate(&[&["entra", &client.url, "--filter", "entra-validator"][..], &flags].concat())
    };
    let output = credentials(&id);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("ok    test 21, credentials are accepted") && text.ends_with("1 skipped\n"), "{text}");
    let refused = credentials("no-such-client");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains(&format!("the token URL {token_url} answers 401")), "{text}");
}

#[test]
fn a_server_with_its_own_certificate_authority_is_trusted_with_a_ca_file() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.server(data.path());
    let client = server.configuration("okta");
    let url = format!("https://localhost:{}{}", server.address.port(), client.base);
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("root.pem");
    std::fs::write(&roots, &authority.root_pem).unwrap();
    let (code, report) = report_of("okta", &url, &client.token, &["--ca-file", roots.to_str().unwrap()]);
    assert_eq!(code, 0, "{report:#}");
    let text = refusal_of(&url, &client.token, &[]);
    assert!(text.contains("certificate"), "{text}");
}

#[test]
fn the_own_listener_is_reached_with_a_certificate_for_another_name() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.server(data.path());
    let client = server.configuration("okta");
    let url = format!("https://{}{}", server.address, client.base);
    let library = Library::load().unwrap();
    let conversation = library.find_conversation("okta-users").unwrap();
    let play = |trust| {
        let options = ConnectOptions { timeout: Duration::from_mins(1), trust };
        let target = TargetServer::new(&url, client.token.clone(), &options).unwrap();
        let report = play_conversation(&library, conversation, &target, &PlayOptions::default()).unwrap();
        report.checks.iter().filter(|check| check.outcome == CheckOutcome::Passed).count()
    };
    assert_eq!((play(CertificateTrust::System), play(CertificateTrust::Any)), (0, conversation.check_names().count()));
}

/// Changes one request or answer. The first argument is the head of the request.
#[derive(Clone, Copy)]
struct Fault {
    change_body: fn(&str, String) -> String,
    change_answer: fn(&str, Answer) -> Answer,
}

impl Fault {
    fn of_answer(change_answer: fn(&str, Answer) -> Answer) -> Self {
        Self { change_body: |_, body| body, change_answer }
    }

    /// Starts a server with that fault in front of the program, and returns its URL for a client.
    fn serve(self, client: &Client) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = client.address;
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let bytes = self.exchange(&read_request(&mut stream), target);
                let _ = stream.write_all(&bytes);
            }
        });
        format!("http://{address}{}", client.base)
    }

    /// Sends the changed request to the program and returns the bytes of the changed answer.
    fn exchange(self, request: &str, target: SocketAddr) -> Vec<u8> {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let body = (self.change_body)(head, body.to_owned());
        let mut forwarded: Vec<String> =
            head.split("\r\n").filter(|line| !line.starts_with("Content-Length")).map(str::to_owned).collect();
        if !body.is_empty() {
            forwarded.push(format!("Content-Length: {}", body.len()));
        }
        let answer = http::exchange(target, format!("{}\r\n\r\n{body}", forwarded.join("\r\n")).as_bytes()).unwrap();
        let answer = (self.change_answer)(head, answer);
        let mut bytes = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in
            answer.headers.iter().filter(|(name, _)| name != "content-length" && name != "transfer-encoding")
        {
            bytes += &[name, ": ", value, "\r\n"].concat();
        }
        [bytes.as_bytes(), b"\r\n", &answer.body].concat()
    }
}

fn read_request(stream: &mut std::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the request is incomplete: {text}");
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// Changes the JSON body of an answer.
fn edit_body(mut answer: Answer, edit: impl FnOnce(&mut Value)) -> Answer {
    if let Ok(mut document) = serde_json::from_slice(&answer.body) {
        edit(&mut document);
        answer.body = document.to_string().into_bytes();
    }
    answer
}

/// Provider, check, a part of its problem, and the fault that it finds.
type FaultCase = (&'static str, &'static str, &'static str, Fault);

fn okta_faults() -> Vec<FaultCase> {
    vec![
        (
            "okta",
            "create user",
            "status: expected 201",
            Fault::of_answer(|head, answer| match head {
                head if head.starts_with("POST") && answer.status == 201 => Answer { status: 200, ..answer },
                _ => answer,
            }),
        ),
        (
            "okta",
            "random user does not exist",
            "/totalResults",
            Fault::of_answer(|_, answer| {
                edit_body(answer, |document| {
                    document.as_object_mut().unwrap().remove("totalResults");
                })
            }),
        ),
        (
            "okta",
            "does the user exist",
            "status: expected 200, got 404",
            Fault::of_answer(|head, answer| {
                let is_empty = String::from_utf8_lossy(&answer.body).contains("\"totalResults\":0");
                if head.contains("filter") && is_empty { Answer { status: 404, ..answer } } else { answer }
            }),
        ),
        (
            "okta",
            "create the same user again",
            "/scimType",
            Fault::of_answer(|_, answer| {
                edit_body(answer, |document| {
                    document.as_object_mut().unwrap().remove("scimType");
                })
            }),
        ),
    ]
}

fn entra_faults() -> Vec<FaultCase> {
    vec![
        (
            "entra",
            "only that member left the group",
            "/members",
            Fault {
                change_answer: |_, answer| answer,
                // A server that ignores the value of a removal.
                change_body: |head, body| {
                    let is_removal = head.contains("/Groups/") && body.contains("\"Remove\"");
                    if is_removal { body.replace("\"value\":[", "\"ignored\":[") } else { body }
                },
            },
        ),
        (
            "entra",
            "disabled and readable, active is a boolean",
            "/active",
            Fault::of_answer(|_, answer| {
                edit_body(answer, |document| {
                    if let Some(active) = document["active"].as_bool() {
                        document["active"] = json!(if active { "True" } else { "False" });
                    }
                })
            }),
        ),
        (
            "entra",
            "manager is given back as an object",
            "/manager",
            Fault::of_answer(|_, answer| {
                let enterprise = crate::sample::ENTERPRISE;
                edit_body(answer, |document| {
                    if let Some(id) = document[enterprise]["manager"]["value"].as_str().map(str::to_owned) {
                        document[enterprise]["manager"] = json!(id);
                    }
                })
            }),
        ),
    ]
}

fn other_faults() -> Vec<FaultCase> {
    vec![
        (
            "jumpcloud",
            "activation: delete the test group",
            "status: expected 204",
            Fault::of_answer(
                |head, answer| {
                    if head.starts_with("DELETE") { Answer { status: 202, ..answer } } else { answer }
                },
            ),
        ),
        (
            "ping",
            "groups: read all to find a match",
            "/startIndex",
            Fault::of_answer(|head, answer| {
                if head.contains("/Groups?") {
                    edit_body(answer, |document| document["startIndex"] = json!(0))
                } else {
                    answer
                }
            }),
        ),
        (
            "onelogin",
            "initial connection",
            "content type",
            Fault::of_answer(|_, mut answer| {
                answer.headers.retain(|(name, _)| name != "content-type");
                answer.headers.push(("Content-Type".to_owned(), "text/html".to_owned()));
                answer
            }),
        ),
    ]
}

#[test]
fn each_fault_of_a_server_fails_the_check_that_looks_for_it() {
    let app = App::shared();
    for (provider, name, problem, fault) in [okta_faults(), entra_faults(), other_faults()].into_iter().flatten() {
        let source = PROVIDERS.iter().find(|(listed, _)| *listed == provider).unwrap().1;
        let client = app.configuration(source);
        let (code, report) = report_of(provider, &fault.serve(&client), &client.token, &[]);
        let check = result_of(&report, name);
        assert_eq!((code, &check["result"]), (1, &json!("failed")), "{provider}, {name}: {check:#}");
        assert!(check["problems"].to_string().contains(problem), "{check:#}");
        for field in ["rule", "reason", "request", "answer"] {
            assert!(check[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {check:#}");
        }
        assert_eq!((client.count("/Users"), client.count("/Groups")), (0, 0), "{provider}, {name}");
    }
}

#[test]
fn a_difference_from_a_recommendation_is_a_note() {
    let client = App::shared().configuration("okta");
    let fault = Fault::of_answer(|_, mut answer| {
        answer.headers.retain(|(name, _)| name != "location");
        answer
    });
    let (code, report) = report_of("okta", &fault.serve(&client), &client.token, &[]);
    let check = result_of(&report, "create user");
    assert_eq!((code, &check["result"]), (0, &json!("note")), "{check:#}");
    assert!(check["problems"].to_string().contains("recommended: header Location"), "{check:#}");
}

#[test]
fn resources_that_a_server_does_not_remove_are_listed() {
    let client = App::shared().configuration("okta");
    let refused = Fault {
        change_body: |_, body| body,
        change_answer: |head, answer| {
            if head.starts_with("DELETE") { Answer { status: 403, ..answer } } else { answer }
        },
    };
    let (code, report) = report_of("okta", &refused.serve(&client), &client.token, &["--filter", "okta-users"]);
    // Okta itself deletes no user: the run passes.
    assert_eq!((code, &result_of(&report, "clean up")["result"]), (0, &json!("note")), "{report:#}");
    let left = report["conversations"][0]["notRemoved"].as_array().unwrap();
    assert!(left.len() == 1 && left[0].as_str().unwrap().starts_with("/Users/"), "{left:?}");
}

#[test]
fn a_server_that_returns_the_token_does_not_make_the_report_reveal_it() {
    let client = App::shared().configuration("okta");
    let fault = Fault::of_answer(|head, answer| {
        let token = head.lines().find_map(|line| line.strip_prefix("Authorization: Bearer ")).unwrap_or("none");
        Answer {
            status: 400,
            body: json!({"detail": format!("the token {token} is wrong")}).to_string().into_bytes(),
            ..answer
        }
    });
    // `report_of` asserts that the token is in no output.
    let (code, report) = report_of("okta", &fault.serve(&client), &client.token, &[]);
    assert_eq!(code, 1, "{report:#}");
    assert!(report.to_string().contains("the token … is wrong"), "{report:#}");
}
