//! Users, groups and members, as the operator's application and an account's administrators read them.

use serde_json::{Value, json};

use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{encode, group, operation, user, user_with};

const USERS: &str = "/directory/resources/v1/users";
const GROUPS: &str = "/directory/resources/v1/groups";

/// Every item of a list, page by page. `query` starts with `&`.
pub(crate) fn all(caller: &Caller, path: &str, query: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("{path}?{cursor}{query}")).answered(200).json;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("cursor={next}"),
            None => return items,
        }
    }
}

/// Ids of items.
pub(super) fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn users_and_groups_are_returned_with_their_account_and_configuration() {
    let operator = App::shared().operator();
    let client = operator.configuration("read-directory", "other");
    let more = json!({
        "externalId": "e-1", "displayName": "Ada", "active": true, "password": "correct horse battery",
        "emails": [{"value": "ada@example.com", "type": "work"}],
    });
    let user_id = client.created("/Users", &user_with("ada", &more));
    let team = client.created("/Groups", &group("Team", &[&user_id]));
    let resource = operator.get(&format!("{USERS}/{user_id}")).answered(200).json;
    assert_eq!(all(&operator.for_account("read-directory"), USERS, ""), std::slice::from_ref(&resource));
    for (name, value) in [
        ("id", json!(user_id)),
        ("accountId", json!("read-directory")),
        ("configurationId", json!(client.id)),
        ("managedBy", json!("scim2")),
        ("leftover", json!(false)),
        ("userName", json!("ada")),
        ("externalId", json!("e-1")),
        ("displayName", json!("Ada")),
        ("active", json!(true)),
        ("emails", more["emails"].clone()),
        ("version", json!(1)),
    ] {
        assert_eq!(resource[name], value, "{name}");
    }
    assert_eq!(resource["resource"]["userName"], "ada");
    assert!(!resource.to_string().contains("correct horse"), "{resource}");
    let resource = operator.get(&format!("{GROUPS}/{team}")).answered(200).json;
    assert_eq!((&resource["displayName"], &resource["memberCount"]), (&json!("Team"), &json!(1)));
    assert_eq!(all(&operator.for_account("read-directory"), GROUPS, ""), [resource]);
    let members = all(&operator, &format!("{GROUPS}/{team}/members"), "");
    assert_eq!(members, [json!({"id": user_id, "type": "User", "display": "Ada"})]);
}

#[test]
fn pages_contain_every_user_once_over_all_configurations_of_an_account() {
    let operator = App::shared().operator();
    let account = operator.for_account("pages-of-users");
    let mut made = Vec::new();
    for source in ["other", "okta", "azure-ad"] {
        let client = operator.configuration("pages-of-users", source);
        for number in 0..5 {
            made.push(client.created("/Users", &user(&format!("{source}{number}@example.com"))));
        }
        let members: Vec<&str> = made[made.len() - 5..].iter().map(String::as_str).collect();
        let team = client.created("/Groups", &group("Team", &members));
        assert_eq!(ids(&all(&account, &format!("{GROUPS}/{team}/members"), "&limit=2")), members);
        let of_this = all(&account, USERS, &format!("&configuration={}&limit=2", client.id));
        assert_eq!(ids(&of_this), members);
        assert_eq!(ids(&all(&account, &format!("{CONFIGURATIONS}/{}/users", client.id), "&limit=2")), members);
    }
    for limit in [1, 4, 5, 15, 16] {
        assert_eq!(ids(&all(&account, USERS, &format!("&limit={limit}"))), made, "{limit}");
    }
    assert_eq!(all(&account, GROUPS, "&limit=2").len(), 3);
}

#[test]
fn filters_find_exactly_the_matching_users() {
    let operator = App::shared().operator();
    let client = operator.configuration("filters", "other");
    let account = operator.for_account("filters");
    let find = |query: &str| all(&account, USERS, query).iter().map(|one| one["userName"].clone()).collect::<Vec<_>>();
    client.created("/Users", &user_with("Zoë", &json!({"externalId": "X", "active": true})));
    let other = client.created("/Users", &user_with("other", &json!({"externalId": "x", "active": false})));
    assert_eq!(find(&format!("&userName={}", encode("ZOË"))), ["Zoë"]);
    assert_eq!(find("&userName=zo"), [] as [&str; 0]);
    assert_eq!(find("&externalId=x"), ["other"]);
    assert_eq!(find("&active=false"), ["other"]);
    assert_eq!(find("&active=true&externalId=x"), [] as [&str; 0]);
    let changed =
        client.patch(&format!("/Users/{other}"), &operation("replace", "nickName", &json!("o"))).answered(200);
    let since = changed.json["meta"]["lastModified"].as_str().unwrap();
    assert_eq!(find(&format!("&updatedSince={since}")), ["other"]);
    assert_eq!(find("&updatedSince=2000-01-01T00:00:00Z&limit=1"), ["Zoë", "other"]);
    assert_eq!(find("&configuration=01890a5d-ac96-774b-bcce-b302099a8057"), [] as [&str; 0]);
    // The same filters apply to the state before a pause.
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &json!({"syncToUserManagement": false})).answered(204);
    client.patch(&format!("/Users/{other}"), &operation("replace", "active", &json!(true))).answered(200);
    assert_eq!(find("&active=false&externalId=x&userName=OTHER"), ["other"]);
    assert_eq!(find("&active=true"), ["Zoë"]);
    assert_eq!(find("&updatedSince=2000-01-01T00:00:00Z&limit=1"), ["Zoë", "other"]);
    for query in ["active=yes", "updatedSince=yesterday", "limit=0", "cursor=x"] {
        account.get(&format!("{USERS}?{query}")).problem(400);
    }
}

#[test]
fn an_account_reads_only_its_own_users() {
    let app = App::shared();
    let operator = app.operator();
    let theirs = operator.configuration("users-theirs", "other");
    let ours = operator.configuration("users-ours", "other");
    let foreign = theirs.created("/Users", &user("theirs"));
    let team = theirs.created("/Groups", &group("Theirs", &[&foreign]));
    let mine = ours.created("/Users", &user("mine"));
    let caller = app.account_key("users-ours", &["directory.read"]);
    assert_eq!(ids(&all(&caller, USERS, "")), [mine.as_str()]);
    assert_eq!(all(&caller, USERS, "&account=users-theirs"), [] as [Value; 0]);
    assert_eq!(all(&caller, GROUPS, &format!("&configuration={}", theirs.id)), [] as [Value; 0]);
    let never = "01890a5d-ac96-774b-bcce-b302099a8057";
    for path in [
        format!("{USERS}/{foreign}"),
        format!("{USERS}/{never}"),
        format!("{USERS}/{team}"),
        format!("{GROUPS}/{team}"),
        format!("{GROUPS}/{team}/members"),
        format!("{CONFIGURATIONS}/{}/users", theirs.id),
        format!("{CONFIGURATIONS}/{}/groups", theirs.id),
        format!("{CONFIGURATIONS}/{}/groups/{team}/members", theirs.id),
        format!("{CONFIGURATIONS}/{}/groups/{team}/members", ours.id),
    ] {
        caller.get(&path).problem(404);
    }
    operator.get(&format!("{USERS}/{foreign}")).answered(200);
}
