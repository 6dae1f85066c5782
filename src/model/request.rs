//! The request log: calls of identity providers with their responses, and the health of a configuration derived from
//! them.

use crate::clock::Millis;
use crate::error::Reason;
use crate::model::logged_bodies;
use crate::named_enum::named_enum;

/// Bytes of a body that are stored.
pub const LOGGED_BODY_MAX_BYTES: usize = 16 * 1024;
/// Number of calls that count as recent.
pub const RECENT_CALLS: u32 = 20;

/// A configuration is failing from this number of failed recent calls on.
const FAILING_CALLS: u32 = 5;
/// A configuration is failing from this number of consecutive refused tokens on.
const FAILING_TOKENS: u32 = 3;

named_enum! {
    /// Why a caller could not be authenticated.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TokenRefusal {
        /// The request has no Authorization header.
        NoToken = "no_token",
        /// The header is not a bearer token: another scheme, several tokens, nothing after the scheme.
        Malformed = "malformed",
        /// `Bearer Bearer …`: the scheme was entered in the token field.
        DoubleBearer = "double_bearer",
        /// The header has a token without the scheme Bearer.
        NoScheme = "no_scheme",
        /// A bearer token that this software did not issue, such as one of the identity provider.
        ForeignToken = "foreign_token",
        /// A token of our format, but unknown: mistyped, truncated, or issued by another server.
        UnknownToken = "unknown_token",
        /// A revoked token, or one replaced by newer ones.
        RevokedToken = "revoked_token",
        /// An expired token.
        ExpiredToken = "expired_token",
        /// A valid token of another configuration.
        OtherConfiguration = "other_configuration",
        /// An OAuth client requested an access token with a secret that has expired.
        ExpiredSecret = "expired_secret",
    }
}

/// The outcome of a call with regard to the health of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The call succeeded, or its error response is part of normal operation.
    Succeeded,
    /// A call with a valid token failed.
    Failed,
    /// A token of the configuration was refused: it is revoked or expired.
    TokenRefused,
    /// Not counted: a call without a token of the configuration, which any caller can make.
    NotCounted,
}

impl CallOutcome {
    /// Returns the outcome of a call with a valid token.
    ///
    /// A lookup or deletion of a resource that does not exist, a version mismatch (412) and an endpoint that is not
    /// supported (501) are part of normal operation; every other status from 400 on is a failure. So is a URL that does not
    /// exist.
    pub fn from_status(method: &str, status: u16, is_wrong_url: bool) -> Self {
        let looked_up = matches!(method, "GET" | "HEAD" | "DELETE") && status == 404 && !is_wrong_url;
        if status < 400 || looked_up || status == 412 || status == 501 { Self::Succeeded } else { Self::Failed }
    }

    /// Returns the outcome of a call without a valid token.
    pub fn from_refusal(refusal: Option<TokenRefusal>) -> Self {
        match refusal {
            Some(TokenRefusal::RevokedToken | TokenRefusal::ExpiredToken | TokenRefusal::ExpiredSecret) => {
                Self::TokenRefused
            }
            _ => Self::NotCounted,
        }
    }
}

/// The cause of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCause {
    /// The token was refused.
    Token(TokenRefusal),
    /// The request failed for this reason.
    Reason(Reason),
}

impl FailureCause {
    /// The code, as it is stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token(refusal) => refusal.as_str(),
            Self::Reason(reason) => reason.code(),
        }
    }

    /// The cause with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        let refusal = code.parse().ok().map(Self::Token);
        refusal.or_else(|| Reason::from_code(code).map(Self::Reason))
    }
}

/// Health of a configuration, derived from its last calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallHealth {
    /// Consecutive failed calls, including refused tokens.
    pub failures: u32,
    /// Consecutive refused tokens.
    pub auth_failures: u32,
    /// One bit for each of the last [`RECENT_CALLS`], the newest lowest, 1 for a failure; a leading 1 marks the length.
    pub recent: u32,
    /// Time of the last failure.
    pub last_failure: Option<Millis>,
    /// Cause of the last failure, if known.
    pub last_cause: Option<FailureCause>,
}

impl Default for CallHealth {
    fn default() -> Self {
        Self { failures: 0, auth_failures: 0, recent: 1, last_failure: None, last_cause: None }
    }
}

impl CallHealth {
    /// Adds a call. `cause` is the cause of a failure.
    pub fn add_call(&mut self, verdict: CallOutcome, at: Millis, cause: Option<FailureCause>) {
        if verdict == CallOutcome::NotCounted {
            return;
        }
        let failed = verdict != CallOutcome::Succeeded;
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        self.auth_failures =
            if verdict == CallOutcome::TokenRefused { self.auth_failures.saturating_add(1) } else { 0 };
        self.recent = self.recent << 1 | u32::from(failed);
        let full = 1 << RECENT_CALLS;
        if self.recent >= full * 2 {
            self.recent = full | self.recent & (full - 1);
        }
        if failed {
            (self.last_failure, self.last_cause) = (Some(at), cause);
        }
    }

    /// Returns whether 5 of the recent calls failed, or 3 consecutive tokens were refused.
    pub fn is_failing(&self) -> bool {
        self.recent_failures() >= FAILING_CALLS || self.auth_failures >= FAILING_TOKENS
    }

