//! The stages that go through the stored data, table by table. A step reads a bounded number of rows outside of the transaction
//! that writes its result, and finds those about the user.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Result;
use crate::management::personal_data::progress::{Progress, WorkStage};
use crate::management::personal_data::stage::{
    BYTES_PER_STEP, FoundRow, RowFinding, StageContext, next_in_table, read_number_range,
};
use crate::management::personal_data::{erase, export};
use crate::model::ids;
use crate::model::personal_data::{ErasureSubject, SubjectMatcher};
use crate::store::Snapshot;
use crate::store::tables::personal_rows::{
    self as rows, AttemptTexts, NumberedTable, RowsFound, StoredAuditEntry, StoredDocument, StoredEvent,
};

/// Calls that one step reads: their bodies are unpacked.
const CALLS_PER_STEP: i64 = 200;
/// Rows that one step changes or writes to the file.
const FOUND_PER_STEP: usize = 100;
/// How far back the calls are read that were logged during an erasure, in milliseconds: they are stored up to some seconds late.
const LATE_CALLS_MS: i64 = 60_000;

/// What a step has found: items of the file of an export, or rows that an erasure changes.
#[derive(Debug, Default)]
pub(super) struct SectionStep {
    /// Items of the file.
    pub(super) items: Vec<Value>,
    /// Rows to change.
    pub(super) rows: Vec<FoundRow>,
    /// The next step.
    pub(super) next: Progress,
}

impl SectionStep {
    fn add(&mut self, finding: RowFinding) {
        match finding {
            RowFinding::Item(item) => self.items.push(item),
            RowFinding::Row(row) => self.rows.push(row),
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() + self.rows.len() >= FOUND_PER_STEP
    }
}

/// The matchers of the configurations, each built once.
pub(super) struct SubjectMatchers<'s> {
    subject: &'s ErasureSubject,
    built: BTreeMap<i64, SubjectMatcher<'s>>,
}

impl<'s> SubjectMatchers<'s> {
    /// Matchers for one step.
    pub(super) fn new(subject: &'s ErasureSubject) -> Self {
        Self { subject, built: BTreeMap::new() }
    }

    /// Returns the matcher of a configuration.
    pub(super) fn of_configuration(&mut self, key: i64) -> &SubjectMatcher<'s> {
        let subject = self.subject;
        self.built.entry(key).or_insert_with(|| SubjectMatcher::new(subject, Some(key)))
    }
}

/// Runs the reading part of a step.
pub(super) fn read_section(at: &Snapshot<'_>, context: &StageContext) -> Result<SectionStep> {
    let mut matchers = SubjectMatchers::new(&context.subject);
    match context.progress.stage {
        WorkStage::Users => read_users(at, context),
        WorkStage::HeldChanges => {
            let range = read_number_range(at, context, NumberedTable::HeldResources)?;
            let found = rows::list_held_documents(at, &context.keys, range)?;
            collect_rows(context, range.until, found, |held: &StoredDocument| {
                let matcher = matchers.of_configuration(held.configuration);
                if context.is_erasure() {
                    erase::examine_held(matcher, context, held)
                } else {
                    export::examine_held(matcher, context, held)
                }
            })
        }
        WorkStage::DeletedUsers => {
            let range = read_number_range(at, context, NumberedTable::Tombstones)?;
            let found = rows::list_tombstones(at, &context.keys, range)?;
            collect_rows(context, range.until, found, |tombstone: &StoredDocument| {
                let matcher = matchers.of_configuration(tombstone.configuration);
                if context.is_erasure() {
                    erase::examine_tombstone(matcher, context, tombstone)
                } else {
                    export::examine_tombstone(at, matcher, context, tombstone)
                }
            })
        }
        WorkStage::Events => {
            let range = read_number_range(at, context, NumberedTable::Events)?;
            let found = rows::list_events(at, &context.keys, range)?;
            collect_rows(context, range.until, found, |event: &StoredEvent| {
                let matcher = matchers.of_configuration(event.configuration);
                if context.is_erasure() {
                    erase::examine_event(matcher, context, event)
                } else {
                    export::examine_event(matcher, context, event)
                }
            })
        }
        WorkStage::AuditEntries => {
            let range = read_number_range(at, context, NumberedTable::Audit)?;
            let found = rows::list_audit_entries(at, context.row.account.key, range)?;
            let matcher = SubjectMatcher::for_audit(&context.subject);
            collect_rows(context, range.until, found, |entry: &StoredAuditEntry| {
                Ok(if context.is_erasure() {
                    erase::examine_audit_entry(&matcher, entry)
                } else {
                    export::examine_audit_entry(&matcher, context, entry)
                })
            })
        }
        WorkStage::WebhookAttempts => read_attempts(at, context, &mut matchers),
        _ => read_calls(at, context, &mut matchers),
    }
}

