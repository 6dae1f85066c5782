//! The users of all configurations of an account scope, as one list in several orders, and the numbers of its filters. What a page
//! costs depends neither on the number of users nor on the position of the page: orders are those of indexes, and at most
//! [`COUNTED_MAX`] users are compared. A search reads at most [`MATCHES_MAX`] users, of which a page is then a part.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::ops::ControlFlow;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::audit_context::AccountScope;
use crate::model::quota::QuotaKind;
use crate::provisioning::directory::DirectoryResource;
use crate::scim::fold;
use crate::store::Snapshot;
use crate::store::tables::directory::user_scan::{self, ScannedUser};
use crate::store::tables::directory::{self, DirectorySource, prefix_search};
use crate::store::tables::resources::ResourceCollection;
use crate::store::tables::{resources, usage};

/// Most users that are counted one by one, or compared for a page.
pub const COUNTED_MAX: usize = 10_000;
/// Most users that a search finds for a list. An export has all of them.
pub const MATCHES_MAX: usize = 2_000;
/// Most users of one configuration that a search finds for an export.
const EXPORTED_MATCHES_MAX: usize = 1_000_000;
/// The beginning of an id is searched from this length on: ids begin with the time, so a shorter text fits too many.
pub const ID_PREFIX_MIN: usize = 8;
/// Maximum number of configurations that one page reads. In the order of configurations, the next page reads others.
pub const SOURCES_MAX: u32 = 1_000;

/// An order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserOrder {
    /// By configuration, and in it by `userName`.
    #[default]
    Configuration,
    /// By `userName`.
    Name,
    /// The last changed first.
    Changed,
}

/// Selects users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Only users whose `userName`, `displayName`, e-mail address, `externalId` or id starts with this text. Empty for all.
    text: String,
    /// The text, normalized for comparison.
    key: String,
    /// Only users that are active, or that are not.
    pub active: Option<bool>,
}

impl UserFilter {
    /// Selects users by the beginning of a name, an e-mail address or an id.
    pub fn new(text: &str, active: Option<bool>) -> Self {
        Self { text: text.to_owned(), key: fold::fold_case(text).into_owned(), active }
    }

    fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// The beginning of an id, if the text can be one.
    fn id_prefix(&self) -> Option<String> {
        let is_id = self.text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        (is_id && self.text.len() >= ID_PREFIX_MIN).then(|| self.text.to_ascii_lowercase())
    }

    fn matches_state(&self, user: &ScannedUser) -> bool {
        self.active.is_none_or(|active| active == user.is_active)
    }
}

/// Position of a user in an order, after which a page starts. Positions of one order are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserPosition {
    /// Key of the configuration, and `userName`, normalized for comparison. `None`: before its first user.
    Configuration(i64, Option<String>),
    /// `userName`, normalized for comparison, and row number.
    Name(String, i64),
    /// Time of the last change and row number.
    Changed(Reverse<Millis>, Reverse<i64>),
}

impl UserPosition {
    fn new(order: UserOrder, configuration: i64, user: ScannedUser) -> Self {
        match order {
            UserOrder::Configuration => Self::Configuration(configuration, Some(user.name)),
            UserOrder::Name => Self::Name(user.name, user.row),
            UserOrder::Changed => Self::Changed(Reverse(user.changed), Reverse(user.row)),
        }
    }
}

/// A page of the list.
#[derive(Debug, Default)]
pub struct UserPage {
    /// The users in their current state.
    pub users: Vec<DirectoryResource>,
    /// Where the next page starts. `None` on the last page. A page can have fewer users than the limit and still be followed
    /// by another.
    pub next: Option<UserPosition>,
}

/// A page of the list to read.
#[derive(Debug, Clone)]
pub struct UserQuery {
    /// The users.
    pub filter: UserFilter,
    /// Their order.
    pub order: UserOrder,
    /// The position after which the page starts, in the same order.
    pub after: Option<UserPosition>,
    /// Most users of the page.
    pub limit: usize,
}

/// The number of users that a filter selects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterCount {
    /// The number, or a lower bound.
    pub users: usize,
    /// Whether there are more.
    pub is_more: bool,
}

/// The numbers of users with the same text, without the filter on `active`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserCounts {
    /// All of them.
    pub all: FilterCount,
    /// Those that are active.
    pub active: FilterCount,
    /// Those that are not.
    pub inactive: FilterCount,
}

