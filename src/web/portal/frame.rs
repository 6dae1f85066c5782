//! What goes around every page: the frame of all answers with the headers of pages.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::page;
use crate::web::frame;
use crate::web::metrics::Surface;

/// The middleware around every page.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    frame::around(request, next, Surface::Portal, page::mark).await
}
