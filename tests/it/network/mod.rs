//! Overload and network: proxies, stalled connections, too many connections, more writes than possible.

mod account_shares;
mod bodies;
mod limits;
mod next_heads;
mod overload;
mod proxies;
mod shares;
mod stalls;
