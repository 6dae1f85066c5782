//! The portal: pages for the operator's people and for a customer's IT admin. Every page works without scripts.

mod first_run;
mod form;
mod frame;
mod page;
mod session;
mod sign_in;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource};

use self::page::{Refusal, Shown, on_to};
use self::session::Anybody;

/// Puts the portal into an application.
pub fn configure(app: &mut ServiceConfig) {
    let place = |path: &str| {
        let other: Resource = web::resource(path).default_service(web::to(other_method));
        other
    };
    let places = [
        place("/").route(web::get().to(start)),
        place("/setup/{code}").route(web::get().to(first_run::show)).route(web::post().to(first_run::save)),
        place("/login").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::save)),
        place("/logout").route(web::post().to(sign_in::sign_out)),
    ];
    for place in places {
        app.service(place.wrap(from_fn(frame::around)));
    }
}

/// `GET /`
async fn start(_: Anybody) -> Shown {
    Ok(on_to("/connections").finish())
}

async fn other_method() -> Result<HttpResponse, Refusal> {
    Err(Refusal::Because { status: 405, detail: "This address does not take that.".to_owned() })
}
