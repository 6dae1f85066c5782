//! Looks for damage in a write-ahead log that is not open.
//!
//! SQLite reads the log up to the first frame with a wrong checksum, and silently skips the rest. That is right for a
//! transaction that was being written during a power failure. It also hides damage of older frames, with which SQLite
//! loses all acknowledged transactions from there on. This module distinguishes the two, without a false alarm:
//!
//! - A transaction is written only after the one in front of it was synced. A frame whose checksum continues that of a
//!   commit frame therefore proves that the commit was durable, with all frames in front of it.
//! - The index of the log (`-shm`) has the number of committed frames. It changes after the sync of the commit, so
//!   it never has more frames than the log on the disk, and after the end of the process it has exactly as many. It also
//!   has the number of frames that the database contains. If these are fewer, a log that is missing, empty or of another
//!   start than the index was removed or replaced. After a power failure the index can be old (`boot_record`), so that it
//!   proves nothing about another log.
//!
//! Without an index, damage within the last transaction looks like a transaction that was being written.
//!
//! Litestream commits without a sync. A power failure can then damage a commit that another one follows, so that nothing is
//! proven: the damage is only reported.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::store::engine::connection;
use crate::store::engine::files::{DataFiles, ServerLock, sync_folder};
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::boot_record;
use crate::store::page_checksums::{FRAME_HEADER_BYTES, LOG_HEADER_BYTES, LogChecksum, RESERVED_BYTES};

/// First bytes of a log, without the bit for the byte order of its checksums.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
const INDEX_HEADER_BYTES: usize = 48;

/// Damage with which SQLite loses acknowledged transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LostFrames {
    pub(crate) damage: LogDamage,
    /// Number of frames that were committed at least.
    pub(crate) committed: u64,
}

/// Which part of the log is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogDamage {
    /// The first frame that SQLite does not read, from 1.
    Frame(u64),
    /// Its header.
    Header,
    /// The log is missing or empty.
    Absent,
    /// The log is another one than that of the index.
    Replaced,
    /// The log is older than the index, and the database has newer pages.
    Earlier,
}

impl std::fmt::Display for LostFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let committed = self.committed;
        match self.damage {
            LogDamage::Frame(first) => write!(f, "frame {first} of at least {committed} acknowledged ones"),
            LogDamage::Header => write!(f, "its header, with at least {committed} acknowledged frames after it"),
            LogDamage::Absent => write!(f, "it is missing or empty, and had {committed} acknowledged frames"),
            LogDamage::Replaced => {
                write!(f, "it is another log than before, which had {committed} acknowledged frames")
            }
            LogDamage::Earlier => {
                write!(f, "it is an earlier log, whose {committed} frames are older than the pages of the database")
            }
        }
    }
}

/// Header of the log.
#[derive(Debug, Clone, Copy)]
struct LogHeader {
    is_big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    checksum: LogChecksum,
    is_valid: bool,
}

/// What the index of the log says.
#[derive(Debug, Clone, Copy)]
struct LogIndex {
    salts: [u8; 8],
    committed: u64,
    /// Committed frames that the database contains.
    copied: u64,
}

impl LogIndex {
    /// The index of an empty log has no salts: the first ones are random, and the log has them before the index.
    fn has_salts(self) -> bool {
        self.salts != [0; 8]
    }
}

/// What the frames say.
#[derive(Debug, Default)]
struct FrameSurvey {
    /// Last commit that SQLite reads.
    recovered: u64,
    /// First frame with a wrong checksum.
    first_invalid: Option<u64>,
    /// Last commit frame after that which was durable.
    proven: u64,
    /// Newest committed frame of each page, for a log whose header is damaged.
    newest: HashMap<u32, u64>,
    salts: [u8; 8],
}

/// How often a log is read that seems damaged: a command of another process may have written meanwhile.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(50);

/// Returns an error if the log of a database in the data folder is damaged. Skips a folder that a server uses: its log
/// changes all the time, and the server reads it with verification.
pub(crate) fn refuse_damaged_log(files: &DataFiles, lock: Option<&ServerLock>) -> Result<(), OpenError> {
    if lock.is_none() && files.is_locked() {
        return Ok(());
    }
    refuse_damaged_log_of(&files.database)
}

