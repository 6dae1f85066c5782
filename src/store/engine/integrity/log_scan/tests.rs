//! Damaged and interrupted write-ahead logs.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const FRAME: usize = 24 + 2_048;

/// Files of a database after a kill, with the frames after each commit.
struct Killed {
    folder: TempDir,
    log: Vec<u8>,
    index: Vec<u8>,
    commits: Vec<u64>,
}

impl Killed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = DataFiles::prepare(folder.path(), true).unwrap();
        let writer = connection::connect_writer(&files).unwrap();
        writer.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)").unwrap();
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let [log, index] = files.log_paths();
        let mut commits = Vec::new();
        for key in 0..8 {
            let sql = "WITH r (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM r WHERE n < 9)
                       INSERT INTO t SELECT ?1 * 10 + n, hex(randomblob(400)) FROM r";
            writer.execute(sql, [key]).unwrap();
            commits.push((fs::metadata(&log).unwrap().len() - 32) / FRAME as u64);
        }
        let killed = tempfile::tempdir().unwrap();
        fs::copy(&files.database, killed.path().join("rollcall.db")).unwrap();
        Self { folder: killed, log: fs::read(log).unwrap(), index: fs::read(index).unwrap(), commits }
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("rollcall.db")
    }

    /// What is found in this log.
    fn scan(&self, log: &[u8], index: Option<&[u8]>) -> Option<LostFrames> {
        let [log_path, index_path] = log_paths_of(&self.database());
        fs::write(log_path, log).unwrap();
        match index {
            Some(index) => fs::write(index_path, index).unwrap(),
            None => drop(fs::remove_file(index_path)),
        }
        find_lost_frames(&self.database()).unwrap()
    }

    /// How many transactions SQLite reads from the files that were scanned last.
    fn count_read(&self) -> i64 {
        let reader = connection::connect_source(Path::new(&self.database())).unwrap();
        reader.query_row("SELECT count(*) / 10 FROM t", [], |row| row.get(0)).unwrap()
    }
}

fn damage(log: &[u8], at: usize) -> Vec<u8> {
    let mut damaged = log.to_vec();
    damaged[at] ^= 0x10;
    damaged
}

#[test]
fn each_damaged_frame_of_an_acknowledged_transaction_is_found_with_the_index() {
    let killed = Killed::new();
    assert_eq!(killed.scan(&killed.log, Some(&killed.index)), None);
    assert_eq!(killed.scan(&killed.log, None), None);
    let frames = (killed.log.len() - 32) / FRAME;
    assert_eq!(frames as u64, *killed.commits.last().unwrap());
    for frame in 0..frames {
        for within in [0, 5, 9, 17, 30, 1_500] {
            let damaged = damage(&killed.log, 32 + frame * FRAME + within);
            let found = killed.scan(&damaged, Some(&killed.index)).unwrap();
            assert_eq!(
                (found.damage, found.committed),
                (LogDamage::Frame(frame as u64 + 1), frames as u64),
                "{frame}, {within}"
            );
        }
    }
    for at in 0..32 {
        let found = killed.scan(&damage(&killed.log, at), Some(&killed.index)).unwrap();
        assert_eq!(found.damage, LogDamage::Header, "byte {at} of the header");
    }
    let cut = &killed.log[..killed.log.len() - 10];
    assert_eq!(killed.scan(cut, Some(&killed.index)).unwrap().damage, LogDamage::Frame(killed.commits[6] + 1));
}

#[test]
fn damage_in_front_of_the_last_transaction_is_found_without_the_index() {
    let killed = Killed::new();
    let last_but_one = usize::try_from(killed.commits[6]).unwrap();
    for frame in 0..last_but_one {
        for within in [9, 30, 1_500] {
            let damaged = damage(&killed.log, 32 + frame * FRAME + within);
            let found = killed.scan(&damaged, None);
            // A damaged header of the commit frame hides that it is one.
            let is_hidden = frame + 1 == last_but_one && within == 9;
            assert_eq!(found.is_some(), !is_hidden, "frame {frame}, byte {within}");
        }
    }
    assert!(killed.scan(&damage(&killed.log, 17), None).is_some_and(|found| found.damage == LogDamage::Header));
}

#[test]
fn any_part_of_the_last_transaction_after_a_power_failure_is_no_damage() {
    let killed = Killed::new();
    let (synced, all) = (killed.commits[6], killed.commits[7]);
    let last = usize::try_from(all - synced).unwrap();
    let start = 32 + usize::try_from(synced).unwrap() * FRAME;
    // Each frame, or only one half of it, is on the disk or not.
    for pattern in 0..(1_u32 << (2 * last).min(12)) {
        let mut log = killed.log.clone();
        for half in 0..2 * last {
            if pattern & (1 << (half % 12)) == 0 {
                let at = start + half * FRAME / 2;
                log[at..start + (half + 1) * FRAME / 2].fill(0);
            }
        }
        assert_eq!(killed.scan(&log, None), None, "{pattern:b}");
    }
    for length in (start..killed.log.len()).step_by(300) {
        assert_eq!(killed.scan(&killed.log[..length], None), None);
        assert_eq!(killed.count_read(), 7);
    }
}

