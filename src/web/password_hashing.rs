//! Password hashing off the event loop. Concurrency and queue are limited, because each hash takes about 20 ms of CPU
//! time and 19 MiB.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::auth::secret::password;
use crate::error::{Error, Reason, Result};
use crate::scim::password::{ClearText, PasswordChange, PasswordDigest};
use crate::web::blocking::run_blocking;

/// Number of concurrent hashes.
pub const HASHES_AT_ONCE: usize = 2;
/// Number of requests that may wait for a hash, about two thirds of a second.
const WAITING_MAX: usize = 64;

/// Limits of concurrent and waiting hashes.
pub struct PasswordHashing {
    /// Requests that are hashing or waiting.
    queue: Semaphore,
    slots: Arc<Semaphore>,
}

impl Default for PasswordHashing {
    fn default() -> Self {
        Self { queue: Semaphore::new(WAITING_MAX + HASHES_AT_ONCE), slots: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }
}

impl PasswordHashing {
    /// Replaces the cleartext password of a write with its digest, if there is one.
    ///
    /// # Errors
    /// 503 if too many requests are waiting.
    pub async fn hash_if_clear(&self, password: &mut Option<PasswordChange>) -> Result<()> {
        if let Some(PasswordChange::SetClearText(clear)) = password {
            let _permit = self.acquire_queue_permit()?;
            *password = Some(PasswordChange::SetDigest(self.hash_queued(clear.clone()).await?));
        }
        Ok(())
    }

    /// Hashes a password for a bulk request that submits at most [`HASHES_AT_ONCE`] at a time. Waits without a queue
    /// limit.
    pub async fn hash_queued(&self, password: ClearText) -> Result<PasswordDigest> {
        let hashed = self.run_in_slot(move || password::hash_password(password.reveal())).await?;
        hashed.map(PasswordDigest).map_err(|problem| Error::database(format!("argon2: {problem}")))
    }

    /// Returns whether the password matches the digest. Takes the same time if there is no digest.
    ///
    /// # Errors
    /// 503 if too many requests are waiting.
    pub async fn verify(&self, password: ClearText, digest: Option<PasswordDigest>) -> Result<bool> {
        let _permit = self.acquire_queue_permit()?;
        self.run_in_slot(move || password::verify_password(password.reveal(), digest.as_ref().map(|digest| &*digest.0)))
            .await
    }

    fn acquire_queue_permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let full = || Error::new(Reason::HashingQueueFull);
        self.queue.try_acquire().map_err(|_| full())
    }

    /// The permit is released when the work ends, even if the request was cancelled before.
    async fn run_in_slot<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Error::new(Reason::ServerBusy))?;
        let result = run_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        result.await.map_err(|_| Error::new(Reason::ServerBusy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_refused_at_once_if_too_many_wait() {
        let hashing = PasswordHashing::default();
        let waiting: Vec<_> =
            (0..WAITING_MAX + HASHES_AT_ONCE).map(|_| hashing.acquire_queue_permit().unwrap()).collect();
        assert!(hashing.acquire_queue_permit().is_err_and(|error| error.reason() == Reason::HashingQueueFull));
        drop(waiting);
        assert!(hashing.acquire_queue_permit().is_ok());
    }
}
