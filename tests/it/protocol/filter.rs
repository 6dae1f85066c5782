//! Valid filters (RFC 7644 section 3.4.2.2); invalid ones are in `bad_input`.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, group, user_with};

/// Ada and Bob share an e-mail address; Cy has almost no attributes.
fn three_users() -> (Client, String) {
    let client = App::shared().configuration("other");
    let ada = json!({
        "displayName": "Ada King", "title": "Countess", "externalId": "Ext-1", "active": true, "name": {"givenName": "Ada", "familyName": "King"},
        "emails": [{"value": "ada@work.example", "type": "work", "primary": true}, {"value": "ada@home.example", "type": "home"}],
        "addresses": [{"type": "work", "country": "GB"}],
        ENTERPRISE: {"department": "Engines", "manager": {"value": "boss-1"}}
    });
    let bob = json!({
        "displayName": "bob", "title": "", "externalId": "ext-1", "active": false, "name": {"familyName": "Babbage"},
        "emails": [{"value": "bob@home.example", "type": "home"}, {"value": "ada@work.example", "type": "other"}]
    });
    let ada = client.created("/Users", &user_with("Ada@example.com", &ada));
    client.created("/Users", &user_with("bob@example.com", &bob));
    client.created("/Users", &user_with("cy", &json!({})));
    (client, ada)
}

#[track_caller]
fn assert_finds(client: &Client, filter: &str, expected: &str) {
    let names: String = found(client, filter);
    assert_eq!(names, expected, "{filter}");
}

