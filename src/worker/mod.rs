//! What the server does by itself, beside its requests.

pub mod retention;
