//! Paged lists of the resources of a configuration (RFC 7644 sections 3.4.2 to 3.4.2.4, RFC 9865).

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::provisioning::Scope;
use crate::provisioning::rendered::{LINK_BYTES, Members, RenderedResource, ResourceLinks, collection_for};
use crate::scim::cursor::{self, CursorPosition, CursorValue, Direction};
use crate::scim::filter::Predicate;
use crate::scim::schema::ResourceType;
use crate::scim::sort::{SortField, SortPosition};
use crate::store::Snapshot;
use crate::store::filter_sql::{self, CompiledFilter, FilterContext, SortKey};
use crate::store::tables::pages::{self, PageRow, PageWindow, ResourceStream};
use crate::store::tables::resources::{self, FoundResource, ResourceReader};

/// Maximum size of the resources in one answer, in bytes. A page that would be larger ends early, which RFC 7644 section
/// 3.4.2.4 allows, so that slow clients do not use up the memory. A single resource may be larger.
pub const ANSWER_MAX_BYTES: usize = 8 << 20;
/// Most groups of a user in a list. The answer to a GET of the user has all.
pub const GROUPS_IN_LIST: usize = 100;
/// What a group of a user that is not in the answer counts for the size of the answer, in bytes: it is read for the
/// version of the user.
const HIDDEN_GROUP_BYTES: usize = 64;
/// Most resources of a page with a filter that is read on the event loop.
const FEW_RESOURCES: u64 = 4;
/// Most resources of a page without a filter that is read on the event loop.
const SHORT_PAGE_RESOURCES: u64 = 100;
/// Most bytes of such a page.
const SHORT_PAGE_BYTES: usize = 256 * 1024;

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

    /// Returns whether the filter is one comparison with an indexed key, so that its first matches are read fast.
    pub fn is_key_lookup(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.single_key) && self.sort_key.is_none()
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

impl ListQuery {
    /// How much of the page can be read on the event loop. `None` if it may take long to find its resources.
    fn inline_effort(&self) -> Option<PageEffort> {
        if self.parts.iter().all(TypeQuery::is_key_lookup) {
            return Some(PageEffort::Few);
        }
        let is_in_order = self.parts.iter().all(|part| part.filter.is_none() && part.sort_key.is_none());
        (is_in_order && self.count <= SHORT_PAGE_RESOURCES).then_some(PageEffort::Short)
    }

    fn streams<'q>(&'q self, scope: &Scope) -> Vec<ResourceStream<'q>> {
        let stream = |part: &'q TypeQuery| ResourceStream {
            collection: collection_for(scope, &part.resource_type),
            filter: part.filter.as_ref(),
            key: part.sort_key.as_ref(),
        };
        self.parts.iter().map(stream).collect()
    }
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

/// One page. Its resources were given to the writer.
#[derive(Debug)]
pub struct ResourcesPage {
    /// Total number of matching resources.
    pub total: u64,
    /// Number of resources of the page: the first ones that were written.
    pub count: usize,
    /// Whether the resources were written in reverse order.
    pub is_reversed: bool,
    /// Whether users in the page have more groups than [`GROUPS_IN_LIST`].
    pub hides_groups: bool,
    /// Cursor of the previous page. `None` on the first page.
    pub previous: Option<CursorPosition>,
    /// Cursor of the next page. `None` on the last page.
    pub next: Option<CursorPosition>,
}

/// Renders a resource of a part, and returns its length in bytes.
pub type WriteResource<'w> = dyn FnMut(usize, &RenderedResource) -> Result<usize> + 'w;

/// Reads one page of resources.
///
/// # Errors
/// 400 expiredCursor if the resource that a cursor refers to has changed, so that its position is unknown.
pub fn list_resources(
    at: &Snapshot<'_>,
    scope: &Scope,
    request: &ListQuery,
    write: &mut WriteResource<'_>,
) -> Result<ResourcesPage> {
    let page = read_page(at, scope, request, PageOutput { effort: PageEffort::Whole, write })?;
    page.ok_or_else(|| Error::database("a page has no limit of effort".to_owned()))
}

