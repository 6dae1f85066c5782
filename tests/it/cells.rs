//! Accounts that move from one instance to another, with two real servers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, Client, rollcall, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{encode, group, operation, user, user_with};
use crate::webhooks::receiver::Receiver;
use crate::webhooks::{ALLOW_LOOPBACK, WEBHOOKS};

const EVENTS: &str = "/directory/resources/v1/events";

/// Two instances, and a folder for files between them.
struct Cells {
    old: App,
    new: App,
    folder: tempfile::TempDir,
    _data: [tempfile::TempDir; 2],
}

impl Cells {
    fn new() -> Self {
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [old, new] = [&data[0], &data[1]].map(|data| App::start_with(data.path(), &ALLOW_LOOPBACK));
        // The numbers of the two instances differ.
        for (app, users) in [(&old, 3), (&new, 8)] {
            let client = app.configuration_of("local", "other");
            for number in 0..users {
                client.created("/Users", &user(&format!("local-{number}")));
            }
        }
        Self { old, new, folder: tempfile::tempdir().unwrap(), _data: data }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, name: &str, more: &[&str]) -> String {
        let file = self.file(name);
        let mut arguments = vec!["account", "export", "acme", file.to_str().unwrap()];
        arguments.extend(more);
        String::from_utf8(self.old.succeeds(&arguments)).unwrap()
    }

    fn import(&self, name: &str, more: &[&str]) -> String {
        let file = self.file(name);
        let mut arguments = vec!["account", "import", file.to_str().unwrap()];
        arguments.extend(more);
        String::from_utf8(self.new.succeeds(&arguments)).unwrap()
    }

