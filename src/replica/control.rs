//! The control socket of Litestream: HTTP over a Unix socket in the data folder. A request uses HTTP/1.0, so that the answer ends
//! with the connection.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Largest answer, in bytes. The answers have some hundred bytes.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;
/// Least timeout of a socket operation: zero is not allowed.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Why a request had no success.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Litestream does not listen, or did not answer in time.
    #[error("Litestream does not answer: {0}")]
    Unreachable(#[from] io::Error),
    /// Litestream answered with an error.
    #[error("Litestream reports: {0}")]
    Refused(String),
    /// The answer is not one of Litestream.
    #[error("the answer of Litestream cannot be read: {0}")]
    Unreadable(&'static str),
}

/// The control socket of one database.
#[derive(Debug, Clone)]
pub struct ControlSocket {
    socket: PathBuf,
    database: PathBuf,
}

impl ControlSocket {
    /// Uses this socket for this database, whose path must be the one of the settings file.
    pub fn new(socket: &Path, database: &Path) -> Self {
        Self { socket: socket.to_owned(), database: database.to_owned() }
    }

    /// Lets Litestream read the write-ahead log to its end, and run a checkpoint if the log is large. With `wait`, returns only
    /// after everything that was committed before the call is in the replica.
    ///
    /// # Errors
    /// It is not known to be in the replica.
    pub fn sync_database(&self, wait: bool, timeout: Duration) -> Result<(), ControlError> {
        // Litestream reads whole seconds. Its own limit is the longer one, so that a late success is not an error there.
        let seconds = timeout.as_secs() + 1;
        let body = json!({"path": self.database, "wait": wait, "timeout": seconds});
        let answer = self.send_request("POST", "/sync", &body, timeout)?;
        let number = |key: &str| answer[key].as_u64().ok_or(ControlError::Unreadable("a transaction number is absent"));
        let (local, replicated) = (number("txid")?, number("replicated_txid")?);
        if wait && replicated < local {
            return Err(ControlError::Refused(format!("transaction {replicated} of {local} is in the replica")));
        }
        Ok(())
    }

    /// Ends the use of the database, after its last changes are in the replica, without ending Litestream.
    ///
    /// # Errors
    /// Litestream still uses it.
    pub fn detach_database(&self, timeout: Duration) -> Result<(), ControlError> {
        let body = json!({"path": self.database, "timeout": timeout.as_secs().max(1)});
        self.send_request("POST", "/stop", &body, timeout + Duration::from_secs(1)).map(drop)
    }

    /// Begins to use the database again.
    ///
    /// # Errors
    /// Litestream does not use it.
    pub fn attach_database(&self, timeout: Duration) -> Result<(), ControlError> {
        let body = json!({"path": self.database, "timeout": timeout.as_secs().max(1)});
        self.send_request("POST", "/start", &body, timeout + Duration::from_secs(1)).map(drop)
    }

    fn send_request(&self, method: &str, target: &str, body: &Value, timeout: Duration) -> Result<Value, ControlError> {
        let deadline = Instant::now() + timeout;
        let mut stream = UnixStream::connect(&self.socket)?;
        let body = body.to_string();
        let request = format!(
            "{method} {target} HTTP/1.0\r\nHost: litestream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.set_write_timeout(Some(timeout.max(TIMEOUT_MIN)))?;
        // In one call: a server that answers at once and closes would end a second one with an error.
        stream.write_all(request.as_bytes())?;
        let answer = read_to_end(&mut stream, deadline)?;
        parse_answer(&answer)
    }
}

/// Reads until the other side closes the connection, at most until the deadline.
fn read_to_end(stream: &mut UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while (answer.len() as u64) < ANSWER_MAX_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left.max(TIMEOUT_MIN)))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(bytes) => answer.extend_from_slice(&chunk[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the answer is too large"))
}

/// Returns the body of a successful answer.
fn parse_answer(answer: &[u8]) -> Result<Value, ControlError> {
    let text = std::str::from_utf8(answer).map_err(|_| ControlError::Unreadable("it is not text"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(ControlError::Unreadable("it has no body"))?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
    let status = status.ok_or(ControlError::Unreadable("it has no status"))?;
    let body: Value = serde_json::from_str(body).map_err(|_| ControlError::Unreadable("its body is not JSON"))?;
    if status == 200 {
        return Ok(body);
    }
    let problem = body["error"].as_str().map_or_else(|| format!("status {status}"), str::to_owned);
    Err(ControlError::Refused(problem))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Answers one request with this text. `None` never answers.
    fn answer_once(answer: Option<&'static str>, use_socket: impl FnOnce(ControlSocket)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let bytes = stream.read(&mut request).unwrap();
            match answer {
                Some(text) => stream.write_all(text.as_bytes()).unwrap(),
                None => thread::sleep(2 * SECOND),
            }
            String::from_utf8_lossy(&request[..bytes]).into_owned()
        });
        use_socket(ControlSocket::new(&path, Path::new("/data/rollcall.db")));
        assert!(server.join().unwrap().starts_with("POST /sync HTTP/1.0\r\n"));
    }

    const OK: &str = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n";
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_sync_is_a_success_only_if_the_replica_has_the_last_transaction() {
        let answer = |body: &str| &*Box::leak(format!("{OK}{body}").into_boxed_str());
        answer_once(Some(answer(r#"{"status":"synced","txid":7,"replicated_txid":7}"#)), |socket| {
            socket.sync_database(true, SECOND).unwrap();
        });
        answer_once(Some(answer(r#"{"status":"synced","txid":7,"replicated_txid":6}"#)), |socket| {
            let problem = socket.sync_database(true, SECOND).unwrap_err();
            assert!(problem.to_string().contains("6 of 7"), "{problem}");
        });
        answer_once(Some(answer(r#"{"status":"synced_local","txid":7,"replicated_txid":6}"#)), |socket| {
            socket.sync_database(false, SECOND).unwrap();
        });
        answer_once(Some(answer(r#"{"status":"synced"}"#)), |socket| {
            socket.sync_database(true, SECOND).unwrap_err();
        });
    }

    #[test]
    fn an_error_has_the_reason_of_litestream() {
        let refused = "HTTP/1.0 500 Internal Server Error\r\n\r\n{\"error\":\"replica sync: no route to host\"}";
        answer_once(Some(refused), |socket| {
            let problem = socket.sync_database(true, SECOND).unwrap_err().to_string();
            assert!(problem.contains("no route to host"), "{problem}");
        });
        for broken in ["", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n{", "nonsense\r\n\r\n{}"] {
            answer_once(Some(broken), |socket| assert!(socket.sync_database(true, SECOND).is_err(), "{broken}"));
        }
    }

    #[test]
    fn an_absent_answer_is_an_error_in_time() {
        answer_once(None, |socket| {
            let asked = Instant::now();
            socket.sync_database(true, Duration::from_millis(50)).unwrap_err();
            assert!(asked.elapsed() < 2 * SECOND, "{:?}", asked.elapsed());
        });
        let absent = ControlSocket::new(Path::new("/nonexistent/s"), Path::new("/d"));
        assert!(matches!(absent.sync_database(true, SECOND), Err(ControlError::Unreachable(_))));
    }
}
