//! HTTPS: certificate files, protocol versions, and certificates that the server obtains by itself.

mod acme;
pub(crate) mod authority;
mod certificates;
mod clients;
mod pebble;
mod plain;
