//! `Idempotency-Key`: a POST that comes a second time, because its answer was lost, is answered like the first time
//! and does nothing. The answer may hold a token that is shown once, so it is kept sealed with a key that is made from
//! the `Idempotency-Key`, which is not kept: only who sends the same key can open it.

mod sealed;

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, dev};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::sealed::Sealer;
use super::answer::Refusal;
use super::call::write;
use super::caller::{self, ACCESS_TOKEN, TENANT};
use super::configurations::random;
use crate::directory::idempotency::{self, Known};
use crate::error::Error;
use crate::secret;
use crate::web::body;
use crate::web::limits::API_BODY_MAX_BYTES;
use crate::web::state::State;

/// What the client sends, and what says that an answer is one of before.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Characters of a key.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 8..=255;

/// An answer as it is sealed.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    content_type: Option<String>,
    body: String,
}

/// A call with a key.
struct Once {
    state: Data<State>,
    /// Digest of caller, address and key.
    digest: [u8; 32],
    /// Digest of what is asked.
    asked: [u8; 32],
    sealer: Sealer,
}

/// The middleware around every place.
pub(super) async fn once<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if *request.method() != Method::POST || !request.headers().contains_key(&KEY) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let (http, mut payload) = request.into_parts();
    match begin(&http, &mut payload).await {
        Ok((once, body)) => {
            let request = ServiceRequest::from_parts(http, dev::Payload::from(body));
            first(once, request, next).await
        }
        Err(answer) => Ok(ServiceResponse::new(http, answer)),
    }
}

/// Runs the call. It goes on where the client does not wait for it: then above all its answer is wanted a second time.
async fn first<B: MessageBody + 'static>(
    once: Option<Once>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(once) = once else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    let running = actix_web::rt::spawn(async move {
        let (request, response) = next.call(request).await?.into_parts();
        Ok(ServiceResponse::new(request, once.keep(response.map_into_boxed_body()).await))
    });
    running.await.unwrap_or_else(|_| Err(Refusal::new(503, "the call was broken off").into()))
}

/// Finds out whether the call came before. Gives it and its body where it may go on; without anything to keep where the
/// caller is nobody, for the handler to refuse.
async fn begin(request: &HttpRequest, payload: &mut dev::Payload) -> Result<(Option<Once>, Bytes), HttpResponse> {
    let refused = |refusal: Refusal| refusal.error_response();
    let key = key(request).map_err(refused)?;
    let state = request.app_data::<Data<State>>().cloned();
    let state = state.ok_or_else(|| refused(Refusal::new(503, "the server is not ready")))?;
    let given = [AUTHORIZATION, ACCESS_TOKEN].iter().any(|name| request.headers().contains_key(name));
    let caller = if given { Some(caller::authenticate(request, &state).await.map_err(refused)?) } else { None };
    let payload = web::Payload::from_request(request, payload).into_inner();
    let payload = payload.map_err(|_| refused(Refusal::new(503, "the server is not ready")))?;
    let body = body::read(request, payload, API_BODY_MAX_BYTES).await;
    let body = body.map_err(|problem| refused(Error::from(problem).into()))?.freeze();
    let Some(caller) = caller else { return Ok((None, body)) };
    let tenant = request.headers().get(&TENANT).map_or(&b""[..], HeaderValue::as_bytes);
    let who = format!("{caller:?}");
    let named = digest(&[who.as_bytes(), request.path().as_bytes(), key.as_bytes()]);
    // With the key in it, which is not kept, nobody can find out a short body by trying.
    let asked = digest(&[key.as_bytes(), request.query_string().as_bytes(), tenant, &body]);
    let once = Once { state, digest: named, asked, sealer: Sealer::new(&key, &named) };
    match once.known().await.map_err(|problem| refused(problem.into()))? {
        Known::First => Ok((Some(once), body)),
        Known::Answered(sealed) => Err(once.replay(&sealed).unwrap_or_else(|| refused(cut_off()))),
        Known::CutOff => Err(refused(cut_off())),
        Known::Another => Err(refused(Refusal::new(
            422,
            "Idempotency-Key was used for another request: take a new key for a new request",
        ))),
        Known::Running => {
            let refusal = Refusal::new(409, "the first request with this Idempotency-Key is still running");
            Err(refused(Refusal { retry_after: Some(1), ..refusal }))
        }
    }
}

fn cut_off() -> Refusal {
    Refusal::new(
        409,
        "the first request with this Idempotency-Key was cut off: look whether it took effect, then take a new key",
    )
}

fn key(request: &HttpRequest) -> Result<String, Refusal> {
    let mut given = request.headers().get_all(&KEY);
    let key = given.next().and_then(|key| key.to_str().ok()).map(str::trim).unwrap_or_default();
    let usable = KEY_CHARS.contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !usable || given.next().is_some() {
        return Err(Refusal::bad("Idempotency-Key must have 8 to 255 visible characters, such as a new UUID"));
    }
    Ok(key.to_owned())
}

/// SHA-256 of parts that cannot run into each other.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl Once {
    async fn known(&self) -> Result<Known, Error> {
        let (digest, asked) = (self.digest, self.asked);
        write(&self.state, move |tx| idempotency::begin(tx, &digest, &asked)).await
    }

    /// Keeps the answer of a call that did something, and gives it.
    async fn keep(self, response: HttpResponse) -> HttpResponse {
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body).await else {
            return Refusal::new(503, "the answer was lost").error_response();
        };
        let answer = if head.status().is_success() { self.seal(&head, &body) } else { Ok(None) };
        let digest = self.digest;
        let kept = match answer {
            Ok(answer) => write(&self.state, move |tx| idempotency::end(tx, &digest, answer.as_deref())).await,
            Err(refusal) => Err(Error::Refused(refusal.to_string())),
        };
        if let Err(problem) = kept {
            tracing::warn!(%problem, "the answer of a call with an Idempotency-Key was not kept");
        }
        head.set_body(BoxBody::new(body))
    }

    fn seal(&self, head: &HttpResponse<()>, body: &Bytes) -> Result<Option<Vec<u8>>, Refusal> {
        let content_type = head.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = String::from_utf8_lossy(body).into_owned();
        let answer = Answer { status: head.status().as_u16(), content_type, body };
        let nonce = random(secret::random_bytes())?;
        let text = serde_json::to_vec(&answer).unwrap_or_default();
        self.sealer.seal(&nonce, text).map(Some).ok_or_else(|| Refusal::new(503, "the answer could not be sealed"))
    }

    fn replay(&self, sealed: &[u8]) -> Option<HttpResponse> {
        let answer: Answer = serde_json::from_slice(&self.sealer.open(sealed)?).ok()?;
        let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).ok()?);
        response.insert_header((REPLAYED, "true"));
        if let Some(content_type) = answer.content_type {
            response.insert_header((CONTENT_TYPE, content_type));
        }
        Some(response.body(answer.body))
    }
}
