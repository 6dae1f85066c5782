//! The free space of a disk, and what it is enough for.

use std::path::Path;

/// Bytes of the reserve. On a small disk it is an eighth of the disk.
pub(crate) const RESERVE_BYTES: u64 = 16 << 20;
/// Part of the reserve that must be free in addition to it.
const MARGIN_PART: u64 = 4;

/// Free bytes and all bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    pub(crate) free: u64,
    total: u64,
}

impl DiskSpace {
    /// Reads the space of the disk of this folder.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let stats = rustix::fs::statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stats.f_frsize);
        Some(Self { free: bytes(stats.f_bavail), total: bytes(stats.f_blocks) })
    }

    /// Bytes of the reserve of this disk.
    pub(crate) fn reserve_bytes(self) -> u64 {
        RESERVE_BYTES.min(self.total / 8)
    }

    /// Whether ordinary writes would leave no space for the reserve.
    pub(crate) fn is_low(self) -> bool {
        let reserve = self.reserve_bytes();
        self.free < reserve + reserve / MARGIN_PART
    }

    /// Whether not even the files of an open database have space.
    pub(crate) fn is_exhausted(self) -> bool {
        self.free < self.opening_bytes()
    }

    /// Bytes that the files of an open database need.
    pub(crate) fn opening_bytes(self) -> u64 {
        self.reserve_bytes() / MARGIN_PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_has_a_small_reserve() {
        let space = |free, total| DiskSpace { free, total };
        assert_eq!(space(0, 12 << 20).reserve_bytes(), 12 << 17);
        assert_eq!(space(0, 1 << 40).reserve_bytes(), RESERVE_BYTES);
        assert!(!space(20 << 20, 1 << 40).is_low() && space((20 << 20) - 1, 1 << 40).is_low());
        assert!(!space(4 << 20, 1 << 40).is_exhausted() && space((4 << 20) - 1, 1 << 40).is_exhausted());
    }
}
