//! The disk of a simulated machine: files whose changes are volatile until they are synced, and faults by plan.

use std::collections::BTreeMap;
use std::time::Duration;

use rollcall::clock::simulated;

use crate::random::Random;
use crate::trace::Trace;

/// What a call of the file system does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallKind {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    Delete,
    MapMemory,
}

/// Why a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// The disk returned an error, or the power is off.
    Io,
    /// No space is left.
    Full,
}

/// What a sync does on a disk that lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Honesty {
    /// It makes everything durable.
    Honest,
    /// It reports success, and in one of so many cases makes nothing durable.
    LiesOnceIn(usize),
    /// It reports success, and in one of so many cases makes only some of the sectors durable.
    ShortOnceIn(usize),
}

/// The faults to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultPlan {
    /// The power fails at the call with this number from now.
    pub(crate) power_fails_at: Option<u64>,
    /// The call of this kind with this number from now fails, and so many after it.
    pub(crate) failure: Option<(CallKind, u64, u64)>,
    /// Writes that make the files longer than this together find no space.
    pub(crate) capacity: Option<usize>,
    /// Whether a failed sync drops the changes, which later syncs do not repeat.
    pub(crate) failed_sync_drops: bool,
    /// One of so many calls stalls.
    pub(crate) stalls_once_in: Option<usize>,
    pub(crate) honesty: Honesty,
}

impl FaultPlan {
    pub(crate) const NONE: Self = Self {
        power_fails_at: None,
        failure: None,
        capacity: None,
        failed_sync_drops: false,
        stalls_once_in: None,
        honesty: Honesty::Honest,
    };
}

#[derive(Debug, Clone)]
enum PendingChange {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
}

/// A file: what reads return, what a power failure leaves, and the changes between the two.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskFile {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<PendingChange>,
    /// Whether the name survives a power failure.
    has_durable_name: bool,
}

fn apply_change(to: &mut Vec<u8>, change: &PendingChange) {
    match change {
        PendingChange::Write { offset, data } => write_bytes(to, *offset, data),
        PendingChange::Truncate(length) => to.resize(*length, 0),
    }
}

/// A write that fails has written whole sectors: the number of its bytes up to the last one.
fn end_at_sector(offset: usize, bytes: usize) -> usize {
    ((offset + bytes) / 512 * 512).saturating_sub(offset)
}

fn write_bytes(to: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(data);
}

impl DiskFile {
    pub(crate) fn durable_file() -> Self {
        Self { has_durable_name: true, ..Self::default() }
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply_change(&mut self.durable, &change);
        }
        self.has_durable_name = true;
    }

    /// Makes each changed sector durable, or not. A disk writes a sector as a whole.
    fn tear(&mut self, random: &mut Random, sector: usize) {
        for change in std::mem::take(&mut self.pending) {
            let PendingChange::Write { offset, data } = change else {
                if random.chance(1, 2) {
                    apply_change(&mut self.durable, &change);
                }
                continue;
            };
            let mut begin = 0;
            while begin < data.len() {
                let left_in_sector = sector - (offset + begin) % sector;
                let end = data.len().min(begin + left_in_sector);
                let written = if random.chance(1, 2) { end - begin } else { 0 };
                if written > 0 {
                    write_bytes(&mut self.durable, offset + begin, &data[begin..begin + written]);
                }
                begin = end;
            }
        }
    }
}

/// Counts of what a disk has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DiskCounts {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    /// Writes to the write-ahead log.
    pub(crate) log_writes: u64,
    pub(crate) stalls: u64,
    pub(crate) lies: u64,
}

