//! The limits of the server, for the table in `docs/security.md`. Each row takes its value from the constant or setting
//! that the code uses, so the page cannot differ from the program.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::delivery::{scheduler, sender};
use crate::management::admins::invites;
use crate::management::{
    idempotency, one_time_codes, request_log, schema_extensions, sessions, setup_link_holder, setup_links, sso, tokens,
    webhooks,
};
use crate::model::switches::TombstoneDays;
use crate::model::webhook::{self, headers, retry};
use crate::model::{admin, oauth, personal_data, quota, request, switches};
use crate::provisioning::directory::preview;
use crate::provisioning::webhook_delivery::retention;
use crate::provisioning::{feed, large_changes, lists};
use crate::scim::{bulk, cursor, filter, index, json, members, password, patch, schema, validate, work};
use crate::server;
use crate::settings;
use crate::store::engine::{checkpointer, job_deadline, readers, snapshot, snapshot_gate, work_queue};
use crate::web::{api, call_log, limits, login_throttle, network, password_hashing, scim};

/// One limit.
#[derive(Debug, Clone)]
pub struct LimitRow {
    /// The setting that changes it, if there is one.
    pub key: Option<&'static str>,
    /// What is limited.
    pub what: &'static str,
    /// The maximum; of a setting, the default.
    pub value: LimitValue,
    /// What happens beyond it.
    pub beyond: &'static str,
}

/// The value of a limit with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitValue {
    /// A number of things.
    Count(u64),
    /// A size.
    Bytes(u64),
    /// A time.
    Time(Duration),
    /// A rate.
    PerSecond(u64),
    /// A rate.
    PerMinute(u64),
}

impl fmt::Display for LimitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => f.write_str(&group_digits(count)),
            Self::PerSecond(count) => write!(f, "{} per second", group_digits(count)),
            Self::PerMinute(count) => write!(f, "{} per minute", group_digits(count)),
            Self::Bytes(bytes) => {
                let units = [(1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes")];
                let (size, unit) = units.into_iter().find(|(size, _)| bytes % size == 0).unwrap_or((1, "bytes"));
                write!(f, "{} {unit}", group_digits(bytes / size))
            }
            Self::Time(time) => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let units = [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
                let (size, unit) = units.into_iter().find(|(size, _)| millis % size == 0).unwrap_or((1, "ms"));
                write!(f, "{} {unit}", group_digits(millis / size))
            }
        }
    }
}

fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn row(what: &'static str, value: LimitValue, beyond: &'static str) -> LimitRow {
    LimitRow { key: None, what, value, beyond }
}

fn setting(key: &'static str, what: &'static str, value: LimitValue, beyond: &'static str) -> LimitRow {
    LimitRow { key: Some(key), ..row(what, value, beyond) }
}

fn count(number: impl TryInto<u64>) -> LimitValue {
    LimitValue::Count(number.try_into().unwrap_or(u64::MAX))
}

fn bytes(number: impl TryInto<u64>) -> LimitValue {
    LimitValue::Bytes(number.try_into().unwrap_or(u64::MAX))
}

fn seconds(number: impl TryInto<u64>) -> LimitValue {
    LimitValue::Time(Duration::from_secs(number.try_into().unwrap_or(u64::MAX)))
}

fn millis(number: i64) -> LimitValue {
    LimitValue::Time(Duration::from_millis(u64::try_from(number).unwrap_or(u64::MAX)))
}

fn per_minute(number: NonZeroU32) -> LimitValue {
    LimitValue::PerMinute(number.get().into())
}

/// Returns all documented limits, in the order of the page. A new limit is a new row in the list of its topic.
pub fn list_limits() -> Vec<LimitRow> {
    let lists = [
        list_network_limits(),
        list_request_limits(),
        list_attempt_limits(),
        list_work_limits(),
        list_webhook_limits(),
        list_lifetimes(),
    ];
    lists.concat()
}

