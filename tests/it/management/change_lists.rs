//! Lists of what changed after a position of the feed: `changedSince` of users, groups and memberships.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::directory::{all, ids};
use super::events::{Consumer, EVENTS};
use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{encode, group, operation, user, user_with};

const USERS: &str = "/directory/resources/v1/users";
const GROUPS: &str = "/directory/resources/v1/groups";
const MEMBERSHIPS: &str = "/directory/resources/v1/memberships";
const DELETIONS: &str = "/directory/resources/v1/deletions";

fn changed(caller: &Caller, list: &str, since: &str, query: &str) -> Vec<Value> {
    all(caller, list, &format!("&changedSince={since}{query}"))
}

fn change_member(client: &Client, op: &str, group: &str, member: &str) {
    let members = json!([{"value": member}]);
    client.patch(&format!("/Groups/{group}"), &operation(op, "members", &members)).answered(200);
}

fn set_title(client: &Client, user: &str, title: &str) {
    client.patch(&format!("/Users/{user}"), &operation("replace", "title", &json!(title))).answered(200);
}

/// The pairs of group and member in a list of memberships.
fn pairs(items: &[Value]) -> Vec<(String, String)> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    items.iter().map(|item| (text(item, "groupId"), text(item, "memberId"))).collect()
}

#[test]
fn a_user_with_several_changes_of_memberships_is_listed_once_at_the_last_one() {
    let operator = App::shared().operator();
    let client = operator.configuration("moved-often", "other");
    let account = operator.for_account("moved-often");
    let (ada, bob) = (client.created("/Users", &user("ada")), client.created("/Users", &user("bob")));
    let groups: Vec<String> =
        (0..3).map(|number| client.created("/Groups", &group(&format!("G{number}"), &[]))).collect();
    let since = Consumer::from_now(&account).after;
    for one in &groups {
        change_member(&client, "add", one, &ada);
    }
    set_title(&client, &bob, "T");
    change_member(&client, "remove", &groups[0], &ada);
    for limit in [1, 2, 100] {
        let users = changed(&account, USERS, &since, &format!("&limit={limit}"));
        assert_eq!(ids(&users), [bob.as_str(), &ada], "{limit}");
        let listed = changed(&account, GROUPS, &since, &format!("&limit={limit}"));
        assert_eq!(ids(&listed), [groups[1].as_str(), &groups[2], &groups[0]], "{limit}");
    }
    // An own change after a change of memberships counts too, and the other way round.
    set_title(&client, &ada, "T");
    change_member(&client, "add", &groups[1], &bob);
    assert_eq!(ids(&changed(&account, USERS, &since, "&limit=1")), [ada.as_str(), &bob]);
}

#[test]
fn a_list_of_changes_can_be_filtered_like_any_other() {
    let operator = App::shared().operator();
    let client = operator.configuration("changed-and-filtered", "other");
    let account = operator.for_account("changed-and-filtered");
    let since = Consumer::from_now(&account).after;
    let with = |name: &str, active: bool| {
        let more = json!({"active": active, "externalId": name, "emails": [{"value": format!("{name}@x.example")}]});
        client.created("/Users", &user_with(name, &more))
    };
    let (ada, bob) = (with("ada", true), with("bob", false));
    let team = client.created("/Groups", &group("Team", &[&ada]));
    client.created("/Groups", &group("Other", &[]));
    let users = |query: &str| ids(&changed(&account, USERS, &since, &format!("&limit=1{query}"))).join(" ");
    let groups = |query: &str| ids(&changed(&account, GROUPS, &since, &format!("&limit=1{query}"))).join(" ");
    let check = || {
        assert_eq!((users("&active=true"), users("&active=false")), (ada.clone(), bob.clone()));
        assert_eq!(users(&format!("&email={}", encode("BOB@x.example"))), bob);
        assert_eq!((users("&userName=ADA"), users("&externalId=bob")), (ada.clone(), bob.clone()));
        assert_eq!(users("&userName=ada&active=false"), "");
        assert_eq!(users("&updatedSince=2000-01-01T00%3A00%3A00Z"), format!("{bob} {ada}"));
        assert_eq!(users("&updatedSince=2200-01-01T00%3A00%3A00Z"), "");
        assert_eq!((groups("&displayName=team"), groups(&format!("&member={ada}"))), (team.clone(), team.clone()));
        assert_eq!(groups(&format!("&member={bob}")), "");
    };
    check();
    // During a pause, the published values count.
    let path = format!("{CONFIGURATIONS}/{}", client.id);
    operator.patch(&path, &json!({"syncToUserManagement": false})).answered(204);
    client.patch(&format!("/Users/{ada}"), &operation("replace", "active", &json!(false))).answered(200);
    client.patch(&format!("/Groups/{team}"), &operation("replace", "displayName", &json!("New"))).answered(200);
    client.delete(&format!("/Users/{bob}")).answered(204);
    check();
}

