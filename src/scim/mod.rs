//! The SCIM 2.0 protocol core: pure functions over JSON values. No HTTP, no SQL, no clock.

pub mod bulk;
pub mod cursor;
pub mod dialect;
pub mod discovery;
pub mod error;
pub mod filter;
pub mod format;
pub mod index;
pub mod instant;
pub mod json;
pub mod matches;
pub mod members;
pub mod password;
pub mod patch;
pub mod patch_path;
pub mod path;
pub mod percent;
pub mod project;
pub mod query;
pub mod render;
pub mod schema;
pub mod sort;
pub mod text;
pub mod urn;
pub mod validate;
pub mod version;
mod wanted;

pub use error::{Error, ScimType};
