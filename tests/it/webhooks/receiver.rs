//! The application of the operator: a server that records the requests of webhooks and answers as a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// A request of a webhook.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The events of a request in the standard format.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.json()["data"]["events"].as_array().cloned().unwrap_or_default()
    }

    /// How many of the signatures are right for a secret, as the specification of Standard Webhooks says.
    pub(crate) fn count_valid_signatures(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", self.id(), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').filter(|given| **given == expected).count()
    }
}

/// What the receiver answers.
pub(crate) type Respond = dyn Fn(&Received) -> Response + Send + Sync;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
    /// Time before the answer.
    pub(crate) delay: Duration,
}

impl Response {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: String::new(), body: String::new(), delay: Duration::ZERO }
    }
}

/// A running receiver.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    respond: Arc<Mutex<Arc<Respond>>>,
}

impl Receiver {
    /// Starts a receiver that accepts everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accept: Arc<Respond> = Arc::new(|_: &Received| Response::status(204));
        let receiver = Self { address, received: Arc::default(), respond: Arc::new(Mutex::new(accept)) };
        let (received, respond) = (Arc::clone(&receiver.received), Arc::clone(&receiver.respond));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, respond) = (Arc::clone(&received), Arc::clone(&respond));
                std::thread::spawn(move || serve(stream, &received, &respond));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Changes the answers.
    pub(crate) fn respond(&self, respond: impl Fn(&Received) -> Response + Send + Sync + 'static) {
        *self.respond.lock().unwrap() = Arc::new(respond);
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until a condition on the requests is true, and returns them.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let received = self.received();
            if is_so(&received) {
                return received;
            }
            let kinds: Vec<String> =
                received.iter().map(|one| String::from_utf8_lossy(&one.body).chars().take(200).collect()).collect();
            assert!(begun.elapsed() < Duration::from_mins(1), "{what} did not happen: {kinds:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for that number of events in all requests, and returns them in the order of arrival.
    #[track_caller]
    pub(crate) fn wait_for_events(&self, count: usize) -> Vec<Value> {
        let all = |received: &[Received]| received.iter().flat_map(Received::events).collect::<Vec<_>>();
        all(&self.wait_for(&format!("the arrival of {count} events"), |received| all(received).len() >= count))
    }
}

fn serve(stream: TcpStream, received: &Mutex<Vec<Received>>, respond: &Mutex<Arc<Respond>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read_request(&mut reader) {
        let answer = {
            let respond = Arc::clone(&respond.lock().unwrap());
            respond(&request)
        };
        received.lock().unwrap().push(request);
        std::thread::sleep(answer.delay);
        let Response { status, headers, body, .. } = answer;
        let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let mut headers = Vec::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body })
}
