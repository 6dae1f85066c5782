//! What a request may cost before anybody looks at it.

use std::time::Duration;

/// Largest body of a management call.
pub const API_BODY_MAX_BYTES: usize = 1024 * 1024;
/// Largest form of a page: a schema may be pasted into one.
pub const FORM_MAX_BYTES: usize = 512 * 1024;
/// How long the head of a request may take to arrive, on a fresh connection.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long a body may take to arrive, however small it is.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Slowest pace granted beyond that to a large body, by what has arrived of it.
pub const BODY_BYTES_PER_SECOND: u64 = 64 * 1024;
/// Bodies from this size on are parsed off the event loop.
pub const PARSE_ASIDE_BYTES: usize = 256 * 1024;
/// Members that are read on the event loop; larger groups are read by the pool.
pub const MEMBERS_INLINE: i64 = 500;
/// Members with which a PATCH still answers the whole group.
pub const MEMBERS_IN_PATCH_ANSWER: i64 = 100;
/// Members from which on an answer is sent in pieces.
pub const MEMBERS_BEFORE_STREAMING: usize = 5_000;
/// Longest query string.
pub const QUERY_MAX_BYTES: usize = 32 * 1024;
/// Writes of one bulk job that are on their way at once: enough for a commit to serve many, few beside the queue.
pub const BULK_WRITES_AT_ONCE: usize = 64;
