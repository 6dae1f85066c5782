//! The lease: one object next to the replica names the one server that may accept writes. It has a generation, which increases with
//! each promotion, and each holder renews it in time.
//!
//! No clock of one machine is compared with that of another. A holder measures from the time in front of its request, and stops in
//! front of the end. Another server takes the lease only after it has seen the same content for the whole time, or after the
//! storage itself says that it is that old; and its write has the condition that the content is still the same.

mod folder;
mod record;
mod rules;
mod storage;
mod watch;

pub use folder::{FolderRole, RoleKind, read_boot_id};
pub use record::{LeaseRecord, Takeover, generation_folder};
pub use rules::{LeaseClock, LeaseObserver, LeaseTerms};
pub use storage::{LeaseError, LeaseObject, LeaseStorage};
pub use watch::{LeaseStatus, LeaseView};
