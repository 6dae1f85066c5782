//! Overload and network: proxies, stalled connections, too many connections, more writes than possible.

mod limits;
mod overload;
mod proxies;
mod stalls;
