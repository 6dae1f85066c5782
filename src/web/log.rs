//! One line for each request: ids and numbers, never people, bodies, queries or secrets.

use std::time::Duration;

/// What the line says.
pub(super) struct Line<'a> {
    pub(super) request_id: &'a str,
    pub(super) method: &'a str,
    pub(super) route: &'a str,
    pub(super) configuration: &'a str,
    pub(super) status: u16,
    pub(super) scim_type: &'a str,
    pub(super) took: Duration,
    pub(super) bytes: u64,
    pub(super) notes: &'a [String],
}

/// Writes the line.
pub(super) fn write(line: &Line<'_>) {
    tracing::info!(
        target: "rollcall::request",
        request_id = line.request_id,
        method = line.method,
        route = line.route,
        configuration = line.configuration,
        status = line.status,
        scim_type = line.scim_type,
        duration_us = u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX),
        bytes = line.bytes,
        normalised = line.notes.join("; "),
        "request"
    );
}