#[test]
fn a_header_that_was_replaced_after_all_frames_were_copied_is_no_damage() {
    let killed = Killed::new();
    assert!(killed.scan(&damage(&killed.log, 17), None).is_some());
    killed.scan(&killed.log, None);
    let writer = Connection::open(killed.database()).unwrap();
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(writer);
    assert_eq!(killed.scan(&damage(&killed.log, 17), None), None);
}

#[test]
fn the_loss_is_accepted_once_and_the_files_are_copied() {
    let killed = Killed::new();
    let frame = usize::try_from(killed.commits[2]).unwrap();
    assert!(killed.scan(&damage(&killed.log, 32 + frame * FRAME + 100), Some(&killed.index)).is_some());
    let accepted = accept_loss(killed.folder.path()).unwrap().unwrap();
    assert!(accepted.copies.iter().all(|copy| fs::metadata(copy).unwrap().len() > 2_048));
    assert_eq!(killed.count_read(), 3);
    assert_eq!(accept_loss(killed.folder.path()).unwrap(), None);
}

/// Lets the index say that the database contains this number of frames.
fn with_copied(index: &[u8], copied: u32) -> Vec<u8> {
    let mut changed = index.to_vec();
    changed[96..100].copy_from_slice(&copied.to_ne_bytes());
    changed
}

#[test]
fn a_log_that_was_removed_emptied_or_replaced_is_found_with_the_index() {
    let killed = Killed::new();
    let committed = *killed.commits.last().unwrap();
    let all = u32::try_from(committed).unwrap();
    // Logs without frames, which started before and after that of the index.
    let [earlier, later] = [u8::wrapping_sub, u8::wrapping_add].map(|step| {
        let mut log = killed.log[..32].to_vec();
        log[19] = step(log[19], 1);
        let checksum = LogChecksum::default().add(&log[..24], log[3] & 1 == 1);
        log[24..].copy_from_slice(&checksum.to_bytes());
        log
    });
    let (short, junk) = (&killed.log[..31], vec![0; killed.log.len()]);
    let lost: [(&[u8], LogDamage); 4] = [
        (&[], LogDamage::Absent),
        (short, LogDamage::Absent),
        (&earlier, LogDamage::Replaced),
        (&junk, LogDamage::Header),
    ];
    for (log, part) in lost {
        let found = killed.scan(log, Some(&killed.index));
        assert_eq!(found, Some(LostFrames { damage: part, committed }));
        // All frames are in the database, or the index says nothing.
        for index in [with_copied(&killed.index, all), damage(&killed.index, 17), Vec::new()] {
            assert_eq!(killed.scan(log, Some(&index)), None, "{part:?}");
        }
        assert_eq!(killed.scan(log, None), None);
        // After a power failure, the index can be older than the log.
        let lock = killed.folder.path().join("rollcall.lock");
        fs::write(&lock, "1\nanother boot\n").unwrap();
        assert_eq!(killed.scan(log, Some(&killed.index)), None, "{part:?}");
        fs::remove_file(lock).unwrap();
    }
    // The log has started again after the index was written to the disk.
    assert_eq!(killed.scan(&later, Some(&killed.index)), None);
    killed.scan(&[], Some(&killed.index));
    fs::remove_file(killed.folder.path().join("rollcall.db-wal")).unwrap();
    assert_eq!(find_lost_frames(&killed.database()).unwrap().unwrap().damage, LogDamage::Absent);
    let accepted = accept_loss(killed.folder.path()).unwrap().unwrap();
    assert_eq!(accepted.copies.len(), 1);
    assert_eq!(accept_loss(killed.folder.path()).unwrap(), None);
}

#[test]
fn the_frames_of_an_earlier_log_are_not_applied_when_the_loss_is_accepted() {
    let killed = Killed::new();
    let mut header = killed.index[..INDEX_HEADER_BYTES].to_vec();
    header[35] = header[35].wrapping_add(1);
    let checksum = LogChecksum::default().add(&header[..40], cfg!(target_endian = "big")).to_bytes();
    for (at, number) in checksum.as_chunks::<4>().0.iter().enumerate() {
        header[40 + 4 * at..][..4].copy_from_slice(&u32::from_be_bytes(*number).to_ne_bytes());
    }
    let mut later = [header.clone(), header].concat();
    later.extend(&killed.index[2 * INDEX_HEADER_BYTES..]);
    let found = killed.scan(&killed.log, Some(&later)).unwrap();
    assert_eq!(found.damage, LogDamage::Replaced);
    let accepted = accept_loss(killed.folder.path()).unwrap().unwrap();
    assert_eq!(fs::read(&accepted.copies[1]).unwrap(), killed.log);
    assert_eq!(killed.count_read(), 0);
}
