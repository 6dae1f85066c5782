//! An account is the tenant: however many configurations it has, they use one share together.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::stalls::most_memory_kib;
use crate::app::{App, Client};
use crate::sample::user;

/// Bulk requests of one account that run, and that wait.
const BULK_RUNNING: usize = 2;
const BULK_WAITING: usize = 64;
/// The same for one configuration.
const WAITING_OF_ONE: usize = 32;
const WAIT_MAX: Duration = Duration::from_secs(8);
/// Memory of the server, whatever one account sends.
const MEMORY_MAX_KIB: u64 = 256 * 1024;

/// Sends the head of a Bulk request and no body: it holds its turn until the body has not arrived in time.
fn begin_bulk(client: &Client) -> TcpStream {
    let mut stream = TcpStream::connect(client.address).unwrap();
    let head = format!(
        "POST {}/Bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: 1000\r\n\r\n{{",
        client.base, client.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// A connection of a Bulk request, and what of the response has arrived.
struct WaitingRequest {
    stream: TcpStream,
    answer: String,
}

impl WaitingRequest {
    fn begin(client: &Client) -> Self {
        let stream = begin_bulk(client);
        stream.set_nonblocking(true).unwrap();
        Self { stream, answer: String::new() }
    }

    /// Reads what has arrived. Returns whether that includes the end of the head.
    fn is_answered(&mut self) -> bool {
        let mut bytes = [0; 1_024];
        // A connection that was closed after its response has no bytes.
        while let Ok(length @ 1..) = self.stream.read(&mut bytes) {
            self.answer.push_str(&String::from_utf8_lossy(&bytes[..length]).to_ascii_lowercase());
        }
        self.answer.contains("\r\n\r\n")
    }
}

#[test]
fn the_bulk_requests_of_an_account_are_counted_together_and_another_account_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--max-connections-per-address", "1000"]);
    let busy: Vec<Client> = (0..5).map(|_| app.configuration_of("busy", "other")).collect();
    let quiet = app.configuration_of("quiet", "other");
    let begun = Instant::now();
    let per_client = BULK_RUNNING + WAITING_OF_ONE;
    let mut requests: Vec<WaitingRequest> =
        busy.iter().flat_map(|client| (0..per_client).map(|_| WaitingRequest::begin(client))).collect();
    let refused = requests.len() - BULK_RUNNING - BULK_WAITING;
    let mut answers = Vec::new();
    while answers.len() < refused && begun.elapsed() < WAIT_MAX {
        std::thread::sleep(Duration::from_millis(20));
        answers = requests.iter_mut().filter_map(|one| one.is_answered().then(|| one.answer.clone())).collect();
    }
    let operation = json!({"method": "POST", "path": "/Users", "bulkId": "b", "data": user("quiet")});
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [operation]});
    let reply = quiet.post("/Bulk", &bulk).answered(200);
    assert_eq!(reply.json["Operations"][0]["status"], "201");
    assert!(begun.elapsed() < WAIT_MAX, "the other account did not wait until the requests of the busy one ended");
    // Some requests are refused while the first ones begin to run on the other worker, so a few more can be refused.
    assert!((refused..=refused + BULK_WAITING / 4).contains(&answers.len()), "{refused} of {answers:#?}");
    for answer in answers {
        assert!(answer.starts_with("http/1.1 429 ") && answer.contains("\r\nretry-after: "), "{answer}");
    }
}

#[test]
fn documents_of_many_values_from_many_configurations_use_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let busy: Vec<Client> = (0..12).map(|_| app.configuration_of("busy", "other")).collect();
    let quiet = app.configuration_of("quiet", "other");
    // Names that no schema declares, numbers in a list, and the smallest objects.
    let mut names = user("names");
    (0..290_000).for_each(|number| names[format!("x{number}")] = json!(1));
    let list = |element: serde_json::Value, count: usize| {
        let mut user = user("list");
        user["undeclared"] = vec![element; count].into();
        user
    };
    let bodies = [names, list(json!(1_234_567), 290_000), list(json!({"a": 1}), 295_000)];
    let statuses: Vec<(u16, bool)> = std::thread::scope(|scope| {
        let send = |(number, client)| {
            let body = &bodies[number % bodies.len()];
            scope.spawn(move || {
                let reply = Client::post(client, "/Users", body);
                (reply.status, reply.answer.header("retry-after").is_some())
            })
        };
        let sent: Vec<_> = busy.iter().enumerate().map(send).collect();
        quiet.created("/Users", &user("quiet"));
        sent.into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    for (status, may_retry) in &statuses {
        assert!(*status == 201 || (*status == 503 && *may_retry), "{statuses:?}");
    }
    // Alone, each of them is accepted.
    for (number, body) in bodies.iter().enumerate() {
        create_when_free(&app.configuration_of(&format!("alone-{number}"), "other"), body);
    }
    let most = most_memory_kib(&app);
    assert!(most < MEMORY_MAX_KIB, "{most} KiB");
}

/// Creates a user, while the memory of earlier requests is being released.
fn create_when_free(client: &Client, body: &serde_json::Value) {
    let begun = Instant::now();
    loop {
        let reply = client.post("/Users", body);
        if reply.status == 201 {
            return;
        }
        assert!(reply.status == 503 && begun.elapsed() < Duration::from_mins(1), "{}", reply.status);
        std::thread::sleep(Duration::from_millis(100));
    }
}
