//! The portal: pages for the operator's admins and for a customer's IT admin. Every page works without scripts.

mod account_label;
mod accounts;
mod connections;
mod cookies;
mod csv;
mod documents;
mod forms;
mod home;
mod layout;
mod list_pages;
mod one_time_secrets;
mod page_compression;
mod print_line;
mod routes;
mod settings;
mod setup;
mod sign_in;
mod simulation;
pub mod standby;
mod texts;
mod time_zone;
mod timestamps;
mod usage;
mod webhooks;

use actix_web::guard::fn_guard;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use crate::web::portal::layout::{PageResult, redirect_to};
use crate::web::portal::routes::{PortalRoute, route_at};
use crate::web::sso_provider::CALLBACK_PATH;

/// Registers the routes of the portal in an application.
pub fn configure_portal(app: &mut ServiceConfig) {
    for route in all_routes() {
        app.service(route.resource.wrap(from_fn(routes::wrap_page)));
    }
    // Registered last: it matches every path that no other route matches.
    let fallback = web::resource("/{path:.*}").guard(fn_guard(routes::is_browser_request));
    app.service(fallback.default_service(web::to(routes::show_not_found)).wrap(from_fn(routes::wrap_page)));
}

/// Method and path of every page and form.
///
/// Tests compare this list with the pages they cover.
pub fn list_routes() -> Vec<(&'static str, &'static str)> {
    all_routes().iter().flat_map(|route| route.methods.iter().map(|method| (*method, route.path))).collect()
}

fn all_routes() -> Vec<PortalRoute> {
    [
        sign_in_routes(),
        connection_routes(),
        credential_routes(),
        oauth_client_routes(),
        resource_routes(),
        account_routes(),
        webhook_routes(),
        settings_routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// First run, invitations, sign-in and sign-out; documents, which need no session either.
fn sign_in_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/").get(home::show_home),
        route_at("/docs").get(documents::list_documents),
        route_at("/docs/{topic}").get(documents::show_document),
        route_at("/app").get(home::show_your_app),
        route_at("/app/test").post(home::send_test_event),
        route_at("/setup/{code}").get(sign_in::first_run::show_first_run).post(sign_in::first_run::save_first_run),
        route_at("/invite/{secret}")
            .get(sign_in::invitation::show_invitation)
            .post(sign_in::invitation::accept_invitation),
        route_at("/login").get(sign_in::login::show_sign_in).post(sign_in::login::submit_sign_in),
        route_at("/login/code").get(sign_in::one_time_codes::show_code_form).post(sign_in::one_time_codes::submit_code),
        route_at("/login/sso").get(sign_in::sso::begin_sso),
        route_at("/login/link").get(sign_in::sso_link::show_link_form).post(sign_in::sso_link::submit_link),
        route_at(CALLBACK_PATH).get(sign_in::sso::finish_sso),
        route_at("/logout").post(sign_in::login::sign_out),
    ]
}

