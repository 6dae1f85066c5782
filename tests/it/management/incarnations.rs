//! An account that is deleted and a later account with the same id are two accounts: the later one sees nothing of the
//! earlier one.

use serde_json::{Value, json};

use super::directory::{all, ids};
use crate::app::App;
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::{Browser, own_app};
use crate::sample::user;

const ACCOUNTS: &str = "/directory/resources/v1/accounts";
const ID: &str = "acme";

/// The number of items of a list.
fn count(caller: &Caller, path: &str) -> usize {
    let page = caller.get(path).answered(200).json;
    let items = page.as_array().or_else(|| page["items"].as_array()).or_else(|| page["events"].as_array());
    items.unwrap_or_else(|| panic!("{path}: {page}")).len()
}

/// The usage of a quota, its limit, and whether the limit is the account's own.
fn quota(caller: &Caller, path: &str, name: &str) -> Value {
    let found = caller.get(path).answered(200).json;
    let one = found["quotas"].as_array().unwrap().iter().find(|one| one["quota"] == name).unwrap();
    json!([one["used"], one["limit"], one["isOverride"]])
}

/// An account with a configuration, a user, a link, an admin who is signed in, and API keys.
struct Incarnation {
    key: Caller,
    admin: Browser,
    link: String,
    configuration: String,
    user: String,
}

fn fill_account(app: &App, operator: &Caller) -> Incarnation {
    let key = app.account_key(ID, &[]);
    let client = operator.configuration(ID, "okta");
    let user = client.created("/Users", &user("ada"));
    let links = format!("{CONFIGURATIONS}/{}/links", client.id);
    let link = operator.post(&links, &json!({"note": "for Ada"})).answered(201).text("url");
    let admin = Browser::with_role(app, "owner", Some(ID));
    Incarnation { key, admin, link, configuration: client.id, user }
}

/// Checks that a caller of the account sees the new account and nothing of the old one. `cursor` is a position in the
/// event feed, from the time of the old one.
#[track_caller]
fn sees_only_the_new(caller: &Caller, old: &Incarnation, new: &Incarnation, cursor: &str) {
    let quotas = format!("{ACCOUNTS}/{ID}/quotas");
    let audit = caller.get("/directory/resources/v1/audit?limit=500").answered(200).json.to_string();
    let events = caller.get("/directory/resources/v1/events?limit=1000").answered(200).json.to_string();
    for seen in [&audit, &events] {
        assert!(seen.contains(&new.configuration), "{seen}");
        for hidden in [&old.configuration, &old.user, &old.admin.email] {
            assert!(!seen.contains(hidden.as_str()), "{hidden} in {seen}");
        }
    }
    assert_eq!(count(caller, "/directory/resources/v1/users"), 1);
    for name in ["users", "configurations"] {
        let found = quota(caller, &quotas, name);
        assert_eq!((&found[0], &found[2]), (&json!(1), &json!(false)), "{name} of the earlier account: {found}");
    }
    for list in ["events?after=", "deletions?since=", "users?changedSince=", "memberships?changedSince="] {
        let refused = caller.get(&format!("/directory/resources/v1/{list}{cursor}")).problem(410);
        assert_eq!(refused.text("errorCode"), "account_replaced", "{list}");
        let next = refused.text("restartFrom");
        let after = caller.get(&format!("/directory/resources/v1/{list}{next}")).answered(200);
        assert!(!after.json.to_string().contains(&old.configuration), "{list}");
    }
    for path in [
        format!("/directory/resources/v1/users/{}", old.user),
        format!("{CONFIGURATIONS}/{}", old.configuration),
        format!("{CONFIGURATIONS}/{}/requests", old.configuration),
    ] {
        caller.get(&path).problem(404);
    }
    let restored = caller.delete(&format!("{CONFIGURATIONS}/{}?purge=true", old.configuration));
    assert_eq!(restored.status, 404, "{}", restored.json);
    assert_eq!(count(caller, &format!("/directory/resources/v1/audit?configuration={}", old.configuration)), 0);
    let events = format!("/directory/resources/v1/events?configuration={}", old.configuration);
    assert_eq!(count(caller, &events), 0);
}

