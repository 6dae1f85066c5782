//! Inspecting a connection: its requests described in sentences, its users and groups, and the search for a user.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::portal::browser::{Browser, wait_for_text};
use crate::sample::{encode, group, operation, operations, user, user_with};

/// A connection in a new account, and a provisioning manager of that account.
fn manager(app: &App, account: &str) -> (Browser, Client) {
    let client = app.configuration_of(account, "okta");
    (Browser::with_role(app, "provisioning-manager", Some(account)), client)
}

fn at(client: &Client, below: &str) -> String {
    format!("/connections/{}{below}", client.id)
}

#[test]
fn each_call_is_described_in_a_sentence_with_the_fix() {
    let (mut browser, client) = manager(App::shared(), "describing");
    let alice = client.created("/Users", &user("alice@describing.example"));
    client.patch(&format!("/Users/{alice}"), &operation("Replace", "active", &json!("False"))).answered(200);
    client.get("/Users/Users");
    client.post("/Users", &user("alice@describing.example")).refused(409, "uniqueness");
    let list = wait_for_text(&mut browser, &at(&client, "/requests"), "part of the URL");
    for sentence in
        [">alice@describing.example</a>", ">Created </a>", ">Deactivated </a>", "Rejected: userName is taken"]
    {
        assert!(list.contains(sentence), "{sentence}: {}", list.text);
    }
    let failed = browser.get(&at(&client, "/requests?only=failed")).answered(200);
    assert!(failed.contains("userName is taken") && !failed.contains("Deactivated"), "{}", failed.text);
    let about = browser.get(&at(&client, &format!("/requests?resource={alice}&method=PATCH"))).answered(200);
    assert!(about.contains("Deactivated") && !about.contains("Created"), "{}", about.text);
    let id = failed.between(&format!("href=\"{}/01", at(&client, "/requests")), "\"").to_owned();
    let one = browser.get(&at(&client, &format!("/requests/01{id}"))).answered(200);
    for text in
        ["<h1>Rejected: userName is taken</h1>", "Okta: Provisioning", "$TOKEN", "uniqueness", "&#34;userName&#34;"]
    {
        assert!(one.contains(text), "{text}: {}", one.text);
    }
    assert!(!one.contains(&client.token));
    browser.get(&at(&client, "/requests/01890a5d-ac96-774b-bcce-b302099a8057")).answered(404);
}

#[test]
fn the_log_is_read_page_by_page() {
    let (mut browser, client) = manager(App::shared(), "paging-calls");
    for number in 0..60 {
        client.created("/Users", &user(&format!("paged-{number:02}")));
    }
    let first = wait_for_text(&mut browser, &at(&client, "/requests"), "paged-59");
    assert!(first.contains("paged-10<") && !first.contains("paged-09<"), "50 on a page: {}", first.text);
    let next = first.between("before=01", "\"");
    let second = browser.get(&at(&client, &format!("/requests?before=01{next}"))).answered(200);
    assert!(
        second.contains("paged-09<") && second.contains("paged-00<") && !second.contains("paged-10<"),
        "{}",
        second.text
    );
}

#[test]
fn users_are_listed_page_by_page_and_looked_up() {
    let (mut browser, client) = manager(App::shared(), "listing");
    for number in 0..55 {
        client.created("/Users", &user_with(&format!("u{number:02}"), &json!({"active": number != 7})));
    }
    client.created("/Users", &user_with("zoe", &json!({"displayName": "Übung", "externalId": "00uZ"})));
    let users = at(&client, "/users");
    let first = browser.get(&users).answered(200);
    assert!(first.contains(">u49<") && !first.contains(">u50<"), "{}", first.text);
    let next = first.between("after=", "\"");
    let second = browser.get(&format!("{users}?after={next}")).answered(200);
    assert!(second.contains(">u50<") && second.contains(">zoe<") && !second.contains(">u49<"), "{}", second.text);
    for (query, found, not) in [
        ("q=U0", ">u09<", ">u10<"),
        ("q=zoe", ">zoe<", ">u00<"),
        ("q=00uZ", ">zoe<", ">u00<"),
        (&format!("q={}", encode("übu")), ">zoe<", ">u00<"),
        ("active=off", ">u07<", ">u08<"),
    ] {
        let page = browser.get(&format!("{users}?{query}")).answered(200);
        assert!(page.contains(found) && !page.contains(not), "{query}: {}", page.text);
    }
    for odd in ["after=x", "after=9.9", "active=x", "older=x", "q=%00", "q=%22%27%3B--"] {
        browser.get(&format!("{users}?{odd}")).answered(200);
    }
}

