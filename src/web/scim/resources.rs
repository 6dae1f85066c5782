//! Handlers of the resource endpoints: parse the request, call one use case of `provisioning`, render the response.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::web::{Data, Payload};
use serde_json::Value;

use super::body;
use super::document::DocumentWriter;
use super::writes::ResourceWrites;
use crate::error::Result;
use crate::model::switches::PatchResponse;
use crate::provisioning::Scope;
use crate::provisioning::resources::{self, WriteResult};
use crate::provisioning::{Members, RenderedResource, ResourceLinks};
use crate::scim::dialect::{DialectNotes, DialectRules};
use crate::scim::entity_tag::EntityTags;
use crate::scim::projection::Projection;
use crate::scim::query::QueryParameters;
use crate::scim::schema::ResourceType;
use crate::web::blocking::read_blocking;
use crate::web::limits::{MEMBERS_BEFORE_STREAMING, MEMBERS_IN_PATCH_RESPONSE, MEMBERS_INLINE};
use crate::web::scim::response::{ResponseBody, ScimResponse};
use crate::web::state::AppState;

/// A request of an authenticated caller on one resource type.
pub(super) struct ResourceRequest<'r> {
    pub(super) request: &'r HttpRequest,
    pub(super) state: &'r Data<AppState>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    pub(super) resource_type: &'r Arc<ResourceType>,
    pub(super) query: QueryParameters,
}

impl ResourceRequest<'_> {
    /// `GET /Users/{id}`
    pub(super) async fn read(&self, id: &str) -> Result<ScimResponse> {
        let projection = self.projection()?;
        let if_none_match = self.read_tags(&IF_NONE_MATCH)?;
        let members = if projection.needs("members") { Members::UpTo(MEMBERS_INLINE) } else { Members::Skip };
        let resource = self
            .state
            .store
            .read_inline(|at| resources::read_resource(at, self.scope, self.resource_type, id, members))?;
        let tag = resource.tag();
        if if_none_match.is_some_and(|tags| tags.contains(&tag)) {
            return Ok(ScimResponse { etag: Some(tag), ..ScimResponse::empty(304) });
        }
        let resource = self.read_all_members(resource, &projection).await?;
        self.render(200, resource, &projection, DialectNotes::default())
    }

    /// `POST /Users`
    pub(super) async fn create(&self, payload: Payload) -> Result<ScimResponse> {
        let projection = self.projection()?;
        let body = body::read_json(self.request, payload, self.rules().strict).await?;
        let WriteResult { resource, notes } = self.writes().create(&body, Members::UpTo(MEMBERS_INLINE)).await?;
        let resource = self.read_all_members(resource, &projection).await?;
        self.render(201, resource, &projection, notes)
    }

    /// `PUT /Users/{id}`
    pub(super) async fn replace(&self, id: &str, payload: Payload) -> Result<ScimResponse> {
        let projection = self.projection()?;
        let if_match = self.read_tags(&IF_MATCH)?;
        let body = self.read_body_for(id, payload).await?;
        let members = Members::UpTo(MEMBERS_INLINE);
        let WriteResult { resource, notes } = self.writes().replace(id, if_match, &body, members).await?;
        let resource = self.read_all_members(resource, &projection).await?;
        self.render(200, resource, &projection, notes)
    }

    /// `PATCH /Users/{id}`
    pub(super) async fn patch(&self, id: &str, payload: Payload) -> Result<ScimResponse> {
        let projection = self.projection()?;
        let if_match = self.read_tags(&IF_MATCH)?;
        let body = self.read_body_for(id, payload).await?;
        let needs_members = projection.needs("members");
        let members = if needs_members { Members::UpTo(MEMBERS_IN_PATCH_RESPONSE) } else { Members::Skip };
        let WriteResult { resource, notes } = self.writes().patch(id, if_match, &body, members).await?;
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
        let resource = self.read_all_members(resource, &projection).await?;
        self.render(200, resource, &projection, notes)
    }

    /// `DELETE /Users/{id}`
    pub(super) async fn delete(&self, id: &str) -> Result<ScimResponse> {
        let if_match = self.read_tags(&IF_MATCH)?;
        self.writes().delete(id, if_match).await?;
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

    fn read_tags(&self, name: &HeaderName) -> Result<Option<EntityTags>> {
        let all: Vec<&str> = self.request.headers().get_all(name).map(|value| value.to_str().unwrap_or("\"")).collect();
        if all.is_empty() {
            return Ok(None);
        }
        Ok(Some(EntityTags::parse(&all.join(","))?))
    }

    /// Reads the body of a write on an existing resource. 404 has priority over errors in the body.
    async fn read_body_for(&self, id: &str, payload: Payload) -> Result<Value> {
        body::read_json(self.request, payload, self.rules().strict)
            .await
            .or_else(|refused| self.writes().refuse_if_found(id, refused))
    }

    fn writes(&self) -> ResourceWrites<'_> {
        ResourceWrites { state: self.state, scope: self.scope, resource_type: self.resource_type, hashed: None }
    }

    /// Reads the members of a group that has too many for the first read, if the response contains them.
    async fn read_all_members(&self, resource: RenderedResource, projection: &Projection) -> Result<RenderedResource> {
        if !matches!(resource.links, ResourceLinks::Unread) || !projection.needs("members") {
            return Ok(resource);
        }
        let (scope, resource_type) = (self.scope.clone(), Arc::clone(self.resource_type));
        read_blocking(&self.state.store, move |at| {
            resources::read_resource(at, &scope, &resource_type, &resource.stored.id, Members::All)
        })
        .await
    }

    fn writer<'w>(&'w self, projection: &'w Projection) -> DocumentWriter<'w> {
        DocumentWriter { resource_type: self.resource_type, base: self.base, projection }
    }

    fn render(
        &self,
        status: u16,
        mut resource: RenderedResource,
        projection: &Projection,
        notes: DialectNotes,
    ) -> Result<ScimResponse> {
        let writer = self.writer(projection);
        let (etag, location) = (Some(resource.tag()), Some(writer.location(&resource.stored.id)));
        let body = match &mut resource.links {
            ResourceLinks::Members(members)
                if members.len() > MEMBERS_BEFORE_STREAMING
                    && projection.needs("members")
                    && projection.only_leaves_out(&["members"]) =>
            {
                let members = std::mem::take(members);
                ResponseBody::Chunks(writer.stream(&resource, members))
            }
            _ => {
                let mut bytes = Vec::new();
                writer.write(&mut bytes, &resource)?;
                ResponseBody::Bytes(bytes)
            }
        };
        Ok(ScimResponse { status, body, etag, location, notes, ..ScimResponse::default() })
    }
}
