//! What pages say about requests, searches and lists is true, also in the cases that are easy to overlook.

use serde_json::json;

use crate::app::{App, Client, Request, wait_until};
use crate::portal::browser::{Browser, own_app, wait_for_text};
use crate::sample::{encode, operation, user, user_with};

fn at(client: &Client, below: &str) -> String {
    format!("/connections/{}{below}", client.id)
}

#[test]
fn a_request_without_effect_lists_no_changes_of_other_requests() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let id = client.created("/Users", &user_with("b@effect.example", &json!({"displayName": "A"})));
    let path = format!("/Users/{id}");
    let send = |attribute: &str, value: &str| {
        let reply = client.patch(&path, &operation("replace", attribute, &json!(value))).answered(200);
        at(&client, &format!("/requests/{}", reply.header("x-request-id")))
    };
    let (ignored, first, same, last) =
        (send("foo.bar", "x"), send("displayName", "B1"), send("displayName", "B1"), send("displayName", "B2"));
    wait_for_text(&mut owner, &at(&client, "/requests"), last.rsplit('/').next().unwrap());
    for (request, changes) in [(&ignored, false), (&first, true), (&same, false), (&last, true)] {
        let page = owner.get(request).answered(200);
        assert_eq!(page.contains("What changed"), changes, "{request}: {}", page.text);
        assert_eq!(page.contains("No change to b@effect.example"), !changes, "{request}: {}", page.text);
        assert_eq!(page.text.matches("user.updated").count(), usize::from(changes), "{request}: {}", page.text);
    }
    let page = owner.get(&ignored).answered(200);
    assert!(page.contains("No change to b@effect.example: foo.bar ignored"), "{}", page.text);
    let home = owner.get("/").answered(200);
    assert!(home.contains("Created") && home.contains("displayName"), "{}", home.text);
    assert!(!home.contains("foo.bar") && !home.contains("No change to"), "{}", home.text);
}

#[test]
fn the_search_finds_beginnings_and_says_what_it_compares() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    for number in 0..60 {
        client.created("/Users", &user(&format!("gina{number:02}@search.example")));
    }
    let more = json!({"externalId": "Ext-77", "emails": [{"value": "zoe.mail@search.example"}], "name": {"familyName": "Rossi"}});
    let zoe = client.created("/Users", &user_with("x1@search.example", &more));
    let page = owner.get("/find?q=g").answered(200);
    assert!(page.contains("50 or more users have a name or an address that begins with g."), "{}", page.text);
    for q in ["zoe.m", "ZOE", "Ext-7"] {
        let page = owner.get(&format!("/find?q={}", encode(q))).answered(200);
        assert!(page.contains(&at(&client, &format!("/users/{zoe}"))), "{q}: {}", page.text);
        let list = owner.get(&at(&client, &format!("/users?q={}", encode(q)))).answered(200);
        assert!(list.contains(&zoe), "{q}: {}", list.text);
    }
    // A family name has no index. No page says that there is no such user.
    let compared = "e-mail address and external ID are searched by their beginning";
    for path in ["/find?q=rossi".to_owned(), at(&client, "/users?q=rossi")] {
        let page = owner.get(&path).answered(200);
        assert!(page.contains(compared) && !page.contains("is here"), "{}", page.text);
    }
    // A customer is named in the log as well: the hit comes before the log.
    client.get(&format!("/Users?filter={}", encode("userName eq \"acme\""))).answered(200);
    wait_for_text(&mut owner, &at(&client, "/requests"), "eq &#34;acme&#34;");
    let page = owner.get("/find?q=acme").answered(200);
    assert!(page.contains("No user matches acme. The results below do.") && page.contains("<td>Customer</td>"));
    assert!(!page.contains("The last request that mentions"), "{}", page.text);
}

#[test]
fn a_connection_whose_first_requests_are_rejected_says_so_everywhere() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    assert!(owner.get(&at(&client, "")).answered(200).contains("Nothing received yet"));
    for _ in 0..6 {
        Client { token: format!("rct_{}", "x".repeat(43)), ..client.clone() }.get("/Users").answered(401);
    }
    let sentence = "Requests arrive, but none had a valid token yet.";
    wait_for_text(&mut owner, &at(&client, ""), sentence);
    for path in ["/", "/connections"] {
        let page = owner.get(path).answered(200);
        assert!(page.contains(sentence) && page.contains("the token is unknown"), "{path}: {}", page.text);
        assert!(!page.contains("Nothing received yet"), "{path}: {}", page.text);
    }
    client.get("/Users").answered(200);
    wait_for_text(&mut owner, &at(&client, ""), "is connected. Assign a user");
    assert!(!owner.get("/").contains(sentence));
}

#[test]
fn a_url_that_does_not_exist_counts_as_rejected() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    for _ in 0..5 {
        client.get("/NoSuch").answered(404);
    }
    let page = wait_for_text(&mut owner, &at(&client, "/requests?only=failed"), "the URL does not exist");
    assert!(page.contains("<b>5</b>") || page.contains("× 5"), "{}", page.text);
    wait_for_text(&mut owner, &at(&client, ""), "pill failing");
    let page = owner.get("/requests").answered(200);
    assert!(page.contains("Rejected <b>5</b>"), "{}", page.text);
    // A look-up of a user who does not exist is part of normal operation.
    client.get("/Users/00000000-0000-7000-8000-000000000000").answered(404);
    let page = wait_for_text(&mut owner, &at(&client, "/requests"), "User not found");
    assert!(!page.contains("<b>6</b>"), "{}", page.text);
}

