//! Two tenants: one sends slow filters without a pause, the other one makes ordinary calls.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, Request};
use crate::sample::{encode, user, user_with};

/// Concurrent slow filters: twice what runs and waits for one configuration.
const SLOW_FILTERS: usize = 128;
const LASTS: Duration = Duration::from_secs(8);
/// Far above what the quiet tenant waits, far below what it waited without shares.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A filter that begins with an indexed term and compares every value of every user.
fn slow_filter() -> String {
    let terms: Vec<String> = (0..20).map(|number| format!("emails.value co \"absent-{number}\"")).collect();
    format!("userName sw \"loud\" and ({})", terms.join(" or "))
}

fn fill(client: &Client, users: usize, values: usize) {
    for number in 0..users {
        let emails: Vec<Value> =
            (0..values).map(|at| json!({"value": format!("{at}-{}@example.com", "x".repeat(60))})).collect();
        client.created("/Users", &user_with(&format!("loud-{number}"), &json!({"emails": emails})));
    }
}

#[test]
fn slow_filters_of_one_tenant_do_not_disturb_another() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--rate-limit", "0", "--max-connections-per-address", "1000"]);
    let (loud, quiet) = (app.configuration("other"), app.configuration("other"));
    fill(&loud, 40, 300);
    let id = quiet.created("/Users", &user_with("quiet", &json!({"title": "Engineer"})));
    let (refused, answered, over) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    let slow = format!("/Users?filter={}", encode(&slow_filter()));
    std::thread::scope(|scope| {
        for _ in 0..SLOW_FILTERS {
            let (loud, slow, refused, answered, over) = (&loud, &slow, &refused, &answered, &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let reply = loud.get(slow);
                    match reply.status {
                        429 | 503 => {
                            assert!(reply.answer.header("retry-after").is_some(), "{:?}", reply.answer.headers);
                            refused.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        400 => assert_eq!(reply.refused(400, "tooMany").status, 400),
                        _ => {
                            reply.answered(200);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        let mut calls = 0;
        // A busy machine gets more time for the rounds.
        while begun.elapsed() < LASTS || (calls < 10 && begun.elapsed() < Duration::from_mins(1)) {
            let targets = [
                format!("/Users/{id}"),
                format!("/Users?filter={}", encode("userName eq \"quiet\"")),
                format!("/Users?filter={}", encode("title co \"engine\"")),
            ];
            for target in targets {
                let asked = Instant::now();
                quiet.get(&target).answered(200);
                assert!(asked.elapsed() < WAIT_MAX, "{target} took {:?}", asked.elapsed());
            }
            quiet.created("/Users", &user(&format!("q{calls}")));
            Request::new(app.address, "GET", "/livez").send().answered(200);
            calls += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::SeqCst);
        assert!(calls >= 10, "the quiet tenant made {calls} rounds of calls");
    });
    assert!(refused.into_inner() > 0, "more filters than may wait are refused");
    assert_eq!(loud.count("/Users"), 40);
}

#[test]
fn an_indexed_term_does_not_move_a_slow_filter_to_the_event_loop() {
    let client = App::shared().configuration("other");
    fill(&client, 1, 900);
    let terms: Vec<String> = (0..90).map(|number| format!("emails.value co \"absent-{number}\"")).collect();
    let filter = format!("userName eq \"loud-0\" and ({})", terms.join(" or "));
    let asked = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| client.get(&format!("/Users?filter={}", encode(&filter))));
        while !slow.is_finished() {
            let waited = Instant::now();
            Request::new(client.address, "GET", "/livez").send().answered(200);
            assert!(waited.elapsed() < Duration::from_secs(1), "/livez took {:?}", waited.elapsed());
        }
        let reply = slow.join().unwrap();
        assert!(reply.status == 200 || reply.refused(400, "tooMany").status == 400);
    });
    assert!(asked.elapsed() < WAIT_MAX, "a query ends after its time limit");
}
