//! Handlers of the resource endpoints: parse the request, call one use case of `provisioning`, render the response.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::web::{Data, Payload};
use serde_json::Value;

use super::body;
use super::document::DocumentWriter;
use super::reads::ResourceRead;
use super::writes::ResourceWrites;
use crate::error::{Reason, Result};
use crate::model::switches::PatchResponse;
use crate::provisioning::Scope;
use crate::provisioning::resources::{self, WriteResult};
use crate::provisioning::{Members, RenderedResource, ResourceLinks};
use crate::scim::dialect::{DialectNotes, DialectRules};
use crate::scim::entity_tag::{EntityTags, VersionConditions};
use crate::scim::projection::Projection;
use crate::scim::query::QueryParameters;
use crate::scim::schema::ResourceType;
use crate::store::WorkOwner;
use crate::web::blocking::read_blocking;
use crate::web::limits::{MEMBERS_IN_PATCH_RESPONSE, MEMBERS_INLINE, RENDER_INLINE_BYTES};
use crate::web::scim::response::ScimResponse;
use crate::web::state::AppState;

/// A request of an authenticated caller on one resource type.
pub(super) struct ResourceRequest<'r> {
    pub(super) request: &'r HttpRequest,
    pub(super) state: &'r Data<AppState>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    pub(super) resource_type: &'r Arc<ResourceType>,
    pub(super) query: QueryParameters,
    /// Whether the token may read resources of this type.
    pub(super) may_read: bool,
}

