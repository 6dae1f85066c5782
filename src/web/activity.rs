//! Who called when: gathered in memory, written down once a second, never in the caller's way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Store, Undo, configurations, tokens};

/// Calls that are not written down yet. A crash loses at most the last second of them.
#[derive(Debug, Default)]
pub struct Activity(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    tokens: HashMap<String, Millis>,
    configurations: HashMap<i64, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    seen: Millis,
    synced: Option<Millis>,
}

impl Activity {
    /// Notes an authenticated call; `wrote` where it was a provisioning write that succeeded.
    pub fn note(&self, token: &str, configuration: i64, now: Millis, wrote: bool) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pending.tokens.get_mut(token) {
            Some(last) => *last = now,
            None => {
                pending.tokens.insert(token.to_owned(), now);
            }
        }
        let seen = pending.configurations.entry(configuration).or_insert(Seen { seen: now, synced: None });
        seen.seen = now;
        if wrote {
            seen.synced = Some(now);
        }
    }

    /// Writes down what was noted since the last time.
    ///
    /// # Errors
    /// What the store says; the notes are lost then.
    pub async fn write_down(&self, store: &Store) -> Result<()> {
        let pending = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.tokens.is_empty() && pending.configurations.is_empty() {
            return Ok(());
        }
        let written = store.write(Undo::Savepoint, move |tx| {
            for (token, at) in &pending.tokens {
                tokens::note_use(tx, token, *at)?;
            }
            for (configuration, seen) in &pending.configurations {
                configurations::note_activity(tx, *configuration, seen.seen, seen.synced)?;
            }
            Ok(())
        });
        written.await
    }
}
