//! Filters of the lists of users and groups, the groups of a user, the deletions, and the filter of the feed by kind.

use serde_json::{Value, json};

use super::directory::{all, ids};
use super::events::{Consumer, EVENTS};
use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{encode, group, operation, removal, user, user_with};

const USERS: &str = "/directory/resources/v1/users";
const GROUPS: &str = "/directory/resources/v1/groups";
const DELETIONS: &str = "/directory/resources/v1/deletions";

fn sync(operator: &Caller, client: &Client, sync: bool) {
    let body = json!({"syncToUserManagement": sync});
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &body).answered(204);
}

fn found(caller: &Caller, list: &str, query: &str) -> Vec<String> {
    ids(&all(caller, list, &format!("&limit=1{query}"))).into_iter().map(str::to_owned).collect()
}

#[test]
fn users_are_found_by_an_e_mail_address_in_any_case() {
    let operator = App::shared().operator();
    let client = operator.configuration("by-email", "other");
    let account = operator.for_account("by-email");
    let with = |name: &str, addresses: &[&str]| {
        let emails: Vec<Value> = addresses.iter().map(|address| json!({"value": address})).collect();
        client.created("/Users", &user_with(name, &json!({"emails": emails})))
    };
    let one = with("one", &["first@example.com", "Shared@Example.com"]);
    let two = with("two", &["shared@example.com"]);
    with("three", &["other@example.com"]);
    let email = |address: &str| found(&account, USERS, &format!("&email={}", encode(address)));
    let check = || {
        assert_eq!(email("SHARED@example.COM"), [one.as_str(), &two]);
        assert_eq!(email("first@example.com"), [one.as_str()]);
        for other in ["shared@example.co", "shared", "%", ""] {
            assert_eq!(email(other), [] as [&str; 0], "{other}");
        }
    };
    check();
    // During a pause, the published addresses count.
    sync(&operator, &client, false);
    let emails = json!([{"value": "changed@example.com"}]);
    client.patch(&format!("/Users/{one}"), &operation("replace", "emails", &emails)).answered(200);
    check();
    let current = format!("{CONFIGURATIONS}/{}/users", client.id);
    assert_eq!(found(&operator, &current, "&email=changed%40example.com"), [one.as_str()]);
    sync(&operator, &client, true);
    assert_eq!(email("changed@example.com"), [one.as_str()]);
    assert_eq!(email("shared@example.com"), [two.as_str()]);
}

#[test]
fn groups_are_found_by_name_and_by_member() {
    let operator = App::shared().operator();
    let client = operator.configuration("by-member", "other");
    let account = operator.for_account("by-member");
    let (ada, bob) = (client.created("/Users", &user("ada")), client.created("/Users", &user("bob")));
    let team = client.created("/Groups", &group("Team", &[&ada, &bob]));
    let twin = client.created("/Groups", &group("Twin", &[&ada]));
    let outer = client.created("/Groups", &group("Outer", &[&team]));
    let of = |member: &str| found(&account, GROUPS, &format!("&member={member}"));
    let groups_of = |user: &str| found(&account, &format!("{USERS}/{user}/groups"), "");
    let named = |name: &str| found(&account, GROUPS, &format!("&displayName={}", encode(name)));
    let check = || {
        assert_eq!((named("TEAM"), named("tea")), (vec![team.clone()], vec![]));
        assert_eq!(
            (of(&ada), of(&bob), of(&team)),
            (vec![team.clone(), twin.clone()], vec![team.clone()], vec![outer.clone()])
        );
        assert_eq!((groups_of(&ada), groups_of(&bob)), (of(&ada), of(&bob)));
        assert_eq!(found(&account, GROUPS, &format!("&member={ada}&displayName=Team")), [team.as_str()]);
        assert_eq!(found(&account, GROUPS, "&member=x"), [] as [&str; 0]);
    };
    check();
    sync(&operator, &client, false);
    client.patch(&format!("/Groups/{team}"), &removal("members")).answered(200);
    client.patch(&format!("/Groups/{team}"), &operation("replace", "displayName", &json!("New"))).answered(200);
    client.patch(&format!("/Groups/{outer}"), &operation("add", "members", &json!([{"value": bob}]))).answered(200);
    check();
    sync(&operator, &client, true);
    assert_eq!((of(&ada), of(&bob), of(&team)), (vec![twin.clone()], vec![outer.clone()], vec![outer.clone()]));
    assert_eq!((named("team"), named("new")), (vec![], vec![team]));
    account.get(&format!("{USERS}/{outer}/groups")).problem(404);
    operator.for_account("by-member-other").get(&format!("{USERS}/{ada}/groups")).problem(404);
}