impl ResourceRequest<'_> {
    /// Checks `GET /Users/{id}`.
    ///
    /// # Errors
    /// 400 for an invalid projection or condition.
    pub(super) fn prepare_read(&self, id: &str) -> Result<ResourceRead> {
        Ok(ResourceRead {
            projection: self.projection()?,
            conditions: self.read_conditions()?,
            resource_type: Arc::clone(self.resource_type),
            base: self.base.to_owned(),
            id: id.to_owned(),
        })
    }

    fn owner(&self) -> WorkOwner {
        self.scope.work_owner()
    }

    /// `POST /Users`
    pub(super) async fn create(&self, payload: Payload) -> Result<ScimResponse> {
        let projection = self.projection()?;
        let body = body::read_json(self.request, payload, self.scope).await?;
        let WriteResult { resource, notes } = self.writes().create(body, Members::UpTo(MEMBERS_INLINE)).await?;
        self.render_written(201, resource, projection, notes).await
    }

    /// `PUT /Users/{id}`
    pub(super) async fn replace(&self, id: &str, payload: Payload) -> Result<ScimResponse> {
        let projection = self.projection_of_change()?;
        let conditions = self.read_conditions()?;
        let body = self.read_body_for(id, payload).await?;
        let members = Members::UpTo(MEMBERS_INLINE);
        let WriteResult { resource, notes } = self.writes().replace(id, conditions, body, members).await?;
        self.render_written(200, resource, projection, notes).await
    }

    /// `PATCH /Users/{id}`
    pub(super) async fn patch(&self, id: &str, payload: Payload) -> Result<ScimResponse> {
        let projection = self.projection_of_change()?;
        let conditions = self.read_conditions()?;
        let body = self.read_body_for(id, payload).await?;
        let needs_members = projection.needs("members");
        let members = if needs_members { Members::UpTo(MEMBERS_IN_PATCH_RESPONSE) } else { Members::Skip };
        let WriteResult { resource, notes } = self.writes().patch(id, conditions, body, members).await?;
        let is_large = matches!(resource.links, ResourceLinks::Unread) && needs_members;
        let silent = match self.scope.switches.patch_response {
            PatchResponse::Full => false,
            PatchResponse::Empty => true,
            PatchResponse::Auto => is_large,
        };
        // RFC 7644 section 3.5.2: a request for attributes is answered with the resource.
        if silent && !projection.selects_by_name() {
            let location = self.writer(&projection).location(&resource.stored.id);
            return Ok(ScimResponse {
                etag: Some(resource.tag()),
                location: Some(location),
                notes,
                ..ScimResponse::empty(204)
            });
        }
        self.render_written(200, resource, projection, notes).await
    }

    /// `DELETE /Users/{id}`
    pub(super) async fn delete(&self, id: &str) -> Result<ScimResponse> {
        let conditions = self.read_conditions()?;
        self.writes().delete(id, conditions).await?;
        Ok(ScimResponse::empty(204))
    }

    fn rules(&self) -> DialectRules {
        resources::build_rules(self.scope)
    }

    fn projection(&self) -> Result<Projection> {
        let strict = self.rules().strict;
        let query = &self.query;
        Projection::read(query.attributes.as_deref(), query.excluded_attributes.as_deref(), self.resource_type, strict)
    }

    /// The answer to a change of a resource that the token may not read has its id and its metadata only.
    fn projection_of_change(&self) -> Result<Projection> {
        let asked = self.projection()?;
        if self.may_read { Ok(asked) } else { Projection::read(Some("id"), None, self.resource_type, false) }
    }

    fn read_conditions(&self) -> Result<VersionConditions> {
        Ok(VersionConditions { if_match: self.read_tags(&IF_MATCH)?, if_none_match: self.read_tags(&IF_NONE_MATCH)? })
    }

    /// Header lines of the same name are one list (RFC 9110 section 5.3).
    fn read_tags(&self, name: &HeaderName) -> Result<Option<EntityTags>> {
        let mut lines = self.request.headers().get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let Some(first) = lines.next() else { return Ok(None) };
        let all = lines.fold(first.into_owned(), |all, line| all + "," + &line);
        Ok(Some(EntityTags::parse(&all, self.rules().strict)?))
    }

    /// Reads the body of a write on an existing resource. 404 has priority over errors in the body.
    async fn read_body_for(&self, id: &str, payload: Payload) -> Result<Value> {
        body::read_json(self.request, payload, self.scope)
            .await
            .or_else(|refused| self.writes().refuse_if_found(id, refused))
    }

    fn writes(&self) -> ResourceWrites<'_> {
        ResourceWrites { state: self.state, scope: self.scope, resource_type: self.resource_type }
    }

    /// Renders the result of a write. If it is large, this is done off the event loop, including the members that were not
    /// read. If it cannot be done in time, the response has no members, because the write has succeeded.
    async fn render_written(
        &self,
        status: u16,
        resource: RenderedResource,
        projection: Projection,
        notes: DialectNotes,
    ) -> Result<ScimResponse> {
        let reads_members = matches!(resource.links, ResourceLinks::Unread) && projection.needs("members");
        if !reads_members && resource.length() <= RENDER_INLINE_BYTES {
            return self.render(status, &resource, &projection, notes);
        }
        let (scope, resource_type, base) = (self.scope.clone(), Arc::clone(self.resource_type), self.base.to_owned());
        let (copy, selected) = (resource.clone(), projection.clone());
        let rendered = read_blocking(&self.state.store, self.owner(), move |at| {
            let writer = DocumentWriter { resource_type: &resource_type, base: &base, projection: &selected };
            if !reads_members {
                return writer.answer(status, &copy);
            }
            let whole = resources::read_resource(at, &scope, &resource_type, &copy.stored.id, Members::All)?;
            writer.answer(status, &whole)
        });
        match rendered.await {
            Ok(answer) => Ok(ScimResponse { notes, ..answer }),
            Err(error) if matches!(error.status(), 429 | 503) || error.reason() == Reason::QueryTooLong => {
                self.render(status, &resource, &projection, notes)
            }
            Err(error) => Err(error),
        }
    }

    fn writer<'w>(&'w self, projection: &'w Projection) -> DocumentWriter<'w> {
        DocumentWriter { resource_type: self.resource_type, base: self.base, projection }
    }

    fn render(
        &self,
        status: u16,
        resource: &RenderedResource,
        projection: &Projection,
        notes: DialectNotes,
    ) -> Result<ScimResponse> {
        Ok(ScimResponse { notes, ..self.writer(projection).answer(status, resource)? })
    }
}
