//! Middleware of every page: the response headers, the navigation on error pages, and the time zone of the admin.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use crate::web::metrics::Surface;
use crate::web::portal::layout::{self, PageError};
use crate::web::portal::sign_in::session;
use crate::web::portal::time_zone::{self, TimeZoneChoice};
use crate::web::request_middleware;

/// Wraps every page: request id, metrics, headers and time zone.
pub(super) async fn wrap_page<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let zone = TimeZoneChoice::from_cookie(request.request());
    let response = request_middleware::track_request(request, next, Surface::Portal, layout::add_headers)
        .await?
        .map_into_boxed_body();
    let response = add_navigation(response);
    Ok(match zone {
        Some(zone) => time_zone::localize_times(response, &zone),
        None => response,
    })
}

/// Adds the navigation to an error page. An error holds no session, so the page is rendered again if an admin is signed
/// in.
fn add_navigation(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let refusal = response.response().error().and_then(|error| error.as_error::<PageError>());
    let Some(refusal) = refusal.filter(|refusal| !matches!(refusal, PageError::SignIn { .. })) else { return response };
    let Ok(signed) = session::find_signed_in(response.request()) else { return response };
    let page = refusal.page(Some(&signed)).into_body();
    response.map_body(|_, _| page)
}
