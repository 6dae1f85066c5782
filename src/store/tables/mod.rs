//! Rows and SQL, one file per table. Only `provisioning` and `management` call these functions.

pub mod accounts;
pub mod admins;
pub mod api_keys;
pub mod audit;
pub mod configurations;
pub mod counts;
pub mod directory;
pub mod events;
pub mod feed_gap;
pub mod feed_positions;
pub mod held_changes;
pub mod idempotency;
pub mod instance;
pub mod members;
pub mod pages;
pub mod passwords;
pub mod purge;
pub mod request_log;
pub mod resources;
mod rows;
pub mod schema_extensions;
pub mod sessions;
pub mod setup_links;
pub mod sso;
pub mod tokens;
pub mod traffic;
pub mod unique_names;