/// The list of connections and the actions on one connection.
fn connection_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/connections").get(connections::list::list_connections),
        route_at("/connections/bulk").post(connections::list::change_connections),
        route_at("/connections/export.csv").get(connections::list::export_connections),
        route_at("/connections/new")
            .get(connections::list::show_new_connection)
            .post(connections::list::create_connection),
        route_at("/connections/receipt/{entry}").get(connections::deleted::receipt::show_receipt),
        route_at("/connections/deleted").get(connections::deleted::list_deleted),
        route_at("/connections/deleted/{id}")
            .get(connections::deleted::show_deleted)
            .post(connections::deleted::purge_connection),
        route_at("/connections/deleted/{id}/users").get(connections::resources::list_remaining_users),
        route_at("/connections/deleted/{id}/users/{uid}").get(connections::resources::show_remaining_user),
        route_at("/connections/deleted/{id}/groups").get(connections::resources::list_remaining_groups),
        route_at("/connections/deleted/{id}/groups/{uid}").get(connections::resources::show_remaining_group),
        route_at("/connections/deleted/{id}/export/{file}").get(connections::resources::export::export_remaining),
        route_at("/connections/{id}").get(connections::overview::show_connection),
        route_at("/connections/{id}/sync").post(connections::overview::set_sync),
        route_at("/connections/{id}/hold").get(connections::hold::show_hold).post(connections::hold::decide_hold),
        route_at("/connections/{id}/undo")
            .get(connections::deleted_resources::reversal::show_reversal)
            .post(connections::deleted_resources::reversal::start_reversal),
        route_at("/connections/{id}/simulation").post(simulation::start_simulation),
        route_at("/connections/{id}/simulation/remove").post(simulation::remove_simulation),
        route_at("/connections/{id}/preview").get(connections::preview::show_preview),
        route_at("/connections/{id}/quotas").post(connections::overview::save_limits),
        route_at("/connections/{id}/token").get(connections::overview::show_new_credentials),
        route_at("/connections/{id}/setup").get(connections::overview::show_provider_steps),
        route_at("/connections/{id}/delete")
            .get(connections::overview::show_delete_connection)
            .post(connections::overview::delete_connection),
        route_at("/connections/{id}/settings")
            .get(connections::settings::show_settings)
            .post(connections::settings::save_settings),
        route_at("/connections/{id}/undeclared")
            .get(connections::undeclared::show_undeclared)
            .post(connections::undeclared::declare_undeclared),
        route_at("/connections/{id}/schemas")
            .get(connections::settings::schemas::show_schemas)
            .post(connections::settings::schemas::add_schema),
        route_at("/connections/{id}/schemas/remove").post(connections::settings::schemas::remove_schema),
    ]
}

/// Requests and resources received through connections.
fn resource_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/find").get(connections::find_user::show_search),
        route_at("/users").get(accounts::all_users::list_users),
        route_at("/users/export.csv").get(accounts::all_users::export_users),
        route_at("/requests").get(connections::requests::list_all_requests),
        route_at("/requests/export.csv").get(connections::requests::export_all_requests),
        route_at("/connections/{id}/requests").get(connections::requests::list_calls),
        route_at("/connections/{id}/requests/export.csv").get(connections::requests::export_calls),
        route_at("/connections/{id}/requests/{rid}").get(connections::requests::show_call),
        route_at("/connections/{id}/requests/{rid}/replay")
            .get(connections::requests::show_replay)
            .post(connections::requests::submit_replay),
        route_at("/connections/{id}/export/{file}").get(connections::resources::export::export_current),
        route_at("/connections/{id}/events/{seq}").get(connections::events::show_event),
        route_at("/connections/{id}/users").get(connections::resources::list_users),
        route_at("/connections/{id}/users/{uid}").get(connections::resources::show_user),
        route_at("/connections/{id}/groups").get(connections::resources::list_groups),
        route_at("/connections/{id}/groups/{uid}").get(connections::resources::show_group),
        route_at("/connections/{id}/deleted").get(connections::deleted_resources::list_deleted_resources),
        route_at("/connections/{id}/deleted/{uid}/restore").post(connections::deleted_resources::restore_resource),
    ]
}

/// Accounts, personal data and the audit log.
fn account_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/accounts").get(accounts::manage::list_accounts),
        route_at("/accounts/export.csv").get(accounts::manage::export_accounts),
        route_at("/accounts/new").get(accounts::manage::show_new_account).post(accounts::manage::create_account),
        route_at("/accounts/{id}").get(accounts::manage::show_account).post(accounts::manage::rename_account),
        route_at("/accounts/{id}/quotas").post(accounts::manage::save_limits),
        route_at("/accounts/{id}/delete")
            .get(accounts::manage::show_delete_account)
            .post(accounts::manage::delete_account),
        route_at("/personal-data").get(accounts::personal_data::list_requests),
        route_at("/personal-data/export").post(accounts::personal_data::start_export),
        route_at("/personal-data/erase")
            .get(accounts::personal_data::show_erase_form)
            .post(accounts::personal_data::start_erasure),
        route_at("/personal-data/{id}").get(accounts::personal_data::show_request),
        route_at("/personal-data/{id}/file").get(accounts::personal_data::download_file),
        route_at("/audit").get(accounts::audit::show_audit),
        route_at("/audit/export.csv").get(accounts::audit::export_csv),
        route_at("/audit/export.json").get(accounts::audit::export_json),
    ]
}