#[test]
fn memberships_are_listed_across_groups() {
    let operator = App::shared().operator();
    let client = operator.configuration("memberships", "other");
    let account = operator.for_account("memberships");
    let users: Vec<String> = (0..5).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let all_users: Vec<&str> = users.iter().map(String::as_str).collect();
    let one = client.created("/Groups", &group("One", &all_users));
    client.created("/Groups", &group("Empty", &[]));
    let two = client.created("/Groups", &group("Two", &[&users[1], &one]));
    let mut expected: Vec<(&str, &str)> = all_users.iter().map(|id| (one.as_str(), *id)).collect();
    expected.extend([(two.as_str(), users[1].as_str()), (&two, &one)]);
    let list = |query: &str| -> Vec<(String, String)> {
        let items = all(&account, "/directory/resources/v1/memberships", query);
        items
            .iter()
            .map(|item| (item["groupId"].as_str().unwrap().into(), item["memberId"].as_str().unwrap().into()))
            .collect()
    };
    let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(group, member)| ((*group).to_owned(), (*member).to_owned())).collect()
    };
    for limit in [1, 2, 3, 5, 100] {
        assert_eq!(list(&format!("&limit={limit}")), text(&expected), "{limit}");
        assert_eq!(list(&format!("&limit={limit}&group={one}")), text(&expected[..5]), "{limit}");
        let of_user = [(one.as_str(), users[1].as_str()), (&two, &users[1])];
        assert_eq!(list(&format!("&limit={limit}&user={}", users[1])), text(&of_user), "{limit}");
        assert_eq!(list(&format!("&limit={limit}&user={}&group={two}", users[1])), text(&of_user[1..]), "{limit}");
    }
    assert_eq!(list(&format!("&user={}&group={two}", users[0])), []);
    assert_eq!(list("&user=x"), []);
    let types = all(&account, "/directory/resources/v1/memberships", &format!("&group={two}"));
    assert_eq!((&types[0]["memberType"], &types[1]["memberType"]), (&json!("User"), &json!("Group")));
    assert_eq!(types[0]["configurationId"], client.id);
    let other = operator.for_account("memberships-other");
    assert_eq!(all(&other, "/directory/resources/v1/memberships", &format!("&group={two}")), [] as [Value; 0]);
    // During a pause, the published memberships are listed.
    sync(&operator, &client, false);
    client.patch(&format!("/Groups/{one}"), &removal("members")).answered(200);
    client.delete(&format!("/Groups/{two}")).answered(204);
    assert_eq!(list("&limit=2"), text(&expected));
    sync(&operator, &client, true);
    assert_eq!(list("&limit=2"), []);
}

#[test]
fn users_and_groups_that_changed_since_a_position_are_listed_once() {
    let operator = App::shared().operator();
    let client = operator.configuration("changed-since", "other");
    let account = operator.for_account("changed-since");
    let users: Vec<String> = (0..5).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let (one, two) = (client.created("/Groups", &group("One", &[])), client.created("/Groups", &group("Two", &[])));
    let since = Consumer::from_now(&account).after;
    let title = |id: &str, title: &str| {
        client.patch(&format!("/Users/{id}"), &operation("replace", "title", &json!(title))).answered(200);
    };
    title(&users[1], "a");
    title(&users[0], "b");
    title(&users[1], "c");
    client.delete(&format!("/Users/{}", users[4])).answered(204);
    let joins = json!([{"value": users[2]}, {"value": users[3]}]);
    client.patch(&format!("/Groups/{two}"), &operation("add", "members", &joins)).answered(200);
    let new = client.created("/Users", &user("new"));
    for limit in [1, 2, 100] {
        let list = |path: &str| ids(&all(&account, path, &format!("&limit={limit}&changedSince={since}"))).join(" ");
        assert_eq!(list(USERS), [&users[0], &users[1], &users[2], &users[3], &new].map(String::as_str).join(" "));
        assert_eq!(list(GROUPS), two);
    }
    title(&users[2], "d");
    let users_now = all(&account, USERS, &format!("&changedSince={since}"));
    assert_eq!(ids(&users_now), [users[0].as_str(), &users[1], &users[3], &new, &users[2]]);
    let end = Consumer::from_now(&account).after;
    assert_eq!(all(&account, USERS, &format!("&changedSince={end}")), [] as [Value; 0]);
    assert_eq!(all(&operator, GROUPS, &format!("&changedSince={since}&configuration={}", client.id)).len(), 1);
    assert_eq!(all(&operator.for_account("changed-other"), USERS, &format!("&changedSince={since}")), [] as [Value; 0]);
    account.get(&format!("{USERS}?changedSince=x")).problem(400);
    account.get(&format!("{GROUPS}?changedSince=999999999999999999")).problem(410).text("restartFrom");
    assert_ne!(one, two);
}

