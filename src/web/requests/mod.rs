//! Calls of identity providers on their way to the request log. The request pays for handing over what it has anyway;
//! text is made, and secrets are taken out of it, when it is written down.

mod entry;
mod mask;
mod redact;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use serde_json::Value;

pub(super) use self::entry::write_out;
pub(super) use self::mask::masked;
use crate::clock::Millis;
use crate::directory::requests::Of;
use crate::model::request::{BODY_KEPT_MAX_BYTES, Refusal};
use crate::scim::dialect::Notes;
use crate::scim::schema::ResourceType;

/// Who called.
#[derive(Debug, Clone)]
pub enum Who {
    /// Somebody with a right token.
    Caller {
        /// Key of the configuration.
        configuration: i64,
        /// Id of the token.
        token: String,
    },
    /// Somebody without.
    Stranger {
        /// The configuration that the path names or that a dead token belongs to.
        of: Of,
        /// Id of a dead token of that configuration.
        token: Option<String>,
        /// The last characters of a token of our form.
        hint: Option<String>,
        /// What was wrong; nothing where no token is asked.
        refusal: Option<Refusal>,
    },
}

impl Who {
    /// For somebody without a right token: the configuration whose id was given, and what was wrong.
    pub fn stranger(&self) -> (Option<&str>, Option<Refusal>) {
        match self {
            Self::Stranger { of: Of::Id(id), refusal, .. } => (Some(id), *refusal),
            Self::Stranger { refusal, .. } => (None, *refusal),
            Self::Caller { .. } => (None, None),
        }
    }

    /// The configuration that the call is about.
    pub fn of(&self) -> Of {
        match self {
            Self::Caller { configuration, .. } => Of::Key(*configuration),
            Self::Stranger { of, .. } => of.clone(),
        }
    }
}

/// One call that was answered.
#[derive(Debug)]
pub struct Call {
    /// Who called.
    pub who: Who,
    /// The `X-Request-Id` of the answer.
    pub request_id: String,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// When it was answered.
    pub at: Millis,
    /// How long that took.
    pub took: Duration,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The status of the answer.
    pub status: u16,
    /// The `scimType` of a refusal, empty where there is none.
    pub scim_type: &'static str,
    /// Type of the resource that it was about.
    pub resource_type: Option<Arc<ResourceType>>,
    /// Id of that resource, or the URL of one that was made.
    pub resource: Option<String>,
    /// What was normalised, skipped or ignored.
    pub notes: Notes,
    /// Whether it was a provisioning write that succeeded.
    pub wrote: bool,
    /// What was sent.
    pub sent: Kept,
    /// What was answered.
    pub answered: Kept,
}

impl Call {
    /// Bytes of its bodies in memory.
    pub(super) fn body_bytes(&self) -> usize {
        self.sent.bytes.len() + self.answered.bytes.len()
    }

    /// Lets its bodies go and keeps their lengths.
    pub(super) fn drop_bodies(&mut self) {
        self.sent.drop_bytes();
        self.answered.drop_bytes();
    }
}

/// What was kept of a body.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    bytes: Bytes,
    /// Length as it was sent; none where there was no body, or where nobody knows.
    length: Option<u64>,
    /// Whether passwords are out of it already.
    is_clean: bool,
    /// Whether the bytes were let go.
    is_dropped: bool,
    /// Passwords that were taken out of it.
    passwords: Vec<String>,
}

impl Kept {
    /// What a client sent. A large document is redacted at once, because only its beginning is kept.
    pub fn request(body: Bytes, read: Option<&Value>) -> Self {
        let length = Some(body.len() as u64);
        if body.len() <= BODY_KEPT_MAX_BYTES {
            return Self { bytes: body, length, ..Self::default() };
        }
        let Some(value) = read else { return Self { length, is_dropped: true, ..Self::default() } };
        let redacted = redact::json(value, BODY_KEPT_MAX_BYTES);
        Self { bytes: redacted.text.into(), length, is_clean: true, passwords: redacted.passwords, is_dropped: false }
    }

    /// What was answered: nothing that we send holds a password.
    pub fn response(body: &[u8]) -> Self {
        let kept = &body[..body.len().min(BODY_KEPT_MAX_BYTES)];
        let length = Some(body.len() as u64);
        Self { bytes: Bytes::copy_from_slice(kept), length, is_clean: true, ..Self::default() }
    }

    fn drop_bytes(&mut self) {
        self.is_dropped |= !self.bytes.is_empty();
        self.bytes = Bytes::new();
        self.passwords = Vec::new();
    }
}
