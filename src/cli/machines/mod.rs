//! Commands for two machines: a standby, its promotion, and what a fenced machine has alone.

pub(super) mod fenced;
pub(super) mod standby;
