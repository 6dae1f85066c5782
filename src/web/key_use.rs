//! When API keys were used: gathered in memory, written down with everything else of that kind.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Store, Undo, api_keys};

/// Uses that are not written down yet. A crash loses at most the last second of them.
#[derive(Debug, Default)]
pub struct KeyUse(Mutex<HashMap<String, Millis>>);

impl KeyUse {
    /// Notes that the key with that id was used.
    pub fn note(&self, id: &str, now: Millis) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(id) {
            Some(last) => *last = now,
            None => {
                used.insert(id.to_owned(), now);
            }
        }
    }

    /// Writes down what was noted since the last time.
    ///
    /// # Errors
    /// What the store says; the notes are lost then.
    pub async fn write_down(&self, store: &Store) -> Result<()> {
        let used = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return Ok(());
        }
        let written = store
            .write(Undo::Savepoint, move |tx| used.iter().try_for_each(|(id, at)| api_keys::note_use(tx, id, *at)));
        written.await
    }
}
