//! Recording of SCIM calls for the request log. A request only hands over data that it has in memory. The text is created
//! later, when the call is written to the log, and secrets are removed then.

mod entry;
mod mask;
mod redact;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use serde_json::Value;

use crate::clock::Millis;
use crate::error::Error;
use crate::management::request_log::CallTarget;
use crate::model::configuration::ConfigurationKey;
use crate::model::request::{LOGGED_BODY_MAX_BYTES, TokenRefusal};
use crate::scim::dialect::DialectNotes;
use crate::scim::schema::ResourceType;
pub(super) use crate::web::request_log::entry::build_entry;
pub(super) use crate::web::request_log::mask::mask_call;
pub(super) use crate::web::request_log::redact::{is_path_complete, is_redacted};

/// The caller of a SCIM request.
#[derive(Debug, Clone)]
pub enum CallerIdentity {
    /// A caller with a valid token.
    Caller {
        /// The configuration.
        configuration: ConfigurationKey,
        /// Id of the token.
        token: String,
    },
    /// A caller without a valid token.
    Unauthenticated {
        /// The configuration in the path, or the configuration of an expired or revoked token.
        configuration: CallTarget,
        /// Id of an expired or revoked token of that configuration.
        token: Option<String>,
        /// The last characters of a token that has the format of this server's tokens.
        hint: Option<String>,
        /// Why the token was rejected; `None` if the route needs no token.
        refusal: Option<TokenRefusal>,
    },
    /// An OAuth client that requests an access token.
    TokenRequest {
        /// The configuration of the client, or the one in the path.
        configuration: CallTarget,
        /// Why the request was refused, if only the client can have caused it: the secret was right and has expired.
        refusal: Option<TokenRefusal>,
    },
}

impl CallerIdentity {
    /// For a caller without a valid token, returns the id of the requested configuration and the reason for the rejection.
    pub fn unauthenticated(&self) -> (Option<&str>, Option<TokenRefusal>) {
        match self {
            Self::Unauthenticated { configuration: CallTarget::Id(id), refusal, .. }
            | Self::TokenRequest { configuration: CallTarget::Id(id), refusal } => (Some(id), *refusal),
            Self::Unauthenticated { refusal, .. } | Self::TokenRequest { refusal, .. } => (None, *refusal),
            Self::Caller { .. } => (None, None),
        }
    }

    /// Returns the configuration of the call.
    pub fn configuration(&self) -> CallTarget {
        match self {
            Self::Caller { configuration, .. } => CallTarget::Key(configuration.key),
            Self::Unauthenticated { configuration: of, .. } | Self::TokenRequest { configuration: of, .. } => {
                of.clone()
            }
        }
    }
}

/// The call that an admin has sent again.
#[derive(Debug, Clone)]
pub struct ReplayOrigin {
    /// Its id.
    pub request_id: String,
    /// Name of the admin.
    pub actor: String,
}

/// A completed call.
#[derive(Debug)]
pub struct RecordedCall {
    /// The caller.
    pub caller: CallerIdentity,
    /// The `X-Request-Id` of the response.
    pub request_id: String,
    /// Network address of the caller.
    pub address: Option<IpAddr>,
    /// Time of the response.
    pub at: Millis,
    /// Time between the request and the response.
    pub duration: Duration,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The status of the response.
    pub status: u16,
    /// The `scimType` of an error, or an empty string.
    pub scim_type: &'static str,
    /// Why the request failed.
    pub error: Option<Error>,
    /// Type of the resource.
    pub resource_type: Option<Arc<ResourceType>>,
    /// Id of the resource, or the URL of a created resource.
    pub resource: Option<String>,
    /// What was normalized, skipped or ignored.
    pub notes: DialectNotes,
    /// Whether the call was a successful provisioning write.
    pub is_successful_write: bool,
    /// The body of the request.
    pub request_body: RecordedBody,
    /// The body of the response.
    pub response_body: RecordedBody,
    /// The call that this one repeats, if an admin sent it again.
    pub replay: Option<ReplayOrigin>,
}

impl RecordedCall {
    /// Returns the number of bytes of the bodies in memory.
    pub(super) fn body_bytes(&self) -> usize {
        self.request_body.bytes.len() + self.response_body.bytes.len()
    }

    /// Discards the body of the response, and that of the request if it is larger than `max` bytes, but not their lengths.
    pub(super) fn discard_large_bodies(&mut self, max: usize) {
        self.response_body.discard_bytes();
        if self.request_body.bytes.len() > max {
            self.request_body.discard_bytes();
        }
    }

    /// Whether the call is a read that succeeded.
    pub(super) fn is_successful_read(&self) -> bool {
        self.method.is_safe() && self.status < 400
    }

    /// Discards the bodies, but not their lengths.
    pub(super) fn discard_bodies(&mut self) {
        self.request_body.discard_bytes();
        self.response_body.discard_bytes();
    }
}

/// The recorded part of a body.
#[derive(Debug, Clone, Default)]
pub struct RecordedBody {
    bytes: Bytes,
    /// Original length; `None` if there was no body or the length is unknown.
    length: Option<u64>,
    /// Whether the passwords are already removed.
    is_redacted: bool,
    /// Whether the bytes were discarded.
    is_discarded: bool,
    /// Passwords that were removed.
    passwords: Vec<String>,
}

impl RecordedBody {
    /// Records a request body. A large document is redacted immediately, because only its beginning is stored.
    pub fn from_request(body: Bytes, parsed: Option<&Value>) -> Self {
        let length = Some(body.len() as u64);
        if body.len() <= LOGGED_BODY_MAX_BYTES {
            return Self { bytes: body, length, ..Self::default() };
        }
        let Some(value) = parsed else { return Self { length, is_discarded: true, ..Self::default() } };
        let redacted = redact::redact_json(value, LOGGED_BODY_MAX_BYTES);
        Self {
            bytes: redacted.text.into(),
            length,
            is_redacted: true,
            passwords: redacted.passwords,
            is_discarded: false,
        }
    }

    /// Records a body without secrets.
    pub fn from_redacted(text: String) -> Self {
        Self { length: Some(text.len() as u64), bytes: text.into(), is_redacted: true, ..Self::default() }
    }

    /// Records a response body. Responses contain no passwords.
    pub fn from_response(body: &[u8]) -> Self {
        Self::from_response_start(body[..body.len().min(LOGGED_BODY_MAX_BYTES)].to_vec(), body.len() as u64)
    }

    /// Records a response body that several responses have.
    pub fn from_shared_response(body: &Bytes) -> Self {
        let (start, length) = (body.slice(..body.len().min(LOGGED_BODY_MAX_BYTES)), Some(body.len() as u64));
        Self { bytes: start, length, is_redacted: true, ..Self::default() }
    }

    /// Records the start of a response body of this length.
    pub fn from_response_start(start: Vec<u8>, length: u64) -> Self {
        Self { bytes: start.into(), length: Some(length), is_redacted: true, ..Self::default() }
    }

    fn discard_bytes(&mut self) {
        self.is_discarded |= !self.bytes.is_empty();
        self.bytes = Bytes::new();
        self.passwords = Vec::new();
    }
}
