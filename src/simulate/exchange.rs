//! An HTTP/1.1 client that sends a path and headers unchanged. A library would normalize them and add headers of its own,
//! and the spelling is a part of what is checked.
//!
//! The operator names the server on the command line, so every address and plain HTTP are allowed.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use rustls_platform_verifier::Verifier;
use url::Url;

/// Longest answer, unpacked, in bytes.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;
/// Longest head of an answer, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// How a server is connected.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Time limit of one request.
    pub timeout: Duration,
    /// Certificates that are accepted.
    pub trust: CertificateTrust,
}

/// Which certificates of a server are accepted.
#[derive(Debug, Clone)]
pub enum CertificateTrust {
    /// Those that the roots of the system have issued.
    System,
    /// Those of the system, and those of these roots in PEM.
    WithRoots(Vec<u8>),
    /// All of them: for the own listener of this server, at an address that its certificate does not contain.
    Any,
}

/// A SCIM server, and the token for it.
pub struct TargetServer {
    host: String,
    port: u16,
    /// Host and port as in the URL, for the header `Host`.
    authority: String,
    base_path: String,
    query: Option<String>,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    pub(super) token: String,
}

/// A request. Its path is appended to the URL of the server.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

/// An answer, its body unpacked.
#[derive(Debug, Clone)]
pub(super) struct ServerAnswer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl ServerAnswer {
    /// Value of the first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl TargetServer {
    /// Reads the URL as an admin enters it in the provider: the base URL of the server, perhaps with a query that is sent
    /// with each request.
    ///
    /// # Errors
    /// A sentence, if the URL or a root certificate cannot be used.
    pub fn new(url: &str, token: String, options: &ConnectOptions) -> Result<Self, String> {
        let parsed: Url =
            url.parse().map_err(|problem| format!("{url}: {problem}; write https://host/path or http://host/path"))?;
        let is_tls = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(format!("{url}: write https://host/path or http://host/path")),
        };
        let host =
            parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("{url}: there is no host"))?;
        let port = parsed.port_or_known_default().ok_or_else(|| format!("{url}: there is no port"))?;
        if token.chars().any(|c| c.is_control() || c == ' ') {
            return Err("the token contains a space or a control character".to_owned());
        }
        let tls = is_tls.then(|| build_tls(&options.trust)).transpose()?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority: parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            base_path: parsed.path().trim_end_matches('/').to_owned(),
            query: parsed.query().filter(|query| !query.is_empty()).map(str::to_owned),
            tls: tls.map(Arc::new),
            timeout: options.timeout,
            token,
        })
    }

    /// Replaces the token in a text that can be printed.
    pub(super) fn redact_token(&self, text: &mut String) {
        if !self.token.is_empty() && text.contains(self.token.as_str()) {
            *text = text.replace(self.token.as_str(), "…");
        }
    }

    /// The target of a request for a path below the URL.
    fn target_of(&self, path: &str) -> String {
        let mut target = format!("{}{path}", self.base_path);
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        if let Some(query) = &self.query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(query);
        }
        target
    }

    /// Sends a request on a new connection and reads the answer.
    ///
    /// # Errors
    /// A sentence, if there is no valid answer in time.
    pub(super) fn send(&self, request: &SimulatedRequest) -> Result<ServerAnswer, String> {
        let bytes = self.write_request(request)?;
        let socket = DeadlineSocket::connect(self, Instant::now() + self.timeout).map_err(describe_io)?;
        let Some(config) = &self.tls else { return exchange_bytes(socket, &bytes) };
        let name = ServerName::try_from(self.host.clone()).map_err(|problem| problem.to_string())?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(|problem| problem.to_string())?;
        exchange_bytes(StreamOwned::new(connection, socket), &bytes)
    }

    /// The bytes of a request. Values come from answers of the server, so line breaks in them are refused.
    fn write_request(&self, request: &SimulatedRequest) -> Result<Vec<u8>, String> {
        let target = self.target_of(&request.path);
        if target.chars().any(|c| c.is_control() || c == ' ') {
            return Err("the path contains a space or a control character".to_owned());
        }
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: {}\r\n", request.method, self.authority);
        for (name, value) in &request.headers {
            if value.chars().any(char::is_control) {
                return Err(format!("the header {name} contains a control character"));
            }
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        if let Some(body) = &request.body {
            head.push_str("Content-Length: ");
            head.push_str(&body.len().to_string());
            head.push_str("\r\n");
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(request.body.as_deref().unwrap_or_default());
        Ok(bytes)
    }
}

/// Returns a TLS configuration that accepts these certificates.
fn build_tls(trust: &CertificateTrust) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        CertificateTrust::Any => Arc::new(AnyCertificate(Arc::clone(&provider))),
        CertificateTrust::System => Arc::new(build_verifier(Vec::new(), &provider)?),
        CertificateTrust::WithRoots(pem) => {
            let roots: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(|problem| format!("the root certificates cannot be read: {problem}"))?;
            if roots.is_empty() {
                return Err("the file of root certificates contains no certificate in PEM".to_owned());
            }
            Arc::new(build_verifier(roots, &provider)?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|problem| problem.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The verifier of the system, with more roots.
fn build_verifier(roots: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Verifier, String> {
    Verifier::new_with_extra_roots(roots, Arc::clone(provider)).map_err(|problem| problem.to_string())
}

/// Accepts every certificate of a server that has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A socket whose reads and writes end at one time.
#[derive(Debug)]
struct DeadlineSocket {
    stream: TcpStream,
    deadline: Instant,
}

impl DeadlineSocket {
    fn connect(server: &TargetServer, deadline: Instant) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", server.host));
        for address in (server.host.as_str(), server.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, remaining_time(deadline)?) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self { stream, deadline });
                }
                Err(problem) => failure = problem,
            }
        }
        Err(failure)
    }
}

