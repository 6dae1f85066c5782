//! What must happen together: each function here is one operation inside one transaction, events included.
//! No HTTP, no SQL, no clock; ids, times and secrets come in as arguments.

pub mod accounts;
pub mod admins;
pub mod api_keys;
pub mod bulk;
pub mod codes;
pub mod configurations;
pub mod delivery;
mod events;
pub mod extensions;
pub mod feed;
mod flow;
pub mod idempotency;
pub mod instance;
pub mod leftovers;
pub mod links;
pub mod lists;
mod memberships;
pub mod open_links;
pub mod overview;
pub mod passwords;
pub mod people;
pub mod records;
pub mod requests;
pub mod resources;
pub mod roles;
mod scope;
pub mod sessions;
pub mod settings;
mod shown;
pub mod sso;
pub mod sync;
pub mod tokens;

pub use scope::Scope;
pub use shown::{Links, Shown};
