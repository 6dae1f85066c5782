//! What the state of the service follows from: the files at their paths, the space of the disk, and the marker.

pub(crate) mod boot_record;
pub(crate) mod disk_reserve;
pub(crate) mod disk_space;
pub(crate) mod file_lengths;
pub(crate) mod file_watch;
pub(crate) mod marker;
pub(crate) mod monitor;
