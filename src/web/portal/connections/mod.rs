//! Pages about one connection: its state, credentials, settings, users, groups, requests and deletion.

pub(crate) mod attribute_tables;
pub(crate) mod deleted;
pub(crate) mod deleted_resources;
pub(crate) mod events;
pub(crate) mod find_user;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod list;
pub(crate) mod live_test;
pub(crate) mod log_view;
pub(crate) mod oauth_clients;
pub(crate) mod overview;
pub(crate) mod preview;
pub(crate) mod requests;
pub(crate) mod resources;
pub(crate) mod secret_alerts;
pub(crate) mod settings;
pub(crate) mod setup_links;
pub(crate) mod tokens;
pub(crate) mod traffic_chart;
pub(crate) mod undeclared;
pub(crate) mod undeclared_rows;