/// Returns an error if the log of this database is damaged. No server uses it.
pub(crate) fn refuse_damaged_log_of(database: &Path) -> Result<(), OpenError> {
    let [log, _] = log_paths_of(database);
    for attempt in 1..=ATTEMPTS {
        let found = find_lost_frames(database).map_err(|error| OpenError::io("read", &log, error))?;
        match found {
            None => return Ok(()),
            Some(lost) if attempt == ATTEMPTS && connection::was_replicated(database) => {
                tracing::error!(log = %log.display(), damage = %lost, "the end of the write-ahead log is not used");
            }
            Some(lost) if attempt == ATTEMPTS => return Err(OpenError::LogDamaged { log, detail: lost.to_string() }),
            Some(_) => thread::sleep(PAUSE),
        }
    }
    Ok(())
}

/// Copies of damaged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// The damage.
    pub detail: String,
    /// Copies of the database, and of its write-ahead log if there is one.
    pub copies: Vec<PathBuf>,
}

/// Gives up the acknowledged transactions that SQLite cannot read because the write-ahead log is damaged. Copies the files
/// first. Returns `None` if the log is not damaged.
///
/// # Errors
/// A server uses the folder, or the files cannot be copied or opened.
pub fn accept_loss(data_dir: &Path) -> Result<Option<AcceptedLoss>, OpenError> {
    let files = DataFiles::prepare(data_dir, false)?;
    let _lock = files.lock()?;
    let detail = match refuse_damaged_log_of(&files.database) {
        Ok(()) => return Ok(None),
        Err(OpenError::LogDamaged { detail, .. }) => detail,
        Err(other) => return Err(other),
    };
    let [log, index] = files.log_paths();
    let copy = files.sibling_path(&format!("damaged-{}", clock::current_millis()));
    let [log_copy, _] = log_paths_of(&copy);
    let mut copies = Vec::new();
    for (from, to) in [(&files.database, copy), (&log, log_copy)] {
        if from == &log && !log.exists() {
            continue;
        }
        let copied = fs::copy(from, &to).and_then(|_| File::open(&to)?.sync_all());
        copied.map_err(|error| OpenError::io("copy the damaged files to", &to, error))?;
        copies.push(to);
    }
    sync_folder(&files.directory).map_err(|error| OpenError::io("sync", &files.directory, error))?;
    let found = find_lost_frames(&files.database).map_err(|error| OpenError::io("read", &log, error))?;
    if found.is_some_and(|lost| matches!(lost.damage, LogDamage::Replaced | LogDamage::Earlier)) {
        // The frames of an earlier start are older than the pages of the database.
        remove_file(&log)?;
    }
    // It refers to frames that are given up.
    remove_file(&index)?;
    let failed = |error| OpenError::sqlite(&files.database, error);
    let writer = connection::connect_writer(&files).map_err(failed)?;
    // The log starts again, so that the frames that are left in it are not found once more.
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    Ok(Some(AcceptedLoss { detail, copies }))
}

/// Removes a file if it exists.
fn remove_file(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OpenError::io("remove", path, error)),
        _ => Ok(()),
    }
}