fn list_webhook_limits() -> Vec<LimitRow> {
    let waits = "its lanes wait";
    vec![
        row("webhooks", count(webhook::WEBHOOKS_MAX), "409"),
        row("headers of a webhook", count(headers::HEADERS_MAX), "400"),
        row("events in a request of a webhook", count(webhook::BATCH_MAX), "400"),
        row(
            "body of a request of a webhook",
            bytes(webhook::BODY_MAX_BYTES),
            "the batch is shorter; one larger event is sent without its data",
        ),
        row("requests to webhooks in flight", count(scheduler::IN_FLIGHT_MAX), "they wait"),
        row("of these, to one webhook", count(scheduler::IN_FLIGHT_PER_ENDPOINT_MAX), waits),
        row("of these, to slow or failing webhooks together", count(scheduler::SLOW_IN_FLIGHT_MAX), waits),
        row("connection to a webhook", LimitValue::Time(sender::CONNECT_TIMEOUT), "the attempt fails"),
        row("answer of a webhook", LimitValue::Time(sender::REQUEST_TIMEOUT), "the attempt fails"),
        row("retries of a batch", count(retry::RETRY_DELAYS_MS.len()), "the lane stops until an admin resumes it"),
        row("keys of a webhook that sign", count(webhook::KEYS_MAX), "the oldest ends"),
        row("requests of one repetition", count(webhooks::RESEND_BATCHES_MAX), "the repetition is shorter"),
        row(
            "attempts of webhooks that are stored",
            count(retention::ATTEMPTS_MAX.unsigned_abs()),
            "the oldest are removed",
        ),
    ]
}

fn list_network_limits() -> Vec<LimitRow> {
    let Some(defaults) = settings::default_limits() else { return Vec::new() };
    let closed = "the connection is closed";
    vec![
        setting(
            "max_connections",
            "connections; fewer if the limit of open files is lower",
            count(defaults.sockets),
            "the connection with the longest idle time and no valid credential is closed; without one, 503",
        ),
        setting(
            "max_connections_per_address",
            "connections from one address, or one IPv6 /64 network; no limit for trusted proxies",
            count(defaults.sockets_per_address),
            "503, and the connection is closed",
        ),
        row("TLS handshake", LimitValue::Time(server::listen::HANDSHAKE_TIMEOUT), closed),
        row("TLS handshakes in progress, per worker", count(server::listen::HANDSHAKES_MAX), "they wait"),
        row(
            "headers of a request, from the first byte; of the first request, from the connection",
            LimitValue::Time(limits::HEAD_DEADLINE),
            "the connection is closed; in the first request after 408",
        ),
        row("idle time between two requests", LimitValue::Time(limits::KEEP_ALIVE), closed),
        row(
            "receiving a body, plus one second for each 64 KiB received",
            LimitValue::Time(limits::BODY_DEADLINE),
            "408",
        ),
        row("response that the client does not read", LimitValue::Time(network::connections::UNREAD_MAX), closed),
    ]
}

