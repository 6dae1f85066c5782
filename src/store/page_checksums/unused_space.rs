//! The unused space of b-tree pages: between the list of cells and the cells, and in free blocks. SQLite leaves copies of cells
//! there when it splits a page, also with `secure_delete`. They are cleared when the page is written.
//!
//! Format of a page: <https://www.sqlite.org/fileformat2.html#b_tree_pages>.

use std::ops::Range;

/// Databases with this number of pages or more are left as they are: the first byte of a page that is not in a b-tree is then
/// no longer different from that of one that is. With pages of 2 KiB these are 64 GiB.
pub(crate) const PAGES_MAX: u64 = 0x0200_0000;

/// Length of the header of the database on the first page.
const DATABASE_HEADER_BYTES: usize = 100;
/// Length of the start of a free block: the next one, and its own length.
const BLOCK_HEADER_BYTES: usize = 4;

/// Calls `visit` with each unused range of a page, which is without its reserved bytes. Does nothing if the page is not one of a
/// b-tree.
fn visit_unused_ranges(page: &[u8], number: u64, mut visit: impl FnMut(Range<usize>)) {
    let header = if number == 1 { DATABASE_HEADER_BYTES } else { 0 };
    let header_bytes = match page.get(header) {
        Some(0x02 | 0x05) => 12,
        Some(0x0a | 0x0d) => 8,
        _ => return,
    };
    let usable = page.len();
    let read = |at: usize| page.get(at..at + 2).map_or(0, |bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
    let cells_at = match read(header + 5) {
        0 => 65_536,
        at => at,
    };
    let list_end = header + header_bytes + 2 * read(header + 3);
    if list_end > cells_at || cells_at > usable {
        return;
    }
    visit(list_end..cells_at);
    // The blocks are in ascending order.
    let (mut block, mut end) = (read(header + 1), cells_at);
    while block >= end && block + BLOCK_HEADER_BYTES <= usable {
        let after = block + read(block + 2);
        if after < block + BLOCK_HEADER_BYTES || after > usable {
            return;
        }
        visit(block + BLOCK_HEADER_BYTES..after);
        (block, end) = (read(block), after);
    }
}

/// Whether the unused space of a page has content.
pub(crate) fn has_unused_content(page: &[u8], number: u64) -> bool {
    let mut all = 0;
    visit_unused_ranges(page, number, |range| {
        all |= page.get(range).map_or(0, |bytes| bytes.iter().fold(0, |all, byte| all | byte));
    });
    all != 0
}

/// Clears the unused space of a page.
pub(crate) fn clear_unused_space(page: &mut [u8], number: u64) {
    let mut ranges = Vec::new();
    visit_unused_ranges(page, number, |range| ranges.push(range));
    for range in ranges {
        if let Some(bytes) = page.get_mut(range) {
            bytes.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf page with one cell of 20 bytes, a free block of 12 bytes after it, and content everywhere.
    fn page(header: usize) -> Vec<u8> {
        let mut page = vec![7; 512];
        let (cells, block) = (512 - 32, 512 - 12);
        let number = |value: usize| u16::try_from(value).unwrap().to_be_bytes();
        page[header] = 0x0d;
        page[header + 1..header + 3].copy_from_slice(&number(block));
        page[header + 3..header + 5].copy_from_slice(&number(1));
        page[header + 5..header + 7].copy_from_slice(&number(cells));
        page[block..block + 2].copy_from_slice(&number(0));
        page[block + 2..block + 4].copy_from_slice(&number(12));
        page
    }

    #[test]
    fn only_unused_space_is_cleared() {
        for (number, header) in [(1, 100), (2, 0)] {
            let before = page(header);
            assert!(has_unused_content(&before, number));
            let mut after = before.clone();
            clear_unused_space(&mut after, number);
            assert!(!has_unused_content(&after, number));
            let (list_end, cells, block) = (header + 10, 512 - 32, 512 - 12);
            assert!(after[list_end..cells].iter().chain(&after[block + 4..]).all(|byte| *byte == 0));
            for range in [0..list_end, cells..block + 4] {
                assert_eq!(after[range.clone()], before[range]);
            }
        }
    }

    #[test]
    fn other_pages_and_wrong_headers_are_left_as_they_are() {
        for (at, value) in [(0, 0), (0, 1), (0, 0x0c), (3, 0xff), (5, 0xff)] {
            let mut page = page(0);
            page[at] = value;
            assert!(!has_unused_content(&page, 2), "{at} {value}");
        }
        // A wrong chain of free blocks ends.
        let mut looped = page(0);
        clear_unused_space(&mut looped, 2);
        let block = 512 - 12;
        let own = u16::try_from(block).unwrap().to_be_bytes();
        looped[block..block + 2].copy_from_slice(&own);
        assert!(!has_unused_content(&looped, 2));
        assert!(!has_unused_content(&[0x0d; 8], 2) && !has_unused_content(&[], 2));
    }
}
