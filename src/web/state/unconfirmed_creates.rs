//! Resources whose creation was answered with an error because the replica had not confirmed it. They exist, so the repetition of
//! the request gets the resource instead of a conflict or a second one.
//!
//! They are remembered in memory only: after a restart a repetition gets 409, as after a lost answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a creation is remembered. Identity providers repeat a request within minutes.
const LIFETIME: Duration = Duration::from_mins(15);
/// Most creations that are remembered. While the replica is silent, writes are refused, so there are only those of two seconds.
const CREATES_MAX: usize = 10_000;

/// A request that creates a resource: the key of its configuration, and the digest of its content.
pub type CreateFingerprint = (i64, [u8; 32]);

/// The creations that were not confirmed.
#[derive(Default)]
pub struct UnconfirmedCreates(Mutex<HashMap<CreateFingerprint, UnconfirmedResource>>);

struct UnconfirmedResource {
    id: String,
    created_at: Instant,
}

impl UnconfirmedCreates {
    /// Remembers the resource that this request created.
    pub fn remember(&self, request: CreateFingerprint, id: String) {
        let mut creates = self.lock();
        if creates.len() >= CREATES_MAX {
            creates.retain(|_, resource| resource.created_at.elapsed() < LIFETIME);
        }
        if creates.len() < CREATES_MAX {
            creates.insert(request, UnconfirmedResource { id, created_at: Instant::now() });
        }
    }

    /// Returns the id of the resource that the same request has created before.
    pub fn find(&self, request: &CreateFingerprint) -> Option<String> {
        let mut creates = self.lock();
        let found = creates.get(request)?;
        if found.created_at.elapsed() >= LIFETIME {
            creates.remove(request);
            return None;
        }
        Some(found.id.clone())
    }

    /// Forgets the request, because its repetition was answered.
    pub fn forget(&self, request: &CreateFingerprint) {
        self.lock().remove(request);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CreateFingerprint, UnconfirmedResource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_request_of_the_same_configuration_finds_its_resource_once() {
        let creates = UnconfirmedCreates::default();
        creates.remember((1, [7; 32]), "a".to_owned());
        assert_eq!(creates.find(&(1, [7; 32])).as_deref(), Some("a"));
        assert_eq!(creates.find(&(2, [7; 32])), None);
        assert_eq!(creates.find(&(1, [8; 32])), None);
        creates.forget(&(1, [7; 32]));
        assert_eq!(creates.find(&(1, [7; 32])), None);
    }

    #[test]
    fn the_number_is_limited() {
        let creates = UnconfirmedCreates::default();
        for number in 0..i64::try_from(CREATES_MAX).unwrap() + 5 {
            creates.remember((number, [0; 32]), String::new());
        }
        assert_eq!(creates.lock().len(), CREATES_MAX);
    }
}
