//! Rendering of resources as JSON bytes.

use actix_web::web::Bytes;
use serde_json::{Map, Value};

use crate::clock;
use crate::error::{Error, Result};
use crate::provisioning::{LinkedResource, RenderedResource, ResourceLinks};
use crate::scim::projection::Projection;
use crate::scim::render::{self, ReferenceElement, ResourceMeta};
use crate::scim::schema::{ResourceType, find_standard_type};

/// Attributes that are stored in separate rows and written after the stored text.
const LINK_ATTRIBUTES: [&str; 2] = ["members", "groups"];

/// Members per chunk of a streamed response: about 30 KB, so that the allocator does not retain large pages.
const MEMBERS_PER_CHUNK: usize = 128;

/// Writes documents of one resource type with one base URL.
pub(super) struct DocumentWriter<'a> {
    pub(super) resource_type: &'a ResourceType,
    /// SCIM base URL without a trailing slash.
    pub(super) base: &'a str,
    pub(super) projection: &'a Projection,
}

impl DocumentWriter<'_> {
    /// Returns the URL of a resource.
    pub(super) fn location(&self, id: &str) -> String {
        format!("{}{}/{id}", self.base, self.resource_type.endpoint)
    }

    /// Appends the projected document.
    ///
    /// # Errors
    /// `DatabaseUnavailable` if the stored text is not valid JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>, resource: &RenderedResource) -> Result<()> {
        if self.projection.only_leaves_out(&LINK_ATTRIBUTES) {
            self.write_whole(out, resource);
            return Ok(());
        }
        let mut whole = Vec::new();
        self.write_whole(&mut whole, resource);
        let document: Map<String, Value> = serde_json::from_slice(&whole)
            .map_err(|problem| Error::database(format!("stored text of {}: {problem}", resource.stored.id)))?;
        out.extend_from_slice(
            Value::Object(self.projection.apply(document, self.resource_type)).to_string().as_bytes(),
        );
        Ok(())
    }

    fn write_whole(&self, out: &mut Vec<u8>, resource: &RenderedResource) {
        self.write_head(out, resource);
        let has_list = match &resource.links {
            ResourceLinks::Members(members) if self.projection.needs("members") => {
                render::open_list(out, "members");
                let kinds = members.iter().map(|member| (member, &*member.resource_type));
                write_links(out, self.base, kinds, true);
                true
            }
            ResourceLinks::Groups(groups) if !groups.is_empty() && self.projection.needs("groups") => {
                render::open_list(out, "groups");
                let kinds = groups.iter().map(|(group, direct)| (group, if *direct { "direct" } else { "indirect" }));
                write_links(out, self.base, kinds, true);
                true
            }
            _ => false,
        };
        render::close_document(out, has_list);
    }

    fn write_head(&self, out: &mut Vec<u8>, resource: &RenderedResource) {
        let stored = &resource.stored;
        let meta = ResourceMeta {
            resource_type: &self.resource_type.name,
            created: &clock::format_rfc3339(stored.created_at),
            last_modified: &clock::format_rfc3339(stored.last_modified),
            location: &self.location(&stored.id),
            version: &resource.tag(),
        };
        render::write_head(out, &stored.body, &stored.id, &meta);
    }

    /// Returns a group with all its members as chunks that are rendered while they are sent.
    pub(super) fn stream(&self, resource: &RenderedResource, members: Vec<LinkedResource>) -> GroupChunks {
        let mut head = Vec::new();
        self.write_head(&mut head, resource);
        render::open_list(&mut head, "members");
        GroupChunks {
            base: self.base.to_owned(),
            head: Some(head),
            members: members.into_iter(),
            stage: ChunkStage::Members { first: true },
        }
    }
}

/// Writes links, each with its `type`.
fn write_links<'l>(
    out: &mut Vec<u8>,
    base: &str,
    links: impl Iterator<Item = (&'l LinkedResource, &'l str)>,
    first: bool,
) {
    for (index, (linked, kind)) in links.enumerate() {
        let endpoint = find_standard_type(&linked.resource_type).map_or("", |resource_type| &resource_type.endpoint);
        let link = ReferenceElement { id: &linked.id, base, endpoint, kind, display: linked.label.as_deref() };
        render::write_link(out, &link, first && index == 0);
    }
}

/// Chunks of a streamed group.
pub(super) struct GroupChunks {
    base: String,
    head: Option<Vec<u8>>,
    members: std::vec::IntoIter<LinkedResource>,
    stage: ChunkStage,
}

enum ChunkStage {
    Members { first: bool },
    Done,
}

impl Iterator for GroupChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let ChunkStage::Members { first } = self.stage else { return None };
        let mut out = self.head.take().unwrap_or_default();
        let chunk: Vec<LinkedResource> = self.members.by_ref().take(MEMBERS_PER_CHUNK).collect();
        let kinds = chunk.iter().map(|member| (member, &*member.resource_type));
        write_links(&mut out, &self.base, kinds, first);
        self.stage = ChunkStage::Members { first: false };
        if chunk.len() < MEMBERS_PER_CHUNK {
            render::close_document(&mut out, true);
            self.stage = ChunkStage::Done;
        }
        Some(Bytes::from(out))
    }
}
