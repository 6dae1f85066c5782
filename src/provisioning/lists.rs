//! Paged lists of the resources of a configuration (RFC 7644 sections 3.4.2 to 3.4.2.4, RFC 9865).

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::provisioning::Scope;
use crate::provisioning::rendered::{LINK_BYTES, Members, RenderedResource, collection_for};
use crate::scim::cursor::{self, CursorPosition, CursorValue, Direction};
use crate::scim::filter::Predicate;
use crate::scim::schema::ResourceType;
use crate::scim::sort::{SortField, SortPosition};
use crate::store::Snapshot;
use crate::store::filter_sql::{self, CompiledFilter, FilterContext, SortKey};
use crate::store::tables::pages::{self, PageRow, PageWindow, ResourceStream};
use crate::store::tables::resources;

/// Maximum size of the text of one page, in bytes. A page that would be larger ends early, which RFC 7644 section
/// 3.4.2.4 allows, so that slow clients do not use up the memory.
const PAGE_MAX_BYTES: usize = 4 << 20;

/// The query for one resource type.
#[derive(Debug)]
pub struct TypeQuery {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// The compiled filter.
    pub filter: Option<CompiledFilter>,
    /// The sort key, compiled to follow the filter. `None` if the type does not have the attribute.
    pub sort_key: Option<SortKey>,
    /// Whether groups include their members.
    pub with_members: bool,
}

/// Number of parameters of the statements of a list in front of those of the filter: configuration and resource type.
const STATEMENT_PARAMETERS: usize = 2;

impl TypeQuery {
    /// Compiles the query for one resource type. `base` is the SCIM base URL without a trailing slash.
    pub fn compile(
        scope: &Scope,
        resource_type: &Arc<ResourceType>,
        base: &str,
        filter: Option<&Predicate>,
        sort: Option<&SortField>,
    ) -> Self {
        let context = FilterContext {
            configuration: scope.configuration,
            resource_type,
            base,
            parameters_used: STATEMENT_PARAMETERS,
        };
        let filter = filter.map(|predicate| filter_sql::compile_filter(predicate, &context));
        let parameters_used = STATEMENT_PARAMETERS + filter.as_ref().map_or(0, |filter| filter.params.len());
        let sort_key =
            sort.map(|sort| filter_sql::compile_sort_key(sort, &FilterContext { parameters_used, ..context }));
        Self { resource_type: Arc::clone(resource_type), filter, sort_key, with_members: false }
    }

    /// Returns whether the filter uses an index and members are not read, so that the read is short.
    pub fn is_point_lookup(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.indexed) && !self.with_members
    }
}

/// A request for one page. The parts form one sequence, sorted or in creation order.
#[derive(Debug)]
pub struct ListQuery {
    /// The query of each resource type.
    pub parts: Vec<TypeQuery>,
    /// Whether the sort order is descending.
    pub descending: bool,
    /// Start of the page.
    pub start: PageStart,
    /// Maximum number of resources.
    pub count: u64,
}

/// Start of a page.
#[derive(Debug)]
pub enum PageStart {
    /// At this 1-based index.
    Index(u64),
    /// At the first resource, with cursor pagination.
    FirstPage,
    /// Before or after the position of a cursor.
    Cursor(Direction, CursorPosition),
}

/// One page.
#[derive(Debug)]
pub struct ResourcesPage {
    /// Total number of matching resources.
    pub total: u64,
    /// The resources of the page, each with the index of its part.
    pub items: Vec<(usize, RenderedResource)>,
    /// Cursor of the previous page. `None` on the first page.
    pub previous: Option<CursorPosition>,
    /// Cursor of the next page. `None` on the last page.
    pub next: Option<CursorPosition>,
}

