//! Types of the domain: accounts, configurations and their switches, events, ids, permissions. Pure data and rules: no
//! HTTP, no SQL, no clock, no randomness.

pub mod account;
pub mod admin;
pub mod audit_context;
pub mod branding;
pub mod common_passwords;
pub mod configuration;
pub mod event;
pub mod event_form;
pub mod field_change;
pub mod hold;
pub mod ids;
pub mod logged_bodies;
pub mod names;
pub mod oauth;
pub mod permission;
pub mod personal_data;
pub mod quota;
pub mod request;
pub mod rights;
pub mod service_state;
pub mod setup_link;
pub mod sso;
pub mod switches;
pub mod traffic;
pub mod webhook;
