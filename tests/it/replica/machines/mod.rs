//! Two machines with the real Litestream and an S3 server: failovers, cuts and kills. No write is acknowledged by both, no event
//! number is used twice, and a fenced machine reports what only it has.

mod machine;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::machine::{FrontProxy, Machine, StorageProxy};
use super::litestream::{self, StorageServer};
use super::names;
use crate::app::{Client, rollcall, wait_until};
use crate::sample::user;

/// How long the lease lasts, and how long writes are accepted after it was written.
const LEASE_TTL: Duration = Duration::from_secs(10);
/// Until when a promoted server must be ready, counted from the end of the lease.
const READY_MAX: Duration = Duration::from_secs(5);

fn start_storage() -> Option<StorageServer> {
    if litestream::is_here() { StorageServer::start() } else { None }
}

/// Writes users until it is stopped. Returns the names that were acknowledged, with the time of the answer.
fn write_until(client: &Client, prefix: &str, is_stopped: &AtomicBool) -> Vec<(String, Instant)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if is_stopped.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("{prefix}{number:05}");
        let request = client.request("POST", "/Users").json(&user(&name));
        // A server that is gone has no answer.
        if request.attempt().is_ok_and(|answer| answer.status == 201) {
            acknowledged.push((name, Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    acknowledged
}

/// The numbers of all events after a position.
fn list_event_numbers(machine: &Machine, after: i64) -> Vec<i64> {
    let database = crate::app::open_database(machine.data.join("rollcall.db"));
    let mut rows = database.prepare("SELECT seq FROM events WHERE seq > ?1 ORDER BY seq").unwrap();
    rows.query_map([after], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_server_stops_accepting_writes_in_front_of_the_end_of_its_lease_and_continues_with_it() {
    let Some(storage) = start_storage() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut a = Machine::new(folder.path(), "a", &storage.url(), &[]);
    a.start(&["serve"]);
    a.wait_until_ready();
    let client = a.configuration();
    client.created("/Users", &user("first"));
    storage.signal("STOP");
    let begun = Instant::now();
    let refused = loop {
        let reply = client.post("/Users", &user(&format!("u{}", begun.elapsed().as_micros())));
        if reply.status != 201 {
            break reply;
        }
        assert!(begun.elapsed() < LEASE_TTL, "writes are accepted after the end of the lease");
        std::thread::sleep(Duration::from_millis(20));
    };
    println!("the first refusal came {:?} after the storage stopped", begun.elapsed());
    let refused = refused.answered(503).with_scim_error();
    assert!(refused.json["detail"].as_str().unwrap().contains("lease"), "{}", refused.json);
    assert_eq!(refused.header("retry-after"), "2");
    let (status, body) = a.read_readiness().unwrap();
    assert!(status == 503 && body.contains("lease_lost"), "{status} {body}");
    assert_eq!(client.find("/Users", "userName eq \"first\"").len(), 1, "reads continue");
    storage.signal("CONT");
    a.wait_until_ready();
    client.created("/Users", &user("last"));
    // A second server cannot take the folder of another one's replica.
    let mut other = Machine::new(folder.path(), "other", &storage.url(), &[]);
    other.start(&["serve"]);
    assert!(!other.wait_until_ended());
    assert!(other.read_log().contains("rollcall standby"), "{}", other.read_log());
}

/// One failover under load. Returns how long the promotion took and how many acknowledged writes were lost.
fn fail_over_once(storage: &StorageServer, further: &[&str]) -> (Duration, usize) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("s3://bucket/{}?endpoint=http://{}&region=us-east-1", uuid(), storage.address);
    let mut a = Machine::new(folder.path(), "a", &url, further);
    let mut b = Machine::new(folder.path(), "b", &url, further);
    a.start(&["serve"]);
    a.wait_until_ready();
    let client = a.configuration();
    wait_until("a write is accepted", || client.post("/Users", &user("first")).status == 201);
    b.start(&["standby", "--from", &url]);
    b.wait_until_warm();
    let (status, body) = b.read_readiness().unwrap();
    assert!(status == 503 && body.starts_with("standby"), "{status} {body}");
    let refused = client.at(b.address).post("/Users", &user("to-b"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    let front = FrontProxy::start(folder.path(), &a, &b);
    if let Some(front) = &front {
        // Half of these requests arrive at the standby first.
        for number in 0..4 {
            client.at(front.address).created("/Users", &user(&format!("front-a-{number}")));
        }
    }
    let (is_stopped, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scope.spawn(|| *acknowledged.lock().unwrap() = write_until(&client, "u", &is_stopped));
        std::thread::sleep(Duration::from_secs(4));
        a.lose();
        is_stopped.store(true, Ordering::SeqCst);
    });
    let highest = list_event_numbers(&a, 0).last().copied().unwrap();
    let lost_at = Instant::now();
    let promoted = b.run(&["promote"], &[]);
    assert!(promoted.status.success(), "{promoted:?}\n{}", b.read_log());
    b.wait_until_ready();
    let took = lost_at.elapsed();
    let on_b = client.at(b.address);
    let found: BTreeSet<String> = list_all_names(&on_b);
    let acknowledged = acknowledged.into_inner().unwrap();
    let lost: Vec<&(String, Instant)> = acknowledged.iter().filter(|(name, _)| !found.contains(name)).collect();
    on_b.created("/Users", &user("after"));
    if let Some(front) = &front {
        for number in 0..4 {
            client.at(front.address).created("/Users", &user(&format!("front-b-{number}")));
        }
    }
    assert!(*list_event_numbers(&b, highest).first().unwrap() > highest + 1_000_000, "the numbers leap");
    assert_fenced_reports(&mut a, &lost);
    // It becomes the standby.
    a.start(&["standby"]);
    a.wait_until_warm();
    (took, lost.len())
}

/// Starts the lost machine again: it is fenced, and reports what was lost.
fn assert_fenced_reports(a: &mut Machine, lost: &[&(String, Instant)]) {
    // The lost machine comes back.
    a.start(&["serve"]);
    assert!(!a.wait_until_ended());
    assert!(a.read_log().contains("FENCED") && a.read_log().contains("rollcall standby"), "{}", a.read_log());
    let fenced = a.list_fenced();
    assert!(fenced.len() == 1 && !a.data.join("rollcall.db").exists(), "{fenced:?}");
    let file = fenced[0].to_str().unwrap();
    let report = rollcall(&a.data, &["fenced", "report", file, "--output", "json"]);
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let events: Value = serde_json::from_slice(&report.stdout).unwrap();
    let reported: BTreeSet<String> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "user.created")
        .map(|event| event["payload"].as_str().unwrap().to_owned())
        .collect();
    assert!(reported.len() >= lost.len(), "{} of {} lost writes are reported", reported.len(), lost.len());
    for (name, _) in lost {
        assert!(reported.iter().any(|payload| payload.contains(name.as_str())), "{name} is not reported");
    }
    let table = rollcall(&a.data, &["fenced", "report", file]);
    assert!(table.status.success());
}

fn uuid() -> String {
    crate::app::new_account().to_lowercase()
}

fn list_all_names(client: &Client) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut start = 1;
    loop {
        let path = format!("/Users?count=500&startIndex={start}&attributes=userName&sortBy=userName");
        let listed = client.get(&path).answered(200).json;
        let users = listed["Resources"].as_array().cloned().unwrap_or_default();
        if users.is_empty() {
            return found;
        }
        start += users.len();
        found.extend(users.iter().map(|user| user["userName"].as_str().unwrap().to_owned()));
    }
}

/// How often the machine is lost; more than the default for a long run.
fn count_rounds() -> u32 {
    std::env::var("FAILOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn a_lost_primary_is_replaced_and_the_fenced_one_reports_what_was_lost() {
    let Some(storage) = start_storage() else { return };
    for round in 0..count_rounds() {
        let (took, lost) = fail_over_once(&storage, &[]);
        println!("round {round}: ready {took:?} after the loss, {lost} acknowledged writes lost");
        assert!(took < LEASE_TTL + READY_MAX + Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn a_replicated_acknowledgement_loses_nothing_in_a_failover() {
    let Some(storage) = start_storage() else { return };
    for round in 0..count_rounds() {
        let (took, lost) = fail_over_once(&storage, &["--replica-ack", "replicated"]);
        println!("round {round}: ready {took:?} after the loss");
        assert_eq!(lost, 0);
    }
}

#[test]
fn a_cut_between_the_primary_and_the_storage_lets_the_standby_take_over_and_no_write_is_accepted_by_both() {
    let Some(storage) = start_storage() else { return };
    let folder = tempfile::tempdir().unwrap();
    let proxy = StorageProxy::start(storage.address);
    let mut a = Machine::new(folder.path(), "a", &proxy.url(), &[]);
    let mut b = Machine::new(folder.path(), "b", &storage.url(), &[]);
    a.start(&["serve"]);
    a.wait_until_ready();
    let client = a.configuration();
    client.created("/Users", &user("first"));
    b.start(&["standby", "--auto-promote"]);
    b.wait_until_warm();
    let is_stopped = AtomicBool::new(false);
    let (on_a, on_b) = std::thread::scope(|scope| {
        let on_b = client.at(b.address);
        let first = scope.spawn(|| write_until(&client, "a", &is_stopped));
        let second = scope.spawn({
            let is_stopped = &is_stopped;
            move || write_until(&on_b, "b", is_stopped)
        });
        std::thread::sleep(Duration::from_secs(2));
        proxy.cut(true);
        b.wait_until_ready();
        std::thread::sleep(Duration::from_secs(2));
        // The old primary learns of it only now.
        proxy.cut(false);
        std::thread::sleep(Duration::from_secs(3));
        is_stopped.store(true, Ordering::SeqCst);
        (first.join().unwrap(), second.join().unwrap())
    });
    assert!(!on_a.is_empty() && !on_b.is_empty(), "{} and {}", on_a.len(), on_b.len());
    let (last, first) = (on_a.last().unwrap().1, on_b[0].1);
    println!("{} writes on a, {} on b, {:?} between the last and the first", on_a.len(), on_b.len(), first - last);
    assert!(last < first, "the old primary has accepted a write after the new one");
    assert!(!a.wait_until_ended(), "it is fenced");
    assert_eq!(a.list_fenced().len(), 1, "{}", a.read_log());
    let fenced = crate::app::open_database(&a.list_fenced()[0]);
    let highest: i64 = fenced.query_row("SELECT max(seq) FROM events", [], |row| row.get(0)).unwrap();
    let numbers = list_event_numbers(&b, 0);
    assert!(numbers.iter().any(|number| *number > highest + 1_000_000));
    let own: Vec<i64> = numbers.into_iter().filter(|number| *number < 1_000_000).collect();
    assert!(own.last().copied().unwrap_or_default() <= highest, "no number is used twice");
}

#[test]
fn a_paused_primary_does_not_acknowledge_after_it_continues() {
    let Some(storage) = start_storage() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut a = Machine::new(folder.path(), "a", &storage.url(), &[]);
    let mut b = Machine::new(folder.path(), "b", &storage.url(), &[]);
    a.start(&["serve"]);
    a.wait_until_ready();
    let client = a.configuration();
    client.created("/Users", &user("first"));
    b.start(&["standby", "--auto-promote"]);
    b.wait_until_warm();
    let is_stopped = AtomicBool::new(false);
    let paused_at = Instant::now();
    let late = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (client, is_stopped) = (client.clone(), &is_stopped);
                scope.spawn(move || write_until(&client, &format!("w{writer}-"), is_stopped))
            })
            .collect();
        std::thread::sleep(Duration::from_secs(1));
        a.signal("STOP");
        b.wait_until_ready();
        let promoted_at = Instant::now();
        a.signal("CONT");
        std::thread::sleep(Duration::from_secs(2));
        is_stopped.store(true, Ordering::SeqCst);
        let acknowledged = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        acknowledged.filter(|(_, at)| *at > promoted_at).collect::<Vec<_>>()
    });
    println!("b took over {:?} after the pause", paused_at.elapsed());
    assert!(late.is_empty(), "{late:?}");
    assert!(!a.wait_until_ended());
}

#[test]
fn a_promotion_that_is_killed_at_any_step_is_completed_by_the_next_one() {
    let Some(storage) = start_storage() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut a = Machine::new(folder.path(), "a", &storage.url(), &[]);
    a.start(&["serve"]);
    a.wait_until_ready();
    let client = a.configuration();
    client.created("/Users", &user("u0"));
    let mut expected = vec!["u0".to_owned()];
    let mut primary = a;
    let mut highest = 0;
    for (number, step) in ["lease", "caught-up", "aside", "leapt", "renamed"].into_iter().enumerate() {
        // Everything is in the replica, and the lease is given up.
        primary.signal("TERM");
        assert!(primary.wait_until_ended(), "{}", primary.read_log());
        highest = list_event_numbers(&primary, 0).last().copied().unwrap().max(highest);
        let mut next = Machine::new(folder.path(), &format!("m{number}"), &storage.url(), &[]);
        let killed = next.run(&["promote"], &[("TEST_ABORT_PROMOTION_AFTER", step)]);
        let said = String::from_utf8_lossy(&killed.stderr).into_owned();
        assert!(!killed.status.success(), "{step}: {said}");
        next.start(&["promote"]);
        next.wait_until_ready();
        let on_next = client.at(next.address);
        assert_eq!(names(&on_next), expected, "{step}");
        let name = format!("u{}", number + 1);
        on_next.created("/Users", &user(&name));
        expected.push(name);
        let numbers = list_event_numbers(&next, highest);
        assert!(*numbers.first().unwrap() > highest + 1_000_000, "{step}: {numbers:?} after {highest}");
        let checked = rollcall(&next.data, &["check", "--deep"]);
        assert!(checked.status.success(), "{step}: {}", String::from_utf8_lossy(&checked.stdout));
        primary = next;
    }
}
