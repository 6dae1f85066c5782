//! How far the work on a request is, what it found, and the receipt of an erasure, as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::personal_data::{PersonalDataKind, PersonalDataSection};
use crate::named_enum::named_enum;

named_enum! {
    /// A stage of the work.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum WorkStage {
        /// Users are searched by id and by address.
        #[default]
        FindUsers = "find_users",
        /// Deleted users that can be restored are searched.
        FindDeleted = "find_deleted",
        /// Users that were deleted for good are searched in the events.
        FindEvents = "find_events",
        /// The values of the users are collected from their events.
        CollectValues = "collect_values",
        /// Users are written to the file, or deleted.
        Users = "users",
        /// States that were published before a pause.
        HeldChanges = "held_changes",
        /// Deleted users that can be restored.
        DeletedUsers = "deleted_users",
        /// Events.
        Events = "events",
        /// Request logs.
        Requests = "requests",
        /// The audit log.
        AuditEntries = "audit_entries",
        /// Attempts of webhooks.
        WebhookAttempts = "webhook_attempts",
        /// Calls that were logged meanwhile.
        RecentRequests = "recent_requests",
        /// Exports of the user.
        Exports = "exports",
        /// The files are cleared of what was deleted.
        ClearFiles = "clear_files",
        /// Nothing is left to do.
        Complete = "complete",
    }
}

impl WorkStage {
    /// Returns the next stage of the work.
    pub(super) fn next(self, kind: PersonalDataKind) -> Self {
        let is_erasure = kind == PersonalDataKind::Erasure;
        match self {
            Self::FindUsers => Self::FindDeleted,
            Self::FindDeleted => Self::FindEvents,
            Self::FindEvents => Self::CollectValues,
            Self::CollectValues => Self::Users,
            Self::Users => Self::HeldChanges,
            Self::HeldChanges => Self::DeletedUsers,
            Self::DeletedUsers => Self::Events,
            Self::Events => Self::Requests,
            Self::Requests => Self::AuditEntries,
            Self::AuditEntries => Self::WebhookAttempts,
            Self::WebhookAttempts if is_erasure => Self::RecentRequests,
            Self::RecentRequests => Self::Exports,
            Self::Exports => Self::ClearFiles,
            Self::WebhookAttempts | Self::ClearFiles | Self::Complete => Self::Complete,
        }
    }

    /// The section of the data that the stage works on.
    pub(super) fn section(self) -> Option<PersonalDataSection> {
        Some(match self {
            Self::Users => PersonalDataSection::Users,
            Self::HeldChanges => PersonalDataSection::HeldChanges,
            Self::DeletedUsers => PersonalDataSection::DeletedUsers,
            Self::Events => PersonalDataSection::Events,
            Self::Requests | Self::RecentRequests => PersonalDataSection::Requests,
            Self::AuditEntries => PersonalDataSection::AuditEntries,
            Self::WebhookAttempts => PersonalDataSection::WebhookAttempts,
            _ => return None,
        })
    }
}

/// How far the work is. Without values of the user: those are stored apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    /// The stage.
    pub(super) stage: WorkStage,
    /// Number of the last row that was read.
    pub(super) position: i64,
    /// Last row of the stage. `None` before its first step.
    pub(super) until: Option<i64>,
    /// Key of the configuration whose calls are read, and id of the last call.
    pub(super) configuration: i64,
    /// Id of the last call, or of the user.
    pub(super) text: String,
}

impl Progress {
    /// The start of a stage.
    pub(super) fn at_stage(stage: WorkStage) -> Self {
        Self { stage, ..Self::default() }
    }

    /// The stored text.
    pub(super) fn to_text(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct WorkCounts {
    /// Rows, by section.
    pub(super) found: BTreeMap<String, u64>,
    /// Bytes in the file of an export.
    pub(super) bytes: usize,
    /// Items that were left out of it.
    pub(super) omitted: u64,
}

impl WorkCounts {
    /// Adds to the number of a section.
    pub(super) fn add(&mut self, section: &str, count: usize) {
        *self.found.entry(section.to_owned()).or_default() += u64::try_from(count).unwrap_or(u64::MAX);
    }
}

/// A backup that was made before the end of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupCopy {
    /// Path of the file.
    pub file: String,
    /// When it was made, in RFC 3339 format. `None` if it is being written.
    pub created_at: Option<String>,
}

/// What an erasure could not remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErasureReceipt {
    /// Backups.
    pub(super) backups: Vec<BackupCopy>,
}
