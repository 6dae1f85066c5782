//! `replica_ack = "replicated"`: what is acknowledged is in the replica, and what is not is an error that can be repeated.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::litestream::{self, StorageServer};
use super::{ReplicaFolders, names};
use crate::app::{App, Client};
use crate::sample::{group, user};

/// How long a write waits for the replica.
const CONFIRMATION_MAX: Duration = Duration::from_secs(2);
/// Connections of the load.
const CONNECTIONS: u32 = 64;

#[test]
fn no_acknowledged_write_is_lost_with_the_machine() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let app = folders.start_with(&["--replica-ack", "replicated"]);
    let client = app.configuration("other");
    let mut acknowledged = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let name = format!("u{:05}", acknowledged.len());
        client.created("/Users", &user(&name));
        acknowledged.push(name);
    }
    let pid = litestream::find_pid(&folders.data()).unwrap();
    litestream::kill(pid);
    app.kill();
    println!("{} writes in 4 s", acknowledged.len());
    let restored = folders.restore(&[]);
    let client = client.at(restored.address);
    let expected = u64::try_from(acknowledged.len()).unwrap();
    assert_eq!(client.count("/Users"), expected);
    // A page of a list has at most 500 users.
    let listed = names(&client);
    assert_eq!(listed, acknowledged[..listed.len()]);
}

#[test]
fn a_silent_replica_is_an_error_and_never_a_success_and_the_repetition_has_one_effect() {
    if !litestream::is_here() {
        return;
    }
    let Some(storage) = StorageServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let url = storage.url();
    let flags = ["--replica-url", &url, "--replica-access-key-id", "test", "--replica-ack", "replicated"];
    let secret = [("ROLLCALL_REPLICA_SECRET_ACCESS_KEY", "secret")];
    let app = App::start_in(&data, &flags, &secret, &folder.path().join("log"));
    let client = app.configuration("other");
    // Litestream has started after the server, so the first writes may be refused.
    crate::app::wait_until("a write is confirmed", || client.post("/Users", &user("first")).status == 201);
    storage.signal("STOP");
    let begun = Instant::now();
    let refused = client.post("/Users", &user("ann"));
    let took = begun.elapsed();
    let refused = refused.answered(503).with_scim_error();
    assert!(took >= CONFIRMATION_MAX && took < CONFIRMATION_MAX * 2, "{took:?}");
    assert!(!refused.header("retry-after").is_empty());
    assert!(refused.json["detail"].as_str().unwrap().contains("repeat the request"), "{}", refused.json);
    // From now on nothing is written, and no client waits.
    let begun = Instant::now();
    for _ in 0..3 {
        let refused = client.post("/Groups", &group("staff", &[])).answered(503);
        assert!(refused.json["detail"].as_str().unwrap().contains("nothing was changed"), "{}", refused.json);
    }
    client.post("/Users", &user("ann")).answered(503);
    assert!(begun.elapsed() < CONFIRMATION_MAX, "{:?}", begun.elapsed());
    assert_eq!(client.count("/Groups"), 0);
    assert_eq!(client.count("/Users"), 2, "reads continue, and show what this machine has");
    storage.signal("CONT");
    crate::app::wait_until("writes are accepted again", || client.post("/Groups", &group("staff", &[])).status == 201);
    let repeated = client.post("/Users", &user("ann")).answered(201);
    let found = client.find("/Users", "userName eq \"ann\"");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], repeated.json["id"]);
    assert_eq!(repeated.header("location"), repeated.json["meta"]["location"]);
    // Another request, and a third one, are conflicts as always.
    client.post("/Users", &user("ann")).answered(409);
    client.patch(&format!("/Users/{}", repeated.id()), &patch_title("x")).answered(200);
}

fn patch_title(title: &str) -> serde_json::Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
           "Operations": [{"op": "replace", "path": "title", "value": title}]})
}

/// The writes of all connections for that time.
fn count_writes(client: &Client, prefix: &str, time: Duration) -> u32 {
    let (count, begun) = (AtomicU32::new(0), Instant::now());
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (count, client) = (&count, client.clone());
            scope.spawn(move || {
                let mut number = 0;
                while begun.elapsed() < time {
                    client.created("/Users", &user(&format!("{prefix}-{connection}-{number}")));
                    number += 1;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.into_inner()
}

#[test]
fn throughput_is_at_least_half_of_a_local_acknowledgement() {
    if !litestream::is_here() {
        return;
    }
    let (local_folders, folders) = (ReplicaFolders::new(), ReplicaFolders::new());
    let local = local_folders.start();
    let replicated = folders.start_with(&["--replica-ack", "replicated"]);
    let (local_client, client) = (local.configuration("other"), replicated.configuration("other"));
    let (mut of_local, mut of_replicated) = (0, 0);
    for round in 0..3 {
        let prefix = format!("r{round}");
        of_local += count_writes(&local_client, &prefix, Duration::from_millis(1_500));
        of_replicated += count_writes(&client, &prefix, Duration::from_millis(1_500));
    }
    println!("{of_local} writes with local, {of_replicated} with replicated, on {CONNECTIONS} connections in 4.5 s");
    assert!(of_replicated * 2 >= of_local, "{of_replicated} of {of_local}");
}
