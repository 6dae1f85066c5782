//! Users, groups and members across configurations, for the operator's application and for admins.

pub mod changes;
pub mod memberships;
pub mod preview;
pub mod user_list;
pub mod user_search;

use crate::error::{Reason, Result};
use crate::model::account::{AccountFilter, AccountRef};
use crate::model::ids;
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::Snapshot;
use crate::store::tables::directory::{self, CollectionPage, CollectionRows, DirectoryGroup, DirectoryView};
pub use crate::store::tables::directory::{DirectoryFilter, DirectoryMember, DirectoryPosition, DirectorySource};
use crate::store::tables::resources::ResourceCollection;
pub use crate::store::tables::resources::StoredResource;

/// Maximum number of configurations that one page reads. With more configurations, a page ends early with a cursor.
const SOURCES_PER_PAGE: u32 = 1_000;

/// The accounts and configurations whose users and groups are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryScope {
    /// Only of these accounts.
    pub account: Option<AccountFilter>,
    /// Only of the configuration with this id.
    pub configuration: Option<String>,
}

/// Position after which a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryCursor {
    /// Key of the configuration's row.
    pub configuration: i64,
    /// Position in the configuration after which the page starts. `None`: at its first resource.
    pub position: Option<DirectoryPosition>,
}

/// A user or group with its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryResource {
    /// Its configuration.
    pub source: DirectorySource,
    /// Its row, or its published image.
    pub stored: StoredResource,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page. `None` on the last page.
    pub next: Option<DirectoryCursor>,
}

/// Selects a page of users or groups.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryQuery<'q> {
    /// Name of the resource type.
    pub resource_type: &'q str,
    /// Only resources that match.
    pub filter: &'q DirectoryFilter,
    /// Position after which the page starts.
    pub cursor: Option<&'q DirectoryCursor>,
    /// Most resources of the page.
    pub limit: usize,
}

impl<'q> DirectoryQuery<'q> {
    /// The part of the page in one configuration, from the start or from a position.
    fn in_source(
        &self,
        source: &DirectorySource,
        view: DirectoryView,
        after: Option<&'q DirectoryPosition>,
    ) -> CollectionPage<'q> {
        let DirectoryQuery { resource_type, filter, limit, .. } = *self;
        let collection = ResourceCollection { configuration: source.configuration, resource_type };
        // One more than requested shows whether there is a next page.
        CollectionPage { collection, view, filter, after, limit: limit + 1, bytes_max: ANSWER_MAX_BYTES }
    }
}

/// Returns published users or groups, ordered by configuration. Between two configurations it gives up a snapshot that is
/// older than 100 ms.
///
/// # Errors
/// Errors of the store.
pub fn list_published(
    at: &Snapshot<'_>,
    scope: &DirectoryScope,
    query: &DirectoryQuery<'_>,
) -> Result<DirectoryPage<DirectoryResource>> {
    let DirectoryQuery { filter, cursor, limit, .. } = *query;
    let from = cursor.map_or(0, |cursor| cursor.configuration);
    let (sources, next_source) = list_sources(at, scope, from)?;
    let mut items = Vec::new();
    let mut bytes = 0;
    for mut source in sources {
        at.renew_if_due()?;
        if at.was_renewed() {
            // It may have been paused meanwhile, and has changes that are not published.
            let Some(current) = directory::find_source_by_key(at, source.configuration)? else { continue };
            source = current;
        }
        let position = cursor
            .filter(|cursor| cursor.configuration == source.configuration)
            .and_then(|cursor| cursor.position.as_ref());
        let mut page = query.in_source(&source, choose_view(&source), position);
        page.limit -= items.len();
        page.bytes_max -= bytes;
        let (found, is_cut) = list_in_source(at, &source, &page)?;
        let found_bytes: usize = found.iter().map(|one| one.stored.body.len()).sum();
        let is_full = !items.is_empty() && bytes + found_bytes > ANSWER_MAX_BYTES;
        if !is_full {
            bytes += found_bytes;
            items.extend(found);
        }
        if is_full || is_cut || items.len() > limit || bytes >= ANSWER_MAX_BYTES {
            items.truncate(limit);
            let next = items.last().map(|last: &DirectoryResource| DirectoryCursor {
                configuration: last.source.configuration,
                position: Some(filter.position(&last.stored)),
            });
            return Ok(DirectoryPage { items, next });
        }
    }
    Ok(DirectoryPage {
        items,
        next: next_source.map(|configuration| DirectoryCursor { configuration, position: None }),
    })
}

