//! The erasure: which rows it changes, and the change. Ids, kinds, versions and counts stay.

use serde_json::{Value, json};

use crate::error::Result;
use crate::management::configurations::holds;
use crate::management::personal_data::stage::{FoundRow, RowFinding, StageContext};
use crate::model::event::REDACTED;
use crate::model::personal_data::{CallTexts, ERASED, SubjectMatcher};
use crate::model::request::LoggedCall;
use crate::provisioning::purge;
use crate::provisioning::resource_details::parse_stored_json;
use crate::scim::fold::fold_case;
use crate::scim::schema::USER_TYPE;
use crate::store::Tx;
use crate::store::tables::events::PURGED;
use crate::store::tables::personal_rows::{self as rows, AttemptTexts, StoredAuditEntry, StoredDocument, StoredEvent};
use crate::store::tables::tombstones;

/// Whether a document of another user or group refers to the user.
fn has_references(matcher: &SubjectMatcher<'_>, id: &str, body: Option<&str>) -> Result<bool> {
    let Some(body) = body.filter(|body| matcher.contains_id(body)) else { return Ok(false) };
    Ok(!matcher.extract_references(&parse_stored_json(id, body)?).is_empty())
}

/// Examines a held state.
pub(super) fn examine_held(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    held: &StoredDocument,
) -> Result<Option<RowFinding>> {
    let body = held.body.as_deref();
    let is_own = context.subject.has_id(&held.id) && body.is_some_and(|body| body != build_erased_body());
    let is_found = is_own || has_references(matcher, &held.id, body)? && !is_clean(matcher, &held.id, body)?;
    Ok(is_found.then_some(RowFinding::Row(FoundRow::Held { number: held.number })))
}

/// Whether the references in a document have nothing but the id.
fn is_clean(matcher: &SubjectMatcher<'_>, id: &str, body: Option<&str>) -> Result<bool> {
    let Some(body) = body else { return Ok(true) };
    Ok(!matcher.erase_references(&mut parse_stored_json(id, body)?))
}

/// The document of a user in a state that is held: the events of the end of the pause need one.
fn build_erased_body() -> String {
    json!({"schemas": [USER_TYPE.schema.id], "userName": ERASED}).to_string()
}

/// Examines a tombstone.
pub(super) fn examine_tombstone(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    tombstone: &StoredDocument,
) -> Result<Option<RowFinding>> {
    let body = tombstone.body.as_deref();
    let is_found = context.subject.has_id(&tombstone.id) || !is_clean_document(matcher, &tombstone.id, body)?;
    Ok(is_found.then_some(RowFinding::Row(FoundRow::Tombstone { number: tombstone.number })))
}

fn is_clean_document(matcher: &SubjectMatcher<'_>, id: &str, body: Option<&str>) -> Result<bool> {
    match body.filter(|body| matcher.contains_id(body)) {
        Some(body) => is_clean(matcher, id, Some(body)),
        None => Ok(true),
    }
}

/// Examines an event. Events about the user lose their data, and events about memberships and references the names.
pub(super) fn examine_event(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    event: &StoredEvent,
) -> Result<Option<RowFinding>> {
    let StoredEvent { seq, payload, .. } = event;
    let is_own = event.resource_id.as_deref().is_some_and(|id| context.subject.has_id(id));
    let after = if is_own {
        redact_payload(payload, &event.kind)?
    } else if matcher.contains_id(payload) {
        let mut value = parse_stored_json("an event", payload)?;
        if !matcher.erase_references(&mut value) {
            return Ok(None);
        }
        value.to_string()
    } else {
        return Ok(None);
    };
    let is_changed = after != *payload;
    let row = || FoundRow::Event { seq: *seq, before: payload.clone(), after };
    Ok(is_changed.then(|| RowFinding::Row(row())))
}

/// Returns a payload with the version and without the data, as after a purge. Readers skip redacted events, but not deletions.
fn redact_payload(payload: &str, kind: &str) -> Result<String> {
    let mark = if kind.ends_with(".deleted") { PURGED } else { REDACTED };
    let value = parse_stored_json("an event", payload)?;
    Ok(match (value.get("version"), value.get("lastModified")) {
        (Some(version), Some(modified)) => format!("{{\"version\":{version},\"lastModified\":{modified},{mark}}}"),
        _ => format!("{{{mark}}}"),
    })
}

/// Examines a logged call.
pub(super) fn examine_call(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    (configuration, call): (i64, &LoggedCall),
) -> Option<RowFinding> {
    let texts = read_call_texts(context, call);
    let CallTexts { path, detail, notes, request, response, .. } = matcher.erase_call(&texts)?;
    let mut erased = call.clone();
    (erased.path, erased.detail, erased.notes) = (path, detail, notes);
    (erased.request.text, erased.response.text) = (request, response);
    Some(RowFinding::Row(FoundRow::Call { configuration, call: Box::new(erased) }))
}

/// Returns the texts of a logged call.
pub(super) fn read_call_texts(context: &StageContext, call: &LoggedCall) -> CallTexts {
    CallTexts {
        is_own: call.resource_id.as_deref().is_some_and(|id| context.subject.has_id(id)),
        path: call.path.clone(),
        detail: call.detail.clone(),
        notes: call.notes.clone(),
        request: call.request.text.clone(),
        response: call.response.text.clone(),
    }
}

