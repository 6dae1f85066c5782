//! Several instances: accounts that move from one to another, and the map of a proxy in front of them.

pub(super) mod account;
pub(super) mod map;
