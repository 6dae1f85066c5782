//! The search of the API reference: a bounded query over operations, schemas, error codes, kinds of events and guides.

use askama::Template;

use super::guides;
use super::pages::{ERRORS, EVENT_CATALOGUE, ReferenceContent, ReferenceLayout};
use super::schema_urls::schema_url;
use crate::model::event::PUBLISHED_KINDS;
use crate::web::api::list_error_codes;

/// Longest query, in characters. The rest is ignored.
const QUERY_MAX: usize = 100;
/// Most terms of a query. The others are ignored.
const TERMS_MAX: usize = 8;
/// Most results of a query.
const RESULTS_MAX: usize = 40;

/// What the search needs: everything that can be found, and the navigation of its page.
#[derive(Debug)]
pub(super) struct SearchIndex {
    pub(super) entries: Vec<SearchEntry>,
    pub(super) content: ReferenceContent,
}

impl SearchIndex {
    /// Creates the index of the content. Of the content, only the navigation stays.
    pub(super) fn new(mut content: ReferenceContent) -> Self {
        let entries = list_entries(&content);
        content.schemas.clear();
        for group in &mut content.groups {
            group.operations.clear();
        }
        Self { entries, content }
    }
}

/// An entry of the index.
#[derive(Debug)]
pub(super) struct SearchEntry {
    title: String,
    detail: String,
    url: String,
    /// Title, detail and description in lower case.
    text: String,
}

/// The template of the results.
#[derive(Debug, Template)]
#[template(path = "reference/search.html")]
pub(super) struct SearchPage<'e> {
    pub(super) layout: ReferenceLayout,
    pub(super) query: String,
    pub(super) results: Vec<&'e SearchEntry>,
}

/// Returns the part of a query that is searched.
pub(super) fn shorten(query: &str) -> String {
    query.chars().take(QUERY_MAX).collect()
}

/// Lists everything that can be found.
fn list_entries(content: &ReferenceContent) -> Vec<SearchEntry> {
    let entry = |title: &str, detail: String, url: String, description: &str| {
        let text = format!("{title} {detail} {description}").to_lowercase();
        SearchEntry { title: title.to_owned(), detail, url, text }
    };
    let operations = content.groups.iter().flat_map(|group| {
        group.operations.iter().map(move |operation| {
            let detail = format!("{} {}", operation.method, operation.path);
            let description = format!("{} {}", operation.id, operation.plain_description);
            entry(&operation.summary, detail, format!("/docs/api/{}#{}", group.slug, operation.id), &description)
        })
    });
    let guides = guides::SECTIONS.iter().map(|(title, url)| entry(title, "Guide".to_owned(), (*url).to_owned(), ""));
    let schemas =
        content.schemas.iter().map(|schema| entry(&schema.name, "Schema".to_owned(), schema_url(&schema.name), ""));
    let codes = list_error_codes().into_iter().map(|(code, status, message)| {
        entry(code, format!("Error {status}"), format!("/docs/api/{ERRORS}#{code}"), message)
    });
    let kinds = PUBLISHED_KINDS
        .iter()
        .map(|kind| entry(kind, "Event".to_owned(), format!("/docs/api/{EVENT_CATALOGUE}#{kind}"), ""));
    guides.chain(operations).chain(kinds).chain(codes).chain(schemas).collect()
}

/// Returns the entries that contain every term of a query; those with all terms in their title come first.
pub(super) fn find_entries<'e>(entries: &'e [SearchEntry], query: &str) -> Vec<&'e SearchEntry> {
    let query = shorten(query).to_lowercase();
    let terms: Vec<&str> = query.split_whitespace().take(TERMS_MAX).collect();
    if terms.is_empty() {
        return Vec::new();
    }
    let in_title = |entry: &&SearchEntry| {
        let title = entry.title.to_lowercase();
        terms.iter().all(|term| title.contains(term))
    };
    let found = entries.iter().filter(|entry| terms.iter().all(|term| entry.text.contains(term)));
    let (mut first, rest): (Vec<_>, Vec<_>) = found.partition(in_title);
    first.extend(rest);
    first.truncate(RESULTS_MAX);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_must_be_found_and_titles_come_first() {
        let entry = |title: &str, text: &str| SearchEntry {
            title: title.to_owned(),
            detail: String::new(),
            url: String::new(),
            text: format!("{title} {text}").to_lowercase(),
        };
        let entries = [entry("List tokens", ""), entry("Create an account", "the token list"), entry("Other", "list")];
        let found = |query: &str| find_entries(&entries, query).iter().map(|one| one.title.clone()).collect::<Vec<_>>();
        assert_eq!(found("LIST token"), ["List tokens", "Create an account"]);
        assert_eq!(found("  ").len() + found("absent").len(), 0);
        assert_eq!(shorten(&"x".repeat(500)).len(), QUERY_MAX);
        let many: Vec<SearchEntry> = (0..100).map(|number| entry(&format!("item {number}"), "")).collect();
        assert_eq!(find_entries(&many, "item").len(), RESULTS_MAX);
    }
}
