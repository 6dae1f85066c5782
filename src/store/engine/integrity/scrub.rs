//! The scrub: a thread that slowly reads every page of the database file, so that damage is found before its content is
//! needed, and while a good backup still exists.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::clock::{self, Millis};
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::foreign_objects::{self, ReplicatedPages};
use crate::store::engine::integrity::find_first_problem;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::sqlite_errors::{describe_damage, is_damage};
use crate::store::page_checksums::{RawPage, has_checksums, is_lock_page, read_raw_page};

/// Pause between the start and the first scrub.
const FIRST_PAUSE: Duration = Duration::from_mins(10);
/// Pause between two scrubs.
const PAUSE: Duration = Duration::from_hours(24);
/// Pause between two steps of a scrub.
const STEP_PAUSE: Duration = Duration::from_millis(100);
/// Steps in a second.
const STEPS_PER_SECOND: u64 = 10;
/// How often a page is read that seems damaged: it may be written at this time.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);

/// What the operator sees of the scrubs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubFigures {
    /// Pages read since start.
    pub pages: u64,
    /// End of the last scrub that read all pages. `None` before the first.
    pub finished_at: Option<Millis>,
    /// Whether the last scrub found damage.
    pub has_damage: bool,
    /// Whether the pages have checksums. Databases of earlier versions have none if another program used them during the
    /// upgrade.
    pub has_checksums: bool,
}

/// The state of the scrubs.
pub(crate) struct ScrubMonitor {
    has_checksums: bool,
    pages: AtomicU64,
    /// 0 before the first end.
    finished_at: AtomicI64,
    has_damage: AtomicBool,
    is_closing: Mutex<bool>,
    closed: Condvar,
}

impl ScrubMonitor {
    /// `writer` is a connection to the database.
    pub(crate) fn new(writer: &Connection) -> rusqlite::Result<Self> {
        // A new file has no page yet, and gets checksums.
        let has_checksums = has_checksums(writer)?.unwrap_or(true);
        Ok(Self {
            has_checksums,
            pages: AtomicU64::new(0),
            finished_at: AtomicI64::new(0),
            has_damage: AtomicBool::new(false),
            is_closing: Mutex::new(false),
            closed: Condvar::new(),
        })
    }

    pub(crate) fn figures(&self) -> ScrubFigures {
        let finished_at = self.finished_at.load(Ordering::Relaxed);
        ScrubFigures {
            pages: self.pages.load(Ordering::Relaxed),
            finished_at: (finished_at > 0).then_some(finished_at),
            has_damage: self.has_damage.load(Ordering::Relaxed),
            has_checksums: self.has_checksums,
        }
    }

    fn close(&self) {
        *self.is_closing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.closed.notify_all();
    }

    /// Returns false when the store is closing.
    fn wait(&self, pause: Duration) -> bool {
        let guard = self.is_closing.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.closed.wait_timeout_while(guard, pause, |is_closing| !*is_closing);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The handle to the thread of the scrub. Dropping it stops the thread.
pub(crate) struct Scrubber {
    shared: Arc<SharedState>,
    thread: Option<JoinHandle<()>>,
}

impl Scrubber {
    /// Reads at most `bytes_per_second`.
    pub(crate) fn start(shared: &Arc<SharedState>, bytes_per_second: u64) -> Result<Self, OpenError> {
        let thread_shared = Arc::clone(shared);
        let thread = thread::Builder::new()
            .name("rollcall-scrub".into())
            .spawn(move || run_scrubs(&thread_shared, bytes_per_second))
            .map_err(|error| OpenError::io("start the scrub of", &shared.files.database, error))?;
        Ok(Self { shared: Arc::clone(shared), thread: Some(thread) })
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        self.shared.scrub.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the scrub thread panicked");
        }
    }
}

fn run_scrubs(shared: &SharedState, bytes_per_second: u64) {
    let mut pause = FIRST_PAUSE;
    while shared.scrub.wait(pause) {
        if let Err(error) = scrub_database(shared, bytes_per_second) {
            if is_damage(&error) {
                shared.scrub.has_damage.store(true, Ordering::Relaxed);
                shared.report_damage(&describe_damage(&error));
            } else {
                tracing::warn!(%error, "the scrub of the database failed");
            }
        }
        pause = PAUSE;
    }
}

/// Reads each page of the database file once.
pub(crate) fn scrub_database(shared: &SharedState, bytes_per_second: u64) -> rusqlite::Result<()> {
    let connection = connection::connect_reader(&shared.files)?;
    let foreign = foreign_objects::find_replicated_pages(&connection)?;
    if has_checksums(&connection)? != Some(true) || foreign == ReplicatedPages::Unknown {
        return Ok(());
    }
    let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let mut page = vec![0; usize::try_from(page_bytes).unwrap_or_default()];
    let per_step = (bytes_per_second / STEPS_PER_SECOND / page_bytes.unsigned_abs().max(1)).max(1);
    // The check of all pages in use is slow, so it runs at the first and after the last page that seems damaged.
    let (mut seeming, mut last) = (0_u64, 0);
    for number in 1.. {
        match read_steadily(shared, &connection, number, &mut page)? {
            None => return Ok(()),
            Some(RawPage::End) => break,
            Some(RawPage::Valid) => {}
            Some(RawPage::Invalid) if foreign == ReplicatedPages::One(number) => {}
            Some(RawPage::Invalid) if is_lock_page(number, page_bytes.unsigned_abs()) => {}
            Some(RawPage::Invalid) => {
                (seeming, last) = (seeming + 1, number);
                if seeming == 1 && confirm_damage(shared, number)? {
                    break;
                }
            }
        }
        shared.scrub.pages.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(per_step) && !shared.scrub.wait(STEP_PAUSE) {
            return Ok(());
        }
    }
    if seeming > 1 {
        confirm_damage(shared, last)?;
    }
    shared.scrub.has_damage.store(shared.service.is_damaged(), Ordering::Relaxed);
    shared.scrub.finished_at.store(clock::current_millis(), Ordering::Relaxed);
    Ok(())
}

/// Reads a page again while it seems damaged. `None` when the store is closing.
fn read_steadily(
    shared: &SharedState,
    connection: &Connection,
    number: u64,
    page: &mut [u8],
) -> rusqlite::Result<Option<RawPage>> {
    for _ in 1..ATTEMPTS {
        let read = read_raw_page(connection, number, page)?;
        if read != RawPage::Invalid {
            return Ok(Some(read));
        }
        if !shared.scrub.wait(ATTEMPT_PAUSE) {
            return Ok(None);
        }
    }
    read_raw_page(connection, number, page).map(Some)
}

/// A damaged page is no loss if the write-ahead log has a newer one, or if it is free. So all pages in use are read. Returns
/// whether one of them is damaged.
fn confirm_damage(shared: &SharedState, number: u64) -> rusqlite::Result<bool> {
    let reader = connection::connect_reader(&shared.files)?;
    let problem = match find_first_problem(&reader) {
        Err(error) if is_damage(&error) => Some(describe_damage(&error)),
        found => found?,
    };
    if let Some(problem) = &problem {
        shared.report_damage(&format!("the scrub found that page {number} is damaged: {problem}"));
    } else {
        tracing::warn!(page = number, "the scrub found a damaged page that is not in use");
    }
    Ok(problem.is_some())
}
