//! What must happen together: each function here is one step of the business inside one transaction. No HTTP, no SQL, no
//! clock; ids, times and secrets come in as arguments.

pub mod configurations;
pub mod tokens;
