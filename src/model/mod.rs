//! Our own nouns: accounts, configurations and their switches, events, ids, who may do what. Pure data and rules: no HTTP, no SQL, no
//! clock, no randomness.

pub mod account;
pub mod actor;
pub mod configuration;
pub mod event;
pub mod ids;
pub mod permission;
pub mod request;
pub mod switches;
