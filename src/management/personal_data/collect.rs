//! The first stages: which users a request is about, and the values of their attributes, now and in earlier versions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::management::personal_data::progress::{Progress, WorkStage};
use crate::management::personal_data::stage::{StageContext, next_in_table, read_number_range};
use crate::model::personal_data::{ErasureSubject, USERS_MAX, list_own_addresses};
use crate::provisioning::resource_details::parse_stored_json;
use crate::scim::fold::fold_case;
use crate::store::Snapshot;
use crate::store::tables::personal_rows::{self as rows, MatchedUser, NumberedTable};

/// Events of one user that one step reads.
const EVENTS_PER_STEP: usize = 200;

/// Most addresses of the users that are compared with those of other users.
const ADDRESSES_MAX: usize = 50;

/// What a step of these stages has found.
pub(super) struct Collected {
    /// The user, with what was found.
    pub(super) subject: ErasureSubject,
    /// The next step.
    pub(super) next: Progress,
}

/// Runs a step of one of the first stages.
pub(super) fn collect_subject(at: &Snapshot<'_>, context: &StageContext) -> Result<Collected> {
    let mut subject = context.subject.clone();
    let next = match context.progress.stage {
        WorkStage::FindUsers => {
            find_users(at, context, &mut subject)?;
            // Without an address there is nothing to search for.
            let stage = if subject.selectors.is_empty() { WorkStage::CollectValues } else { WorkStage::FindDeleted };
            Progress::at_stage(stage)
        }
        WorkStage::FindDeleted => find_deleted_users(at, context, &mut subject)?,
        WorkStage::FindEvents => find_users_in_events(at, context, &mut subject)?,
        _ => collect_values(at, context, &mut subject)?,
    };
    Ok(Collected { subject, next })
}

fn parse_document(subject: &str, body: &str) -> Result<Map<String, Value>> {
    match parse_stored_json(subject, body)? {
        Value::Object(document) => Ok(document),
        _ => Ok(Map::new()),
    }
}

/// Adds a user, unless there are too many already.
fn add_user(subject: &mut ErasureSubject, found: &MatchedUser) -> Result<()> {
    if subject.users.len() >= USERS_MAX && !subject.has_id(&found.id) {
        tracing::warn!(max = USERS_MAX, "a request for personal data matches more users than it may");
        return Ok(());
    }
    subject.users.insert(found.id.clone(), found.configuration);
    if let Some(body) = &found.body {
        subject.add_document(found.configuration, &parse_document(&found.id, body)?);
    }
    Ok(())
}

/// Finds the users of the request that exist.
fn find_users(at: &Snapshot<'_>, context: &StageContext, subject: &mut ErasureSubject) -> Result<()> {
    if let Some(email) = &context.row.email {
        subject.selectors.insert(fold_case(email).into_owned());
    }
    if let Some(id) = &context.row.user_id {
        let states = rows::find_user_by_id(at, id)?;
        let own: Vec<MatchedUser> =
            states.into_iter().filter(|found| context.has_configuration(found.configuration)).collect();
        for found in &own {
            add_user(subject, found)?;
            if let Some(body) = &found.body {
                subject.selectors.extend(list_own_addresses(&parse_document(id, body)?));
            }
        }
        if own.is_empty() {
            find_user_in_own_events(at, context, id, subject)?;
        }
    }
    for (configuration, _) in &context.configurations {
        for address in subject.selectors.clone() {
            for found in rows::list_users_by_address(at, *configuration, &address)? {
                add_user(subject, &found)?;
            }
        }
    }
    Ok(())
}

/// Finds a user by its id of which only events are left.
fn find_user_in_own_events(
    at: &Snapshot<'_>,
    context: &StageContext,
    id: &str,
    subject: &mut ErasureSubject,
) -> Result<()> {
    for (_, configuration, payload) in rows::list_user_payloads(at, id, 0, EVENTS_PER_STEP)? {
        if context.has_configuration(configuration) {
            subject.users.insert(id.to_owned(), configuration);
            for document in list_documents(&payload)? {
                subject.selectors.extend(list_own_addresses(&document));
            }
        }
    }
    Ok(())
}

/// The states of a user in the payload of an event.
fn list_documents(payload: &str) -> Result<Vec<Map<String, Value>>> {
    let mut payload = parse_document("an event", payload)?;
    let states = ["before", "after"].into_iter().filter_map(|name| payload.remove(name));
    Ok(states.filter_map(|state| if let Value::Object(document) = state { Some(document) } else { None }).collect())
}

