//! The sentences and labels that the Rust code of the portal gives to its pages, one file for each area. A text with markup is
//! in `templates/portal`. A text that occurs twice exists once: in [`labels`], if several areas have it. Numbers with their
//! nouns, and times, are in [`formats`].
//!
//! A constant is a text; a function takes typed values and returns the sentence. Nothing here depends on a page.

pub(crate) mod accounts;
pub(crate) mod admins;
pub(crate) mod audit;
pub(crate) mod connection_settings;
pub(crate) mod connections;
pub(crate) mod credentials;
pub(crate) mod deliveries;
pub(crate) mod directory;
pub(crate) mod errors;
pub(crate) mod formats;
pub(crate) mod holds;
pub(crate) mod home;
pub(crate) mod labels;
pub(crate) mod live_test;
pub(crate) mod notices;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod usage;
pub(crate) mod webhooks;