/// The disk of one machine.
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<String, DiskFile>,
    /// Deleted files whose deletion a power failure can undo.
    deleted: Vec<(String, DiskFile)>,
    pub(crate) plan: FaultPlan,
    pub(crate) counts: DiskCounts,
    pub(crate) trace: Trace,
    pub(crate) random: Random,
    /// Bytes that the disk writes as a whole.
    sector: usize,
    has_power: bool,
    /// Increases with each start of the machine: open files of an earlier one are dead.
    pub(crate) generation: u64,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            deleted: Vec::new(),
            plan: FaultPlan::NONE,
            counts: DiskCounts::default(),
            trace: Trace::default(),
            random: Random::new(0, 0),
            sector: 512,
            has_power: true,
            generation: 1,
        }
    }

    /// Replaces all files, as at the start of an episode.
    pub(crate) fn reset(&mut self, files: BTreeMap<String, DiskFile>, seed: u64) {
        let generation = self.generation + 1;
        *self = Self { files, generation, random: Random::new(seed, 1), ..Self::new() };
        self.sector = if self.random.chance(1, 2) { 512 } else { 4096 };
    }

    pub(crate) fn has_power(&self) -> bool {
        self.has_power
    }

    /// Ends all processes; the machine runs on.
    pub(crate) fn kill_process(&mut self) {
        self.restart();
    }

    /// Switches the power off and on. Of the changes that were not synced, each sector is kept, lost or torn.
    pub(crate) fn cut_power(&mut self) {
        for (name, file) in std::mem::take(&mut self.deleted) {
            if self.random.chance(1, 2) {
                self.files.entry(name).or_insert(file);
            }
        }
        let (random, sector) = (&mut self.random, self.sector);
        self.files.retain(|_, file| {
            file.tear(random, sector);
            file.content.clone_from(&file.durable);
            file.has_durable_name || random.chance(1, 2)
        });
        for file in self.files.values_mut() {
            file.has_durable_name = true;
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.plan = FaultPlan { honesty: self.plan.honesty, ..FaultPlan::NONE };
        self.has_power = true;
        self.generation += 1;
    }

    /// Flips bits of a file. Returns whether it has any.
    pub(crate) fn flip_bit(&mut self, name: &str) -> bool {
        let Some(file) = self.files.get_mut(name).filter(|file| !file.content.is_empty()) else { return false };
        let (at, bit) = (self.random.below(file.content.len()), self.random.below(8));
        file.content[at] ^= 1 << bit;
        file.durable.clone_from(&file.content);
        file.pending.clear();
        true
    }

    /// Counts a call, and returns the fault that the plan has for it.
    fn begin(&mut self, kind: CallKind, file: &str, range: (usize, usize)) -> Result<(), DiskError> {
        if !self.has_power {
            return Err(DiskError::Io);
        }
        self.counts.calls += 1;
        simulated::advance(Duration::from_micros(3));
        self.trace.add(&[kind as u64, file.len() as u64, range.0 as u64, range.1 as u64]);
        if let Some(left) = self.plan.power_fails_at.as_mut() {
            if *left == 0 {
                self.has_power = false;
                return Err(DiskError::Io);
            }
            *left -= 1;
        }
        if let Some(times) = self.plan.stalls_once_in
            && self.random.chance(1, times)
        {
            self.counts.stalls += 1;
            simulated::advance(Duration::from_millis(1 + self.random.next() % 2_500));
        }
        if let Some((failing, left, times)) = self.plan.failure.as_mut()
            && *failing == kind
        {
            if *left > 0 {
                *left -= 1;
            } else if *times > 0 {
                *times -= 1;
                self.counts.faults += 1;
                return Err(DiskError::Io);
            }
        }
        Ok(())
    }

    /// Opens a file. Returns false if there is none.
    pub(crate) fn open(&mut self, name: &str, creates: bool) -> Result<bool, DiskError> {
        self.begin(CallKind::Open, name, (0, 0))?;
        if creates && !self.files.contains_key(name) {
            self.files.insert(name.to_owned(), DiskFile::default());
        }
        Ok(self.files.contains_key(name))
    }

    /// Returns the number of bytes that were read.
    pub(crate) fn read(&mut self, name: &str, offset: usize, into: &mut [u8]) -> Result<usize, DiskError> {
        self.begin(CallKind::Read, name, (offset, into.len()))?;
        let content = self.files.get(name).map_or(&[][..], |file| &file.content);
        let found = content.get(offset..).unwrap_or_default();
        let count = found.len().min(into.len());
        into[..count].copy_from_slice(&found[..count]);
        into[count..].fill(0);
        Ok(count)
    }

    pub(crate) fn write(&mut self, name: &str, offset: usize, data: &[u8]) -> Result<(), DiskError> {
        let is_log = name.ends_with("-wal");
        self.counts.log_writes += u64::from(is_log);
        if let Err(error) = self.begin(CallKind::Write, name, (offset, data.len())) {
            let part = self.random.below(data.len() + 1);
            if self.random.chance(1, 2) {
                self.write_part(name, offset, &data[..end_at_sector(offset, part)]);
            }
            return Err(error);
        }
        let length = self.files.get(name).map_or(0, |file| file.content.len());
        let growth = (offset + data.len()).saturating_sub(length);
        if let Some(capacity) = self.plan.capacity
            && growth > 0
            && self.count_bytes() + growth > capacity
        {
            self.counts.faults += 1;
            let fitting = capacity.saturating_sub(self.count_bytes()).min(data.len());
            self.write_part(name, offset, &data[..end_at_sector(offset, fitting)]);
            return Err(DiskError::Full);
        }
        self.write_part(name, offset, data);
        Ok(())
    }

    fn write_part(&mut self, name: &str, offset: usize, data: &[u8]) {
        if let Some(file) = self.files.get_mut(name).filter(|_| !data.is_empty()) {
            write_bytes(&mut file.content, offset, data);
            file.pending.push(PendingChange::Write { offset, data: data.to_vec() });
        }
    }

    pub(crate) fn count_bytes(&self) -> usize {
        self.files.values().map(|file| file.content.len()).sum()
    }

    pub(crate) fn truncate(&mut self, name: &str, length: usize) -> Result<(), DiskError> {
        self.begin(CallKind::Truncate, name, (length, 0))?;
        if let Some(file) = self.files.get_mut(name) {
            file.content.resize(length, 0);
            file.pending.push(PendingChange::Truncate(length));
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        simulated::advance(Duration::from_micros(200));
        let had_power = self.has_power;
        let begun = self.begin(CallKind::Sync, name, (0, 0));
        let Some(file) = self.files.get_mut(name) else { return begun };
        if let Err(error) = begun {
            if had_power && self.has_power && self.plan.failed_sync_drops {
                file.pending.clear();
            }
            return Err(error);
        }
        match self.plan.honesty {
            Honesty::LiesOnceIn(times) if self.random.chance(1, times) => self.counts.lies += 1,
            Honesty::ShortOnceIn(times) if self.random.chance(1, times) => {
                self.counts.lies += 1;
                file.tear(&mut self.random, self.sector);
            }
            _ => {
                file.sync();
                // File systems with a journal write the changes of names in order, and all of them with a sync.
                self.deleted.clear();
            }
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, name: &str, is_synced: bool) -> Result<bool, DiskError> {
        self.begin(CallKind::Delete, name, (0, 0))?;
        let Some(file) = self.files.remove(name) else { return Ok(false) };
        if is_synced {
            self.deleted.retain(|(deleted, _)| deleted != name);
        } else if file.has_durable_name {
            self.deleted.push((name.to_owned(), file));
        }
        Ok(true)
    }

    pub(crate) fn map_memory(&mut self, name: &str) -> Result<(), DiskError> {
        self.begin(CallKind::MapMemory, name, (0, 0))
    }

    pub(crate) fn read_content(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| &file.content[..])
    }

    pub(crate) fn find_length(&self, name: &str) -> Option<usize> {
        self.files.get(name).map(|file| file.content.len())
    }
}
