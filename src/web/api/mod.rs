//! The management API: what an operator automates, and what an account's own people may do for themselves.

mod accounts;
mod answer;
mod audit;
mod call;
mod caller;
mod configurations;
mod cors;
mod cursor;
mod directory;
mod events;
mod frame;
mod health;
mod idempotency;
mod jwks;
mod keys;
mod known;
mod leftovers;
mod links;
mod moments;
mod openapi;
mod operation;
mod passwords;
mod people;
mod places;
mod reference;
mod requests;
mod schemas;
mod server;
mod settings;
mod tokens;
mod vendor;
mod words;

use actix_web::web::ServiceConfig;

pub use health::{livez, not_found, readyz};
pub use openapi::document;

use places::{Places, Routing};

/// All places. What is not listed here is not there.
fn all(to: &mut impl Places) {
    to.serve::<configurations::__path_list, _, _>(configurations::list);
    to.serve::<configurations::__path_create, _, _>(configurations::create);
    to.serve::<configurations::__path_read, _, _>(configurations::read);
    to.serve::<configurations::__path_update, _, _>(configurations::update);
    to.serve::<configurations::__path_delete, _, _>(configurations::delete);
    to.serve::<configurations::__path_count_users, _, _>(configurations::count_users);
    to.serve::<directory::__path_configuration_users, _, _>(directory::configuration_users);
    to.serve::<directory::__path_configuration_groups, _, _>(directory::configuration_groups);
    to.serve::<directory::__path_configuration_members, _, _>(directory::configuration_members);
    to.serve::<directory::__path_users, _, _>(directory::users);
    to.serve::<directory::__path_user, _, _>(directory::user);
    to.serve::<directory::__path_groups, _, _>(directory::groups);
    to.serve::<directory::__path_group, _, _>(directory::group);
    to.serve::<directory::__path_members, _, _>(directory::members);
    to.serve::<events::__path_list, _, _>(events::list);
    to.serve::<leftovers::__path_list, _, _>(leftovers::list);
    to.serve::<leftovers::__path_purge, _, _>(leftovers::purge);
    to.serve::<passwords::__path_verify, _, _>(passwords::verify);
    to.serve::<requests::__path_list, _, _>(requests::list);
    to.serve::<requests::__path_read, _, _>(requests::read);
    to.serve::<requests::__path_health, _, _>(requests::health);
    to.serve::<requests::__path_empty, _, _>(requests::empty);
    to.serve::<links::__path_create, _, _>(links::create);
    to.serve::<links::__path_list, _, _>(links::list);
    to.serve::<links::__path_revoke, _, _>(links::revoke);
    to.serve::<audit::__path_list, _, _>(audit::list);
    to.serve::<accounts::__path_list, _, _>(accounts::list);
    to.serve::<accounts::__path_create, _, _>(accounts::create);
    to.serve::<accounts::__path_read, _, _>(accounts::read);
    to.serve::<accounts::__path_update, _, _>(accounts::update);
    to.serve::<accounts::__path_delete, _, _>(accounts::delete);
    to.serve::<tokens::__path_list, _, _>(tokens::list);
    to.serve::<tokens::__path_create, _, _>(tokens::create);
    to.serve::<tokens::__path_rotate, _, _>(tokens::rotate);
    to.serve::<tokens::__path_update, _, _>(tokens::update);
    to.serve::<tokens::__path_revoke, _, _>(tokens::revoke);
    to.serve::<settings::__path_read, _, _>(settings::read);
    to.serve::<settings::__path_update, _, _>(settings::update);
    to.serve::<schemas::__path_list, _, _>(schemas::list);
    to.serve::<schemas::__path_add, _, _>(schemas::add);
    to.serve::<schemas::__path_read, _, _>(schemas::read);
    to.serve::<schemas::__path_remove, _, _>(schemas::remove);
    to.serve::<vendor::__path_environment_token, _, _>(vendor::environment_token);
    to.serve::<vendor::__path_account_token, _, _>(vendor::account_token);
    to.serve::<vendor::__path_renewed_token, _, _>(vendor::renewed_token);
    to.serve::<jwks::__path_keys, _, _>(jwks::keys);
    to.serve::<keys::__path_list, _, _>(keys::list);
    to.serve::<keys::__path_create, _, _>(keys::create);
    to.serve::<keys::__path_read, _, _>(keys::read);
    to.serve::<keys::__path_revoke, _, _>(keys::revoke);
    to.serve::<server::__path_read, _, _>(server::read);
    to.serve::<server::__path_update, _, _>(server::update);
    to.serve::<openapi::__path_get_document, _, _>(openapi::get_document);
    to.serve::<reference::__path_get_page, _, _>(reference::get_page);
}

/// Puts the management API into an application.
pub fn configure(app: &mut ServiceConfig) {
    let mut routing = Routing::default();
    all(&mut routing);
    routing.configure(app);
}
