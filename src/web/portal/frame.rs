//! What goes around every page: the frame of all answers with the headers of pages, the navigation of whoever is signed in
//! around what was refused, and the reader's time zone.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::page::{self, Refusal};
use super::session;
use super::zone::{self, Zone};
use crate::web::frame;
use crate::web::metrics::Surface;

/// The middleware around every page.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let zone = Zone::chosen(request.request());
    let response = frame::around(request, next, Surface::Portal, page::mark).await?.map_into_boxed_body();
    let response = navigable(response);
    Ok(match zone {
        Some(zone) => zone::turned(response, &zone),
        None => response,
    })
}

/// A refusal does not know who is there; if somebody is signed in, the page keeps the way to the others.
fn navigable(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let refusal = response.response().error().and_then(|error| error.as_error::<Refusal>());
    let Some(refusal) = refusal.filter(|refusal| !matches!(refusal, Refusal::SignIn { .. })) else { return response };
    let Ok(signed) = session::signed_in(response.request()) else { return response };
    let page = refusal.page(Some(&signed)).into_body();
    response.map_body(|_, _| page)
}
