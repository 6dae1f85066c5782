//! The store for the crate in `sim/`: the same code as in the server, without threads. The caller runs the batches of the
//! writer and the checkpoints one by one, and decides what happens between them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::store::engine::batch::WriterThread;
use crate::store::engine::checkpointer::{Checkpointer, CheckpointerThread};
use crate::store::engine::files::DataFiles;
use crate::store::engine::integrity::{CheckDepth, log_scan};
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::monitor::ServiceMonitor;
use crate::store::engine::writer::{QUEUE_MAX, Writer};
use crate::store::engine::{database, integrity};
use crate::store::{OpenMode, SharedState, Store};

/// An open store, and its writer and checkpointer.
pub struct SimulatedStore {
    /// The store. A write waits until [`Self::run_batch`] is called.
    pub store: Store,
    writer: WriterThread,
    checkpointer: CheckpointerThread,
}

impl SimulatedStore {
    /// Opens the database as the server does, with the quick check of its start.
    ///
    /// # Errors
    /// Those of [`Store::open_for_server`].
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        // The marker is in the real file system, which has no power cuts, and the database on the simulated disk.
        let marker = DataFiles::open_folder(data_dir, true)?.marker_path();
        match std::fs::remove_file(&marker) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::io("remove", &marker, error));
            }
            _ => {}
        }
        let files = DataFiles::prepare(data_dir, true)?;
        let connection = database::open_database(&files, OpenMode::Serve)?.writer;
        let failed = |error| OpenError::sqlite(data_dir, error);
        if let Some(detail) = integrity::find_first_problem(&connection).map_err(failed)? {
            return Err(OpenError::corrupt(data_dir, detail));
        }
        let service = ServiceMonitor::new(&files);
        let shared = Arc::new(SharedState::new(files, service, &connection, QUEUE_MAX)?);
        let (handle, checkpointer) = Checkpointer::without_thread(&shared);
        let (writer, thread) = Writer::without_thread(connection, &shared, handle);
        let store = Store::with_writer(writer, shared, None);
        Ok(Self { store, writer: thread, checkpointer })
    }

    /// Runs one batch of the queued writes. Returns false if there are none.
    pub fn run_batch(&mut self) -> bool {
        self.writer.run_queued()
    }

    /// Runs the checkpoints that are due.
    pub fn run_checkpoint(&mut self) {
        self.checkpointer.govern_log();
    }

    /// The connection of the writer, to check the rows. `None` if the disk failed in the last batch.
    pub fn connection(&self) -> Option<&Connection> {
        self.writer.connection()
    }

    /// Returns the findings of the deep check, or without `is_deep` those about pages, references and counters.
    ///
    /// # Errors
    /// Errors of the database.
    pub fn check_integrity(connection: &Connection, is_deep: bool) -> rusqlite::Result<Vec<String>> {
        if is_deep {
            return integrity::collect_findings(connection, CheckDepth::Deep);
        }
        let mut found = integrity::find_page_damage(connection)?;
        if found.is_empty() {
            integrity::compare_rows(connection, CheckDepth::Normal, &mut found)?;
        }
        Ok(found)
    }

    /// Looks for damage in the write-ahead log of this database as the start of the server does, in files of the real file
    /// system.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn find_log_damage(database: &Path) -> std::io::Result<Option<String>> {
        Ok(log_scan::find_lost_frames(database)?.map(|lost| lost.to_string()))
    }

    /// Closes the database as a stopping server does, with its last checkpoint.
    pub fn close(self) {
        self.writer.checkpoint_and_close();
    }
}
