//! The portal, tested with a browser without scripts.

mod account_names;
mod backups;
mod branding;
pub(crate) mod browser;
mod bulk_links;
mod codes;
mod compression;
mod connection_pages;
mod home;
mod invitations;
mod not_found;
mod oauth_clients;
mod overview;
mod owner_pages;
mod pages;
mod public_url;
mod replays;
mod secret_links;
mod set_up;
mod set_up_ends;
mod sign_in_records;
mod signing_in;
mod simulation;
mod sso;
mod true_statements;
mod users;
mod webhooks;
