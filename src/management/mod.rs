//! Use cases of the management of the server: accounts, configurations, tokens, API keys, admins and sign-in. One function is
//! one transaction, with its audit entry. No HTTP, no SQL, no clock; ids, timestamps and secrets come in as arguments.
//! Every function can fail with the errors of the store; `# Errors` lists the others.

pub mod account_move;
pub mod accounts;
pub mod admins;
pub mod api_keys;
pub mod audit;
pub mod backups;
pub mod configuration_lifecycle;
pub mod configuration_settings;
pub mod configurations;
pub mod idempotency;
pub mod instance;
pub mod oauth;
pub mod one_time_codes;
pub mod overview;
pub mod personal_data;
pub mod quotas;
pub mod request_log;
pub mod roles;
pub mod schema_extensions;
pub mod sessions;
pub mod setup_link_holder;
pub mod setup_links;
pub mod sso;
pub mod tokens;
pub mod webhooks;
