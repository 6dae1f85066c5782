//! Places of the portal: an address with what it answers to each method. The routing and the list that the tests walk are
//! both made from them.

use actix_web::web;
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder};

use super::page::Refusal;

/// An address of the portal.
pub(super) struct Place {
    pub(super) path: &'static str,
    pub(super) methods: Vec<&'static str>,
    pub(super) resource: Resource,
}

/// An address that answers nothing yet but that it takes no such method.
pub(super) fn place(path: &'static str) -> Place {
    let resource = web::resource(path).default_service(web::to(other_method));
    Place { path, methods: Vec::new(), resource }
}

impl Place {
    /// What it shows.
    pub(super) fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("GET");
        Self { resource: self.resource.route(web::get().to(handler)), ..self }
    }

    /// What it does with a form.
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

async fn other_method() -> Result<HttpResponse, Refusal> {
    Err(Refusal::Because { status: 405, detail: "This address does not take that.".to_owned() })
}
