//! A user or group as people look at it: what it is now, where it belongs, and what happened to it. And how it is found.

use serde_json::Value;

use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::actor::Reach;
use crate::model::event::Event;
use crate::model::ids;
use crate::model::request::LoggedCall;
use crate::scim::text;
use crate::store::members::{self, Linked};
use crate::store::people::{self, Filter, Source, View};
use crate::store::resources::{self, Collection, Stored};
use crate::store::{Snapshot, events, requests};

use super::people::Found;

/// Events on a page of history.
const EVENTS_PER_PAGE: u32 = 20;
/// Most resources that a look-up shows.
pub const LOOKED_UP_MAX: usize = 50;
/// Configurations that a search across them looks into.
const SOURCES_MAX: u32 = 1_000;
/// Configurations whose calls are searched for somebody who is nowhere, and how many calls of each.
const SEARCHED_LOGS: usize = 20;
const SEARCHED_CALLS: u32 = 300;

/// A user or group with its surroundings.
#[derive(Debug, Clone)]
pub struct Record {
    /// What it is now; none where it was deleted.
    pub stored: Option<Stored>,
    /// The groups it is in, and whether directly.
    pub groups: Vec<(Linked, bool)>,
    /// What happened to it, newest first.
    pub history: Vec<Event>,
    /// The history goes on before this event.
    pub older: Option<i64>,
}

/// The user or group of a configuration with that id, also one that was deleted while its history is still here. The
/// history begins before an event, or with the newest.
///
/// # Errors
/// `NotFound` where there is none.
pub fn record(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_type: &str,
    id: &str,
    before: Option<i64>,
) -> Result<Record> {
    let missing = || Error::NotFound(format!("there is no such {}", resource_type.to_ascii_lowercase()));
    if !ids::is_id(id) {
        return Err(missing());
    }
    let stored = resources::by_id(at, Collection { configuration, resource_type }, id)?;
    let mut history =
        events::of_resource(at, configuration, id, before.unwrap_or(i64::MAX), EVENTS_PER_PAGE.saturating_add(1))?;
    let word = format!("{}.", resource_type.to_ascii_lowercase());
    history.retain(|event| event.kind.starts_with(&word));
    if stored.is_none() && history.is_empty() {
        return Err(missing());
    }
    let per_page = usize::try_from(EVENTS_PER_PAGE).unwrap_or(usize::MAX);
    let is_more = history.len() > per_page;
    history.truncate(per_page);
    let older = history.last().filter(|_| is_more).map(|last| last.seq);
    let groups = stored.as_ref().map_or(Ok(Vec::new()), |stored| members::groups_of(at, stored))?;
    Ok(Record { stored, groups, history, older })
}

/// What people call the user or group with that id, also one that was deleted while its history is still here.
pub fn name(at: &Snapshot<'_>, configuration: i64, resource_type: &str, id: &str) -> Result<Option<String>> {
    if let Some(stored) = resources::by_id(at, Collection { configuration, resource_type }, id)? {
        return Ok(name_in(&serde_json::from_str(&stored.body).unwrap_or_default()));
    }
    let last = events::of_resource(at, configuration, id, i64::MAX, 1)?.pop();
    let payload: Value = last.and_then(|event| serde_json::from_str(&event.payload).ok()).unwrap_or_default();
    Ok(payload.get("before").and_then(name_in))
}

/// When the user with that id was deleted, who had this name; none where that is not known, or they are still here.
pub fn deleted_at(at: &Snapshot<'_>, configuration: i64, id: &str, name: &str) -> Result<Option<Millis>> {
    let last = events::of_resource(at, configuration, id, i64::MAX, 1)?.pop();
    let Some(last) = last.filter(|event| event.kind == "user.deleted") else { return Ok(None) };
    let payload: Value = serde_json::from_str(&last.payload).unwrap_or_default();
    let was = payload.get("before").and_then(name_in);
    Ok(was.filter(|was| text::key(was) == text::key(name)).map(|_| last.created_at))
}

/// The name in a document: `userName`, else `displayName`.
pub fn name_in(document: &Value) -> Option<String> {
    let text = |name| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("userName").or_else(|| text("displayName")).map(str::to_owned)
}

/// Users or groups of a configuration whose name begins with a text, or whose `externalId` or e-mail address it is; at
/// most [`LOOKED_UP_MAX`].
pub fn look_up(at: &Snapshot<'_>, configuration: i64, resource_type: &str, text: &str) -> Result<Vec<Stored>> {
    let of = Collection { configuration, resource_type };
    let mut found = exactly(at, of, text)?;
    found.extend(people::beginning_with(at, of, &text::key(text), LOOKED_UP_MAX)?);
    let mut seen = std::collections::HashSet::new();
    found.retain(|one| seen.insert(one.key));
    found.truncate(LOOKED_UP_MAX);
    Ok(found)
}

/// Resources whose `userName`, `externalId`, e-mail address or id this is.
fn exactly(at: &Snapshot<'_>, of: Collection<'_>, text: &str) -> Result<Vec<Stored>> {
    let key = text::key(text);
    let mut found: Vec<Stored> = resources::by_user_name(at, of, &key)?.into_iter().collect();
    let by_external_id = Filter { external_id: Some(text.to_owned()), ..Filter::default() };
    found.extend(people::page(at, of, View::Current, &by_external_id, None, LOOKED_UP_MAX)?);
    found.extend(resources::with_value(at, of, "emails.value", &key)?.into_iter().take(LOOKED_UP_MAX));
    if ids::is_id(text) {
        found.extend(resources::by_id(at, of, text)?);
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|one| seen.insert(one.key));
    Ok(found)
}

/// Users within reach whose `userName`, `externalId`, e-mail address or id this is, in all configurations that are in use.
pub fn find(at: &Snapshot<'_>, reach: &Reach, text: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for source in in_use(at, reach)? {
        let of = Collection { configuration: source.configuration, resource_type: "User" };
        found.extend(exactly(at, of, text)?.into_iter().map(|stored| Found { source: source.clone(), stored }));
        if found.len() >= LOOKED_UP_MAX {
            break;
        }
    }
    Ok(found)
}

fn in_use(at: &Snapshot<'_>, reach: &Reach) -> Result<Vec<Source>> {
    let mut sources = people::sources(at, reach.account(), 0, SOURCES_MAX)?;
    sources.retain(|source| source.deleted_at.is_none());
    Ok(sources)
}

/// The newest calls within reach that mention a text, at most `limit`, each with its configuration. Only the last calls of
/// the newest configurations are looked at, so that it takes little time whatever the log holds.
pub fn mentioning(
    at: &Snapshot<'_>,
    reach: &Reach,
    texts: [&str; 2],
    limit: usize,
) -> Result<Vec<(Source, LoggedCall)>> {
    let mut found = Vec::new();
    let most = u32::try_from(limit).unwrap_or(u32::MAX);
    for source in in_use(at, reach)?.into_iter().rev().take(SEARCHED_LOGS) {
        let calls = requests::mentioning(at, source.configuration, texts, SEARCHED_CALLS, most)?;
        found.extend(calls.into_iter().map(|call| (source.clone(), call)));
    }
    found.sort_by(|(_, one), (_, other)| other.id.cmp(&one.id));
    found.truncate(limit);
    Ok(found)
}
