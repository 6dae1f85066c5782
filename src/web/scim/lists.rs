//! List requests: for one endpoint or all, by URL or search request, with index or cursor paging (RFC 7644 sections
//! 3.4.2 and 3.4.3, RFC 9865).

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::web::Data;

use super::document::DocumentWriter;
use crate::clock;
use crate::error::Result;
use crate::provisioning::lists::{self, ListQuery, PageStart, ResourcesPage, TypeQuery};
use crate::provisioning::resources::build_rules;
use crate::provisioning::{RenderedResource, Scope};
use crate::scim::cursor::{self, Cursor, CursorPosition, CursorQuery, CursorSecret, Direction};
use crate::scim::dialect::{DialectNotes, NoteCode};
use crate::scim::filter::{Predicate, ScimFilter, StringSyntax};
use crate::scim::projection::Projection;
use crate::scim::query::{Paging, QueryParameters};
use crate::scim::schema::ResourceType;
use crate::scim::sort::{Sort, SortField};
use crate::scim::urn;
use crate::store::Snapshot;
use crate::web::chunked_body::{BodyChunks, BodyPosition};
use crate::web::scim::response::{ResponseBody, ScimResponse};
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
pub(super) struct PreparedList {
    request: ListQuery,
    projections: Vec<Projection>,
    base: String,
    sealer: CursorSealer,
}

/// Encodes the cursors of a list.
struct CursorSealer {
    secret: CursorSecret,
    /// Parameters that the cursors are bound to.
    walk: CursorQuery,
    count: u64,
    now: i64,
}

impl CursorSealer {
    fn seal(&self, direction: Direction, position: CursorPosition) -> String {
        let cursor = Cursor { direction, count: self.count, position };
        cursor::encode_cursor(&self.secret, &self.walk, cursor, self.now)
    }
}

impl ListHandler<'_> {
    /// Checks the request.
    ///
    /// # Errors
    /// 400 for an invalid filter, projection, order or page.
    pub(super) fn prepare(&self) -> Result<PreparedList> {
        self.prepare_at(clock::current_millis())
    }

    fn prepare_at(&self, now: i64) -> Result<PreparedList> {
        let is_strict = build_rules(self.scope).strict;
        let syntax = if is_strict { StringSyntax::Json } else { StringSyntax::Lenient };
        let filter = self.query.filter.as_deref().map(|text| ScimFilter::parse_with(text, syntax)).transpose()?;
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
        let sealer = CursorSealer { secret: self.state.signing.cursor_secret, walk, count, now };
        let request = ListQuery { parts, descending, start: from, count };
        Ok(PreparedList { request, projections, base: self.base.to_owned(), sealer })
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

/// The rendered resources of a page, in memory once.
struct PageItems {
    joined: BodyChunks,
    /// Where each resource begins, with the comma in front of it.
    starts: Vec<BodyPosition>,
    /// The resources, if they are read in reverse order.
    reversed: Option<Vec<BodyChunks>>,
}

impl PageItems {
    fn new(request: &ListQuery) -> Self {
        let is_reversed = matches!(request.start, PageStart::Cursor(Direction::Backward, _));
        Self { joined: BodyChunks::default(), starts: Vec::new(), reversed: is_reversed.then(Vec::new) }
    }

    /// Adds a resource of about this size. Returns its length.
    fn add(&mut self, size: usize, write: impl FnOnce(&mut BodyChunks) -> Result<()>) -> Result<usize> {
        let before = self.joined.length();
        let length = if let Some(reversed) = &mut self.reversed {
            let mut item = BodyChunks::with_capacity(size);
            write(&mut item)?;
            let length = item.length();
            reversed.push(item);
            length
        } else {
            self.starts.push(self.joined.position());
            if self.starts.len() > 1 {
                self.joined.reserve_chunk();
                self.joined.buffer().push(b',');
            }
            write(&mut self.joined)?;
            self.joined.length() - before
        };
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Joins the first `count` resources that were added, with commas between them.
    fn join(mut self, count: usize) -> BodyChunks {
        let Some(mut reversed) = self.reversed else {
            if let Some(end) = self.starts.get(count) {
                self.joined.truncate(*end);
            }
            return self.joined;
        };
        reversed.truncate(count);
        for (index, item) in reversed.into_iter().rev().enumerate() {
            if index > 0 {
                self.joined.buffer().push(b',');
            }
            self.joined.append(item);
        }
        self.joined
    }
}

impl PreparedList {
    /// Reads and renders the page.
    pub(super) fn render(&self, at: &Snapshot<'_>, scope: &Scope) -> Result<ScimResponse> {
        let mut items = PageItems::new(&self.request);
        let page = lists::list_resources(at, scope, &self.request, &mut |part, resource| {
            self.write_item(&mut items, part, resource)
        })?;
        Ok(self.build_response(page, items))
    }

    /// Reads and renders the page on the event loop, if that is fast.
    pub(super) fn answer_inline(&self, at: &Snapshot<'_>, scope: &Scope) -> Result<Option<ScimResponse>> {
        let mut items = PageItems::new(&self.request);
        let page = lists::list_resources_inline(at, scope, &self.request, &mut |part, resource| {
            self.write_item(&mut items, part, resource)
        })?;
        Ok(page.map(|page| self.build_response(page, items)))
    }

    fn write_item(&self, items: &mut PageItems, part: usize, resource: &RenderedResource) -> Result<usize> {
        let (resource_type, projection) = (&self.request.parts[part].resource_type, &self.projections[part]);
        let writer = DocumentWriter { resource_type, base: &self.base, projection };
        items.add(resource.length(), |item| writer.write_chunks(item, resource))
    }

    fn build_response(&self, page: ResourcesPage, items: PageItems) -> ScimResponse {
        let mut notes = DialectNotes::default();
        if page.hides_groups && self.projections.iter().any(|projection| projection.needs("groups")) {
            notes.add(NoteCode::GroupsShortened);
        }
        let items = items.join(page.count);
        let mut body = BodyChunks::from(self.build_head(page).into_bytes());
        body.append(items);
        body.buffer().extend_from_slice(b"]}");
        ScimResponse { status: 200, body: ResponseBody::Chunks(body), notes, ..ScimResponse::default() }
    }

    fn build_head(&self, page: ResourcesPage) -> String {
        let ResourcesPage { total, count, previous, next, .. } = page;
        let mut head = format!("{{\"schemas\":[\"{}\"],\"totalResults\":{total}", urn::LIST_RESPONSE);
        // RFC 9865 section 2: responses with cursors have no startIndex.
        if let PageStart::Index(start) = self.request.start {
            let _ = write!(head, ",\"startIndex\":{start}");
        }
        let _ = write!(head, ",\"itemsPerPage\":{count}");
        let cursors = [("previousCursor", Direction::Backward, previous), ("nextCursor", Direction::Forward, next)];
        for (name, direction, mark) in cursors {
            if let Some(mark) = mark {
                let _ = write!(head, ",\"{name}\":\"{}\"", self.sealer.seal(direction, mark));
            }
        }
        head.push_str(",\"Resources\":[");
        head
    }
}
