//! Our own nouns: accounts, configurations and their switches, events, ids, who may do what. Pure data and rules: no HTTP, no SQL, no
//! clock, no randomness.

pub mod account;
pub mod actor;
pub mod admin;
pub mod change;
pub mod configuration;
pub mod event;
pub mod explanation;
pub mod ids;
pub mod names;
pub mod permission;
pub mod provider;
pub mod request;
pub mod rights;
pub mod sso;
pub mod standing;
pub mod switches;
pub mod traffic;
