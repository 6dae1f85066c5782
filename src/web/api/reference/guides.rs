//! The guides of the reference: quick start, errors, the catalogue of events, and what SCIM clients can use. Codes, messages,
//! kinds and limits come from the tables of the code, the events from the examples of `docs/events.md`, which tests compare
//! with real events.

use askama::Template;

use super::pages::{ERRORS, EVENT_CATALOGUE, GUIDES, ReferenceContent, ReferenceLayout, SCIM};
use super::schema_urls::schema_url;
use crate::compressed_text::{CompressedText, compressed_text};
use crate::model::event::PUBLISHED_KINDS;
use crate::scim::bulk::OPERATIONS_MAX;
use crate::web::api::event_schemas::{describe_kind, name_event_schema};
use crate::web::api::list_error_codes;

/// Title and URL of each section that the search finds.
pub(super) const SECTIONS: [(&str, &str); 9] = [
    ("Quick start", "/docs/api#quick-start"),
    ("Authentication", "/docs/api#authentication"),
    ("Pagination", "/docs/api#pagination"),
    ("Idempotency", "/docs/api#idempotency"),
    ("Changelog", "/docs/api#changelog"),
    ("Errors", "/docs/api/errors"),
    ("Event catalogue", "/docs/api/event-catalogue"),
    ("SCIM", "/docs/api/scim"),
    ("Schemas", "/docs/api/schemas"),
];

/// The document with an example of each kind of event.
const EVENT_DOCUMENT: CompressedText = compressed_text!("docs/events.md");

/// Meaning and fix of each status.
const STATUSES: [(u16, &str, &str); 17] = [
    (400, "Invalid request", "Correct the field or parameter that the message names, then send the request again."),
    (
        401,
        "Not authenticated",
        "Send a valid credential: `Authorization: Bearer` with a key or token that is not expired or revoked.",
    ),
    (
        403,
        "Not allowed",
        "Use a credential with the permission, or ask the operator to allow the action or to raise the limit.",
    ),
    (404, "Not found", "Check the id and the account. Resources that the credential cannot access return 404 too."),
    (405, "Method not supported", "Use one of the methods in the `Allow` header."),
    (408, "Timeout", "Send the complete body again, over a faster connection or in smaller parts."),
    (409, "Conflict", "Read the current state, then change the request, or use another name."),
    (410, "Position expired", "Read all users and groups again, then continue at `restartFrom`."),
    (412, "Version conflict", "Read the resource again, and send its current version in `If-Match`."),
    (413, "Too large", "Split the request into smaller ones."),
    (414, "URL too long", "Send fewer or shorter parameters."),
    (415, "Media type not supported", "Send JSON with `Content-Type: application/json`, without compression."),
    (422, "Idempotency key reused", "Send a new `Idempotency-Key` with each different request."),
    (429, "Too many requests", "Wait for the seconds in `Retry-After`, then send the request again."),
    (501, "Not implemented", "Leave out the feature: this server does not offer it."),
    (503, "Unavailable", "Wait for the seconds in `Retry-After`, then send the request again."),
    (507, "Disk full", "Free space on the disk of the server. Reads continue to work."),
];

/// The template of the first page.
#[derive(Debug, Template)]
#[template(path = "reference/index.html")]
struct QuickStartPage<'c> {
    layout: ReferenceLayout,
    content: &'c ReferenceContent,
}

/// The template of the errors.
#[derive(Debug, Template)]
#[template(path = "reference/errors.html")]
struct ErrorsPage {
    layout: ReferenceLayout,
    statuses: Vec<StatusSection>,
}

/// The error codes of one status.
#[derive(Debug)]
struct StatusSection {
    status: u16,
    title: &'static str,
    fix: &'static str,
    codes: Vec<CodeRow>,
}

#[derive(Debug)]
struct CodeRow {
    code: &'static str,
    meaning: &'static str,
    /// Empty if the fix of the status applies.
    fix: &'static str,
}

/// The template of the events.
#[derive(Debug, Template)]
#[template(path = "reference/event_catalogue.html")]
struct EventCataloguePage {
    layout: ReferenceLayout,
    kinds: Vec<EventKindSection>,
}

#[derive(Debug)]
struct EventKindSection {
    kind: &'static str,
    description: String,
    schema: String,
    schema_url: String,
    example: String,
}

/// The template of what SCIM clients can use.
#[derive(Debug, Template)]
#[template(path = "reference/scim.html")]
struct ScimPage {
    layout: ReferenceLayout,
    operations_max: usize,
}

/// Renders all guides, with their names.
///
/// # Errors
/// A template cannot be rendered, or the data of a document in the program is damaged.
pub(super) fn render_guides(content: &ReferenceContent) -> askama::Result<Vec<(&'static str, String)>> {
    let layout = |slug: &str| {
        let title = GUIDES.iter().find(|(_, page)| *page == slug).map_or("", |(title, _)| title);
        content.layout(title, slug)
    };
    let kinds = list_kinds(&EVENT_DOCUMENT.read().map_err(askama::Error::custom)?);
    Ok(vec![
        ("", QuickStartPage { layout: layout(""), content }.render()?),
        (ERRORS, ErrorsPage { layout: layout(ERRORS), statuses: list_statuses() }.render()?),
        (EVENT_CATALOGUE, EventCataloguePage { layout: layout(EVENT_CATALOGUE), kinds }.render()?),
        (SCIM, ScimPage { layout: layout(SCIM), operations_max: OPERATIONS_MAX }.render()?),
    ])
}

fn list_statuses() -> Vec<StatusSection> {
    let mut codes = list_error_codes();
    codes.sort_unstable();
    let section = |(status, title, fix): &(u16, &'static str, &'static str)| {
        let of_status = codes.iter().filter(|(_, code_status, _)| code_status == status);
        let rows = of_status.map(|&(code, _, message)| {
            // Most messages are the meaning and, after a semicolon, the fix.
            let (meaning, fix) = message.split_once("; ").unwrap_or((message, ""));
            CodeRow { code, meaning, fix }
        });
        StatusSection { status: *status, title, fix, codes: rows.collect() }
    };
    STATUSES.iter().map(section).filter(|section| !section.codes.is_empty()).collect()
}

fn list_kinds(document: &str) -> Vec<EventKindSection> {
    let section = |kind: &'static str| EventKindSection {
        kind,
        description: describe_kind(kind),
        schema_url: schema_url(&name_event_schema(kind)),
        schema: name_event_schema(kind),
        example: find_event_example(document, kind).unwrap_or_default().to_owned(),
    };
    PUBLISHED_KINDS.map(section).into()
}

/// Returns the example of a kind in the document.
fn find_event_example<'d>(document: &'d str, kind: &str) -> Option<&'d str> {
    let (_, section) = document.split_once(&format!("\n### {kind}\n"))?;
    let (_, example) = section.split_once("```json\n")?;
    example.split_once("\n```").map(|(example, _)| example)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_a_status_with_a_fix() {
        let listed: usize = list_statuses().iter().map(|section| section.codes.len()).sum();
        assert_eq!(listed, list_error_codes().len());
    }

    #[test]
    fn every_kind_of_event_has_its_own_example() {
        let document = EVENT_DOCUMENT.read().unwrap();
        for kind in PUBLISHED_KINDS {
            let example: serde_json::Value =
                serde_json::from_str(find_event_example(&document, kind).unwrap()).unwrap();
            assert_eq!(example["kind"], kind);
        }
    }
}
