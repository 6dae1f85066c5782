//! Pages about accounts, and the audit log.

pub(crate) mod all_users;
pub(crate) mod audit;
pub(crate) mod manage;
pub(crate) mod personal_data;
