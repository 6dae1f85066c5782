//! Lists: of one endpoint or of all, asked by URL or by search request, by index or by cursor (RFC 7644 sections 3.4.2
//! and 3.4.3, RFC 9865).

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::web::Data;

use super::answer::Answer;
use super::document::Writer;
use super::read_aside;
use crate::clock;
use crate::directory::Scope;
use crate::directory::lists::{self, From, Page, Part, Request};
use crate::directory::resources::rules;
use crate::error::Result;
use crate::scim::cursor::{self, Cursor, Direction, Mark, Walk};
use crate::scim::filter::{Filter, Predicate};
use crate::scim::project::Projection;
use crate::scim::query::{Paging, Query};
use crate::scim::schema::ResourceType;
use crate::scim::sort::{Sort, SortField};
use crate::scim::urn;
use crate::store::Snapshot;
use crate::store::filter_sql::{self, Context};
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

/// A list before it is read.
struct Wanted {
    request: Request,
    projections: Vec<Projection>,
    /// What its cursors are bound to.
    walk: Walk,
}

/// Whether an index leads to few rows, each of them small.
fn is_point(part: &Part) -> bool {
    part.filter.as_ref().is_some_and(|filter| filter.indexed) && !part.with_members
}

impl Listing<'_> {
    /// One page of the list.
    pub(super) async fn page(self) -> Result<Answer> {
        let now = clock::now();
        let Wanted { request, projections, walk } = self.wanted(now)?;
        let scope = self.scope.clone();
        let is_point = request.parts.iter().all(is_point);
        let read = move |at: &Snapshot<'_>| {
            let page = lists::page(at, &scope, &request)?;
            Ok((request, page))
        };
        let (request, page) =
            if is_point { self.state.store.read_inline(read)? } else { read_aside(self.state, read).await? };
        let list = List { base: self.base, request: &request, projections: &projections, page };
        let seal = |direction, mark| {
            cursor::seal(&self.state.cursor_secret, &walk, Cursor { direction, count: request.count, mark }, now)
        };
        Ok(Answer::document(200, list.document(seal)?))
    }

    fn wanted(&self, now: i64) -> Result<Wanted> {
        let filter = self.query.filter.as_deref().map(Filter::parse).transpose()?;
        let sort = self.query.sort()?;
        let fields = match &sort {
            Some(sort) => sort.fields(self.types.iter().map(|of| &**of))?,
            None => vec![None; self.types.len()],
        };
        let walk = self.walk(filter.as_ref(), sort.as_ref(), &fields);
        let switches = &self.scope.switches;
        let mut count = self.query.count.map(|count| count.min(switches.page_max.into()));
        let from = match self.query.paging()? {
            Paging::Index(start) => From::Index(start),
            Paging::FirstOfWalk => From::FirstOfWalk,
            Paging::Cursor(text) => {
                let cursor = cursor::open(&self.state.cursor_secret, &walk, text, count, now)?;
                count = Some(cursor.count);
                From::Mark(cursor.direction, cursor.mark)
            }
        };
        let count = count.unwrap_or_else(|| switches.page_default.into());
        let (parts, projections) = self.parts(filter.as_ref(), fields)?;
        let descending = sort.is_some_and(|sort| sort.descending);
        Ok(Wanted { request: Request { parts, descending, from, count }, projections, walk })
    }

    /// RFC 9865 section 2: all parameters stay the same during a walk. What is shown of each resource may change.
    fn walk(&self, filter: Option<&Filter>, sort: Option<&Sort>, fields: &[Option<SortField>]) -> Walk {
        let filter = filter.map(ToString::to_string);
        let by = fields.iter().flatten().next().map(|sort| sort.field.to_string());
        let order = sort.map(|sort| if sort.descending { "descending" } else { "ascending" });
        let walk = Walk::default().with(Some(&self.scope.configuration_id)).with(filter.as_deref());
        let walk = walk.with(by.as_deref()).with(order);
        self.types.iter().fold(walk, |walk, of| walk.with(Some(&of.name)))
    }

    fn parts(&self, filter: Option<&Filter>, fields: Vec<Option<SortField>>) -> Result<(Vec<Part>, Vec<Projection>)> {
        let (attributes, excluded) = (self.query.attributes.as_deref(), self.query.excluded_attributes.as_deref());
        let parts = self.types.iter().zip(fields).map(|(of, sort)| {
            let predicate = filter.map(|filter| self.check(filter, of)).transpose()?;
            let context =
                Context { configuration: self.scope.configuration, resource_type: of, base: self.base, taken: 2 };
            let filter = predicate.map(|predicate| filter_sql::compile(&predicate, &context));
            let taken = context.taken + filter.as_ref().map_or(0, |filter| filter.params.len());
            let key = sort.map(|sort| filter_sql::sort_key(&sort, &Context { taken, ..context }));
            let projection = Projection::read(attributes, excluded, of, rules(self.scope).strict)?;
            let with_members = of.members().is_some() && projection.needs("members");
            Ok((Part { of: Arc::clone(of), filter, key, with_members }, projection))
        });
        parts.collect()
    }

    fn check(&self, filter: &Filter, of: &ResourceType) -> Result<Predicate> {
        Ok(if self.types.len() == 1 { filter.check(of)? } else { filter.check_for_any(of)? })
    }
}

/// A list as it is answered.
struct List<'l> {
    base: &'l str,
    request: &'l Request,
    projections: &'l [Projection],
    page: Page,
}

impl List<'_> {
    fn document(self, seal: impl Fn(Direction, Mark) -> String) -> Result<Vec<u8>> {
        let Page { total, items, previous, next } = self.page;
        let mut head = format!("{{\"schemas\":[\"{}\"],\"totalResults\":{total}", urn::LIST_RESPONSE);
        // RFC 9865 section 2 has no startIndex in its answers.
        if let From::Index(start) = self.request.from {
            let _ = write!(head, ",\"startIndex\":{start}");
        }
        let _ = write!(head, ",\"itemsPerPage\":{}", items.len());
        let cursors = [("previousCursor", Direction::Backward, previous), ("nextCursor", Direction::Forward, next)];
        for (name, direction, mark) in cursors {
            if let Some(mark) = mark {
                let _ = write!(head, ",\"{name}\":\"{}\"", seal(direction, mark));
            }
        }
        head.push_str(",\"Resources\":[");
        // Growing while it is written, a large answer would be held twice.
        let length: usize = items.iter().map(|(_, shown)| shown.length()).sum();
        let mut out = Vec::with_capacity(head.len() + length + 2);
        out.extend_from_slice(head.as_bytes());
        for (index, (part, shown)) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let (of, projection) = (&self.request.parts[part].of, &self.projections[part]);
            Writer { of, base: self.base, projection }.write(&mut out, &shown)?;
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}
