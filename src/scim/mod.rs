//! The SCIM 2.0 protocol core: pure functions over JSON values. No HTTP, no SQL, no clock.

pub mod error;
pub mod filter;
pub mod instant;
pub mod matches;
pub mod patch_path;
pub mod path;
pub mod schema;
pub mod text;
pub mod urn;

pub use error::{Error, ScimType};