#[test]
fn deletions_since_a_position_are_listed() {
    let operator = App::shared().operator();
    let client = operator.configuration("deletions", "other");
    let account = operator.for_account("deletions");
    let made: Vec<String> = (0..4).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let team = client.created("/Groups", &group("Team", &[]));
    client.delete(&format!("/Users/{}", made[0])).answered(204);
    let since = Consumer::from_now(&account).after;
    for path in [format!("/Users/{}", made[1]), format!("/Groups/{team}"), format!("/Users/{}", made[2])] {
        client.delete(&path).answered(204);
    }
    let deleted = all(&account, DELETIONS, &format!("&limit=1&since={since}"));
    assert_eq!(ids(&deleted), [made[1].as_str(), &team, &made[2]]);
    assert_eq!(ids(&all(&account, DELETIONS, "")).len(), 4);
    assert_eq!(
        deleted.iter().map(|one| one["resourceType"].as_str().unwrap()).collect::<Vec<_>>(),
        ["User", "Group", "User"]
    );
    for one in &deleted {
        assert_eq!((&one["version"], &one["configurationId"]), (&json!(1), &json!(client.id)), "{one}");
        assert!(one["deletedAt"].as_str().unwrap().ends_with('Z') && one.get("data").is_none());
    }
    assert_eq!(all(&operator.for_account("deletions-other"), DELETIONS, ""), [] as [Value; 0]);
    account.get(&format!("{DELETIONS}?since=x")).problem(400);
    account.get(&format!("{DELETIONS}?since=999999999999999999")).problem(410).text("restartFrom");
}

#[test]
fn the_feed_returns_only_the_requested_kinds_and_single_events() {
    let operator = App::shared().operator();
    let client = operator.configuration("kinds", "other");
    let account = operator.for_account("kinds");
    let after = Consumer::from_now(&account).after;
    let ada = client.created("/Users", &user("ada"));
    client.created("/Groups", &group("Team", &[&ada]));
    client.delete(&format!("/Users/{ada}")).answered(204);
    let kinds = |list: &str| {
        let page = account.get(&format!("{EVENTS}?after={after}&kind={list}")).answered(200).json;
        let kinds = page["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds("user.*"), ["user.created", "user.deleted"]);
    assert_eq!(kinds("group.member_removed,user.created"), ["user.created", "group.member_removed"]);
    assert_eq!(kinds("configuration.*"), [] as [&str; 0]);
    for unknown in ["user", "user.%2A,x.%2A", "user.renamed", "%2A", ""] {
        let refused = account.get(&format!("{EVENTS}?kind={unknown}")).problem(400);
        assert!(refused.text("message").contains("group.member_added"), "{}", refused.json);
    }
    let event = account.get(&format!("{EVENTS}?after={after}&limit=1")).answered(200).json["events"][0].clone();
    let seq = event["seq"].as_i64().unwrap();
    assert_eq!(account.get(&format!("{EVENTS}/{seq}")).answered(200).json, event);
    for missing in ["0", "999999999999", "x", "-1"] {
        account.get(&format!("{EVENTS}/{missing}")).problem(404);
    }
    operator.for_account("kinds-other").get(&format!("{EVENTS}/{seq}")).problem(404);
}
