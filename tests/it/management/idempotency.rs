//! `Idempotency-Key`: a repeated POST is answered again but executed once.

use std::thread;

use serde_json::{Value, json};

use crate::app::{App, Reply};
use crate::caller::{CONFIGURATIONS, Caller};

fn send(caller: &Caller, key: &str, body: &Value) -> Reply {
    let request = caller.request("POST", CONFIGURATIONS).json(body).header("Content-Type", "application/json");
    request.header("Idempotency-Key", key).send()
}

fn count(caller: &Caller, account: &str) -> usize {
    caller.for_account(account).get(CONFIGURATIONS).answered(200).json.as_array().unwrap().len()
}

#[test]
fn the_same_request_with_the_same_key_is_done_once_and_answered_twice() {
    let operator = App::shared().operator();
    let caller = operator.for_account("once");
    let body = json!({"source": "okta"});
    let first = send(&caller, "a1b2c3d4-once", &body).answered(201);
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = send(&caller, "a1b2c3d4-once", &body).answered(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((again.json, again.answer.header("content-type")), (first.json, first.answer.header("content-type")));
    assert_eq!(count(&operator, "once"), 1);
    send(&caller, "a1b2c3d4-twice", &body).answered(201);
    assert_eq!(count(&operator, "once"), 2);
}

#[test]
fn a_key_is_good_for_one_request_of_one_caller() {
    let app = App::shared();
    let (operator, other) = (app.operator(), app.operator());
    let key = "a1b2c3d4-narrow";
    send(&operator.for_account("narrow"), key, &json!({"source": "okta"})).answered(201);
    send(&operator.for_account("narrow"), key, &json!({"source": "other"})).problem(422);
    send(&operator.for_account("narrow-2"), key, &json!({"source": "okta"})).problem(422);
    let others = send(&other.for_account("narrow"), key, &json!({"source": "okta"})).answered(201);
    assert_eq!(others.header("idempotent-replayed"), "");
    app.anonymous().request("POST", CONFIGURATIONS).header("Idempotency-Key", key).send().problem(401);
    assert_eq!(count(&operator, "narrow-2"), 0);
}

#[test]
fn a_refused_request_may_be_corrected_and_sent_again() {
    let operator = App::shared().operator().for_account("corrected");
    let key = "a1b2c3d4-corrected";
    send(&operator, key, &json!({"source": "nothing"})).problem(400);
    send(&operator, key, &json!({"source": "okta"})).answered(201);
}

#[test]
fn of_many_concurrent_repeats_one_is_executed() {
    let operator = App::shared().operator();
    let caller = operator.for_account("at-once");
    let replies: Vec<Reply> = thread::scope(|scope| {
        let ask = || send(&caller, "a1b2c3d4-at-once", &json!({"source": "okta"}));
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for reply in replies {
        match reply.status {
            201 => {}
            409 => assert_eq!(reply.problem(409).header("retry-after"), "1"),
            other => panic!("{other}"),
        }
    }
    assert_eq!(count(&operator, "at-once"), 1);
}

#[test]
fn an_invalid_idempotency_key_is_refused_and_ignored_for_other_methods() {
    let operator = App::shared().operator().for_account("keys");
    for key in ["", "short", "has a blank", &"x".repeat(256), "schl\u{fc}ssel-lang"] {
        let refused = send(&operator, key, &json!({"source": "okta"})).problem(400);
        assert!(refused.text("message").starts_with("Idempotency-Key"), "{key:?}: {}", refused.json);
    }
    let twice = operator.request("POST", CONFIGURATIONS).header("Idempotency-Key", "a1b2c3d4-keys");
    twice.also("Idempotency-Key", "a1b2c3d4-keys").send().problem(400);
    operator.request("GET", CONFIGURATIONS).header("Idempotency-Key", "x").send().answered(200);
}

#[test]
fn a_stored_answer_survives_a_restart_and_its_token_is_not_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let caller = app.operator().for_account("stored");
    let key = "d7e9c1f4-stored-over-a-restart";
    let first = send(&caller, key, &json!({"source": "okta"})).answered(201);
    app.kill();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in [first.text("token").as_bytes(), key.as_bytes()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
    }
    let app = App::start(folder.path());
    let again = send(&Caller { address: app.address, ..caller }, key, &json!({"source": "okta"})).answered(201);
    assert_eq!(again.json, first.json);
    app.kill();
}
