//! The checksums of pages and of frames of the write-ahead log.

use twox_hash::XxHash3_64;

use super::unused_space::{clear_unused_space, has_unused_content};

/// Bytes at the end of each page that SQLite reserves: the checksum of the page, and the balance.
///
/// SQLite computes the checksum of a frame in the write-ahead log in front of the call that writes the page, so the
/// reserved bytes then have older content. The balance is chosen such that the checksum of the frame stays right with the
/// new content. Therefore pages in the log have their checksum, too, and a program without this library that copies them
/// into the database, such as a replication or the shell of SQLite after a crash, does no harm.
pub const RESERVED_BYTES: usize = 16;
/// Bytes of the header of a write-ahead log.
pub const LOG_HEADER_BYTES: u64 = 32;
/// Bytes of the header of a frame, in front of its page.
pub const FRAME_HEADER_BYTES: u64 = 24;
/// Position of the number of reserved bytes in the header of a database.
pub(crate) const RESERVED_AT: usize = 20;
/// The first bytes of a database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Position of the bytes that SQLite locks. The page with them is never used.
const LOCK_BYTES_AT: u64 = 0x4000_0000;

/// Whether SQLite never writes this page. Only databases of more than 1 GiB have it.
pub fn is_lock_page(number: u64, page_bytes: u64) -> bool {
    number.saturating_sub(1) == LOCK_BYTES_AT / page_bytes.max(1)
}

/// Whether `page` is the start of the first page of a database.
pub(crate) fn is_database_header(page: &[u8]) -> bool {
    page.len() >= 100 && page.starts_with(MAGIC)
}

/// Whether the header says that each page has a checksum.
pub(crate) fn declares_checksums(header: &[u8]) -> bool {
    header.get(RESERVED_AT).is_some_and(|reserved| usize::from(*reserved) == RESERVED_BYTES)
}

/// Returns the page size of a database whose pages have checksums, from its header. `None` if they have none.
pub fn find_checked_page_size(header: &[u8]) -> Option<usize> {
    (is_database_header(header) && declares_checksums(header)).then(|| read_page_size(header))
}

/// Whether the first page of a database is as it was written.
pub fn is_first_page_valid(page: &[u8]) -> bool {
    is_page_valid(page, 1)
}

/// Returns the page size in the header of a database.
pub(crate) fn read_page_size(header: &[u8]) -> usize {
    match header.get(16..18) {
        Some([0, 1]) => 65_536,
        Some([high, low]) => usize::from(*high) << 8 | usize::from(*low),
        _ => 0,
    }
}

/// Returns the checksum of a page. The number of the page is a part of it, so that a page at a wrong position is damage.
fn hash_page(content: &[u8], number: u64) -> [u8; 8] {
    XxHash3_64::oneshot_with_seed(number, content).to_le_bytes()
}

/// Whether the page with its checksum is as it was written.
pub(crate) fn is_page_valid(page: &[u8], number: u64) -> bool {
    page.split_last_chunk::<RESERVED_BYTES>()
        .is_some_and(|(content, reserved)| reserved.starts_with(&hash_page(content, number)))
}

/// Writes the checksum into the reserved bytes of the page.
pub(crate) fn seal_page(page: &mut [u8], number: u64) {
    if let Some((content, reserved)) = page.split_last_chunk_mut::<RESERVED_BYTES>() {
        let (checksum, _) = reserved.split_at_mut(8);
        checksum.copy_from_slice(&hash_page(content, number));
    }
}

/// Clears the unused space of a page. `may_clear` is called if there is something to clear.
pub(crate) fn clear_page(page: &mut [u8], number: u64, may_clear: impl FnOnce() -> bool) {
    if let Some((content, _)) = page.split_last_chunk_mut::<RESERVED_BYTES>()
        && has_unused_content(content, number)
        && may_clear()
    {
        clear_unused_space(content, number);
    }
}

/// Clears the unused space of a page in the log, whose frame has the checksum `frame`, and writes the checksum into its reserved
/// bytes. `may_clear` is called if there is something to clear.
pub(crate) fn seal_logged_page(
    page: &mut [u8],
    number: u64,
    (frame, is_big_endian): (LogChecksum, bool),
    may_clear: impl FnOnce() -> bool,
) {
    let Some((content, reserved)) = page.split_last_chunk_mut::<RESERVED_BYTES>() else { return };
    let (checksum, balance) = reserved.split_at_mut(8);
    let mut before = frame.remove(balance, is_big_endian).remove(checksum, is_big_endian);
    if has_unused_content(content, number) && may_clear() {
        let start = before.remove_all(content, is_big_endian);
        clear_unused_space(content, number);
        before = start.add(content, is_big_endian);
    }
    checksum.copy_from_slice(&hash_page(content, number));
    balance.copy_from_slice(&before.add(checksum, is_big_endian).find_content(frame, is_big_endian));
}

/// Whether this first page of a database without checksums had some: only the number of reserved bytes is wrong.
pub(crate) fn has_lost_its_declaration(page: &[u8]) -> bool {
    let mut repaired = page.to_vec();
    let Some(reserved) = repaired.get_mut(RESERVED_AT) else { return false };
    *reserved = u8::try_from(RESERVED_BYTES).unwrap_or_default();
    is_page_valid(&repaired, 1)
}

/// The checksum of SQLite's write-ahead log, over all content since the header of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogChecksum(u32, u32);

