//! Resources as bytes.

use actix_web::web::Bytes;
use serde_json::{Map, Value};

use crate::clock;
use crate::directory::{Links, Shown};
use crate::error::{Error, Result};
use crate::scim::project::Projection;
use crate::scim::render::{self, Link, Meta};
use crate::scim::schema::{ResourceType, standard_type};
use crate::store::members::Linked;

/// Lists that live in rows of their own and are written after the text.
const LINKS: [&str; 2] = ["members", "groups"];

/// How many members one piece of a streamed answer holds: some 30 KB, which the allocator keeps no large page for.
const MEMBERS_PER_PIECE: usize = 128;

/// Writes documents of one type under one base URL.
pub(super) struct Writer<'a> {
    pub(super) of: &'a ResourceType,
    /// SCIM base URL without a slash at the end.
    pub(super) base: &'a str,
    pub(super) projection: &'a Projection,
}

impl Writer<'_> {
    /// The URL of a resource.
    pub(super) fn location(&self, id: &str) -> String {
        format!("{}{}/{id}", self.base, self.of.endpoint)
    }

    /// Appends the document as the projection wants it.
    ///
    /// # Errors
    /// `Database` where the stored text is no JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>, shown: &Shown) -> Result<()> {
        if self.projection.only_leaves_out(&LINKS) {
            self.write_whole(out, shown);
            return Ok(());
        }
        let mut whole = Vec::new();
        self.write_whole(&mut whole, shown);
        let document: Map<String, Value> = serde_json::from_slice(&whole)
            .map_err(|problem| Error::Database(format!("stored text of {}: {problem}", shown.stored.id)))?;
        out.extend_from_slice(Value::Object(self.projection.apply(document, self.of)).to_string().as_bytes());
        Ok(())
    }

    fn write_whole(&self, out: &mut Vec<u8>, shown: &Shown) {
        self.write_head(out, shown);
        let has_list = match &shown.links {
            Links::Members(members) if self.projection.needs("members") => {
                render::open_list(out, "members");
                let kinds = members.iter().map(|member| (member, &*member.resource_type));
                write_links(out, self.base, kinds, true);
                true
            }
            Links::Groups(groups) if !groups.is_empty() && self.projection.needs("groups") => {
                render::open_list(out, "groups");
                let kinds = groups.iter().map(|(group, direct)| (group, if *direct { "direct" } else { "indirect" }));
                write_links(out, self.base, kinds, true);
                true
            }
            _ => false,
        };
        render::close(out, has_list);
    }

    fn write_head(&self, out: &mut Vec<u8>, shown: &Shown) {
        let stored = &shown.stored;
        let meta = Meta {
            resource_type: &self.of.name,
            created: &clock::rfc3339(stored.created_at),
            last_modified: &clock::rfc3339(stored.last_modified),
            location: &self.location(&stored.id),
            version: &shown.tag(),
        };
        render::head(out, &stored.body, &stored.id, &meta);
    }

    /// A group with all its members, in pieces that are made as they are sent.
    pub(super) fn stream(&self, shown: &Shown, members: Vec<Linked>) -> Pieces {
        let mut head = Vec::new();
        self.write_head(&mut head, shown);
        render::open_list(&mut head, "members");
        Pieces {
            base: self.base.to_owned(),
            head: Some(head),
            members: members.into_iter(),
            stage: Stage::Members { first: true },
        }
    }
}

/// Writes links, each with the word for its type.
fn write_links<'l>(out: &mut Vec<u8>, base: &str, links: impl Iterator<Item = (&'l Linked, &'l str)>, first: bool) {
    for (index, (linked, kind)) in links.enumerate() {
        let endpoint = standard_type(&linked.resource_type).map_or("", |of| &of.endpoint);
        let link = Link { id: &linked.id, base, endpoint, kind, display: linked.label.as_deref() };
        render::link(out, &link, first && index == 0);
    }
}

/// The pieces of a streamed group.
pub(super) struct Pieces {
    base: String,
    head: Option<Vec<u8>>,
    members: std::vec::IntoIter<Linked>,
    stage: Stage,
}

enum Stage {
    Members { first: bool },
    Done,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let Stage::Members { first } = self.stage else { return None };
        let mut out = self.head.take().unwrap_or_default();
        let piece: Vec<Linked> = self.members.by_ref().take(MEMBERS_PER_PIECE).collect();
        let kinds = piece.iter().map(|member| (member, &*member.resource_type));
        write_links(&mut out, &self.base, kinds, first);
        self.stage = Stage::Members { first: false };
        if piece.len() < MEMBERS_PER_PIECE {
            render::close(&mut out, true);
            self.stage = Stage::Done;
        }
        Some(Bytes::from(out))
    }
}