/// A row with its number.
trait NumberedRow {
    fn number(&self) -> i64;
}

impl NumberedRow for StoredDocument {
    fn number(&self) -> i64 {
        self.number
    }
}

impl NumberedRow for StoredEvent {
    fn number(&self) -> i64 {
        self.seq
    }
}

impl NumberedRow for StoredAuditEntry {
    fn number(&self) -> i64 {
        self.entry
    }
}

impl NumberedRow for AttemptTexts {
    fn number(&self) -> i64 {
        self.attempt
    }
}

/// Examines rows until the step is full.
fn collect_rows<T: NumberedRow>(
    context: &StageContext,
    until: i64,
    found: RowsFound<T>,
    mut examine: impl FnMut(&T) -> Result<Option<RowFinding>>,
) -> Result<SectionStep> {
    let mut step = SectionStep { next: next_in_table(context, until, &found), ..SectionStep::default() };
    for row in &found.rows {
        let Some(finding) = examine(row)? else { continue };
        step.add(finding);
        if step.is_full() {
            step.next = Progress { position: row.number(), until: Some(until), ..context.progress.clone() };
            break;
        }
    }
    Ok(step)
}

/// The users one after the other: an export reads some of them, and an erasure deletes one.
fn read_users(at: &Snapshot<'_>, context: &StageContext) -> Result<SectionStep> {
    let mut step =
        SectionStep { next: Progress::at_stage(WorkStage::Users.next(context.row.kind)), ..SectionStep::default() };
    for (id, configuration) in context.subject.users.range(context.progress.text.clone()..) {
        // A text that sorts directly after the id.
        let next = Progress { text: format!("{id}~"), ..context.progress.clone() };
        if context.is_erasure() {
            step.add(RowFinding::Row(FoundRow::User { configuration: *configuration, id: id.clone() }));
            step.next = next;
            return Ok(step);
        }
        let Some(item) = export::describe_user(at, context, (*configuration, id))? else { continue };
        step.add(RowFinding::Item(item));
        if step.is_full() {
            step.next = next;
            break;
        }
    }
    Ok(step)
}

fn read_attempts(at: &Snapshot<'_>, context: &StageContext, matchers: &mut SubjectMatchers<'_>) -> Result<SectionStep> {
    let range = read_number_range(at, context, NumberedTable::WebhookAttempts)?;
    let found = rows::list_attempt_texts(at, &context.keys, range)?;
    let mut step = collect_rows(context, range.until, found, |attempt: &AttemptTexts| {
        let matcher = matchers.of_configuration(attempt.configuration);
        Ok(if context.is_erasure() {
            erase::examine_attempt(matcher, attempt)
        } else {
            export::examine_attempt(matcher, context, attempt)
        })
    })?;
    if context.is_erasure() && context.progress.until.is_none() {
        for (webhook, configuration, text) in rows::list_lane_errors(at, &context.keys)? {
            if let Some(text) = matchers.of_configuration(configuration).erase_text(&text) {
                step.rows.push(FoundRow::Lane { webhook, configuration, text });
            }
        }
    }
    Ok(step)
}

/// Reads the logs of the configurations one after the other.
fn read_calls(at: &Snapshot<'_>, context: &StageContext, matchers: &mut SubjectMatchers<'_>) -> Result<SectionStep> {
    let Progress { stage, configuration, text, .. } = &context.progress;
    let mut step = SectionStep { next: Progress::at_stage(stage.next(context.row.kind)), ..SectionStep::default() };
    let current = context.configurations.iter().map(|(key, _)| *key).find(|key| key >= configuration);
    let Some(key) = current else { return Ok(step) };
    let is_begun = key == *configuration && !text.is_empty();
    let first = match stage {
        WorkStage::RecentRequests => ids::first_id_at(context.row.created_at - LATE_CALLS_MS),
        _ => String::new(),
    };
    let after = if is_begun { text } else { &first };
    let (calls, next) = rows::list_calls(at, key, after, (CALLS_PER_STEP, BYTES_PER_STEP))?;
    step.next = match next {
        Some(text) => Progress { configuration: key, text, ..context.progress.clone() },
        None => Progress { configuration: key + 1, text: String::new(), ..context.progress.clone() },
    };
    let matcher = matchers.of_configuration(key);
    for call in &calls {
        let finding = if context.is_erasure() {
            erase::examine_call(matcher, context, (key, call))
        } else {
            export::examine_call(matcher, context, (key, call))
        };
        let Some(finding) = finding else { continue };
        step.add(finding);
        if step.is_full() {
            step.next = Progress { configuration: key, text: call.id.clone(), ..context.progress.clone() };
            break;
        }
    }
    Ok(step)
}
