//! Details of one user or group for the portal: current state, groups and history. Also the search in one configuration.

use serde_json::Value;

use crate::error::{Error, Reason, Result};
use crate::model::event::Event;
use crate::model::ids;
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::scim::fold;
use crate::store::Snapshot;
use crate::store::tables::directory::{self, CollectionPage, DirectoryFilter, DirectoryView};
use crate::store::tables::events;
use crate::store::tables::members::{self, LinkedResource};
use crate::store::tables::resources::{self, ResourceCollection, StoredResource};

/// Events on one page of the history.
const EVENTS_PER_PAGE: u32 = 20;
/// Maximum number of search results.
pub const RESULTS_MAX: usize = 50;

/// A user or group with its groups and history.
#[derive(Debug, Clone)]
pub struct ResourceDetails {
    /// The current row. `None` if it was deleted.
    pub stored: Option<StoredResource>,
    /// Its groups, and whether the membership is direct.
    pub groups: Vec<(LinkedResource, bool)>,
    /// Its events, newest first.
    pub history: Vec<Event>,
    /// Sequence number before which older events exist, if there are any.
    pub older: Option<i64>,
}

/// Returns the user or group with this id, also if it was deleted and its events are still stored. The history starts
/// before the event `before`, or with the newest event.
///
/// # Errors
/// `NotFound` if there is none.
pub fn find_resource_details(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_type: &str,
    id: &str,
    before: Option<i64>,
) -> Result<ResourceDetails> {
    let not_found = || Reason::ResourceNotFound.with("resource_type", resource_type.to_ascii_lowercase());
    if !ids::is_id(id) {
        return Err(not_found());
    }
    let stored = resources::find_resource_by_id(at, ResourceCollection { configuration, resource_type }, id)?;
    let mut history = events::list_resource_events(
        at,
        configuration,
        id,
        before.unwrap_or(i64::MAX),
        EVENTS_PER_PAGE.saturating_add(1),
    )?;
    let kind_prefix = format!("{}.", resource_type.to_ascii_lowercase());
    history.retain(|event| event.kind.starts_with(&kind_prefix));
    if stored.is_none() && history.is_empty() {
        return Err(not_found());
    }
    let per_page = usize::try_from(EVENTS_PER_PAGE).unwrap_or(usize::MAX);
    let has_more = history.len() > per_page;
    history.truncate(per_page);
    let older = history.last().filter(|_| has_more).map(|last| last.seq);
    let groups = match &stored {
        Some(stored) => members::list_effective_groups(at, stored, None)?.unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(ResourceDetails { stored, groups, history, older })
}

/// Returns the name of the user or group with this id, also if it was deleted and its last event is still stored.
pub fn find_resource_name(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_type: &str,
    id: &str,
) -> Result<Option<String>> {
    if let Some(stored) = resources::find_resource_by_id(at, ResourceCollection { configuration, resource_type }, id)? {
        return Ok(extract_name(&parse_stored_json(&stored.id, &stored.body)?));
    }
    let last = events::list_resource_events(at, configuration, id, i64::MAX, 1)?.pop();
    let Some(last) = last else { return Ok(None) };
    let payload = parse_stored_json("an event", &last.payload)?;
    Ok(payload.get("before").and_then(extract_name))
}

/// Returns the number of groups of a resource, also through nested groups.
pub fn count_groups(at: &Snapshot<'_>, stored: &StoredResource) -> Result<usize> {
    Ok(members::list_effective_groups(at, stored, None)?.map_or(0, |groups| groups.len()))
}

/// Parses the document of a resource, or the payload of an event.
pub fn parse_stored_json(subject: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|problem| Error::undecodable(format_args!("stored text of {subject}"), problem))
}

/// Returns the name in a resource: `userName`, or `displayName` if there is none.
pub fn extract_name(document: &Value) -> Option<String> {
    let text = |name| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("userName").or_else(|| text("displayName")).map(str::to_owned)
}

/// Returns the users or groups of a configuration whose name, e-mail address or `externalId` starts with the text, or whose id
/// equals it. At most [`RESULTS_MAX`].
pub fn search_resources(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_type: &str,
    text: &str,
) -> Result<Vec<StoredResource>> {
    let collection = ResourceCollection { configuration, resource_type };
    let mut found = find_exact_matches(at, collection, text)?;
    let key = fold::fold_case(text);
    found.extend(directory::list_resources_by_prefix(at, collection, (&key, text), RESULTS_MAX)?);
    let mut seen = std::collections::HashSet::new();
    found.retain(|one| seen.insert(one.key));
    found.truncate(RESULTS_MAX);
    Ok(found)
}

/// Resources whose `userName`, `externalId`, e-mail address or id equals the text.
pub(super) fn find_exact_matches(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    text: &str,
) -> Result<Vec<StoredResource>> {
    let key = fold::fold_case(text);
    let mut found: Vec<StoredResource> =
        resources::find_resource_by_user_name(at, collection, &key)?.into_iter().collect();
    let by_external_id = DirectoryFilter { external_id: Some(text.to_owned()), ..DirectoryFilter::default() };
    let (view, filter) = (DirectoryView::Current, &by_external_id);
    let page =
        CollectionPage { collection, view, filter, after: None, limit: RESULTS_MAX, bytes_max: ANSWER_MAX_BYTES };
    found.extend(directory::list_resources(at, &page)?.rows);
    found.extend(resources::list_resources_by_value(at, collection, ("emails.value", &key), RESULTS_MAX)?);
    if ids::is_id(text) {
        found.extend(resources::find_resource_by_id(at, collection, text)?);
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|one| seen.insert(one.key));
    Ok(found)
}
