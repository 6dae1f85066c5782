//! Commands that need no installation: a demonstration, and simulated identity providers.

pub(super) mod demo;
pub(super) mod simulate;