impl LogChecksum {
    /// Reads a stored checksum.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [first, second] = split_numbers(&bytes).map(u32::from_be_bytes);
        Self(first, second)
    }

    /// The stored form.
    #[cfg(test)]
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.0) << 32 | u64::from(self.1)).to_be_bytes()
    }

    /// Adds content, whose length is a multiple of 8. `is_big_endian` is the byte order in the header of the log.
    #[must_use]
    pub fn add(self, content: &[u8], is_big_endian: bool) -> Self {
        if is_big_endian {
            self.add_in_order(content, u32::from_be_bytes)
        } else {
            self.add_in_order(content, u32::from_le_bytes)
        }
    }

    /// Removes the last 8 bytes of content.
    fn remove(self, last: &[u8], is_big_endian: bool) -> Self {
        let [first, second] = split_numbers(last).map(|bytes| read_number(bytes, is_big_endian));
        let earlier = self.1.wrapping_sub(second).wrapping_sub(self.0);
        Self(self.0.wrapping_sub(first).wrapping_sub(earlier), earlier)
    }

    /// Removes content, whose length is a multiple of 8.
    fn remove_all(self, content: &[u8], is_big_endian: bool) -> Self {
        let (chunks, _) = content.as_chunks::<8>();
        chunks.iter().rev().fold(self, |checksum, chunk| checksum.remove(chunk, is_big_endian))
    }

    /// Returns the 8 bytes of content that lead from this checksum to `target`.
    fn find_content(self, target: Self, is_big_endian: bool) -> [u8; 8] {
        let first = target.0.wrapping_sub(self.0).wrapping_sub(self.1);
        let second = target.1.wrapping_sub(self.1).wrapping_sub(target.0);
        let write = |number: u32| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let mut content = [0; 8];
        let (start, end) = content.split_at_mut(4);
        start.copy_from_slice(&write(first));
        end.copy_from_slice(&write(second));
        content
    }

    fn add_in_order(self, content: &[u8], read: impl Fn([u8; 4]) -> u32) -> Self {
        let Self(mut first, mut second) = self;
        let (numbers, _) = content.as_chunks::<4>();
        let (pairs, _) = numbers.as_chunks::<2>();
        for [one, two] in pairs {
            first = first.wrapping_add(read(*one)).wrapping_add(second);
            second = second.wrapping_add(read(*two)).wrapping_add(first);
        }
        Self(first, second)
    }
}

fn read_number(bytes: [u8; 4], is_big_endian: bool) -> u32 {
    if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

fn split_numbers(bytes: &[u8]) -> [[u8; 4]; 2] {
    let (numbers, _) = bytes.as_chunks::<4>();
    [numbers.first().copied().unwrap_or_default(), numbers.get(1).copied().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_change_of_a_bit_and_each_other_position_is_damage() {
        let mut page: Vec<u8> = (0..2_048_u32).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        seal_page(&mut page, 17);
        assert!(is_page_valid(&page, 17));
        assert!(!is_page_valid(&page, 18));
        // The balance is not a part of the content.
        for at in 0..page.len() - 8 {
            page[at] ^= 1 << (at % 8);
            assert!(!is_page_valid(&page, 17), "{at}");
            page[at] ^= 1 << (at % 8);
        }
        assert!(!is_page_valid(&[0; 2_048], 17));
    }

    #[test]
    fn the_lock_page_is_at_one_gibibyte() {
        assert!(is_lock_page(524_289, 2_048) && is_lock_page(262_145, 4_096));
        assert!(!is_lock_page(524_288, 2_048) && !is_lock_page(524_290, 2_048) && !is_lock_page(1, 2_048));
    }

    #[test]
    fn the_balance_keeps_the_checksum_of_the_frame() {
        for is_big_endian in [false, true] {
            let mut page: Vec<u8> = (0..1_024_u32).map(|at| u8::try_from(at * 11 % 253).unwrap()).collect();
            for round in 0..3 {
                page[100] = round;
                let frame = LogChecksum(7, u32::MAX).add(&page, is_big_endian);
                seal_logged_page(&mut page, 5, (frame, is_big_endian), || true);
                assert!(is_page_valid(&page, 5));
                assert_eq!(LogChecksum(7, u32::MAX).add(&page, is_big_endian), frame);
            }
        }
    }

    #[test]
    fn the_checksum_of_the_frame_stays_when_unused_space_is_cleared() {
        for is_big_endian in [false, true] {
            let mut page: Vec<u8> = (0..1_024_u32).map(|at| u8::try_from(at * 11 % 253).unwrap()).collect();
            // A leaf with one cell at 900.
            page[..8].copy_from_slice(&[0x0d, 0, 0, 0, 1, 900_u16.to_be_bytes()[0], 900_u16.to_be_bytes()[1], 0]);
            let frame = LogChecksum(7, u32::MAX).add(&page, is_big_endian);
            let mut untouched = page.clone();
            seal_logged_page(&mut untouched, 5, (frame, is_big_endian), || false);
            assert_eq!(untouched[..1_008], page[..1_008]);
            seal_logged_page(&mut page, 5, (frame, is_big_endian), || true);
            assert!(page[10..900].iter().all(|byte| *byte == 0) && page[900..1_008] == untouched[900..1_008]);
            for sealed in [&page, &untouched] {
                assert!(is_page_valid(sealed, 5));
                assert_eq!(LogChecksum(7, u32::MAX).add(sealed, is_big_endian), frame);
            }
        }
    }

    #[test]
    fn a_first_page_without_its_declaration_is_recognized() {
        let mut page = vec![3; 1_024];
        page[RESERVED_AT] = 16;
        seal_page(&mut page, 1);
        page[RESERVED_AT] = 0;
        assert!(has_lost_its_declaration(&page));
        page[30] = 0;
        assert!(!has_lost_its_declaration(&page));
    }
}
