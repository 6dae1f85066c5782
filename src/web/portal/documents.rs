//! `/docs`: the documents in the program, as pages. They need no session, like the API reference.

use std::collections::BTreeSet;

use askama::Template;
use pulldown_cmark::{Alignment, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::documents::{DOCUMENTS, ManualDocument, find_document};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::find_signed_in;
use crate::web::portal::texts;

#[derive(Template)]
#[template(path = "portal/documents.html")]
struct DocumentsPage {
    layout: PageLayout,
    documents: &'static [ManualDocument],
    /// The document in HTML; `None` for the list.
    text: Option<String>,
}

/// `GET /docs`
pub(crate) async fn list_documents(page_request: PageRequest) -> PageResult {
    Ok(show_page(&page_request, texts::labels::DOCUMENTS, None))
}

/// `GET /docs/{topic}`
pub(crate) async fn show_document(page_request: PageRequest) -> PageResult {
    let topic = page_request.path_parameter("topic");
    let document = find_document(&topic).ok_or(PageError::NotFound)?;
    // Rendered for each request: all pages together would need a megabyte of memory.
    let (title, text) = render_markdown(&document.text.read()?);
    Ok(show_page(&page_request, &title, Some(text)))
}

fn show_page(page_request: &PageRequest, title: &str, text: Option<String>) -> actix_web::HttpResponse {
    let signed = find_signed_in(&page_request.request).ok();
    let layout = PageLayout::new(title, signed.as_ref(), NavigationEntry::NoSection);
    render_page(200, &DocumentsPage { layout, documents: DOCUMENTS, text })
}

/// Renders a document. Returns its title and the HTML of the rest. Links to other documents lead to their pages; links to
/// other files become text, and images are left out.
fn render_markdown(text: &str) -> (String, String) {
    let source: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let (mut title, mut events, mut ids) = (String::new(), Vec::new(), BTreeSet::new());
    let mut has_links = Vec::new();
    // The element whose content is left out.
    let mut skipped = None;
    for (at, event) in source.iter().enumerate() {
        if let Some(end) = skipped {
            if *event == Event::End(end) {
                skipped = None;
            }
            continue;
        }
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => {
                title = collect_text(&source[at + 1..]);
                skipped = Some(TagEnd::Heading(HeadingLevel::H1));
            }
            Event::Start(Tag::Heading { level, .. }) => {
                let id = Some(CowStr::from(choose_id(&collect_text(&source[at + 1..]), &mut ids)));
                events.push(Event::Start(Tag::Heading { level: *level, id, classes: Vec::new(), attrs: Vec::new() }));
            }
            Event::Start(Tag::Image { .. }) => skipped = Some(TagEnd::Image),
            Event::Start(Tag::HtmlBlock) => skipped = Some(TagEnd::HtmlBlock),
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                let target = map_link(dest_url);
                has_links.push(target.is_some());
                let link = |target| Tag::Link {
                    link_type: *link_type,
                    dest_url: CowStr::from(target),
                    title: CowStr::from(""),
                    id: CowStr::from(""),
                };
                events.extend(target.map(link).map(Event::Start));
            }
            Event::End(TagEnd::Link) => {
                if has_links.pop() == Some(true) {
                    events.push(event.clone());
                }
            }
            // The alignment would be an inline style.
            Event::Start(Tag::Table(columns)) => {
                events.push(Event::Start(Tag::Table(vec![Alignment::None; columns.len()])));
            }
            Event::InlineHtml(text) => events.push(Event::Text(text.clone())),
            event => events.push(event.clone()),
        }
    }
    let mut page = String::new();
    html::push_html(&mut page, events.into_iter());
    (title, make_accessible(&page))
}

/// Returns the text of an element up to its end. `rest` begins after its start.
fn collect_text(rest: &[Event<'_>]) -> String {
    let content = rest.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let texts = content.filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
        _ => None,
    });
    texts.collect()
}

