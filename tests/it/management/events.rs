//! The event feed, as a consumer reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{group, operation, user};

/// Path of the feed.
pub(super) const EVENTS: &str = "/directory/resources/v1/events";

/// The position after a page.
fn position(page: &Value) -> String {
    page["nextAfter"].as_str().unwrap_or_else(|| panic!("{page}")).to_owned()
}

/// A consumer that remembers its position.
pub(crate) struct Consumer {
    pub(crate) caller: Caller,
    pub(crate) after: String,
}

impl Consumer {
    /// A consumer that starts at the current end of the feed.
    pub(crate) fn from_now(caller: &Caller) -> Self {
        let page = caller.get(&format!("{EVENTS}?after=latest")).answered(200).json;
        assert_eq!((&page["events"], &page["hasMore"]), (&json!([]), &json!(false)));
        Self { caller: caller.clone(), after: position(&page) }
    }

    /// One page.
    pub(crate) fn page(&mut self, query: &str) -> (Vec<Value>, bool) {
        let page = self.caller.get(&format!("{EVENTS}?after={}{query}", self.after)).answered(200).json;
        self.after = position(&page);
        (page["events"].as_array().unwrap().clone(), page["hasMore"].as_bool().unwrap())
    }

    /// All new events.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let (events, has_more) = self.page("&limit=1000");
            all.extend(events);
            if !has_more {
                return all;
            }
        }
    }

    /// The kinds of all new events.
    pub(crate) fn kinds(&mut self) -> Vec<String> {
        self.rest().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn the_feed_contains_complete_events_in_order() {
    let operator = App::shared().operator();
    let client = operator.configuration("feed", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("feed"));
    let user_id = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &group("Team", &[&user_id]));
    client.patch(&format!("/Users/{user_id}"), &operation("replace", "nickName", &json!("A"))).answered(200);
    client.delete(&format!("/Users/{user_id}")).answered(204);
    operator.delete(&format!("{CONFIGURATIONS}/{}", client.id)).answered(204);

    let events = consumer.rest();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let expected = [
        "user.created",
        "group.created",
        "group.member_added",
        "user.updated",
        "group.member_removed",
        "user.deleted",
        "configuration.deleted",
    ];
    assert_eq!(kinds, expected);
    let created = &events[0];
    assert_eq!(created["accountId"], "feed");
    assert_eq!(created["configurationId"], client.id);
    assert_eq!(created["resourceType"], "User");
    assert_eq!(created["resourceId"], user_id);
    assert_eq!(created["data"]["after"]["userName"], "ada");
    assert!(created["createdAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(events[1]["resourceType"], "Group");
    assert_eq!(events[2]["resourceId"], team);
    assert_eq!(events[2]["data"]["members"], json!([{"value": user_id, "type": "User", "userName": "ada"}]));
    assert_eq!(events[3]["data"], json!({"changed": ["nickName"], "before": {}, "after": {"nickName": "A"}}));
    assert_eq!((&events[6]["resourceType"], &events[6]["resourceId"]), (&Value::Null, &Value::Null));
    let seqs: Vec<i64> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|one, next| one < next), "{seqs:?}");
    assert_eq!(consumer.kinds(), [] as [&str; 0]);
}

#[test]
fn pages_and_filters_lead_to_the_same_events() {
    let operator = App::shared().operator();
    let (one, two) = (operator.configuration("pages", "other"), operator.configuration("pages", "okta"));
    let mut whole = Consumer::from_now(&operator.for_account("pages"));
    let start = whole.after.clone();
    for number in 0..7 {
        one.created("/Users", &user(&format!("one {number}")));
        two.created("/Users", &user(&format!("two {number}@example.com")));
    }
    let all = whole.rest();
    assert_eq!(all.len(), 14);
    let mut paged = Consumer { caller: operator.clone(), after: start.clone() };
    let mut found = Vec::new();
    for _ in 0..500 {
        let (events, has_more) = paged.page("&account=pages&limit=3");
        assert!(events.len() <= 3);
        found.extend(events);
        if !has_more {
            break;
        }
    }
    assert_eq!(found, all);
    let mut of_two = Consumer { caller: operator.for_account("pages"), after: start };
    let (events, _) = of_two.page(&format!("&configuration={}", two.id));
    let expected: Vec<Value> = all.into_iter().filter(|event| event["configurationId"] == two.id).collect();
    assert_eq!(events, expected);
}

