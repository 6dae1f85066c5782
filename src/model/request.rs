//! The request log: what an identity provider asked and was answered, and what that says about its configuration.

use std::fmt;

use crate::clock::Millis;

/// Bytes of a body that are kept.
pub const BODY_KEPT_MAX_BYTES: usize = 16 * 1024;
/// Calls that the recent ones are counted among.
pub const RECENT_CALLS: u32 = 20;

/// Failed calls among the recent ones that make a configuration failing.
const FAILING_CALLS: u32 = 5;
/// Refused tokens in a row that do.
const FAILING_TOKENS: u32 = 3;

/// Why a caller was nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There was no Authorization header.
    NoToken,
    /// The header is no bearer token: another scheme, several tokens, nothing after the scheme.
    Malformed,
    /// `Bearer Bearer …`: the scheme was typed into the field for the token.
    DoubleBearer,
    /// The token stands there without the word Bearer.
    NoScheme,
    /// A bearer token that we did not make, such as one of the identity provider's own.
    ForeignToken,
    /// Of our form, but unknown: mistyped, cut off, or of another server.
    UnknownToken,
    /// Revoked, or pushed out by newer ones.
    RevokedToken,
    /// Past its end.
    ExpiredToken,
    /// A live token of another configuration.
    OtherConfiguration,
}

impl Refusal {
    /// All of them, from the least to the most that was right about the token.
    pub const ALL: [Self; 9] = [
        Self::NoToken,
        Self::Malformed,
        Self::DoubleBearer,
        Self::NoScheme,
        Self::ForeignToken,
        Self::UnknownToken,
        Self::RevokedToken,
        Self::ExpiredToken,
        Self::OtherConfiguration,
    ];

    /// The word of the API and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Malformed => "malformed",
            Self::DoubleBearer => "double_bearer",
            Self::NoScheme => "no_scheme",
            Self::ForeignToken => "foreign_token",
            Self::UnknownToken => "unknown_token",
            Self::RevokedToken => "revoked_token",
            Self::ExpiredToken => "expired_token",
            Self::OtherConfiguration => "other_configuration",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a call says about the state of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It worked, or was answered as such calls are answered when all is well.
    Fine,
    /// Somebody who knows the configuration wanted something and did not get it.
    Failed,
    /// The token was refused.
    Stranger,
    /// Says nothing: somebody without a token.
    Nothing,
}

impl Verdict {
    /// The verdict on an answer to a caller with a right token.
    ///
    /// A look-up or a deletion of what is not there, a version that has moved and an endpoint that is not offered are
    /// how providers find their way; everything else from 400 on left something undone.
    pub fn of(method: &str, status: u16) -> Self {
        let looked_up = matches!(method, "GET" | "HEAD" | "DELETE") && status == 404;
        if status < 400 || looked_up || status == 412 || status == 501 { Self::Fine } else { Self::Failed }
    }

    /// The verdict on an answer to a caller without one.
    pub fn of_stranger(refusal: Option<Refusal>) -> Self {
        match refusal {
            None | Some(Refusal::NoToken) => Self::Nothing,
            Some(_) => Self::Stranger,
        }
    }
}

/// How the last calls of a configuration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Failed calls in a row, refused tokens among them.
    pub failures: u32,
    /// Refused tokens in a row.
    pub auth_failures: u32,
    /// A bit for each of the last [`RECENT_CALLS`], the newest lowest, 1 where it failed; below a leading 1.
    pub recent: u32,
    /// When the last failure was.
    pub last_failure: Option<Millis>,
}

impl Default for Health {
    fn default() -> Self {
        Self { failures: 0, auth_failures: 0, recent: 1, last_failure: None }
    }
}

impl Health {
    /// Takes in one more call.
    pub fn note(&mut self, verdict: Verdict, at: Millis) {
        if verdict == Verdict::Nothing {
            return;
        }
        let failed = verdict != Verdict::Fine;
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        self.auth_failures = if verdict == Verdict::Stranger { self.auth_failures.saturating_add(1) } else { 0 };
        self.recent = self.recent << 1 | u32::from(failed);
        let full = 1 << RECENT_CALLS;
        if self.recent >= full * 2 {
            self.recent = full | self.recent & (full - 1);
        }
        if failed {
            self.last_failure = Some(at);
        }
    }

