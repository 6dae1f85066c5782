//! Whose work a write or a scan is. The queues of the store divide their time between owners.

/// The owner of queued work. Each owner has its own queue, so that one owner cannot delay the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkOwner {
    /// A SCIM request: the key of its configuration.
    Configuration(i64),
    /// The management API, the portal, sign-in and the command line.
    Management,
    /// Jobs that no caller waits for.
    Background,
}
