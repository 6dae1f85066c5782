//! Password hashing on threads of its own, fewer than the cores of the machine, because each hash takes about 20 ms of CPU
//! time and 19 MiB. Three lanes with limited queues share the threads, so that unauthenticated callers cannot delay known
//! ones: known devices first, then users and new devices in turn.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::auth::secret::password;
use crate::error::{Error, Reason, Result};
use crate::scim::password::{ClearText, PasswordChange, PasswordDigest};

/// Number of hashes that one bulk request submits at a time.
pub const HASHES_AT_ONCE: usize = 2;
/// Most threads that hash.
pub(crate) const THREADS_MAX: usize = 4;

/// Hashes of users, and of known devices, that may wait.
pub(crate) const WAITING_MAX: usize = 64;
/// Hashes of new devices that may wait.
pub(crate) const NEW_DEVICES_WAITING_MAX: usize = 16;

/// Who waits for a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashingLane {
    /// Signed-in admins, and admins who sign in with a device that signed in before.
    KnownDevice,
    /// Users of configurations, for callers with a valid token or key.
    Users,
    /// Sign-ins from all other devices.
    NewDevice,
}

impl HashingLane {
    const ALL: [Self; 3] = [Self::KnownDevice, Self::Users, Self::NewDevice];

    /// Hashes that may wait, about as many as are done in a second.
    fn waiting_max(self) -> usize {
        match self {
            Self::KnownDevice | Self::Users => WAITING_MAX,
            Self::NewDevice => NEW_DEVICES_WAITING_MAX,
        }
    }
}

type HashJob = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct HashQueue {
    lanes: [VecDeque<HashJob>; HashingLane::ALL.len()],
    /// Whether it is the turn of new devices, if users wait too.
    is_turn_of_new_devices: bool,
    is_closed: bool,
}

impl HashQueue {
    fn take_next(&mut self) -> Option<HashJob> {
        let order = if self.is_turn_of_new_devices {
            [HashingLane::KnownDevice, HashingLane::NewDevice, HashingLane::Users]
        } else {
            [HashingLane::KnownDevice, HashingLane::Users, HashingLane::NewDevice]
        };
        let lane = order.into_iter().find(|lane| !self.lanes[*lane as usize].is_empty())?;
        if lane != HashingLane::KnownDevice {
            self.is_turn_of_new_devices = lane == HashingLane::Users;
        }
        self.lanes[lane as usize].pop_front()
    }
}

#[derive(Default)]
struct SharedQueue {
    queue: Mutex<HashQueue>,
    changed: Condvar,
}

