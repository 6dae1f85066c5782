//! Routes of the portal: a path with a handler for each method. The router and the list of routes for tests are both
//! built from them.

use actix_web::web;
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder};

use crate::web::portal::layout::PageError;

/// A path of the portal with its handlers.
pub(super) struct PortalRoute {
    pub(super) path: &'static str,
    pub(super) methods: Vec<&'static str>,
    pub(super) resource: Resource,
}

/// Creates a route without handlers. Methods without a handler answer 405.
pub(super) fn route_at(path: &'static str) -> PortalRoute {
    let resource = web::resource(path).default_service(web::to(reject_method));
    PortalRoute { path, methods: Vec::new(), resource }
}

impl PortalRoute {
    /// Adds the handler of `GET`, which shows a page.
    pub(super) fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("GET");
        Self { resource: self.resource.route(web::get().to(handler)), ..self }
    }

    /// Adds the handler of `POST`, which receives a form.
    pub(super) fn post<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("POST");
        Self { resource: self.resource.route(web::post().to(handler)), ..self }
    }
}

async fn reject_method() -> Result<HttpResponse, PageError> {
    Err(PageError::Failed { status: 405, detail: "This address does not take that.".to_owned() })
}
