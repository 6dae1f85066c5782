//! The management API, for the operator's automation and for the self-service of accounts.

mod accounts;
mod api_keys;
mod audit;
mod authenticate;
pub(crate) mod caller;
mod client_shapes;
mod configurations;
mod cors;
pub(crate) mod cursor;
mod deleted_configurations;
mod deleted_resources;
mod deletions;
mod described_responses;
mod directory;
mod event_schemas;
pub(crate) mod events;
mod examples;
mod holds;
mod idempotency;
mod instance;
mod memberships;
mod oauth_clients;
mod openapi;
mod operation;
mod passwords;
mod personal_data;
mod preview;
mod query_parameters;
mod quotas;
mod reference;
mod request_types;
mod requests;
mod resource_responses;
mod response;
mod reversals;
mod routes;
mod schema_extensions;
mod settings;
mod setup_links;
mod timestamps;
mod token_exchange;
pub(crate) mod tokens;
mod undeclared_attributes;
mod webhooks;

pub use self::response::list_error_codes;
use actix_web::web::ServiceConfig;

pub use instance::{check_liveness, check_readiness};
pub use openapi::build_document;
pub use routes::respond_not_found;

use crate::web::api::routes::{RouteCollector, RouteTable};

/// Registers every route of the API. A handler that is not listed here is not served.
fn register_routes(routes: &mut impl RouteCollector) {
    routes.add_route::<configurations::__path_list_configurations, _, _>(configurations::list_configurations);
    routes.add_route::<configurations::__path_create_configuration, _, _>(configurations::create_configuration);
    routes.add_route::<configurations::__path_get_configuration, _, _>(configurations::get_configuration);
    routes.add_route::<configurations::__path_update_configuration, _, _>(configurations::update_configuration);
    routes.add_route::<configurations::__path_delete_configuration, _, _>(configurations::delete_configuration);
    routes.add_route::<configurations::__path_count_users, _, _>(configurations::count_users);
    routes.add_route::<preview::__path_get_preview, _, _>(preview::get_preview);
    register_directory_routes(routes);
    routes.add_route::<deleted_configurations::__path_list_leftovers, _, _>(deleted_configurations::list_leftovers);
    routes.add_route::<deleted_configurations::__path_purge_leftovers, _, _>(deleted_configurations::purge_leftovers);
    routes.add_route::<passwords::__path_verify_password, _, _>(passwords::verify_password);
    routes.add_route::<personal_data::__path_export_personal_data, _, _>(personal_data::export_personal_data);
    routes.add_route::<personal_data::__path_erase_personal_data, _, _>(personal_data::erase_personal_data);
    routes.add_route::<personal_data::__path_list_personal_data, _, _>(personal_data::list_personal_data);
    routes.add_route::<personal_data::__path_get_personal_data, _, _>(personal_data::get_personal_data);
    routes.add_route::<personal_data::__path_get_personal_data_file, _, _>(personal_data::get_personal_data_file);
    routes.add_route::<requests::__path_list_requests, _, _>(requests::list_requests);
    routes.add_route::<requests::__path_get_request, _, _>(requests::get_request);
    routes.add_route::<requests::__path_replay_request, _, _>(requests::replay_request);
    routes.add_route::<requests::__path_get_health, _, _>(requests::get_health);
    routes.add_route::<requests::__path_clear_requests, _, _>(requests::clear_requests);
    routes.add_route::<setup_links::__path_create_link, _, _>(setup_links::create_link);
    routes.add_route::<setup_links::__path_list_links, _, _>(setup_links::list_links);
    routes.add_route::<setup_links::__path_revoke_link, _, _>(setup_links::revoke_link);
    routes.add_route::<audit::__path_list_audit_entries, _, _>(audit::list_audit_entries);
    routes.add_route::<accounts::__path_list_accounts, _, _>(accounts::list_accounts);
    routes.add_route::<accounts::__path_create_account, _, _>(accounts::create_account);
    routes.add_route::<accounts::__path_get_account, _, _>(accounts::get_account);
    routes.add_route::<accounts::__path_update_account, _, _>(accounts::update_account);
    routes.add_route::<holds::__path_get_hold, _, _>(holds::get_hold);
    routes.add_route::<holds::__path_decide_hold, _, _>(holds::decide_hold);
    routes.add_route::<reversals::__path_start_reversal, _, _>(reversals::start_reversal);
    routes.add_route::<reversals::__path_get_reversal, _, _>(reversals::get_reversal);
    routes.add_route::<quotas::__path_get_configuration_quotas, _, _>(quotas::get_configuration_quotas);
    routes.add_route::<quotas::__path_update_configuration_quotas, _, _>(quotas::update_configuration_quotas);
    routes.add_route::<quotas::__path_get_account_quotas, _, _>(quotas::get_account_quotas);
    routes.add_route::<quotas::__path_update_account_quotas, _, _>(quotas::update_account_quotas);
    routes.add_route::<accounts::__path_delete_account, _, _>(accounts::delete_account);
    routes.add_route::<tokens::__path_list_tokens, _, _>(tokens::list_tokens);
    routes.add_route::<tokens::__path_create_token, _, _>(tokens::create_token);
    routes.add_route::<tokens::__path_rotate_token, _, _>(tokens::rotate_token);
    routes.add_route::<tokens::__path_update_token, _, _>(tokens::update_token);
    routes.add_route::<tokens::__path_revoke_token, _, _>(tokens::revoke_token);
    register_oauth_routes(routes);
    routes.add_route::<settings::__path_get_settings, _, _>(settings::get_settings);
    routes.add_route::<settings::__path_update_settings, _, _>(settings::update_settings);
    register_schema_routes(routes);
    routes.add_route::<token_exchange::__path_issue_environment_token, _, _>(token_exchange::issue_environment_token);
    routes.add_route::<token_exchange::__path_issue_account_token, _, _>(token_exchange::issue_account_token);
    routes.add_route::<token_exchange::__path_refresh_account_token, _, _>(token_exchange::refresh_account_token);
    routes.add_route::<token_exchange::__path_get_jwks, _, _>(token_exchange::get_jwks);
    routes.add_route::<api_keys::__path_list_api_keys, _, _>(api_keys::list_api_keys);
    routes.add_route::<api_keys::__path_create_api_key, _, _>(api_keys::create_api_key);
    routes.add_route::<api_keys::__path_get_api_key, _, _>(api_keys::get_api_key);
    routes.add_route::<api_keys::__path_revoke_api_key, _, _>(api_keys::revoke_api_key);
    register_webhook_routes(routes);
    register_server_routes(routes);
}

