//! Concurrency: what simultaneous requests do to one resource.

use std::sync::Barrier;

use serde_json::json;

use crate::app::{App, Client, Reply};
use crate::sample::{group, operation, removal, user, user_with};

/// Runs that many calls at the same time and returns their answers in order.
fn run_concurrently(callers: usize, call: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
    let gate = Barrier::new(callers);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|number| {
                let (gate, call) = (&gate, &call);
                scope.spawn(move || {
                    gate.wait();
                    call(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn count_status(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[test]
fn fifty_members_can_be_added_and_removed_concurrently() {
    // T44
    let client = App::shared().configuration("other");
    let user_ids: Vec<String> = (0..50).map(|n| client.created("/Users", &user(&format!("p{n}")))).collect();
    let team = client.created("/Groups", &group("All", &[]));
    let path = format!("/Groups/{team}");
    let replies =
        run_concurrently(50, |n| client.patch(&path, &operation("add", "members", &json!([{"value": user_ids[n]}]))));
    assert_eq!(count_status(&replies, 200), 50, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    let document = client.get(&path).answered(200).json;
    let mut members: Vec<&str> =
        document["members"].as_array().unwrap().iter().filter_map(|m| m["value"].as_str()).collect();
    members.sort_unstable();
    let mut expected: Vec<&str> = user_ids.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(members, expected);
    let replies =
        run_concurrently(50, |n| client.patch(&path, &removal(&format!("members[value eq \"{}\"]", user_ids[n]))));
    assert_eq!(count_status(&replies, 200), 50);
    assert_eq!(client.get(&path).answered(200).json["members"], json!([]));
}

#[test]
fn of_sixteen_creates_of_one_name_exactly_one_wins() {
    // T45, R-035: the index decides, independent of case.
    let client = App::shared().configuration("other");
    let names = ["ada@example.com", "ADA@example.com", "Ada@Example.COM", "aDa@example.com"];
    let replies = run_concurrently(16, |n| client.post("/Users", &user(names[n % names.len()])));
    assert_eq!(count_status(&replies, 201), 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        reply.refused(409, "uniqueness");
    }
    assert_eq!(client.count("/Users"), 1);
}

#[test]
fn of_twelve_renames_to_one_name_exactly_one_wins() {
    // T45
    let client = App::shared().configuration("other");
    let user_ids: Vec<String> = (0..12).map(|n| client.created("/Users", &user(&format!("p{n}")))).collect();
    let rename = operation("replace", "userName", &json!("target"));
    let replies = run_concurrently(12, |n| client.patch(&format!("/Users/{}", user_ids[n]), &rename));
    assert_eq!((count_status(&replies, 200), count_status(&replies, 409)), (1, 11));
    assert_eq!(client.find("/Users", "userName eq \"target\"").len(), 1);
}

#[test]
fn of_twelve_writers_with_one_tag_exactly_one_wins() {
    // T46, R-272, R-275: the version is compared in the transaction of the write.
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("contested")).answered(201);
    let (path, tag) = (format!("/Users/{}", made.id()), made.version());
    let replies = run_concurrently(12, |n| {
        let body = operation("replace", "title", &json!(format!("writer {n}")));
        client.request("PATCH", &path).json(&body).header("If-Match", &tag).send()
    });
    assert_eq!((count_status(&replies, 200), count_status(&replies, 412)), (1, 11));
    let winner = replies.iter().find(|reply| reply.status == 200).unwrap();
    assert_eq!(client.get(&path).answered(200).json, winner.json);
}

#[test]
fn a_user_deleted_while_being_added_leaves_no_member_entry() {
    // T47
    let client = App::shared().configuration("other");
    let user_ids: Vec<String> = (0..16).map(|n| client.created("/Users", &user(&format!("p{n}")))).collect();
    let path = format!("/Groups/{}", client.created("/Groups", &group("Race", &[])));
    let replies = run_concurrently(32, |n| {
        let user_id = &user_ids[n / 2];
        if n % 2 == 0 {
            client.patch(&path, &operation("add", "members", &json!([{"value": user_id}])))
        } else {
            client.delete(&format!("/Users/{user_id}"))
        }
    });
    for (n, reply) in replies.iter().enumerate() {
        let expected: &[u16] = if n % 2 == 0 { &[200, 400] } else { &[204] };
        assert!(expected.contains(&reply.status), "{n}: {}", reply.json);
    }
    assert_eq!(client.get(&path).answered(200).json["members"], json!([]));
}

#[test]
fn of_concurrent_deletes_exactly_one_succeeds() {
    // R-246, T48
    let client = App::shared().configuration("other");
    let path = format!("/Users/{}", client.created("/Users", &user("gone")));
    let replies = run_concurrently(8, |_| client.delete(&path));
    assert_eq!((count_status(&replies, 204), count_status(&replies, 404)), (1, 7));
}

/// A user whose PATCH is evaluated outside the transaction; returns its path.
fn create_large_user(client: &Client, name: &str) -> String {
    let emails: Vec<_> = (0..600)
        .map(|n| json!({"value": format!("{}-{n}@example.com", "Long".repeat(120)), "type": format!("t{n}")}))
        .collect();
    format!("/Users/{}", client.created("/Users", &user_with(name, &json!({"emails": emails}))))
}

#[test]
fn parallel_patches_of_a_large_user_lose_no_update() {
    let client = App::shared().configuration("other");
    let path = create_large_user(&client, "large");
    let replies = run_concurrently(24, |n| {
        let body = match n % 4 {
            // Large and small ones, and one whose body is large.
            0 => operation("add", "nickName", &json!(n.to_string())),
            1 => operation("add", "photos", &json!([{"value": format!("{n}{}", "x".repeat(40_000))}])),
            _ => operation("add", &format!("emails[type eq \"T{n}\"].display"), &json!(format!("writer {n}"))),
        };
        client.patch(&path, &body)
    });
    assert_eq!(count_status(&replies, 200), 24, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    let document = client.get(&path).answered(200).json;
    let emails = document["emails"].as_array().unwrap();
    assert_eq!((emails.len(), document["photos"].as_array().unwrap().len()), (600, 6));
    for n in (0..24).filter(|n| n % 4 > 1) {
        let email = emails.iter().find(|email| email["type"] == format!("t{n}")).unwrap();
        assert_eq!(email["display"], format!("writer {n}"));
    }
    let versions: std::collections::BTreeSet<String> = replies.iter().map(Reply::version).collect();
    assert_eq!(versions.len(), 24, "each write has its own version");
}

#[test]
fn of_twelve_writers_of_a_large_user_with_one_tag_exactly_one_wins() {
    let client = App::shared().configuration("other");
    let path = create_large_user(&client, "contested");
    let tag = client.get(&path).answered(200).version();
    let replies = run_concurrently(12, |n| {
        let body = operation("replace", "emails[type eq \"t1\"].display", &json!(format!("writer {n}")));
        client.request("PATCH", &path).json(&body).header("If-Match", &tag).send()
    });
    assert_eq!((count_status(&replies, 200), count_status(&replies, 412)), (1, 11));
    let winner = replies.iter().find(|reply| reply.status == 200).unwrap();
    assert_eq!(client.get(&path).answered(200).json, winner.json);
}

#[test]
fn a_large_user_deleted_while_it_is_patched_is_gone() {
    let client = App::shared().configuration("other");
    let path = create_large_user(&client, "deleted");
    let body = operation("replace", "emails[value sw \"long\"].display", &json!("d"));
    let replies = run_concurrently(8, |n| if n == 4 { client.delete(&path) } else { client.patch(&path, &body) });
    for (n, reply) in replies.iter().enumerate() {
        let expected: &[u16] = if n == 4 { &[204] } else { &[200, 404] };
        assert!(expected.contains(&reply.status), "{n}: {}", reply.status);
    }
    client.get(&path).answered(404);
}
