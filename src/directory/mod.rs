//! What must happen together: each function here is one operation inside one transaction, events included.
//! No HTTP, no SQL, no clock; ids, times and secrets come in as arguments.

pub mod bulk;
pub mod configurations;
mod events;
pub mod lists;
mod memberships;
pub mod resources;
mod shown;
pub mod tokens;

pub use shown::{Links, Shown};