/// Registers the routes of the server and of the documents about its API.
fn register_server_routes(routes: &mut impl RouteCollector) {
    routes.add_route::<instance::__path_get_server_settings, _, _>(instance::get_server_settings);
    routes.add_route::<instance::__path_update_server_settings, _, _>(instance::update_server_settings);
    routes.add_route::<instance::__path_accept_clock, _, _>(instance::accept_clock);
    routes.add_route::<openapi::__path_get_document, _, _>(openapi::get_document);
    routes.add_route::<reference::__path_get_index, _, _>(reference::get_index);
    // In front of the pages, whose path also matches it.
    routes.add_route::<reference::__path_search_reference, _, _>(reference::search_reference);
    routes.add_route::<reference::__path_get_page, _, _>(reference::get_page);
}

/// Registers the routes of users, groups, memberships and events.
fn register_directory_routes(routes: &mut impl RouteCollector) {
    routes.add_route::<directory::__path_list_configuration_users, _, _>(directory::list_configuration_users);
    routes.add_route::<directory::__path_list_configuration_groups, _, _>(directory::list_configuration_groups);
    routes.add_route::<directory::__path_list_configuration_members, _, _>(directory::list_configuration_members);
    routes.add_route::<directory::__path_list_users, _, _>(directory::list_users);
    routes.add_route::<directory::__path_get_user, _, _>(directory::get_user);
    routes.add_route::<directory::__path_list_user_groups, _, _>(directory::list_user_groups);
    routes.add_route::<directory::__path_list_groups, _, _>(directory::list_groups);
    routes.add_route::<directory::__path_get_group, _, _>(directory::get_group);
    routes.add_route::<directory::__path_list_members, _, _>(directory::list_members);
    routes.add_route::<memberships::__path_list_memberships, _, _>(memberships::list_memberships);
    routes.add_route::<events::__path_list_events, _, _>(events::list_events);
    routes.add_route::<events::__path_get_event, _, _>(events::get_event);
    routes.add_route::<events::__path_send_test_event, _, _>(events::send_test_event);
    routes.add_route::<deletions::__path_list_deletions, _, _>(deletions::list_deletions);
    routes
        .add_route::<deleted_resources::__path_list_deleted_resources, _, _>(deleted_resources::list_deleted_resources);
    routes.add_route::<deleted_resources::__path_restore_range, _, _>(deleted_resources::restore_range);
    routes.add_route::<deleted_resources::__path_restore_resource, _, _>(deleted_resources::restore_resource);
}

