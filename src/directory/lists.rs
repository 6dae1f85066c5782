//! Pages of what a configuration has (RFC 7644 sections 3.4.2 to 3.4.2.4, RFC 9865).

use std::sync::Arc;

use super::Scope;
use super::shown::{LINK_BYTES, Links, Shown, collection};
use crate::error::{Error, Result};
use crate::scim::cursor::{self, Direction, Mark, Value};
use crate::scim::schema::ResourceType;
use crate::scim::sort::Position;
use crate::store::filter_sql::{SortKey, Where};
use crate::store::pages::{self, Found, Stream, Window};
use crate::store::{Snapshot, resources};

/// Bytes of text in one page; the page ends early beyond it (RFC 7644 section 3.4.2.4 lets it), so that those who read
/// slowly, or never, do not fill the memory.
const PAGE_MAX_BYTES: usize = 4 << 20;

/// What is wanted of one type.
#[derive(Debug)]
pub struct Part {
    /// The type.
    pub of: Arc<ResourceType>,
    /// The compiled filter.
    pub filter: Option<Where>,
    /// What it is sorted by, compiled to stand after the filter; nothing where the type lacks the attribute.
    pub key: Option<SortKey>,
    /// Whether groups are shown with their members.
    pub with_members: bool,
}

/// Which page of what. The parts are one sequence: sorted, or in the order of creation.
#[derive(Debug)]
pub struct Request {
    /// The types.
    pub parts: Vec<Part>,
    /// From high to low.
    pub descending: bool,
    /// Where the page begins.
    pub from: From,
    /// Most resources wanted.
    pub count: u64,
}

/// Where a page begins.
#[derive(Debug)]
pub enum From {
    /// At this position, from 1.
    Index(u64),
    /// At the first resource, to be walked by cursor.
    FirstOfWalk,
    /// Beside the place of a cursor.
    Mark(Direction, Mark),
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// How many resources match in all.
    pub total: u64,
    /// The resources of the page with the index of their part.
    pub items: Vec<(usize, Shown)>,
    /// What a walk goes back from; nothing on its first page.
    pub previous: Option<Mark>,
    /// What a walk goes on from; nothing on its last page.
    pub next: Option<Mark>,
}

/// Reads one page.
///
/// # Errors
/// 400 expiredCursor where the resource that a cursor stands for has changed and cannot be gone on from.
pub fn page(at: &Snapshot<'_>, scope: &Scope, request: &Request) -> Result<Page> {
    let streams: Vec<Stream<'_>> = request
        .parts
        .iter()
        .map(|part| Stream { of: collection(scope, &part.of), filter: part.filter.as_ref(), key: part.key.as_ref() })
        .collect();
    let is_walk = !matches!(request.from, From::Index(_));
    let (backward, place, skip) = match &request.from {
        From::Index(start) => (false, None, start - 1),
        From::FirstOfWalk => (false, None, 0),
        From::Mark(direction, mark) => (*direction == Direction::Backward, Some(position(at, &streams, mark)?), 0),
    };
    // One more than wanted tells whether the walk goes on.
    let limit = if request.count == 0 { 0 } else { request.count + u64::from(is_walk) };
    let ascending = request.descending == backward;
    let mut found = pages::window(at, &streams, &Window { ascending, after: place.as_ref(), skip, limit })?;
    let reached = if place.is_none() && found.len() < as_usize(limit) && (skip == 0 || !found.is_empty()) {
        // A page that is not full tells where the matches end.
        Some(skip + found.len() as u64)
    } else {
        None
    };
    let total = total(at, &streams, reached)?;
    let mut goes_on = found.len() > as_usize(request.count);
    found.truncate(as_usize(request.count));
    let mut items = read(at, scope, request, &found)?;
    goes_on |= items.len() < found.len();
    found.truncate(items.len());
    if backward {
        found.reverse();
        items.reverse();
    }
    // The side that the walk came from is there for sure; the other one where it goes on.
    let (has_previous, has_next) = match (&place, backward) {
        _ if !is_walk => (false, false),
        (None, _) => (false, goes_on),
        (Some(_), false) => (true, goes_on),
        (Some(_), true) => (goes_on, true),
    };
    let mark = |found: Option<&Found>| found.map(|found| Mark::from(found.position.clone()));
    let previous = if has_previous { mark(found.first()) } else { None };
    let next = if has_next { mark(found.last()) } else { None };
    Ok(Page { total, items, previous, next })
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How many resources match. Types without a filter are counted as they change.
fn total(at: &Snapshot<'_>, streams: &[Stream<'_>], reached: Option<u64>) -> Result<u64> {
    if let Some(reached) = reached {
        return Ok(reached);
    }
    streams.iter().try_fold(0, |sum, stream| {
        let total = match stream.filter {
            None => resources::total(at, stream.of)?,
            Some(filter) => pages::count(at, stream.of, filter)?,
        };
        Ok(sum + total)
    })
}

/// The place that a cursor stands for. A value that was too long for it is read from the resource again.
fn position(at: &Snapshot<'_>, streams: &[Stream<'_>], mark: &Mark) -> Result<Position> {
    if let Value::Whole(key) = &mark.value {
        return Ok(Position { key: key.clone(), row: mark.row });
    }
    for stream in streams {
        if let Some(key) = pages::key_of(at, stream, mark.row)?
            && mark.value.is_digest_of(&key)
        {
            return Ok(Position { key: Some(key), row: mark.row });
        }
    }
    Err(cursor::expired().into())
}

/// The resources of the rows, as far as they fit a page; the first of them always does.
fn read(at: &Snapshot<'_>, scope: &Scope, request: &Request, found: &[Found]) -> Result<Vec<(usize, Shown)>> {
    let mut items = Vec::with_capacity(found.len());
    let mut bytes = 0;
    for Found { stream, position } in found {
        let part = &request.parts[*stream];
        let row = resources::by_key(at, scope.configuration, position.row)?
            .ok_or_else(|| Error::Database(format!("an index names row {}, which is not there", position.row)))?;
        let members = if part.with_members { row.member_count } else { 0 };
        bytes += row.body.len() + as_usize(members.unsigned_abs()) * LINK_BYTES;
        if bytes > PAGE_MAX_BYTES && !items.is_empty() {
            break;
        }
        let mut shown = Shown::of(at, row, &part.of, if part.with_members { i64::MAX } else { -1 })?;
        if !part.with_members && matches!(shown.links, Links::Members(_)) {
            shown.links = Links::Unread;
        }
        items.push((*stream, shown));
    }
    Ok(items)
}