    /// Returns the number of recent calls.
    pub fn recent_calls(&self) -> u32 {
        self.recent.max(1).ilog2()
    }

    /// Returns the number of failed recent calls.
    pub fn recent_failures(&self) -> u32 {
        self.recent.count_ones().saturating_sub(1)
    }
}

/// The logged part of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedBody {
    /// Length of the body; none if there was no body, or if it was streamed.
    pub bytes: Option<u64>,
    /// Text without secrets, at most [`LOGGED_BODY_MAX_BYTES`]; none if it was not stored.
    pub text: Option<String>,
}

/// One row of the request log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedCall {
    /// The `X-Request-Id` of the response.
    pub id: String,
    /// When the call arrived.
    pub at: Millis,
    /// Duration in microseconds.
    pub duration_us: i64,
    /// Network address of the caller.
    pub address: Option<String>,
    /// The method; `-` if the row counts missed calls.
    pub method: String,
    /// Path and query, without secrets.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// Whether the call failed (see [`CallOutcome`]).
    pub failed: bool,
    /// The `scimType` of an error response.
    pub scim_type: Option<String>,
    /// Why the call failed; none for calls of earlier versions.
    pub reason: Option<Reason>,
    /// The attribute or parameter that the reason is about.
    pub reason_field: Option<String>,
    /// The `detail` of an error response.
    pub detail: Option<String>,
    /// Why the caller could not be authenticated: the value of a [`TokenRefusal`].
    pub refusal: Option<String>,
    /// The last four characters of a refused token of our format.
    pub token_hint: Option<String>,
    /// Id of the token.
    pub token_id: Option<String>,
    /// Type of the resource.
    pub resource_type: Option<String>,
    /// Id of the resource, also if the call created it.
    pub resource_id: Option<String>,
    /// What was normalized, skipped or ignored.
    pub notes: Vec<String>,
    /// Greater than 0 if the row counts calls that could not be logged.
    pub missed: u32,
    /// Request body.
    pub request: LoggedBody,
    /// Response body.
    pub response: LoggedBody,
    /// Id of the call that this one repeats, if an admin sent it again.
    pub replay_of: Option<String>,
    /// Name of that admin.
    pub replayed_by: Option<String>,
    /// The texts of both bodies in their stored form, after [`LoggedCall::pack_bodies`].
    pub packed_bodies: Option<Vec<u8>>,
}

impl LoggedCall {
    /// Compresses the texts of the bodies.
    pub fn pack_bodies(&mut self) {
        let (request, response) = (self.request.text.take(), self.response.text.take());
        self.packed_bodies = logged_bodies::pack_bodies(request.as_deref(), response.as_deref());
    }

    /// The cause of the failure, if the call failed and the cause is known.
    pub fn failure_cause(&self) -> Option<FailureCause> {
        let refusal = self.refusal.as_deref().and_then(|code| code.parse().ok()).map(FailureCause::Token);
        refusal.or(self.reason.map(FailureCause::Reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_of_the_last_twenty_calls_are_counted_in_any_order() {
        let mut health = CallHealth::default();
        for number in 0..100 {
            let verdict = if number % 4 == 0 { CallOutcome::Failed } else { CallOutcome::Succeeded };
            health.add_call(verdict, number, None);
        }
        assert_eq!((health.recent_failures(), health.failures, health.last_failure), (5, 0, Some(96)));
        assert_eq!((health.recent_calls(), CallHealth::default().recent_calls()), (RECENT_CALLS, 0));
        assert!(health.is_failing());
    }

    #[test]
    fn consecutive_failures_end_with_the_first_call_that_succeeds() {
        let mut health = CallHealth::default();
        for verdict in
            [CallOutcome::TokenRefused, CallOutcome::NotCounted, CallOutcome::TokenRefused, CallOutcome::TokenRefused]
        {
            health.add_call(verdict, 7, None);
        }
        assert_eq!((health.auth_failures, health.failures, health.recent_failures()), (3, 3, 3));
        assert!(health.is_failing());
        health.add_call(CallOutcome::Failed, 8, None);
        assert_eq!((health.auth_failures, health.failures, health.is_failing()), (0, 4, false));
        health.add_call(CallOutcome::Succeeded, 9, None);
        assert_eq!((health.auth_failures, health.failures, health.last_failure), (0, 0, Some(8)));
    }

    #[test]
    fn error_responses_of_normal_operation_are_not_failures() {
        for (method, status) in [("GET", 200), ("GET", 404), ("DELETE", 404), ("PUT", 412), ("GET", 304), ("GET", 501)]
        {
            assert_eq!(CallOutcome::from_status(method, status, false), CallOutcome::Succeeded, "{method} {status}");
        }
        for (method, status) in [("PATCH", 404), ("POST", 409), ("GET", 400), ("POST", 503), ("PUT", 405)] {
            assert_eq!(CallOutcome::from_status(method, status, false), CallOutcome::Failed, "{method} {status}");
        }
        assert_eq!(CallOutcome::from_status("GET", 404, true), CallOutcome::Failed, "a URL that does not exist");
    }
}
