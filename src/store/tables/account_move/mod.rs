//! Accounts that move to another instance: which rows belong to an account, the file that carries them, and how their numbers
//! change.

pub mod export;
pub mod file;
pub mod import;
pub mod numbers;
pub mod secrets;
pub mod tables;
pub mod work;
