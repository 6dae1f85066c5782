//! HTTP client for identity systems: the rules of outgoing calls, and limits of time and size.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use url::Url;

use crate::outgoing::{OutgoingClient, OutgoingRules, describe_failure};

/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest body of a response, in bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// A response with any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// HTTP status.
    pub status: u16,
    /// The body as received.
    pub body: Vec<u8>,
}

impl FetchResponse {
    /// Returns the body of a response with status 200.
    ///
    /// # Errors
    /// Any other status, as a sentence.
    pub fn into_ok_body(self) -> Result<Vec<u8>, String> {
        if self.status == 200 { Ok(self.body) } else { Err(format!("it answered {} and not 200", self.status)) }
    }
}

/// HTTP client with those limits.
pub struct Fetcher {
    client: OutgoingClient,
}

impl Fetcher {
    /// Creates a client for the servers that the rules allow.
    ///
    /// # Errors
    /// The root certificates of the system cannot be used.
    pub fn new(rules: OutgoingRules) -> Result<Self, reqwest::Error> {
        let options = || {
            Client::builder()
                .timeout(REQUEST_TIMEOUT)
                // A connection is bound to the worker that opened it.
                .pool_max_idle_per_host(0)
                .user_agent(concat!("rollcall/", env!("PROGRAM_VERSION")))
        };
        Ok(Self { client: OutgoingClient::new(rules, options)? })
    }

    /// Sends a GET request, with a bearer token if one is given.
    ///
    /// # Errors
    /// No response, or one that is too large, as a sentence without the URL.
    pub async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<FetchResponse, String> {
        let request = self.client_for(url)?.get(url.clone()).header(ACCEPT, "application/json");
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        send_request(bearer.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value))).await
    }

    /// Sends a form with a POST request, with an `Authorization` header if one is given.
    ///
    /// # Errors
    /// No response, or one that is too large, as a sentence without the URL.
    pub async fn post(&self, url: &Url, form: String, authorization: Option<String>) -> Result<FetchResponse, String> {
        let request = self.client_for(url)?.post(url.clone()).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        send_request(authorization.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value)))
            .await
    }

    fn client_for(&self, url: &Url) -> Result<&Client, String> {
        self.client.client_for(url).map_err(|refused| format!("it is not called: {refused}"))
    }
}

async fn send_request(request: RequestBuilder) -> Result<FetchResponse, String> {
    let failed = |problem: reqwest::Error| format!("no answer: {}", describe_failure(&problem));
    let mut answer = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(format!("its answer is longer than {ANSWER_MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(FetchResponse { status: answer.status().as_u16(), body })
}
