//! Rollcall: a SCIM 2.0 provisioning appliance.
pub mod cli;
pub mod clock;
pub mod directory;
pub mod error;
pub mod fetch;
pub mod jwt;
pub mod log;
pub mod model;
pub mod oidc;
pub mod scim;
pub mod secret;
pub mod server;
pub mod settings;
pub mod store;
pub mod tls;
pub mod web;
pub mod worker;
