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
mod missing;
mod moments;
mod page;
mod people;
mod places;
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

use actix_web::guard::fn_guard;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use self::page::{Shown, on_to};
use self::places::{Place, place};
use self::session::Anybody;
pub use self::session::{AGE_MAX, IDLE_MAX};
use crate::model::permission::Permission;
use crate::web::aside::read_aside;

/// Puts the portal into an application.
pub fn configure(app: &mut ServiceConfig) {
    for place in all() {
        app.service(place.resource.wrap(from_fn(frame::around)));
    }
    // Last, so that it takes what nothing else took.
    let elsewhere = web::resource("/{elsewhere:.*}").guard(fn_guard(missing::is_for_people));
    app.service(elsewhere.default_service(web::to(missing::show)).wrap(from_fn(frame::around)));
}

/// The pages and the forms: method and path of each.
pub fn places() -> Vec<(&'static str, &'static str)> {
    all().iter().flat_map(|place| place.methods.iter().map(|method| (*method, place.path))).collect()
}

fn all() -> Vec<Place> {
    [gate(), connections(), credentials(), looking(), accounts(), settings()].into_iter().flatten().collect()
}

/// The way in and out.
fn gate() -> Vec<Place> {
    vec![
        place("/").get(start),
        place("/setup/{code}").get(first_run::show).post(first_run::save),
        place("/login").get(sign_in::show).post(sign_in::save),
        place("/login/code").get(codes::show).post(codes::save),
        place("/login/sso").get(sso::begin),
        place(sso::BACK).get(sso::back),
        place("/logout").post(sign_in::sign_out),
    ]
}

/// Connections, and what is done with one.
fn connections() -> Vec<Place> {
    vec![
        place("/connections").get(connections::list),
        place("/connections/new").get(connections::show_new).post(connections::create),
        place("/connections/receipt").get(connection::receipt),
        place("/connections/deleted").get(leftovers::list),
        place("/connections/deleted/{id}").get(leftovers::show).post(leftovers::purge),
        place("/connections/{id}").get(connection::show),
        place("/connections/{id}/sync").post(connection::set_sync),
        place("/connections/{id}/token").get(connection::show_token),
        place("/connections/{id}/setup").get(connection::steps),
        place("/connections/{id}/delete").get(connection::show_delete).post(connection::delete),
        place("/connections/{id}/settings").get(connection_settings::show).post(connection_settings::save),
        place("/connections/{id}/schemas").post(connection_settings::add_schema),
        place("/connections/{id}/schemas/remove").post(connection_settings::remove_schema),
    ]
}

/// What has come in through connections.
fn looking() -> Vec<Place> {
    vec![
        place("/find").get(find::show),
        place("/connections/{id}/requests").get(requests::list),
        place("/connections/{id}/requests/{rid}").get(requests::show),
        place("/connections/{id}/users").get(people::users),
        place("/connections/{id}/users/{uid}").get(people::user),
        place("/connections/{id}/groups").get(people::groups),
        place("/connections/{id}/groups/{uid}").get(people::group),
    ]
}

/// Accounts, and who changed what.
fn accounts() -> Vec<Place> {
    vec![
        place("/accounts").get(accounts::list),
        place("/accounts/new").get(accounts::show_new).post(accounts::create),
        place("/accounts/{id}").get(accounts::show).post(accounts::rename),
        place("/accounts/{id}/delete").get(accounts::show_delete).post(accounts::delete),
        place("/audit").get(audit::show),
        place("/audit/export.csv").get(audit::csv),
        place("/audit/export.json").get(audit::json),
    ]
}

/// The person, and the server.
fn settings() -> Vec<Place> {
    vec![
        place("/profile").get(profile::show),
        place("/profile/password").post(profile::set_password),
        place("/profile/codes").post(codes::begin),
        place("/profile/codes/confirm").post(codes::confirm),
        place("/profile/codes/off").post(codes::switch_off),
        place("/profile/sessions").post(profile::end_sessions),
        place("/profile/zone").post(profile::set_zone),
        place("/profile/theme").post(profile::set_theme),
        place("/settings").get(first_settings),
        place("/settings/people").get(admins::list),
        place("/settings/people/new").get(admins::show_new).post(admins::create),
        place("/settings/people/{id}").get(admins::show).post(admins::change),
        place("/settings/people/{id}/active").post(admins::set_active),
        place("/settings/people/{id}/unlink").post(admins::unlink),
        place("/settings/people/{id}/password").post(admins::set_password),
        place("/settings/roles").get(roles::list),
        place("/settings/roles/new").get(roles::show_new).post(roles::create),
        place("/settings/roles/{id}").get(roles::show).post(roles::change),
        place("/settings/roles/{id}/remove").post(roles::remove),
        place("/settings/keys").get(keys::list),
        place("/settings/keys/new").get(keys::show_new).post(keys::create),
        place("/settings/keys/{id}").get(keys::show),
        place("/settings/keys/{id}/revoke").post(keys::revoke),
        place("/settings/sso").get(sso_settings::show).post(sso_settings::save),
        place("/settings/sso/remove").post(sso_settings::remove),
        place("/settings/sso/test").get(sso::test),
        place("/settings/server").get(server::show),
        place("/settings/server/url").post(server::save_url),
        place("/settings/server/self-service").post(server::save_self_service),
        place("/settings/backup").get(backups::show).post(backups::make),
        place("/settings/doctor").get(doctor::show),
        place("/settings/about").get(about::show),
        place("/settings/about/licences").get(about::licences),
    ]
}

/// Tokens and set-up links, and the pages of whoever holds a link.
fn credentials() -> Vec<Place> {
    vec![
        place("/connections/{id}/tokens").get(tokens::list),
        place("/connections/{id}/tokens/new").get(tokens::show_new).post(tokens::rotate),
        place("/connections/{id}/tokens/revoke-all").post(tokens::revoke_all),
        place("/connections/{id}/tokens/{token}").get(tokens::show).post(tokens::change),
        place("/connections/{id}/tokens/{token}/revoke").get(tokens::show_revoke).post(tokens::revoke),
        place("/connections/{id}/links").get(links::list).post(links::create),
        place("/connections/{id}/links/made").get(links::show_made),
        place("/connections/{id}/links/{link}/revoke").post(links::revoke),
        place("/s/{secret}").get(customer::show),
        place("/s/{secret}/token").post(customer::make_token),
        place("/s/{secret}/done").post(customer::finish),
    ]
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
