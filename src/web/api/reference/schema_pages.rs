//! The pages of the schemas: an index, and one page for each range of first letters, so that none is large.

use askama::Template;

use super::pages::{ReferenceContent, ReferenceLayout, SchemaView};
use super::schema_text::{TextSpan, TypeSpan};
use super::schema_urls::{RANGES, SCHEMAS, find_range, name_page, schema_url};

/// A range of schemas, and its page.
#[derive(Debug)]
struct SchemaRange {
    /// Such as `A to B`.
    title: String,
    url: String,
    is_current: bool,
    /// Names of the schemas, with their URLs. Only in the index.
    schemas: Vec<(String, String)>,
}

/// The template of the index.
#[derive(Debug, Template)]
#[template(path = "reference/schema_index.html")]
struct SchemaIndexPage {
    layout: ReferenceLayout,
    ranges: Vec<SchemaRange>,
}

/// The template of the schemas of a range.
#[derive(Debug, Template)]
#[template(path = "reference/schemas.html")]
struct SchemasPage<'c> {
    layout: ReferenceLayout,
    ranges: Vec<SchemaRange>,
    schemas: Vec<&'c SchemaView>,
}

fn list_ranges(content: &ReferenceContent, current: Option<(char, char)>) -> Vec<SchemaRange> {
    let range = |range: (char, char)| {
        let names = content.schemas.iter().map(|schema| &schema.name).filter(|name| find_range(name) == range);
        let names = names.filter(|_| current.is_none());
        SchemaRange {
            title: if range.0 == range.1 { range.0.to_string() } else { format!("{} to {}", range.0, range.1) },
            url: format!("/docs/api/{}", name_page(range)),
            is_current: current == Some(range),
            schemas: names.map(|name| (name.clone(), schema_url(name))).collect(),
        }
    };
    RANGES.into_iter().map(range).collect()
}

/// Renders the index and the pages of all ranges, with their names.
///
/// # Errors
/// A template cannot be rendered.
pub(super) fn render_schemas(content: &ReferenceContent) -> askama::Result<Vec<(String, String)>> {
    let index = SchemaIndexPage { layout: content.layout("Schemas", SCHEMAS), ranges: list_ranges(content, None) };
    let mut pages = vec![(SCHEMAS.to_owned(), index.render()?)];
    for range in RANGES {
        let ranges = list_ranges(content, Some(range));
        let title = ranges.iter().find(|one| one.is_current).map_or("", |one| &one.title);
        let mut layout = content.layout(&format!("Schemas {title}"), SCHEMAS);
        layout.path = format!("/docs/api/{}", name_page(range));
        let schemas = content.schemas.iter().filter(|schema| find_range(&schema.name) == range).collect();
        pages.push((name_page(range), SchemasPage { layout, ranges, schemas }.render()?));
    }
    Ok(pages)
}
