//! Reads and writes of the write-ahead log.

use std::ffi::c_int;
use std::mem;

use rusqlite::ffi;

use super::{Checksums, FileRole, LogState, PAGE_MIN_BYTES, VerifiedFile};
use crate::store::page_checksums::checksum::{self, FRAME_HEADER_BYTES, LOG_HEADER_BYTES, LogChecksum};
use crate::store::page_checksums::unused_space::PAGES_MAX;

/// Bytes of the header of a frame.
const HEADER_BYTES: usize = 24;
/// The size of the pages of new databases.
const USUAL_PAGE_BYTES: usize = 2_048;
/// Most bytes of frames that are written together. SQLite writes at most 128 KiB in one call.
const GATHERED_MAX_BYTES: usize = 96 * 1024;

/// Returns the position of the frame whose page this range is.
pub(super) fn find_frame(length: usize, offset: u64) -> Option<u64> {
    let frame = offset.checked_sub(LOG_HEADER_BYTES + FRAME_HEADER_BYTES)?;
    let is_page = length >= PAGE_MIN_BYTES && length.is_power_of_two();
    (is_page && frame.is_multiple_of(FRAME_HEADER_BYTES + length as u64)).then_some(frame + LOG_HEADER_BYTES)
}

/// Reads a page of the write-ahead log and verifies it.
///
/// # Safety
/// `file` is an open file of this type.
pub(super) unsafe fn read_logged_page(
    file: *mut ffi::sqlite3_file,
    log: LogState,
    frame: u64,
    page: &mut [u8],
) -> c_int {
    // SAFETY: the caller passes an open file of this type.
    unsafe {
        let (number, code) = read_frame(file, frame, page);
        if code != ffi::SQLITE_OK || has_sealed_pages(log) && checksum::is_page_valid(page, number.into()) {
            return code;
        }
        // A program without checksums wrote it, or the database has none, or it is damaged.
        if frame < log.unverified_from { verify_frame(file, log, frame, page) } else { ffi::SQLITE_OK }
    }
}

/// Reads the page of a frame and its number, in one call if the page has the usual size.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn read_frame(file: *mut ffi::sqlite3_file, frame: u64, page: &mut [u8]) -> (u32, c_int) {
    let mut usual = [0; HEADER_BYTES + USUAL_PAGE_BYTES];
    // SAFETY: the caller passes an open file of this type.
    let (header, code) = unsafe {
        if page.len() == USUAL_PAGE_BYTES {
            let code = VerifiedFile::read_inner(file, &mut usual, frame);
            let (header, content) = usual.split_at(HEADER_BYTES);
            page.copy_from_slice(content);
            (header.first_chunk().copied().unwrap_or_default(), code)
        } else {
            let mut header = [0; 4];
            let code = VerifiedFile::read_inner(file, &mut header, frame);
            let page_at = frame + FRAME_HEADER_BYTES;
            (header, if code == ffi::SQLITE_OK { VerifiedFile::read_inner(file, page, page_at) } else { code })
        }
    };
    (u32::from_be_bytes(header), code)
}

/// Whether the database of this log has checksums.
///
/// # Safety
/// The file of the database is open. SQLite closes it after that of its log.
unsafe fn has_sealed_pages(log: LogState) -> bool {
    // SAFETY: the caller's.
    unsafe {
        !log.database.is_null()
            && VerifiedFile::is_verified(log.database)
            && matches!((*log.database.cast::<VerifiedFile>()).role, FileRole::Database(Checksums::Present))
    }
}

/// Whether the database with this log is so small that a page of a b-tree is recognized by its first byte.
///
/// # Safety
/// `file` is an open file of this type, and that of the database is open.
unsafe fn is_small(file: *mut ffi::sqlite3_file, log: LogState, page_bytes: usize) -> bool {
    // SAFETY: the caller's.
    let (bytes, gathered) = unsafe {
        let bytes = VerifiedFile::read_length(file).saturating_add(VerifiedFile::read_length(log.database));
        (bytes, (*file.cast::<VerifiedFile>()).count_gathered() as u64)
    };
    bytes.saturating_add(gathered) / (page_bytes as u64).max(1) < PAGES_MAX
}

