//! The safety net below an identity provider: removals are counted, many of them are held until an admin decides, and what was
//! removed can be brought back.

pub mod mass_removals;
pub mod rejections;
pub mod reversal_preview;
pub mod reversals;
