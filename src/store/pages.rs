//! Pages of resources: by index or by place, sorted or in the order of creation, of one type or of several as one sequence.
//!
//! Two steps: first the rows of a page are found, by statements that read little more than an index, then the resources.
//! What has a sort value and what has none are found apart, because an index keeps NULL at the wrong end.

use std::cmp::Ordering;

use rusqlite::types::{Value as Bound, ValueRef};
use rusqlite::{OptionalExtension, params_from_iter};

use super::filter_sql::{SortKey, Where};
use super::resources::Collection;
use super::{Snapshot, counts};
use crate::error::{Error, Result};
use crate::scim::sort::{Key, Position};

/// Resources that are passed over one by one rather than looked up.
const COUNTED_THROUGH: u64 = 1_000;

/// The resources of one type that match; all streams of a page are of one configuration.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// Configuration and type.
    pub of: Collection<'a>,
    /// The filter; all resources without one.
    pub filter: Option<&'a Where>,
    /// What the type is sorted by, compiled to stand after the filter; nothing where the type lacks the attribute or
    /// nothing is sorted.
    pub key: Option<&'a SortKey>,
}

/// Which part of the sequence is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Window<'p> {
    /// From low to high: the ascending order forwards, or the descending one backwards.
    pub ascending: bool,
    /// The page begins behind this place.
    pub after: Option<&'p Position>,
    /// Resources to pass over.
    pub skip: u64,
    /// Most resources wanted.
    pub limit: u64,
}

/// One resource of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Index of its stream.
    pub stream: usize,
    /// Its place.
    pub position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Valued,
    Missing,
}

impl Half {
    fn of(position: &Position) -> Self {
        if position.key.is_some() { Self::Valued } else { Self::Missing }
    }

    fn condition(self, key: &str) -> String {
        match self {
            Self::Valued => format!("{key} IS NOT NULL"),
            Self::Missing => format!("{key} IS NULL"),
        }
    }

    fn holds_any_of(self, stream: &Stream<'_>) -> bool {
        match self {
            Self::Valued => stream.key.is_some(),
            Self::Missing => stream.key.is_none_or(|key| !key.always),
        }
    }
}

/// The rows of one page, in the order in which they are walked.
pub fn window(at: &Snapshot<'_>, streams: &[Stream<'_>], wanted: &Window<'_>) -> Result<Vec<Found>> {
    let Some(near) = from_the_end(at, streams, wanted)? else { return walked(at, streams, wanted) };
    let mut found = walked(at, streams, &near)?;
    found.reverse();
    Ok(found)
}

/// The same page counted from the other end, where that is nearer: in a sorted sequence everything before a page is
/// passed over one by one. Only of whole types it is known how many there are.
fn from_the_end<'p>(at: &Snapshot<'_>, streams: &[Stream<'_>], wanted: &Window<'p>) -> Result<Option<Window<'p>>> {
    let is_sorted = streams.iter().any(|stream| stream.key.is_some());
    let is_whole = streams.iter().all(|stream| stream.filter.is_none());
    if wanted.skip == 0 || wanted.after.is_some() || !is_sorted || !is_whole {
        return Ok(None);
    }
    let total = streams.iter().try_fold(0, |sum, stream| {
        let of = stream.of;
        Ok::<u64, Error>(sum + counts::total(at, of.configuration, of.resource_type)?.unsigned_abs())
    })?;
    let rest = total.saturating_sub(wanted.skip);
    let limit = wanted.limit.min(rest);
    let skip = rest - limit;
    let mirrored = Window { ascending: !wanted.ascending, skip, limit, after: None };
    Ok((skip < wanted.skip).then_some(mirrored))
}

fn walked(at: &Snapshot<'_>, streams: &[Stream<'_>], wanted: &Window<'_>) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut left = *wanted;
    // RFC 7644 section 3.4.2.3: what has no value comes last in the ascending order.
    let halves = if wanted.ascending { [Half::Valued, Half::Missing] } else { [Half::Missing, Half::Valued] };
    for half in halves {
        let begins_here = wanted.after.is_none_or(|place| Half::of(place) == half);
        let is_passed = !begins_here && half == halves[0];
        if is_passed || left.limit == 0 {
            continue;
        }
        left.after = wanted.after.filter(|_| begins_here);
        let of_half: Vec<(usize, &Stream<'_>)> =
            streams.iter().enumerate().filter(|(_, stream)| half.holds_any_of(stream)).collect();
        let (page, skipped) = match of_half[..] {
            [] => (Vec::new(), 0),
            [(index, stream)] => one_stream(at, index, stream, half, &left, half == halves[1])?,
            _ => merged(at, &of_half, half, &left)?,
        };
        left.skip -= skipped;
        left.limit -= page.len() as u64;
        found.extend(page);
    }
    Ok(found)
}

