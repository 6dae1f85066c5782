//! Pages of resources: by index or by cursor position, sorted or in the order of creation, of one type or of several
//! types as one sequence.
//!
//! There are two steps: the rows of a page are found by statements that read little more than an index, then the
//! resources are read. Resources with and without a sort value are found separately, because an index sorts NULL at the
//! wrong end.

use std::cmp::Ordering;

use rusqlite::types::{Value as Bound, ValueRef};
use rusqlite::{OptionalExtension, params_from_iter};

use crate::error::{Error, Result};
use crate::scim::sort::{SortPosition, SortValue};
use crate::store::Snapshot;
use crate::store::filter_sql::{CompiledFilter, SortKey};
use crate::store::tables::counts;
use crate::store::tables::resources::ResourceCollection;

/// A scan that evaluates a filter for each resource reads at least this many resources per statement. Between two
/// statements it may give up its snapshot.
const SCANNED_PER_STEP: i64 = 2_048;
/// Largest page, with the skipped resources in front of it, that a sorted scan collects in several steps.
const COLLECTED_MAX: u64 = 10_000;
/// Up to this number, skipped resources are scanned one by one instead of using the counts.
const SKIP_SCAN_MAX: u64 = 1_000;

/// The matching resources of one type. All streams of a page belong to one configuration.
#[derive(Debug, Clone, Copy)]
pub struct ResourceStream<'a> {
    /// Configuration and type.
    pub collection: ResourceCollection<'a>,
    /// The filter. `None` selects all resources.
    pub filter: Option<&'a CompiledFilter>,
    /// The sort key, with parameters after those of the filter. `None` if the list is not sorted or the type does not
    /// have the attribute.
    pub key: Option<&'a SortKey>,
}

/// The requested part of the sequence.
#[derive(Debug, Clone, Copy)]
pub struct PageWindow<'p> {
    /// Whether rows are read in ascending order: an ascending list forwards, or a descending list backwards.
    pub ascending: bool,
    /// The page starts after this position.
    pub after: Option<&'p SortPosition>,
    /// Number of resources to skip.
    pub skip: u64,
    /// Maximum number of resources.
    pub limit: u64,
}

/// One row of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRow {
    /// Index of its stream.
    pub stream: usize,
    /// Its position in the sequence.
    pub position: SortPosition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortHalf {
    WithValue,
    WithoutValue,
}

impl SortHalf {
    fn containing(position: &SortPosition) -> Self {
        if position.key.is_some() { Self::WithValue } else { Self::WithoutValue }
    }

    fn condition(self, key: &str) -> String {
        match self {
            Self::WithValue => format!("{key} IS NOT NULL"),
            Self::WithoutValue => format!("{key} IS NULL"),
        }
    }

    fn holds_any_of(self, stream: &ResourceStream<'_>) -> bool {
        match self {
            Self::WithValue => stream.key.is_some(),
            Self::WithoutValue => stream.key.is_none_or(|key| !key.always),
        }
    }
}

/// Returns the rows of one page, in the order of the window.
pub fn read_page(
    at: &Snapshot<'_>,
    streams: &[ResourceStream<'_>],
    requested: &PageWindow<'_>,
) -> Result<Vec<PageRow>> {
    let Some(near) = mirror_window(at, streams, requested)? else { return walk_streams(at, streams, requested) };
    let mut found = walk_streams(at, streams, &near)?;
    found.reverse();
    Ok(found)
}

/// Returns an equivalent window from the other end of the sequence, if the page is closer to that end. In a sorted
/// sequence all rows before the page are scanned. The total is known only for unfiltered types.
fn mirror_window<'p>(
    at: &Snapshot<'_>,
    streams: &[ResourceStream<'_>],
    requested: &PageWindow<'p>,
) -> Result<Option<PageWindow<'p>>> {
    let is_sorted = streams.iter().any(|stream| stream.key.is_some());
    let is_whole = streams.iter().all(|stream| stream.filter.is_none());
    if requested.skip == 0 || requested.after.is_some() || !is_sorted || !is_whole {
        return Ok(None);
    }
    let total = streams.iter().try_fold(0, |sum, stream| {
        let collection = stream.collection;
        Ok::<u64, Error>(
            sum + counts::count_resources(at, collection.configuration, collection.resource_type)?.unsigned_abs(),
        )
    })?;
    let remaining = total.saturating_sub(requested.skip);
    let limit = requested.limit.min(remaining);
    let skip = remaining - limit;
    let mirrored = PageWindow { ascending: !requested.ascending, skip, limit, after: None };
    Ok((skip < requested.skip).then_some(mirrored))
}