/// Reads one page of resources.
///
/// # Errors
/// 400 expiredCursor if the resource that a cursor refers to has changed, so that its position is unknown.
pub fn list_resources(at: &Snapshot<'_>, scope: &Scope, request: &ListQuery) -> Result<ResourcesPage> {
    let streams: Vec<ResourceStream<'_>> = request
        .parts
        .iter()
        .map(|part| ResourceStream {
            collection: collection_for(scope, &part.resource_type),
            filter: part.filter.as_ref(),
            key: part.sort_key.as_ref(),
        })
        .collect();
    let uses_cursor = !matches!(request.start, PageStart::Index(_));
    let (backward, position, skip) = match &request.start {
        PageStart::Index(start) => (false, None, start - 1),
        PageStart::FirstPage => (false, None, 0),
        PageStart::Cursor(direction, mark) => {
            (*direction == Direction::Backward, Some(resolve_cursor(at, &streams, mark)?), 0)
        }
    };
    // One more than requested shows whether there is another page.
    let limit = if request.count == 0 { 0 } else { request.count + u64::from(uses_cursor) };
    let ascending = request.descending == backward;
    let mut found = pages::read_page(at, &streams, &PageWindow { ascending, after: position.as_ref(), skip, limit })?;
    let counted_total = if position.is_none() && found.len() < to_usize(limit) && (skip == 0 || !found.is_empty()) {
        // A page that is not full contains the last match.
        Some(skip + found.len() as u64)
    } else {
        None
    };
    let total = count_matches(at, &streams, counted_total)?;
    let mut has_more = found.len() > to_usize(request.count);
    found.truncate(to_usize(request.count));
    let mut items = read_resources(at, scope, request, &found)?;
    has_more |= items.len() < found.len();
    found.truncate(items.len());
    if backward {
        found.reverse();
        items.reverse();
    }
    // The page that the cursor came from exists. The page on the other side exists if there are more matches.
    let (has_previous, has_next) = match (&position, backward) {
        _ if !uses_cursor => (false, false),
        (None, _) => (false, has_more),
        (Some(_), false) => (true, has_more),
        (Some(_), true) => (has_more, true),
    };
    let mark = |found: Option<&PageRow>| found.map(|found| CursorPosition::from(found.position.clone()));
    let previous = if has_previous { mark(found.first()) } else { None };
    let next = if has_next { mark(found.last()) } else { None };
    Ok(ResourcesPage { total, items, previous, next })
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Number of matching resources. For types without a filter, the stored counter is used.
fn count_matches(at: &Snapshot<'_>, streams: &[ResourceStream<'_>], end: Option<u64>) -> Result<u64> {
    if let Some(end) = end {
        return Ok(end);
    }
    streams.iter().try_fold(0, |sum, stream| {
        let total = match stream.filter {
            None => resources::count_resources(at, stream.collection)?,
            Some(filter) => pages::count_matches(at, stream.collection, filter)?,
        };
        Ok(sum + total)
    })
}

/// The position that a cursor refers to. A sort value that was too long for the cursor is read from the resource again.
fn resolve_cursor(at: &Snapshot<'_>, streams: &[ResourceStream<'_>], mark: &CursorPosition) -> Result<SortPosition> {
    if let CursorValue::Whole(key) = &mark.value {
        return Ok(SortPosition { key: key.clone(), row: mark.row });
    }
    for stream in streams {
        if let Some(key) = pages::find_sort_value(at, stream, mark.row)?
            && mark.value.is_digest_of(&key)
        {
            return Ok(SortPosition { key: Some(key), row: mark.row });
        }
    }
    Err(cursor::expired_cursor_error())
}

/// Reads the resources of the rows, up to the size limit of a page. The first one is always included.
fn read_resources(
    at: &Snapshot<'_>,
    scope: &Scope,
    request: &ListQuery,
    found: &[PageRow],
) -> Result<Vec<(usize, RenderedResource)>> {
    let mut items = Vec::with_capacity(found.len());
    let mut bytes = 0;
    for PageRow { stream, position } in found {
        let part = &request.parts[*stream];
        let row = resources::find_resource_by_key(at, scope.configuration, position.row)?
            .ok_or_else(|| Error::database(format!("an index names row {}, which does not exist", position.row)))?;
        let members = if part.with_members { row.member_count } else { 0 };
        bytes += row.body.len() + to_usize(members.unsigned_abs()) * LINK_BYTES;
        if bytes > PAGE_MAX_BYTES && !items.is_empty() {
            break;
        }
        let members = if part.with_members { Members::All } else { Members::Skip };
        items.push((*stream, RenderedResource::load(at, row, &part.resource_type, members)?));
    }
    Ok(items)
}
