//! Our own nouns: accounts, configurations and their switches, events, ids, who may do what. Pure data and rules: no HTTP, no SQL, no
//! clock, no randomness.

pub mod account;
pub mod actor;
pub mod change;
pub mod configuration;
pub mod event;
pub mod ids;
pub mod names;
pub mod permission;
pub mod request;
pub mod rights;
pub mod switches;