/// Examines an audit entry.
pub(super) fn examine_audit_entry(matcher: &SubjectMatcher<'_>, entry: &StoredAuditEntry) -> Option<RowFinding> {
    let texts = [&entry.before, &entry.after];
    let is_found = texts.into_iter().flatten().any(|text| erase_document(matcher, text).is_some());
    is_found.then_some(RowFinding::Row(FoundRow::Audit { entry: entry.entry }))
}

/// Returns a JSON text without the data of the user, or `None` if it has none.
pub(super) fn erase_document(matcher: &SubjectMatcher<'_>, text: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    matcher.erase_json(&mut value).then(|| value.to_string())
}

/// Examines an attempt of a webhook. Its texts are those of the endpoint, and are removed as a whole.
pub(super) fn examine_attempt(matcher: &SubjectMatcher<'_>, attempt: &AttemptTexts) -> Option<RowFinding> {
    let texts = [&attempt.error, &attempt.response];
    let is_found = texts.into_iter().flatten().any(|text| is_mentioned(matcher, text));
    is_found.then_some(RowFinding::Row(FoundRow::Attempt { attempt: attempt.attempt }))
}

/// Whether a text of another program names the user.
pub(super) fn is_mentioned(matcher: &SubjectMatcher<'_>, text: &str) -> bool {
    matcher.is_in_fragment(text)
}

/// Changes the rows that a step has found. Returns how many of them are counted, or `None` if the first one is a user whose
/// deletion needs more steps.
pub(super) fn erase_rows(
    tx: &Tx<'_>,
    context: &StageContext,
    found: &[FoundRow],
    mut record_user: impl FnMut(&str, &str) -> Result<()>,
) -> Result<Option<usize>> {
    tx.allow_on_full_disk();
    let mut count = 0;
    for row in found {
        tx.check_deadline()?;
        match row {
            FoundRow::User { configuration, id } => {
                let existed = rows::has_user(tx, id)?;
                holds::end_protection(tx, *configuration, |name| is_user_name(context, *configuration, name))?;
                let is_gone = purge::remove_user(tx, *configuration, id)?;
                if existed && !rows::has_user(tx, id)? {
                    record_user(context.configuration_id(*configuration), id)?;
                }
                if !is_gone {
                    return Ok(None);
                }
                continue;
            }
            FoundRow::Held { number } => erase_held(tx, context, *number)?,
            FoundRow::Tombstone { number } => erase_tombstone(tx, context, *number)?,
            FoundRow::Event { seq, before, after } => {
                rows::set_payload(tx, *seq, (before, after))?;
            }
            FoundRow::Call { configuration, call } => rows::set_call_texts(tx, *configuration, call)?,
            FoundRow::Audit { entry } => erase_audit_entry(tx, context, *entry)?,
            FoundRow::Attempt { attempt } => rows::clear_attempt_texts(tx, *attempt)?,
            FoundRow::Lane { webhook, configuration, text } => {
                rows::set_lane_error(tx, (*webhook, *configuration), text)?;
                continue;
            }
        }
        count += 1;
    }
    Ok(Some(count))
}

/// Whether a name is a `userName`, an `externalId` or an address of the user.
pub(super) fn is_user_name(context: &StageContext, configuration: i64, name: &str) -> bool {
    let (subject, name) = (&context.subject, fold_case(name));
    let values = subject.configurations.get(&configuration);
    let is_own = values.is_some_and(|own| own.user_names.contains(&*name) || own.external_ids.contains(&*name));
    is_own || subject.addresses.contains(&*name) || subject.selectors.contains(&*name)
}

/// The row can have changed since it was read: a row number is used again.
fn erase_held(tx: &Tx<'_>, context: &StageContext, number: i64) -> Result<()> {
    let Some((id, Some(body))) = rows::find_held_document(tx, number)? else { return Ok(()) };
    if context.subject.has_id(&id) {
        return rows::erase_held_user(tx, (number, &id), (&build_erased_body(), &fold_case(ERASED)));
    }
    let mut value = parse_stored_json(&id, &body)?;
    let matcher = SubjectMatcher::new(&context.subject, None);
    if matcher.erase_references(&mut value) { rows::set_held_body(tx, number, &value.to_string()) } else { Ok(()) }
}

fn erase_tombstone(tx: &Tx<'_>, context: &StageContext, number: i64) -> Result<()> {
    let Some((id, body)) = rows::find_tombstone_body(tx, number)? else { return Ok(()) };
    if context.subject.has_id(&id) {
        return tombstones::delete_tombstone(tx, number);
    }
    let mut value = parse_stored_json(&id, &body)?;
    let matcher = SubjectMatcher::new(&context.subject, None);
    if matcher.erase_references(&mut value) { rows::set_tombstone_body(tx, number, &value.to_string()) } else { Ok(()) }
}

fn erase_audit_entry(tx: &Tx<'_>, context: &StageContext, number: i64) -> Result<()> {
    let Some(entry) = rows::find_audit_entry(tx, number)? else { return Ok(()) };
    let matcher = SubjectMatcher::for_audit(&context.subject);
    let erase = |text: Option<String>| text.map(|text| erase_document(&matcher, &text).unwrap_or(text));
    let (before, after) = (erase(entry.before), erase(entry.after));
    rows::set_audit_values(tx, number, before.as_deref(), after.as_deref())
}