fn walk_streams(at: &Snapshot<'_>, streams: &[ResourceStream<'_>], requested: &PageWindow<'_>) -> Result<Vec<PageRow>> {
    let mut found = Vec::new();
    let mut rest = *requested;
    // RFC 7644 section 3.4.2.3: resources without a value come last in ascending order.
    let halves = if requested.ascending {
        [SortHalf::WithValue, SortHalf::WithoutValue]
    } else {
        [SortHalf::WithoutValue, SortHalf::WithValue]
    };
    for half in halves {
        let starts_here = requested.after.is_none_or(|position| SortHalf::containing(position) == half);
        let is_before_start = !starts_here && half == halves[0];
        if is_before_start || rest.limit == 0 {
            continue;
        }
        rest.after = requested.after.filter(|_| starts_here);
        let of_half: Vec<(usize, &ResourceStream<'_>)> =
            streams.iter().enumerate().filter(|(_, stream)| half.holds_any_of(stream)).collect();
        let (page, skipped) = match of_half[..] {
            [] => (Vec::new(), 0),
            [one] => read_single_stream(at, one, half, &rest, half == halves[1])?,
            _ => read_merged_streams(at, &of_half, half, &rest)?,
        };
        rest.skip -= skipped;
        rest.limit -= page.len() as u64;
        found.extend(page);
    }
    Ok(found)
}

