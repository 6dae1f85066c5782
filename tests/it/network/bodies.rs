//! Request bodies use a bounded amount of memory, and without credentials almost none.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stalls::most_memory_kib;
use crate::app::{App, Client, Request};
use crate::caller::CONFIGURATIONS;
use crate::http;
use crate::sample::user;

/// A server that reads a body first would wait 10 s for it.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const MIB: usize = 1024 * 1024;

/// Sends a head and a part of the body, and returns the connection.
fn send_part(address: SocketAddr, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = http::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // The server may answer and close the connection at any time.
    let _ = stream.write_all(body);
    stream
}

/// The status of the answer. `None` if the connection was closed without one.
fn status_of(mut stream: TcpStream) -> Option<u16> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    http::parse(&bytes, false).ok().map(|answer| answer.status)
}

/// The status of the answer, without waiting for the end of the connection.
fn first_status(mut stream: TcpStream) -> u16 {
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line[9..]).parse().unwrap()
}

/// Every route that may have a body, with concrete path parameters.
fn routes_with_bodies(app: &App) -> Vec<(String, String)> {
    let concrete = |path: &str| {
        let parts = path
            .split('/')
            .map(|part| if part.starts_with('{') { "0198a0b0-0000-7000-8000-000000000000" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let document = Request::new(app.address, "GET", "/openapi.json").send().answered(200).json;
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods
            .as_object()
            .unwrap()
            .keys()
            .filter(|method| ["post", "put", "patch", "delete"].contains(&method.as_str()));
        routes.extend(methods.map(|method| (method.to_uppercase(), concrete(path))));
    }
    let pages = rollcall::web::portal::list_routes().into_iter().filter(|(method, _)| *method == "POST");
    routes.extend(pages.map(|(method, path)| (method.to_owned(), concrete(path))));
    for (method, path) in
        [("POST", "Users"), ("PUT", "Users/7"), ("PATCH", "Groups/7"), ("POST", "Bulk"), ("POST", ".search")]
    {
        routes.push((method.to_owned(), format!("/directory/resources/scim/v2.0/{path}")));
    }
    routes
}

#[test]
fn no_route_waits_for_a_large_body_without_credentials() {
    let app = App::shared();
    let routes = routes_with_bodies(app);
    assert!(routes.len() > 60, "{}", routes.len());
    for (method, path) in routes {
        for extra in ["", "Idempotency-Key: 0123456789abcdef\r\n", "Authorization: Bearer wrong\r\n"] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nOrigin: http://{}\r\nContent-Type: application/json\r\n{extra}\
                 Content-Length: 1048576\r\nConnection: close\r\n\r\n",
                app.address, app.address
            );
            let begun = Instant::now();
            let status = first_status(send_part(app.address, &head, b"{"));
            assert!((300..500).contains(&status), "{method} {path} {extra}: {status}");
            assert!(begun.elapsed() < ANSWER_MAX, "{method} {path} {extra}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn credentials_in_a_body_fit_8_kib() {
    let app = App::shared();
    let post = |path: &str, length: usize, kind: &str| {
        let mut body = b"{}".to_vec();
        body.resize(length, b' ');
        let origin = format!("http://{}", app.address);
        let request = Request::new(app.address, "POST", path).body(&body).header("Content-Type", kind);
        request.header("Origin", &origin).send().status
    };
    let exchange = "/identity/resources/auth/v1/api-token";
    for path in ["/auth/vendor", exchange, &format!("{exchange}/token/refresh")] {
        assert_eq!(post(path, 8 * 1024, "application/json"), 400, "{path}");
        assert_eq!(post(path, 8 * 1024 + 1, "application/json"), 413, "{path}");
    }
    let form = "application/x-www-form-urlencoded";
    assert_eq!((post("/login", 8 * 1024, form), post("/login", 8 * 1024 + 1, form)), (401, 413));
    // With a valid credential the limit of the route applies.
    let operator = app.operator().for_account("large-body");
    let body = json!({"source": "okta", "padding": "x".repeat(60_000)});
    operator.post(CONFIGURATIONS, &body).answered(201);
    let request = operator.request("POST", CONFIGURATIONS).json(&body).header("Content-Type", "application/json");
    request.header("Idempotency-Key", "a-large-body-with-a-key").send().answered(201);
}

#[test]
fn the_error_of_a_chunked_body_without_credentials_is_sent_and_the_connection_is_closed() {
    let app = App::shared();
    let head = format!(
        "POST {CONFIGURATIONS} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: 0123456789abcdef\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut stream = send_part(app.address, &head, b"4\r\n1234\r\n");
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (begun, mut answer, mut is_closed) = (Instant::now(), Vec::new(), false);
    while !is_closed && begun.elapsed() < Duration::from_secs(20) {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => is_closed = true,
            Ok(length) => answer.extend_from_slice(&bytes[..length]),
            Err(why) => {
                is_closed = !matches!(why.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            }
        }
        // The client goes on with a body that does not end.
        let _ = stream.write_all(b"4\r\n5678\r\n");
    }
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{:?}", String::from_utf8_lossy(&answer));
    assert!(is_closed && begun.elapsed() < ANSWER_MAX, "closed after {:?}", begun.elapsed());
}

#[test]
fn many_large_bodies_without_credentials_use_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    let body = vec![b' '; MIB];
    let heads = [(CONFIGURATIONS, "Idempotency-Key: 0123456789abcdef\r\n"), ("/auth/vendor", ""), ("/login", "")];
    std::thread::scope(|scope| {
        for number in 0..200 {
            let (app, body, (path, extra)) = (&app, &body, heads[number % heads.len()]);
            scope.spawn(move || {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{extra}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                let mut stream = send_part(app.address, &head, &body[..MIB - 1]);
                stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                let _ = stream.read(&mut [0; 1024]);
            });
        }
        for number in 0..10 {
            client.created("/Users", &user(&format!("meanwhile-{number}")));
        }
    });
    let most = most_memory_kib(&app);
    println!("{most} KiB");
    assert!(most < 256 * 1024, "{most} KiB");
}

/// A Bulk body of almost 8 MB whose operations fail quickly.
fn bulk_body(operations: usize) -> Vec<u8> {
    let mut text = String::from(r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":["#);
    for number in 0..operations {
        let comma = if number == 0 { "" } else { "," };
        let data = "x".repeat(7_900);
        let _ = write!(
            text,
            r#"{comma}{{"method":"POST","path":"/Users","bulkId":"{number}","data":{{"title":"{data}"}}}}"#
        );
    }
    text.push_str("]}");
    text.into_bytes()
}

fn bulk_head(client: &Client, length: usize) -> String {
    format!(
        "POST {}/Bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/scim+json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n",
        client.base, client.token
    )
}

#[test]
fn parallel_bulk_bodies_use_a_bounded_amount_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let clients: Vec<Client> = (0..5).map(|_| app.configuration("okta")).collect();
    let quiet = app.configuration("other");
    let body = bulk_body(990);
    let (rest, first) = (&body[body.len() - 1..], &body[..body.len() - 1]);
    // All bodies are almost complete at the same time: 20 of 8 MB, four of each configuration, exceed the budget of 128 MiB.
    let mut open: Vec<TcpStream> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..20)
            .map(|number| {
                let (client, whole) = (&clients[number % clients.len()], body.len());
                scope.spawn(move || send_part(client.address, &bulk_head(client, whole), first))
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    for number in 0..5 {
        quiet.created("/Users", &user(&format!("meanwhile-{number}")));
        let large = json!({"userName": format!("large-{number}"), "title": "x".repeat(60_000)});
        let reply = quiet.post("/Users", &large);
        assert!([201, 503].contains(&reply.status), "{}", reply.status);
    }
    let answers: Vec<Option<u16>> = std::thread::scope(|scope| {
        for stream in &mut open {
            let _ = stream.write_all(rest);
        }
        let readers: Vec<_> = open.into_iter().map(|stream| scope.spawn(move || status_of(stream))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| **answer == Some(status)).count();
    assert!(count(200) >= 5, "{answers:?}");
    // A Bulk request that waits for others of its configuration for too long is refused too.
    let refused = count(503) + count(429) + answers.iter().filter(|answer| answer.is_none()).count();
    assert!(count(200) <= 16 && count(200) + refused == 20, "{answers:?}");
    let most = most_memory_kib(&app);
    println!("{most} KiB");
    assert!(most < 512 * 1024, "{most} KiB");
    // All memory is released.
    let again = clients[0].request("POST", "/Bulk").body(&body).header("Content-Type", "application/scim+json");
    again.send().answered(200);
}

#[test]
fn a_configuration_has_a_quarter_of_the_memory_and_its_neighbor_notices_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-buffered-bodies", "32"]);
    let (loud, quiet) = (app.configuration("okta"), app.configuration("okta"));
    // With its document it fits into a quarter.
    let body = bulk_body(450);
    // The first body uses almost all of the share, and the others are refused.
    let whole = vec![b' '; 8 * MIB];
    let send_most = || send_part(loud.address, &bulk_head(&loud, whole.len()), &whole[..whole.len() - 20_000]);
    let mut held: Vec<TcpStream> = (0..6).map(|_| send_most()).collect();
    let large = json!({"userName": "large", "title": "x".repeat(60_000)});
    let (incomplete, begun) = (json!({"title": "x".repeat(60_000)}), Instant::now());
    let refused = loop {
        let reply = loud.post("/Users", &incomplete);
        if reply.status == 503 {
            break reply.refused(503, "");
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "the share is not used up");
        std::thread::sleep(Duration::from_millis(200));
        // Bodies that arrive at the same time can refuse each other.
        held.push(send_most());
    };
    assert_eq!(refused.header("retry-after"), "1");
    loud.created("/Users", &user("small"));
    quiet.created("/Users", &large);
    let bulk = quiet.request("POST", "/Bulk").body(&body).header("Content-Type", "application/scim+json");
    bulk.send().answered(200);
    drop(held);
    let begun = Instant::now();
    while loud.post("/Users", &large).status != 201 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the memory of ended requests is not released");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_document_of_many_small_values_is_counted_with_its_parsed_size() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let clients: Vec<Client> = (0..8).map(|_| app.configuration("other")).collect();
    let values = "{\"a\":0},".repeat(299_000);
    let body = format!("{{\"schemas\":[],\"Operations\":[{values}{{\"a\":0}}]}}");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = clients
            .iter()
            .map(|client| {
                let body = &body;
                scope.spawn(move || {
                    let request = client.request("PATCH", "/Users/none").body(body.as_bytes());
                    request.header("Content-Type", "application/scim+json").send().status
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| [400, 404, 413, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().any(|status| *status != 503), "{statuses:?}");
    let most = most_memory_kib(&app);
    println!("{most} KiB");
    assert!(most < 512 * 1024, "{most} KiB");
}

#[test]
fn a_response_in_several_segments_is_not_delayed() {
    // Without TCP_NODELAY the last segment waits for an acknowledgment, which the client delays by 40 ms.
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    let id = client.created("/Users", &json!({"userName": "long", "title": "x".repeat(48_000)}));
    let request =
        format!("GET {}/Users/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", client.base, client.token);
    let mut stream = TcpStream::connect(client.address).unwrap();
    let mut times: Vec<Duration> = (0..24)
        .map(|_| {
            let begun = Instant::now();
            stream.write_all(request.as_bytes()).unwrap();
            read_response(&mut stream);
            begun.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[times.len() / 4] < Duration::from_millis(30), "{times:?}");
}

/// Reads one response with Content-Length.
fn read_response(stream: &mut TcpStream) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let length = stream.read(&mut chunk).unwrap();
        assert!(length > 0, "the connection was closed");
        bytes.extend_from_slice(&chunk[..length]);
        if http::parse(&bytes, false).is_ok_and(|answer| answer.status == 200 && !answer.body.is_empty()) {
            return;
        }
    }
}

#[test]
fn a_url_above_64_kib_is_refused() {
    let client = App::shared().configuration("other");
    let filter = |length: usize| client.request("GET", &format!("/Users?filter={}", "x".repeat(length))).attempt();
    assert_eq!(filter(40_000).unwrap().status, 414);
    // The HTTP parser refuses it, and no handler runs.
    let status = filter(70_000).unwrap().status;
    assert!([400, 414].contains(&status), "{status}");
    let value: Value = client.get("/ServiceProviderConfig").answered(200).json;
    assert!(value.is_object());
}
