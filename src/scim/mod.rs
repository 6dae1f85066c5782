//! The SCIM 2.0 protocol core: pure functions on JSON values, without HTTP, SQL or a clock.

pub mod bulk;
pub mod cursor;
pub mod dialect;
pub mod discovery;
mod distinct;
pub mod entity_tag;
pub mod filter;
pub mod fold;
pub mod format;
pub mod index;
pub mod json;
pub mod members;
pub mod password;
pub mod patch;
pub mod path;
pub mod percent;
pub mod projection;
pub mod query;
pub mod render;
pub mod schema;
pub mod sort;
pub mod timestamp;
pub mod urn;
pub mod validate;
pub mod work;
