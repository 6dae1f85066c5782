//! What the server does by itself, beside its requests.

pub mod backup;
pub mod catching_up;
pub mod certificates;
pub mod expiry;
pub mod neighbours;
pub mod notify;
pub mod retention;
