//! The lease of a server: takes it at the start, writes it again in time, and notices that another server has taken it.

mod claim;
mod keeper;

pub use claim::{ClaimedLease, FencedFolder, LeaseClaim, LeaseRelation, compare_folder};
pub use keeper::LeaseKeeper;
