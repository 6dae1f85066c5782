//! Pages of a collection (RFC 7644 sections 3.4.2 to 3.4.2.4).

use super::Scope;
use super::shown::{Links, Shown, collection};
use crate::error::Result;
use crate::scim::schema::ResourceType;
use crate::store::filter_sql::Where;
use crate::store::{Snapshot, resources};

/// Most members shown in one page of groups, all groups together; the page ends early beyond it.
const MEMBERS_PER_PAGE: i64 = 200_000;

/// Which page of what.
#[derive(Debug)]
pub struct Request<'a> {
    /// The compiled filter.
    pub filter: Option<&'a Where>,
    /// First match wanted, from 1.
    pub start_index: u64,
    /// Most resources wanted.
    pub count: u64,
    /// Whether groups are shown with their members.
    pub with_members: bool,
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// How many resources match in all.
    pub total: u64,
    /// The resources of the page, in the order of creation.
    pub items: Vec<Shown>,
}

/// Reads one page.
pub fn page(at: &Snapshot<'_>, scope: &Scope, of: &ResourceType, request: &Request<'_>) -> Result<Page> {
    let from = collection(scope, of);
    let skip = request.start_index - 1;
    let rows =
        if request.count == 0 { Vec::new() } else { resources::page(at, from, request.filter, skip, request.count)? };
    let full = rows.len() as u64 == request.count;
    let total = match request.filter {
        None => resources::total(at, from)?,
        // A page that is not full tells where the matches end.
        Some(_) if !full && (!rows.is_empty() || skip == 0) => skip + rows.len() as u64,
        Some(filter) => resources::count(at, from, filter)?,
    };
    let members_max = if request.with_members { i64::MAX } else { -1 };
    let mut items = Vec::with_capacity(rows.len());
    let mut shown_members = 0;
    for row in rows {
        shown_members += if request.with_members { row.member_count } else { 0 };
        if shown_members > MEMBERS_PER_PAGE && !items.is_empty() {
            break;
        }
        let mut shown = Shown::of(at, row, of, members_max)?;
        if !request.with_members && matches!(shown.links, Links::Members(_)) {
            shown.links = Links::Unread;
        }
        items.push(shown);
    }
    Ok(Page { total, items })
}