/// The configurations to read, and the first configuration of the next page if there are too many.
fn list_sources(at: &Snapshot<'_>, scope: &DirectoryScope, from: i64) -> Result<(Vec<DirectorySource>, Option<i64>)> {
    if let Some(id) = &scope.configuration {
        let found = directory::find_source_by_id(at, id)?;
        let is_covered =
            |source: &DirectorySource| scope.account.as_ref().is_none_or(|filter| filter.matches(&source.account));
        return Ok((found.into_iter().filter(is_covered).collect(), None));
    }
    let mut found = directory::list_sources(at, scope.account.as_ref(), from, SOURCES_PER_PAGE + 1)?;
    let has_more = found.len() > usize::try_from(SOURCES_PER_PAGE).unwrap_or(usize::MAX);
    let next_source = if has_more { found.pop().map(|source| source.configuration) } else { None };
    Ok((found, next_source))
}

/// The view of published data. If no changes are held, the published state is the current state.
fn choose_view(source: &DirectorySource) -> DirectoryView {
    if source.holds { DirectoryView::Published } else { DirectoryView::Current }
}

fn list_in_source(
    at: &Snapshot<'_>,
    source: &DirectorySource,
    page: &CollectionPage<'_>,
) -> Result<(Vec<DirectoryResource>, bool)> {
    let CollectionRows { rows, is_cut } = directory::list_resources(at, page)?;
    let found = rows.into_iter().map(|stored| DirectoryResource { source: source.clone(), stored }).collect();
    Ok((found, is_cut))
}

/// Returns users or groups of a live configuration in their current state.
///
/// # Errors
/// `NotFound` if there is no such live configuration in the account.
pub fn list_current(
    at: &Snapshot<'_>,
    scope: &DirectoryScope,
    query: &DirectoryQuery<'_>,
) -> Result<DirectoryPage<DirectoryResource>> {
    list_rows_of(at, find_live_source(at, scope)?, query)
}

/// Returns users or groups that a deleted configuration has left.
///
/// # Errors
/// `NotFound` if there is no such deleted configuration in the account.
pub fn list_remaining(
    at: &Snapshot<'_>,
    scope: &DirectoryScope,
    query: &DirectoryQuery<'_>,
) -> Result<DirectoryPage<DirectoryResource>> {
    list_rows_of(at, find_deleted_source(at, scope)?, query)
}

fn list_rows_of(
    at: &Snapshot<'_>,
    source: DirectorySource,
    query: &DirectoryQuery<'_>,
) -> Result<DirectoryPage<DirectoryResource>> {
    let DirectoryQuery { filter, cursor, limit, .. } = *query;
    let position = cursor.and_then(|cursor| cursor.position.as_ref());
    let page = query.in_source(&source, DirectoryView::Current, position);
    let (mut items, is_cut) = list_in_source(at, &source, &page)?;
    let has_more = is_cut || items.len() > limit;
    items.truncate(limit);
    let position = items.last().filter(|_| has_more).map(|last| filter.position(&last.stored));
    let next =
        position.map(|position| DirectoryCursor { configuration: source.configuration, position: Some(position) });
    Ok(DirectoryPage { items, next })
}

fn find_live_source(at: &Snapshot<'_>, scope: &DirectoryScope) -> Result<DirectorySource> {
    find_source_with(at, scope, |source| source.deleted_at.is_none())
}

fn find_deleted_source(at: &Snapshot<'_>, scope: &DirectoryScope) -> Result<DirectorySource> {
    find_source_with(at, scope, |source| source.deleted_at.is_some())
}

fn find_source_with(
    at: &Snapshot<'_>,
    scope: &DirectoryScope,
    has_state: impl Fn(&DirectorySource) -> bool,
) -> Result<DirectorySource> {
    let (mut found, _) = list_sources(at, scope, 0)?;
    found.retain(has_state);
    let id = scope.configuration.as_deref().unwrap_or_default();
    found.pop().ok_or_else(|| Reason::ConfigurationNotFound.with("id", ids::name_in_message(id)))
}

/// Returns the published user or group with this id.
///
/// # Errors
/// `NotFound` if the account has none.
pub fn find_published(
    at: &Snapshot<'_>,
    account: Option<&AccountRef>,
    resource_type: &str,
    id: &str,
) -> Result<DirectoryResource> {
    find_published_or_image(at, account, resource_type, id).map(|(found, _)| found)
}

