//! Locks of the queues and buffers that threads hand over. `sim/` compiles them with locks that try every order.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