impl Read for DeadlineSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(remaining_time(self.deadline)?))?;
        self.stream.read(buffer)
    }
}

impl Write for DeadlineSocket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(remaining_time(self.deadline)?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn remaining_time(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn describe_io(problem: io::Error) -> String {
    match problem.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "the server did not answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the server closed the connection".to_owned()
        }
        _ => problem.to_string(),
    }
}

fn exchange_bytes(mut stream: impl Read + Write, request: &[u8]) -> Result<ServerAnswer, String> {
    // A server may refuse before it has read everything, so a failed write is not final.
    let written = stream.write_all(request).and_then(|()| stream.flush());
    let answer = AnswerReader { stream, bytes: Vec::new() }.read_answer(request.starts_with(b"HEAD "));
    match (answer, written) {
        (Err(_), Err(problem)) => Err(describe_io(problem)),
        (answer, _) => answer,
    }
}

struct AnswerReader<S> {
    stream: S,
    /// Read and not used yet.
    bytes: Vec<u8>,
}

impl<S: Read> AnswerReader<S> {
    fn read_answer(mut self, has_no_body: bool) -> Result<ServerAnswer, String> {
        let mut answer = self.read_head()?;
        // Interim answers, at most a few.
        for _ in 0..5 {
            if (100..200).contains(&answer.status) {
                answer = self.read_head()?;
            }
        }
        let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let length = answer.header("content-length").map(|text| text.trim().parse::<u64>());
        answer.body = match length {
            _ if has_no_body || answer.status == 304 => Vec::new(),
            _ if chunked => self.read_chunks()?,
            Some(Ok(length)) => self.read_exactly(length)?,
            Some(Err(_)) => return Err("the header Content-Length is not a number".to_owned()),
            // Most servers send no length with a 204.
            None if answer.status == 204 => self.read_rest().unwrap_or_default(),
            None => self.read_rest()?,
        };
        answer.body = unpack_body(&answer)?;
        Ok(answer)
    }

    fn read_head(&mut self) -> Result<ServerAnswer, String> {
        let end = loop {
            if let Some(end) = find_bytes(&self.bytes, b"\r\n\r\n") {
                break end;
            }
            if self.bytes.len() > HEAD_MAX {
                return Err("the head of the answer is too long".to_owned());
            }
            if self.fill()? == 0 {
                return Err("the server closed the connection without an answer".to_owned());
            }
        };
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.bytes.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
        let status = status
            .ok_or_else(|| format!("the answer is not HTTP/1.1: {}", first.chars().take(80).collect::<String>()))?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        Ok(ServerAnswer { status, headers, body: Vec::new() })
    }

    /// Reads more bytes and returns how many.
    fn fill(&mut self) -> Result<usize, String> {
        let mut buffer = [0; 16 * 1024];
        let read = match self.stream.read(&mut buffer) {
            Ok(read) => read,
            // Servers often end TLS without its closing message.
            Err(problem) if problem.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(problem) => return Err(describe_io(problem)),
        };
        self.bytes.extend_from_slice(&buffer[..read]);
        if self.bytes.len() as u64 > ANSWER_MAX { Err("the answer is too long".to_owned()) } else { Ok(read) }
    }

