//! Rollcall: a SCIM 2.0 provisioning appliance.
//!
//! The modules, lowest layer first:
//!
//! - [`settings`]: settings of the process
//! - [`log`]: log output
//! - [`histogram`]: lock-free histogram
//! - [`clock`]: time and time-ordered ids
//! - [`error`]: the error type above the protocol core
//! - [`scim`]: pure: the SCIM 2.0 protocol
//! - [`model`]: pure: the types of the domain
//! - [`providers`]: the identity providers
//! - [`auth`]: signed tokens, OpenID Connect, passwords, one-time codes, secrets
//! - [`tls`]: HTTPS and its certificates
//! - [`store`]: SQLite: writer, readers, upgrades, rows and SQL
//! - [`provisioning`]: use cases on users, groups and events
//! - [`management`]: use cases on accounts, configurations, tokens and admins
//! - [`doctor`]: checks of an installation
//! - [`web`]: HTTP: SCIM, management API, portal
//! - [`jobs`]: scheduled and background work
//! - [`server`]: starts and stops the server
//! - [`cli`]: the command line

pub mod auth;
pub mod cli;
pub mod clock;
pub mod doctor;
pub mod error;
pub mod histogram;
pub mod jobs;
pub mod log;
pub mod management;
pub mod messages;
pub mod model;
pub mod providers;
pub mod provisioning;
pub mod scim;
pub mod server;
pub mod settings;
pub mod store;
pub mod tls;
pub mod web;
