//! Limits of requests and responses.

use std::time::Duration;

/// Largest body of a request without a valid credential.
pub const UNAUTHENTICATED_BODY_MAX_BYTES: usize = 8 * 1024;
/// Largest body of a management API request.
pub const API_BODY_MAX_BYTES: usize = 1024 * 1024;
/// Largest form of a portal page; a form may contain a schema.
pub const FORM_MAX_BYTES: usize = 512 * 1024;
/// Time limit for the head of a request, on a new connection.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection may be idle between two requests; identity providers reuse connections.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Time limit for a body of any size.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Lowest transfer rate of a large body: bytes received extend the time limit at this rate.
pub const BODY_BYTES_PER_SECOND: u64 = 64 * 1024;
/// Bodies from this size on are parsed, checked and prepared off the event loop, which needs less than a millisecond for
/// smaller ones.
pub const DOCUMENT_BLOCKING_BYTES: usize = 32 * 1024;
/// Items of a Bulk request with more bytes than this together are prepared off the event loop.
pub const ITEMS_INLINE_BYTES: usize = 4 * 1024;
/// Bytes of the items of a Bulk request that are prepared without an interruption: then it is the turn of others.
pub const ITEMS_AT_ONCE_BYTES: usize = 256 * 1024;
/// Groups with up to this number of members are returned with the result of a write, larger ones are read in the thread
/// pool.
pub const MEMBERS_INLINE: i64 = 500;
/// Resources up to about this size are rendered on the event loop, larger ones in the thread pool.
pub const RENDER_INLINE_BYTES: usize = 256 * 1024;
/// Groups with up to this number of members are returned in the response to a PATCH.
pub const MEMBERS_IN_PATCH_RESPONSE: i64 = 100;
/// Longest query string.
pub const QUERY_MAX_BYTES: usize = 32 * 1024;
/// `Retry-After` of a bulk request that is refused because its configuration has too many.
pub const BULK_RETRY_SECONDS: u64 = 5;
/// Concurrent writes of one bulk request: enough to share a commit, few compared with the write queue. Fewer if the share
/// of one configuration in the write queue is small.
pub const BULK_WRITES_AT_ONCE: usize = 64;