/// Whether a text can contain one of the addresses of the request.
fn may_be_selected(subject: &ErasureSubject, text: &str) -> bool {
    let lower = fold_case(text);
    text.contains("\\u") || subject.selectors.iter().any(|address| lower.contains(address.as_str()))
}

fn find_deleted_users(at: &Snapshot<'_>, context: &StageContext, subject: &mut ErasureSubject) -> Result<Progress> {
    let range = read_number_range(at, context, NumberedTable::Tombstones)?;
    let found = rows::list_tombstones(at, &context.keys, range)?;
    for tombstone in &found.rows {
        let body = tombstone.body.as_deref().unwrap_or_default();
        let is_user = tombstone.resource_type == "User" && may_be_selected(subject, body);
        if is_user && subject.is_selected(&parse_document(&tombstone.id, body)?) && !rows::has_user(at, &tombstone.id)?
        {
            let user = MatchedUser {
                configuration: tombstone.configuration,
                id: tombstone.id.clone(),
                body: tombstone.body.clone(),
            };
            add_user(subject, &user)?;
        }
    }
    Ok(next_in_table(context, range.until, &found))
}

/// Finds users that were deleted for good. A user that exists and had the address once is another one: the address can have been
/// given to a new user.
fn find_users_in_events(at: &Snapshot<'_>, context: &StageContext, subject: &mut ErasureSubject) -> Result<Progress> {
    let range = read_number_range(at, context, NumberedTable::Events)?;
    let found = rows::list_events(at, &context.keys, range)?;
    for event in &found.rows {
        let Some(id) = event.resource_id.as_deref().filter(|id| !subject.has_id(id)) else { continue };
        if !event.kind.starts_with("user.") || !may_be_selected(subject, &event.payload) {
            continue;
        }
        let is_selected = list_documents(&event.payload)?.iter().any(|document| subject.is_selected(document));
        if is_selected && !rows::has_user(at, id)? {
            add_user(subject, &MatchedUser { configuration: event.configuration, id: id.to_owned(), body: None })?;
        }
    }
    Ok(next_in_table(context, range.until, &found))
}

/// Collects the values of the users from their events, one user after the other.
fn collect_values(at: &Snapshot<'_>, context: &StageContext, subject: &mut ErasureSubject) -> Result<Progress> {
    let Progress { text, position, .. } = &context.progress;
    let current = subject.users.range(text.clone()..).next().map(|(id, _)| id.clone());
    let Some(id) = current else {
        add_addresses(at, context, subject)?;
        return Ok(Progress::at_stage(WorkStage::Users));
    };
    let after = if id == *text { *position } else { 0 };
    let events = rows::list_user_payloads(at, &id, after, EVENTS_PER_STEP)?;
    for (_, configuration, payload) in &events {
        if context.has_configuration(*configuration) {
            for document in list_documents(payload)? {
                subject.add_document(*configuration, &document);
            }
        }
    }
    let last = events.last().map(|(seq, ..)| *seq).filter(|_| events.len() >= EVENTS_PER_STEP);
    Ok(match last {
        Some(position) => Progress { position, text: id, ..context.progress.clone() },
        // A text that sorts directly after the id.
        None => Progress { position: 0, text: format!("{id}~"), ..context.progress.clone() },
    })
}

/// Decides which addresses are replaced wherever they are found: those of the request, and those of its users that no other user
/// has now.
fn add_addresses(at: &Snapshot<'_>, context: &StageContext, subject: &mut ErasureSubject) -> Result<()> {
    let values = subject.configurations.values();
    let names: BTreeSet<String> = values
        .flat_map(|values| values.user_names.iter().chain(&values.identity))
        .filter(|text| is_address(text))
        .cloned()
        .collect();
    let mut addresses = subject.selectors.clone();
    for address in names.into_iter().take(ADDRESSES_MAX) {
        if !addresses.contains(&address) && !has_other_user(at, context, subject, &address)? {
            addresses.insert(address);
        }
    }
    subject.addresses = addresses;
    Ok(())
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.')) && !text.contains(' ')
}

fn has_other_user(at: &Snapshot<'_>, context: &StageContext, subject: &ErasureSubject, address: &str) -> Result<bool> {
    for (configuration, _) in &context.configurations {
        let found = rows::list_users_by_address(at, *configuration, address)?;
        if found.iter().any(|user| !subject.has_id(&user.id)) {
            return Ok(true);
        }
    }
    Ok(false)
}
