//! Rollcall: a SCIM 2.0 server for user provisioning.
//!
//! The modules, lowest layer first:
//!
//! - [`settings`]: settings of the process
//! - [`compressed_text`]: texts that are compressed in the program
//! - [`documents`]: the documents in docs/
//! - [`log`]: log output
//! - [`histogram`]: lock-free histogram
//! - [`clock`]: time and time-ordered ids
//! - [`error`]: the error type: a reason with a code, a field and parameters
//! - [`outgoing`]: rules and client of calls to other servers
//! - `sync`: locks
//! - `thread_priority`: threads whose work can wait
//! - `named_enum`: enums whose values have names
//! - [`scim`]: pure: the SCIM 2.0 protocol
//! - [`messages`]: the sentence of each reason
//! - [`model`]: pure: the types of the domain
//! - [`providers`]: the identity providers
//! - [`diagnosis`]: why a call failed, and the status of a connection
//! - [`auth`]: signed tokens, OpenID Connect, passwords, one-time codes, secrets
//! - [`replica`]: Litestream, which replicates the database
//! - [`tls`]: HTTPS and its certificates
//! - [`store`]: SQLite: writer, readers, upgrades, rows and SQL
//! - [`provisioning`]: use cases on users, groups and events
//! - [`management`]: use cases on accounts, configurations, tokens and admins
//! - [`doctor`]: checks of an installation
//! - [`delivery`]: sends events to webhooks
//! - [`simulate`]: simulated identity providers
//! - [`web`]: HTTP: SCIM, management API, portal
//! - [`jobs`]: scheduled and background work
//! - [`server`]: starts and stops the server
//! - [`cli`]: the command line
//! - [`limit_table`]: the limits that docs/security.md lists
//!
//! The feature `simulation` leaves out what is above the use cases; see `sim/`.

#![cfg_attr(feature = "simulation", allow(dead_code, unused_imports, reason = "the modules that use it are left out"))]

/// Version of the program: of the tag or the commit in a release build, else that of the package.
pub const VERSION: &str = env!("PROGRAM_VERSION");

pub mod auth;
#[cfg(not(feature = "simulation"))]
pub mod cli;
pub mod clock;
#[cfg(not(feature = "simulation"))]
pub mod compressed_text;
#[cfg(not(feature = "simulation"))]
pub mod delivery;
pub mod diagnosis;
#[cfg(not(feature = "simulation"))]
pub mod doctor;
#[cfg(not(feature = "simulation"))]
pub mod documents;
pub mod error;
pub mod histogram;
#[cfg(not(feature = "simulation"))]
pub mod jobs;
#[cfg(not(feature = "simulation"))]
pub mod limit_table;
pub mod log;
pub mod management;
pub mod messages;
pub mod model;
mod named_enum;
pub mod outgoing;
pub mod providers;
pub mod provisioning;
pub mod replica;
pub mod scim;
#[cfg(not(feature = "simulation"))]
pub mod server;
pub mod settings;
#[cfg(not(feature = "simulation"))]
pub mod simulate;
pub mod store;
mod sync;
#[cfg(not(feature = "simulation"))]
mod thread_priority;
#[cfg(not(feature = "simulation"))]
pub mod tls;
#[cfg(not(feature = "simulation"))]
pub mod web;
