//! The steps of the work. Each reads in a snapshot and writes in a short transaction of its own; the row of the request says
//! where the work continues, also after a crash. A step that runs twice changes nothing the second time.

use std::path::Path;

use serde_json::json;

use crate::clock::{self, Millis};
use crate::error::Result;
use crate::management::backups;
use crate::management::personal_data::collect::{self, Collected};
use crate::management::personal_data::erase;
use crate::management::personal_data::progress::{BackupCopy, ErasureReceipt, Progress, WorkCounts, WorkStage};
use crate::management::personal_data::sections::{self, SectionStep};
use crate::management::personal_data::stage::{FoundRow, StageContext};
use crate::management::personal_data::{PARTS_PER_STEP, append_audit, decode};
use crate::model::audit_context::{AccountScope, AuditContext, Authority};
use crate::model::permission::Permissions;
use crate::model::personal_data::{EXPORT_MAX_BYTES, ErasureSubject, PersonalDataKind, PersonalDataSection};
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::personal_data::{self as rows, PersonalDataRow, StepResult};
use crate::store::tables::personal_rows;
use crate::store::{Snapshot, Tx};

/// The reading part of a step, and what it has found.
pub struct PlannedStep {
    context: StageContext,
    work: PlannedWork,
}

enum PlannedWork {
    Collect(Collected),
    Section(SectionStep),
    /// An export of the user to delete, if there is one.
    Exports(Option<i64>),
    ClearFiles,
    Complete,
    /// Calls from before the request may not be stored yet.
    Wait,
}

/// How long after the request its calls are read, in milliseconds: they are stored up to a second after their response.
const CALLS_STORED_MS: Millis = 3_000;

impl PlannedStep {
    /// Key of the request: the next step is one of another request, if there is one.
    pub fn request(&self) -> i64 {
        self.context.row.request
    }

    /// Id of the call that made the request. Its events name it.
    pub fn request_id(&self) -> Option<&str> {
        self.context.row.request_id.as_deref()
    }

    /// Whether the step must wait: plan it again later.
    pub fn is_early(&self) -> bool {
        matches!(self.work, PlannedWork::Wait)
    }

    /// Whether the log of the database must be cleared first: `Store::truncate_log`.
    pub fn clears_files(&self) -> bool {
        matches!(self.work, PlannedWork::ClearFiles)
    }
}

/// Reads the next step of the request after the one with the key `after`, or of the first one. `None` if no request runs.
pub fn plan_next_step(at: &Snapshot<'_>, after: i64, now: Millis) -> Result<Option<PlannedStep>> {
    rows::find_next_running(at, after)?.map(|row| plan_step(at, row, now)).transpose()
}

/// Reads the next step of the request with this id. `None` if it does not run.
pub fn plan_step_of(at: &Snapshot<'_>, id: &str, now: Millis) -> Result<Option<PlannedStep>> {
    let row = rows::find_request(at, id)?.filter(|row| row.completed_at.is_none());
    row.map(|row| plan_step(at, row, now)).transpose()
}

fn plan_step(at: &Snapshot<'_>, row: PersonalDataRow, now: Millis) -> Result<PlannedStep> {
    let progress: Progress = decode("progress", &row.progress)?;
    let subject = rows::find_subject(at, row.request)?;
    let subject = subject.map(|text| decode::<ErasureSubject>("subject", &text)).transpose()?.unwrap_or_default();
    let configurations = personal_rows::list_configurations(at, row.account.key)?;
    let keys: Vec<i64> = configurations.iter().map(|(key, _)| *key).collect();
    let keys = personal_rows::format_keys(&keys);
    let context = StageContext { row, progress, subject, configurations, keys };
    let last_calls = match context.row.kind {
        PersonalDataKind::Export => WorkStage::Requests,
        PersonalDataKind::Erasure => WorkStage::RecentRequests,
    };
    let work = match context.progress.stage {
        stage if stage == last_calls && now < context.row.created_at + CALLS_STORED_MS => PlannedWork::Wait,
        WorkStage::FindUsers | WorkStage::FindDeleted | WorkStage::FindEvents | WorkStage::CollectValues => {
            PlannedWork::Collect(collect::collect_subject(at, &context)?)
        }
        WorkStage::Exports => PlannedWork::Exports(find_export(at, &context)?),
        WorkStage::ClearFiles => PlannedWork::ClearFiles,
        WorkStage::Complete => PlannedWork::Complete,
        _ => PlannedWork::Section(sections::read_section(at, &context)?),
    };
    Ok(PlannedStep { context, work })
}

/// Returns an export of the account about the user.
fn find_export(at: &Snapshot<'_>, context: &StageContext) -> Result<Option<i64>> {
    let StageContext { row, subject, .. } = context;
    for export in rows::list_exports(at, row.account.key)? {
        let users: Vec<String> = decode("user ids", &export.user_ids)?;
        let is_own = export.email.is_some() && export.email == row.email
            || export.email.as_ref().is_some_and(|email| subject.addresses.contains(email))
            || export.user_id.iter().chain(&users).any(|id| subject.has_id(id));
        if is_own {
            return Ok(Some(export.request));
        }
    }
    Ok(None)
}

