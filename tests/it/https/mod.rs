//! HTTPS: certificate files, what is spoken, and certificates that the server gets by itself.

mod acme;
pub(crate) mod authority;
mod certificates;
mod clients;
mod pebble;
mod plain;
