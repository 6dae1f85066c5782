//! A client with little overhead: blocking sockets, HTTP/1.1 with keep-alive, one thread per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum time for all requests of a round; a slower server has failed.
const ROUND_MAX: Duration = Duration::from_secs(20);

/// Address, base path and token.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// Path of the configuration's SCIM base URL.
    pub(crate) base: String,
    pub(crate) token: String,
}

impl Endpoint {
    /// The bytes of a request below the base URL.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let Self { base, token, .. } = self;
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/scim+json\r\n" };
        let length = body.len();
        format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: bench\r\nAccept: application/scim+json\r\n\
             Authorization: Bearer {token}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Sends one request on a new connection.
    pub(crate) fn ask(&self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut connection = Connection::open(self.address)?;
        let status = connection.exchange(request)?;
        Ok((status, connection.body))
    }

    /// Sends one request on a new connection: returns the status, the length of the body, and the time until its end.
    pub(crate) fn timed(&self, request: &[u8]) -> Result<(u16, usize, Duration)> {
        let mut connection = Connection::open(self.address)?;
        let begun = Instant::now();
        let status = connection.exchange(request)?;
        Ok((status, connection.body.len(), begun.elapsed()))
    }

    /// Sends that many requests over concurrent connections that stay open. Returns the time of each.
    ///
    /// # Errors
    /// An answer with another status than `expected`.
    pub(crate) fn measure_latency(
        &self,
        connections: usize,
        requests: usize,
        expected: u16,
        make: &(dyn Fn(usize) -> Vec<u8> + Sync),
    ) -> Result<Vec<Duration>> {
        let next = AtomicUsize::new(0);
        let one = || -> Result<Vec<Duration>> {
            let (mut connection, mut times) = (Connection::open(self.address)?, Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(times);
                }
                let request = make(number);
                let begun = Instant::now();
                let status = connection.exchange(&request)?;
                times.push(begun.elapsed());
                ensure!(status == expected, "request {number}: {status}");
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
            }
            Ok(all)
        })
    }

    /// Sends one request per number in `numbers`, over that many concurrent connections.
    ///
    /// # Errors
    /// An answer with another status, or without `expected` in its body; a round that takes too long.
    pub(crate) fn drive(
        &self,
        connections: usize,
        numbers: std::ops::Range<usize>,
        (status, expected): (u16, &str),
        make: &(dyn Fn(usize) -> Vec<u8> + Sync),
    ) -> Result<()> {
        let (next, begun) = (AtomicUsize::new(numbers.start), Instant::now());
        let one = || -> Result<()> {
            let mut connection = Connection::open(self.address)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return Ok(());
                }
                let found = connection.exchange(&make(number))?;
                let body = String::from_utf8_lossy(&connection.body);
                ensure!(begun.elapsed() < ROUND_MAX, "{number} of {numbers:?}: not done within {ROUND_MAX:?}");
                ensure!(found == status && body.contains(expected), "request {number}: {found} {body}");
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
        })
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(32 * 1024, stream), body: Vec::new() })
    }

    /// Sends a request and reads its answer; returns the status, and stores the body in `self.body`.
    fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.get_mut().write_all(request)?;
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("no status in {line:?}"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line.starts_with("transfer-encoding:");
        }
        self.body.clear();
        if !chunked {
            self.read(length)?;
            return Ok(status);
        }
        loop {
            let size = usize::from_str_radix(&self.line()?, 16)?;
            self.read(size)?;
            self.line()?;
            if size == 0 {
                return Ok(status);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }

    fn read(&mut self, length: usize) -> Result<()> {
        let begin = self.body.len();
        self.body.resize(begin + length, 0);
        Ok(self.stream.read_exact(&mut self.body[begin..])?)
    }
}
