//! The portal: pages for the operator's people and for a customer's IT admin. Every page works without scripts.

mod about;
mod accounts;
mod admins;
mod attributes;
mod audit;
mod backups;
mod codes;
mod connection;
mod connection_settings;
mod connections;
mod customer;
mod doctor;
mod find;
mod first_run;
mod form;
mod frame;
mod history;
mod keys;
mod leftovers;
mod links;
mod live_test;
mod moments;
mod page;
mod people;
mod profile;
mod requests;
mod roles;
mod server;
mod session;
mod shown_once;
mod sign_in;
mod sso;
mod sso_settings;
mod sso_test;
mod tokens;
mod told;
mod traffic;
mod zone;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource};

use self::page::{Refusal, Shown, on_to};
use self::session::Anybody;
pub use self::session::{AGE_MAX, IDLE_MAX};
use crate::model::permission::Permission;
use crate::web::aside::read_aside;

/// Puts the portal into an application.
pub fn configure(app: &mut ServiceConfig) {
    let places = [gate(), connections(), credentials(), looking(), accounts(), settings()];
    for place in places.into_iter().flatten() {
        app.service(place.wrap(from_fn(frame::around)));
    }
}

/// The way in and out.
fn gate() -> Vec<Resource> {
    vec![
        place("/").route(web::get().to(start)),
        place("/setup/{code}").route(web::get().to(first_run::show)).route(web::post().to(first_run::save)),
        place("/login").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::save)),
        place("/login/code").route(web::get().to(codes::show)).route(web::post().to(codes::save)),
        place("/login/sso").route(web::get().to(sso::begin)),
        place(sso::BACK).route(web::get().to(sso::back)),
        place("/logout").route(web::post().to(sign_in::sign_out)),
    ]
}

/// Connections, and what is done with one.
fn connections() -> Vec<Resource> {
    vec![
        place("/connections").route(web::get().to(connections::list)),
        place("/connections/new")
            .route(web::get().to(connections::show_new))
            .route(web::post().to(connections::create)),
        place("/connections/receipt").route(web::get().to(connection::receipt)),
        place("/connections/deleted").route(web::get().to(leftovers::list)),
        place("/connections/deleted/{id}")
            .route(web::get().to(leftovers::show))
            .route(web::post().to(leftovers::purge)),
        place("/connections/{id}").route(web::get().to(connection::show)),
        place("/connections/{id}/sync").route(web::post().to(connection::set_sync)),
        place("/connections/{id}/token").route(web::get().to(connection::show_token)),
        place("/connections/{id}/setup").route(web::get().to(connection::steps)),
        place("/connections/{id}/delete")
            .route(web::get().to(connection::show_delete))
            .route(web::post().to(connection::delete)),
        place("/connections/{id}/settings")
            .route(web::get().to(connection_settings::show))
            .route(web::post().to(connection_settings::save)),
        place("/connections/{id}/schemas").route(web::post().to(connection_settings::add_schema)),
        place("/connections/{id}/schemas/remove").route(web::post().to(connection_settings::remove_schema)),
    ]
}

/// What has come in through connections.
fn looking() -> Vec<Resource> {
    vec![
        place("/find").route(web::get().to(find::show)),
        place("/connections/{id}/requests").route(web::get().to(requests::list)),
        place("/connections/{id}/requests/{rid}").route(web::get().to(requests::show)),
        place("/connections/{id}/users").route(web::get().to(people::users)),
        place("/connections/{id}/users/{uid}").route(web::get().to(people::user)),
        place("/connections/{id}/groups").route(web::get().to(people::groups)),
        place("/connections/{id}/groups/{uid}").route(web::get().to(people::group)),
    ]
}

/// Accounts, and who changed what.
fn accounts() -> Vec<Resource> {
    vec![
        place("/accounts").route(web::get().to(accounts::list)),
        place("/accounts/new").route(web::get().to(accounts::show_new)).route(web::post().to(accounts::create)),
        place("/accounts/{id}").route(web::get().to(accounts::show)).route(web::post().to(accounts::rename)),
        place("/accounts/{id}/delete")
            .route(web::get().to(accounts::show_delete))
            .route(web::post().to(accounts::delete)),
        place("/audit").route(web::get().to(audit::show)),
        place("/audit/export.csv").route(web::get().to(audit::csv)),
        place("/audit/export.json").route(web::get().to(audit::json)),
    ]
}

