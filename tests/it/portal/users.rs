//! The list of the users of all connections.

use serde_json::json;

use crate::portal::browser::{Browser, Page, own_app};
use crate::sample::{user, user_with};

#[test]
fn the_users_of_all_connections_are_listed_by_page_and_found_by_the_start_of_their_name() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    assert!(owner.get("/users").answered(200).contains("No connection has users yet."));
    let (one, two) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "azure-ad"));
    // Created in the opposite order of their names.
    for number in (0..55).rev() {
        one.created("/Users", &user(&format!("a{number:02}@acme.example")));
    }
    let zoe = two.created("/Users", &user_with("Zoe@zeta.example", &json!({"displayName": "Zoe Z", "active": true})));
    two.created("/Users", &user_with("a99@zeta.example", &json!({"active": false})));
    let first = owner.get("/users").answered(200);
    assert!(first.contains("a00@acme.example") && first.contains("a49@") && !first.contains("a50@"), "{}", first.text);
    assert!(first.contains("aria-current=\"page\">Users</a>"), "{}", first.text);
    let next = first.between("href=\"/users?after=", "\"").to_owned();
    let second = owner.get(&format!("/users?after={next}")).answered(200);
    for text in ["a50@acme.example", "a54@", "a99@zeta.example", "Zoe@zeta.example", "Zoe Z", "Deactivated"] {
        assert!(second.contains(text), "{text}: {}", second.text);
    }
    assert!(!second.contains("a49@") && !second.contains("rel=\"next\""), "{}", second.text);
    assert!(second.contains(&format!("href=\"/connections/{}/users/{zoe}\"", two.id)), "{}", second.text);
    let found = owner.get("/users?q=ZO").answered(200);
    assert!(found.contains("Zoe@zeta.example") && !found.contains("a99@"), "{}", found.text);
    let found = owner.get("/users?q=a9").answered(200);
    assert!(found.contains("a99@zeta.example") && !found.contains("a09@"), "{}", found.text);
    let nothing = owner.get("/users?q=oe%40zeta").answered(200);
    assert!(nothing.contains("No users match.") && nothing.contains("href=\"/find?q=oe%40zeta\""), "{}", nothing.text);
    for odd in ["after=x", "after=.", "after=9.9", "after=99999999999999999999.a", "q=%00", "q=%22%27%3B--", "q=%25"] {
        owner.get(&format!("/users?{odd}")).answered(200);
    }
}

/// The user names of a page, in its order.
fn names(page: &Page) -> Vec<String> {
    let rows = page.text.split("<a class=\"row\"").skip(1);
    rows.map(|row| row.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned()).collect()
}

#[test]
fn the_list_is_sorted_and_filtered_with_the_numbers_of_each_filter() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (one, two) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "okta"));
    app.operator().patch("/directory/resources/v1/accounts/zeta", &json!({"name": "Zeta Ltd"})).answered(204);
    for number in 0..60 {
        let (client, account) = if number % 2 == 0 { (&two, "zeta") } else { (&one, "acme") };
        let attributes = json!({"active": number % 3 != 0});
        client.created("/Users", &user_with(&format!("u{number:02}@{account}.example"), &attributes));
    }
    let page = owner.get("/users").answered(200);
    for chip in ["All <b>60</b>", "Active <b>40</b>", "Deactivated <b>20</b>"] {
        assert!(page.contains(chip), "{chip}: {}", page.text);
    }
    // By connection: those of the first one come first.
    assert!(names(&page)[29].ends_with("acme.example") && names(&page)[30] == "u00@zeta.example", "{}", page.text);
    assert!(page.contains("aria-sort=\"ascending\"><a href=\"/users\">Connection</a>"), "{}", page.text);
    assert!(page.contains("<span class=\"sub\" title=\"ID zeta\">Zeta Ltd</span>"), "{}", page.text);
    let page = owner.get("/users?sort=name").answered(200);
    assert_eq!(names(&page)[..3], ["u00@zeta.example", "u01@acme.example", "u02@zeta.example"]);
    assert!(page.contains("aria-sort=\"ascending\"><a href=\"/users?sort=name\">Name</a>"), "{}", page.text);
    let page = owner.get("/users?active=on&sort=changed").answered(200);
    assert_eq!(names(&page)[..3], ["u59@acme.example", "u58@zeta.example", "u56@zeta.example"]);
    assert!(page.contains("aria-sort=\"descending\"><a href=\"/users?active=on&#38;sort=changed\""), "{}", page.text);
    // Filter, order and position stay together.
    let page = owner.get("/users?q=u&sort=name").answered(200);
    assert!(page.contains("href=\"/users?q=u&#38;active=off&#38;sort=name\""), "{}", page.text);
    let next = page.between("href=\"/users?q=u&#38;sort=name&#38;after=", "\"").to_owned();
    let last = owner.get(&format!("/users?q=u&sort=name&after={next}")).answered(200);
    assert_eq!((names(&last).len(), names(&last)[0].as_str()), (10, "u50@zeta.example"));
    assert!(last.contains(">First page</a>") && !last.contains("rel=\"next\""), "{}", last.text);
    let page = owner.get("/users?q=u1&active=off&sort=changed").answered(200);
    assert_eq!(names(&page), ["u18@zeta.example", "u15@acme.example", "u12@zeta.example"]);
    assert!(page.contains("All <b>10</b>") && page.contains("Deactivated <b>3</b>"), "{}", page.text);
    let page = owner.get("/users?q=zzz&active=on").answered(200);
    assert!(page.contains("No users match.") && page.contains("All <b>0</b>"), "{}", page.text);
    for odd in ["sort=x", "sort=name&after=x", "sort=changed&after=1.x", "active=x&sort=changed", "after=-5.b"] {
        owner.get(&format!("/users?{odd}")).answered(200);
    }
    let file = owner.get("/users/export.csv?active=off").answered(200);
    assert!(file.text.lines().count() == 21 && !file.text.contains("\"true\""), "{}", file.text);
}

