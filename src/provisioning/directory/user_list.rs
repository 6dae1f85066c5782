//! The users of all configurations of an account scope, as one list in several orders, and the numbers of its filters. What a page
//! costs depends neither on the number of users nor on the position of the page: orders are those of indexes, and at most
//! [`COUNTED_MAX`] users are compared.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::audit_context::AccountScope;
use crate::model::quota::QuotaKind;
use crate::provisioning::directory::DirectoryResource;
use crate::scim::fold;
use crate::store::Snapshot;
use crate::store::tables::directory::user_scan::{self, ScannedUser};
use crate::store::tables::directory::{self, DirectorySource};
use crate::store::tables::{resources, usage};

/// Most users that are counted one by one, or compared for a page.
pub const COUNTED_MAX: usize = 10_000;
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
    /// Only users whose `userName` starts with this text, normalized for comparison. Empty for all.
    prefix: String,
    /// Only users that are active, or that are not.
    pub active: Option<bool>,
}

impl UserFilter {
    /// Selects users whose `userName` starts with a text.
    pub fn new(text: &str, active: Option<bool>) -> Self {
        Self { prefix: fold::fold_case(text).into_owned(), active }
    }

    fn matches(&self, user: &ScannedUser) -> bool {
        user.name.starts_with(&self.prefix) && self.active.is_none_or(|active| active == user.is_active)
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

    /// Counts the users whose `userName` starts with the text of the filter: all from the counters of the configurations,
    /// those of a text one by one, at most [`COUNTED_MAX`].
    pub fn count(&self, at: &Snapshot<'_>, filter: &UserFilter) -> Result<UserCounts> {
        let (mut all, mut active) = (0, 0);
        let is_cut = self.cut_after.is_some();
        if filter.prefix.is_empty() {
            for source in &self.sources {
                let used = usage::load_usage(at, source.configuration)?.configuration.used;
                let count = |kind| usize::try_from(used.get(kind)).unwrap_or(0);
                all += count(QuotaKind::Users);
                active += count(QuotaKind::ActiveUsers);
            }
            return Ok(UserCounts::new(all, active, is_cut));
        }
        for source in &self.sources {
            user_scan::scan_users_by_name(at, source.configuration, (&filter.prefix, ""), |user| {
                if all == COUNTED_MAX {
                    all += 1;
                    return ControlFlow::Break(());
                }
                all += 1;
                active += usize::from(user.is_active);
                ControlFlow::Continue(())
            })?;
            if all > COUNTED_MAX {
                return Ok(UserCounts::new(COUNTED_MAX, active, true));
            }
            at.renew_if_due()?;
        }
        Ok(UserCounts::new(all, active, is_cut))
    }

    /// Reads a page. With the counts of its filter, few users that no index has in this order are all compared. Without them, and with
    /// many, a page can end early.
    pub fn read_page(&self, at: &Snapshot<'_>, query: &UserQuery, counts: Option<&UserCounts>) -> Result<UserPage> {
        let has_index =
            query.filter.active.is_none() && (query.filter.prefix.is_empty() || query.order != UserOrder::Changed);
        let selected = counts.filter(|_| !has_index).map(|counts| counts.of(&query.filter));
        let is_compared = selected.is_some_and(|count| !count.is_more && count.users <= COUNTED_MAX);
        let (candidates, mut next) =
            if is_compared { self.compare_all(at, query)? } else { self.merge_orders(at, query)? };
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

    /// Reads all users that match, and sorts them.
    fn compare_all(&self, at: &Snapshot<'_>, query: &UserQuery) -> Result<(Vec<Candidate>, Option<UserPosition>)> {
        let mut found: Vec<Candidate> = Vec::new();
        // Others can be added meanwhile.
        let mut left = COUNTED_MAX * 2;
        for (index, source) in self.sources.iter().enumerate() {
            let visit = |user: ScannedUser| {
                left -= 1;
                let row = user.row;
                if query.filter.matches(&user) {
                    let position = UserPosition::new(query.order, source.configuration, user);
                    if query.after.as_ref().is_none_or(|after| position > *after) {
                        found.push((position, index, row));
                    }
                }
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match query.filter.active {
                Some(active) if query.filter.prefix.is_empty() => {
                    user_scan::scan_users_by_state(at, source.configuration, active, visit)?;
                }
                _ => user_scan::scan_users_by_name(at, source.configuration, (&query.filter.prefix, ""), visit)?,
            }
            if left == 0 {
                break;
            }
            at.renew_if_due()?;
        }
        found.sort_unstable();
        Ok(cut_page(found, query.limit, None))
    }

    /// Reads the users of each configuration in the order of an index, up to the end of the page.
    fn merge_orders(&self, at: &Snapshot<'_>, query: &UserQuery) -> Result<(Vec<Candidate>, Option<UserPosition>)> {
        let mut page: BinaryHeap<Candidate> = BinaryHeap::new();
        // The first position from which on not all users were read.
        let mut read_to: Option<UserPosition> = None;
        let budget = (COUNTED_MAX / self.sources.len().max(1)).max(query.limit + 1);
        for (index, source) in self.sources.iter().enumerate() {
            if query.order == UserOrder::Configuration && (page.len() > query.limit || read_to.is_some()) {
                break;
            }
            let mut examined = 0;
            scan_in_order(at, query, source.configuration, |user| {
                let (is_match, row) = (query.filter.matches(&user), user.row);
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

/// Visits the users of a configuration in the order of the list, from the position of the page on.
fn scan_in_order(
    at: &Snapshot<'_>,
    query: &UserQuery,
    configuration: i64,
    visit: impl FnMut(ScannedUser) -> ControlFlow<()>,
) -> Result<()> {
    let prefix = query.filter.prefix.as_str();
    match &query.after {
        Some(UserPosition::Changed(Reverse(changed), Reverse(row))) => {
            user_scan::scan_users_by_change(at, configuration, (*changed, *row), visit)
        }
        _ if query.order == UserOrder::Changed => {
            user_scan::scan_users_by_change(at, configuration, (Millis::MAX, i64::MAX), visit)
        }
        Some(UserPosition::Configuration(of, Some(name))) if *of == configuration => {
            user_scan::scan_users_by_name(at, configuration, (prefix, name), visit)
        }
        Some(UserPosition::Name(name, _)) => user_scan::scan_users_by_name(at, configuration, (prefix, name), visit),
        _ => user_scan::scan_users_by_name(at, configuration, (prefix, ""), visit),
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
