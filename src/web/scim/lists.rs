//! List requests: for one endpoint or all, by URL or search request, with index or cursor paging (RFC 7644 sections
//! 3.4.2 and 3.4.3, RFC 9865).

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::web::Data;

use super::document::DocumentWriter;
use crate::clock;
use crate::error::Result;
use crate::provisioning::Scope;
use crate::provisioning::lists::{self, ListQuery, PageStart, ResourcesPage, TypeQuery};
use crate::provisioning::resources::build_rules;
use crate::scim::cursor::{self, Cursor, CursorPosition, CursorQuery, Direction};
use crate::scim::filter::{Predicate, ScimFilter};
use crate::scim::projection::Projection;
use crate::scim::query::{Paging, QueryParameters};
use crate::scim::schema::ResourceType;
use crate::scim::sort::{Sort, SortField};
use crate::scim::urn;
use crate::store::Snapshot;
use crate::web::blocking::read_blocking;
use crate::web::scim::response::ScimResponse;
use crate::web::state::AppState;

/// A list request of an authenticated caller.
pub(super) struct ListHandler<'r> {
    pub(super) state: &'r Data<AppState>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    /// One resource type, or all. With all, an attribute that a type lacks has no value in filters.
    pub(super) types: &'r [Arc<ResourceType>],
    pub(super) query: QueryParameters,
}

/// A validated list request.
struct PreparedList {
    request: ListQuery,
    projections: Vec<Projection>,
    /// Parameters that its cursors are bound to.
    walk: CursorQuery,
}

impl ListHandler<'_> {
    /// Returns one page of the list.
    pub(super) async fn read_page(self) -> Result<ScimResponse> {
        let now = clock::current_millis();
        let PreparedList { request, projections, walk } = self.prepare(now)?;
        let scope = self.scope.clone();
        let is_point = request.parts.iter().all(TypeQuery::is_point_lookup);
        let read = move |at: &Snapshot<'_>| {
            let page = lists::list_resources(at, &scope, &request)?;
            Ok((request, page))
        };
        let (request, page) =
            if is_point { self.state.store.read_inline(read)? } else { read_blocking(&self.state.store, read).await? };
        let list = ListDocument { base: self.base, request: &request, projections: &projections, page };
        let seal = |direction, mark| {
            cursor::encode_cursor(
                &self.state.signing.cursor_secret,
                &walk,
                Cursor { direction, count: request.count, position: mark },
                now,
            )
        };
        Ok(ScimResponse::document(200, list.render(seal)?))
    }

    fn prepare(&self, now: i64) -> Result<PreparedList> {
        let filter = self.query.filter.as_deref().map(ScimFilter::parse).transpose()?;
        let sort = self.query.sort()?;
        let fields = match &sort {
            Some(sort) => sort.fields(self.types.iter().map(|resource_type| &**resource_type))?,
            None => vec![None; self.types.len()],
        };
        let walk = self.cursor_walk(filter.as_ref(), sort.as_ref(), &fields);
        let switches = &self.scope.switches;
        let mut count = self.query.count.map(|count| count.min(switches.page_max.into()));
        let from = match self.query.paging()? {
            Paging::Index(start) => PageStart::Index(start),
            Paging::FirstByCursor => PageStart::FirstPage,
            Paging::Cursor(text) => {
                let cursor = cursor::decode_cursor(&self.state.signing.cursor_secret, &walk, text, count, now)?;
                count = Some(cursor.count);
                PageStart::Cursor(cursor.direction, cursor.position)
            }
        };
        let count = count.unwrap_or_else(|| switches.page_default.into());
        let (parts, projections) = self.list_parts(filter.as_ref(), fields)?;
        let descending = sort.is_some_and(|sort| sort.descending);
        Ok(PreparedList { request: ListQuery { parts, descending, start: from, count }, projections, walk })
    }

    /// RFC 9865 section 2: all parameters must stay the same between pages, except the selection of returned
    /// attributes.
    fn cursor_walk(
        &self,
        filter: Option<&ScimFilter>,
        sort: Option<&Sort>,
        fields: &[Option<SortField>],
    ) -> CursorQuery {
        let filter = filter.map(ToString::to_string);
        let sort_by = fields.iter().flatten().next().map(|sort| sort.field.to_string());
        let order = sort.map(|sort| if sort.descending { "descending" } else { "ascending" });
        let walk = CursorQuery::default().with(Some(&self.scope.configuration_id)).with(filter.as_deref());
        let walk = walk.with(sort_by.as_deref()).with(order);
        self.types.iter().fold(walk, |walk, resource_type| walk.with(Some(&resource_type.name)))
    }

    fn list_parts(
        &self,
        filter: Option<&ScimFilter>,
        fields: Vec<Option<SortField>>,
    ) -> Result<(Vec<TypeQuery>, Vec<Projection>)> {
        let (attributes, excluded) = (self.query.attributes.as_deref(), self.query.excluded_attributes.as_deref());
        let parts = self.types.iter().zip(fields).map(|(resource_type, sort)| {
            let predicate = filter.map(|filter| self.check_filter(filter, resource_type)).transpose()?;
            let query = TypeQuery::compile(self.scope, resource_type, self.base, predicate.as_ref(), sort.as_ref());
            let projection = Projection::read(attributes, excluded, resource_type, build_rules(self.scope).strict)?;
            let with_members = resource_type.members().is_some() && projection.needs("members");
            Ok((TypeQuery { with_members, ..query }, projection))
        });
        parts.collect()
    }

    fn check_filter(&self, filter: &ScimFilter, resource_type: &ResourceType) -> Result<Predicate> {
        Ok(if self.types.len() == 1 { filter.check(resource_type)? } else { filter.check_for_any(resource_type)? })
    }
}

/// A list response.
struct ListDocument<'l> {
    base: &'l str,
    request: &'l ListQuery,
    projections: &'l [Projection],
    page: ResourcesPage,
}

impl ListDocument<'_> {
    fn render(self, seal: impl Fn(Direction, CursorPosition) -> String) -> Result<Vec<u8>> {
        let ResourcesPage { total, items, previous, next } = self.page;
        let mut head = format!("{{\"schemas\":[\"{}\"],\"totalResults\":{total}", urn::LIST_RESPONSE);
        // RFC 9865 section 2: responses with cursors have no startIndex.
        if let PageStart::Index(start) = self.request.start {
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
        // Reserved at once, because growing a large buffer would hold its content twice.
        let length: usize = items.iter().map(|(_, resource)| resource.length()).sum();
        let mut out = Vec::with_capacity(head.len() + length + 2);
        out.extend_from_slice(head.as_bytes());
        for (index, (part, resource)) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let (resource_type, projection) = (&self.request.parts[part].resource_type, &self.projections[part]);
            DocumentWriter { resource_type, base: self.base, projection }.write(&mut out, &resource)?;
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}
