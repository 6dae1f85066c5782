//! Pages about the server and about the signed-in admin: admins, roles, API keys, single sign-on, backups, profile.

pub(crate) mod about;
pub(crate) mod admins;
pub(crate) mod api_keys;
pub(crate) mod backups;
pub(crate) mod branding;
pub(crate) mod doctor;
pub(crate) mod invites;
pub(crate) mod profile;
pub(crate) mod roles;
pub(crate) mod server;
pub(crate) mod sso;
