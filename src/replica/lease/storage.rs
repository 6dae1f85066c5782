//! The lease object in the storage: reads it, and writes it under the condition that it is still what was read.

use std::time::Duration;

use crate::replica::lease::record::LeaseRecord;
use crate::replica::object_store::{Condition, ObjectStore, ObjectStoreError, StoredObject};
use crate::settings::ReplicaLocation;

/// Name of the object, next to the folders of the generations.
const NAME: &str = "lease.json";
/// How much older than the lease lasts it must be by the clock of the storage, which reports whole seconds.
const STORAGE_CLOCK_MARGIN: Duration = Duration::from_secs(2);

/// Why the lease cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The storage does not answer, or refuses.
    #[error("the lease cannot be reached: {0}")]
    Storage(#[from] ObjectStoreError),
    /// Its content is not one of this program.
    #[error("the lease object is not valid: {0}")]
    Unreadable(serde_json::Error),
    /// Another server has written it since it was read.
    #[error("another server has written the lease")]
    Changed,
}

/// The lease as it was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseObject {
    /// Its content.
    pub record: LeaseRecord,
    /// Tag of this content.
    pub tag: String,
    /// Its age when it was read, by the clock of the storage.
    pub age: Duration,
}

impl LeaseObject {
    /// Whether it had ended when it was read, because the storage says that it is old enough.
    pub fn is_old(&self) -> bool {
        self.age >= Duration::from_millis(self.record.ttl_ms) + STORAGE_CLOCK_MARGIN
    }
}

/// The storage of one lease.
#[derive(Debug)]
pub struct LeaseStorage(ObjectStore);

impl LeaseStorage {
    /// Opens the storage of a replica.
    ///
    /// # Errors
    /// A sentence: the replica is not in an object storage, or no credentials are set.
    pub fn open(location: &ReplicaLocation) -> Result<Self, String> {
        ObjectStore::open(location).map(Self)
    }

    /// Reads the lease. `None` if there is none.
    ///
    /// # Errors
    /// The storage does not answer, or the content is not valid.
    pub fn read(&self) -> Result<Option<LeaseObject>, LeaseError> {
        let Some(StoredObject { body, tag, age }) = self.0.read_object(NAME)? else { return Ok(None) };
        let record = serde_json::from_slice(&body).map_err(LeaseError::Unreadable)?;
        Ok(Some(LeaseObject { record, tag, age }))
    }

    /// Writes the lease if its tag is still `expected`; `None`: if there is none.
    ///
    /// # Errors
    /// `Changed` if it is not. After another error it is not known whether it was written.
    pub fn write(&self, record: &LeaseRecord, expected: Option<&str>) -> Result<LeaseObject, LeaseError> {
        let condition = expected.map_or(Condition::Absent, Condition::Unchanged);
        let body = serde_json::to_vec(record).map_err(LeaseError::Unreadable)?;
        match self.0.write_object(NAME, body, condition) {
            Ok(tag) => Ok(LeaseObject { record: record.clone(), tag, age: Duration::ZERO }),
            Err(ObjectStoreError::ConditionFailed) => Err(LeaseError::Changed),
            Err(problem) => Err(problem.into()),
        }
    }
}