    /// Whether somebody should look: 5 of the recent calls failed, or 3 tokens in a row were refused.
    pub fn is_failing(&self) -> bool {
        self.recent_failures() >= FAILING_CALLS || self.auth_failures >= FAILING_TOKENS
    }

    /// How many calls are counted as recent.
    pub fn recent_calls(&self) -> u32 {
        self.recent.max(1).ilog2()
    }

    /// How many of the recent calls failed.
    pub fn recent_failures(&self) -> u32 {
        self.recent.count_ones().saturating_sub(1)
    }
}

/// What was kept of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedBody {
    /// Length as it was sent; none where there was no body, or where it was streamed.
    pub bytes: Option<u64>,
    /// Its text without secrets, at most [`BODY_KEPT_MAX_BYTES`]; none where it was not kept.
    pub text: Option<String>,
}

/// One row of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedCall {
    /// The `X-Request-Id` of the answer.
    pub id: String,
    /// When it came.
    pub at: Millis,
    /// How long it took, in microseconds.
    pub duration_us: i64,
    /// Network address of the caller.
    pub address: Option<String>,
    /// The method; `-` where the row stands for missed calls.
    pub method: String,
    /// Path and query, without secrets.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// Whether something was left undone (see [`Verdict`]).
    pub failed: bool,
    /// The `scimType` of a refusal.
    pub scim_type: Option<String>,
    /// The sentence of a refusal.
    pub detail: Option<String>,
    /// Why the caller was nobody's: the word of a [`Refusal`].
    pub refusal: Option<String>,
    /// The last four characters of a token of our form that was refused.
    pub token_hint: Option<String>,
    /// Id of the token.
    pub token_id: Option<String>,
    /// Type of the resource that it was about.
    pub resource_type: Option<String>,
    /// Id of that resource, also where the call made it.
    pub resource_id: Option<String>,
    /// What was normalised, skipped or ignored.
    pub notes: Vec<String>,
    /// More than 0 where the row stands for that many calls that could not be kept.
    pub missed: u32,
    /// What was sent.
    pub request: LoggedBody,
    /// What was answered.
    pub response: LoggedBody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_the_last_twenty_are_counted_however_they_lie() {
        let mut health = Health::default();
        for number in 0..100 {
            let verdict = if number % 4 == 0 { Verdict::Failed } else { Verdict::Fine };
            health.note(verdict, number);
        }
        assert_eq!((health.recent_failures(), health.failures, health.last_failure), (5, 0, Some(96)));
        assert_eq!((health.recent_calls(), Health::default().recent_calls()), (RECENT_CALLS, 0));
        assert!(health.is_failing());
    }

    #[test]
    fn a_row_of_failures_ends_with_the_first_call_that_works() {
        let mut health = Health::default();
        for verdict in [Verdict::Stranger, Verdict::Nothing, Verdict::Stranger, Verdict::Stranger] {
            health.note(verdict, 7);
        }
        assert_eq!((health.auth_failures, health.failures, health.recent_failures()), (3, 3, 3));
        assert!(health.is_failing());
        health.note(Verdict::Failed, 8);
        assert_eq!((health.auth_failures, health.failures, health.is_failing()), (0, 4, false));
        health.note(Verdict::Fine, 9);
        assert_eq!((health.auth_failures, health.failures, health.last_failure), (0, 0, Some(8)));
    }

    #[test]
    fn what_belongs_to_a_normal_conversation_is_no_failure() {
        for (method, status) in [("GET", 200), ("GET", 404), ("DELETE", 404), ("PUT", 412), ("GET", 304), ("GET", 501)]
        {
            assert_eq!(Verdict::of(method, status), Verdict::Fine, "{method} {status}");
        }
        for (method, status) in [("PATCH", 404), ("POST", 409), ("GET", 400), ("POST", 503), ("PUT", 405)] {
            assert_eq!(Verdict::of(method, status), Verdict::Failed, "{method} {status}");
        }
    }
}
