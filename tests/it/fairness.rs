//! One configuration floods the server with writes; the writes of another one are not affected.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, Request};
use crate::sample::user;

/// Bulk jobs of the noisy configuration at the same time.
const BULK_JOBS: usize = 32;
/// Clients of the noisy configuration that create users.
const WRITERS: usize = 16;
/// Writes of the quiet configuration.
const QUIET_WRITES: usize = 40;

fn bulk_of(job: usize, round: usize) -> Value {
    let items: Vec<Value> = (0..100)
        .map(|number| {
            let data = user(&format!("bulk{job}r{round}n{number}"));
            json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": data})
        })
        .collect();
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": items})
}

/// Sends a request of the flood. It is complete, or turned away with the time after which it may be sent again.
fn send_noisy(client: &Client, path: &str, body: &Value, expected: u16, served: &AtomicU32) {
    let reply = client.post(path, body);
    if matches!(reply.status, 429 | 503) {
        assert!(reply.answer.header("retry-after").is_some(), "{:?}", reply.answer.headers);
        return;
    }
    let reply = reply.answered(expected);
    if path == "/Bulk" {
        let operations = reply.json["Operations"].as_array().unwrap();
        assert!(operations.iter().all(|item| item["status"] == "201"), "{}", reply.json);
    }
    served.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_flood_of_writes_and_bulk_jobs_turns_away_no_write_of_another_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--rate-limit", "0"]);
    let (noisy, quiet) = (app.configuration("other"), app.configuration("other"));
    let (over, bulk, single) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        for job in 0..BULK_JOBS {
            let (noisy, over, bulk) = (&noisy, &over, &bulk);
            scope.spawn(move || {
                for round in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    send_noisy(noisy, "/Bulk", &bulk_of(job, round), 200, bulk);
                }
            });
        }
        for writer in 0..WRITERS {
            let (noisy, over, single) = (&noisy, &over, &single);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    send_noisy(noisy, "/Users", &user(&format!("w{writer}n{number}")), 201, single);
                }
            });
        }
        while bulk.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let answered: Vec<u16> = (0..QUIET_WRITES)
            .map(|number| {
                let asked = Instant::now();
                let status = quiet.post("/Users", &user(&format!("quiet{number}"))).status;
                slowest = slowest.max(asked.elapsed());
                status
            })
            .collect();
        over.store(true, Ordering::SeqCst);
        assert_eq!(answered, [201; QUIET_WRITES]);
    });
    assert_eq!(quiet.count("/Users"), u64::try_from(QUIET_WRITES).unwrap());
    assert!(bulk.into_inner() > 0 && single.into_inner() > 0);
    // The limit of the issue is 250 ms on a quiet machine; the tests share theirs.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    println!("the slowest quiet write took {slowest:?}");
}

#[test]
fn the_server_is_not_ready_while_writes_make_no_progress() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    let ready = || Request::new(app.address, "GET", "/readyz").send().status;
    assert_eq!(ready(), 200);
    // Another process holds the database: each batch fails after five seconds, and the writes after it wait on.
    let holder = crate::app::open_database(folder.path().join("rollcall.db"));
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (client, over) = (&client, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let reply = client.post("/Users", &user(&format!("stalled{writer}n{number}")));
                    assert!(matches!(reply.status, 201 | 503), "{}", reply.status);
                }
            });
        }
        let begun = Instant::now();
        while ready() == 200 {
            assert!(begun.elapsed() < Duration::from_mins(1), "the server stays ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(begun.elapsed() > Duration::from_secs(2));
        holder.execute_batch("ROLLBACK").unwrap();
        over.store(true, Ordering::SeqCst);
    });
    client.created("/Users", &user("afterwards"));
    assert_eq!(ready(), 200);
}
