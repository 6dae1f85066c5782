//! Handlers of the resource endpoints: decode, one call into `directory`, encode.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::web::{Data, Payload};
use serde_json::Value;

use super::answer::{Answer, Body};
use super::body;
use super::document::Writer;
use super::read_aside;
use super::writes::Writes;
use crate::directory::Scope;
use crate::directory::resources::{self, Done};
use crate::directory::{Links, Shown};
use crate::error::Result;
use crate::model::switches::PatchResponse;
use crate::scim::dialect::{Notes, Rules};
use crate::scim::project::Projection;
use crate::scim::query::Query;
use crate::scim::schema::ResourceType;
use crate::scim::version::Tags;
use crate::web::limits::{MEMBERS_BEFORE_STREAMING, MEMBERS_IN_PATCH_ANSWER, MEMBERS_INLINE};
use crate::web::state::State;

/// A request of an authenticated caller on one resource type.
pub(super) struct Call<'r> {
    pub(super) request: &'r HttpRequest,
    pub(super) state: &'r Data<State>,
    pub(super) scope: &'r Scope,
    pub(super) base: &'r str,
    pub(super) of: &'r Arc<ResourceType>,
    pub(super) query: Query,
}

impl Call<'_> {
    /// `GET /Users/{id}`
    pub(super) async fn read(&self, id: &str) -> Result<Answer> {
        let projection = self.projection()?;
        let wanted = self.tags(&IF_NONE_MATCH)?;
        let members_max = if projection.needs("members") { MEMBERS_INLINE } else { -1 };
        let shown = self.state.store.read_inline(|at| resources::read(at, self.scope, self.of, id, members_max))?;
        let tag = shown.tag();
        if wanted.is_some_and(|wanted| wanted.name(&tag)) {
            return Ok(Answer { etag: Some(tag), ..Answer::empty(304) });
        }
        let shown = self.complete(shown, &projection).await?;
        self.show(200, shown, &projection, Notes::default())
    }

    /// `POST /Users`
    pub(super) async fn create(&self, payload: Payload) -> Result<Answer> {
        let projection = self.projection()?;
        let body = body::read(self.request, payload, self.rules().strict).await?;
        let Done { shown, notes } = self.writes().create(&body, MEMBERS_INLINE).await?;
        let shown = self.complete(shown, &projection).await?;
        self.show(201, shown, &projection, notes)
    }

    /// `PUT /Users/{id}`
    pub(super) async fn replace(&self, id: &str, payload: Payload) -> Result<Answer> {
        let projection = self.projection()?;
        let if_match = self.tags(&IF_MATCH)?;
        let body = self.body_for(id, payload).await?;
        let Done { shown, notes } = self.writes().replace(id, if_match, &body, MEMBERS_INLINE).await?;
        let shown = self.complete(shown, &projection).await?;
        self.show(200, shown, &projection, notes)
    }

    /// `PATCH /Users/{id}`
    pub(super) async fn patch(&self, id: &str, payload: Payload) -> Result<Answer> {
        let projection = self.projection()?;
        let if_match = self.tags(&IF_MATCH)?;
        let body = self.body_for(id, payload).await?;
        let members_max = if projection.needs("members") { MEMBERS_IN_PATCH_ANSWER } else { -1 };
        let Done { shown, notes } = self.writes().patch(id, if_match, &body, members_max).await?;
        let is_large = matches!(shown.links, Links::Unread) && projection.needs("members");
        let silent = match self.scope.switches.patch_response {
            PatchResponse::Full => false,
            PatchResponse::Empty => true,
            PatchResponse::Auto => is_large,
        };
        // RFC 7644 section 3.5.2: who asks for attributes gets the resource.
        if silent && !projection.is_asked() {
            let location = self.writer(&projection).location(&shown.stored.id);
            return Ok(Answer { etag: Some(shown.tag()), location: Some(location), notes, ..Answer::empty(204) });
        }
        let shown = self.complete(shown, &projection).await?;
        self.show(200, shown, &projection, notes)
    }

    /// `DELETE /Users/{id}`
    pub(super) async fn delete(&self, id: &str) -> Result<Answer> {
        let if_match = self.tags(&IF_MATCH)?;
        self.writes().delete(id, if_match).await?;
        Ok(Answer::empty(204))
    }

    fn rules(&self) -> Rules {
        resources::rules(self.scope)
    }

    fn projection(&self) -> Result<Projection> {
        let strict = self.rules().strict;
        let query = &self.query;
        Ok(Projection::read(query.attributes.as_deref(), query.excluded_attributes.as_deref(), self.of, strict)?)
    }

    fn tags(&self, name: &HeaderName) -> Result<Option<Tags>> {
        let all: Vec<&str> = self.request.headers().get_all(name).map(|value| value.to_str().unwrap_or("\"")).collect();
        if all.is_empty() {
            return Ok(None);
        }
        Ok(Some(Tags::parse(&all.join(","))?))
    }

    /// The body of a write on an existing resource: 404 comes before anything that is wrong with it.
    async fn body_for(&self, id: &str, payload: Payload) -> Result<Value> {
        body::read(self.request, payload, self.rules().strict)
            .await
            .or_else(|refused| self.writes().refuse_unless_missing(id, refused))
    }

    fn writes(&self) -> Writes<'_> {
        Writes { state: self.state, scope: self.scope, of: self.of, hashed: None }
    }

    /// Reads the members of a group that were too many to read on the way, if the answer shows them.
    async fn complete(&self, shown: Shown, projection: &Projection) -> Result<Shown> {
        if !matches!(shown.links, Links::Unread) || !projection.needs("members") {
            return Ok(shown);
        }
        let (scope, of) = (self.scope.clone(), Arc::clone(self.of));
        read_aside(self.state, move |at| resources::read(at, &scope, &of, &shown.stored.id, i64::MAX)).await
    }

    fn writer<'w>(&'w self, projection: &'w Projection) -> Writer<'w> {
        Writer { of: self.of, base: self.base, projection }
    }

    fn show(&self, status: u16, mut shown: Shown, projection: &Projection, notes: Notes) -> Result<Answer> {
        let writer = self.writer(projection);
        let (etag, location) = (Some(shown.tag()), Some(writer.location(&shown.stored.id)));
        let body = match &mut shown.links {
            Links::Members(members)
                if members.len() > MEMBERS_BEFORE_STREAMING
                    && projection.needs("members")
                    && projection.only_leaves_out(&["members"]) =>
            {
                let members = std::mem::take(members);
                Body::Pieces(writer.stream(&shown, members))
            }
            _ => {
                let mut bytes = Vec::new();
                writer.write(&mut bytes, &shown)?;
                Body::Bytes(bytes)
            }
        };
        Ok(Answer { status, body, etag, location, notes, ..Answer::default() })
    }
}