/// Verifies a page of the write-ahead log with the checksum in its frame, which continues that of the frame in front of it.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn verify_frame(file: *mut ffi::sqlite3_file, mut log: LogState, frame: u64, page: &[u8]) -> c_int {
    // SAFETY: the caller passes an open file of this type.
    let own = unsafe { &mut *file.cast::<VerifiedFile>() };
    let frame_bytes = FRAME_HEADER_BYTES + page.len() as u64;
    let number = (frame - LOG_HEADER_BYTES) / frame_bytes + 1;
    let (mut header, mut previous) = ([0; 24], [0; 8]);
    // The checksum of the header of the log, or of the frame in front.
    let previous_at = if number == 1 { LOG_HEADER_BYTES - 8 } else { frame - frame_bytes + 16 };
    // SAFETY: as above.
    unsafe {
        let mut code = VerifiedFile::read_inner(file, &mut header, frame);
        if code == ffi::SQLITE_OK {
            code = VerifiedFile::read_inner(file, &mut previous, previous_at);
        }
        if code == ffi::SQLITE_OK {
            code = read_byte_order(file, &mut log);
            own.role = FileRole::Log(log);
        }
        if code != ffi::SQLITE_OK {
            return code;
        }
    }
    let is_big_endian = log.is_big_endian.unwrap_or_default();
    let [start @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &header;
    let stored = header.last_chunk().copied().unwrap_or_default();
    let expected = LogChecksum::from_bytes(previous).add(start, is_big_endian).add(page, is_big_endian);
    if expected == LogChecksum::from_bytes(stored) { ffi::SQLITE_OK } else { own.report_damage("frame", number) }
}

/// Writes into the log, and the checksum of a page into its reserved bytes.
///
/// # Safety
/// `file` is an open file of this type.
pub(super) unsafe fn write_log(
    file: *mut ffi::sqlite3_file,
    mut log: LogState,
    content: &mut [u8],
    offset: u64,
) -> c_int {
    let own = file.cast::<VerifiedFile>();
    let header = log.header.take();
    let is_delayed = mem::take(&mut log.is_header_delayed);
    let is_new_frame = log.end.replace(offset + content.len() as u64) == Some(offset);
    // SAFETY: the caller passes an open file of this type.
    unsafe {
        let frame = find_frame(content.len(), offset);
        if let Some((_, header)) = header.filter(|(at, _)| Some(*at) == frame) {
            let code = seal_page_of_frame(file, &mut log, content, &header);
            (*own).role = FileRole::Log(log);
            return match frame {
                Some(frame) if code == ffi::SQLITE_OK && is_delayed => gather_frame(file, (&header, content), frame),
                _ if code == ffi::SQLITE_OK => write_in_order(file, None, (content, offset)),
                _ => code,
            };
        }
        (*own).role = FileRole::Log(log);
        write_other(file, (log, is_new_frame), header.filter(|_| is_delayed), (content, offset))
    }
}

/// Writes into the log what is no page after its header. `delayed` is a header that is not in the file yet.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn write_other(
    file: *mut ffi::sqlite3_file,
    (mut log, is_new_frame): (LogState, bool),
    delayed: Option<(u64, [u8; 24])>,
    (content, offset): (&mut [u8], u64),
) -> c_int {
    let own = file.cast::<VerifiedFile>();
    // SAFETY: the caller passes an open file of this type.
    unsafe {
        if delayed.is_none() && is_new_frame && content.len() == HEADER_BYTES {
            log.header = content.first_chunk().map(|header| (offset, *header));
            log.is_header_delayed = true;
            if offset <= log.unverified_from {
                log.unverified_from = u64::MAX;
            }
            (*own).role = FileRole::Log(log);
            return ffi::SQLITE_OK;
        }
        let mut code = write_in_order(file, delayed, (&[], offset));
        if code != ffi::SQLITE_OK {
            return code;
        }
        if offset == 0 {
            log.is_big_endian = content.get(3).map(|magic| magic & 1 == 1);
            log.unverified_from = u64::MAX;
        } else if let Ok(written) = <[u8; 24]>::try_from(&*content) {
            log.header = Some((offset, written));
            log.is_header_delayed = is_new_frame;
            if offset <= log.unverified_from {
                log.unverified_from = u64::MAX;
            }
        } else if let Some(frame) = find_frame(content.len(), offset) {
            // The page of an earlier frame of the same transaction.
            log.unverified_from = log.unverified_from.min(frame);
            let mut header = [0; 24];
            code = VerifiedFile::read_inner(file, &mut header, frame);
            if has_sealed_pages(log) {
                let (number, page_bytes) = (read_page_number(&header), content.len());
                checksum::clear_page(content, number, || is_small(file, log, page_bytes));
                checksum::seal_page(content, number);
            }
        }
        (*own).role = FileRole::Log(log);
        if code != ffi::SQLITE_OK || log.is_header_delayed {
            return code;
        }
        VerifiedFile::write_inner(file, content, offset)
    }
}

