//! Requests to export or to erase the personal data of one user: what is requested, and how the user is recognized in
//! documents and texts.

mod matcher;
mod subject;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::model::admin::normalize_email;
use crate::model::ids;
use crate::named_enum::named_enum;

pub use matcher::{CallTexts, ERASED, SubjectMatcher};
pub use subject::{ConfigurationValues, ErasureSubject, list_addresses, list_own_addresses};

/// Most requests of an account that run at the same time.
pub const OPEN_REQUESTS_MAX: usize = 5;
/// Most files of exports that are stored for an account.
pub const STORED_EXPORTS_MAX: usize = 20;
/// Most bytes of the items in the file of an export. Further ones are counted and left out.
pub const EXPORT_MAX_BYTES: usize = 32 << 20;
/// Most users that one request finds.
pub const USERS_MAX: usize = 100;
/// How long the file of an export is stored, in milliseconds.
pub const EXPORT_RETENTION_MS: Millis = 7 * 24 * 60 * 60 * 1_000;

named_enum! {
    /// What is done with the personal data.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum PersonalDataKind {
        /// It is written to a file.
        Export = "export",
        /// The user is deleted, and the data is removed.
        Erasure = "erasure",
    }
}

named_enum! {
    /// The state of a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum PersonalDataState {
        /// The work goes on.
        Running = "running",
        /// The work is complete.
        Done = "done",
    }
}

named_enum! {
    /// A part of the stored data. The names are those of the members in the file of an export, and of the counts.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum PersonalDataSection {
        /// Users, with their attributes and groups.
        Users = "users",
        /// Deleted users that can be restored, and references to the user in other deleted users.
        DeletedUsers = "deletedUsers",
        /// States that were published before a pause.
        HeldChanges = "heldChanges",
        /// Events about the user and its memberships.
        Events = "events",
        /// Calls in the request logs.
        Requests = "requests",
        /// Entries of the audit log.
        AuditEntries = "auditEntries",
        /// Answers of webhook endpoints, and their errors.
        WebhookAttempts = "webhookAttempts",
    }
}

/// The user that a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectSelector {
    /// The user with this id, and the users with the same address in other configurations of the account.
    UserId(String),
    /// The users with this e-mail address, in lowercase.
    Email(String),
}

impl SubjectSelector {
    /// Reads the arguments of a request, of which exactly one is given.
    ///
    /// # Errors
    /// `PersonalDataSubjectInvalid` if it is not exactly one, or if the id does not have the form of an id; `EmailInvalid`.
    pub fn parse(user_id: Option<&str>, email: Option<&str>) -> Result<Self> {
        match (user_id.map(str::trim), email.map(str::trim)) {
            (Some(id), None) => {
                let id = id.to_ascii_lowercase();
                if ids::is_id(&id) {
                    Ok(Self::UserId(id))
                } else {
                    Err(Reason::PersonalDataSubjectInvalid.on_field("userId"))
                }
            }
            (None, Some(email)) => normalize_email(email).map(Self::Email),
            _ => Err(Reason::PersonalDataSubjectInvalid.into()),
        }
    }

    /// Reads one text: an id, or an e-mail address.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub fn parse_text(text: &str) -> Result<Self> {
        if text.contains('@') { Self::parse(None, Some(text)) } else { Self::parse(Some(text), None) }
    }

    /// The id, if the user is selected by it.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::UserId(id) => Some(id),
            Self::Email(_) => None,
        }
    }

    /// The e-mail address, if the user is selected by it.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::UserId(_) => None,
            Self::Email(email) => Some(email),
        }
    }
}

#[cfg(test)]
mod tests;