/// Registers the routes of schemas and of attributes that no schema declares.
fn register_schema_routes(routes: &mut impl RouteCollector) {
    routes.add_route::<schema_extensions::__path_list_schemas, _, _>(schema_extensions::list_schemas);
    routes.add_route::<schema_extensions::__path_add_schema, _, _>(schema_extensions::add_schema);
    routes.add_route::<schema_extensions::__path_get_schema, _, _>(schema_extensions::get_schema);
    routes.add_route::<schema_extensions::__path_remove_schema, _, _>(schema_extensions::remove_schema);
    routes.add_route::<undeclared_attributes::__path_list_undeclared_attributes, _, _>(
        undeclared_attributes::list_undeclared_attributes,
    );
    routes
        .add_route::<undeclared_attributes::__path_declare_attributes, _, _>(undeclared_attributes::declare_attributes);
}

/// Registers the routes of OAuth clients.
fn register_oauth_routes(routes: &mut impl RouteCollector) {
    routes.add_route::<oauth_clients::__path_list_oauth_clients, _, _>(oauth_clients::list_oauth_clients);
    routes.add_route::<oauth_clients::__path_create_oauth_client, _, _>(oauth_clients::create_oauth_client);
    routes.add_route::<oauth_clients::__path_get_oauth_client, _, _>(oauth_clients::get_oauth_client);
    routes.add_route::<oauth_clients::__path_update_oauth_client, _, _>(oauth_clients::update_oauth_client);
    routes.add_route::<oauth_clients::__path_delete_oauth_client, _, _>(oauth_clients::delete_oauth_client);
    routes.add_route::<oauth_clients::__path_add_client_secret, _, _>(oauth_clients::add_client_secret);
    routes.add_route::<oauth_clients::__path_delete_client_secret, _, _>(oauth_clients::delete_client_secret);
}

/// Registers the routes of webhooks.
fn register_webhook_routes(routes: &mut impl RouteCollector) {
    use webhooks::{attempts, lanes};
    routes.add_route::<webhooks::__path_list_webhooks, _, _>(webhooks::list_webhooks);
    routes.add_route::<webhooks::__path_create_webhook, _, _>(webhooks::create_webhook);
    routes.add_route::<webhooks::__path_get_webhook, _, _>(webhooks::get_webhook);
    routes.add_route::<webhooks::changes::__path_update_webhook, _, _>(webhooks::changes::update_webhook);
    routes.add_route::<webhooks::__path_delete_webhook, _, _>(webhooks::delete_webhook);
    routes.add_route::<webhooks::__path_pause_webhook, _, _>(webhooks::pause_webhook);
    routes.add_route::<webhooks::__path_resume_webhook, _, _>(webhooks::resume_webhook);
    routes.add_route::<webhooks::__path_rotate_webhook_key, _, _>(webhooks::rotate_webhook_key);
    routes.add_route::<webhooks::__path_delete_webhook_key, _, _>(webhooks::delete_webhook_key);
    routes.add_route::<webhooks::__path_test_webhook, _, _>(webhooks::test_webhook);
    routes.add_route::<lanes::__path_list_webhook_lanes, _, _>(lanes::list_webhook_lanes);
    routes.add_route::<lanes::__path_resume_webhook_lane, _, _>(lanes::resume_webhook_lane);
    routes.add_route::<attempts::__path_list_webhook_attempts, _, _>(attempts::list_webhook_attempts);
    routes.add_route::<attempts::__path_resend_events, _, _>(attempts::resend_events);
}

/// Adds the routes of the management API to an application.
pub fn configure_routes(app: &mut ServiceConfig) {
    let mut routing = RouteTable::default();
    register_routes(&mut routing);
    routing.configure(app);
}
