//! Lists: of one endpoint or of all, asked by URL or by search request (RFC 7644 sections 3.4.2 and 3.4.3).

use std::sync::Arc;

use actix_web::web::Data;

use super::answer::Answer;
use super::document::Writer;
use super::read_aside;
use crate::directory::Scope;
use crate::directory::lists::{self, Page, Request};
use crate::directory::resources::rules;
use crate::error::Result;
use crate::scim::filter::{Filter, Predicate};
use crate::scim::project::Projection;
use crate::scim::query::Query;
use crate::scim::schema::ResourceType;
use crate::scim::urn;
use crate::store::Snapshot;
use crate::store::filter_sql::{self, Context, Where};
use crate::web::state::State;

/// A list that an authenticated caller wants.
pub(super) struct Listing<'r> {
    pub(super) state: &'r Data<State>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    /// One type, or all of them: then a filter means "no value" where a type lacks its attribute.
    pub(super) types: &'r [Arc<ResourceType>],
    pub(super) query: Query,
}

/// What is read of one type.
struct Part {
    of: Arc<ResourceType>,
    filter: Option<Where>,
    projection: Projection,
}

impl Part {
    fn with_members(&self) -> bool {
        self.of.members().is_some() && self.projection.needs("members")
    }

    /// Whether an index leads to few rows, each of them small.
    fn is_point(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.indexed) && !self.with_members()
    }
}

impl Listing<'_> {
    /// One page of the list.
    pub(super) async fn page(self) -> Result<Answer> {
        let parts = self.parts()?;
        let switches = &self.scope.switches;
        let count = self.query.count.unwrap_or_else(|| switches.page_default.into()).min(switches.page_max.into());
        let start_index = self.query.start_index.unwrap_or(1);
        let scope = self.scope.clone();
        let is_point = parts.iter().all(Part::is_point);
        let read = move |at: &Snapshot<'_>| {
            let pages = pages(at, &scope, &parts, start_index, count)?;
            Ok((parts, pages))
        };
        let (parts, pages) =
            if is_point { self.state.store.read_inline(read)? } else { read_aside(self.state, read).await? };
        Ok(Answer::document(200, self.document(&parts, &pages, start_index)?))
    }

    fn parts(&self) -> Result<Vec<Part>> {
        let filter = self.query.filter.as_deref().map(Filter::parse).transpose()?;
        let (attributes, excluded) = (self.query.attributes.as_deref(), self.query.excluded_attributes.as_deref());
        let parts = self.types.iter().map(|of| {
            let predicate = filter.as_ref().map(|filter| self.check(filter, of)).transpose()?;
            let context =
                Context { configuration: self.scope.configuration, resource_type: of, base: self.base, taken: 2 };
            Ok(Part {
                of: Arc::clone(of),
                filter: predicate.map(|predicate| filter_sql::compile(&predicate, &context)),
                projection: Projection::read(attributes, excluded, of, rules(self.scope).strict)?,
            })
        });
        parts.collect()
    }

    fn check(&self, filter: &Filter, of: &ResourceType) -> Result<Predicate> {
        Ok(if self.types.len() == 1 { filter.check(of)? } else { filter.check_for_any(of)? })
    }

    fn document(&self, parts: &[Part], pages: &[Page], start_index: u64) -> Result<Vec<u8>> {
        let total: u64 = pages.iter().map(|page| page.total).sum();
        let items: usize = pages.iter().map(|page| page.items.len()).sum();
        let mut out = Vec::with_capacity(1_024 * (items + 1));
        let head = format!(
            "{{\"schemas\":[\"{}\"],\"totalResults\":{total},\"startIndex\":{start_index},\"itemsPerPage\":{items},\"Resources\":[",
            urn::LIST_RESPONSE
        );
        out.extend_from_slice(head.as_bytes());
        let mut first = true;
        for (part, page) in parts.iter().zip(pages) {
            let writer = Writer { of: &part.of, base: self.base, projection: &part.projection };
            for shown in &page.items {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                writer.write(&mut out, shown)?;
            }
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}

/// The page as pieces of one sequence: all of the first type, then all of the next.
fn pages(at: &Snapshot<'_>, scope: &Scope, parts: &[Part], start_index: u64, count: u64) -> Result<Vec<Page>> {
    let (mut skip, mut wanted) = (start_index - 1, count);
    let mut pages = Vec::with_capacity(parts.len());
    for part in parts {
        let with_members = part.with_members();
        let request = Request { filter: part.filter.as_ref(), start_index: skip + 1, count: wanted, with_members };
        let page = lists::page(at, scope, &part.of, &request)?;
        skip = skip.saturating_sub(page.total);
        wanted -= page.items.len() as u64;
        pages.push(page);
    }
    Ok(pages)
}
