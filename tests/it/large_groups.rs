//! Groups with many members: a change of all of them runs in steps, in which other tenants write, and survives a kill.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, rollcall, wait_until};
use crate::sample::{group, operation, removal, user};

/// Members of the groups. One step changes 2,000.
const MEMBERS: usize = 10_000;
/// Members that one transaction may change.
const STEP_MEMBERS: usize = 2_000;

/// Creates users by Bulk and returns their ids.
fn create_users(client: &Client, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let items: Vec<Value> = (ids.len()..count.min(ids.len() + 500))
            .map(|n| json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": user(&format!("u{n}"))}))
            .collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": items});
        let answer = client.post("/Bulk", &body).answered(200).json;
        for item in answer["Operations"].as_array().unwrap() {
            ids.push(item["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
        }
    }
    ids
}

fn members(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({"value": id})).collect()
}

fn full_group(ids: &[String]) -> Value {
    group("large", &ids.iter().map(String::as_str).collect::<Vec<_>>())
}

fn version_number(tag: &str) -> i64 {
    tag.trim_start_matches("W/").trim_matches('"').parse().unwrap()
}

fn read_version(client: &Client, path: &str) -> i64 {
    version_number(&client.get(&format!("{path}?excludedAttributes=members")).answered(200).version())
}

fn read_members(client: &Client, path: &str) -> BTreeSet<String> {
    list_ids(&client.get(path).answered(200).json)
}

fn list_ids(document: &Value) -> BTreeSet<String> {
    let list = document["members"].as_array().into_iter().flatten();
    list.map(|member| member["value"].as_str().unwrap().to_owned()).collect()
}

fn as_set(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

/// Rows of a table, in the file of a stopped server.
fn count_rows(data: &Path, table: &str) -> i64 {
    let database = rusqlite::Connection::open(data.join("rollcall.db")).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_quiet_tenant_writes_while_large_groups_change_and_no_member_of_both_lists_is_missing() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let (busy, quiet) = (app.configuration_of("busy", "other"), app.configuration_of("quiet", "other"));
    let ids = create_users(&busy, MEMBERS);
    let (first, second) = (&ids[..6_000], &ids[4_000..]);
    let path =
        format!("/Groups/{}", busy.post("/Groups?excludedAttributes=members", &full_group(first)).answered(201).id());
    assert_eq!(read_members(&busy, &path), as_set(first));
    let begun = read_version(&busy, &path);
    let over = AtomicBool::new(false);
    let (written, seen) = std::thread::scope(|scope| {
        let quiet_writes = scope.spawn(|| {
            let mut written = 0;
            while !over.load(Ordering::SeqCst) {
                quiet.created("/Users", &user(&format!("q{written}")));
                written += 1;
            }
            written
        });
        let reads = scope.spawn(|| {
            let (mut seen, both) = (0, as_set(&ids[4_000..6_000]));
            let (mut version, mut before) = (read_version(&busy, &path), as_set(first));
            while !over.load(Ordering::SeqCst) {
                let found = busy.get(&path).answered(200);
                let (next, members) = (version_number(&found.version()), list_ids(&found.json));
                assert!(both.is_subset(&members), "a member of both lists is missing");
                // Each transaction increments the version.
                let changed = before.symmetric_difference(&members).count();
                let transactions = usize::try_from(next - version).unwrap();
                assert!(changed <= transactions * STEP_MEMBERS, "{changed} members in {transactions} transactions");
                (version, before) = (next, members);
                seen += 1;
            }
            seen
        });
        let reply = busy.put(&format!("{path}?excludedAttributes=members"), &full_group(second)).answered(200);
        assert_eq!(reply.version(), busy.get(&path).answered(200).version());
        over.store(true, Ordering::SeqCst);
        (quiet_writes.join().unwrap(), reads.join().unwrap())
    });
    assert!(written > 0 && seen > 0, "{written} {seen}");
    // 4,000 join, then 4,000 leave.
    assert_eq!(read_version(&busy, &path) - begun, 4);
    assert_eq!(read_members(&busy, &path), as_set(second));
    for (body, expected) in [
        (operation("add", "members", &members(first)), as_set(&ids)),
        (operation("remove", "members", &members(&ids[..5_000])), as_set(&ids[5_000..])),
        (operation("replace", "members", &members(&ids[..5_000])), as_set(&ids[..5_000])),
        (removal("members[value pr]"), BTreeSet::new()),
        (operation("replace", "members", &members(&ids)), as_set(&ids)),
        (removal("members"), BTreeSet::new()),
    ] {
        let status = busy.patch(&path, &body).status;
        assert!(status == 200 || status == 204, "{status}");
        assert_eq!(read_members(&busy, &path), expected);
    }
    busy.patch(&path, &operation("add", "members", &members(&ids)));
    busy.delete(&path).answered(204);
    busy.get(&path).answered(404);
    app.kill();
    assert_eq!(count_rows(data.path(), "group_members"), 0);
    assert!(rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn a_change_of_a_large_group_that_is_killed_is_complete_or_has_not_begun_after_the_start() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let mut client = app.configuration("other");
    let ids = create_users(&client, MEMBERS);
    let (first, second) = ids.split_at(MEMBERS / 2);
    let path = format!("/Groups/{}", client.post("/Groups?attributes=id", &full_group(first)).answered(201).id());
    let mut current = as_set(first);
    let mut interrupted = 0;
    for round in 0..6_u32 {
        let target = if round % 2 == 0 { second } else { first };
        let before = client.get(&format!("{path}?excludedAttributes=members")).answered(200).version();
        std::thread::scope(|scope| {
            let (client, path) = (&client, &path);
            scope.spawn(move || {
                // The server may be killed first.
                client.request("PUT", &format!("{path}?attributes=id")).json(&full_group(target)).attempt().is_ok()
            });
            // The version changes with the first step.
            let started = Instant::now();
            while client.get(&format!("{path}?excludedAttributes=members")).answered(200).version() == before {
                assert!(started.elapsed() < Duration::from_mins(1), "no step ran");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(u64::from(round) * 15));
            app.kill();
        });
        interrupted += usize::from(count_rows(data.path(), "pending_changes") > 0);
        app = App::start(data.path());
        client = client.at(app.address);
        let found = read_members(&client, &path);
        assert!(found == as_set(target), "round {round}: {} members", found.len());
        current = found;
    }
    assert!(interrupted > 0, "no change was interrupted");
    assert_eq!(current.len(), MEMBERS / 2);
    // Writes of the same group wait for a running change, and none is lost.
    std::thread::scope(|scope| {
        let (client, path) = (&client, &path);
        scope.spawn(move || client.put(&format!("{path}?attributes=id"), &full_group(second)).answered(200));
        for id in &first[..8] {
            scope.spawn(move || {
                let reply = client.patch(path, &operation("add", "members", &json!([{"value": id}])));
                assert!(reply.status == 200 || reply.status == 204, "{}", reply.json);
            });
        }
    });
    assert!(as_set(second).is_subset(&read_members(&client, &path)));
    app.kill();
    assert_eq!(count_rows(data.path(), "pending_changes"), 0);
    assert!(rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn a_name_is_free_after_the_deletion_of_a_large_group_and_a_running_change_does_not_delay_one() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let mut client = app.configuration("other");
    let ids = create_users(&client, MEMBERS);
    let create = |client: &Client| client.post("/Groups?attributes=id", &full_group(&ids)).answered(201).id();
    let path = format!("/Groups/{}", create(&client));
    // The new group has the name of the one whose deletion runs in steps.
    let items = json!([
        {"method": "DELETE", "path": path},
        {"method": "POST", "path": "/Groups", "bulkId": "new", "data": group("large", &[])}
    ]);
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": items});
    let done = client.post("/Bulk", &body).answered(200).json;
    assert_eq!((&done["Operations"][0]["status"], &done["Operations"][1]["status"]), (&json!("204"), &json!("201")));
    client.get(&path).answered(404);
    let small = format!("/Groups/{}", client.find("/Groups", "displayName eq \"large\"")[0]["id"].as_str().unwrap());
    let before = read_version(&client, &small);
    std::thread::scope(|scope| {
        let change = scope.spawn(|| client.put(&format!("{small}?attributes=id"), &full_group(&ids)).status);
        wait_until("the change has begun", || {
            client.get(&format!("{small}?excludedAttributes=members")).answered(200).version()
                != format!("W/\"{before}\"")
        });
        client.delete(&small).answered(204);
        let status = change.join().unwrap();
        // It was complete, or it ended with the group.
        assert!(status == 200 || status == 404, "{status}");
    });
    client.get(&small).answered(404);
    // A deletion that a kill interrupts is complete after the start.
    let path = format!("/Groups/{}", create(&client));
    let before = read_version(&client, &path);
    std::thread::scope(|scope| {
        let (client, path) = (&client, &path);
        scope.spawn(move || client.request("DELETE", path).attempt().is_ok());
        wait_until("the deletion has begun", || {
            let found = client.get(&format!("{path}?excludedAttributes=members"));
            found.status == 404 || version_number(&found.version()) != before
        });
        app.kill();
    });
    app = App::start(data.path());
    client = client.at(app.address);
    client.get(&path).answered(404);
    assert_eq!(client.count("/Groups"), 0);
    app.kill();
    assert_eq!((count_rows(data.path(), "group_members"), count_rows(data.path(), "pending_changes")), (0, 0));
    assert!(rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn a_purge_of_a_large_group_runs_in_steps() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    let ids = create_users(&client, 5_000);
    client.post("/Groups?attributes=id", &full_group(&ids)).answered(201);
    app.succeeds(&["configuration", "delete", &client.id, "--purge", "--yes"]);
    let rows = || {
        let database = rusqlite::Connection::open(data.path().join("rollcall.db")).unwrap();
        database.query_row("SELECT count(*) FROM resources", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    wait_until("the purge is complete", || rows() == 0);
    app.kill();
    assert_eq!(count_rows(data.path(), "group_members"), 0);
    assert!(rollcall(data.path(), &["check"]).status.success());
}
