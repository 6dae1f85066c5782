//! Passwords are hashed beside the event loop: few at a time, because each takes a processor for some 20 ms and 19 MiB,
//! and with few in waiting.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::aside::block;
use crate::error::{Error, Result};
use crate::scim;
use crate::scim::password::{ClearText, Password, PasswordDigest};
use crate::secret::password;

/// Hashes at the same time.
pub const HASHES_AT_ONCE: usize = 2;
/// Requests that may wait for their turn, some two thirds of a second.
const WAITING_MAX: usize = 64;

/// The turns of all requests.
pub struct Hashing {
    /// Those who have a turn or wait for one.
    places: Semaphore,
    turns: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { places: Semaphore::new(WAITING_MAX + HASHES_AT_ONCE), turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }
}

impl Hashing {
    /// Hashes the password of a write, if it has one to hash.
    ///
    /// # Errors
    /// 503 where too many are waiting.
    pub async fn settle(&self, password: &mut Option<Password>) -> Result<()> {
        if let Some(Password::Clear(clear)) = password {
            let _place = self.place()?;
            *password = Some(Password::Hashed(self.hash_in_turn(clear.clone()).await?));
        }
        Ok(())
    }

    /// Hashes a password for a caller who has many, and asks for [`HASHES_AT_ONCE`] at a time: it waits as long as it takes.
    pub async fn hash_in_turn(&self, password: ClearText) -> Result<PasswordDigest> {
        let hashed = self.beside(move || password::hash(password.reveal())).await?;
        hashed.map(PasswordDigest).map_err(|problem| Error::Database(format!("argon2: {problem}")))
    }

    /// Whether the password is right; the same work where there is no digest.
    ///
    /// # Errors
    /// 503 where too many are waiting.
    pub async fn is_right(&self, password: ClearText, digest: Option<PasswordDigest>) -> Result<bool> {
        let _place = self.place()?;
        self.beside(move || password::is_right(password.reveal(), digest.as_ref().map(|digest| &*digest.0))).await
    }

    fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let full = || scim::Error::plain(503, "too many passwords are waiting to be hashed; try again in a moment");
        Ok(self.places.try_acquire().map_err(|_| full())?)
    }

    /// The turn ends with the work, also where the request has gone away meanwhile.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Busy)?;
        let done = block(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| Error::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_when_too_many_wait_is_sent_away_at_once() {
        let hashing = Hashing::default();
        let waiting: Vec<_> = (0..WAITING_MAX + HASHES_AT_ONCE).map(|_| hashing.place().unwrap()).collect();
        assert!(matches!(hashing.place(), Err(Error::Scim(refused)) if refused.status == 503));
        drop(waiting);
        assert!(hashing.place().is_ok());
    }
}