/// Returns the published user or group with this id if it matches the filter.
fn find_matching(
    at: &Snapshot<'_>,
    resource_type: &str,
    id: &str,
    filter: &DirectoryFilter,
) -> Result<Option<DirectoryResource>> {
    let found = match find_published(at, None, resource_type, id) {
        Ok(found) => found,
        Err(error) if error.reason() == Reason::ResourceNotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if *filter == DirectoryFilter::default() {
        return Ok(Some(found));
    }
    let filter = DirectoryFilter { id: Some(id.to_owned()), ..filter.clone() };
    let query = DirectoryQuery { resource_type, filter: &filter, cursor: None, limit: 1 };
    let (mut matching, _) =
        list_in_source(at, &found.source, &query.in_source(&found.source, choose_view(&found.source), None))?;
    Ok(matching.pop())
}

/// Returns the resource, and whether it is deleted and only its published image is stored.
fn find_published_or_image(
    at: &Snapshot<'_>,
    account: Option<&AccountRef>,
    resource_type: &str,
    id: &str,
) -> Result<(DirectoryResource, bool)> {
    let not_found = || Reason::ResourceNotFound.with("resource_type", resource_type.to_ascii_lowercase());
    let (stored, is_deleted) =
        directory::find_resource_by_id(at, DirectoryView::Published, resource_type, id)?.ok_or_else(not_found)?;
    let source = directory::find_source_by_key(at, stored.configuration)?.ok_or_else(not_found)?;
    if account.is_some_and(|account| !account.is_same(&source.account)) {
        return Err(not_found());
    }
    Ok((DirectoryResource { source, stored }, is_deleted))
}

/// Returns at most `limit` published members of a group.
///
/// # Errors
/// `NotFound` if the account has no such group.
pub fn list_published_members(
    at: &Snapshot<'_>,
    account: Option<&AccountRef>,
    group: &str,
    cursor: Option<&DirectoryCursor>,
    limit: usize,
) -> Result<DirectoryPage<DirectoryMember>> {
    let (DirectoryResource { source, stored }, is_deleted) = find_published_or_image(at, account, "Group", group)?;
    let group = DirectoryGroup { view: choose_view(&source), stored: &stored, is_deleted };
    list_members_in_view(at, group, cursor, limit)
}

/// Returns at most `limit` published groups of which a published user is a direct member.
///
/// # Errors
/// `NotFound` if the account has no such user.
pub fn list_published_groups_of_user(
    at: &Snapshot<'_>,
    account: Option<&AccountRef>,
    user: &str,
    cursor: Option<&DirectoryCursor>,
    limit: usize,
) -> Result<DirectoryPage<DirectoryResource>> {
    let found = find_published(at, account, "User", user)?;
    let scope = DirectoryScope { account: None, configuration: Some(found.source.id) };
    let filter = DirectoryFilter { member_id: Some(user.to_owned()), ..DirectoryFilter::default() };
    list_published(at, &scope, &DirectoryQuery { resource_type: "Group", filter: &filter, cursor, limit })
}

/// Returns at most `limit` members of a group of a live configuration in their current state.
///
/// # Errors
/// `NotFound` if there is no such live configuration or group.
pub fn list_current_members(
    at: &Snapshot<'_>,
    scope: &DirectoryScope,
    group: &str,
    cursor: Option<&DirectoryCursor>,
    limit: usize,
) -> Result<DirectoryPage<DirectoryMember>> {
    list_members_of(at, &find_live_source(at, scope)?, group, cursor, limit)
}

/// Returns at most `limit` members of a group that a deleted configuration has left.
///
/// # Errors
/// `NotFound` if there is no such deleted configuration or group.
pub fn list_remaining_members(
    at: &Snapshot<'_>,
    scope: &DirectoryScope,
    group: &str,
    cursor: Option<&DirectoryCursor>,
    limit: usize,
) -> Result<DirectoryPage<DirectoryMember>> {
    list_members_of(at, &find_deleted_source(at, scope)?, group, cursor, limit)
}

fn list_members_of(
    at: &Snapshot<'_>,
    source: &DirectorySource,
    group: &str,
    cursor: Option<&DirectoryCursor>,
    limit: usize,
) -> Result<DirectoryPage<DirectoryMember>> {
    let found = directory::find_resource_by_id(at, DirectoryView::Current, "Group", group)?;
    let found = found.filter(|(stored, _)| stored.configuration == source.configuration);
    let (stored, is_deleted) = found.ok_or_else(|| Reason::ResourceNotFound.with("resource_type", "group"))?;
    let group = DirectoryGroup { view: DirectoryView::Current, stored: &stored, is_deleted };
    list_members_in_view(at, group, cursor, limit)
}

fn list_members_in_view(
    at: &Snapshot<'_>,
    group: DirectoryGroup<'_>,
    cursor: Option<&DirectoryCursor>,
    limit: usize,
) -> Result<DirectoryPage<DirectoryMember>> {
    let after = cursor
        .and_then(|cursor| cursor.position.as_ref())
        .map_or((0, ""), |position| (position.row, position.id.as_str()));
    let mut items = directory::list_members(at, group, after, limit + 1)?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(|last| DirectoryCursor {
        configuration: group.stored.configuration,
        position: Some(DirectoryPosition { changed: 0, row: last.key, id: last.id.clone() }),
    });
    Ok(DirectoryPage { items, next })
}
