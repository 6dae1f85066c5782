//! Our own nouns: accounts, configurations and their switches, events, ids. Pure data and rules: no HTTP, no SQL, no
//! clock, no randomness.

pub mod account;
pub mod configuration;
pub mod event;
pub mod ids;
pub mod request;
pub mod switches;
