//! A small HTTP/1.1 client on a socket. It sends paths and headers unchanged, which a library would normalize.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, RwLock};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// A TLS connection.
pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// The servers that use TLS, with the client configuration for each.
static SECURE: RwLock<Option<HashMap<SocketAddr, Arc<ClientConfig>>>> = RwLock::new(None);

/// Maximum wait for one answer; the slowest identity provider waits 60 s.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A port on which no process listens, for a program that gets its port as an argument. The system gives ports from 32768 to
/// outgoing connections and to listeners without a port of their own: one of those could take the port before the program.
pub(crate) fn find_free_port() -> u16 {
    // Each test process begins somewhere else.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    loop {
        let port = 10_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 22_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An answer: header names in lower case, the body without its transfer encoding.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Value of the first header of that name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Uses TLS for that server from now on, with the server name `localhost`.
pub(crate) fn secure(address: SocketAddr, how: Arc<ClientConfig>) {
    SECURE.write().unwrap().get_or_insert_default().insert(address, how);
}

/// Uses plain HTTP for a new server: an ended one with TLS may have had the same port.
pub(crate) fn use_plain(address: SocketAddr) {
    if let Some(clients) = &mut *SECURE.write().unwrap() {
        clients.remove(&address);
    }
}

/// A TCP connection, before any TLS handshake.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A TLS connection with the server name `localhost`. The handshake happens with the first byte.
pub(crate) fn over_tls(stream: TcpStream, how: Arc<ClientConfig>) -> io::Result<Secured> {
    over_tls_to("localhost", stream, how)
}

/// Like `over_tls`, with another server name.
pub(crate) fn over_tls_to(name: &str, stream: TcpStream, how: Arc<ClientConfig>) -> io::Result<Secured> {
    let name = name.to_owned().try_into().map_err(io::Error::other)?;
    Ok(StreamOwned::new(ClientConnection::new(how, name).map_err(io::Error::other)?, stream))
}

/// Sends one request and reads its answer to the end of the connection. The request must have `Connection: close`. An
/// incomplete answer is `UnexpectedEof`; no answer is `ConnectionReset` or the error of the socket.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let stream = connect(address)?;
    let how = SECURE.read().unwrap().as_ref().and_then(|clients| clients.get(&address).cloned());
    match how {
        Some(how) => converse(over_tls(stream, how)?, request),
        None => converse(stream, request),
    }
}

fn converse(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Answer> {
    // A server may refuse before it has read everything, so a failed write is not final.
    let written = stream.write_all(request);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    if bytes.is_empty() {
        // A connection that ends within a handshake has no answer either.
        let reset = |why: io::Error| match why.kind() {
            io::ErrorKind::UnexpectedEof => io::ErrorKind::ConnectionReset.into(),
            _ => why,
        };
        written.map_err(reset)?;
        read.map_err(reset)?;
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    parse(&bytes, request.starts_with(b"HEAD "))
}

pub(crate) fn parse(bytes: &[u8], head_only: bool) -> io::Result<Answer> {
    let end = find(bytes, b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, status_line.to_owned()))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answer.body = unchunk(&answer.body)?;
    } else if let Some(length) = answer.header("content-length") {
        let announced: usize = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        if !head_only && status != 304 && answer.body.len() != announced {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(answer)
}

fn unchunk(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = find(rest, b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = std::str::from_utf8(&rest[..line_end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.ok_or(io::ErrorKind::InvalidData)?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Ok(body);
        }
        if rest.len() < size + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[test]
fn a_chunked_answer_is_decoded_and_a_truncated_one_is_an_error() {
    let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(parse(whole, false).unwrap().body, b"abcde");
    assert_eq!(parse(&whole[..whole.len() - 9], false).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
    assert_eq!(parse(short, false).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