/// Writes the checksum into a page of the log that follows its header.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn seal_page_of_frame(
    file: *mut ffi::sqlite3_file,
    log: &mut LogState,
    page: &mut [u8],
    header: &[u8; 24],
) -> c_int {
    // SAFETY: the caller passes an open file of this type.
    unsafe {
        if !has_sealed_pages(*log) {
            return ffi::SQLITE_OK;
        }
        let code = read_byte_order(file, log);
        let stored = LogChecksum::from_bytes(header.last_chunk().copied().unwrap_or_default());
        let frame = (stored, log.is_big_endian.unwrap_or_default());
        let page_bytes = page.len();
        checksum::seal_logged_page(page, read_page_number(header), frame, || is_small(file, *log, page_bytes));
        code
    }
}

/// Writes a frame: its header and its page. The frames of a transaction are written together, with the one that commits it, because
/// no other connection reads one before. Until then this connection writes them in front of anything else that it does with
/// the log, and in front of the end of its lock.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn gather_frame(file: *mut ffi::sqlite3_file, (header, page): (&[u8; 24], &[u8]), frame: u64) -> c_int {
    // SAFETY: the caller passes an open file of this type.
    unsafe {
        let own = file.cast::<VerifiedFile>();
        let gathered = (*own).count_gathered();
        let follows = (*own).gathered_at + gathered as u64 == frame;
        if !follows || gathered + HEADER_BYTES + page.len() > GATHERED_MAX_BYTES {
            let code = VerifiedFile::write_gathered(file);
            if code != ffi::SQLITE_OK {
                return code;
            }
            (*own).gathered_at = frame;
        }
        let frames = &mut (*own).gathered;
        frames.extend_from_slice(header);
        frames.extend_from_slice(page);
        // The last frame of a transaction has the length of the database.
        let [_, _, _, _, length @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = header;
        if *length == [0; 4] { ffi::SQLITE_OK } else { VerifiedFile::write_gathered(file) }
    }
}

/// Writes content after everything that is delayed: the gathered frames, and a header.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn write_in_order(
    file: *mut ffi::sqlite3_file,
    delayed: Option<(u64, [u8; 24])>,
    (content, offset): (&[u8], u64),
) -> c_int {
    // SAFETY: the caller passes an open file of this type.
    unsafe {
        let mut code = VerifiedFile::write_gathered(file);
        if let (ffi::SQLITE_OK, Some((at, header))) = (code, delayed) {
            code = VerifiedFile::write_inner(file, &header, at);
        }
        if code == ffi::SQLITE_OK && !content.is_empty() {
            VerifiedFile::write_inner(file, content, offset)
        } else {
            code
        }
    }
}

fn read_page_number(header: &[u8; 24]) -> u64 {
    header.first_chunk().map_or(0, |number| u32::from_be_bytes(*number)).into()
}

/// Reads the byte order of the checksums, unless it is known.
///
/// # Safety
/// `file` is an open file of this type.
unsafe fn read_byte_order(file: *mut ffi::sqlite3_file, log: &mut LogState) -> c_int {
    if log.is_big_endian.is_some() {
        return ffi::SQLITE_OK;
    }
    let mut magic = [0; 4];
    // SAFETY: the caller passes an open file of this type.
    let code = unsafe { VerifiedFile::read_inner(file, &mut magic, 0) };
    if code == ffi::SQLITE_OK {
        log.is_big_endian = Some(magic[3] & 1 == 1);
    }
    code
}