/// Webhooks, their lanes, keys and attempts.
fn webhook_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/webhooks").get(webhooks::list::list_webhooks),
        route_at("/webhooks/new").get(webhooks::create::show_new_webhook).post(webhooks::create::create_webhook),
        route_at("/webhooks/{id}").get(webhooks::overview::show_webhook),
        route_at("/webhooks/{id}/state").post(webhooks::overview::set_state),
        route_at("/webhooks/{id}/test").post(webhooks::overview::send_test),
        route_at("/webhooks/{id}/delete")
            .get(webhooks::overview::show_delete_webhook)
            .post(webhooks::overview::delete_webhook),
        route_at("/webhooks/{id}/settings")
            .get(webhooks::settings::show_settings)
            .post(webhooks::settings::save_settings),
        route_at("/webhooks/{id}/keys").get(webhooks::keys::list_keys).post(webhooks::keys::rotate_key),
        route_at("/webhooks/{id}/keys/{key}/remove").post(webhooks::keys::remove_key),
        route_at("/webhooks/{id}/lanes/{configuration}")
            .get(webhooks::lane_pages::show_lane)
            .post(webhooks::lane_pages::resume_lane),
        route_at("/webhooks/{id}/lanes/{configuration}/resend").post(webhooks::lane_pages::resend_range),
        route_at("/webhooks/{id}/attempts").get(webhooks::attempts::list_attempts),
        route_at("/webhooks/{id}/attempts/{attempt}").get(webhooks::attempts::show_attempt),
        route_at("/webhooks/{id}/attempts/{attempt}/resend").post(webhooks::attempts::resend_attempt),
    ]
}

/// The profile of the admin, and the settings of the server.
fn settings_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/profile").get(settings::profile::show_profile),
        route_at("/profile/password").post(settings::profile::set_password),
        route_at("/profile/codes").post(sign_in::one_time_codes::begin_setup),
        route_at("/profile/codes/confirm").post(sign_in::one_time_codes::confirm_setup),
        route_at("/profile/codes/off").post(sign_in::one_time_codes::disable_codes),
        route_at("/profile/wrong-codes").post(sign_in::one_time_codes::confirm_wrong_codes),
        route_at("/profile/sso").post(sign_in::sso::begin_own_link),
        route_at("/profile/sessions").post(settings::profile::end_sessions),
        route_at("/profile/zone").post(settings::profile::set_zone),
        route_at("/profile/theme").post(settings::profile::set_theme),
        route_at("/settings").get(redirect_to_settings),
        route_at("/settings/people").get(settings::admins::list_admins),
        route_at("/settings/people/new")
            .get(settings::invites::show_invite_form)
            .post(settings::invites::create_invite),
        route_at("/settings/people/invites/{invite}").get(settings::invites::show_invite),
        route_at("/settings/people/invites/{invite}/revoke").post(settings::invites::revoke_invite),
        route_at("/settings/people/{id}").get(settings::admins::show_admin).post(settings::admins::update_admin),
        route_at("/settings/people/{id}/active").post(settings::admins::set_admin_active),
        route_at("/settings/people/{id}/unlink").post(settings::admins::unlink_admin),
        route_at("/settings/people/{id}/password").post(settings::admins::set_admin_password),
        route_at("/settings/roles").get(settings::roles::list_roles),
        route_at("/settings/roles/new").get(settings::roles::show_new_role).post(settings::roles::create_role),
        route_at("/settings/roles/{id}").get(settings::roles::show_role).post(settings::roles::update_role),
        route_at("/settings/roles/{id}/remove").post(settings::roles::remove_role),
        route_at("/settings/keys").get(settings::api_keys::list_api_keys),
        route_at("/settings/keys/new")
            .get(settings::api_keys::show_new_api_key)
            .post(settings::api_keys::create_api_key),
        route_at("/settings/keys/{id}").get(settings::api_keys::show_api_key),
        route_at("/settings/keys/{id}/revoke").post(settings::api_keys::revoke_api_key),
        route_at("/settings/sso").get(settings::sso::show_sso_settings).post(settings::sso::save_sso_settings),
        route_at("/settings/sso/remove").post(settings::sso::remove_provider),
        route_at("/settings/sso/test").get(sign_in::sso::begin_test),
        route_at("/settings/server").get(settings::server::show_server),
        route_at("/settings/server/url").post(settings::server::save_url),
        route_at("/settings/server/account-webhooks").post(settings::server::save_account_webhooks),
        route_at("/settings/server/self-service").post(settings::server::save_self_service),
        route_at("/settings/branding").get(settings::branding::show_branding).post(settings::branding::save_branding),
        route_at("/settings/backup").get(settings::backups::show_backups).post(settings::backups::make_backup),
        route_at("/settings/backup/download").post(settings::backups::download_new_backup),
        route_at("/settings/backup/{file}").get(settings::backups::download_backup),
        route_at("/settings/backup/{file}/verify").post(settings::backups::verify_backup),
        route_at("/settings/doctor").get(settings::doctor::show_doctor),
        route_at("/settings/doctor/clock").post(settings::doctor::accept_clock),
        route_at("/settings/about").get(settings::about::show_about),
        route_at("/settings/about/licences").get(settings::about::show_licences),
    ]
}

