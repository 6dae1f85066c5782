//! Users, groups and members across configurations, for the operator's application and its administrators.

use crate::error::{Error, Result};
use crate::store::Snapshot;
use crate::store::people::{self, Filter, Member, Place, Source, View};
use crate::store::resources::{Collection, Stored};

/// Configurations that one page looks into: a page of an account with very many ends early and names where to go on.
const LOOKED_INTO_MAX: u32 = 1_000;

/// Whose users and groups are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whose {
    /// Of this account only.
    pub account: Option<String>,
    /// Of the configuration with this id only.
    pub configuration: Option<String>,
}

/// Where a page goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Row of the configuration.
    pub configuration: i64,
    /// Place behind which it goes on there; none to begin with its first resource.
    pub place: Option<Place>,
}

/// A user or group with its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its configuration.
    pub source: Source,
    /// Its row, or its image.
    pub stored: Stored,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// Where the next one goes on; none on the last.
    pub next: Option<Mark>,
}

/// At most `limit` published users or groups, in the order of configurations.
pub fn page(
    at: &Snapshot<'_>,
    whose: &Whose,
    resource_type: &str,
    filter: &Filter,
    mark: Option<&Mark>,
    limit: usize,
) -> Result<Page<Found>> {
    let from = mark.map_or(0, |mark| mark.configuration);
    let (sources, beyond) = sources(at, whose, from)?;
    let mut items = Vec::new();
    for source in sources {
        let place = mark.filter(|mark| mark.configuration == source.configuration).and_then(|mark| mark.place.as_ref());
        // One more than wanted tells whether there is a next page.
        let wanted = limit + 1 - items.len();
        items.extend(in_source(at, &source, view(&source), resource_type, filter, place, wanted)?);
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(|last: &Found| Mark {
                configuration: last.source.configuration,
                place: Some(filter.place(&last.stored)),
            });
            return Ok(Page { items, next });
        }
    }
    Ok(Page { items, next: beyond.map(|configuration| Mark { configuration, place: None }) })
}

/// The configurations to look into, and the one where the next page begins where they are too many.
fn sources(at: &Snapshot<'_>, whose: &Whose, from: i64) -> Result<(Vec<Source>, Option<i64>)> {
    if let Some(id) = &whose.configuration {
        let found = people::source_by_id(at, id)?;
        let is_theirs = |source: &Source| whose.account.as_ref().is_none_or(|account| *account == source.account);
        return Ok((found.into_iter().filter(is_theirs).collect(), None));
    }
    let mut found = people::sources(at, whose.account.as_deref(), from, LOOKED_INTO_MAX + 1)?;
    let is_more = found.len() > usize::try_from(LOOKED_INTO_MAX).unwrap_or(usize::MAX);
    let beyond = if is_more { found.pop().map(|source| source.configuration) } else { None };
    Ok((found, beyond))
}

/// Where nothing is held, what is true has been told.
fn view(source: &Source) -> View {
    if source.holds { View::Published } else { View::Current }
}

fn in_source(
    at: &Snapshot<'_>,
    source: &Source,
    view: View,
    resource_type: &str,
    filter: &Filter,
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Found>> {
    let of = Collection { configuration: source.configuration, resource_type };
    let found = people::page(at, of, view, filter, after, limit)?;
    Ok(found.into_iter().map(|stored| Found { source: source.clone(), stored }).collect())
}

/// At most `limit` users or groups of a configuration that is not deleted, as they are now.
///
/// Errors: `NotFound` where there is no such configuration in that account.
pub fn current_page(
    at: &Snapshot<'_>,
    whose: &Whose,
    resource_type: &str,
    filter: &Filter,
    mark: Option<&Mark>,
    limit: usize,
) -> Result<Page<Found>> {
    let source = live(at, whose)?;
    let place = mark.and_then(|mark| mark.place.as_ref());
    let mut items = in_source(at, &source, View::Current, resource_type, filter, place, limit + 1)?;
    let is_more = items.len() > limit;
    items.truncate(limit);
    let place = items.last().filter(|_| is_more).map(|last| filter.place(&last.stored));
    let next = place.map(|place| Mark { configuration: source.configuration, place: Some(place) });
    Ok(Page { items, next })
}

fn live(at: &Snapshot<'_>, whose: &Whose) -> Result<Source> {
    let (mut found, _) = sources(at, whose, 0)?;
    found.retain(|source| source.deleted_at.is_none());
    found.pop().ok_or_else(|| Error::NotFound("there is no such configuration".to_owned()))
}

/// The published user or group with that id.
///
/// Errors: `NotFound` where the account has none.
pub fn by_id(at: &Snapshot<'_>, account: Option<&str>, resource_type: &str, id: &str) -> Result<Found> {
    published(at, account, resource_type, id).map(|(found, _)| found)
}

/// The resource, and whether only its image is left.
fn published(at: &Snapshot<'_>, account: Option<&str>, resource_type: &str, id: &str) -> Result<(Found, bool)> {
    let missing = || Error::NotFound(format!("there is no such {}", resource_type.to_ascii_lowercase()));
    let (stored, gone) = people::by_id(at, View::Published, resource_type, id)?.ok_or_else(missing)?;
    let source = people::source_by_key(at, stored.configuration)?.ok_or_else(missing)?;
    if account.is_some_and(|account| account != source.account) {
        return Err(missing());
    }
    Ok((Found { source, stored }, gone))
}

/// At most `limit` published members of a group.
///
/// Errors: `NotFound` where the account has no such group.
pub fn members(
    at: &Snapshot<'_>,
    account: Option<&str>,
    group: &str,
    mark: Option<&Mark>,
    limit: usize,
) -> Result<Page<Member>> {
    let (Found { source, stored }, gone) = published(at, account, "Group", group)?;
    page_of_members(at, view(&source), &stored, gone, mark, limit)
}

/// At most `limit` members of a group of a configuration that is not deleted, as they are now.
///
/// Errors: `NotFound` where there is no such configuration or group.
pub fn current_members(
    at: &Snapshot<'_>,
    whose: &Whose,
    group: &str,
    mark: Option<&Mark>,
    limit: usize,
) -> Result<Page<Member>> {
    let source = live(at, whose)?;
    let found = people::by_id(at, View::Current, "Group", group)?;
    let found = found.filter(|(stored, _)| stored.configuration == source.configuration);
    let (stored, gone) = found.ok_or_else(|| Error::NotFound("there is no such group".to_owned()))?;
    page_of_members(at, View::Current, &stored, gone, mark, limit)
}

fn page_of_members(
    at: &Snapshot<'_>,
    view: View,
    group: &Stored,
    gone: bool,
    mark: Option<&Mark>,
    limit: usize,
) -> Result<Page<Member>> {
    let after = mark.and_then(|mark| mark.place.as_ref()).map_or((0, ""), |place| (place.row, place.id.as_str()));
    let mut items = people::members(at, view, group, gone, after, limit + 1)?;
    let is_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| is_more).map(|last| Mark {
        configuration: group.configuration,
        place: Some(Place { changed: 0, row: last.key, id: last.id.clone() }),
    });
    Ok(Page { items, next })
}