#[test]
fn faults_of_changes_have_an_explanation_and_a_fix() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let client = app.configuration_of("acme", "okta");
    let id = client.created("/Users", &user("a@fault.example"));
    let path = format!("/Users/{id}");
    let missing = "/Users/00000000-0000-7000-8000-000000000000";
    let replies = [
        (client.patch(missing, &operation("replace", "title", &json!("x"))), "does not exist here"),
        (client.put(missing, &user("b@fault.example")), "does not exist here"),
        (client.patch(&path, &operation("change", "title", &json!("x"))), "is not add, replace or remove"),
        (
            client.patch(&path, &operation("replace", "emails[type eq \"work\"].value", &json!("x@y.example"))),
            "there is no value at the path",
        ),
        (client.request("POST", "/Users").header("Content-Type", "text/plain").body(b"x").send(), "is not JSON"),
    ];
    for (reply, reason) in replies {
        assert!(reply.status >= 400, "{reason}: {}", reply.status);
        let request = at(&client, &format!("/requests/{}", reply.header("x-request-id")));
        wait_until("the request is in the log", || owner.clone().get(&request).status == 200);
        let page = owner.get(&request).answered(200);
        assert!(page.contains(reason), "{reason}: {}", page.text);
        assert!(!page.contains("Operations[0]</h1>") && !page.contains("<h1>Rejected: Operations["), "{}", page.text);
    }
}

#[test]
fn customers_are_searched_sorted_and_exported() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for (id, name) in [("c1", "Zebra"), ("c2", "Apple"), ("c3", "Mango")] {
        owner.submit("/accounts/new", &[("id", id), ("name", name)]).answered(200);
    }
    app.configuration_of("c3", "okta");
    let order = |text: &str| {
        let mut found: Vec<(usize, &str)> =
            ["Zebra", "Apple", "Mango"].iter().filter_map(|name| Some((text.find(name)?, *name))).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("", "Zebra Apple Mango"),
        ("?sort=name", "Apple Mango Zebra"),
        ("?sort=connections", "Mango Zebra Apple"),
        ("?text=ZEB", "Zebra"),
        ("?text=c2&sort=name", "Apple"),
    ] {
        assert_eq!(order(&owner.get(&format!("/accounts{query}")).answered(200).text), expected, "{query}");
        let file = owner.get(&format!("/accounts/export.csv{query}")).answered(200);
        assert_eq!(order(&file.text), expected, "{query}");
        assert!(file.text.starts_with("customer,account,connections,"), "{}", file.text);
    }
    assert!(owner.get("/accounts?text=none").contains("No customer has this text"));
    // Connections name their customer, and are found by it.
    let page = owner.get("/connections?text=mango").answered(200);
    assert!(page.contains("<span class=\"sub\">Mango</span>"), "{}", page.text);
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("c1"));
    assert_eq!(order(&own.get("/accounts/export.csv").answered(200).text), "Zebra");
}

#[test]
fn wrong_days_of_the_audit_log_are_rejected_and_its_times_have_seconds() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    for path in ["/audit?since=garbage", "/audit?until=2026-13-01"] {
        let page = owner.get(path).answered(422);
        assert!(page.contains("is not a valid day") && !page.contains("<tbody>"), "{}", page.text);
    }
    owner.get("/audit/export.csv?since=garbage").answered(422);
    let page = owner.get("/audit").answered(200);
    let display = page.between("<time datetime=\"", "</time>").split_once('>').unwrap().1.to_owned();
    assert_eq!(display.split(':').count(), 3, "{display}");
}

#[test]
fn browsers_get_pages_of_the_reference_also_for_errors() {
    let app = App::shared();
    let get = |path: &str| Request::new(app.address, "GET", path).header("Accept", "text/html").attempt().unwrap();
    for (path, status) in [("/docs/api/nosuch", 404), ("/docs/api/search?q=a&q=b", 400), ("/docs/api", 200)] {
        let answer = get(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
        assert!(answer.header("permissions-policy").is_some(), "{path}");
    }
    assert_eq!(app.anonymous().get("/docs/api/nosuch").status, 404);
}

#[test]
fn a_role_lands_on_the_first_page_that_it_may_open() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    for (permission, page) in [("requests.read", "/requests"), ("directory.read", "/find"), ("audit.read", "/audit")] {
        let name = format!("Only {permission} {}", owner.email);
        owner.submit("/settings/roles/new", &[("name", &name), (permission, "on")]).answered(200);
        let list = owner.get("/settings/roles");
        let before = list.text.split(&name).next().unwrap();
        let role = before.rsplit("/settings/roles/").next().unwrap().split('"').next().unwrap().to_owned();
        let mut one = Browser::with_role(app, &role, None);
        assert_eq!(one.get("/").answered(200).at, page, "{permission}");
    }
}