impl UserCounts {
    fn new(all: usize, active: usize, is_more: bool) -> Self {
        let count = |users| FilterCount { users, is_more };
        Self { all: count(all), active: count(active), inactive: count(all.saturating_sub(active)) }
    }

    fn of(&self, filter: &UserFilter) -> FilterCount {
        match filter.active {
            None => self.all,
            Some(true) => self.active,
            Some(false) => self.inactive,
        }
    }
}

/// The users that a filter selects: their numbers, and those that a search has found.
#[derive(Debug, Default)]
pub struct UserSelection {
    /// The numbers for the filters on `active`.
    pub counts: UserCounts,
    /// The users that a search has found, whatever their state, each with its configuration. `None` without a search.
    matches: Option<Vec<(i64, ScannedUser)>>,
    /// Key of the last configuration that was searched, if there are more.
    searched_to: Option<i64>,
}

/// The configurations of an account scope whose users are listed.
#[derive(Debug)]
pub struct UserList {
    sources: Vec<DirectorySource>,
    /// Key of the last configuration, if there are more than [`SOURCES_MAX`], whose users are neither counted nor listed.
    pub cut_after: Option<i64>,
}

/// A user of a page before its document is read: position, index of the configuration, row number.
type Candidate = (UserPosition, usize, i64);

impl UserList {
    /// Reads the configurations for a page: in their own order those from its position on, otherwise the first ones.
    pub fn read(at: &Snapshot<'_>, scope: &AccountScope, after: Option<&UserPosition>) -> Result<Self> {
        let from = if let Some(UserPosition::Configuration(from, _)) = after { *from } else { 0 };
        let mut sources = directory::list_sources(at, scope.filter(None).as_ref(), from, SOURCES_MAX + 1)?;
        let most = usize::try_from(SOURCES_MAX).unwrap_or(usize::MAX);
        let is_cut = sources.len() > most;
        sources.truncate(most);
        let cut_after = sources.last().filter(|_| is_cut).map(|last| last.configuration);
        sources.retain(|source| source.deleted_at.is_none());
        Ok(Self { sources, cut_after })
    }

    /// Counts the users of a filter: all from the counters of the configurations; those of a text are searched, at most
    /// [`MATCHES_MAX`].
    pub fn select(&self, at: &Snapshot<'_>, filter: &UserFilter) -> Result<UserSelection> {
        let is_cut = self.cut_after.is_some();
        if filter.has_text() {
            let (found, has_more) = self.search(at, filter)?;
            let active = found.iter().filter(|(_, user)| user.is_active).count();
            let counts = UserCounts::new(found.len(), active, has_more || is_cut);
            return Ok(UserSelection { counts, matches: Some(found), searched_to: self.cut_after });
        }
        let (mut all, mut active) = (0, 0);
        for source in &self.sources {
            let of_source = count_users(at, source.configuration)?;
            all += of_source.all.users;
            active += of_source.active.users;
        }
        Ok(UserSelection { counts: UserCounts::new(all, active, is_cut), ..UserSelection::default() })
    }