/// Reads one page of resources on the event loop, if its resources are found fast and are small. `None` if not.
///
/// # Errors
/// Those of [`list_resources`].
pub fn list_resources_inline(
    at: &Snapshot<'_>,
    scope: &Scope,
    request: &ListQuery,
    write: &mut WriteResource<'_>,
) -> Result<Option<ResourcesPage>> {
    match request.inline_effort() {
        Some(effort) => read_page(at, scope, request, PageOutput { effort, write }),
        None => Ok(None),
    }
}

/// How much work a page may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageEffort {
    /// [`FEW_RESOURCES`] that are small.
    Few,
    /// Small resources of [`SHORT_PAGE_BYTES`].
    Short,
    /// A page of [`ANSWER_MAX_BYTES`].
    Whole,
}

/// The destination of a page, and the effort to fill it.
struct PageOutput<'p, 'w> {
    effort: PageEffort,
    write: &'p mut WriteResource<'w>,
}

fn read_page(
    at: &Snapshot<'_>,
    scope: &Scope,
    request: &ListQuery,
    output: PageOutput<'_, '_>,
) -> Result<Option<ResourcesPage>> {
    let streams = request.streams(scope);
    let uses_cursor = !matches!(request.start, PageStart::Index(_));
    let (backward, position, skip) = match &request.start {
        PageStart::Index(start) => (false, None, start - 1),
        PageStart::FirstPage => (false, None, 0),
        PageStart::Cursor(direction, mark) => {
            (*direction == Direction::Backward, Some(resolve_cursor(at, &streams, mark)?), 0)
        }
    };
    // One more than requested shows whether there is another page.
    let mut limit = if request.count == 0 { 0 } else { request.count + u64::from(uses_cursor) };
    if output.effort == PageEffort::Few {
        limit = limit.min(FEW_RESOURCES + 1);
    }
    let ascending = request.descending == backward;
    let mut found = pages::read_page(at, &streams, &PageWindow { ascending, after: position.as_ref(), skip, limit })?;
    if output.effort == PageEffort::Few && found.len() > to_usize(FEW_RESOURCES) {
        return Ok(None);
    }
    let counted_total = if position.is_none() && found.len() < to_usize(limit) && (skip == 0 || !found.is_empty()) {
        // A page that is not full contains the last match.
        Some(skip + found.len() as u64)
    } else {
        None
    };
    let total = count_matches(at, &streams, counted_total)?;
    let mut has_more = found.len() > to_usize(request.count);
    found.truncate(to_usize(request.count));
    let last_scanned = found.last().map(|row| row.position.clone());
    if at.was_renewed() {
        found = retain_matches(at, &streams, found)?;
    }
    let Some(WrittenPage { count, hides_groups }) = write_resources(at, scope, request, &found, output)? else {
        return Ok(None);
    };
    // The end of a page that was read to its last row is known even if that row has changed since.
    let last_scanned = if count < found.len() { None } else { last_scanned };
    has_more |= count < found.len();
    found.truncate(count);
    let (mut first, mut last) = (found.first().map(to_position), found.last().map(to_position));
    last = last_scanned.or(last);
    if backward {
        std::mem::swap(&mut first, &mut last);
    }
    // The page that the cursor came from exists. The page on the other side exists if there are more matches.
    let (has_previous, has_next) = match (&position, backward) {
        _ if !uses_cursor => (false, false),
        (None, _) => (false, has_more),
        (Some(_), false) => (true, has_more),
        (Some(_), true) => (has_more, true),
    };
    let previous = first.filter(|_| has_previous).map(CursorPosition::from);
    let next = last.filter(|_| has_next).map(CursorPosition::from);
    Ok(Some(ResourcesPage { total, count, is_reversed: backward, hides_groups, previous, next }))
}

fn to_position(row: &PageRow) -> SortPosition {
    row.position.clone()
}

