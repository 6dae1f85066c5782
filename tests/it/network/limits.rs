//! Limits of connections and requests; clients below the limits are served (T72, R-270, R-332).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::app::{App, Client, Reply};
use crate::sample::user;

/// A connection without any request.
fn idle(address: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap()
}

/// Connections that the server has accepted: a request on each is answered, and they stay open.
fn open_connections(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let seat = |_| {
        let mut stream = idle(address);
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        stream
    };
    (0..count).map(seat).collect()
}

/// Repeats a request until the answer has that status, at most 10 s.
#[track_caller]
fn until_answered(client: &Client, status: u16) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        if client.request("GET", "/Users").attempt().is_ok_and(|answer| answer.status == status) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no {status} within 10 s");
}

#[test]
fn an_address_with_too_many_connections_gets_no_more_until_one_ends() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-connections-per-address", "5"]);
    let client = app.configuration("other");
    let mut held = open_connections(app.address, 5);
    let refused = client.request("GET", "/Users").attempt();
    let is_refused = match &refused {
        Ok(answer) => answer.status == 503 && answer.header("retry-after").is_some(),
        // The connection may be closed before its request was read.
        Err(why) => why.kind() != std::io::ErrorKind::TimedOut,
    };
    assert!(is_refused, "{refused:?}");
    drop(held.pop());
    until_answered(&client, 200);
}

#[test]
fn a_trusted_proxy_may_have_as_many_connections_as_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        ["--max-connections-per-address", "5", "--trusted-proxies", "127.0.0.1", "--public-url", "https://a.example"];
    let app = App::start_with(folder.path(), &flags);
    let client = app.configuration("other");
    let _held = open_connections(app.address, 20);
    client.get("/Users").answered(200);
}

#[test]
fn idle_connections_without_a_credential_give_way_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-connections", "8"]);
    let client = app.configuration("other");
    let crowd: Vec<TcpStream> = (0..60).map(|_| idle(app.address)).collect();
    std::thread::sleep(Duration::from_millis(300));
    for number in 0..20 {
        until_answered(&client, 200);
        client.created("/Users", &user(&format!("in the crowd {number}")));
    }
    drop(crowd);
}

#[test]
fn an_idle_connection_with_a_credential_is_not_closed_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-connections", "16"]);
    let client = app.configuration("other");
    let mut stream = idle(app.address);
    let mut ask = || -> std::io::Result<[u8; 12]> {
        let (base, token) = (&client.base, &client.token);
        let head = format!("HEAD {base}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let (mut answer, mut rest) = ([0; 12], [0; 4096]);
        stream.read_exact(&mut answer)?;
        stream.read(&mut rest).map(|_| answer)
    };
    assert_eq!(&ask().unwrap(), b"HTTP/1.1 200");
    let _crowd: Vec<TcpStream> = (0..100).map(|_| idle(app.address)).collect();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(&ask().unwrap(), b"HTTP/1.1 200");
}

#[test]
fn without_a_setting_this_machine_has_no_share() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-connections", "200"]);
    let client = app.configuration("other");
    let _held = open_connections(app.address, 60);
    client.get("/Users").answered(200);
}

/// CPU time of the process, in hundredths of a second.
fn cpu_ticks(app: &App) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", app.pid())).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn with_few_file_descriptors_the_server_waits_and_recovers() {
    // T72
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]);
    let app = App::start_through(command, folder.path());
    let client = app.configuration("other");
    client.created("/Users", &user("before"));
    let crowd: Vec<TcpStream> = (0..300).map(|_| idle(app.address)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let before = cpu_ticks(&app);
    std::thread::sleep(Duration::from_secs(2));
    let spent = cpu_ticks(&app) - before;
    assert!(spent < 50, "two idle seconds took {spent} hundredths of a second to compute");
    drop(crowd);
    until_answered(&client, 200);
    client.created("/Users", &user("after"));
    // All readers can still be opened: lists use a separate pool.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.get("/Users?count=10").answered(200));
        }
    });
    let open = std::fs::read_dir(format!("/proc/{}/fd", app.pid())).unwrap().count();
    assert!(open < 64, "{open}");
}

/// Sends requests with four threads until one is refused.
fn until_refused(client: &Client) -> Reply {
    let ask = || (0..5_000).map(|_| client.get("/ServiceProviderConfig")).find(|reply| reply.status != 200);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let found: Vec<Reply> = callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect();
        found.into_iter().next().expect("an end to the budget")
    })
}

#[test]
fn a_configuration_that_calls_too_often_is_throttled_alone() {
    //
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--rate-limit", "50"]);
    let (client, other) = (app.configuration("other"), app.configuration("other"));
    other.get("/Users").answered(200);
    let refused = until_refused(&client).refused(429, "");
    assert!(refused.answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|n| n > 0)));
    other.get("/Users").answered(200);
    // One second later it is served again.
    std::thread::sleep(Duration::from_secs(1));
    client.get("/Users").answered(200);
    std::thread::sleep(Duration::from_millis(700));
    let path = format!("/directory/resources/v1/configurations/scim2/{}/requests?status=429&limit=1", client.id);
    let log = app.operator().get(&path).answered(200).json;
    assert!(log["items"][0]["detail"].as_str().unwrap().contains("slow down"), "{log}");
}

#[test]
fn the_body_limit_is_configurable_and_in_discovery() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-body-size", "1"]);
    let client = app.configuration("other");
    let mut body = user("big").to_string().into_bytes();
    body.resize(1024 * 1024 + 1, b' ');
    let request = client.request("POST", "/Users").header("Content-Type", "application/scim+json");
    request.clone().body(&body).send().refused(413, "");
    body.truncate(1024 * 1024);
    request.body(&body).send().answered(201);
    let config = client.get("/ServiceProviderConfig").answered(200).json;
    assert_eq!(config["bulk"]["maxPayloadSize"], 1024 * 1024);
}