/// The first letters of the user names that a filter finds, in order.
fn found(client: &Client, filter: &str) -> String {
    let mut letters: Vec<char> = client
        .find("/Users", filter)
        .iter()
        .filter_map(|user| user["userName"].as_str()?.to_lowercase().chars().next())
        .collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

#[test]
fn each_filter_operator_works() {
    // D11
    let (client, ada) = three_users();
    for (filter, expected) in [
        ("userName eq \"ada@example.com\"", "a"),
        ("USERNAME EQ \"ADA@EXAMPLE.COM\"", "a"),
        ("userName ne \"ada@example.com\"", "bc"),
        ("userName co \"EXAMPLE\"", "ab"),
        ("userName sw \"BO\"", "b"),
        ("userName ew \".COM\"", "ab"),
        ("userName gt \"b\"", "bc"),
        ("userName ge \"cy\"", "c"),
        ("userName lt \"b\"", "a"),
        ("userName le \"cy\"", "abc"),
        ("userName eq \"\\u0061da@example.com\"", "a"),
        ("externalId eq \"Ext-1\"", "a"),
        ("externalId eq \"EXT-1\"", ""),
        ("displayName eq \"ADA KING\"", "a"),
        ("title eq \"countess\"", "a"),
        ("title ne \"countess\"", "bc"),
        ("name.familyName sw \"b\"", "b"),
        ("emails.value eq \"ADA@work.example\"", "ab"),
        ("emails.type eq \"home\"", "ab"),
        ("emails.value ne \"ada@work.example\"", "abc"),
        ("not (emails.value eq \"ada@work.example\")", "c"),
        ("active eq true", "ac"),
        ("active eq \"False\"", "b"),
        ("active ne true", "b"),
        ("addresses.country eq \"gb\"", "a"),
    ] {
        assert_finds(&client, filter, expected);
    }
    assert_finds(&client, &format!("id eq \"{ada}\""), "a");
    assert_finds(&client, &format!("id eq \"{}\"", ada.to_uppercase()), "");
}

#[test]
fn pr_matches_only_non_empty_values() {
    //
    let (client, _) = three_users();
    for (filter, expected) in [
        ("userName pr", "abc"),
        ("title pr", "a"),
        ("not (title pr)", "bc"),
        ("title eq null", "bc"),
        ("title ne null", "a"),
        ("emails pr", "ab"),
        ("name pr", "ab"),
        ("name.givenName pr", "a"),
        ("active pr", "abc"),
        ("nickName pr", ""),
        ("meta.created pr", "abc"),
    ] {
        assert_finds(&client, filter, expected);
    }
}

#[test]
fn brackets_bind_their_terms_to_one_element() {
    // D12, D13
    let (client, _) = three_users();
    for (filter, expected) in [
        ("emails[type eq \"work\" and value eq \"ada@work.example\"]", "a"),
        ("emails[type eq \"home\" and value eq \"ada@work.example\"]", ""),
        ("emails.type eq \"home\" and emails.value eq \"ada@work.example\"", "ab"),
        ("emails[type eq \"work\"].value eq \"ADA@WORK.example\"", "a"),
        ("emails[type eq \"work\"].value co \"home\"", ""),
        ("emails[not (type eq \"home\")]", "ab"),
        ("emails[primary eq true]", "a"),
        ("emails[primary eq false]", "ab"),
        ("emails co \"ada@home\"", "a"),
        ("emails eq \"bob@home.example\"", "b"),
    ] {
        assert_finds(&client, filter, expected);
    }
}

#[test]
fn parentheses_bind_more_than_and_and_and_more_than_or() {
    //
    let (client, _) = three_users();
    for (filter, expected) in [
        ("userName sw \"a\" or userName sw \"b\" and active eq true", "a"),
        ("(userName sw \"a\" or userName sw \"b\") and active eq true", "a"),
        ("(userName sw \"c\" or userName sw \"b\") and active eq false", "b"),
        ("userName sw \"c\" or userName sw \"b\" and active eq true", "c"),
        ("not(userName sw \"a\") and not (userName sw \"b\")", "c"),
        ("NOT (userName sw \"a\") AND userName pr OR userName sw \"a\"", "abc"),
        ("((userName eq\"cy\"))", "c"),
        ("userName eq \"a) or (b\" or userName eq \"cy\"", "c"),
    ] {
        assert_finds(&client, filter, expected);
    }
}

#[test]
fn extension_attributes_work_with_and_without_the_urn() {
    // D13
    let (client, _) = three_users();
    for (filter, expected) in [
        (format!("{ENTERPRISE}:department eq \"engines\""), "a"),
        (format!("{}:DEPARTMENT eq \"engines\"", ENTERPRISE.to_uppercase()), "a"),
        ("department eq \"engines\"".to_owned(), "a"),
        (format!("{ENTERPRISE}:manager.value eq \"boss-1\""), "a"),
        (format!("{ENTERPRISE}:manager eq \"boss-1\""), "a"),
        ("manager eq \"boss-1\"".to_owned(), "a"),
        (format!("{ENTERPRISE}:manager pr"), "a"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"b\"".to_owned(), "b"),
        (format!("schemas eq \"{ENTERPRISE}\""), "a"),
        ("schemas eq \"urn:ietf:params:scim:schemas:core:2.0:User\"".to_owned(), "abc"),
    ] {
        assert_finds(&client, &filter, expected);
    }
}

#[test]
fn times_are_compared_as_instants() {
    //
    let (client, ada) = three_users();
    let created = client.get(&format!("/Users/{ada}")).json["meta"]["created"].as_str().unwrap().to_owned();
    assert_finds(&client, "meta.created gt \"2020-01-01T00:00:00Z\"", "abc");
    assert_finds(&client, "meta.created gt \"2020-01-01T00:00:00.123456+05:30\"", "abc");
    assert_finds(&client, "meta.lastModified lt \"2020-01-01T00:00:00Z\"", "");
    assert_finds(&client, "meta.created ge \"2999-01-01T00:00:00Z\"", "");
    assert!(found(&client, &format!("meta.created eq \"{created}\"")).contains('a'));
    let shifted = created.replace('Z', "+00:00");
    assert!(found(&client, &format!("meta.created eq \"{shifted}\"")).contains('a'));
    assert_finds(&client, "meta.resourceType eq \"User\"", "abc");
}

#[test]
fn groups_are_found_by_name_and_by_member() {
    // R-146, D13
    let (client, ada) = three_users();
    let team = client.created("/Groups", &group("Team One", &[&ada]));
    client.created("/Groups", &group("Team Two", &[]));
    let ids = |filter: &str| -> Vec<Value> {
        client.find("/Groups", filter).iter().map(|group| group["id"].clone()).collect()
    };
    for filter in [
        "displayName eq \"TEAM ONE\"".to_owned(),
        format!("members.value eq \"{ada}\""),
        format!("members eq \"{ada}\""),
        format!("members[value eq \"{ada}\"]"),
        format!("displayName sw \"team\" and members.value eq \"{ada}\""),
        format!("id eq \"{team}\" and members eq \"{ada}\""),
        "members pr".to_owned(),
    ] {
        assert_eq!(ids(&filter), [json!(team)], "{filter}");
    }
    assert_eq!(ids("not (members pr)").len(), 1);
    assert_eq!(ids("displayName co \"team\"").len(), 2);
    assert_finds(&client, &format!("groups.value eq \"{team}\""), "a");
    assert_finds(&client, &format!("groups eq \"{team}\""), "a");
    assert_finds(&client, "groups pr", "a");
    // Entra checks a reference and requests only the id.
    let check = format!("/Groups?attributes=id&filter=id%20eq%20%22{team}%22%20and%20members%20eq%20%22{ada}%22");
    assert_eq!(client.get(&check).answered(200).json["totalResults"], 1);
}

#[test]
fn a_write_is_found_at_once() {
    // D42
    let client = App::shared().configuration("other");
    for number in 0..20 {
        let name = format!("fresh-{number}");
        let id = client.created("/Users", &user_with(&name, &json!({"emails": [{"value": format!("{name}@x")}]})));
        for filter in [format!("userName eq \"{name}\""), format!("emails.value eq \"{name}@x\"")] {
            assert_eq!(client.find("/Users", &filter)[0]["id"], id.as_str());
        }
    }
}
