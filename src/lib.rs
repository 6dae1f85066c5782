//! Rollcall: a SCIM 2.0 provisioning appliance.
pub mod scim;
pub mod store;
