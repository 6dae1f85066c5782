//! The export: the items of its file. Of rows about several users it has only the parts about this user.

use serde_json::{Map, Value, json};

use crate::clock::format_rfc3339;
use crate::error::Result;
use crate::management::configurations::holds;
use crate::management::personal_data::erase::is_user_name;
use crate::management::personal_data::erase::{erase_document, is_mentioned, read_call_texts};
use crate::management::personal_data::stage::{RowFinding, StageContext};
use crate::model::personal_data::SubjectMatcher;
use crate::model::request::LoggedCall;
use crate::provisioning::resource_details::parse_stored_json;
use crate::scim::schema::USER_TYPE;
use crate::store::Snapshot;
use crate::store::tables::members;
use crate::store::tables::passwords;
use crate::store::tables::personal_rows::{self as rows, AttemptTexts, StoredAuditEntry, StoredDocument, StoredEvent};
use crate::store::tables::resources::{self, ResourceCollection};

/// Returns the item of an existing user, or `None` if it does not exist.
pub(super) fn describe_user(
    at: &Snapshot<'_>,
    context: &StageContext,
    (configuration, id): (i64, &str),
) -> Result<Option<Value>> {
    let collection = ResourceCollection { configuration, resource_type: &USER_TYPE.name };
    let Some(stored) = resources::find_resource_by_id(at, collection, id)? else { return Ok(None) };
    let groups = members::list_effective_groups(at, &stored, None)?.unwrap_or_default();
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(group, direct)| json!({"value": group.id, "display": group.label, "direct": direct}))
        .collect();
    let protected = holds::list_protected_names(at, configuration, |name| is_user_name(context, configuration, name))?;
    let has_password = passwords::find_digest(at, &stored)?.is_some();
    Ok(Some(json!({
        "configurationId": context.configuration_id(configuration),
        "id": id,
        "version": stored.version,
        "created": format_rfc3339(stored.created_at),
        "lastModified": format_rfc3339(stored.last_modified),
        "attributes": parse_stored_json(id, &stored.body)?,
        "groups": groups,
        "hasPassword": has_password,
        "protectedAs": protected,
    })))
}

/// The item of a document of the user, or of the references to it in one of another resource.
fn describe_document(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    document: &StoredDocument,
) -> Result<Option<Map<String, Value>>> {
    let StoredDocument { id, configuration, .. } = document;
    let mut item = Map::new();
    item.insert("configurationId".to_owned(), json!(context.configuration_id(*configuration)));
    item.insert("id".to_owned(), json!(id));
    if context.subject.has_id(id) {
        let attributes = document.body.as_deref().map(|body| parse_stored_json(id, body)).transpose()?;
        item.insert("attributes".to_owned(), json!(attributes));
        return Ok(Some(item));
    }
    let Some(body) = document.body.as_deref().filter(|body| matcher.contains_id(body)) else { return Ok(None) };
    let references = matcher.extract_references(&parse_stored_json(id, body)?);
    if references.is_empty() {
        return Ok(None);
    }
    item.insert("references".to_owned(), json!(references));
    Ok(Some(item))
}

/// Examines a held state.
pub(super) fn examine_held(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    held: &StoredDocument,
) -> Result<Option<RowFinding>> {
    Ok(describe_document(matcher, context, held)?.map(|item| RowFinding::Item(Value::Object(item))))
}

/// Examines a tombstone.
pub(super) fn examine_tombstone(
    at: &Snapshot<'_>,
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    tombstone: &StoredDocument,
) -> Result<Option<RowFinding>> {
    let Some(mut item) = describe_document(matcher, context, tombstone)? else { return Ok(None) };
    item.insert("resourceType".to_owned(), json!(tombstone.resource_type));
    item.insert("deletedAt".to_owned(), json!(tombstone.deleted_at.map(format_rfc3339)));
    if context.subject.has_id(&tombstone.id) {
        item.insert("groupIds".to_owned(), json!(rows::list_tombstone_groups(at, tombstone.number)?));
    }
    Ok(Some(RowFinding::Item(Value::Object(item))))
}

