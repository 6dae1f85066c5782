//! HTTP client for an ACME authority: HTTPS only, with time limits, and it respects `Retry-After`.

use std::error::Error as _;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::web::Bytes;
use http::{Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, StatusCode, redirect};

use crate::clock::{self, Millis};

/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest response, in bytes. A certificate chain has some kilobytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// A client that stores the last `Retry-After` of the authority.
#[derive(Clone)]
pub(super) struct AcmeClient {
    client: Client,
    not_before: Arc<AtomicI64>,
}

impl AcmeClient {
    /// Creates a client that verifies the authority with the root certificates in that file, or else with those of the
    /// system.
    pub(super) fn new(root: Option<&Path>) -> Result<Self, String> {
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("rollcall/", env!("PROGRAM_VERSION")));
        if let Some(root) = root {
            let path = root.display();
            let text = std::fs::read(root).map_err(|error| format!("--acme-root: {path} cannot be read: {error}"))?;
            let roots = Certificate::from_pem_bundle(&text).ok().filter(|roots| !roots.is_empty());
            builder = builder
                .tls_certs_only(roots.ok_or_else(|| format!("--acme-root: {path} contains no certificate in PEM"))?);
        }
        let client = builder
            .build()
            .map_err(|error| format!("the ACME client cannot be created: {}", format_error_chain(&error)))?;
        Ok(Self { client, not_before: Arc::default() })
    }

    /// Returns the earliest time of the next request, according to `Retry-After`; in the past if there was none.
    pub(super) fn not_before(&self) -> Millis {
        self.not_before.load(Ordering::Relaxed)
    }

    async fn send_request(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let request = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let mut answer = request.body(reqwest::Body::wrap(body)).send().await.map_err(to_acme_error)?;
        let status = answer.status();
        if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
            && let Some(at) = read_retry_after(answer.headers(), clock::current_millis())
        {
            self.not_before.store(at, Ordering::Relaxed);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(to_acme_error)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX_BYTES {
                return Err(Error::Str("a response of at most 256 KiB"));
            }
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let (parts, ()) = response.into_parts();
        Ok(BytesResponse { parts, body: Box::new(Bytes::from(bytes)) })
    }
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send_request(request))
    }
}

fn to_acme_error(error: reqwest::Error) -> Error {
    Error::Other(format_error_chain(&error).into())
}

/// Formats an error with all its causes: the outermost message alone is not specific.
fn format_error_chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Reads `Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3).
fn read_retry_after(headers: &HeaderMap, now: Millis) -> Option<Millis> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(now + i64::from(seconds) * 1000);
    }
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        for (value, at) in [
            ("120", Some(121_000)),
            (" 0 ", Some(1000)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(946_684_799_000)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(read_retry_after(&headers, 1000), at, "{value}");
        }
        assert_eq!(read_retry_after(&HeaderMap::new(), 1000), None);
    }
}