/// Discards rows that no longer exist or match. For a page that was found in more than one snapshot.
fn retain_matches(at: &Snapshot<'_>, streams: &[ResourceStream<'_>], found: Vec<PageRow>) -> Result<Vec<PageRow>> {
    let mut matches = Vec::with_capacity(found.len());
    for row in found {
        if pages::matches_now(at, &streams[row.stream], row.position.row)? {
            matches.push(row);
        }
    }
    Ok(matches)
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

/// The part of a page that fits.
struct WrittenPage {
    count: usize,
    hides_groups: bool,
}

/// Writes the resources of the rows, up to the size limit of an answer. The first one is always included. `None` if one of
/// few resources is large.
fn write_resources(
    at: &Snapshot<'_>,
    scope: &Scope,
    request: &ListQuery,
    found: &[PageRow],
    output: PageOutput<'_, '_>,
) -> Result<Option<WrittenPage>> {
    let PageOutput { effort, write } = output;
    let (mut bytes, mut written) = (0, WrittenPage { count: 0, hides_groups: false });
    let mut reader = ResourceReader::new(at, scope.configuration)?;
    let mut ahead = match effort {
        PageEffort::Short => read_ahead(at, scope, request, found)?.into_iter(),
        PageEffort::Few | PageEffort::Whole => Vec::new().into_iter(),
    };
    for PageRow { stream, position } in found {
        let part = &request.parts[*stream];
        let row = match ahead.next().filter(|row| row.stored.key == position.row) {
            None => reader.find(position.row)?,
            row => row,
        };
        let row = row.ok_or_else(|| {
            Error::undecodable("an index", format_args!("it names row {}, which does not exist", position.row))
        })?;
        let members = if part.with_members { row.stored.member_count } else { 0 };
        let expected = row.stored.body.len() + to_usize(members.unsigned_abs()) * LINK_BYTES;
        if effort == PageEffort::Short && bytes + expected > SHORT_PAGE_BYTES {
            return Ok(None);
        }
        if bytes + expected > ANSWER_MAX_BYTES && written.count > 0 {
            break;
        }
        let loaded = load_resource(at, row, part, effort)?;
        let Some(mut resource) = loaded else { return Ok(None) };
        let hidden = resource.shorten_groups(GROUPS_IN_LIST);
        bytes += write(*stream, &resource)? + hidden * HIDDEN_GROUP_BYTES;
        if bytes > ANSWER_MAX_BYTES && written.count > 0 {
            break;
        }
        written.count += 1;
        written.hides_groups |= hidden > 0;
    }
    Ok(Some(written))
}

/// Reads the resources of a short page in one statement, if they follow each other in one collection. Returns none of a page that is
/// larger.
fn read_ahead(at: &Snapshot<'_>, scope: &Scope, request: &ListQuery, found: &[PageRow]) -> Result<Vec<FoundResource>> {
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(Vec::new()) };
    if found.iter().any(|row| row.stream != first.stream) {
        return Ok(Vec::new());
    }
    let collection = collection_for(scope, &request.parts[first.stream].resource_type);
    let (first, last) = (first.position.row, last.position.row);
    let range = (first.min(last), first.max(last));
    let mut rows = resources::list_resource_range(at, collection, range, SHORT_PAGE_BYTES)?.unwrap_or_default();
    if first > last {
        rows.reverse();
    }
    Ok(rows)
}

fn load_resource(
    at: &Snapshot<'_>,
    row: FoundResource,
    part: &TypeQuery,
    effort: PageEffort,
) -> Result<Option<RenderedResource>> {
    if effort == PageEffort::Whole {
        let members = if part.with_members { Members::All } else { Members::Skip };
        return RenderedResource::load_found(at, row, &part.resource_type, members).map(Some);
    }
    let small = RenderedResource::load_small(at, row, &part.resource_type, part.with_members)?;
    let is_whole = |resource: &RenderedResource| !part.with_members || !matches!(resource.links, ResourceLinks::Unread);
    Ok(small.filter(is_whole))
}

#[cfg(test)]
mod tests;
