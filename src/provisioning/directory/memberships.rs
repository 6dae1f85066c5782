//! Published memberships across groups, page by page.

use crate::error::{Reason, Result};
use crate::provisioning::directory::{
    self, DirectoryCursor, DirectoryFilter, DirectoryMember, DirectoryPosition, DirectoryQuery, DirectoryResource,
    DirectoryScope,
};
use crate::store::Snapshot;

/// Groups that one page reads. With more groups, a page ends early with a cursor.
const GROUPS_PER_PAGE: usize = 1_000;
/// Groups that are read at once.
const GROUPS_PER_READ: usize = 50;

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryMembership {
    /// Id of the group.
    pub group_id: String,
    /// Id of the configuration of both.
    pub configuration_id: String,
    /// Id of the member.
    pub member_id: String,
    /// Resource type name of the member.
    pub member_type: String,
}

/// Position after which a page starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembershipCursor {
    /// Position after which the groups start. `None`: at the first group.
    pub groups: Option<DirectoryCursor>,
    /// Position in the members of the first of these groups.
    pub member: Option<DirectoryPosition>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipPage {
    /// The memberships, ordered by group.
    pub items: Vec<DirectoryMembership>,
    /// Cursor of the next page. `None` on the last page.
    pub next: Option<MembershipCursor>,
}

/// Selects memberships.
#[derive(Debug, Clone)]
pub struct MembershipQuery {
    /// Only of the group with this id.
    pub group: Option<String>,
    /// Only of the member with this id.
    pub member: Option<String>,
    /// Position after which the page starts.
    pub cursor: MembershipCursor,
    /// Most memberships of the page.
    pub limit: usize,
}

/// Returns published memberships, ordered by group.
///
/// # Errors
/// Errors of the store.
pub fn list_memberships(at: &Snapshot<'_>, scope: &DirectoryScope, query: &MembershipQuery) -> Result<MembershipPage> {
    let member = match query.member.as_deref().map(|id| find_member(at, id)).transpose()? {
        Some(None) => return Ok(MembershipPage { items: Vec::new(), next: None }),
        found => found.flatten(),
    };
    let mut page = PageBuilder { at, query, member, items: Vec::new(), groups: query.cursor.groups.clone() };
    let mut position = query.cursor.member.clone();
    let filter = DirectoryFilter { member_id: query.member.clone(), ..DirectoryFilter::default() };
    let mut visited = 0;
    loop {
        let cursor = page.groups.clone();
        let groups =
            DirectoryQuery { resource_type: "Group", filter: &filter, cursor: cursor.as_ref(), limit: GROUPS_PER_READ };
        let (found, next) = page.read_groups(scope, &groups)?;
        for group in found {
            visited += 1;
            if let Some(next) = page.add_group(&group, position.take())? {
                return Ok(MembershipPage { items: page.items, next: Some(next) });
            }
            page.groups = Some(DirectoryCursor {
                configuration: group.source.configuration,
                position: Some(filter.position(&group.stored)),
            });
        }
        let Some(next) = next else { return Ok(MembershipPage { items: page.items, next: None }) };
        page.groups = Some(next);
        if visited >= GROUPS_PER_PAGE {
            let next = MembershipCursor { groups: page.groups, member: None };
            return Ok(MembershipPage { items: page.items, next: Some(next) });
        }
    }
}

/// Returns the published user or group with this id.
fn find_member(at: &Snapshot<'_>, id: &str) -> Result<Option<DirectoryMember>> {
    for resource_type in ["User", "Group"] {
        match directory::find_published(at, None, resource_type, id) {
            Ok(found) => {
                let (key, id) = (found.stored.key, found.stored.id);
                return Ok(Some(DirectoryMember { key, id, resource_type: resource_type.to_owned(), label: None }));
            }
            Err(error) if error.reason() == Reason::ResourceNotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A page that is being built.
struct PageBuilder<'p> {
    at: &'p Snapshot<'p>,
    query: &'p MembershipQuery,
    /// The requested member.
    member: Option<DirectoryMember>,
    items: Vec<DirectoryMembership>,
    /// Position after the last group whose members are all on this page or an earlier one.
    groups: Option<DirectoryCursor>,
}

impl PageBuilder<'_> {
    /// Reads the next groups: those of the scope, or the requested one.
    fn read_groups(
        &self,
        scope: &DirectoryScope,
        groups: &DirectoryQuery<'_>,
    ) -> Result<(Vec<DirectoryResource>, Option<DirectoryCursor>)> {
        let Some(id) = self.query.group.as_ref().filter(|_| self.member.is_none()) else {
            let mut found = directory::list_published(self.at, scope, groups)?;
            found.items.retain(|group| self.query.group.as_ref().is_none_or(|id| *id == group.stored.id));
            return Ok((found.items, found.next));
        };
        let is_covered = |group: &DirectoryResource| {
            scope.account.as_ref().is_none_or(|filter| filter.matches(&group.source.account))
                && scope.configuration.as_ref().is_none_or(|id| *id == group.source.id)
        };
        match directory::find_published(self.at, None, "Group", id) {
            Ok(group) => Ok((Some(group).filter(is_covered).into_iter().collect(), None)),
            Err(error) if error.reason() == Reason::ResourceNotFound => Ok((Vec::new(), None)),
            Err(error) => Err(error),
        }
    }

    /// Adds the members of a group after a position. Returns the cursor of the next page if this one is full.
    fn add_group(
        &mut self,
        group: &DirectoryResource,
        mut position: Option<DirectoryPosition>,
    ) -> Result<Option<MembershipCursor>> {
        loop {
            let room = self.query.limit - self.items.len();
            let cursor = position.clone().map(|position| DirectoryCursor {
                configuration: group.source.configuration,
                position: Some(position),
            });
            if room == 0 {
                return Ok(Some(MembershipCursor { groups: self.groups.clone(), member: position }));
            }
            let describe = |member: DirectoryMember| DirectoryMembership {
                group_id: group.stored.id.clone(),
                configuration_id: group.source.id.clone(),
                member_id: member.id,
                member_type: member.resource_type,
            };
            if let Some(member) = &self.member {
                self.items.push(describe(member.clone()));
                return Ok(None);
            }
            let found = directory::list_published_members(self.at, None, &group.stored.id, cursor.as_ref(), room)?;
            self.items.extend(found.items.into_iter().map(describe));
            match found.next {
                Some(next) => position = next.position,
                None => return Ok(None),
            }
        }
    }
}