#[test]
fn a_later_account_with_the_same_id_sees_nothing_of_the_earlier_one() {
    let (app, _folder) = own_app();
    let operator = app.operator();
    let mut old = fill_account(&app, &operator);
    assert!(count(&old.key, "/directory/resources/v1/audit") > 0);
    assert!(count(&old.key, "/directory/resources/v1/events") > 0);
    assert!(old.admin.get("/connections").at.starts_with("/connections"));

    let quotas = format!("{ACCOUNTS}/{ID}/quotas");
    operator.patch(&quotas, &json!({"users": 7, "configurations": 3})).answered(200);
    assert_eq!(quota(&old.key, &quotas, "users"), json!([1, 7, true]));
    let cursor = old.key.get("/directory/resources/v1/events?limit=1").answered(200).text("nextAfter");

    // The number of everything that ends is known beforehand, in the API and in the portal.
    let access = operator.get(&format!("{ACCOUNTS}/{ID}")).answered(200).json["access"].clone();
    assert_eq!(access, json!({"admins": 1, "sessions": 1, "apiKeys": 1, "tokens": 1, "setupLinks": 1}));
    operator.delete(&format!("{ACCOUNTS}/{ID}")).problem(409);
    operator.delete(&format!("{CONFIGURATIONS}/{}", old.configuration)).answered(204);
    assert_eq!(count(&operator.for_account(ID), "/directory/resources/v1/leftovers"), 1, "the users are left over");
    let mut owner = Browser::owner(&app);
    let page = owner.get(&format!("/accounts/{ID}/delete")).answered(200);
    for line in ["1 admins of this customer", "1 sessions", "1 API keys", "0 tokens", "0 setup links"] {
        assert!(page.contains(line), "{line}: {}", page.text);
    }
    operator.delete(&format!("{ACCOUNTS}/{ID}?purge=true")).answered(204);

    // All access ended in the same transaction.
    let path = &old.link[old.link.find("/s/").unwrap()..];
    assert_eq!(Browser::anonymous(&app).get(path).status, 410);
    old.key.get(CONFIGURATIONS).problem(401);
    assert!(old.admin.get("/connections").at.starts_with("/login"));
    let email = old.admin.email.clone();
    let refused = app.rollcall(&["admin", "enable", &email]);
    assert_eq!(refused.status.code(), Some(1), "an admin of a deleted account cannot be enabled");

    // The same id again.
    let mut new = fill_account(&app, &operator);
    assert_ne!(new.configuration, old.configuration);
    old.key.get(CONFIGURATIONS).problem(401);
    assert!(old.admin.get("/connections").at.starts_with("/login"));
    assert_eq!(app.rollcall(&["admin", "enable", &email]).status.code(), Some(1));
    let scoped = operator.for_account(ID);
    for caller in [&new.key, &scoped] {
        sees_only_the_new(caller, &old, &new, &cursor);
    }
    assert_eq!(count(&scoped, "/directory/resources/v1/leftovers"), 0);
    assert_eq!(count(&scoped, "/directory/resources/v1/api-keys"), 1);
    let page = new.admin.get("/audit").answered(200);
    assert!(!page.contains(&old.configuration) && !page.contains(&email), "{}", page.text);

    // For the operator, the id is the new account too. Without it, both are in the lists.
    for (list, named) in [("audit?limit=500", "account"), ("events?limit=1000", "account")] {
        let path = format!("/directory/resources/v1/{list}");
        let all = operator.get(&path).answered(200).json.to_string();
        assert!(all.contains(&old.configuration) && all.contains(&new.configuration), "{all}");
        let own = operator.get(&format!("{path}&{named}={ID}")).answered(200).json.to_string();
        assert!(!own.contains(&old.configuration) && own.contains(&new.configuration), "{own}");
    }
    for (path, expected) in [("users", 1), ("leftovers", 0)] {
        let path = format!("/directory/resources/v1/{path}?account={ID}");
        assert_eq!(count(&operator, &path), expected, "{path}");
    }
    let other = format!("/directory/resources/v1/users?account={ID}&configuration={}", old.configuration);
    assert_eq!(count(&operator, &other), 0);
    let own = operator.get(&format!("/directory/resources/v1/api-keys?accountId={ID}")).answered(200).json;
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
}