/// Tokens, setup links, and the page that a setup link opens.
fn credential_routes() -> Vec<PortalRoute> {
    vec![
        route_at("/connections/{id}/tokens").get(connections::tokens::list_tokens),
        route_at("/connections/{id}/tokens/new")
            .get(connections::tokens::show_new_token)
            .post(connections::tokens::rotate_token),
        route_at("/connections/{id}/tokens/revoke-all").post(connections::tokens::revoke_all_tokens),
        route_at("/connections/{id}/tokens/{token}")
            .get(connections::tokens::show_token)
            .post(connections::tokens::update_token),
        route_at("/connections/{id}/tokens/{token}/revoke")
            .get(connections::tokens::show_revoke_token)
            .post(connections::tokens::revoke_token),
        route_at("/connections/{id}/links")
            .get(connections::setup_links::list_links)
            .post(connections::setup_links::create_link),
        route_at("/connections/links/new")
            .get(connections::setup_links::bulk_links::show_form)
            .post(connections::setup_links::bulk_links::create_links),
        route_at("/connections/links/made").get(connections::setup_links::bulk_links::show_made),
        route_at("/connections/links/made.csv").get(connections::setup_links::bulk_links::export_made),
        route_at("/connections/{id}/links/made").get(connections::setup_links::show_new_link),
        route_at("/connections/{id}/links/{link}/revoke").post(connections::setup_links::revoke_link),
        route_at("/brand/{version}/style.css").get(setup::brand::serve_style),
        route_at("/brand/{version}/logo").get(setup::brand::serve_logo),
        route_at("/s/{secret}").get(setup::setup_page::show_setup_page),
        route_at("/s/{secret}/provider").post(setup::setup_page::choose_provider),
        route_at("/s/{secret}/token").post(setup::setup_page::make_token),
        route_at("/s/{secret}/old-token").post(setup::link_request::revoke_old_token),
        route_at("/s/{secret}/client-secret").post(setup::secret_page::make_secret),
        route_at("/s/{secret}/client").post(setup::setup_page::make_client),
        route_at("/s/{secret}/done").get(setup::setup_page::show_finish).post(setup::setup_page::finish_setup),
    ]
}

/// OAuth clients of a connection.
fn oauth_client_routes() -> Vec<PortalRoute> {
    use connections::oauth_clients::{self as clients, create, secrets};
    vec![
        route_at("/connections/{id}/oauth-clients/new").get(create::show_new_client).post(create::create_client),
        route_at("/connections/{id}/oauth-clients/{client}").get(clients::show_client),
        route_at("/connections/{id}/oauth-clients/{client}/edit").get(clients::show_edit).post(clients::save_client),
        route_at("/connections/{id}/oauth-clients/{client}/state").post(clients::set_client_state),
        route_at("/connections/{id}/oauth-clients/{client}/delete")
            .get(clients::show_delete)
            .post(clients::delete_client),
        route_at("/connections/{id}/oauth-clients/{client}/secrets/new")
            .get(secrets::show_new_secret)
            .post(secrets::add_secret),
        route_at("/connections/{id}/oauth-clients/{client}/secrets/{secret}/delete")
            .get(secrets::show_delete_secret)
            .post(secrets::delete_secret),
    ]
}

/// `GET /settings`
async fn redirect_to_settings(_: settings::admins::SystemAdmin) -> PageResult {
    Ok(redirect_to("/settings/server").finish())
}
