//! Reading of request bodies, with limits of size, time and memory.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::body_budget::{BodyOwner, BodyReservation, UNCOUNTED_BYTES};
use super::limits::{BODY_BYTES_PER_SECOND, BODY_DEADLINE, UNAUTHENTICATED_BODY_MAX_BYTES};
use crate::error::{Error, Reason};
use crate::scim::json::JsonLayout;
use crate::web::network::IncomingBody;
use crate::web::state::AppState;

/// Bodies above this size get the memory for their announced length at once.
const GROWTH_MAX_BYTES: usize = 1024 * 1024;

/// Limit of a body.
pub(super) struct BodyLimit {
    max: usize,
    owner: Option<BodyOwner>,
}

impl BodyLimit {
    /// Allows `max` bytes, for which the memory of `owner` is used. Without an owner the caller has no valid credential and
    /// may send at most [`UNAUTHENTICATED_BODY_MAX_BYTES`].
    pub(super) fn new(max: usize, owner: Option<BodyOwner>) -> Self {
        let max = if owner.is_some() { max } else { max.min(UNAUTHENTICATED_BODY_MAX_BYTES) };
        Self { max, owner }
    }

    /// For a form of a caller without a credential, which may be a little larger than other bodies of such callers.
    pub(super) fn of_form(max: usize) -> Self {
        Self { max, owner: None }
    }

    /// Like [`Self::new`], with the owner that the authentication of the request has recorded.
    pub(super) fn of_caller(request: &HttpRequest, max: usize) -> Self {
        Self::new(max, request.extensions().get::<BodyOwner>().cloned())
    }
}

/// Reads a body. The memory is reserved until the request ends.
///
/// # Errors
/// 415 for a compressed body; 413 above the limit (at once if Content-Length exceeds it); 408 if the body does not
/// arrive in time; 400 if it is incomplete; 503 if there is no memory for it now.
pub(super) async fn read_body(request: &HttpRequest, payload: Payload, limit: BodyLimit) -> Result<BytesMut, Error> {
    if let Some(coding) = header_text(request, CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::new(Reason::BodyCompressed));
    }
    let announced = read_announced_length(request, limit.max)?;
    let mut reservation = None;
    let max = limit.max;
    let _incoming = IncomingBody::begin(request);
    let bytes = BodyReader { announced: announced.unwrap_or_default(), max };
    let bytes = bytes.collect(payload, |length| extend_reservation(&mut reservation, request, &limit, length)).await?;
    if let Some(reservation) = reservation {
        store_reservation(request, reservation);
    }
    Ok(bytes)
}

/// The text of a document with the memory that is reserved for it. It can be parsed in any thread.
pub(super) struct ReservedText {
    pub(super) text: Bytes,
    reservation: Option<BodyReservation>,
}

impl ReservedText {
    /// Takes the reservation of the request.
    pub(super) fn new(request: &HttpRequest, text: Bytes) -> Self {
        Self { text, reservation: request.extensions_mut().remove::<BodyReservation>() }
    }

    /// Reserves the memory for the parsed document, and returns its layout. `None` for a short text, which is not counted.
    ///
    /// # Errors
    /// 503 if there is no memory for it now; 413 if it is too large; 400 if it is nested too deeply.
    pub(super) fn reserve_document(&mut self) -> Result<Option<JsonLayout>, Error> {
        let Some(reservation) = &mut self.reservation else { return Ok(None) };
        let layout = JsonLayout::measure(&self.text)?;
        reservation.extend_for_document(&layout)?;
        Ok(Some(layout))
    }

    /// Returns the reservation to the request, which holds it until it ends, and returns the text.
    pub(super) fn store_reservation(self, request: &HttpRequest) -> Bytes {
        if let Some(reservation) = self.reservation {
            request.extensions_mut().insert(reservation);
        }
        self.text
    }
}

/// Releases the memory of the text of a body whose parts are read one after the other, so that no copy of all of it exists.
pub(super) fn release_text(request: &HttpRequest) {
    if let Some(reservation) = request.extensions_mut().get_mut::<BodyReservation>() {
        reservation.release_text();
    }
}

/// Returns the content type without parameters; empty if the header is absent.
pub(super) fn read_content_type(request: &HttpRequest) -> &str {
    header_text(request, CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn header_text(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("?").trim())
}

/// Returns the value of Content-Length.
fn read_announced_length(request: &HttpRequest, max: usize) -> Result<Option<usize>, Error> {
    let Some(length) = header_text(request, CONTENT_LENGTH) else { return Ok(None) };
    let length = length.parse::<u64>().map_err(|_| Error::new(Reason::ContentLengthInvalid))?;
    usize::try_from(length).ok().filter(|length| *length <= max).map(Some).ok_or_else(|| too_large(max))
}

/// Reserves the memory for a body of this length. The first bytes are not counted.
fn extend_reservation(
    reservation: &mut Option<BodyReservation>,
    request: &HttpRequest,
    limit: &BodyLimit,
    length: usize,
) -> Result<(), Error> {
    let (Some(owner), true) = (&limit.owner, length > UNCOUNTED_BYTES) else { return Ok(()) };
    if reservation.is_none() {
        let state = request.app_data::<Data<AppState>>().ok_or(Reason::ServerNotReady)?;
        *reservation = Some(state.network.bodies.start_reservation(owner.clone()));
    }
    reservation.as_mut().map_or(Ok(()), |reservation| reservation.extend_to(length))
}

/// Stores a reservation in the extensions of the request, which are dropped when the request ends. A body with an
/// `Idempotency-Key` is read twice.
fn store_reservation(request: &HttpRequest, mut reservation: BodyReservation) {
    let mut extensions = request.extensions_mut();
    if let Some(earlier) = extensions.remove::<BodyReservation>() {
        reservation.absorb(earlier);
    }
    extensions.insert(reservation);
}

/// Collects the chunks of a body.
struct BodyReader {
    announced: usize,
    max: usize,
}

impl BodyReader {
    /// Reads the whole body; `reserve` is called with the new length for each chunk. The deadline is extended by the bytes
    /// received, not by the announced length: a client that stops sending times out soon.
    async fn collect(
        self,
        mut payload: Payload,
        mut reserve: impl FnMut(usize) -> Result<(), Error>,
    ) -> Result<BytesMut, Error> {
        let (mut bytes, started) = (BytesMut::new(), Instant::now());
        loop {
            let extension = Duration::from_secs(bytes.len() as u64 / BODY_BYTES_PER_SECOND);
            let next = timeout_at(started + BODY_DEADLINE + extension, payload.next()).await;
            let Some(chunk) = next.map_err(|_| Error::new(Reason::BodyTimeout))? else {
                break;
            };
            let chunk = chunk.map_err(|_| Error::new(Reason::BodyIncomplete))?;
            let length = bytes.len() + chunk.len();
            if length > self.max {
                return Err(too_large(self.max));
            }
            reserve(length)?;
            self.grow(&mut bytes, length);
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Makes room for `length` bytes. Doubling the memory of a large body would use up to twice its size.
    fn grow(&self, bytes: &mut BytesMut, length: usize) {
        if length > bytes.capacity() && length > GROWTH_MAX_BYTES {
            bytes.reserve(self.announced.max(length) - bytes.len());
        }
    }
}

fn too_large(max: usize) -> Error {
    Reason::BodyTooLarge.with("max", max)
}