/// The ids of the users that a consumer with this filter has: it reads the feed, and the lists after a 410.
struct FilteredCopy {
    caller: Caller,
    filter: String,
    after: String,
    users: Vec<String>,
}

impl FilteredCopy {
    fn load(caller: Caller, filter: &str, after: String) -> Self {
        let items = all(&caller, "/directory/resources/v1/users", filter);
        let users = ids(&items).into_iter().map(str::to_owned).collect();
        Self { caller, filter: filter.to_owned(), after, users }
    }

    /// Reads the next page. Returns whether the lists were read again.
    fn update(&mut self) -> bool {
        let path = format!("/directory/resources/v1/events?limit=1000&after={}{}", self.after, self.filter);
        let reply = self.caller.get(&path);
        if reply.status == 410 {
            *self = Self::load(self.caller.clone(), &self.filter, reply.text("restartFrom"));
            return true;
        }
        let page = reply.answered(200).json;
        for event in page["events"].as_array().unwrap() {
            let id = event["resourceId"].as_str().unwrap_or_default().to_owned();
            match event["kind"].as_str().unwrap() {
                "user.created" => self.users.push(id),
                "user.deleted" => self.users.retain(|known| *known != id),
                _ => {}
            }
        }
        page["nextAfter"].as_str().unwrap().clone_into(&mut self.after);
        false
    }
}

#[test]
fn a_consumer_of_an_account_that_was_created_again_reads_the_lists_again() {
    let (app, _folder) = own_app();
    let operator = app.operator();
    let client = operator.configuration(ID, "okta");
    client.created("/Users", &user("ada"));
    let end = operator.get("/directory/resources/v1/events?after=latest").answered(200).text("nextAfter");
    let filter = format!("&account={ID}");
    let copies = || {
        [
            FilteredCopy::load(operator.clone(), &filter, end.clone()),
            FilteredCopy::load(operator.for_account(ID), "", end.clone()),
            FilteredCopy::load(operator.clone(), "", end.clone()),
        ]
    };
    let (late, mut prompt) = (copies(), copies());
    operator.delete(&format!("{CONFIGURATIONS}/{}?purge=true", client.id)).answered(204);
    operator.delete(&format!("{ACCOUNTS}/{ID}")).answered(204);
    // The events of a deleted account are still in its feed, and in that of the operator's header.
    for copy in &mut prompt {
        assert_eq!(copy.users.len(), 1);
        assert!(!copy.update());
        assert_eq!(copy.users, [] as [&str; 0]);
    }
    let client = operator.configuration(ID, "okta");
    let bob = client.created("/Users", &user("bob"));
    for (number, mut copy) in late.into_iter().chain(prompt).enumerate() {
        let was_loaded = copy.update();
        assert_eq!(was_loaded, number % 3 != 2, "without a filter, nothing is hidden");
        assert!(!copy.update(), "{number}: it continues after the lists were read");
        assert_eq!(copy.users, [bob.as_str()], "{number}");
    }
    // The filter selects the new account only, in the lists too.
    let deletions = |query: &str| all(&operator, "/directory/resources/v1/deletions", query).len();
    assert_eq!((deletions(&filter), deletions("")), (0, 1));
}