/// A page of one stream, and how much of what is to be skipped it used up.
fn one_stream(
    at: &Snapshot<'_>,
    index: usize,
    stream: &Stream<'_>,
    half: Half,
    wanted: &Window<'_>,
    is_last: bool,
) -> Result<(Vec<Found>, u64)> {
    let near = approached(at, &[(index, stream)], wanted)?;
    let Some(near) = near else { return Ok((Vec::new(), 0)) };
    let page = rows(at, index, stream, half, &near.window(wanted))?;
    let skipped = if !page.is_empty() || wanted.skip == 0 || is_last {
        wanted.skip
    } else {
        // The page begins behind this half; how far is what is left to skip.
        rows_in(at, stream, half)?.min(wanted.skip)
    };
    Ok((page, skipped))
}

/// A page of several streams as one sequence, and how much of what is to be skipped it used up.
fn merged(
    at: &Snapshot<'_>,
    streams: &[(usize, &Stream<'_>)],
    half: Half,
    wanted: &Window<'_>,
) -> Result<(Vec<Found>, u64)> {
    let Some(near) = approached(at, streams, wanted)? else { return Ok((Vec::new(), 0)) };
    let near = near.window(wanted);
    let each = Window { skip: 0, limit: near.limit.saturating_add(near.skip), ..near };
    let mut page = Vec::new();
    for (index, stream) in streams {
        page.extend(rows(at, *index, stream, half, &each)?);
    }
    page.sort_by(|left, right| ordered(left.position.compare(&right.position), wanted.ascending));
    let passed = usize::try_from(near.skip).unwrap_or(usize::MAX).min(page.len());
    page.drain(..passed);
    page.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    let skipped = if page.is_empty() { passed as u64 + wanted.skip - near.skip } else { wanted.skip };
    Ok((page, skipped))
}

fn ordered(order: Ordering, ascending: bool) -> Ordering {
    if ascending { order } else { order.reverse() }
}

/// A place shortly before the page, and what is left to skip from there.
struct Near {
    after: Option<Position>,
    skip: u64,
}

impl Near {
    fn window<'p>(&'p self, wanted: &Window<'p>) -> Window<'p> {
        Window { after: self.after.as_ref().or(wanted.after), skip: self.skip, ..*wanted }
    }
}

/// Where the streams are whole types in the order of creation, their counts lead near a page at any depth. `None` where
/// the page lies behind everything.
fn approached(at: &Snapshot<'_>, streams: &[(usize, &Stream<'_>)], wanted: &Window<'_>) -> Result<Option<Near>> {
    let is_whole = |stream: &Stream<'_>| stream.filter.is_none() && stream.key.is_none();
    let is_deep = wanted.skip > COUNTED_THROUGH && wanted.ascending && wanted.after.is_none();
    if !is_deep || !streams.iter().all(|(_, stream)| is_whole(stream)) {
        return Ok(Some(Near { after: None, skip: wanted.skip }));
    }
    let Some((_, first)) = streams.first() else { return Ok(None) };
    let types: Vec<&str> = streams.iter().map(|(_, stream)| stream.of.resource_type).collect();
    let near = counts::near(at, first.of.configuration, &types, wanted.skip)?;
    Ok(near.map(|near| Near { after: Some(Position { key: None, row: near.row }), skip: near.skip }))
}

/// Rows of one half of a stream.
fn rows(at: &Snapshot<'_>, index: usize, stream: &Stream<'_>, half: Half, wanted: &Window<'_>) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for behind in behind(stream, wanted.after).into_iter().flatten() {
        let left = wanted.limit - found.len() as u64;
        if left == 0 {
            break;
        }
        let (sql, params) = statement(stream, half, behind, &Window { limit: left, ..*wanted });
        let mut statement = at.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            let position = Position { key: key_in(row.get_ref(0)?), row: row.get(1)? };
            found.push(Found { stream: index, position });
        }
    }
    Ok(found)
}

