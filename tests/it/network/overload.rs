//! More writes than the database can process (T43).

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::{App, Client, Request};
use crate::sample::user;

/// Concurrent clients; the queue holds a small part of their requests.
const CALLERS: usize = 64;
const QUEUE: &str = "8";
const LASTS: Duration = Duration::from_secs(5);

#[test]
fn excess_writes_are_refused_completely_and_acknowledged_ones_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--write-queue", QUEUE, "--rate-limit", "0"]);
    let client = app.configuration("other");
    let (made, turned_away, over) = (Mutex::new(HashSet::new()), AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (client, made, turned_away, over) = (&client, &made, &turned_away, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    write(client, &format!("c{caller}n{number}"), made, turned_away);
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < LASTS {
            for path in ["/livez", "/readyz"] {
                let asked = Instant::now();
                Request::new(app.address, "GET", path).send().answered(200);
                assert!(asked.elapsed() < Duration::from_secs(3), "{path} took {:?}", asked.elapsed());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::SeqCst);
    });
    let (made, turned_away) = (made.into_inner().unwrap(), turned_away.into_inner());
    assert!(turned_away > 0 && !made.is_empty(), "{} made, {turned_away} turned away", made.len());
    assert_eq!(all_user_ids(&client), made, "what is there is what was acknowledged, no more and no less");
    client.created("/Users", &user("when it is over"));
}

/// One write; it succeeds, or it is refused at once and may be repeated.
fn write(client: &Client, name: &str, made: &Mutex<HashSet<String>>, turned_away: &AtomicU32) {
    let asked = Instant::now();
    let reply = client.post("/Users", &user(name));
    if reply.status == 503 {
        assert!(reply.answer.header("retry-after").is_some(), "{:?}", reply.answer.headers);
        assert!(asked.elapsed() < Duration::from_secs(3), "turned away after {:?}", asked.elapsed());
        turned_away.fetch_add(1, Ordering::SeqCst);
        reply.refused(503, "");
    } else {
        made.lock().unwrap().insert(reply.answered(201).id());
    }
}

fn all_user_ids(client: &Client) -> HashSet<String> {
    let mut ids = HashSet::new();
    loop {
        let path = format!("/Users?attributes=id&count=500&startIndex={}", ids.len() + 1);
        let page: Value = client.get(&path).answered(200).json;
        let found = page["Resources"].as_array().unwrap();
        if found.is_empty() {
            return ids;
        }
        ids.extend(found.iter().map(|user| user["id"].as_str().unwrap().to_owned()));
    }
}