/// Returns a page of one stream, and how many of the rows to skip were in it.
fn read_single_stream(
    at: &Snapshot<'_>,
    (index, stream): (usize, &ResourceStream<'_>),
    half: SortHalf,
    requested: &PageWindow<'_>,
    is_last: bool,
) -> Result<(Vec<PageRow>, u64)> {
    let near = find_start_position(at, &[(index, stream)], requested)?;
    let Some(near) = near else { return Ok((Vec::new(), 0)) };
    let page = read_rows(at, index, stream, half, &near.window(requested))?;
    let skipped = if !page.is_empty() || requested.skip == 0 || is_last {
        requested.skip
    } else {
        // The page starts after this half, so the whole half is skipped.
        count_rows(at, stream, half)?.min(requested.skip)
    };
    Ok((page, skipped))
}

/// Returns a page of several streams as one sequence, and how many of the rows to skip were in it.
fn read_merged_streams(
    at: &Snapshot<'_>,
    streams: &[(usize, &ResourceStream<'_>)],
    half: SortHalf,
    requested: &PageWindow<'_>,
) -> Result<(Vec<PageRow>, u64)> {
    let Some(near) = find_start_position(at, streams, requested)? else { return Ok((Vec::new(), 0)) };
    let near = near.window(requested);
    let each = PageWindow { skip: 0, limit: near.limit.saturating_add(near.skip), ..near };
    let mut page = Vec::new();
    for (index, stream) in streams {
        page.extend(read_rows(at, *index, stream, half, &each)?);
    }
    page.sort_by(|left, right| apply_direction(left.position.compare(&right.position), requested.ascending));
    let dropped = usize::try_from(near.skip).unwrap_or(usize::MAX).min(page.len());
    page.drain(..dropped);
    page.truncate(usize::try_from(requested.limit).unwrap_or(usize::MAX));
    let skipped = if page.is_empty() { dropped as u64 + requested.skip - near.skip } else { requested.skip };
    Ok((page, skipped))
}

fn apply_direction(order: Ordering, ascending: bool) -> Ordering {
    if ascending { order } else { order.reverse() }
}

/// A position shortly before the page, and the number of rows to skip from there.
struct StartPosition {
    after: Option<SortPosition>,
    skip: u64,
}

impl StartPosition {
    fn window<'p>(&'p self, requested: &PageWindow<'p>) -> PageWindow<'p> {
        PageWindow { after: self.after.as_ref().or(requested.after), skip: self.skip, ..*requested }
    }
}

/// Finds the position from which a page is read. For unfiltered types in the order of creation, the counts give a
/// position near the page at any depth. Returns `None` if the page starts after the last resource.
fn find_start_position(
    at: &Snapshot<'_>,
    streams: &[(usize, &ResourceStream<'_>)],
    requested: &PageWindow<'_>,
) -> Result<Option<StartPosition>> {
    let is_whole = |stream: &ResourceStream<'_>| stream.filter.is_none() && stream.key.is_none();
    let is_deep = requested.skip > SKIP_SCAN_MAX && requested.ascending && requested.after.is_none();
    if !is_deep || !streams.iter().all(|(_, stream)| is_whole(stream)) {
        return Ok(Some(StartPosition { after: None, skip: requested.skip }));
    }
    let Some((_, first)) = streams.first() else { return Ok(None) };
    let types: Vec<&str> = streams.iter().map(|(_, stream)| stream.collection.resource_type).collect();
    let near = counts::locate_position(at, first.collection.configuration, &types, requested.skip)?;
    Ok(near.map(|near| StartPosition { after: Some(SortPosition { key: None, row: near.row }), skip: near.skip }))
}

/// A range of row numbers: the first one, and the one after the last.
type RowRange = (i64, i64);

/// The ranges of row numbers that a scan reads one after the other. `None` for a read that is one statement: of few
/// resources, by an index, or in a snapshot that stays.
fn list_scan_ranges(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    filter: Option<&CompiledFilter>,
) -> Result<Option<Vec<RowRange>>> {
    if !at.is_renewable() || filter.is_none_or(|filter| filter.indexed) {
        return Ok(None);
    }
    let ResourceCollection { configuration, resource_type } = collection;
    let mut starts = counts::list_range_starts(at, configuration, resource_type, SCANNED_PER_STEP)?;
    if starts.is_empty() {
        return Ok(None);
    }
    starts.insert(0, i64::MIN);
    let ends = starts.iter().skip(1).copied().chain([i64::MAX]);
    Ok(Some(starts.iter().copied().zip(ends).collect()))
}

/// Reads rows of one half of a stream.
fn read_rows(
    at: &Snapshot<'_>,
    index: usize,
    stream: &ResourceStream<'_>,
    half: SortHalf,
    requested: &PageWindow<'_>,
) -> Result<Vec<PageRow>> {
    let is_unsorted = stream.key.is_none() || half == SortHalf::WithoutValue;
    let needed = requested.skip.saturating_add(requested.limit);
    // In the order of an index, the first matches are found without reading all resources.
    let reads_all = is_unsorted || (!is_index_ordered(stream) && needed <= COLLECTED_MAX);
    let ranges = if reads_all { list_scan_ranges(at, stream.collection, stream.filter)? } else { None };
    let Some(mut ranges) = ranges else { return read_range(at, (index, stream), half, None, requested) };
    if !requested.ascending {
        ranges.reverse();
    }
    let mut found = Vec::new();
    let (mut limit, mut skip) = (needed, requested.skip);
    for range in ranges {
        let window = PageWindow { skip: 0, limit, ..*requested };
        let mut rows = read_range(at, (index, stream), half, Some(range), &window)?;
        if is_unsorted {
            limit -= rows.len() as u64;
            let skipped = skip.min(rows.len() as u64);
            skip -= skipped;
            rows.drain(..usize::try_from(skipped).unwrap_or(usize::MAX));
            found.append(&mut rows);
            if limit == 0 {
                break;
            }
        } else {
            found.append(&mut rows);
            found.sort_by(|left: &PageRow, right| {
                apply_direction(left.position.compare(&right.position), requested.ascending)
            });
            found.truncate(usize::try_from(needed).unwrap_or(usize::MAX));
        }
        at.renew_if_due()?;
    }
    let skip = if is_unsorted { 0 } else { usize::try_from(skip).unwrap_or(usize::MAX).min(found.len()) };
    found.drain(..skip);
    Ok(found)
}

/// Reads the rows of one half of a stream, of all resources or of a range.
fn read_range(
    at: &Snapshot<'_>,
    (index, stream): (usize, &ResourceStream<'_>),
    half: SortHalf,
    range: Option<RowRange>,
    requested: &PageWindow<'_>,
) -> Result<Vec<PageRow>> {
    let mut found = Vec::new();
    for start in list_starts(stream, requested.after).into_iter().flatten() {
        let remaining = requested.limit - found.len() as u64;
        if remaining == 0 {
            break;
        }
        let window = PageWindow { limit: remaining, ..*requested };
        let (sql, params) = build_statement(stream, half, start, (range, &window));
        let mut statement = at.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            let position = SortPosition { key: read_sort_key(row.get_ref(0)?), row: row.get(1)? };
            found.push(PageRow { stream: index, position });
        }
    }
    Ok(found)
}

/// The position after which a statement starts.
#[derive(Debug, Clone, Copy)]
enum StartAfter<'p> {
    Nothing,
    /// After a row, among the rows without a value.
    Row(i64),
    /// After a row, among the rows with this value.
    RowAmongEqual(&'p SortValue, i64),
    /// After all rows with this value.
    Value(&'p SortValue),
    /// After a row with this value, among all rows.
    ValueAndRow(&'p SortValue, i64),
}

/// Returns the starts of the statements that together read the rows after a position. SQLite can use an index to search
/// for a value or for a row among equal values, but not for both at once: a single statement would scan all equal
/// values again for each page.
fn list_starts<'p>(stream: &ResourceStream<'_>, after: Option<&'p SortPosition>) -> [Option<StartAfter<'p>>; 2] {
    match after {
        None => [Some(StartAfter::Nothing), None],
        Some(SortPosition { key: None, row }) => [Some(StartAfter::Row(*row)), None],
        Some(SortPosition { key: Some(key), row }) if is_index_ordered(stream) => {
            [Some(StartAfter::RowAmongEqual(key, *row)), Some(StartAfter::Value(key))]
        }
        Some(SortPosition { key: Some(key), row }) => [Some(StartAfter::ValueAndRow(key, *row)), None],
    }
}

/// Whether the rows are read in the order of an index. If a filter selects few rows, sorting them is faster than
/// scanning the index of the sort key.
fn is_index_ordered(stream: &ResourceStream<'_>) -> bool {
    stream.key.is_none_or(|key| key.in_order && !stream.filter.is_some_and(|filter| filter.indexed))
}

fn build_statement(
    stream: &ResourceStream<'_>,
    half: SortHalf,
    start: StartAfter<'_>,
    (range, requested): (Option<RowRange>, &PageWindow<'_>),
) -> (String, Vec<Bound>) {
    let mut source = StreamSource::from_stream(stream, range);
    let (operator, direction) = if requested.ascending { (">", "ASC") } else { ("<", "DESC") };
    let (key, row) = (source.key, source.row);
    let condition = match start {
        StartAfter::Nothing => half.condition(key),
        StartAfter::Row(number) => {
            format!("{} AND {row} {operator} {}", half.condition(key), source.bind(Bound::from(number)))
        }
        StartAfter::RowAmongEqual(value, number) => {
            format!(
                "{key} = {} AND {row} {operator} {}",
                source.bind(to_sql_value(value)),
                source.bind(Bound::from(number))
            )
        }
        StartAfter::Value(value) => format!("{key} {operator} {}", source.bind(to_sql_value(value))),
        StartAfter::ValueAndRow(value, number) => {
            let (value, number) = (source.bind(to_sql_value(value)), source.bind(Bound::from(number)));
            format!("({key}, {row}) {operator} ({value}, {number})")
        }
    };
    let by_key = if half == SortHalf::WithValue { format!("{key} {direction}, ") } else { String::new() };
    let [limit, skip] = [requested.limit, requested.skip].map(|number| source.bind(to_sql_number(number)));
    let sql = format!(
        "SELECT {key}, {row} FROM {} AND {condition} ORDER BY {by_key}{row} {direction} LIMIT {limit} OFFSET {skip}",
        source.text
    );
    (sql, source.params)
}

/// Returns the number of rows in one half of a stream.
fn count_rows(at: &Snapshot<'_>, stream: &ResourceStream<'_>, half: SortHalf) -> Result<u64> {
    let source = StreamSource::from_stream(stream, None);
    let sql = format!("SELECT count(*) FROM {} AND {}", source.text, half.condition(source.key));
    let mut statement = at.prepare(&sql)?;
    let total: i64 = statement.query_row(params_from_iter(source.params), |row| row.get(0))?;
    Ok(total.unsigned_abs())
}

/// The source of a stream's rows: the SQL after FROM, including a condition to which others can be added with AND.
struct StreamSource<'k> {
    text: String,
    key: &'k str,
    row: &'static str,
    params: Vec<Bound>,
}

impl<'k> StreamSource<'k> {
    fn from_stream(stream: &ResourceStream<'k>, range: Option<RowRange>) -> Self {
        let (condition, mut params) = build_condition(stream.collection, stream.filter);
        params.extend(stream.key.iter().flat_map(|key| key.params.iter().cloned()));
        let mut text = format!("resources r WHERE {condition}");
        if let Some(range) = range {
            text.push_str(&bind_range(&mut params, range));
        }
        let Some(key) = stream.key else {
            return Self { text, key: "NULL", row: "r.resource", params };
        };
        if is_index_ordered(stream) {
            return Self { text, key: &key.sql, row: "r.resource", params };
        }
        // LIMIT prevents SQLite from flattening the subquery, which would evaluate the expression once per reference.
        let text = format!("(SELECT {} AS key, r.resource AS row FROM {text} LIMIT -1) s WHERE true", key.sql);
        Self { text, key: "s.key", row: "s.row", params }
    }

    fn bind(&mut self, value: Bound) -> String {
        self.params.push(value);
        format!("?{}", self.params.len())
    }
}

/// Adds a range of row numbers to the parameters, and returns its condition.
fn bind_range(params: &mut Vec<Bound>, (start, end): RowRange) -> String {
    params.extend([Bound::from(start), Bound::from(end)]);
    format!(" AND r.resource >= ?{} AND r.resource < ?{}", params.len() - 1, params.len())
}

fn build_condition(collection: ResourceCollection<'_>, filter: Option<&CompiledFilter>) -> (String, Vec<Bound>) {
    let mut params = vec![Bound::from(collection.configuration), Bound::from(collection.resource_type.to_owned())];
    let Some(filter) = filter else { return ("r.configuration = ?1 AND r.type = ?2".to_owned(), params) };
    params.extend(filter.params.iter().cloned());
    (filter.clause(1, 2), params)
}

fn to_sql_number(number: u64) -> Bound {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn to_sql_value(key: &SortValue) -> Bound {
    match key {
        SortValue::Integer(value) => Bound::Integer(*value),
        SortValue::Decimal(value) => Bound::Real(*value),
        SortValue::Text(text) => Bound::Text(text.clone()),
    }
}

fn read_sort_key(value: ValueRef<'_>) -> Option<SortValue> {
    match value {
        ValueRef::Integer(value) => Some(SortValue::Integer(value)),
        ValueRef::Real(value) => Some(SortValue::Decimal(value)),
        ValueRef::Text(bytes) => Some(SortValue::Text(String::from_utf8_lossy(bytes).into_owned())),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// Returns the current sort value of a resource in the stream, or `None` if it has no value or does not exist.
pub fn find_sort_value(at: &Snapshot<'_>, stream: &ResourceStream<'_>, row: i64) -> Result<Option<SortValue>> {
    let Some(key) = stream.key else { return Ok(None) };
    let (condition, mut params) = build_condition(stream.collection, stream.filter);
    params.extend(key.params.iter().cloned());
    params.push(row.into());
    let sql = format!("SELECT {} FROM resources r WHERE {condition} AND r.resource = ?{}", key.sql, params.len());
    let mut statement = at.prepare(&sql)?;
    let found = statement.query_row(params_from_iter(params), |row| Ok(read_sort_key(row.get_ref(0)?))).optional()?;
    Ok(found.flatten())
}

/// Returns the number of resources in the collection that match the filter. If the snapshot is renewed meanwhile, a
/// resource that matches all the time is counted once, and one that changes meanwhile may be counted or not.
pub fn count_matches(at: &Snapshot<'_>, collection: ResourceCollection<'_>, filter: &CompiledFilter) -> Result<u64> {
    let ranges = list_scan_ranges(at, collection, Some(filter))?;
    let Some(ranges) = ranges else { return count_range(at, collection, filter, None) };
    ranges.into_iter().try_fold(0, |sum, range| {
        let counted = count_range(at, collection, filter, Some(range))?;
        at.renew_if_due()?;
        Ok(sum + counted)
    })
}

fn count_range(
    at: &Snapshot<'_>,
    collection: ResourceCollection<'_>,
    filter: &CompiledFilter,
    range: Option<RowRange>,
) -> Result<u64> {
    let (condition, mut params) = build_condition(collection, Some(filter));
    let range = range.map(|range| bind_range(&mut params, range)).unwrap_or_default();
    let mut statement = at.prepare(&format!("SELECT count(*) FROM resources r WHERE {condition}{range}"))?;
    let total: i64 = statement.query_row(params_from_iter(params), |row| row.get(0))?;
    Ok(total.unsigned_abs())
}

/// Whether a row of a page still exists and matches, in a snapshot that is newer than the one in which it was found.
pub fn matches_now(at: &Snapshot<'_>, stream: &ResourceStream<'_>, row: i64) -> Result<bool> {
    let (condition, mut params) = build_condition(stream.collection, stream.filter);
    params.push(row.into());
    let sql = format!("SELECT 1 FROM resources r WHERE {condition} AND r.resource = ?{}", params.len());
    Ok(at.find_value::<i64>(&sql, params_from_iter(params))?.is_some())
}

#[cfg(test)]
mod tests;