/// What a statement begins behind.
#[derive(Debug, Clone, Copy)]
enum Behind<'p> {
    Nothing,
    /// A row among those without a value.
    Row(i64),
    /// A row among those with that value.
    Tie(&'p Key, i64),
    /// All rows with that value.
    Value(&'p Key),
    /// The row, among all values.
    Place(&'p Key, i64),
}

/// The statements that together begin behind a place. An index finds a value, or a row among equal values, but not both
/// at once: with one statement many equal values would be passed over again for each page.
fn behind<'p>(stream: &Stream<'_>, after: Option<&'p Position>) -> [Option<Behind<'p>>; 2] {
    match after {
        None => [Some(Behind::Nothing), None],
        Some(Position { key: None, row }) => [Some(Behind::Row(*row)), None],
        Some(Position { key: Some(key), row }) if is_in_order(stream) => {
            [Some(Behind::Tie(key, *row)), Some(Behind::Value(key))]
        }
        Some(Position { key: Some(key), row }) => [Some(Behind::Place(key, *row)), None],
    }
}

/// Whether an index is walked. A filter that leads to few rows is better sorted afterwards than looked for along
/// another index.
fn is_in_order(stream: &Stream<'_>) -> bool {
    stream.key.is_none_or(|key| key.in_order && !stream.filter.is_some_and(|filter| filter.indexed))
}

fn statement(stream: &Stream<'_>, half: Half, behind: Behind<'_>, wanted: &Window<'_>) -> (String, Vec<Bound>) {
    let mut source = Source::of(stream);
    let (than, direction) = if wanted.ascending { (">", "ASC") } else { ("<", "DESC") };
    let (key, row) = (source.key, source.row);
    let condition = match behind {
        Behind::Nothing => half.condition(key),
        Behind::Row(number) => {
            format!("{} AND {row} {than} {}", half.condition(key), source.bind(Bound::from(number)))
        }
        Behind::Tie(value, number) => {
            format!("{key} = {} AND {row} {than} {}", source.bind(bound(value)), source.bind(Bound::from(number)))
        }
        Behind::Value(value) => format!("{key} {than} {}", source.bind(bound(value))),
        Behind::Place(value, number) => {
            let (value, number) = (source.bind(bound(value)), source.bind(Bound::from(number)));
            format!("({key}, {row}) {than} ({value}, {number})")
        }
    };
    let by_key = if half == Half::Valued { format!("{key} {direction}, ") } else { String::new() };
    let [limit, skip] = [wanted.limit, wanted.skip].map(|number| source.bind(number_of(number)));
    let sql = format!(
        "SELECT {key}, {row} FROM {} AND {condition} ORDER BY {by_key}{row} {direction} LIMIT {limit} OFFSET {skip}",
        source.text
    );
    (sql, source.params)
}

/// How many rows one half of a stream has.
fn rows_in(at: &Snapshot<'_>, stream: &Stream<'_>, half: Half) -> Result<u64> {
    let source = Source::of(stream);
    let sql = format!("SELECT count(*) FROM {} AND {}", source.text, half.condition(source.key));
    let mut statement = at.prepare(&sql)?;
    let total: i64 = statement.query_row(params_from_iter(source.params), |row| row.get(0))?;
    Ok(total.unsigned_abs())
}

/// Where the rows of a stream come from: what stands after FROM, up to a condition that others may follow.
struct Source<'k> {
    text: String,
    key: &'k str,
    row: &'static str,
    params: Vec<Bound>,
}

impl<'k> Source<'k> {
    fn of(stream: &Stream<'k>) -> Self {
        let (condition, mut params) = condition(stream.of, stream.filter);
        let text = format!("resources r WHERE {condition}");
        let Some(key) = stream.key else {
            return Self { text, key: "NULL", row: "r.resource", params };
        };
        params.extend(key.params.iter().cloned());
        if is_in_order(stream) {
            return Self { text, key: &key.sql, row: "r.resource", params };
        }
        // The limit keeps SQLite from working the value out anew in each place that names it.
        let text = format!("(SELECT {} AS key, r.resource AS row FROM {text} LIMIT -1) s WHERE true", key.sql);
        Self { text, key: "s.key", row: "s.row", params }
    }

    fn bind(&mut self, value: Bound) -> String {
        self.params.push(value);
        format!("?{}", self.params.len())
    }
}

fn condition(of: Collection<'_>, filter: Option<&Where>) -> (String, Vec<Bound>) {
    let mut params = vec![Bound::from(of.configuration), Bound::from(of.resource_type.to_owned())];
    let Some(filter) = filter else { return ("r.configuration = ?1 AND r.type = ?2".to_owned(), params) };
    params.extend(filter.params.iter().cloned());
    (filter.clause(1, 2), params)
}

fn number_of(number: u64) -> Bound {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn bound(key: &Key) -> Bound {
    match key {
        Key::Whole(value) => Bound::Integer(*value),
        Key::Real(value) => Bound::Real(*value),
        Key::Text(text) => Bound::Text(text.clone()),
    }
}

fn key_in(value: ValueRef<'_>) -> Option<Key> {
    match value {
        ValueRef::Integer(value) => Some(Key::Whole(value)),
        ValueRef::Real(value) => Some(Key::Real(value)),
        ValueRef::Text(bytes) => Some(Key::Text(String::from_utf8_lossy(bytes).into_owned())),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// The sort value that a resource of the stream has now; `None` where it has none, or is gone.
pub fn key_of(at: &Snapshot<'_>, stream: &Stream<'_>, row: i64) -> Result<Option<Key>> {
    let Some(key) = stream.key else { return Ok(None) };
    let (condition, mut params) = condition(stream.of, stream.filter);
    params.extend(key.params.iter().cloned());
    params.push(row.into());
    let sql = format!("SELECT {} FROM resources r WHERE {condition} AND r.resource = ?{}", key.sql, params.len());
    let mut statement = at.prepare(&sql)?;
    let found = statement.query_row(params_from_iter(params), |row| Ok(key_in(row.get_ref(0)?))).optional()?;
    Ok(found.flatten())
}

/// How many resources of the collection match.
pub fn count(at: &Snapshot<'_>, of: Collection<'_>, filter: &Where) -> Result<u64> {
    let (condition, params) = condition(of, Some(filter));
    let mut statement = at.prepare(&format!("SELECT count(*) FROM resources r WHERE {condition}"))?;
    let total: i64 = statement.query_row(params_from_iter(params), |row| row.get(0))?;
    Ok(total.unsigned_abs())
}

#[cfg(test)]
mod tests;