#[test]
fn an_account_sees_only_its_own_events() {
    let app = App::shared();
    let operator = app.operator();
    let theirs = operator.configuration("feed-theirs", "other");
    let ours = operator.configuration("feed-ours", "other");
    let caller = app.account_key("feed-ours", &["directory.read"]);
    let mut consumer = Consumer::from_now(&caller);
    theirs.created("/Users", &user("theirs"));
    let mine = ours.created("/Users", &user("mine"));
    let after = consumer.after.clone();
    let seen: Vec<Value> = consumer.rest().into_iter().map(|event| event["resourceId"].clone()).collect();
    assert_eq!(seen, [json!(mine)]);
    for foreign in ["&account=feed-theirs".to_owned(), format!("&configuration={}", theirs.id)] {
        let (events, _) = Consumer { caller: caller.clone(), after: after.clone() }.page(&foreign);
        assert_eq!(events, [] as [Value; 0], "{foreign}");
    }
}

#[test]
fn a_waiting_consumer_gets_the_next_matching_event() {
    let operator = App::shared().operator();
    let client = operator.configuration("waits", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("waits"));
    let begun = Instant::now();
    let events = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| consumer.page("&wait=30"));
        std::thread::sleep(Duration::from_millis(300));
        client.created("/Users", &user("awaited"));
        waiting.join().unwrap().0
    });
    assert_eq!(events.len(), 1);
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(25));
    let begun = Instant::now();
    let (events, has_more) = consumer.page("&wait=1");
    assert_eq!((events.len(), has_more), (0, false));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_waiting_consumer_gets_events_of_command_line_changes() {
    let app = App::shared();
    let operator = app.operator();
    let mut consumer = Consumer::from_now(&operator.for_account("waits-for-commands"));
    let begun = Instant::now();
    let events = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| consumer.page("&wait=30"));
        std::thread::sleep(Duration::from_millis(300));
        app.configuration_of("waits-for-commands", "other");
        waiting.join().unwrap().0
    });
    assert_eq!(events[0]["kind"], "configuration.created");
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[test]
fn a_waiting_consumer_does_not_delay_the_stop_of_the_server() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let mut consumer = Consumer::from_now(&app.operator());
    let waiting = std::thread::spawn(move || consumer.page("&wait=30"));
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    assert_eq!(app.terminate(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(waiting.join().unwrap().0, [] as [Value; 0]);
}

#[test]
fn a_consumer_during_eight_writers_sees_every_event_once_and_in_order() {
    const WRITERS: usize = 8;
    const USERS: usize = 40;
    let operator = App::shared().operator();
    let client = operator.configuration("crowd", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("crowd"));
    let over = AtomicBool::new(false);
    let (made, seen) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let client = &client;
                scope.spawn(move || {
                    let user = |number| client.created("/Users", &user(&format!("w{writer}n{number}")));
                    (0..USERS).map(user).collect::<Vec<String>>()
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            loop {
                let is_last = over.load(Ordering::SeqCst);
                let (events, has_more) = consumer.page("&limit=7");
                let is_end = events.is_empty() && !has_more;
                seen.extend(events);
                if is_last && is_end {
                    return seen;
                }
            }
        });
        let made: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        over.store(true, Ordering::SeqCst);
        (made, reader.join().unwrap())
    });
    let seqs: Vec<i64> = seen.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|one, next| one < next));
    let mut ids: Vec<&str> = seen.iter().map(|event| event["resourceId"].as_str().unwrap()).collect();
    let mut made: Vec<&str> = made.iter().map(String::as_str).collect();
    ids.sort_unstable();
    made.sort_unstable();
    assert_eq!(ids, made);
}