fn list_request_limits() -> Vec<LimitRow> {
    let Some(defaults) = settings::default_limits() else { return Vec::new() };
    let (too_large, invalid) = ("413", "400");
    vec![
        setting("max_body_size", "body of a SCIM request", bytes(defaults.body_max_bytes), too_large),
        row(
            "body of a request without a valid credential: token exchange, sign-in, setup pages",
            bytes(limits::UNAUTHENTICATED_BODY_MAX_BYTES),
            too_large,
        ),
        setting(
            "max_buffered_bodies",
            "memory of all bodies above 8 KiB; a quarter for one account, key or admin",
            bytes(defaults.buffered_bytes),
            "503 with `Retry-After`; bodies of up to 8 KiB are always accepted",
        ),
        row("body of a management request", bytes(limits::API_BODY_MAX_BYTES), too_large),
        row("form of the portal", bytes(limits::FORM_MAX_BYTES), too_large),
        row(
            "query string",
            bytes(limits::QUERY_MAX_BYTES),
            "414; a URL above 64 KiB gets 400 without a body from the HTTP parser",
        ),
        row("provisioning token in a header", bytes(scim::authenticate::TOKEN_MAX_BYTES), "401"),
        row("credential of the management API", bytes(api::caller::CREDENTIAL_MAX_BYTES), "401"),
        row("nesting depth of JSON", count(json::DEPTH_MAX), invalid),
        row("JSON string", bytes(json::STRING_MAX_BYTES), too_large),
        row("values in a JSON document", count(json::VALUES_MAX), too_large),
        row("length of a filter or path", bytes(filter::MAX_LENGTH), invalid),
        row("nesting depth of a filter", count(filter::MAX_DEPTH), invalid),
        row("comparisons in a filter", count(filter::MAX_TERMS), invalid),
        row("operations in a PATCH", count(patch::OPERATIONS_MAX), too_large),
        row("operations in a Bulk request", count(bulk::OPERATIONS_MAX), too_large),
        row("members in one request", count(members::MEMBERS_MAX), too_large),
        row("members that one transaction adds or removes", count(large_changes::MEMBERS_PER_STEP), "it runs in steps"),
        row(
            "groups that a deleted resource leaves in one transaction",
            count(large_changes::GROUPS_PER_STEP),
            "it runs in steps",
        ),
        row("stored text of one user or group, without members", bytes(work::RESOURCE_MAX_BYTES), too_large),
        row("of it, text that is not ASCII in indexed values", bytes(index::FOREIGN_TEXT_MAX_BYTES), too_large),
        row("values of one attribute, except members", count(validate::ELEMENTS_MAX), too_large),
        row("password of a user", bytes(password::PASSWORD_MAX_BYTES), invalid),
        row("password of an admin, in characters", count(admin::PASSWORD_MAX_CHARS), invalid),
        row("schemas of a configuration", count(schema_extensions::EXTENSIONS_MAX), invalid),
        row("document of a schema", bytes(schema_extensions::DOCUMENT_MAX_BYTES), invalid),
        row("attributes of a schema", count(schema::parse::ATTRIBUTES_MAX), invalid),
        row(
            "undeclared attributes of a configuration that are listed",
            count(schema_extensions::undeclared::UNDECLARED_MAX),
            "the least recently sent ones leave the list",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table with one entry per limit")]
fn list_attempt_limits() -> Vec<LimitRow> {
    let Some(defaults) = settings::default_limits() else { return Vec::new() };
    let rate = LimitValue::PerSecond(defaults.requests_per_second.into());
    let limited = "429";
    vec![
        setting(
            "rate_limit",
            "requests of one configuration with a valid token while other configurations are active; twice as many for one account",
            rate,
            "429 with `Retry-After`",
        ),
        row(
            "burst of these requests after an idle period",
            seconds(network::rate_limits::BURST_SECONDS),
            "429 with `Retry-After`",
        ),
        row(
            "requests with a wrong token or key, from one address",
            per_minute(login_throttle::WRONG_TOKENS_PER_MINUTE),
            "429 for wrong ones; valid ones are accepted",
        ),
        row(
            "failed requests for access tokens of one OAuth client",
            per_minute(login_throttle::WRONG_CLIENTS_PER_MINUTE),
            "429 for wrong ones; right ones are accepted",
        ),
        row("access tokens of one OAuth client", LimitValue::PerMinute(oauth::TOKENS_PER_MINUTE.into()), limited),
        row("of them, valid at the same time", count(oauth::LIVE_TOKENS_MAX as usize), limited),
        row("OAuth clients of a configuration", count(oauth::CLIENTS_MAX as usize), "409"),
        row(
            "attempts to sign in as one admin, from one address",
            per_minute(login_throttle::SIGN_INS_PER_MINUTE),
            limited,
        ),
        row("attempts to sign in, from one address", per_minute(login_throttle::SIGN_INS_FROM_ONE_ADDRESS), limited),
        row(
            "attempts to sign in from one known device",
            per_minute(login_throttle::SIGN_INS_OF_KNOWN_DEVICE),
            "429 with `Retry-After`",
        ),
        row(
            "attempts to sign in from all other devices together",
            LimitValue::PerSecond(login_throttle::SIGN_INS_OF_NEW_DEVICES.get().into()),
            "429 with `Retry-After`",
        ),
        row(
            "burst of these attempts after a pause",
            count(login_throttle::SIGN_INS_OF_NEW_DEVICES_BURST.get()),
            "429 with `Retry-After`",
        ),
        row(
            "wrong one-time codes of one admin, from any address",
            count(one_time_codes::WRONG_CODES_MAX),
            "the password is required again, and codes of this admin are refused for 1 minute; twice as long after each \
             further 5, at most 1 hour",
        ),
        row("tokens made with one setup link", count(setup_link_holder::TOKENS_MAX), "409"),
        row(
            "audit entries of a setup link in one day, one for each address that opens it",
            count(setup_link_holder::VISITS_MAX),
            "only the number of openings is counted",
        ),
        row(
            "callbacks of single sign-on, from one address",
            per_minute(login_throttle::SINGLE_SIGN_ONS_FROM_ONE_ADDRESS),
            limited,
        ),
        row(
            "audit entries per hour about failed sign-ins, one for each admin and reason",
            count(sessions::sign_in_audit::FAILURE_ENTRIES_PER_HOUR),
            "further ones are counted in one entry",
        ),
        row(
            "audit entries per hour about failed single sign-on, for each reason",
            count(sso::REFUSALS_PER_HOUR),
            "further ones are counted in the last entry",
        ),
        row(
            "lines of the server log about failed sign-ins, from one address",
            per_minute(login_throttle::FAILURE_LINES_PER_MINUTE),
            "further ones are not written",
        ),
        row("password verifications of one user", per_minute(login_throttle::PASSWORD_CHECKS_PER_MINUTE), limited),
        row(
            "logged requests with a wrong token, for one configuration",
            LimitValue::PerMinute(call_log::UNAUTHENTICATED_PER_MINUTE.into()),
            "they are not logged",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table with one entry per limit")]
fn list_work_limits() -> Vec<LimitRow> {
    let Some(defaults) = settings::default_limits() else { return Vec::new() };
    let busy = "503 with `Retry-After`";
    vec![
        setting(
            "write_queue",
            "waiting writes; a quarter of them for one account, and at least an eighth for each",
            count(defaults.writes_waiting),
            "503 with `Retry-After`, immediately, for this account only; the write is not executed",
        ),
        row(
            "time of one write of a configuration",
            LimitValue::Time(job_deadline::TENANT_JOB_MAX),
            "400 `tooMany` (`write_too_long`); nothing is changed",
        ),
        row(
            "time of one write of the management API, the portal and background jobs",
            LimitValue::Time(job_deadline::OWN_JOB_MAX),
            "400 (`write_too_long`); nothing is changed",
        ),
        row(
            "work of one PATCH, in units: bytes compared; folded and copied bytes and visited values count more",
            count(work::WORK_MAX),
            "400 `tooMany`; split the request",
        ),
        row(
            "Bulk requests of one account that run",
            count(work_queue::BULK_JOBS_AT_ONCE),
            "they wait; the configurations of the account take turns",
        ),
        row(
            "Bulk requests of one configuration that wait, with unread bodies",
            count(work_queue::BULK_JOBS_WAITING),
            "429 with `Retry-After`",
        ),
        row(
            "Bulk requests of one account that wait",
            count(work_queue::ACCOUNT_BULK_JOBS_WAITING),
            "429 with `Retry-After`",
        ),
        row("waiting of one Bulk request", LimitValue::Time(work_queue::BULK_WAIT_MAX), "429 with `Retry-After`"),
        row("concurrent writes of one Bulk request", count(limits::BULK_WRITES_AT_ONCE), "its other operations wait"),
        row(
            "queries that run at once; the last of them only for an account that has used little",
            count(work_queue::SCANS_MAX),
            "they wait",
        ),
        row(
            "of these, queries of one account; one while another account waits",
            count(work_queue::OWNER_SCANS_MAX),
            "they wait; the time of the queries is shared equally between the accounts, and that of an account between its configurations",
        ),
        row(
            "waiting queries of one configuration",
            count(work_queue::CONFIGURATION_WAITING_MAX),
            "429 with `Retry-After`",
        ),
        row(
            "waiting queries of one account, with its admins and API keys",
            count(work_queue::ACCOUNT_WAITING_MAX),
            "429 with `Retry-After`",
        ),
        row(
            "waiting queries of the operator in the management API and the portal",
            count(work_queue::MANAGEMENT_WAITING_MAX),
            "429 with `Retry-After`",
        ),
        row("waiting of one query or large body", LimitValue::Time(work_queue::WAIT_MAX), busy),
        row(
            "bodies above 32 KiB, large PATCH and Bulk requests that are processed at once; the last of them only for an account that has used little",
            count(work_queue::DOCUMENTS_MAX),
            "they wait",
        ),
        row(
            "of these, requests of one account",
            count(work_queue::OWNER_DOCUMENTS_MAX),
            "they wait; at most as many as queries; the time is shared equally between the accounts",
        ),
        row("one query", LimitValue::Time(readers::BLOCKING_READ_MAX), "400 `tooMany`"),
        row(
            "one query that a write needs, such as for the members of a group",
            LimitValue::Time(readers::WRITE_READ_MAX),
            busy,
        ),
        row(
            "snapshot of a query that evaluates a filter for each resource",
            LimitValue::Time(snapshot_gate::SNAPSHOT_AGE_MAX),
            "it continues in a newer snapshot",
        ),
        row(
            "write-ahead log while queries overlap",
            bytes(checkpointer::RESTART_BYTES),
            "new queries wait up to 300 ms, and writes up to 150 ms, until it can start again",
        ),
        row(
            "write-ahead log beyond the waiting of queries",
            bytes(checkpointer::SCANS_WAIT_BYTES),
            "new queries wait until the running ones have ended",
        ),
        row(
            "a comparison with one key, and the read of one resource, on the event loop",
            LimitValue::Time(snapshot::BRIEF_READ_MAX),
            "it is repeated as a waiting query",
        ),
        row(
            "groups of a user in a SCIM list",
            count(lists::GROUPS_IN_LIST),
            "the rest is left out, with a note in the request log; `GET /Users/{id}` has all",
        ),
        row(
            "passwords that are hashed at once; one less than the number of cores, at least 1",
            count(password_hashing::THREADS_MAX),
            "they wait",
        ),
        row("passwords that one Bulk request hashes at once", count(password_hashing::HASHES_AT_ONCE), "they wait"),
        row(
            "passwords of users, or of known devices, that wait to be hashed",
            count(password_hashing::WAITING_MAX),
            busy,
        ),
        row("passwords of new devices that wait to be hashed", count(password_hashing::NEW_DEVICES_WAITING_MAX), "429"),
        row("resources on a page of a list", count(switches::PAGE_MAX), "the page is shorter"),
        row(
            "resources, changes or calls in one answer: SCIM list, management API list, event feed, audit export; at least one",
            bytes(lists::ANSWER_MAX_BYTES),
            "the page is shorter, as reported in `itemsPerPage`, `nextCursor` or `hasMore`",
        ),
        row("items on a page of the management API", count(api::cursor::LIMIT_MAX), "400"),
        row(
            "users, and groups, that the preview of a configuration examines",
            count(preview::USERS_EXAMINED_MAX.min(preview::GROUPS_EXAMINED_MAX)),
            "the rest is left out, as reported in `isCut`; the numbers of all are complete",
        ),
        row(
            "e-mail addresses of other configurations that a preview compares",
            count(preview::OTHER_ADDRESSES_MAX),
            "the rest is left out, as reported in `isCut`",
        ),
        row("expected domains of a preview", count(preview::DOMAINS_MAX), "400"),
        row("characters of the answer above a limit of active users", count(quota::MESSAGE_MAX_CHARS), "400"),
        row("waiting for events", seconds(api::events::WAIT_MAX), "400"),
        row("live tokens of a configuration", count(tokens::LIVE_TOKENS_MAX), "the oldest is revoked"),
        row("live setup links of a configuration", count(setup_links::LIVE_LINKS_MAX), "409"),
        row("open invitations of admins", count(invites::OPEN_INVITES_MAX), "409"),
        row("logged calls of a configuration", count(request_log::STORED_CALLS_MAX), "the oldest are removed"),
        row(
            "of these, calls without a known token",
            count(request_log::STORED_REFUSED_CALLS_MAX),
            "the oldest of these are removed, and no others",
        ),
        row("logged text of a body", bytes(request::LOGGED_BODY_MAX_BYTES), "the text is cut"),
    ]
}

fn list_lifetimes() -> Vec<LimitRow> {
    let Some(portal) = settings::default_portal_settings() else { return Vec::new() };
    vec![
        row("time between the password and the one-time code", millis(one_time_codes::CLAIM_AGE_MAX), "sign in again"),
        setting("session_idle", "session of an admin without use", millis(portal.sessions.idle), "sign in again"),
        setting("session_max", "session of an admin", millis(portal.sessions.total), "sign in again"),
        row("requested lifetime of a provisioning token", seconds(api::tokens::EXPIRES_IN_MAX), "400"),
        row("lifetime of a setup link", seconds(setup_links::LIFETIME_MAX_SECONDS), "400"),
        row("lifetime of an invitation", millis(invites::LIFETIME), "410"),
        row("cursor of a list", seconds(cursor::LIFETIME_SECONDS), "400 `expiredCursor`"),
        row("response for an `Idempotency-Key`", millis(idempotency::RETENTION_MS), "the request is executed again"),
        row("logged calls", seconds(request_log::RETENTION_DAYS * 86_400), "they are removed"),
        row("events", millis(feed::RETENTION_MS), "410"),
        row("attempts of webhooks", millis(retention::ATTEMPT_RETENTION_MS), "they are removed"),
        row("restore of deleted users and groups", millis(TombstoneDays::DEFAULT.millis()), "they are removed"),
        row("exports of personal data", millis(personal_data::EXPORT_RETENTION_MS), "they are removed"),
        row(
            "events that a webhook keeps from being removed, after that time",
            millis(retention::BLOCKED_MAX_MS),
            "the webhook is disabled",
        ),
        row("earlier key of a webhook after a rotation", millis(webhook::OVERLAP_MAX_MS), "400"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_largest_unit_that_fits() {
        for (value, text) in [
            (count(1_024), "1,024"),
            (count(2_000_000), "2,000,000"),
            (bytes(8 << 20), "8 MiB"),
            (bytes(512), "512 bytes"),
            (bytes(32 * 1024), "32 KiB"),
            (seconds(75), "75 s"),
            (seconds(86_400 * 30), "30 days"),
            (millis(500), "500 ms"),
            (LimitValue::PerMinute(600), "600 per minute"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn no_limit_is_listed_twice() {
        let mut names: Vec<&str> = list_limits().iter().map(|row| row.what).collect();
        assert!(names.len() > 50);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
