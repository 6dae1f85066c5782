//! What the lists of the portal have in common: chips with numbers, unknown filters, orders without a table head, labels of values,
//! days, and the marks of the providers.

use std::collections::HashSet;

use serde_json::json;

use crate::portal::browser::{Browser, Page, own_app, wait_for_text};
use crate::sample::{user, user_with};

/// The labels of the chips that are selected.
fn selected_chips(page: &Page) -> Vec<String> {
    let chips = page.text.split("<nav class=\"chips\"").skip(1).filter_map(|rest| rest.split("</nav>").next());
    let selected = chips.flat_map(|chips| chips.split("aria-current=\"true\">").skip(1));
    selected.map(|chip| chip.split("</a>").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn an_unknown_filter_is_that_of_all_and_the_chip_has_a_number() {
    let (app, _folder) = own_app();
    let client = app.configuration_of("acme", "okta");
    app.configuration_of("zeta", "other");
    client.created("/Users", &user_with("ann@acme.example", &json!({"active": true})));
    client.created("/Users", &user_with("bob@acme.example", &json!({"active": false})));
    let mut owner = Browser::owner(&app);
    wait_for_text(&mut owner, "/requests", "ann@acme.example");
    let of_connection = |path: &str| format!("/connections/{}/{path}", client.id);
    for (path, chip, row) in [
        ("/connections?state=unknown".to_owned(), "All <b>2</b>", "zeta"),
        ("/connections?provider=unknown".to_owned(), "All <b>2</b>", "zeta"),
        ("/users?active=unknown".to_owned(), "All <b>2</b>", "bob@acme.example"),
        (of_connection("users?active=unknown"), "All <b>2</b>", "bob@acme.example"),
        (of_connection("users?active=off"), "Deactivated <b>1</b>", "bob@acme.example"),
        (of_connection("users?q=ann&active=on"), "Active", "ann@acme.example"),
        (of_connection("requests?only=unknown"), "All", "ann@acme.example"),
        ("/requests?only=unknown".to_owned(), "All", "ann@acme.example"),
    ] {
        let page = owner.get(&path).answered(200);
        assert_eq!(selected_chips(&page), [chip], "{path}: {}", page.text);
        assert!(page.contains(row), "{path}: {}", page.text);
    }
    // A text and a state are combined.
    let page = owner.get(&of_connection("users?q=ann&active=off")).answered(200);
    assert!(page.contains("No users match.") && !page.contains("ann@acme.example</a>"), "{}", page.text);
    assert!(page.contains(&format!("href=\"{}\"", of_connection("users?q=ann&#38;active=on"))), "{}", page.text);
    let page = owner.get("/connections?state=live&sort=name&provider=okta").answered(200);
    for field in ["name=\"state\" value=\"live\"", "name=\"sort\" value=\"name\""] {
        assert!(page.contains(field), "{field}: {}", page.text);
    }
}

#[test]
fn users_are_found_by_the_beginning_of_each_name_address_and_id() {
    let (app, _folder) = own_app();
    let (one, two) = (app.configuration_of("acme", "okta"), app.configuration_of("zeta", "okta"));
    let attributes = json!({
        "displayName": "Lovelace, Ada", "externalId": "HR-7", "active": true, "emails": [{"value": "post@acme.example"}],
    });
    let id = one.created("/Users", &user_with("ada@acme.example", &attributes));
    two.created("/Users", &user_with("bob@zeta.example", &json!({"active": false})));
    let mut owner = Browser::owner(&app);
    for text in ["ADA@", "lovelace", "HR-7", "Post@acme", &id, &id[..8]] {
        let page = owner.get(&format!("/users?q={text}&active=on")).answered(200);
        let is_found = page.contains("ada@acme.example</a>") && page.contains("All <b>1</b>");
        // The ids of both users begin with the same time.
        assert!(is_found || (text.len() == 8 && page.contains("ada@acme.example</a>")), "{text}: {}", page.text);
        let file = owner.get(&format!("/users/export.csv?q={text}&active=on")).answered(200);
        assert_eq!(file.text.lines().count(), 2, "{text}: {}", file.text);
    }
    for text in ["hr-7", "ovelace", "@acme", &id[..7]] {
        let page = owner.get(&format!("/users?q={text}")).answered(200);
        assert!(
            page.contains("are searched by their beginning, and an ID from 8 characters on"),
            "{text}: {}",
            page.text
        );
    }
    let mut own = Browser::with_role(&app, "provisioning-manager", Some("zeta"));
    for text in ["lovelace", "HR-7", "post@acme", &id] {
        let page = own.get(&format!("/users?q={text}")).answered(200);
        assert!(page.contains("No users match.") && !page.contains("ada@"), "{text}: {}", page.text);
    }
}

#[test]
fn a_narrow_list_has_a_form_for_its_order_and_labels_for_its_values() {
    let (app, _folder) = own_app();
    let client = app.configuration_of("acme", "okta");
    client.created("/Users", &user("ann@acme.example"));
    let mut owner = Browser::owner(&app);
    let page = owner.get("/connections?sort=users&text=acme").answered(200);
    for text in [
        "<summary>Sort and filter: Users</summary>",
        "<option value=\"users\" selected>Users</option>",
        "<option value=\"account\">Customer</option>",
        "<input type=\"hidden\" name=\"text\" value=\"acme\">",
        "data-label=\"Provider\"",
        "data-label=\"Users\"",
        "data-label=\"Last request\"",
        "data-label=\"Token\"",
    ] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    let page = owner.get("/users?sort=changed&q=ann").answered(200);
    for text in [
        "<summary>Sort: Last change</summary>",
        "<option value=\"changed\" selected>Last change</option>",
        "<input type=\"hidden\" name=\"q\" value=\"ann\">",
        "data-label=\"Connection\"",
        "data-label=\"Last change\"",
    ] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    let groups = owner.get(&format!("/connections/{}/users", client.id)).answered(200);
    assert!(groups.contains("data-label=\"Last change\""), "{}", groups.text);
}

#[test]
fn the_filters_of_the_audit_log_are_folded_and_named() {
    let (app, _folder) = own_app();
    app.configuration_of("acme", "okta");
    let mut owner = Browser::owner(&app);
    let page = owner.get("/audit").answered(200);
    assert!(page.contains("<details class=\"panel filter\"><summary>Filter</summary>"), "{}", page.text);
    // A day has a head, and rows have times without the date.
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let rows = page.between("<tbody>", "</table>");
    assert!(rows.trim_start().starts_with("<tr class=\"day\"><th scope=\"rowgroup\" colspan=\"3\">"), "{rows}");
    assert!(rows.contains("data-clock>") && !rows.contains(&format!(">{day} ")), "{rows}");
    let page = owner.get("/audit?actor=mara&action=token&since=2026-01-02").answered(200);
    assert!(page.contains("<summary>Filter: Actor mara, Action token, from 2026-01-02</summary>"), "{}", page.text);
    let page = owner.get("/audit?since=yesterday").answered(422);
    assert!(page.contains("<details class=\"panel filter\" open>"), "{}", page.text);
}

#[test]
fn the_home_page_updates_itself_and_has_a_head_for_each_day() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    assert!(!owner.get("/").answered(200).contains("data-refresh"), "nothing is awaited without a connection");
    let client = app.configuration_of("acme", "okta");
    client.created("/Users", &user("ann@acme.example"));
    let page = wait_for_text(&mut owner, "/", "Created ann@acme.example");
    assert!(page.contains("<body data-refresh=\"5\">") && page.contains("content=\"10\""), "{}", page.text);
    for part in ["updated", "states", "attention-panel", "changes-panel", "requests-panel", "ready-panel"] {
        assert!(page.contains(&format!("id=\"{part}\" data-live")), "{part}: {}", page.text);
    }
    // A screen reader does not announce each update.
    assert!(!page.contains("aria-live") && !page.contains("role=\"status\""), "{}", page.text);
    let changes = page.between("id=\"changes-panel\"", "</table>");
    assert_eq!(changes.matches("<tr class=\"day\"><th colspan=\"3\" scope=\"rowgroup\">").count(), 1, "{changes}");
    let time = changes.split("data-clock>").nth(1).unwrap().split('<').next().unwrap();
    assert!(time.len() == 8 && time.matches(':').count() == 2, "{time}");
}

#[test]
fn each_provider_has_a_mark_of_its_own() {
    let (app, _folder) = own_app();
    let client = app.configuration_of("acme", "okta");
    let mut owner = Browser::owner(&app);
    let page = owner.get("/connections/new").answered(200);
    let marks = |page: &Page| -> Vec<String> {
        let parts = page.text.split("<svg class=\"glyph\"").skip(1);
        parts.map(|part| part.split("</svg>").next().unwrap().to_owned()).collect()
    };
    let all = marks(&page);
    assert_eq!(all.len(), page.text.matches("name=\"provider\"").count());
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "two providers have the same mark");
    assert!(all.iter().all(|mark| mark.contains("aria-hidden=\"true\"")));
    // The same mark in the list and in the header of a connection.
    for path in ["/connections".to_owned(), format!("/connections/{}/tokens", client.id)] {
        let found = marks(&owner.get(&path).answered(200));
        assert!(!found.is_empty() && found.iter().all(|mark| all.contains(mark)), "{path}: {found:?}");
    }
}
