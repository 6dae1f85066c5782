//! Read requests. One that needs few rows is answered in the snapshot of its authentication, and so costs one read
//! transaction; any other one is answered off the event loop.

use std::sync::Arc;

use super::document::DocumentWriter;
use super::lists::PreparedList;
use crate::error::Result;
use crate::provisioning::{Members, RenderedResource, ResourceLinks, Scope, resources};
use crate::scim::entity_tag::VersionConditions;
use crate::scim::projection::Projection;
use crate::scim::schema::ResourceType;
use crate::store::{Snapshot, Store};
use crate::web::blocking::read_blocking;
use crate::web::scim::response::ScimResponse;

/// A read request whose parameters are valid.
pub(super) enum CheckedRead {
    Resource(ResourceRead),
    List(PreparedList),
}

/// `GET /Users/{id}`
pub(super) struct ResourceRead {
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) id: String,
    /// URL that the resources start with.
    pub(super) base: String,
    pub(super) projection: Projection,
    pub(super) conditions: VersionConditions,
}

impl CheckedRead {
    /// Answers the request if that needs few rows and takes at most 5 ms.
    pub(super) fn answer_few(&self, at: &Snapshot<'_>, scope: &Scope) -> Result<Option<ScimResponse>> {
        let answer = at.read_briefly(|| match self {
            Self::Resource(read) => read.answer_small(at, scope),
            Self::List(list) => list.answer_inline(at, scope),
        });
        Ok(answer?.flatten())
    }

    /// Answers a request of any size off the event loop.
    pub(super) async fn answer(self, store: &Store, scope: &Scope) -> Result<ScimResponse> {
        let (scope, owner) = (scope.clone(), scope.work_owner());
        let read = move |at: &Snapshot<'_>| match &self {
            Self::Resource(read) => read.answer_large(at, &scope),
            Self::List(list) => list.render(at, &scope),
        };
        read_blocking(store, owner, read).await
    }
}

impl ResourceRead {
    fn answer_small(&self, at: &Snapshot<'_>, scope: &Scope) -> Result<Option<ScimResponse>> {
        let with_members = self.projection.needs("members");
        let found = resources::read_small_resource(at, scope, &self.resource_type, &self.id, with_members)?;
        let Some(resource) = found else { return Ok(None) };
        if with_members && matches!(resource.links, ResourceLinks::Unread) && self.is_modified(&resource)? {
            return Ok(None);
        }
        self.answer_with(&resource).map(Some)
    }

    fn answer_large(&self, at: &Snapshot<'_>, scope: &Scope) -> Result<ScimResponse> {
        let members = if self.projection.needs("members") { Members::All } else { Members::Skip };
        self.answer_with(&resources::read_resource(at, scope, &self.resource_type, &self.id, members)?)
    }

    fn is_modified(&self, resource: &RenderedResource) -> Result<bool> {
        Ok(!self.conditions.check_read(&resource.tag())?)
    }

    fn answer_with(&self, resource: &RenderedResource) -> Result<ScimResponse> {
        if !self.is_modified(resource)? {
            return Ok(ScimResponse { etag: Some(resource.tag()), ..ScimResponse::empty(304) });
        }
        let Self { resource_type, base, projection, .. } = self;
        DocumentWriter { resource_type, base, projection }.answer(200, resource)
    }
}