/// The person, and the server.
fn settings() -> Vec<Resource> {
    vec![
        place("/profile").route(web::get().to(profile::show)),
        place("/profile/password").route(web::post().to(profile::set_password)),
        place("/profile/codes").route(web::post().to(codes::begin)),
        place("/profile/codes/confirm").route(web::post().to(codes::confirm)),
        place("/profile/codes/off").route(web::post().to(codes::switch_off)),
        place("/profile/sessions").route(web::post().to(profile::end_sessions)),
        place("/profile/zone").route(web::post().to(profile::set_zone)),
        place("/profile/theme").route(web::post().to(profile::set_theme)),
        place("/settings").route(web::get().to(first_settings)),
        place("/settings/people").route(web::get().to(admins::list)),
        place("/settings/people/new").route(web::get().to(admins::show_new)).route(web::post().to(admins::create)),
        place("/settings/people/{id}").route(web::get().to(admins::show)).route(web::post().to(admins::change)),
        place("/settings/people/{id}/active").route(web::post().to(admins::set_active)),
        place("/settings/people/{id}/unlink").route(web::post().to(admins::unlink)),
        place("/settings/people/{id}/password").route(web::post().to(admins::set_password)),
        place("/settings/roles").route(web::get().to(roles::list)),
        place("/settings/roles/new").route(web::get().to(roles::show_new)).route(web::post().to(roles::create)),
        place("/settings/roles/{id}").route(web::get().to(roles::show)).route(web::post().to(roles::change)),
        place("/settings/roles/{id}/remove").route(web::post().to(roles::remove)),
        place("/settings/keys").route(web::get().to(keys::list)),
        place("/settings/keys/new").route(web::get().to(keys::show_new)).route(web::post().to(keys::create)),
        place("/settings/keys/{id}").route(web::get().to(keys::show)),
        place("/settings/keys/{id}/revoke").route(web::post().to(keys::revoke)),
        place("/settings/sso").route(web::get().to(sso_settings::show)).route(web::post().to(sso_settings::save)),
        place("/settings/sso/remove").route(web::post().to(sso_settings::remove)),
        place("/settings/sso/test").route(web::get().to(sso::test)),
        place("/settings/server").route(web::get().to(server::show)),
        place("/settings/server/url").route(web::post().to(server::save_url)),
        place("/settings/server/self-service").route(web::post().to(server::save_self_service)),
        place("/settings/backup").route(web::get().to(backups::show)).route(web::post().to(backups::make)),
        place("/settings/doctor").route(web::get().to(doctor::show)),
        place("/settings/about").route(web::get().to(about::show)),
    ]
}

/// Tokens and set-up links, and the pages of whoever holds a link.
fn credentials() -> Vec<Resource> {
    vec![
        place("/connections/{id}/tokens").route(web::get().to(tokens::list)),
        place("/connections/{id}/tokens/new")
            .route(web::get().to(tokens::show_new))
            .route(web::post().to(tokens::rotate)),
        place("/connections/{id}/tokens/revoke-all").route(web::post().to(tokens::revoke_all)),
        place("/connections/{id}/tokens/{token}")
            .route(web::get().to(tokens::show))
            .route(web::post().to(tokens::change)),
        place("/connections/{id}/tokens/{token}/revoke")
            .route(web::get().to(tokens::show_revoke))
            .route(web::post().to(tokens::revoke)),
        place("/connections/{id}/links").route(web::get().to(links::list)).route(web::post().to(links::create)),
        place("/connections/{id}/links/made").route(web::get().to(links::show_made)),
        place("/connections/{id}/links/{link}/revoke").route(web::post().to(links::revoke)),
        place("/s/{secret}").route(web::get().to(customer::show)),
        place("/s/{secret}/token").route(web::post().to(customer::make_token)),
        place("/s/{secret}/done").route(web::post().to(customer::finish)),
    ]
}

fn place(path: &str) -> Resource {
    web::resource(path).default_service(web::to(other_method))
}

/// `GET /`: on to the first place that the person may see.
async fn start(person: Anybody) -> Shown {
    let may = |permission| person.signed.permissions.allow(permission);
    let place = if may(Permission::ProvisioningRead) {
        "/connections"
    } else if may(Permission::AuditRead) {
        "/audit"
    } else {
        "/profile"
    };
    Ok(on_to(place).finish())
}

/// `GET /settings`
async fn first_settings(_: admins::Runner) -> Shown {
    Ok(on_to("/settings/people").finish())
}

async fn other_method() -> Result<HttpResponse, Refusal> {
    Err(Refusal::Because { status: 405, detail: "This address does not take that.".to_owned() })
}
