//! The portal: pages for the operator's people and for a customer's IT admin. Every page works without scripts.

mod attributes;
mod connection;
mod connections;
mod find;
mod first_run;
mod form;
mod frame;
mod history;
mod moment;
mod page;
mod people;
mod requests;
mod session;
mod shown_once;
mod sign_in;
mod told;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource};

use self::page::{Refusal, Shown, on_to};
use self::session::Anybody;
use crate::error::{Error, Result as Outcome};
use crate::store::Snapshot;
use crate::web::state::State;

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
        place("/connections").route(web::get().to(connections::list)),
        place("/connections/new")
            .route(web::get().to(connections::show_new))
            .route(web::post().to(connections::create)),
        place("/connections/receipt").route(web::get().to(connection::receipt)),
        place("/connections/{id}").route(web::get().to(connection::show)),
        place("/connections/{id}/sync").route(web::post().to(connection::set_sync)),
        place("/connections/{id}/token").route(web::get().to(connection::show_token)),
        place("/connections/{id}/setup").route(web::get().to(connection::steps)),
        place("/connections/{id}/delete")
            .route(web::get().to(connection::show_delete))
            .route(web::post().to(connection::delete)),
        place("/find").route(web::get().to(find::show)),
        place("/connections/{id}/requests").route(web::get().to(requests::list)),
        place("/connections/{id}/requests/{rid}").route(web::get().to(requests::show)),
        place("/connections/{id}/users").route(web::get().to(people::users)),
        place("/connections/{id}/users/{uid}").route(web::get().to(people::user)),
        place("/connections/{id}/groups").route(web::get().to(people::groups)),
        place("/connections/{id}/groups/{uid}").route(web::get().to(people::group)),
    ];
    for place in places {
        app.service(place.wrap(from_fn(frame::around)));
    }
}

/// `GET /`
async fn start(_: Anybody) -> Shown {
    Ok(on_to("/connections").finish())
}

/// Reads off the event loop, with a limit in time.
async fn read_aside<T: Send + 'static>(
    state: &State,
    read: impl FnOnce(&Snapshot<'_>) -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let store = state.store.clone();
    web::block(move || store.read_pooled(read)).await.map_err(|_| Error::Busy)?
}

async fn other_method() -> Result<HttpResponse, Refusal> {
    Err(Refusal::Because { status: 405, detail: "This address does not take that.".to_owned() })
}