    /// The error of an import that must fail.
    #[track_caller]
    fn refused_import(&self, name: &str, more: &[&str]) -> String {
        let file = self.file(name);
        let mut arguments = vec!["account", "import", file.to_str().unwrap()];
        arguments.extend(more);
        let output = self.new.rollcall(&arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The account at the new instance.
    fn moved(&self, client: &Client) -> Client {
        client.at(self.new.address)
    }

    fn check(&self) {
        for app in [&self.old, &self.new] {
            let output = app.rollcall(&["check", "--deep"]);
            assert!(output.status.success(), "{output:?}");
        }
    }
}

/// What an identity provider can read, without the address of the instance.
fn read_all(client: &Client) -> Vec<String> {
    let filter = |text: &str| format!("/Users?filter={}", encode(text));
    let mut paths = vec![
        "/Users?count=200".to_owned(),
        "/Groups?count=200".to_owned(),
        "/Users?startIndex=5&count=3&sortBy=userName".to_owned(),
        filter("userName eq \"user-3@example.com\""),
        filter("emails.value sw \"user-1\""),
        filter("active eq false"),
        filter("externalId eq \"e-4\""),
        "/ServiceProviderConfig".to_owned(),
        "/Schemas".to_owned(),
    ];
    for endpoint in ["/Users", "/Groups"] {
        let list = client.get(&format!("{endpoint}?count=200")).answered(200).json;
        let ids = list["Resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        paths.extend(ids.map(|id| format!("{endpoint}/{id}")));
    }
    let own = format!("http://{}", client.address);
    let read = |path: &String| {
        let reply = client.get(path).answered(200);
        format!("{path} {} {}", reply.header("etag"), reply.json.to_string().replace(&own, ""))
    };
    paths.iter().map(read).collect()
}

/// The events of a feed after a position: kind, resource and data, and the position after the last one.
fn read_events(caller: &Caller, query: &str, after: Option<&str>) -> (Vec<String>, String) {
    let (mut found, mut position) = (Vec::new(), after.map(str::to_owned));
    loop {
        let after = position.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
        let page = caller.get(&format!("{EVENTS}?limit=7{query}{after}")).answered(200).json;
        for event in page["events"].as_array().unwrap() {
            found.push(format!("{} {} {}", event["kind"], event["resourceId"], event["data"]));
        }
        position = page["nextAfter"].as_str().map(str::to_owned);
        if page["hasMore"] == false {
            return (found, position.unwrap());
        }
    }
}

/// Users and groups of an account, of which some are inactive, deleted, or members of others.
struct Provisioned {
    client: Client,
    users: Vec<String>,
    group: String,
}

fn provision(app: &App, users: usize) -> Provisioned {
    let client = app.operator().configuration("acme", "other");
    let create = |number: usize| {
        let email = format!("user-{number}@example.com");
        let more = json!({"externalId": format!("e-{number}"), "active": number % 5 != 2,
            "displayName": format!("User {number}"), "emails": [{"value": email, "type": "work"}]});
        client.created("/Users", &user_with(&email, &more))
    };
    let users: Vec<String> = (0..users).map(create).collect();
    let members: Vec<&str> = users.iter().map(String::as_str).take(6).collect();
    let group = client.created("/Groups", &group("First", &members));
    client.delete(&format!("/Users/{}", users[5])).answered(204);
    Provisioned { client, users, group }
}

impl Provisioned {
    /// Changes of each kind, some of them in both directions.
    fn change(&self) {
        let Self { client, users, group: first } = self;
        let path = |number: usize| format!("/Users/{}", users[number]);
        client.created("/Users", &user("late@example.com"));
        client.patch(&path(1), &operation("replace", "displayName", &json!("Changed"))).answered(200);
        client.patch(&path(2), &operation("replace", "active", &json!(true))).answered(200);
        client.delete(&path(6)).answered(204);
        // Two users exchange a unique name.
        client.patch(&path(3), &operation("replace", "userName", &json!("between@example.com"))).answered(200);
        client.patch(&path(4), &operation("replace", "userName", &json!("user-3@example.com"))).answered(200);
        client.patch(&path(3), &operation("replace", "userName", &json!("user-4@example.com"))).answered(200);
        let group_path = format!("/Groups/{first}");
        client.patch(&group_path, &operation("add", "members", &json!([{"value": users[7]}]))).answered(200);
        let remove = format!("members[value eq \"{}\"]", users[0]);
        client.patch(&group_path, &crate::sample::removal(&remove)).answered(200);
        client.created("/Groups", &group("Second", &[&users[0], first]));
    }
}

/// Every change of the account is refused, with the time of a retry.
fn check_frozen(cells: &Cells, client: &Client) {
    let refused = client.post("/Users", &user("retry@example.com")).refused(503, "");
    assert_eq!(refused.header("retry-after"), "5");
    assert!(refused.text("detail").contains("moving to another instance"), "{}", refused.json);
    client.get("/Users").refused(503, "");
    let operator = cells.old.operator();
    let settings = format!("{CONFIGURATIONS}/{}", client.id);
    let refused = operator.patch(&settings, &json!({"syncToUserManagement": false})).problem(503);
    assert_eq!(refused.text("errorCode"), "account_moving");
}

#[test]
fn an_account_moves_with_a_complete_export_and_a_difference() {
    let cells = Cells::new();
    let provisioned = provision(&cells.old, 12);
    let client = &provisioned.client;
    let key = cells.old.account_key("acme", &["directory.read", "provisioning.read"]);
    let (_, middle) = read_events(&key, "&kind=group.*", None);
    let position = key.get(&format!("{EVENTS}?limit=4")).answered(200).text("nextAfter");
    let base = cells.export("base", &[]);
    assert!(base.contains("complete, not frozen"), "{base}");
    provisioned.change();

    let printed = String::from_utf8(cells.old.succeeds(&["account", "freeze", "acme"])).unwrap();
    assert_eq!(printed, "acme: frozen\n");
    check_frozen(&cells, client);
    let (expected, _) = read_events(&key, "", Some(&position));

    let base_file = cells.file("base");
    let difference = cells.export("difference", &["--base", base_file.to_str().unwrap()]);
    assert!(difference.contains("the difference, frozen"), "{difference}");
    assert!(cells.refused_import("difference", &[]).contains("import that file first"));
    assert!(cells.import("base", &[]).contains("import the difference next"));
    cells.moved(client).get("/Users").refused(503, "");
    let importing = cells.new.operator().get(&format!("{EVENTS}?account=acme")).problem(503);
    assert_eq!(importing.text("errorCode"), "account_importing");
    assert_eq!(cells.import("difference", &[]), "acme: active\n");
    assert_eq!(cells.import("difference", &[]), "acme: complete already\n");

    // The provider goes on with the same token, and every answer is the same.
    cells.old.succeeds(&["account", "unfreeze", "acme"]);
    let before = read_all(client);
    cells.old.succeeds(&["account", "freeze", "acme"]);
    cells.old.succeeds(&["account", "moved", "acme", "--yes"]);
    let moved = cells.moved(client);
    assert_eq!(before, read_all(&moved));
    let gone = client.get("/Users").refused(503, "");
    assert!(gone.text("detail").contains("has moved"), "{}", gone.json);
    key.get(EVENTS).problem(503);

    // So does the consumer, with the same key and position.
    let new_key = Caller { address: cells.new.address, ..key };
    let (continued, end) = read_events(&new_key, "", Some(&position));
    assert_eq!(expected, continued);
    assert!(continued.len() > 10, "{continued:?}");
    assert_eq!(read_events(&new_key, "&kind=group.*", Some(&middle)).0.len(), 4);
    new_key.get(&format!("{EVENTS}?after=17")).problem(410);
    let created = moved.created("/Users", &user("retry@example.com"));
    let (next, _) = read_events(&new_key, "", Some(&end));
    assert!(next.len() == 1 && next[0].contains(&created), "{next:?}");
    // A reader of all accounts has read the rest at the other instance.
    let all = read_events(&cells.new.operator(), "", None).0;
    assert_eq!(all.iter().filter(|event| event.contains(&provisioned.users[1])).count(), 0, "{all:?}");
    assert!(all.iter().any(|event| event.contains(&created)));

    let restore = format!("{CONFIGURATIONS}/{}/deleted/{}/restore", client.id, provisioned.users[5]);
    cells.new.operator().post(&restore, &json!({})).answered(200);
    let document = moved.get(&format!("/Users/{}", provisioned.users[5])).answered(200).json;
    assert_eq!(document["groups"][0]["value"], provisioned.group.as_str(), "{document}");
    cells.check();
}

#[test]
fn a_frozen_account_moves_with_one_export_and_its_webhook_continues() {
    let cells = Cells::new();
    let provisioned = provision(&cells.old, 8);
    let receiver = Receiver::start();
    let created = cells.old.operator().post(
        WEBHOOKS,
        &json!({"url": receiver.url(), "accountId": "acme", "headers": {"X-Own": "value of the header"}}),
    );
    let secret = created.answered(201).text("secret");
    provisioned.change();
    let sent = |count: usize| receiver.wait_for_events(count).len();
    let events = read_events(&cells.old.operator(), &format!("&configuration={}", provisioned.client.id), None).0;
    wait_until("all events are sent", || sent(1) >= 10);
    cells.old.succeeds(&["account", "freeze", "acme"]);
    let before = receiver.received().len();
    let passphrase = cells.file("passphrase");
    std::fs::write(&passphrase, "a long passphrase\n").unwrap();
    let passphrase = passphrase.to_str().unwrap();
    assert!(cells.export("all", &["--passphrase-file", passphrase]).contains("complete, frozen"));
    let wrong = cells.file("wrong");
    std::fs::write(&wrong, "another passphrase").unwrap();
    let refused = cells.refused_import("all", &["--passphrase-file", wrong.to_str().unwrap()]);
    assert!(refused.contains("passphrase is not that of the export"), "{refused}");
    assert_eq!(cells.import("all", &["--passphrase-file", passphrase]), "acme: active\n");
    let moved = cells.moved(&provisioned.client);
    let late = moved.created("/Users", &user("after the move"));
    let received = receiver.wait_for("the event after the move", |received| {
        received.iter().skip(before).any(|one| one.json().to_string().contains(&late))
    });
    let last = received.last().unwrap();
    assert_eq!(last.count_valid_signatures(&secret), 1);
    assert_eq!(last.header("x-own"), "value of the header");
    // Each event was sent once.
    let mut numbers: Vec<String> = received
        .iter()
        .flat_map(crate::webhooks::receiver::Received::events)
        .map(|event| format!("{} {} {}", event["kind"], event["resourceId"], event["data"]))
        .collect();
    let all = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), all);
    assert!(all <= events.len() + 1);
    cells.check();
}

#[test]
fn a_file_is_refused_if_it_is_damaged_or_something_of_it_exists() {
    let cells = Cells::new();
    let provisioned = provision(&cells.old, 8);
    cells.old.succeeds(&["account", "freeze", "acme"]);
    cells.export("all", &[]);
    let again = cells.old.rollcall(&["account", "export", "acme", cells.file("all").to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"), "{again:?}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(cells.file("all")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let copy = cells.file("changed");
    std::fs::copy(cells.file("all"), &copy).unwrap();
    let database = rusqlite::Connection::open(&copy).unwrap();
    database.execute("UPDATE tokens SET rights = 'users'", []).unwrap();
    drop(database);
    assert!(cells.refused_import("changed", &[]).contains("digest does not match"));
    std::fs::write(cells.file("text"), "no database").unwrap();
    assert!(cells.refused_import("text", &[]).contains("not an export of an account"));
    assert!(cells.refused_import("all", &["--account", "local"]).contains("there is an account \"local\" already"));
    assert_eq!(cells.import("all", &["--account", "other-name"]), "other-name: active\n");
    let refused = cells.refused_import("all", &[]);
    assert!(refused.contains("configurations id") && refused.contains("nothing was changed"), "{refused}");
    assert_eq!(read_events(&cells.new.operator(), "&account=other-name", None).0.len(), {
        let old = cells.old.operator();
        read_events(&old, "&account=acme", None).0.len()
    });
    cells.moved(&provisioned.client).get("/Users").answered(200);
    cells.check();
}

#[test]
fn what_is_left_of_a_moved_account_is_deleted_without_events() {
    let cells = Cells::new();
    let provisioned = provision(&cells.old, 7);
    let operator = cells.old.operator();
    let link = operator.post(&format!("{CONFIGURATIONS}/{}/links", provisioned.client.id), &json!({})).answered(201);
    cells.old.succeeds(&["account", "freeze", "acme"]);
    let setup_path = format!("/{}", link.text("url").splitn(4, '/').nth(3).unwrap());
    let page = cells.old.anonymous().request("GET", &setup_path).send();
    assert_eq!(page.status, 503);
    // An account that is not frozen cannot have moved, and a frozen one cannot be deleted.
    let path = format!("{CONFIGURATIONS}/{}", provisioned.client.id);
    operator.delete(&path).problem(503);
    cells.old.succeeds(&["account", "moved", "acme", "--yes"]);
    let again = cells.old.rollcall(&["account", "unfreeze", "acme"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("the account is moved"), "{again:?}");
    let (before, position) = read_events(&operator, "", None);
    assert!(!before.is_empty());
    cells.old.succeeds(&["configuration", "delete", &provisioned.client.id, "--purge", "--yes"]);
    operator.delete("/directory/resources/v1/accounts/acme").answered(204);
    assert_eq!(read_events(&operator, "", Some(&position)).0, Vec::<String>::new());
    let listed = String::from_utf8(cells.old.succeeds(&["account", "list"])).unwrap();
    assert!(!listed.contains("acme"), "{listed}");
    cells.check();
}

#[test]
fn an_import_of_an_absent_file_or_of_a_folder_names_it_and_the_reason() {
    let cells = Cells::new();
    for (name, reason) in
        [("absent.account", "No such file or directory (os error 2)"), (".", "it is not an export of an account")]
    {
        let expected = format!("rollcall: {} cannot be imported: {reason}\n", cells.file(name).display());
        assert_eq!(cells.refused_import(name, &[]), expected);
    }
}

/// Starts an import and kills it as soon as some of its rows are stored.
fn kill_import(cells: &Cells, name: &str) -> bool {
    let database = cells.new.data.join("rollcall.db");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["account", "import"]).arg(cells.file(name)).arg("--data-dir").arg(&cells.new.data);
    command.env("ROLLCALL_CONFIG", "/dev/null").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let has_begun = |database: &Path| {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(database, flags).unwrap();
        let sql = "SELECT count(*) FROM resources r JOIN configurations c USING (configuration)
                   JOIN accounts a USING (account) WHERE a.state = 'importing'";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).is_ok_and(|rows| rows > 0)
    };
    while child.try_wait().unwrap().is_none() {
        if has_begun(&database) {
            child.kill().unwrap();
            return child.wait().unwrap().code().is_none();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn an_import_that_was_killed_continues_while_other_accounts_are_served() {
    let cells = Cells::new();
    let provisioned = provision(&cells.old, 60);
    provisioned.change();
    let before = read_all(&provisioned.client);
    cells.old.succeeds(&["account", "freeze", "acme"]);
    cells.export("all", &["--with-request-log"]);
    let local = cells.new.configuration_of("local", "other");
    let was_killed = kill_import(&cells, "all");
    assert!(was_killed, "the import ended too early to be killed");
    let listed: Value = serde_json::from_slice(&cells.new.succeeds(&["account", "list", "-o", "json"])).unwrap();
    assert_eq!(listed[0]["state"], "importing", "{listed}");
    // Others use the numbers in between.
    for number in 0..5 {
        local.created("/Users", &user(&format!("between-{number}")));
    }
    cells.moved(&provisioned.client).get("/Users").refused(503, "");
    assert_eq!(cells.import("all", &[]), "acme: active\n");
    assert_eq!(before, read_all(&cells.moved(&provisioned.client)));
    assert_eq!(local.count("/Users"), 5);
    cells.check();
}

#[test]
fn nginx_sends_each_provisioning_url_to_the_instance_of_its_account() {
    let cells = Cells::new();
    let provisioned = provision(&cells.old, 7);
    cells.old.succeeds(&["account", "freeze", "acme"]);
    cells.export("all", &[]);
    cells.import("all", &[]);
    cells.old.succeeds(&["account", "moved", "acme", "--yes"]);
    let other = cells.old.configuration_of("stays", "other");
    for (app, name) in [(&cells.old, "old.json"), (&cells.new, "new.json")] {
        std::fs::write(cells.file(name), app.succeeds(&["account", "list", "--output", "json"])).unwrap();
    }
    let instances = "[[instance]]\nname = \"cell-old\"\naccounts = \"old.json\"\n\n\
                     [[instance]]\nname = \"cell-new\"\naccounts = \"new.json\"\n";
    std::fs::write(cells.file("instances.toml"), instances).unwrap();
    let file = cells.file("instances.toml");
    // The account `local` is in both, with different configurations.
    let print = |format: &str, keys: &str| {
        rollcall(&cells.old.data, &["cells", "map", file.to_str().unwrap(), "--format", format, "--keys", keys])
    };
    let map = print("haproxy", "configurations");
    let text = String::from_utf8(map.stdout).unwrap();
    assert!(text.contains(&format!("{} cell-new\n", provisioned.client.id)), "{text}");
    assert!(text.contains(&format!("{} cell-old\n", other.id)), "{text}");
    let twice = print("haproxy", "accounts");
    assert!(String::from_utf8_lossy(&twice.stderr).contains("local"), "{twice:?}");

    let Some(nginx) = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists()) else {
        return;
    };
    let map = print("nginx", "configurations");
    std::fs::write(cells.file("cells.map"), map.stdout).unwrap();
    let port = crate::http::find_free_port();
    let example = include_str!("../../packaging/examples/cells-nginx.conf");
    let servers = example
        .replace("10.0.0.1:8080", &cells.old.address.to_string())
        .replace("10.0.0.2:8080", &cells.new.address.to_string())
        .replace("/etc/nginx/cells.map", cells.file("cells.map").to_str().unwrap())
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
    let servers: String = servers.lines().filter(|line| !line.contains("ssl_")).flat_map(|line| [line, "\n"]).collect();
    let folder = cells.folder.path().display();
    let configuration = format!(
        "daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n{servers}}}\n"
    );
    std::fs::write(cells.file("nginx.conf"), configuration).unwrap();
    let mut running = Command::new(nginx)
        .arg("-c")
        .arg(cells.file("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    crate::http::use_plain(address);
    wait_until("nginx listens", || std::net::TcpStream::connect(address).is_ok());
    let replies = [&provisioned.client, &other].map(|client| client.at(address).get("/Users?count=0").status);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(replies, [200, 200]);
}
