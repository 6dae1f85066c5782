//! How the authority is spoken to: over HTTPS only, with an end to patience, and with an ear for "come back later".

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
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, StatusCode, redirect};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::clock::{self, Millis};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read: a chain of certificates is some kilobytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// A client that remembers until when the authority wants to be left alone.
#[derive(Clone)]
pub(super) struct AcmeClient {
    client: Client,
    not_before: Arc<AtomicI64>,
}

impl AcmeClient {
    /// A client that knows the authority by the certificates in that file, else by those of the system.
    pub(super) fn new(root: Option<&Path>) -> Result<Self, String> {
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")));
        if let Some(root) = root {
            let shown = root.display();
            let text = std::fs::read(root).map_err(|error| format!("--acme-root: {shown} cannot be read: {error}"))?;
            let roots = Certificate::from_pem_bundle(&text).ok().filter(|roots| !roots.is_empty());
            builder = builder
                .tls_certs_only(roots.ok_or_else(|| format!("--acme-root: {shown} holds no certificate in PEM"))?);
        }
        let client = builder.build().map_err(|error| format!("the client for certificates: {}", whole(&error)))?;
        Ok(Self { client, not_before: Arc::default() })
    }

    /// When the authority may be asked again, by its own word; in the past where it has not said anything.
    pub(super) fn not_before(&self) -> Millis {
        self.not_before.load(Ordering::Relaxed)
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let request = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let mut answer = request.body(reqwest::Body::wrap(body)).send().await.map_err(other)?;
        let status = answer.status();
        if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
            && let Some(at) = retry_after(answer.headers(), clock::now())
        {
            self.not_before.store(at, Ordering::Relaxed);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(other)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX_BYTES {
                return Err(Error::Str("an answer that is not absurdly long"));
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
        Box::pin(self.clone().ask(request))
    }
}

fn other(error: reqwest::Error) -> Error {
    Error::Other(whole(&error).into())
}

/// What went wrong, down to the cause: the outermost says little.
fn whole(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Millis) -> Option<Millis> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(now + i64::from(seconds) * 1000);
    }
    OffsetDateTime::parse(text, &Rfc2822).ok().map(|moment| moment.unix_timestamp() * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_later_is_said_in_seconds_or_as_a_date() {
        for (said, at) in [
            ("120", Some(121_000)),
            (" 0 ", Some(1000)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(946_684_799_000)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, said.parse().unwrap())]);
            assert_eq!(retry_after(&headers, 1000), at, "{said}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), 1000), None);
    }
}
