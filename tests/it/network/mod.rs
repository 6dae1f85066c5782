//! Between the caller and a request: proxies, stalled and too many connections, more work than can be done.

mod limits;
mod overload;
mod proxies;
mod stalls;