#[test]
fn an_admin_of_an_account_sees_its_users_only() {
    let (app, _folder) = own_app();
    let (one, two) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "okta"));
    one.created("/Users", &user("ann@acme.example"));
    two.created("/Users", &user("ann@zeta.example"));
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("acme"));
    for path in ["/users", "/users?q=ann", "/users?after=0."] {
        let page = own.get(path).answered(200);
        assert!(page.contains("ann@acme.example") && !page.contains("zeta"), "{path}: {}", page.text);
    }
    let mut owner = Browser::owner(&app);
    owner.submit("/settings/roles/new", &[("name", "Keys only"), ("provisioning.read", "on")]).answered(200);
    let roles = owner.get("/settings/roles");
    let role = roles.text.rsplit("/settings/roles/").next().unwrap().split('"').next().unwrap().to_owned();
    let mut other = Browser::with_role(&app, &role, None);
    other.get("/users").answered(403);
    assert!(!other.get("/connections").contains("href=\"/users\""));
}

#[test]
fn the_users_that_a_search_finds_are_exported() {
    let (app, _folder) = own_app();
    let (one, two) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "okta"));
    for number in 0..600 {
        one.created("/Users", &user(&format!("a{number:03}@acme.example")));
    }
    two.created("/Users", &user_with("=a1@zeta.example", &json!({"active": true})));
    two.created("/Users", &user("a2@zeta.example"));
    let mut owner = Browser::owner(&app);
    let file = owner.get("/users/export.csv").answered(200);
    assert!(file.header("content-disposition").is_some_and(|value| value.contains("users.csv")), "{:?}", file.headers);
    let lines: Vec<&str> = file.text.lines().collect();
    assert_eq!(lines.len(), 603);
    assert!(
        lines[0].starts_with("customer,account,connection,id,userName") && lines[1].contains("\"a000@acme.example\"")
    );
    assert!(
        lines[601].contains("\"'=a1@zeta.example\",\"\",\"true\"") && lines[602].contains("a2@zeta"),
        "{}",
        lines[601]
    );
    let some = owner.get("/users/export.csv?q=a2").answered(200);
    assert_eq!(some.text.lines().count(), 102, "{}", some.text);
    let audit = app.operator().get("/directory/resources/v1/audit?action=users.exported").answered(200).json;
    let filtered: Vec<&serde_json::Value> =
        audit["items"].as_array().unwrap().iter().map(|one| &one["after"]["isFiltered"]).collect();
    assert_eq!(filtered, [&json!(true), &json!(false)]);
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("zeta"));
    assert_eq!(own.get("/users/export.csv").answered(200).text.lines().count(), 3);
}