    /// Searches the configurations in their order, at most [`MATCHES_MAX`] users. Returns them, and whether there are more.
    fn search(&self, at: &Snapshot<'_>, filter: &UserFilter) -> Result<(Vec<(i64, ScannedUser)>, bool)> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        if let Some(prefix) = filter.id_prefix() {
            for (configuration, user) in prefix_search::list_users_by_id_prefix(at, &prefix, MATCHES_MAX)? {
                let is_listed =
                    self.sources.binary_search_by_key(&configuration, |source| source.configuration).is_ok();
                if is_listed && seen.insert(user.row) {
                    found.push((configuration, user));
                }
            }
        }
        for source in &self.sources {
            let configuration = source.configuration;
            let (texts, left) = ((filter.key.as_str(), filter.text.as_str()), MATCHES_MAX + 1 - found.len());
            let users = prefix_search::list_users_by_prefix(at, configuration, texts, &mut seen, left)?;
            found.extend(users.into_iter().map(|user| (configuration, user)));
            if found.len() > MATCHES_MAX {
                found.truncate(MATCHES_MAX);
                return Ok((found, true));
            }
            at.renew_if_due()?;
        }
        Ok((found, false))
    }

    /// Reads a page. With the selection of its filter, few users that no index has in this order are all compared. Without it, and
    /// with many, a page can end early.
    pub fn read_page(
        &self,
        at: &Snapshot<'_>,
        query: &UserQuery,
        selection: Option<&UserSelection>,
    ) -> Result<UserPage> {
        let (candidates, mut next) = match selection {
            Some(selection) if query.filter.has_text() => self.read_matches(at, query, selection)?,
            _ if query.filter.has_text() => self.merge_orders(at, query)?,
            Some(selection) if query.filter.active.is_some() => {
                let count = selection.counts.of(&query.filter);
                let is_compared = !count.is_more && count.users <= COUNTED_MAX;
                if is_compared { self.compare_all(at, query)? } else { self.merge_orders(at, query)? }
            }
            _ => self.merge_orders(at, query)?,
        };
        if query.order == UserOrder::Configuration && next.is_none() {
            next = self.cut_after.map(|last| UserPosition::Configuration(last + 1, None));
        }
        let mut users = Vec::with_capacity(candidates.len());
        for (_, index, row) in candidates {
            let source = &self.sources[index];
            // It can have been deleted since the scan, if the snapshot was renewed.
            if let Some(stored) = resources::find_resource_by_key(at, source.configuration, row)? {
                users.push(DirectoryResource { source: source.clone(), stored });
            }
        }
        Ok(UserPage { users, next })
    }

    /// Sorts the users that a search has found. In the order of configurations, a page whose configurations were not all searched
    /// searches its own.
    fn read_matches(
        &self,
        at: &Snapshot<'_>,
        query: &UserQuery,
        selection: &UserSelection,
    ) -> Result<(Vec<Candidate>, Option<UserPosition>)> {
        let last = self.sources.last().map(|source| source.configuration);
        let is_searched = selection.searched_to.is_none_or(|to| last.is_none_or(|last| last <= to));
        let own = if is_searched { Vec::new() } else { self.search(at, &query.filter)?.0 };
        let found = selection.matches.as_ref().filter(|_| is_searched).unwrap_or(&own);
        let mut candidates: Vec<Candidate> = Vec::new();
        for (configuration, user) in found.iter().filter(|(_, user)| query.filter.matches_state(user)) {
            let position = UserPosition::new(query.order, *configuration, user.clone());
            let index = self.sources.binary_search_by_key(configuration, |source| source.configuration);
            if let Ok(index) = index
                && query.after.as_ref().is_none_or(|after| position > *after)
            {
                candidates.push((position, index, user.row));
            }
        }
        candidates.sort_unstable();
        Ok(cut_page(candidates, query.limit, None))
    }

    /// Reads all users in one state, and sorts them.
    fn compare_all(&self, at: &Snapshot<'_>, query: &UserQuery) -> Result<(Vec<Candidate>, Option<UserPosition>)> {
        let mut found: Vec<Candidate> = Vec::new();
        // Others can be added meanwhile.
        let mut left = COUNTED_MAX * 2;
        let is_active = query.filter.active == Some(true);
        for (index, source) in self.sources.iter().enumerate() {
            user_scan::scan_users_by_state(at, source.configuration, is_active, |user| {
                left -= 1;
                let row = user.row;
                let position = UserPosition::new(query.order, source.configuration, user);
                if query.after.as_ref().is_none_or(|after| position > *after) {
                    found.push((position, index, row));
                }
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if left == 0 {
                break;
            }
            at.renew_if_due()?;
        }
        found.sort_unstable();
        Ok(cut_page(found, query.limit, None))
    }

    /// Reads the users of each configuration in the order of an index, up to the end of the page. Those of a text are found first,
    /// as row numbers.
    fn merge_orders(&self, at: &Snapshot<'_>, query: &UserQuery) -> Result<(Vec<Candidate>, Option<UserPosition>)> {
        let mut page: BinaryHeap<Candidate> = BinaryHeap::new();
        // The first position from which on not all users were read.
        let mut read_to: Option<UserPosition> = None;
        let budget = (COUNTED_MAX / self.sources.len().max(1)).max(query.limit + 1);
        let by_id = match query.filter.id_prefix() {
            Some(prefix) => prefix_search::list_users_by_id_prefix(at, &prefix, EXPORTED_MATCHES_MAX)?,
            None => Vec::new(),
        };
        for (index, source) in self.sources.iter().enumerate() {
            if query.order == UserOrder::Configuration && (page.len() > query.limit || read_to.is_some()) {
                break;
            }
            let mut examined = 0;
            let matching = find_matching_rows(at, source.configuration, &query.filter, &by_id)?;
            if matching.as_ref().is_some_and(HashSet::is_empty) {
                continue;
            }
            scan_in_order(at, query, source.configuration, |user| {
                let is_match = query.filter.matches_state(&user)
                    && matching.as_ref().is_none_or(|matching| matching.contains(&user.row));
                let row = user.row;
                let position = UserPosition::new(query.order, source.configuration, user);
                if query.after.as_ref().is_some_and(|after| position <= *after) {
                    return ControlFlow::Continue(());
                }
                let is_full = page.len() > query.limit;
                if is_full && page.peek().is_some_and(|(last, ..)| position > *last) {
                    return ControlFlow::Break(());
                }
                examined += 1;
                if examined == budget {
                    read_to = Some(read_to.take().map_or_else(|| position.clone(), |end| end.min(position.clone())));
                }
                if is_match {
                    page.push((position, index, row));
                    if is_full {
                        page.pop();
                    }
                }
                if examined == budget { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            at.renew_if_due()?;
        }
        Ok(cut_page(page.into_sorted_vec(), query.limit, read_to))
    }
}

/// Returns the numbers of the users of a configuration, from its counters.
pub fn count_users(at: &Snapshot<'_>, configuration: i64) -> Result<UserCounts> {
    let used = usage::load_usage(at, configuration)?.configuration.used;
    let count = |kind| usize::try_from(used.get(kind)).unwrap_or(0);
    Ok(UserCounts::new(count(QuotaKind::Users), count(QuotaKind::ActiveUsers), false))
}

/// Returns the row numbers of all users of a configuration that match the text of the filter; `None` without a text. `by_id` are
/// those of all configurations whose id matches, each with its configuration.
fn find_matching_rows(
    at: &Snapshot<'_>,
    configuration: i64,
    filter: &UserFilter,
    by_id: &[(i64, ScannedUser)],
) -> Result<Option<HashSet<i64>>> {
    if !filter.has_text() {
        return Ok(None);
    }
    let collection = ResourceCollection { configuration, resource_type: "User" };
    let texts = (filter.key.as_str(), filter.text.as_str());
    let rows = prefix_search::list_rows_by_prefix(at, collection, texts, EXPORTED_MATCHES_MAX)?;
    let mut found: HashSet<i64> = rows.into_iter().collect();
    found.extend(by_id.iter().filter(|(of, _)| *of == configuration).map(|(_, user)| user.row));
    Ok(Some(found))
}

/// Visits the users of a configuration in the order of the list, from the position of the page on.
fn scan_in_order(
    at: &Snapshot<'_>,
    query: &UserQuery,
    configuration: i64,
    visit: impl FnMut(ScannedUser) -> ControlFlow<()>,
) -> Result<()> {
    match &query.after {
        Some(UserPosition::Changed(Reverse(changed), Reverse(row))) => {
            user_scan::scan_users_by_change(at, configuration, (*changed, *row), visit)
        }
        _ if query.order == UserOrder::Changed => {
            user_scan::scan_users_by_change(at, configuration, (Millis::MAX, i64::MAX), visit)
        }
        Some(UserPosition::Configuration(of, Some(name))) if *of == configuration => {
            user_scan::scan_users_by_name(at, configuration, name, visit)
        }
        Some(UserPosition::Name(name, _)) => user_scan::scan_users_by_name(at, configuration, name, visit),
        _ => user_scan::scan_users_by_name(at, configuration, "", visit),
    }
}

/// The candidates of a page, and where the next one starts. Those after `read_to` are not complete.
fn cut_page(
    mut found: Vec<Candidate>,
    limit: usize,
    read_to: Option<UserPosition>,
) -> (Vec<Candidate>, Option<UserPosition>) {
    if let Some(end) = &read_to {
        found.retain(|(position, ..)| position <= end);
    }
    if found.len() > limit {
        found.truncate(limit);
        let next = found.last().map(|(position, ..)| position.clone());
        return (found, next);
    }
    (found, read_to)
}

#[cfg(test)]
mod tests;