#[test]
fn a_user_shows_attributes_groups_and_history() {
    let (mut browser, client) = manager(App::shared(), "recording");
    let more =
        json!({"name": {"givenName": "Ann"}, "emails": [{"value": "a@x.example", "type": "work", "primary": true}]});
    let ann = client.created("/Users", &user_with("ann", &more));
    let staff = client.created("/Groups", &group("Staff", &[&ann]));
    let all = client.created("/Groups", &group("All", &[&staff]));
    let change = json!([{"op": "replace", "path": "name.givenName", "value": "Anna"}]);
    client.patch(&format!("/Users/{ann}"), &operations(&change)).answered(200);
    let page = browser.get(&at(&client, &format!("/users/{ann}"))).answered(200);
    for text in ["name.givenName", "a@x.example", ">Staff<", ">All <span", "<del>Ann</del>", "<ins>Anna</ins>", &all] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    let page = browser.get(&at(&client, &format!("/groups/{staff}"))).answered(200);
    assert!(page.contains(&format!("/users/{ann}\">")) && page.contains("1 member added"), "{}", page.text);
    client.delete(&format!("/Users/{ann}")).answered(204);
    let page = browser.get(&at(&client, &format!("/users/{ann}"))).answered(200);
    assert!(page.contains(">ann</h1>") && page.contains("Only its history is left"), "{}", page.text);
    browser.get(&at(&client, &format!("/groups/{ann}"))).answered(404);
    browser.get(&at(&client, "/users/unknown")).answered(404);
}

