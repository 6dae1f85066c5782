//! Connections whose next request arrives slowly, after a first one was answered: its head has the same deadline as the first.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::app::{App, Client};
use crate::http;
use crate::https::authority::Authority;
use crate::sample::user;

const SLOW: usize = 60;
/// An idle connection is closed after 75 s, an incomplete head after 5 s.
const GONE_WITHIN: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(200);

/// A complete request of the client.
fn head(client: &Client) -> String {
    format!("GET {}/Schemas HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", client.base, client.token)
}

/// Sends a request and reads its complete response. The connection stays open.
fn exchange_once(stream: &mut (impl Read + Write), head: &str) {
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 16 * 1024];
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "the connection was closed within a response");
        bytes.extend_from_slice(&part[..length]);
        if http::parse(&bytes, false).is_ok_and(|answer| answer.status == 200) {
            return;
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Whether the server has closed the connection. Nothing is to be read from an open one.
fn is_closed(socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let next = socket.peek(&mut [0]);
    socket.set_nonblocking(false).unwrap();
    match next {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn a_slow_next_head_is_disconnected_as_early_as_a_slow_first_one() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    let head = head(&client);
    let mut idle = connect(app.address);
    exchange_once(&mut idle, &head);
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| connect(app.address)).collect();
    for stream in &mut slow {
        exchange_once(stream, &head);
    }
    let begun = Instant::now();
    let (mut sent, mut served) = (0, 0);
    while !slow.is_empty() {
        assert!(begun.elapsed() < GONE_WITHIN, "{} of {SLOW} are open", slow.len());
        // One byte of the next head to each; others are served meanwhile.
        let next = head.as_bytes()[sent % (head.len() - 4)];
        slow.retain_mut(|stream| stream.write_all(&[next]).is_ok() && !is_closed(stream));
        sent += 1;
        client.created("/Users", &user(&format!("meanwhile-{served}")));
        served += 1;
        std::thread::sleep(PAUSE);
    }
    assert!(sent > 1, "a head may take some time");
    assert!(!is_closed(&idle), "an idle connection stays open");
    exchange_once(&mut idle, &head);
}

#[test]
fn a_slow_next_head_is_disconnected_over_tls_too() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let head = head(&app.configuration("other"));
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let config = authority.client(rustls::ALL_VERSIONS, &["http/1.1"]);
            let mut stream = http::over_tls(connect(app.address), config).unwrap();
            exchange_once(&mut stream, &head);
            stream
        })
        .collect();
    let mut idle = streams.pop().unwrap();
    let (mut by_record, mut by_byte) = (streams.pop().unwrap(), streams.pop().unwrap());
    // A record with the whole head, of which the server gets single bytes.
    let mut record = Vec::new();
    by_byte.conn.writer().write_all(head.as_bytes()).unwrap();
    by_byte.conn.write_tls(&mut record).unwrap();
    let begun = Instant::now();
    let (mut sent, mut is_open) = (0, [true, true]);
    while is_open != [false, false] {
        assert!(begun.elapsed() < GONE_WITHIN, "open: {is_open:?}");
        let index = sent % (head.len() - 4);
        let has_sent = by_record.write_all(&head.as_bytes()[index..=index]).and_then(|()| by_record.flush());
        is_open[0] = is_open[0] && has_sent.is_ok() && !is_closed(&by_record.sock);
        // The record is longer than the number of bytes that are sent in a minute.
        let next = record[sent.min(record.len() - 2)];
        is_open[1] = is_open[1] && by_byte.sock.write_all(&[next]).is_ok() && !is_closed(&by_byte.sock);
        sent += 1;
        std::thread::sleep(PAUSE);
    }
    assert!(!is_closed(&idle.sock), "an idle connection stays open");
    exchange_once(&mut idle, &head);
}