#[test]
fn memberships_that_began_after_a_position_are_listed_once() {
    let operator = App::shared().operator();
    let client = operator.configuration("began", "other");
    let account = operator.for_account("began");
    let users: Vec<String> = (0..4).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let (one, two) =
        (client.created("/Groups", &group("One", &[&users[0]])), client.created("/Groups", &group("Two", &[])));
    let since = Consumer::from_now(&account).after;
    change_member(&client, "add", &one, &users[1]);
    change_member(&client, "add", &two, &users[2]);
    // It ends and begins again; another one ends.
    change_member(&client, "remove", &one, &users[1]);
    change_member(&client, "add", &one, &users[1]);
    change_member(&client, "remove", &one, &users[0]);
    change_member(&client, "add", &two, &one);
    let list = |query: &str| pairs(&changed(&account, MEMBERSHIPS, &since, query));
    let pair = |group: &str, member: &str| (group.to_owned(), member.to_owned());
    let expected = [pair(&two, &users[2]), pair(&one, &users[1]), pair(&two, &one)];
    for limit in [1, 2, 100] {
        assert_eq!(list(&format!("&limit={limit}")), expected, "{limit}");
        assert_eq!(list(&format!("&limit={limit}&group={two}")), [expected[0].clone(), expected[2].clone()], "{limit}");
        assert_eq!(list(&format!("&limit={limit}&user={}", users[1])), expected[1..2], "{limit}");
    }
    let types = changed(&account, MEMBERSHIPS, &since, "");
    assert_eq!((&types[2]["memberType"], &types[2]["configurationId"]), (&json!("Group"), &json!(client.id)));
    // The end of a membership is a change of the group and of the user.
    assert_eq!(ids(&changed(&account, GROUPS, &since, "")), [one.as_str(), &two]);
    assert!(ids(&changed(&account, USERS, &since, "")).contains(&users[0].as_str()));
    // Exclusive: at the position after the change, nothing is left.
    let end = Consumer::from_now(&account).after;
    assert_eq!(pairs(&changed(&account, MEMBERSHIPS, &end, "")), []);
    // Memberships end with the group and the member.
    client.delete(&format!("/Users/{}", users[2])).answered(204);
    assert_eq!(list(""), expected[1..]);
    client.delete(&format!("/Groups/{two}")).answered(204);
    assert_eq!(list(""), expected[1..2]);
    let other = operator.for_account("began-other");
    assert_eq!(changed(&other, MEMBERSHIPS, &since, ""), [] as [Value; 0]);
    account.get(&format!("{MEMBERSHIPS}?changedSince=x")).problem(400);
}

#[test]
fn pages_that_are_read_during_changes_miss_nothing_and_continue_exactly() {
    let operator = App::shared().operator();
    let client = operator.configuration("moving", "other");
    let account = operator.for_account("moving");
    let users: Vec<String> = (0..6).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let since = Consumer::from_now(&account).after;
    for id in &users {
        set_title(&client, id, "first");
    }
    let (mut seen, mut cursor, mut reads) = (BTreeSet::new(), String::new(), 0);
    let position = loop {
        let page = account.get(&format!("{USERS}?changedSince={since}&limit=1&cursor={cursor}")).answered(200).json;
        for item in page["items"].as_array().unwrap() {
            let title = item["resource"]["title"].as_str().unwrap().to_owned();
            seen.insert((item["id"].as_str().unwrap().to_owned(), title));
        }
        reads += 1;
        if reads == 2 {
            // One that was listed, and one that was not.
            set_title(&client, &users[0], "second");
            set_title(&client, &users[4], "second");
        }
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break page["position"].as_str().unwrap().to_owned(),
        }
    };
    for (number, id) in users.iter().enumerate() {
        let last = if [0, 4].contains(&number) { "second" } else { "first" };
        assert!(seen.contains(&(id.clone(), last.to_owned())), "{number}: {seen:?}");
    }
    assert!(!seen.contains(&(users[4].clone(), "first".to_owned())), "{seen:?}");
    // The position of the last page is that of the next request, for lists and for the feed.
    assert_eq!(changed(&account, USERS, &position, ""), [] as [Value; 0]);
    set_title(&client, &users[3], "third");
    assert_eq!(ids(&changed(&account, USERS, &position, "")), [users[3].as_str()]);
    let events = account.get(&format!("{EVENTS}?after={position}")).answered(200).json;
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let deletions = account.get(&format!("{DELETIONS}?since={position}")).answered(200);
    client.delete(&format!("/Users/{}", users[5])).answered(204);
    let later = all(&account, DELETIONS, &format!("&since={}", deletions.text("position")));
    assert_eq!(ids(&later), [users[5].as_str()]);
}

#[test]
fn a_number_beyond_the_end_is_unknown_however_many_digits_it_has() {
    let account = App::shared().operator().for_account("digits");
    for digits in [18, 19, 20, 40] {
        let number = "9".repeat(digits);
        for path in [
            format!("{EVENTS}?after={number}"),
            format!("{DELETIONS}?since={number}"),
            format!("{USERS}?changedSince={number}"),
            format!("{GROUPS}?changedSince={number}"),
            format!("{MEMBERSHIPS}?changedSince={number}"),
        ] {
            let refused = account.get(&path).problem(410);
            assert_eq!(refused.text("errorCode"), "event_position_unknown", "{path}");
            account.get(&format!("{EVENTS}?after={}", refused.text("restartFrom"))).answered(200);
        }
    }
    account.get(&format!("{EVENTS}?after=12x")).problem(400);
}