#[test]
fn an_invalid_query_parameter_is_refused_by_name() {
    let operator = App::shared().operator();
    for (query, name) in [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("after=", "after"),
        ("after=%2B1", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("wait=31", "wait"),
        ("wait=-1", "wait"),
    ] {
        let refused = operator.get(&format!("{EVENTS}?{query}")).problem(400);
        let message = refused.text("message");
        assert!(message.contains(name) || message.contains("query"), "{query}: {message}");
    }
}

/// Asserts 410 and returns the position at which to continue.
#[track_caller]
fn refused_position(caller: &Caller, after: &str, code: &str) -> String {
    let refused = caller.get(&format!("{EVENTS}?after={after}")).problem(410);
    assert_eq!(refused.text("errorCode"), code, "{after}");
    let restart = refused.text("restartFrom");
    assert!(refused.text("message").contains(&restart), "{}", refused.json);
    restart
}

#[test]
fn a_position_that_the_feed_never_had_is_refused_with_one_to_restart_from() {
    let operator = App::shared().operator();
    let client = operator.configuration("positions", "other");
    let reader = operator.for_account("positions");
    let consumer = Consumer::from_now(&reader);
    let user_id = client.created("/Users", &user("one"));
    for ahead in ["999999999999999999", "AQAAAAAAAAAAAAAAAAAAAAk", "AQEBAQEBAQEBAAAAAAAAAAA"] {
        let restart = refused_position(&reader, ahead, "event_position_unknown");
        // Nothing that the feed still has is lost.
        let all = Consumer { caller: reader.clone(), after: restart }.rest();
        assert_eq!(all.last().unwrap()["resourceId"], user_id);
        assert_eq!(all[0]["kind"], "configuration.created");
    }
    // A number is accepted, as earlier versions issued them.
    let event = Consumer { caller: reader.clone(), after: consumer.after }.rest().remove(0);
    let number = event["seq"].as_i64().unwrap() - 1;
    assert_eq!(Consumer { caller: reader, after: number.to_string() }.rest(), [event]);
}

#[test]
fn a_position_of_another_database_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let app = App::start(one.path());
    app.configuration_of("acme", "other");
    let position = Consumer::from_now(&app.operator()).after;
    let app = App::start(other.path());
    for _ in 0..2 {
        app.configuration_of("acme", "other");
    }
    let restart = refused_position(&app.operator(), &position, "event_position_unknown");
    assert_eq!(Consumer { caller: app.operator(), after: restart }.rest().len(), 2);
}

#[test]
fn an_account_gets_one_test_event_in_ten_seconds() {
    let operator = App::shared().operator();
    let (one, two) = (operator.configuration("tested", "okta"), operator.configuration("tested", "okta"));
    let other = operator.configuration("tested-too", "okta");
    let mut consumer = Consumer::from_now(&operator.for_account("tested"));
    let send =
        |client: &crate::app::Client| operator.post(&format!("{CONFIGURATIONS}/{}/test-event", client.id), &json!({}));
    // A pause does not delay it.
    operator.patch(&format!("{CONFIGURATIONS}/{}", one.id), &json!({"syncToUserManagement": false})).answered(204);
    let sent = send(&one).answered(201).json;
    for client in [&one, &two] {
        let refused = send(client).answered(429);
        assert_eq!(refused.json["errorCode"], "test_event_limited");
        assert_eq!(refused.header("retry-after"), "10");
    }
    send(&other).answered(201);
    let events = consumer.rest();
    let tests: Vec<&Value> = events.iter().filter(|event| event["kind"] == "configuration.tested").collect();
    assert_eq!(tests.len(), 1, "{events:?}");
    assert_eq!((&tests[0]["seq"], &tests[0]["configurationId"]), (&sent["seq"], &json!(one.id)));
}
