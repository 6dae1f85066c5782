//! What goes around every page: the frame of all answers with the headers of pages, and the reader's time zone.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::page;
use super::zone::{self, Zone};
use crate::web::frame;
use crate::web::metrics::Surface;

/// The middleware around every page.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let zone = Zone::chosen(request.request());
    let response = frame::around(request, next, Surface::Portal, page::mark).await?;
    Ok(match zone {
        Some(zone) => zone::turned(response, &zone),
        None => response.map_into_boxed_body(),
    })
}
