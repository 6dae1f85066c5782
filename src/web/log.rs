//! One line for each request: ids, numbers and network addresses, never people, bodies, queries or secrets.

use std::net::IpAddr;
use std::time::Duration;

/// What the line says.
pub(super) struct Line<'a> {
    pub(super) request_id: &'a str,
    pub(super) method: &'a str,
    pub(super) route: &'a str,
    pub(super) configuration: &'a str,
    /// Where the call came from.
    pub(super) address: Option<IpAddr>,
    pub(super) status: u16,
    /// Why the caller was nobody's.
    pub(super) refusal: Option<&'static str>,
    pub(super) scim_type: &'a str,
    pub(super) took: Duration,
    pub(super) bytes: u64,
    pub(super) notes: &'a [String],
    /// Operations of a bulk job: asked for, succeeded, failed. What is left was not reached.
    pub(super) bulk: Option<[usize; 3]>,
}

/// Writes the line.
pub(super) fn write(line: &Line<'_>) {
    tracing::info!(
        target: "rollcall::request",
        request_id = line.request_id,
        method = line.method,
        route = line.route,
        configuration = line.configuration,
        address = line.address.map(tracing::field::display),
        status = line.status,
        auth_failed = line.refusal,
        scim_type = line.scim_type,
        duration_us = u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX),
        bytes = line.bytes,
        bulk_operations = line.bulk.map(|counts| counts[0]),
        bulk_succeeded = line.bulk.map(|counts| counts[1]),
        bulk_failed = line.bulk.map(|counts| counts[2]),
        normalised = line.notes.join("; "),
        "request"
    );
}