#[test]
fn the_email_address_of_an_admin_of_a_deleted_account_can_be_used_again() {
    let (app, _folder) = own_app();
    // An admin can be disabled only while there is an owner.
    Browser::owner(&app);
    let operator = app.operator();
    let email = "ada@acme.example";
    let create =
        |account: &str| app.rollcall(&["admin", "create", "--email", email, "--role", "viewer", "--account", account]);
    let add_account = |id: &str| operator.post(ACCOUNTS, &json!({"id": id})).answered(201);
    add_account(ID);
    let made = create(ID);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(create(ID).status.code(), Some(1), "the address is in use");
    operator.delete(&format!("{ACCOUNTS}/{ID}")).answered(204);
    // The address stays that of the disabled admin until another admin gets it.
    assert_eq!(app.rollcall(&["admin", "enable", email]).status.code(), Some(1));
    add_account(ID);
    let made = create(ID);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(create(ID).status.code(), Some(1), "the address is in use again");
    // Every command that names the address means the new admin.
    for command in ["disable", "enable"] {
        let done = app.rollcall(&["admin", command, email]);
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(app.rollcall(&["check"]).status.success());
}

#[test]
fn a_repeated_call_of_a_deleted_account_is_not_replayed_for_a_later_one() {
    let (app, _folder) = own_app();
    let operator = app.operator().for_account(ID);
    let create = || {
        let request = operator.request("POST", CONFIGURATIONS).json(&json!({"source": "okta", "connectionName": "A"}));
        let request =
            request.header("Content-Type", "application/json").also("Idempotency-Key", "one-and-the-same-key");
        request.send().answered(201)
    };
    let first = create();
    assert_eq!(create().json, first.json, "the first call creates the account, and its repetition is replayed");
    let id = first.json["id"].as_str().unwrap().to_owned();
    operator.delete(&format!("{CONFIGURATIONS}/{id}")).answered(204);
    app.operator().delete(&format!("{ACCOUNTS}/{ID}")).answered(204);
    let second = create();
    assert_ne!(second.json["id"], Value::String(id), "the answer belongs to the deleted account");
}

/// The position at the end of the feed.
fn end_of_feed(caller: &Caller) -> String {
    caller.get("/directory/resources/v1/events?after=latest").answered(200).text("nextAfter")
}

#[test]
fn a_request_that_waits_for_events_gets_none_of_an_account_that_is_created_again_meanwhile() {
    let (app, _data) = own_app();
    let operator = app.operator();
    let old = operator.configuration(ID, "okta");
    operator.delete(&format!("{CONFIGURATIONS}/{}?purge=true", old.id)).answered(204);
    operator.delete(&format!("{ACCOUNTS}/{ID}")).answered(204);
    let position = end_of_feed(&operator);
    let waiting = operator.clone();
    let poll = std::thread::spawn(move || {
        waiting.get(&format!("/directory/resources/v1/events?account={ID}&wait=5&after={position}"))
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    operator.configuration(ID, "okta").created("/Users", &user("ada"));
    assert_eq!(poll.join().unwrap().problem(410).text("errorCode"), "account_replaced");
}

#[test]
fn a_request_that_waits_for_events_ends_with_its_key() {
    let (app, _data) = own_app();
    let operator = app.operator();
    let client = operator.configuration(ID, "okta");
    let made = operator.post("/directory/resources/v1/api-keys", &json!({"name": "reader", "accountId": ID}));
    let made = made.answered(201);
    let reader = operator.with(&made.text("secret"));
    let position = end_of_feed(&reader);
    let poll =
        std::thread::spawn(move || reader.get(&format!("/directory/resources/v1/events?wait=30&after={position}")));
    std::thread::sleep(std::time::Duration::from_millis(500));
    operator.delete(&format!("/directory/resources/v1/api-keys/{}", made.text("clientId"))).answered(204);
    client.created("/Users", &user("ada"));
    poll.join().unwrap().answered(401);
}