    fn read_exactly(&mut self, length: u64) -> Result<Vec<u8>, String> {
        let length = usize::try_from(length.min(ANSWER_MAX + 1)).unwrap_or(usize::MAX);
        while self.bytes.len() < length {
            if self.fill()? == 0 {
                return Err("the answer is shorter than its Content-Length".to_owned());
            }
        }
        Ok(self.bytes.drain(..length).collect())
    }

    fn read_rest(&mut self) -> Result<Vec<u8>, String> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.bytes))
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = find_bytes(&self.bytes, b"\r\n") {
                    break end;
                }
                if self.bytes.len() > HEAD_MAX || self.fill()? == 0 {
                    return Err("the chunks of the answer are incomplete".to_owned());
                }
            };
            let line = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
            self.bytes.drain(..end + 2);
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| "a chunk of the answer has no size".to_owned())?;
            if size == 0 {
                return Ok(body);
            }
            body.extend(self.read_exactly(size)?);
            self.read_exactly(2)?;
            if body.len() as u64 > ANSWER_MAX {
                return Err("the answer is too long".to_owned());
            }
        }
    }
}

fn find_bytes(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, pattern)
}

/// The body without its content coding: a provider that accepts gzip gets it from many servers.
fn unpack_body(answer: &ServerAnswer) -> Result<Vec<u8>, String> {
    let coding = answer.header("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let mut body = Vec::new();
    let packed = answer.body.as_slice();
    let unpacked = match coding.as_str() {
        "gzip" | "x-gzip" => flate2::read::GzDecoder::new(packed).take(ANSWER_MAX).read_to_end(&mut body),
        "deflate" => flate2::read::ZlibDecoder::new(packed).take(ANSWER_MAX).read_to_end(&mut body),
        _ => return Ok(answer.body.clone()),
    };
    unpacked.map(|_| body).map_err(|_| format!("the body is not valid {coding}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<ServerAnswer, String> {
        AnswerReader { stream: bytes, bytes: Vec::new() }.read_answer(false)
    }

    fn server(url: &str) -> TargetServer {
        let options = ConnectOptions { timeout: Duration::from_secs(1), trust: CertificateTrust::System };
        TargetServer::new(url, "t".to_owned(), &options).unwrap()
    }

    #[test]
    fn answers_of_each_framing_are_read() {
        let chunked = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap().body, b"abcde");
        assert!(read(&chunked[..chunked.len() - 9]).is_err());
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").unwrap().body, b"ab");
        assert_eq!(read(b"HTTP/1.0 404 No\r\n\r\nabc").unwrap().body, b"abc");
        assert_eq!(read(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, b"");
        for broken in [&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"[..], b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2"]
        {
            assert!(read(broken).is_err());
        }
    }

    #[test]
    fn packed_bodies_are_unpacked() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"abc").unwrap();
        let packed = packer.finish().unwrap();
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
        let mut whole = std::mem::take(&mut bytes).into_bytes();
        whole.extend(packed);
        assert_eq!(read(&whole).unwrap().body, b"abc");
    }

    #[test]
    fn a_path_is_appended_unchanged_and_a_query_of_the_url_is_sent_along() {
        for (url, path, expected) in [
            ("http://h/scim/v2/", "/Users?", "/scim/v2/Users?"),
            ("http://h", "//Users?filter=a+b&", "//Users?filter=a+b&"),
            ("http://h/s?aadOptscim062020", "/Users?a=1", "/s/Users?a=1&aadOptscim062020"),
            ("http://h/s?x", "/Users", "/s/Users?x"),
            ("http://h/token", "", "/token"),
        ] {
            assert_eq!(server(url).target_of(path), expected);
        }
        assert_eq!(server("http://[::1]:8080/").host, "::1");
        let options = ConnectOptions { timeout: Duration::from_secs(1), trust: CertificateTrust::System };
        for (url, token) in [("ftp://h/", "t"), ("h", "t"), ("http://h/", "a\nb")] {
            assert!(TargetServer::new(url, token.to_owned(), &options).is_err(), "{url}");
        }
    }

    #[test]
    fn line_breaks_in_values_of_a_server_are_not_sent() {
        let request = |path: &str, value: &str| SimulatedRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![("X".to_owned(), value.to_owned())],
            body: None,
        };
        assert!(server("http://h/").write_request(&request("/a", "b")).is_ok());
        assert!(server("http://h/").write_request(&request("/a\r\nb", "b")).is_err());
        assert!(server("http://h/").write_request(&request("/a", "b\r\nc: d")).is_err());
    }
}
