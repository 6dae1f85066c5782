//! Calls to an identity system, which decide who gets in: by https (http on this machine itself only), to the very
//! address, short and small.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Url, redirect};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, not parsed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of a 200.
    ///
    /// # Errors
    /// Any other status, in words.
    pub fn ok(self) -> Result<Vec<u8>, String> {
        if self.status == 200 { Ok(self.body) } else { Err(format!("it answered {} and not 200", self.status)) }
    }
}

/// Who calls.
pub struct Fetcher {
    client: Client,
}

impl Fetcher {
    /// Calls https addresses only, unless `plain` says that this machine itself is called.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub fn new(plain: bool) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .https_only(!plain)
            // Where the keys come from decides who gets in: not the environment's business.
            .no_proxy()
            .timeout(PATIENCE)
            // A connection belongs to the worker that made it.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Reads what is at an address, with a bearer token or without.
    ///
    /// # Errors
    /// There is no answer, or it is too long; in words that give no address away.
    pub async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Answer, String> {
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        send(bearer.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value))).await
    }

    /// Sends a form, with a value for `Authorization` or without.
    ///
    /// # Errors
    /// There is no answer, or it is too long; in words that give no address away.
    pub async fn post(&self, url: &Url, form: String, authorization: Option<String>) -> Result<Answer, String> {
        let request = self.client.post(url.clone()).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        send(authorization.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value))).await
    }
}

async fn send(request: RequestBuilder) -> Result<Answer, String> {
    let failed = |problem: reqwest::Error| format!("no answer: {}", cause(&problem));
    let mut answer = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > ANSWER_MAX_BYTES {
            return Err(format!("its answer is longer than {ANSWER_MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status: answer.status().as_u16(), body })
}

/// What is at the bottom of it. The address, which may hold credentials, stands above and is left out.
fn cause(problem: &reqwest::Error) -> String {
    let Some(mut deepest) = problem.source() else { return "the request failed".to_owned() };
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest.to_string()
}
