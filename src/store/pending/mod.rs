//! Changes in the open transaction that are not in their rows yet. A batch has many writes of one configuration: what they
//! count is written once, in front of the commit.

use self::usage::{PendingUsage, UsageMark};
use self::windows::{PendingWindows, WindowsMark};

pub(crate) mod usage;
pub(crate) mod windows;

/// The changes of one transaction.
#[derive(Debug, Default)]
pub(crate) struct PendingRows {
    pub(crate) usage: PendingUsage,
    pub(crate) windows: PendingWindows,
}

/// A point of the transaction: the changes after it can be undone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingMark(UsageMark, WindowsMark);

impl PendingRows {
    /// Marks the start of a part that can be undone.
    pub(crate) fn set_mark(&self) -> PendingMark {
        PendingMark(self.usage.set_mark(), self.windows.set_mark())
    }

    /// Removes the changes after the mark, because those of the rows that they count are rolled back.
    pub(crate) fn roll_back_to(&self, mark: PendingMark) {
        self.usage.roll_back_to(mark.0);
        self.windows.roll_back_to(mark.1);
    }
}
