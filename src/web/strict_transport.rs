//! Tells browsers to come back by HTTPS only (RFC 6797), on every answer, where HTTPS is how the world gets here.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderValue, STRICT_TRANSPORT_SECURITY};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::public_url::is_https;
use super::state::State;

/// A year. Other hosts below ours are not ours to speak for.
const YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The middleware around everything.
pub async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let https = request.app_data::<Data<State>>().is_some_and(|state| is_https(&state.public_url()));
    let mut response = next.call(request).await?;
    if https {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, YEAR);
    }
    Ok(response)
}