fn log_paths_of(database: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

/// Reads the log of this database. No process may have it open. Returns `None` if SQLite reads all acknowledged
/// transactions. Changes nothing.
///
/// # Errors
/// The files cannot be read.
pub(crate) fn find_lost_frames(database: &Path) -> io::Result<Option<LostFrames>> {
    let [log, index] = log_paths_of(database);
    let log = match File::open(log) {
        Ok(log) if log.metadata()?.len() >= LOG_HEADER_BYTES => Some(log),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let index = fs::read(index).ok().and_then(|bytes| read_index(&bytes));
    // What the index says about a log that is not here.
    let current = index.filter(|_| database.parent().is_some_and(boot_record::is_index_current));
    let unsaved = current.filter(|index| index.committed > index.copied);
    let lose = |damage| unsaved.map(|index| LostFrames { damage, committed: index.committed });
    let Some(log) = log else { return Ok(lose(LogDamage::Absent)) };
    let Some(header) = read_header(&log, database)? else { return Ok(lose(LogDamage::Header)) };
    let survey = survey_frames(&log, header)?;
    if header.is_valid {
        let found = judge_frames(&survey, header, index);
        let is_earlier = current.is_some_and(|index| index.has_salts() && !starts_after(header.salts, index.salts));
        if found.is_some() || !is_earlier {
            return Ok(found);
        }
        let lost = lose(LogDamage::Replaced);
        // The log starts again in its index first. Until its first frame is written, its old frames are in the database.
        let is_harmless = survey.recovered == 0 || contains_frames(&survey, &log, database, header.page_bytes)?;
        let earlier = LostFrames { damage: LogDamage::Earlier, committed: survey.recovered };
        return Ok(lost.or(if is_harmless { None } else { Some(earlier) }));
    }
    let found = judge_header(&survey, index, (&log, database), header.page_bytes)?;
    let is_of_index = index.is_some_and(|index| index.salts == survey.salts);
    Ok(found.or_else(|| if is_of_index { None } else { lose(LogDamage::Header) }))
}

/// Whether a log with these salts is the one of the index, or started again after it: the first salt is a counter.
fn starts_after(salts: [u8; 8], indexed: [u8; 8]) -> bool {
    let distance = read_number(&salts, 0).wrapping_sub(read_number(&indexed, 0));
    salts == indexed || (1..1 << 31).contains(&distance)
}

fn judge_frames(survey: &FrameSurvey, header: LogHeader, index: Option<LogIndex>) -> Option<LostFrames> {
    let indexed = index.filter(|index| index.salts == header.salts).map_or(0, |index| {
        // SQLite reads no frame, and the database contains all of them.
        let is_unused = survey.recovered == 0 && index.copied >= index.committed;
        if is_unused { 0 } else { index.committed }
    });
    let committed = indexed.max(survey.proven);
    let first = survey.first_invalid.unwrap_or(survey.recovered + 1);
    (committed > survey.recovered).then_some(LostFrames { damage: LogDamage::Frame(first), committed })
}

/// A header is replaced when the log starts again, after all its frames were copied into the database. If that was
/// interrupted, the frames are not needed.
fn judge_header(
    survey: &FrameSurvey,
    index: Option<LogIndex>,
    (log, database): (&File, &Path),
    page_bytes: usize,
) -> io::Result<Option<LostFrames>> {
    let index = index.filter(|index| index.salts == survey.salts);
    let committed = index.map_or(survey.proven, |index| index.committed.max(survey.proven));
    let is_copied = index.is_some_and(|index| index.copied >= committed);
    if committed == 0 || is_copied || contains_frames(survey, log, database, page_bytes)? {
        return Ok(None);
    }
    Ok(Some(LostFrames { damage: LogDamage::Header, committed }))
}

/// Whether the database contains the newest content of each page in the log.
fn contains_frames(survey: &FrameSurvey, log: &File, database: &Path, page_bytes: usize) -> io::Result<bool> {
    if survey.newest.is_empty() {
        return Ok(false);
    }
    let database = File::open(database)?;
    let (mut in_log, mut in_database) = (vec![0; page_bytes], vec![0; page_bytes]);
    for (page, frame) in &survey.newest {
        let page_at = (u64::from(*page).saturating_sub(1)) * page_bytes as u64;
        let is_read = database.read_exact_at(&mut in_database, page_at).is_ok();
        log.read_exact_at(&mut in_log, frame_position(*frame, page_bytes) + FRAME_HEADER_BYTES)?;
        let content = page_bytes.saturating_sub(RESERVED_BYTES);
        if !is_read || in_log.get(..content) != in_database.get(..content) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn frame_position(number: u64, page_bytes: usize) -> u64 {
    LOG_HEADER_BYTES + number.saturating_sub(1) * (FRAME_HEADER_BYTES + page_bytes as u64)
}

fn read_number<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn read_eight<const N: usize>(bytes: &[u8; N], at: usize) -> [u8; 8] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}

/// Reads the header. The page size of a damaged one is that of the database.
fn read_header(log: &File, database: &Path) -> io::Result<Option<LogHeader>> {
    let header = parse_header(log)?;
    if header.is_valid {
        return Ok(Some(header));
    }
    // Without a valid header, the byte order is that of this machine.
    let page_bytes = read_page_size(database)?;
    let header = LogHeader { page_bytes, is_big_endian: cfg!(target_endian = "big"), ..header };
    Ok(is_page_size(page_bytes).then_some(header))
}

fn parse_header(log: &File) -> io::Result<LogHeader> {
    let mut bytes = [0; 32];
    log.read_exact_at(&mut bytes, 0)?;
    let magic = read_number(&bytes, 0);
    let is_big_endian = magic & 1 == 1;
    let checksum = LogChecksum::from_bytes(read_eight(&bytes, 24));
    let [content @ .., _, _, _, _, _, _, _, _] = &bytes;
    let page_bytes = usize::try_from(read_number(&bytes, 8)).unwrap_or_default();
    let is_valid = magic & !1 == MAGIC
        && read_number(&bytes, 4) == VERSION
        && is_page_size(page_bytes)
        && LogChecksum::default().add(content, is_big_endian) == checksum;
    Ok(LogHeader { is_big_endian, page_bytes, salts: read_eight(&bytes, 16), checksum, is_valid })
}

/// The salts of a log, which are others each time it starts again. `None` without a valid header.
pub(crate) fn read_salts(log: &Path) -> Option<[u8; 8]> {
    let header = parse_header(&File::open(log).ok()?).ok()?;
    header.is_valid.then_some(header.salts)
}

fn is_page_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && (512..=65_536).contains(&bytes)
}

fn read_page_size(database: &Path) -> io::Result<usize> {
    let mut header = [0; 18];
    File::open(database)?.read_exact(&mut header)?;
    let [.., high, low] = header;
    let bytes = usize::from(high) << 8 | usize::from(low);
    Ok(if bytes == 1 { 65_536 } else { bytes })
}

/// Reads the index, if both of its headers are complete and equal.
fn read_index(bytes: &[u8]) -> Option<LogIndex> {
    let header: &[u8; INDEX_HEADER_BYTES] = bytes.first_chunk()?;
    let copy: &[u8; INDEX_HEADER_BYTES] = bytes.get(INDEX_HEADER_BYTES..)?.first_chunk()?;
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let mut stored = [0; 8];
    stored.copy_from_slice(&[number(40)?.to_be_bytes(), number(44)?.to_be_bytes()].concat());
    let [content @ .., _, _, _, _, _, _, _, _] = header;
    let expected = LogChecksum::default().add(content, cfg!(target_endian = "big"));
    let is_complete = header == copy && number(0)? == VERSION && expected == LogChecksum::from_bytes(stored);
    is_complete.then_some(LogIndex {
        salts: read_eight(header, 32),
        committed: number(16)?.into(),
        copied: number(96)?.into(),
    })
}

/// Reads all frames once, in order.
fn survey_frames(log: &File, header: LogHeader) -> io::Result<FrameSurvey> {
    let mut reader = BufReader::with_capacity(1 << 18, log);
    io::copy(&mut (&mut reader).take(LOG_HEADER_BYTES), &mut io::sink())?;
    let mut survey = FrameSurvey { salts: header.salts, ..FrameSurvey::default() };
    let (mut frame, mut page) = ([0; 24], vec![0; header.page_bytes]);
    // The checksum of the frame in front, and whether it is a commit frame of the same start of the log.
    let (mut previous, mut follows_commit, mut previous_salts) = (header.checksum, false, header.salts);
    let mut pending = Vec::new();
    for number in 1.. {
        if !read_whole(&mut reader, &mut frame)? || !read_whole(&mut reader, &mut page)? {
            break;
        }
        let [start @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &frame;
        let salts = read_eight(&frame, 8);
        let stored = LogChecksum::from_bytes(read_eight(&frame, 16));
        let computed = previous.add(start, header.is_big_endian).add(&page, header.is_big_endian);
        let is_commit = read_number(&frame, 4) > 0;
        let belongs = salts == if header.is_valid { header.salts } else { previous_salts };
        let continues = belongs && computed == stored;
        if !continues && survey.first_invalid.is_none() {
            survey.first_invalid = Some(number);
        }
        if survey.first_invalid.is_none() && is_commit {
            survey.recovered = number;
        } else if survey.first_invalid.is_some() && continues && follows_commit {
            survey.proven = number - 1;
            survey.salts = salts;
        }
        if !header.is_valid {
            if !continues {
                pending.clear();
            }
            pending.push((read_number(&frame, 0), number));
            if is_commit {
                survey.newest.extend(pending.drain(..));
            }
        }
        (previous, follows_commit, previous_salts) = (stored, belongs && is_commit, salts);
    }
    Ok(survey)
}

/// Returns false at the end of the file.
fn read_whole(reader: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
