//! Commands that need no installation: simulated identity providers.

pub(super) mod simulate;