#[test]
fn members_of_a_large_group_are_paged() {
    let (mut browser, client) = manager(App::shared(), "members");
    let ids: Vec<String> = (0..52).map(|number| client.created("/Users", &user(&format!("m{number:02}")))).collect();
    let large = client.created("/Groups", &group("Large", &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let address = at(&client, &format!("/groups/{large}"));
    let first = browser.get(&address).answered(200);
    assert!(first.contains(&ids[49]) && !first.contains(&ids[50]) && first.contains("52 members"), "{}", first.text);
    let next = first.between("?after=", "#");
    let second = browser.get(&format!("{address}?after={next}")).answered(200);
    assert!(second.contains(&ids[51]) && !second.contains(&ids[49]), "{}", second.text);
}

#[test]
fn a_user_is_found_by_any_of_its_names() {
    let (mut browser, client) = manager(App::shared(), "finding");
    let more = json!({"externalId": "00uF", "active": true, "emails": [{"value": "flo@mail.example"}]});
    let flo = client.created("/Users", &user_with("Flo@finding.example", &more));
    client.created("/Groups", &group("Found", &[&flo]));
    for q in ["flo@FINDING.example", "00uF", "FLO@mail.example", &flo] {
        let page = browser.get(&format!("/find?q={}", encode(q))).answered(200);
        assert!(
            page.contains("Flo@finding.example is in Okta") && page.contains("active, in 1 group"),
            "{q}: {}",
            page.text
        );
        assert!(page.contains(&at(&client, &format!("/users/{flo}"))), "{q}: {}", page.text);
    }
    wait_for_text(&mut browser, "/find?q=00uF", "Created Flo@finding.example");
    client.delete(&format!("/Users/{flo}")).answered(204);
    // Without any request in the log of that connection: what is deleted is found by itself.
    for q in ["flo@FINDING.example", "00uF", &flo] {
        let page = browser.get(&format!("/find?q={}", encode(q))).answered(200);
        assert!(page.contains("was deleted") && page.contains(&at(&client, &format!("/users/{flo}"))), "{}", page.text);
    }
    client.get(&format!("/Users?filter={}", encode("userName eq \"gus@finding.example\""))).answered(200);
    wait_for_text(&mut browser, "/find?q=gus%40finding.example", "The last request that mentions this text");
    let unknown = browser.get("/find?q=never-heard-of").answered(200);
    // The page says what was searched, and no more than that.
    let searched =
        "the users and deleted users of 1 connection, their last 100 failed requests, and the last 300 requests of";
    assert!(unknown.contains("The search covered the users") && unknown.contains(searched), "{}", unknown.text);
    // A rejected user is found among many later requests.
    let rejected = json!({"userName": "rej@finding.example", "emails": "no list of objects", "active": "perhaps"});
    assert!(client.post("/Users", &rejected).status >= 400);
    for _ in 0..310 {
        client.get("/ServiceProviderConfig").answered(200);
    }
    wait_for_text(&mut browser, "/find?q=REJ%40finding", "The last request that mentions this text failed");
    // Groups, connections, accounts and requests.
    let request = client.post("/Groups", &group("Team Blue", &[])).answered(201).header("x-request-id").to_owned();
    for (q, kind, path) in [
        ("team b", "Group", at(&client, "/groups/")),
        (&*client.id, "Connection", at(&client, "\"")),
        ("findi", "Customer", "/accounts/finding".to_owned()),
    ] {
        let page = browser.get(&format!("/find?q={}", encode(q))).answered(200);
        assert!(page.contains(&format!("<td>{kind}</td>")) && page.contains(&path), "{q}: {}", page.text);
    }
    wait_for_text(&mut browser, &format!("/find?q={request}"), "<td>Request</td>");
    // The beginning of a name.
    for name in ["goran.a@finding.example", "Goran.b@finding.example"] {
        client.created("/Users", &user(name));
    }
    client.created("/Users", &user_with("x@finding.example", &json!({"displayName": "Goran Rossi"})));
    let several = browser.get("/find?q=gORan").answered(200);
    assert!(several.contains("3 users have a name or an address that begins with gORan"), "{}", several.text);
}

#[test]
fn admins_see_only_what_their_account_and_role_allow() {
    let app = App::shared();
    let (mut other, _) = manager(app, "looking-elsewhere");
    let client = app.configuration_of("looked-at", "okta");
    let hidden = client.created("/Users", &user("hidden@looked-at.example"));
    for below in ["/requests", "/users", "/groups", &format!("/users/{hidden}")] {
        other.get(&at(&client, below)).answered(404);
    }
    let page = other.get("/find?q=hidden%40looked-at.example").answered(200);
    assert!(page.contains("No user ") && !page.contains(&hidden), "{}", page.text);
    let mut viewer = Browser::with_role(app, "viewer", Some("looked-at"));
    viewer.get(&at(&client, "/users")).answered(200);
    let page = viewer.get(&at(&client, "/requests")).answered(403);
    assert!(page.contains("requests.read"), "{}", page.text);
    // The search works without the requests.
    let page = viewer.get("/find?q=hid").answered(200);
    assert!(
        page.contains(&hidden) && !page.contains("Recent requests") && !page.contains("requests/"),
        "{}",
        page.text
    );
    assert!(page.contains("action=\"/find\""), "{}", page.text);
}

#[test]
fn directory_values_are_rendered_as_text() {
    let (mut browser, client) = manager(App::shared(), "poisoned");
    let poison = "<script>alert(1)</script>\"'&{{7*7}}";
    let document = user_with(
        poison,
        &json!({"displayName": poison, "title": poison, "emails": [{"value": poison, "display": poison}], "externalId": poison}),
    );
    let id = client.created("/Users", &document);
    let staff = client.created("/Groups", &group(poison, &[&id]));
    client
        .patch(&format!("/Users/{id}"), &operation("replace", "title", &json!("<img src=x onerror=alert(1)>")))
        .answered(200);
    client.get(&format!("/Users?filter={}", encode(&format!("userName eq \"{}\"", "<b>x</b>"))));
    client.get(&format!("/Users/{}", encode("<i>x</i>")));
    wait_for_text(&mut browser, &at(&client, "/requests"), "User not found");
    let paths = [
        at(&client, "/requests"),
        at(&client, &format!("/requests?text={}", encode(poison))),
        at(&client, "/users"),
        at(&client, &format!("/users?q={}", encode(poison))),
        at(&client, &format!("/users/{id}")),
        at(&client, "/groups"),
        at(&client, &format!("/groups/{staff}")),
        format!("/find?q={}", encode(poison)),
    ];
    for path in paths {
        let page = browser.get(&path).answered(200);
        for live in ["<script>a", "<img src=x", "<b>x", "<i>x"] {
            assert!(!page.contains(live), "{path} has {live}");
        }
    }
}

#[test]
fn the_log_is_searched_between_two_times_in_the_zone_of_the_reader() {
    let (mut browser, client) = manager(App::shared(), "timed-calls");
    client.created("/Users", &user("timed-one"));
    let path = at(&client, "/requests");
    wait_for_text(&mut browser, &path, "timed-one");
    let find = |browser: &mut Browser, query: &str| browser.get(&format!("{path}?{query}"));
    assert!(find(&mut browser, "from=2020-01-01T00:00&to=2999-12-31T23:59").answered(200).contains("timed-one"));
    assert!(!find(&mut browser, "from=2999-01-01T00:00").answered(200).contains("timed-one"));
    assert!(find(&mut browser, "to=2020-01-01T00:00").answered(200).contains("No requests match these filters."));
    let wrong = find(&mut browser, "from=yesterday").answered(422);
    assert!(wrong.contains("id=\"from-problem\"") && wrong.contains("value=\"yesterday\""), "{}", wrong.text);
    let page = browser.submit("/profile/zone", &[("zone", "Asia/Kolkata")]).answered(200);
    assert!(
        page.contains("value=\"Asia/Kolkata\"") && page.contains(" IST</time>") && !page.contains(" UTC</time>"),
        "{}",
        page.text
    );
    let page = find(&mut browser, "").answered(200);
    assert!(
        page.contains("From (<span data-zone>Asia/Kolkata</span>)") && page.contains(" data-zoned>"),
        "{}",
        page.text
    );
    let refused = browser.submit_only("/profile/zone", &[("zone", "Europe/Atlantis")]).answered(422);
    assert!(refused.contains("no time zone “Europe/Atlantis”"), "{}", refused.text);
    let page = browser.submit("/profile/zone", &[("zone", "")]).answered(200);
    assert!(page.contains(" UTC</time>"), "{}", page.text);
}

#[test]
fn a_deleted_user_is_looked_up_and_restored() {
    let app = App::shared();
    let (mut browser, client) = manager(app, "restoring-page");
    let (ada, bob) = (
        client.created("/Users", &user("ada@restoring.example")),
        client.created("/Users", &user("bob@restoring.example")),
    );
    assert!(browser.get(&at(&client, "/deleted")).answered(200).contains("Nothing was deleted"));
    for id in [&ada, &bob] {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    let found = browser.get(&at(&client, "/deleted?q=ADA&type=User")).answered(200);
    assert!(found.contains("ada@restoring.example") && !found.contains("bob@restoring.example"), "{}", found.text);
    assert!(
        browser.get(&at(&client, "/deleted?type=Group")).answered(200).contains("No deleted user or group matches")
    );
    let path = at(&client, &format!("/deleted/{ada}/restore"));
    let page = browser.submit(&path, &[]).answered(200);
    assert!(page.at.contains(&ada) && page.contains("Restored, with the same id"), "{}: {}", page.at, page.text);
    client.get(&format!("/Users/{ada}")).answered(200);
    browser.submit(&path, &[]).answered(404);
    client.created("/Users", &user("BOB@restoring.example"));
    let refused = browser.submit(&at(&client, &format!("/deleted/{bob}/restore")), &[]).answered(422);
    assert!(refused.contains("Nothing was restored. UserName is taken"), "{}", refused.text);
    let mut viewer = Browser::with_role(app, "viewer", None);
    let list = viewer.get(&at(&client, "/deleted")).answered(200);
    assert!(list.contains("bob@restoring.example") && !list.contains("/restore\""), "{}", list.text);
}

#[test]
fn a_held_connection_is_decided_and_undone_on_its_pages() {
    let app = App::shared();
    let (mut browser, client) = manager(app, "holding-page");
    let users: Vec<String> =
        (0..3).map(|number| client.created("/Users", &user(&format!("user-{number}@holding.example")))).collect();
    let settings = at(&client, "/settings");
    let numbers = [
        ("windowMinutes", "60"),
        ("graceHours", "0"),
        ("usersPercent", "1"),
        ("usersCount", "2"),
        ("membershipsPercent", "25"),
        ("membershipsCount", "50"),
        ("groupsPercent", "25"),
        ("groupsCount", "5"),
    ];
    let mut form = [("part", "hold"), ("holdEnabled", "on"), ("protectedUsers", "boss@holding.example")].to_vec();
    form.extend(numbers);
    let saved = browser.submit(&settings, &form).answered(200);
    assert!(saved.contains("boss@holding.example</textarea>") && saved.contains("value=\"2\""), "{}", saved.text);
    form.retain(|(name, _)| *name != "usersCount");
    form.push(("usersCount", "none"));
    assert!(browser.submit(&settings, &form).answered(422).contains("Enter a number from 1 to 1000000"));
    let hold = at(&client, "/hold");
    assert!(browser.get(&hold).answered(200).contains("This connection is not held."));
    for id in &users[..2] {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    let home = browser.get("/").answered(200);
    assert!(home.contains("Okta has deactivated or deleted 2 users within 60 minutes."), "{}", home.text);
    assert!(home.contains(&format!("href=\"{hold}\">Decide")), "{}", home.text);
    assert!(browser.get(&at(&client, "")).answered(200).contains("See what was removed, and decide"));
    let page = browser.get(&hold).answered(200);
    for text in ["has deactivated or deleted 2 users within 60 minutes", "user-1@holding.example", "The first 1 of"] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    let mut viewer = Browser::with_role(app, "viewer", None);
    let seen = viewer.get(&hold).answered(200);
    assert!(
        seen.contains("user-1@holding.example") && !seen.contains("<form method=\"post\" action=\"/connections"),
        "{}",
        seen.text
    );
    assert!(browser.submit(&hold, &[("decision", "")]).answered(422).contains("Choose what happens"));
    assert!(
        browser.submit(&hold, &[("decision", "allow-for"), ("minutes", "0")]).answered(422).contains("from 1 to 1440")
    );
    let done = browser.submit(&hold, &[("decision", "reject")]).answered(200);
    assert!(done.contains("Rejected. The removals are undone"), "{}", done.text);
    client.get(&format!("/Users/{}", users[1])).answered(200);
    client.get(&format!("/Users/{}", users[0])).refused(404, "");
    revert_on_its_page(&mut browser, &client);
    client.get(&format!("/Users/{}", users[0])).answered(200);
}

/// Brings back the first user, whose deletion was published.
fn revert_on_its_page(browser: &mut Browser, client: &Client) {
    let reversal = at(client, "/undo");
    let wrong = browser.get(&format!("{reversal}?since=yesterday")).answered(422);
    assert!(wrong.contains("Enter a date and a time"), "{}", wrong.text);
    let old = browser.get(&format!("{reversal}?since=2020-01-01T00:00")).answered(422);
    assert!(old.contains("ince must be a time between"), "{}", old.text);
    let since = rollcall::clock::format_rfc3339(rollcall::clock::current_millis() - 3_600_000);
    let since = since.split('.').next().unwrap();
    let preview = browser.get(&format!("{reversal}?since={}", encode(since))).answered(200);
    assert!(preview.contains("user-0@holding.example returns"), "{}", preview.text);
    browser.submit(&reversal, &[("since", since)]).answered(200);
    let page = wait_for_text(browser, &reversal, "The last undo");
    assert!(page.contains("Deleted users and groups that return</dt><dd>1"), "{}", page.text);
}

#[test]
fn without_directory_permission_values_of_calls_are_masked() {
    let app = App::shared();
    let client = app.configuration_of("masked-calls", "okta");
    let mut owner = Browser::owner(app);
    let name = format!("Caller {}", owner.email);
    let rights = [("name", name.as_str()), ("provisioning.read", "on"), ("requests.read", "on")];
    owner.submit("/settings/roles/new", &rights).answered(200);
    let roles = owner.get("/settings/roles");
    let before = roles.text.split(&*name).next().unwrap();
    let role = before.rsplit_once("href=\"/settings/roles/").unwrap().1.split('"').next().unwrap().to_owned();
    let made = user_with("secretive@masked.example", &json!({"name": {"familyName": "Hushington"}}));
    client.created("/Users", &made);
    client.get("/Users?filter=userName+eq+%22secretive@masked.example%22").answered(200);
    let open = wait_for_text(&mut owner, &at(&client, "/requests"), "secretive@masked.example");
    let mut caller = Browser::with_role(app, &role, None);
    let list = caller.get(&at(&client, "/requests")).answered(200);
    assert!(list.contains("hidden from you (***)") && !list.contains("secretive"), "{}", list.text);
    let link = format!("href=\"{}/", at(&client, "/requests"));
    for rest in open.text.split(&link).skip(1) {
        let one = at(&client, &format!("/requests/{}", rest.split('"').next().unwrap()));
        assert!(owner.get(&one).answered(200).contains("secretive"));
        let page = caller.get(&one).answered(200);
        assert!(page.contains("***") && !page.contains("secretive") && !page.contains("Hushington"), "{}", page.text);
    }
    let found = caller.get(&at(&client, "/requests?text=hushington")).answered(200);
    assert!(found.contains("No requests match"), "a search reveals whether the value exists: {}", found.text);
}

#[test]
fn the_receipt_of_a_deletion_is_that_of_an_audit_entry() {
    let app = App::shared();
    let (mut browser, client) = manager(app, "receipts");
    client.created("/Users", &user("gone@receipts.example"));
    let name = browser.get(&at(&client, "")).answered(200).between("<h1>", "</h1>").to_owned();
    let page = browser.submit(&at(&client, "/delete"), &[("name", &name), ("purge", "on")]).answered(200);
    let number: i64 = page.at.strip_prefix("/connections/receipt/").unwrap().parse().unwrap();
    for text in [format!("<strong>{name}</strong> was deleted"), "Permanently deleted: 1 user and 0 groups.".to_owned()]
    {
        assert!(page.contains(&text), "{text}: {}", page.text);
    }
    assert!(page.contains(&format!("Entry {number} of the audit log")), "{}", page.text);
    browser.get("/connections/receipt?users=9&groups=0&purged=true&name=Forged").answered(404);
    // Other entries, and those of other accounts.
    for other in [number - 1, number + 1, 0, i64::MAX] {
        browser.get(&format!("/connections/receipt/{other}")).answered(404);
    }
    app.configuration_of("receipts-other", "okta");
    let mut foreign = Browser::with_role(app, "provisioning-manager", Some("receipts-other"));
    foreign.get(&page.at).answered(404);
}

#[test]
fn what_a_deleted_connection_left_is_read_and_exported_until_the_purge() {
    let app = App::shared();
    let (mut browser, client) = manager(app, "leftover-pages");
    let ada = client.created("/Users", &user_with("=ada@left.example", &json!({"displayName": "Ada <b>"})));
    let crew = client.created("/Groups", &group("Crew", &[&ada]));
    let name = browser.get(&at(&client, "")).answered(200).between("<h1>", "</h1>").to_owned();
    let page = browser.submit(&at(&client, "/delete"), &[("name", &name)]).answered(200);
    assert!(
        page.contains("Stored, read-only: 1 user and 1 group, under <a href=\"/connections/deleted\">"),
        "{}",
        page.text
    );
    let path = format!("/connections/deleted/{}", client.id);
    assert!(browser.get("/connections/deleted").contains(&format!("href=\"{path}/users\"")));
    let list = browser.get(&format!("{path}/users")).answered(200);
    assert!(list.contains("=ada@left.example") && list.contains("<caption>1 user</caption>"), "{}", list.text);
    assert!(
        list.contains(&format!("href=\"{path}/users/{ada}\"")) && !list.contains(&at(&client, "")),
        "{}",
        list.text
    );
    assert!(browser.get(&format!("{path}/users?q=nothing")).answered(200).contains("No users match."));
    let record = browser.get(&format!("{path}/users/{ada}")).answered(200);
    assert!(record.contains("Ada &#60;b&#62;") && record.contains(&format!("{path}/groups/{crew}")), "{}", record.text);
    assert!(!record.contains(&at(&client, "")), "a link to a page of the live connection: {}", record.text);
    let members = browser.get(&format!("{path}/groups/{crew}")).answered(200);
    assert!(members.contains(&format!("{path}/users/{ada}")), "{}", members.text);
    let csv = browser.get(&format!("{path}/export/users.csv")).answered(200);
    let lines: Vec<&str> = csv.text.split("\r\n").collect();
    assert!(lines.len() == 3 && lines[0].starts_with("id,userName,active,displayName"), "{}", csv.text);
    assert!(lines[1].starts_with(&format!("\"{ada}\",\"'=ada@left.example\"")), "{}", csv.text);
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"users.csv\""));
    let json: Vec<Value> = serde_json::from_str(&browser.get(&format!("{path}/export/users.json")).text).unwrap();
    assert_eq!((&json[0]["id"], &json[0]["displayName"]), (&json!(ada), &json!("Ada <b>")));
    let json: Vec<Value> = serde_json::from_str(&browser.get(&format!("{path}/export/groups.json")).text).unwrap();
    assert_eq!((&json[0]["displayName"], &json[0]["members"][0]["value"]), (&json!("Crew"), &json!(ada)));
    let csv = browser.get(&format!("{path}/export/groups.csv")).answered(200);
    assert!(csv.contains("\"Crew\",\"\",\"1\""), "{}", csv.text);
    let audit = app.operator().get("/directory/resources/v1/audit?account=leftover-pages").answered(200);
    assert_eq!(audit.json["items"][0]["action"], "configuration.exported");
    browser.submit(&path, &[("name", &name)]).answered(200);
    for below in ["/users", "/groups", "/export/users.csv"] {
        browser.get(&format!("{path}{below}")).answered(404);
    }
    browser.get(&format!("{path}/users/{ada}")).answered(404);
}
