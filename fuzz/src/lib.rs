//! Shared parts of the fuzz targets.
//!
//! The protocol core is pure, so it is compiled here from its sources without the server: a build with coverage
//! counters takes seconds instead of minutes. A new dependency of the core must be added to Cargo.toml.

pub mod checks;
#[path = "../../src/error/mod.rs"]
pub mod error;
#[path = "../../src/named_enum.rs"]
mod named_enum;
#[path = "../../src/scim/mod.rs"]
pub mod scim;