/// Examines an event.
pub(super) fn examine_event(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    event: &StoredEvent,
) -> Result<Option<RowFinding>> {
    let is_own = event.resource_id.as_deref().is_some_and(|id| context.subject.has_id(id));
    if !is_own && !matcher.contains_id(&event.payload) {
        return Ok(None);
    }
    let payload = parse_stored_json("an event", &event.payload)?;
    let mut item = json!({
        "configurationId": context.configuration_id(event.configuration),
        "seq": event.seq,
        "kind": event.kind,
        "resourceId": event.resource_id,
        "createdAt": format_rfc3339(event.created_at),
        "published": event.is_published,
        "requestId": event.request_id,
    });
    if is_own {
        item["data"] = payload;
    } else {
        let references = matcher.extract_references(&payload);
        if references.is_empty() {
            return Ok(None);
        }
        item["references"] = json!(references);
    }
    Ok(Some(RowFinding::Item(item)))
}

/// Examines a logged call.
pub(super) fn examine_call(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    (configuration, call): (i64, &LoggedCall),
) -> Option<RowFinding> {
    let texts = read_call_texts(context, call);
    let mut item = json!({
        "configurationId": context.configuration_id(configuration),
        "id": call.id,
        "at": format_rfc3339(call.at),
        "address": call.address,
        "method": call.method,
        "path": call.path,
        "status": call.status,
        "resourceId": call.resource_id,
        "detail": call.detail,
    });
    if texts.is_own {
        item["request"] = json!(call.request.text.as_deref().map(read_body));
        item["response"] = json!(call.response.text.as_deref().map(read_body));
        return Some(RowFinding::Item(item));
    }
    let has_id = [Some(&call.path), call.request.text.as_ref(), call.response.text.as_ref()];
    let has_id = has_id.into_iter().flatten().any(|text| matcher.contains_id(text));
    if !has_id && matcher.erase_call(&texts).is_none() {
        return None;
    }
    let parts = |text: &Option<String>| {
        let value = text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        value.map(|value| matcher.extract_parts(&value)).unwrap_or_default()
    };
    item["requestParts"] = json!(parts(&call.request.text));
    item["responseParts"] = json!(parts(&call.response.text));
    Some(RowFinding::Item(item))
}

/// A logged body: JSON, or text if it was cut.
fn read_body(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Examines an audit entry.
pub(super) fn examine_audit_entry(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    entry: &StoredAuditEntry,
) -> Option<RowFinding> {
    let texts = [&entry.before, &entry.after];
    let is_subject = entry.subject_id.as_deref().is_some_and(|id| context.subject.has_id(id));
    let is_found = is_subject
        || texts.into_iter().flatten().any(|text| matcher.contains_id(text) || erase_document(matcher, text).is_some());
    let read = |text: &Option<String>| text.as_deref().map(read_body);
    is_found.then(|| {
        RowFinding::Item(json!({
            "configurationId": entry.configuration_id,
            "number": entry.entry,
            "at": format_rfc3339(entry.at),
            "action": entry.action,
            "actor": entry.actor_name,
            "subjectId": entry.subject_id,
            "before": read(&entry.before),
            "after": read(&entry.after),
        }))
    })
}

/// Examines an attempt of a webhook.
pub(super) fn examine_attempt(
    matcher: &SubjectMatcher<'_>,
    context: &StageContext,
    attempt: &AttemptTexts,
) -> Option<RowFinding> {
    let texts = [&attempt.error, &attempt.response];
    texts.into_iter().flatten().any(|text| is_mentioned(matcher, text)).then(|| {
        RowFinding::Item(json!({
            "configurationId": context.configuration_id(attempt.configuration),
            "attempt": attempt.attempt,
            "at": format_rfc3339(attempt.at),
            "error": attempt.error,
            "response": attempt.response,
        }))
    })
}