/// Returns the id of a heading, as git hosts derive it from the text, so that links with a fragment work.
fn choose_id(text: &str, ids: &mut BTreeSet<String>) -> String {
    let letters = text.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter if letter.is_alphanumeric() => Some(letter),
        _ => None,
    });
    let slug = letters.collect::<String>().to_lowercase();
    // The layout uses `main`.
    let candidates = std::iter::once(slug.clone()).chain((1_u32..).map(|number| format!("{slug}-{number}")));
    let chosen = candidates.filter(|id| !id.is_empty() && id != "main").find(|id| !ids.contains(id)).unwrap_or(slug);
    ids.insert(chosen.clone());
    chosen
}

/// Returns the address for a link of a document. `None` for a file that is not a document.
fn map_link(target: &str) -> Option<String> {
    if target.starts_with(['#', '/']) || target.starts_with("https://") {
        return Some(target.to_owned());
    }
    let (file, fragment) = target.split_once('#').map_or((target, None), |(file, fragment)| (file, Some(fragment)));
    let document = find_document(file.strip_suffix(".md")?)?;
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("/docs/{}{fragment}", document.topic))
}

/// Tables and code that are wider than the page scroll, also by keyboard; the cells of a head belong to their columns.
fn make_accessible(page: &str) -> String {
    let mut text = String::with_capacity(page.len() + page.len() / 8);
    for (number, part) in page.split("<table>").enumerate() {
        if number > 0 {
            let label = texts::labels::name_table(number);
            let begin = format!("<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table>");
            text.push_str(&begin);
        }
        text.push_str(part);
    }
    text.replace("</table>", "</table></div>")
        .replace("<th></th>", "<td></td>")
        .replace("<th>", "<th scope=\"col\">")
        .replace("<pre>", "<pre tabindex=\"0\">")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn links_lead_to_pages_and_files_become_text() {
        for (target, mapped) in [
            ("https.md", Some("/docs/https")),
            ("settings.md#the-data-folder", Some("/docs/settings#the-data-folder")),
            ("#secrets", Some("#secrets")),
            ("/docs/api", Some("/docs/api")),
            ("https://example.com/x", Some("https://example.com/x")),
            ("consumers/consumer.py", None),
            ("../CONTRIBUTING.md", None),
            ("javascript:alert(1)", None),
        ] {
            assert_eq!(map_link(target).as_deref(), mapped, "{target}");
        }
    }

    #[test]
    fn a_document_has_one_title_ids_of_headings_and_no_inline_style() {
        let text = "# A *title*\n\n## The `x` of y, too\n\n## The x of y too\n\n| a | b |\n| --- | ---: |\n| 1 | <b> |\n\n<!-- c -->\n\n![i](p.png) [f](../f.rs)\n";
        let (title, page) = render_markdown(text);
        assert_eq!(title, "A title");
        assert!(page.contains("<h2 id=\"the-x-of-y-too\">") && page.contains("<h2 id=\"the-x-of-y-too-1\">"), "{page}");
        assert!(page.contains("<th scope=\"col\">a</th>") && page.contains("&lt;b&gt;"), "{page}");
        assert!(["<h1", "style=", "<!--", "<img", "<a "].iter().all(|part| !page.contains(part)), "{page}");
    }

    /// The ids and the links of a document.
    fn anchors(page: &str) -> (BTreeSet<&str>, Vec<&str>) {
        let values = |name: &str| {
            let parts: Vec<&str> = page.split(name).skip(1).filter_map(|rest| rest.split('"').next()).collect();
            parts
        };
        (values(" id=\"").into_iter().collect(), values("href=\""))
    }

    #[test]
    fn every_link_between_documents_has_a_target() {
        let render = |document: &ManualDocument| render_markdown(&document.text.read().unwrap()).1;
        let pages: BTreeMap<&str, String> =
            DOCUMENTS.iter().map(|document| (document.topic, render(document))).collect();
        let mut checked = 0;
        for (topic, page) in &pages {
            for link in anchors(page).1.into_iter().filter(|link| !link.starts_with("https://")) {
                let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
                let target = path.strip_prefix("/docs/").unwrap_or(topic);
                if target.starts_with("api") || path == "/openapi.json" {
                    continue;
                }
                let target = pages.get(target).unwrap_or_else(|| panic!("{topic}: {link}"));
                assert!(fragment.is_empty() || anchors(target).0.contains(fragment), "{topic}: {link}");
                checked += 1;
            }
        }
        assert!(checked > 50, "{checked}");
    }
}