impl SharedQueue {
    fn lock(&self) -> MutexGuard<'_, HashQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the work on one of the threads. If the caller is gone before, the work is skipped.
    async fn run_in_lane<T: Send + 'static>(
        &self,
        lane: HashingLane,
        waiting_max: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, result) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                // A caller who is gone by now needs no result.
                let _ = sender.send(work());
            }
        };
        {
            let mut queue = self.lock();
            let waiting = &mut queue.lanes[lane as usize];
            if waiting.len() >= waiting_max {
                return Err(Reason::HashingQueueFull.into());
            }
            waiting.push_back(Box::new(job));
        }
        self.changed.notify_one();
        result.await.map_err(|_| Error::new(Reason::ServerBusy))
    }

    /// Runs jobs until the queue is closed.
    fn run_jobs(&self) {
        let mut queue = self.lock();
        while !queue.is_closed {
            match queue.take_next() {
                Some(job) => {
                    drop(queue);
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        tracing::error!("hashing a password failed unexpectedly");
                    }
                    queue = self.lock();
                }
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// The threads that hash, and the hashes that wait.
pub struct PasswordHashing {
    shared: Arc<SharedQueue>,
}

impl Default for PasswordHashing {
    fn default() -> Self {
        Self::start(count_threads(thread::available_parallelism().map_or(1, usize::from)))
    }
}

impl Drop for PasswordHashing {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        queue.lanes = Default::default();
        self.shared.changed.notify_all();
    }
}

/// Number of threads on a machine with that many cores: at least one core is left to other work, if there are two.
fn count_threads(cores: usize) -> usize {
    cores.saturating_sub(1).clamp(1, THREADS_MAX)
}

impl PasswordHashing {
    fn start(threads: usize) -> Self {
        let shared = Arc::<SharedQueue>::default();
        for number in 0..threads {
            let queue = Arc::clone(&shared);
            let started = thread::Builder::new().name(format!("hashing-{number}")).spawn(move || queue.run_jobs());
            if let Err(problem) = started {
                tracing::error!(%problem, "a thread for password hashing cannot be started");
            }
        }
        Self { shared }
    }

    /// Replaces the cleartext password of a write with its digest, if there is one.
    ///
    /// # Errors
    /// 503 if too many requests are waiting.
    pub async fn hash_if_clear(&self, password: &mut Option<PasswordChange>) -> Result<()> {
        if let Some(PasswordChange::SetClearText(clear)) = password {
            let clear = clear.clone();
            let hash = move || password::hash_password(clear.reveal());
            let limit = HashingLane::Users.waiting_max();
            let hashed = self.shared.run_in_lane(HashingLane::Users, limit, hash).await?;
            *password = Some(PasswordChange::SetDigest(read_digest(hashed)?));
        }
        Ok(())
    }

    /// Hashes a password for a caller who submits at most [`HASHES_AT_ONCE`] at a time: a bulk request, or a form. Waits
    /// without a queue limit.
    pub async fn hash_queued(&self, lane: HashingLane, password: ClearText) -> Result<PasswordDigest> {
        let hash = move || password::hash_password(password.reveal());
        read_digest(self.shared.run_in_lane(lane, usize::MAX, hash).await?)
    }

    /// Returns whether the password matches the digest. Takes the same time if there is no digest.
    ///
    /// # Errors
    /// 503 if too many requests of the lane are waiting.
    pub async fn verify(&self, lane: HashingLane, password: ClearText, digest: Option<PasswordDigest>) -> Result<bool> {
        let verify = move || password::verify_password(password.reveal(), digest.as_ref().map(|digest| &*digest.0));
        self.shared.run_in_lane(lane, lane.waiting_max(), verify).await
    }
}

fn read_digest<E: std::fmt::Display>(hashed: std::result::Result<String, E>) -> Result<PasswordDigest> {
    hashed.map(PasswordDigest).map_err(|problem| Error::database(format!("argon2: {problem}")))
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::HashingLane::{KnownDevice, NewDevice, Users};
    use super::*;

    /// Submits work and returns the future of its result, polled once so that it waits in the queue.
    fn submit(
        hashing: &PasswordHashing,
        lane: HashingLane,
        done: &Arc<Mutex<Vec<HashingLane>>>,
    ) -> Pin<Box<dyn Future<Output = Result<()>>>> {
        let (shared, done) = (Arc::clone(&hashing.shared), Arc::clone(done));
        let mut work = Box::pin(async move {
            shared.run_in_lane(lane, lane.waiting_max(), move || done.lock().unwrap().push(lane)).await
        });
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Box::pin(ready(result)),
            Poll::Pending => work,
        }
    }

    #[test]
    fn one_core_is_left_to_other_work() {
        assert_eq!([1, 2, 3, 5, 64].map(count_threads), [1, 1, 2, 4, 4]);
    }

    #[test]
    fn a_full_lane_refuses_at_once_and_a_known_device_is_served_first() {
        let hashing = PasswordHashing::start(0);
        let done = Arc::default();
        let mut waiting: Vec<_> = (0..NewDevice.waiting_max()).map(|_| submit(&hashing, NewDevice, &done)).collect();
        let system = actix_web::rt::System::new();
        let refused = system.block_on(submit(&hashing, NewDevice, &done));
        assert!(refused.is_err_and(|error| error.reason() == Reason::HashingQueueFull));
        for lane in [Users, Users, KnownDevice] {
            waiting.push(submit(&hashing, lane, &done));
        }
        let next = || hashing.shared.lock().take_next();
        while let Some(job) = next() {
            job();
        }
        let done = done.lock().unwrap();
        assert_eq!(done[..6], [KnownDevice, Users, NewDevice, Users, NewDevice, NewDevice]);
        assert_eq!(done.len(), NewDevice.waiting_max() + 3);
    }

    #[test]
    fn work_of_a_disconnected_caller_is_skipped() {
        let hashing = PasswordHashing::start(0);
        let done = Arc::default();
        drop(submit(&hashing, HashingLane::NewDevice, &done));
        let job = hashing.shared.lock().take_next().unwrap();
        job();
        assert_eq!(*done.lock().unwrap(), []);
    }

    #[test]
    fn the_threads_hash_and_verify() {
        let hashing = PasswordHashing::start(1);
        let text = || crate::scim::password::parse_password("a lamp on the long table").unwrap();
        actix_web::rt::System::new().block_on(async {
            let digest = hashing.hash_queued(HashingLane::Users, text()).await.unwrap();
            assert!(hashing.verify(HashingLane::NewDevice, text(), Some(digest)).await.unwrap());
            assert!(!hashing.verify(HashingLane::NewDevice, text(), None).await.unwrap());
        });
    }
}
