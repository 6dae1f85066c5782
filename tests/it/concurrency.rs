//! Two at once: what concurrent callers do to one resource.

use std::sync::Barrier;

use serde_json::json;

use crate::app::{App, Reply};
use crate::sample::{group, operation, removal, user};

/// Runs that many calls at the same moment and gives their answers in order.
fn at_once(callers: usize, call: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
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

fn how_many(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[test]
fn fifty_members_added_at_once_are_all_there_and_can_all_leave_at_once() {
    // T44
    let client = App::shared().configuration("other");
    let people: Vec<String> = (0..50).map(|n| client.created("/Users", &user(&format!("p{n}")))).collect();
    let team = client.created("/Groups", &group("Everybody", &[]));
    let path = format!("/Groups/{team}");
    let replies = at_once(50, |n| client.patch(&path, &operation("add", "members", &json!([{"value": people[n]}]))));
    assert_eq!(how_many(&replies, 200), 50, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    let shown = client.get(&path).answered(200).json;
    let mut members: Vec<&str> =
        shown["members"].as_array().unwrap().iter().filter_map(|m| m["value"].as_str()).collect();
    members.sort_unstable();
    let mut expected: Vec<&str> = people.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(members, expected);
    let replies = at_once(50, |n| client.patch(&path, &removal(&format!("members[value eq \"{}\"]", people[n]))));
    assert_eq!(how_many(&replies, 200), 50);
    assert_eq!(client.get(&path).answered(200).json["members"], json!([]));
}

#[test]
fn of_sixteen_creates_of_one_name_exactly_one_wins() {
    // T45, R-035: the index decides, whatever the case of the letters.
    let client = App::shared().configuration("other");
    let names = ["ada@example.com", "ADA@example.com", "Ada@Example.COM", "aDa@example.com"];
    let replies = at_once(16, |n| client.post("/Users", &user(names[n % names.len()])));
    assert_eq!(how_many(&replies, 201), 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        reply.refused(409, "uniqueness");
    }
    assert_eq!(client.count("/Users"), 1);
}

#[test]
fn of_twelve_renames_to_one_name_exactly_one_wins() {
    // T45
    let client = App::shared().configuration("other");
    let people: Vec<String> = (0..12).map(|n| client.created("/Users", &user(&format!("p{n}")))).collect();
    let rename = operation("replace", "userName", &json!("wanted"));
    let replies = at_once(12, |n| client.patch(&format!("/Users/{}", people[n]), &rename));
    assert_eq!((how_many(&replies, 200), how_many(&replies, 409)), (1, 11));
    assert_eq!(client.find("/Users", "userName eq \"wanted\"").len(), 1);
}

#[test]
fn of_twelve_writers_with_one_tag_exactly_one_wins() {
    // T46, R-272, R-275: the version is compared in the transaction of the write.
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("contested")).answered(201);
    let (path, tag) = (format!("/Users/{}", made.id()), made.version());
    let replies = at_once(12, |n| {
        let body = operation("replace", "title", &json!(format!("writer {n}")));
        client.request("PATCH", &path).json(&body).header("If-Match", &tag).send()
    });
    assert_eq!((how_many(&replies, 200), how_many(&replies, 412)), (1, 11));
    let winner = replies.iter().find(|reply| reply.status == 200).unwrap();
    assert_eq!(client.get(&path).answered(200).json, winner.json);
}

#[test]
fn a_user_who_is_deleted_while_being_added_leaves_no_member_behind() {
    // T47
    let client = App::shared().configuration("other");
    let people: Vec<String> = (0..16).map(|n| client.created("/Users", &user(&format!("p{n}")))).collect();
    let path = format!("/Groups/{}", client.created("/Groups", &group("Race", &[])));
    let replies = at_once(32, |n| {
        let person = &people[n / 2];
        if n % 2 == 0 {
            client.patch(&path, &operation("add", "members", &json!([{"value": person}])))
        } else {
            client.delete(&format!("/Users/{person}"))
        }
    });
    for (n, reply) in replies.iter().enumerate() {
        let expected: &[u16] = if n % 2 == 0 { &[200, 400] } else { &[204] };
        assert!(expected.contains(&reply.status), "{n}: {}", reply.json);
    }
    assert_eq!(client.get(&path).answered(200).json["members"], json!([]));
}

#[test]
fn of_two_deletes_one_finds_nothing_left() {
    // R-246, T48
    let client = App::shared().configuration("other");
    let path = format!("/Users/{}", client.created("/Users", &user("gone")));
    let replies = at_once(8, |_| client.delete(&path));
    assert_eq!((how_many(&replies, 204), how_many(&replies, 404)), (1, 7));
}
