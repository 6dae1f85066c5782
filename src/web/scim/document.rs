//! Rendering of resources as JSON bytes.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::provisioning::{LinkedResource, RenderedResource, ResourceLinks};
use crate::scim::projection::Projection;
use crate::scim::render::{self, ReferenceElement, ResourceMeta};
use crate::scim::schema::{ResourceType, find_standard_type};
use crate::web::chunked_body::BodyChunks;
use crate::web::scim::response::{ResponseBody, ScimResponse};

/// Attributes that are stored in separate rows and written after the stored text.
const LINK_ATTRIBUTES: [&str; 2] = ["members", "groups"];

/// Members or groups per chunk of a response: about 30 KB, so that the allocator does not retain large pages.
const LINKS_PER_CHUNK: usize = 128;

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
        [self.base, &self.resource_type.endpoint, "/", id].concat()
    }

    /// Returns the response with the projected document.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub(super) fn answer(&self, status: u16, resource: &RenderedResource) -> Result<ScimResponse> {
        let mut chunks = BodyChunks::with_capacity(resource.length());
        self.write_chunks(&mut chunks, resource)?;
        let (etag, location) = (Some(resource.tag()), Some(self.location(&resource.stored.id)));
        Ok(ScimResponse { status, body: ResponseBody::Chunks(chunks), etag, location, ..ScimResponse::default() })
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
        out.extend_from_slice(self.project(&whole, resource)?.to_string().as_bytes());
        Ok(())
    }

    fn write_whole(&self, out: &mut Vec<u8>, resource: &RenderedResource) {
        self.write_head(out, resource);
        let has_list = match &resource.links {
            ResourceLinks::Members(members) if self.projection.needs("members") => {
                render::open_list(out, "members");
                LinkList::Members(members).write(out, self.link_context());
                true
            }
            ResourceLinks::Groups(groups) if !groups.is_empty() && self.projection.needs("groups") => {
                render::open_list(out, "groups");
                LinkList::Groups(groups).write(out, self.link_context());
                true
            }
            _ => false,
        };
        render::close_document(out, has_list);
    }

    /// The names of members are written only if the caller's view of the resource type has them.
    fn link_context(&self) -> LinkContext<'_> {
        let hides_names =
            self.resource_type.members().is_some_and(|members| members.sub_attribute("display").is_none());
        LinkContext { base: self.base, with_names: !hides_names }
    }

    fn write_head(&self, out: &mut Vec<u8>, resource: &RenderedResource) {
        let stored = &resource.stored;
        let meta = ResourceMeta {
            resource_type: &self.resource_type.name,
            created: stored.created_at,
            last_modified: stored.last_modified,
            base: self.base,
            endpoint: &self.resource_type.endpoint,
            version: resource.version(),
        };
        render::write_head(out, &stored.body, &stored.id, &meta);
    }

    /// Writes a document of any size in chunks. Only one chunk of a long list is parsed at a time.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub(super) fn write_chunks(&self, out: &mut BodyChunks, resource: &RenderedResource) -> Result<()> {
        let (name, links) = match &resource.links {
            ResourceLinks::Members(members) if members.len() > LINKS_PER_CHUNK => {
                ("members", LinkList::Members(members))
            }
            ResourceLinks::Groups(groups) if groups.len() > LINKS_PER_CHUNK => ("groups", LinkList::Groups(groups)),
            _ => return self.write(out.buffer(), resource),
        };
        let is_whole = self.projection.only_leaves_out(&LINK_ATTRIBUTES);
        if is_whole {
            self.write_head(out.buffer(), resource);
        } else {
            self.write_projected_head(out.buffer(), resource)?;
        }
        let mut is_open = false;
        if self.projection.needs(name) {
            for chunk in links.chunks() {
                let mut list = Vec::new();
                chunk.write(&mut list, self.link_context());
                if !is_whole {
                    list = self.project_links(name, list, resource)?;
                }
                let buffer = out.buffer();
                match (list.is_empty(), is_open) {
                    (true, _) => continue,
                    (false, true) => buffer.push(b','),
                    (false, false) => render::open_list(buffer, name),
                }
                buffer.extend_from_slice(&list);
                is_open = true;
            }
        }
        render::close_document(out.buffer(), is_open);
        Ok(())
    }

    /// Writes the projected document without links and without the closing brace.
    fn write_projected_head(&self, out: &mut Vec<u8>, resource: &RenderedResource) -> Result<()> {
        let mut whole = Vec::new();
        self.write_head(&mut whole, resource);
        render::close_document(&mut whole, false);
        out.extend_from_slice(self.project(&whole, resource)?.to_string().as_bytes());
        out.pop();
        Ok(())
    }

    /// Returns the projected elements of a list, without the brackets.
    fn project_links(&self, name: &str, list: Vec<u8>, resource: &RenderedResource) -> Result<Vec<u8>> {
        let mut document = format!("{{\"{name}\":[").into_bytes();
        document.extend_from_slice(&list);
        document.extend_from_slice(b"]}");
        let projected = self.project(&document, resource)?;
        let elements = projected.get(name).map(Value::to_string).unwrap_or_default();
        let elements = elements.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
        Ok(elements.as_bytes().to_vec())
    }

    fn project(&self, whole: &[u8], resource: &RenderedResource) -> Result<Value> {
        let document: Map<String, Value> = serde_json::from_slice(whole)
            .map_err(|problem| Error::undecodable(format_args!("stored text of {}", resource.stored.id), problem))?;
        Ok(Value::Object(self.projection.apply(document, self.resource_type)))
    }
}

/// The links of a resource.
#[derive(Clone, Copy)]
enum LinkList<'l> {
    Members(&'l [LinkedResource]),
    Groups(&'l [(LinkedResource, bool)]),
}

impl<'l> LinkList<'l> {
    fn chunks(self) -> Box<dyn Iterator<Item = Self> + 'l> {
        match self {
            Self::Members(members) => Box::new(members.chunks(LINKS_PER_CHUNK).map(Self::Members)),
            Self::Groups(groups) => Box::new(groups.chunks(LINKS_PER_CHUNK).map(Self::Groups)),
        }
    }

    /// Writes the elements, each with its `type`, separated by commas.
    fn write(self, out: &mut Vec<u8>, context: LinkContext<'_>) {
        match self {
            Self::Members(members) => {
                context.write_links(out, members.iter().map(|member| (member, &*member.resource_type)));
            }
            Self::Groups(groups) => {
                let kind = |direct: bool| if direct { "direct" } else { "indirect" };
                context.write_links(out, groups.iter().map(|(group, direct)| (group, kind(*direct))));
            }
        }
    }
}

/// What the elements of `members` and `groups` have in common.
#[derive(Clone, Copy)]
struct LinkContext<'a> {
    base: &'a str,
    /// Whether `display` is written.
    with_names: bool,
}

impl LinkContext<'_> {
    /// Writes links, each with its `type`.
    fn write_links<'l>(self, out: &mut Vec<u8>, links: impl Iterator<Item = (&'l LinkedResource, &'l str)>) {
        for (index, (linked, kind)) in links.enumerate() {
            let endpoint =
                find_standard_type(&linked.resource_type).map_or("", |resource_type| &resource_type.endpoint);
            let display = linked.label.as_deref().filter(|_| self.with_names);
            let link = ReferenceElement { id: &linked.id, base: self.base, endpoint, kind, display };
            render::write_link(out, &link, index == 0);
        }
    }
}