/// Returns the copies of the database that still contain what an erasure removes.
pub fn list_backup_copies(data_dir: &Path, folder: Option<&Path>) -> Vec<BackupCopy> {
    let found = backups::list_database_copies(data_dir, folder).into_iter();
    let describe = |copy: backups::DatabaseCopy| BackupCopy {
        file: copy.path.display().to_string(),
        created_at: copy.created_at.map(clock::format_rfc3339),
    };
    found.map(describe).collect()
}

/// Writes the result of a step. `copies` are needed if the step clears the files. Does nothing if another process has run the step.
///
/// # Errors
/// It can fail after its first change: run it with a savepoint.
pub fn apply_step(tx: &Tx<'_>, planned: &PlannedStep, copies: &[BackupCopy]) -> Result<()> {
    let context = &planned.context;
    let row = &context.row;
    if !rows::is_current(tx, row)? {
        return Ok(());
    }
    if row.kind == PersonalDataKind::Erasure {
        tx.allow_on_full_disk();
    }
    let mut counts: WorkCounts = decode("counts", &row.counts)?;
    let next = match &planned.work {
        PlannedWork::Wait => return Ok(()),
        PlannedWork::Collect(collected) => {
            rows::set_subject(tx, row.request, &json!(collected.subject).to_string())?;
            if collected.next.stage == WorkStage::Users {
                let ids: Vec<&String> = collected.subject.users.keys().collect();
                rows::set_users(tx, row.request, &json!(ids).to_string())?;
            }
            collected.next.clone()
        }
        PlannedWork::Section(step) => apply_section(tx, context, step, &mut counts)?,
        PlannedWork::Exports(Some(export)) => {
            if rows::delete_parts(tx, *export, PARTS_PER_STEP)? == 0 {
                rows::delete_request(tx, *export)?;
                counts.add("exports", 1);
            }
            context.progress.clone()
        }
        PlannedWork::Exports(None) => {
            rows::forget_subject(tx, row.request)?;
            append_completion(tx, row, &counts)?;
            Progress::at_stage(WorkStage::ClearFiles)
        }
        PlannedWork::ClearFiles => {
            let receipt = ErasureReceipt { backups: copies.to_vec() };
            rows::complete_request(tx, row, Some(&json!(receipt).to_string()))?;
            Progress::at_stage(WorkStage::Complete)
        }
        PlannedWork::Complete => {
            append_completion(tx, row, &counts)?;
            rows::complete_request(tx, row, None)?;
            Progress::at_stage(WorkStage::Complete)
        }
    };
    let result = StepResult { progress: &next.to_text(), counts: &json!(counts).to_string() };
    rows::save_step(tx, row.request, &result)
}

/// Writes the items of an export, or changes the rows of an erasure. Returns the next step.
fn apply_section(tx: &Tx<'_>, context: &StageContext, step: &SectionStep, counts: &mut WorkCounts) -> Result<Progress> {
    let Some(section) = context.progress.stage.section() else { return Ok(step.next.clone()) };
    if context.row.kind == PersonalDataKind::Export {
        append_items(tx, context, (section, step), counts)?;
        return Ok(step.next.clone());
    }
    counts.add(section.as_str(), 0);
    let mut deleted = 0;
    let actor = build_context(&context.row);
    let record = |configuration: &str, id: &str| {
        deleted += 1;
        let account = Some(&context.row.account);
        let entry = NewAuditEntry::new("user.erased", None, Some(json!({"personalDataRequest": context.row.id})));
        let entry = NewAuditEntry { account, configuration_id: Some(configuration), subject_id: Some(id), ..entry };
        audit::append_entry(tx, &actor, &entry)
    };
    let changed = erase::erase_rows(tx, context, &step.rows, record)?;
    counts.add(PersonalDataSection::Users.as_str(), deleted);
    let Some(changed) = changed else { return Ok(context.progress.clone()) };
    let is_user = step.rows.iter().any(|row| matches!(row, FoundRow::User { .. }));
    counts.add(section.as_str(), if is_user { 0 } else { changed });
    Ok(step.next.clone())
}

/// Writes items to the file, as long as it has room.
fn append_items(
    tx: &Tx<'_>,
    context: &StageContext,
    (section, step): (PersonalDataSection, &SectionStep),
    counts: &mut WorkCounts,
) -> Result<()> {
    counts.add(section.as_str(), step.items.len());
    let mut texts = Vec::new();
    for item in &step.items {
        let text = item.to_string();
        if counts.bytes + text.len() > EXPORT_MAX_BYTES {
            counts.omitted += 1;
            continue;
        }
        counts.bytes += text.len();
        texts.push(text);
    }
    if texts.is_empty() {
        return Ok(());
    }
    rows::insert_part(tx, context.row.request, section.as_str(), &texts.join(",\n"))
}

/// The context of the caller that made the request.
fn build_context(row: &PersonalDataRow) -> AuditContext {
    AuditContext {
        actor: row.actor.clone(),
        scope: AccountScope::Account(row.account.clone()),
        authority: Authority { permissions: Permissions::NONE, expires_at: None },
        address: row.address.clone(),
        request_id: row.request_id.clone(),
    }
}

fn append_completion(tx: &Tx<'_>, row: &PersonalDataRow, counts: &WorkCounts) -> Result<()> {
    let after = Some(json!({"kind": row.kind.as_str(), "counts": counts.found}));
    append_audit(tx, &build_context(row), &row.account, ("personal_data.completed", &row.id), after)
}
