//! About Rollcall: version, release notes, and the licences of its libraries. All of it is compiled in, so the page
//! works without access to the internet.

use std::sync::Arc;

use askama::Template;
use serde::Deserialize;

use crate::compressed_text::{CompressedText, compressed_text};
use crate::management::admins;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::texts;

/// The change log, in Markdown.
const CHANGES: CompressedText = compressed_text!("CHANGELOG.md");
/// The table of libraries, in Markdown.
const LIBRARIES: CompressedText = compressed_text!("docs/licences.md");

#[derive(Template)]
#[template(path = "portal/about.html")]
struct AboutPage {
    layout: PageLayout,
    tab: &'static str,
    version: &'static str,
    public_url: Arc<str>,
    /// Number of owners who may sign in.
    owners: i64,
    releases: Vec<Release>,
    /// Number of the first change of the next page.
    next: Option<usize>,
}

/// Changes on one page.
const CHANGES_PER_PAGE: usize = 40;

/// Selects a page of the change log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AboutQuery {
    /// Number of the first change.
    from: usize,
}

/// A version of the change log.
#[derive(Debug, PartialEq, Eq)]
struct Release {
    /// Version and date.
    title: String,
    changes: Vec<String>,
}

/// `GET /settings/about`
pub(crate) async fn show_about(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let owners = page_request.read_inline(admins::count_active_owners)?;
    let layout = PageLayout::new(texts::settings::ABOUT, Some(&admin.signed), NavigationEntry::Settings);
    let (version, public_url) = (crate::VERSION, page_request.state.server.public_url());
    let AboutQuery { from } = page_request.query().unwrap_or_default();
    let (releases, next) = select_changes(parse_releases(&CHANGES.read()?), from);
    Ok(render_page(200, &AboutPage { layout, tab: "about", version, public_url, owners, releases, next }))
}

#[derive(Template)]
#[template(path = "portal/licences.html")]
struct LicencesPage<'t> {
    layout: PageLayout,
    tab: &'static str,
    libraries: Vec<LibraryRow<'t>>,
}

/// A third-party library.
#[derive(Debug, PartialEq, Eq)]
struct LibraryRow<'t> {
    name: &'t str,
    version: &'t str,
    licence: &'t str,
}

/// `GET /settings/about/licences`
pub(crate) async fn show_licences(admin: SystemAdmin) -> PageResult {
    let layout = PageLayout::new(texts::settings::LICENCES, Some(&admin.signed), NavigationEntry::Settings);
    let text = LIBRARIES.read()?;
    Ok(render_page(200, &LicencesPage { layout, tab: "about", libraries: parse_libraries(&text) }))
}

/// Parses a change log: `## ` starts a version, `- ` a change, which indented lines continue.
fn parse_releases(text: &str) -> Vec<Release> {
    let mut releases: Vec<Release> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            releases.push(Release { title: title.to_owned(), changes: Vec::new() });
        } else if let Some(release) = releases.last_mut() {
            match (line.strip_prefix("- "), release.changes.last_mut()) {
                (Some(change), _) => release.changes.push(plain_line(change)),
                (None, Some(change)) if line.starts_with("  ") => {
                    change.push(' ');
                    change.push_str(&plain_line(line.trim()));
                }
                _ => {}
            }
        }
    }
    releases
}

/// Returns one page of the changes, by version, and the number of the first one of the next page.
fn select_changes(releases: Vec<Release>, from: usize) -> (Vec<Release>, Option<usize>) {
    let (mut skipped, mut left) = (from, CHANGES_PER_PAGE);
    let (mut selected, mut has_more) = (Vec::new(), false);
    for Release { title, changes } in releases {
        let of_release: Vec<String> = changes.iter().skip(skipped).take(left).cloned().collect();
        has_more |= changes.len() > skipped.saturating_add(left);
        skipped = skipped.saturating_sub(changes.len());
        left -= of_release.len();
        if !of_release.is_empty() {
            selected.push(Release { title, changes: of_release });
        }
    }
    (selected, has_more.then_some(from.saturating_add(CHANGES_PER_PAGE)))
}

/// The line without the marks of code, strong text and links. Of a link its text stays.
fn plain_line(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, from)) = rest.split_once('[') {
        plain.push_str(before);
        let link = from.split_once("](").and_then(|(label, from)| Some((label, from.split_once(')')?.1)));
        let Some((label, after)) = link.filter(|(label, _)| !label.contains(['[', ']'])) else {
            plain.push('[');
            rest = from;
            continue;
        };
        plain.push_str(label);
        rest = after;
    }
    plain.push_str(rest);
    plain.replace('`', "").replace("**", "")
}

/// The rows of the table below its header.
fn parse_libraries(text: &str) -> Vec<LibraryRow<'_>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.filter_map(|row| {
        let mut cells = row.split(" | ");
        Some(LibraryRow { name: cells.next()?, version: cells.next()?, licence: cells.next()? })
    });
    cells.filter(|library| library.version.starts_with(|first: char| first.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_log_is_parsed_by_version() {
        let text = "# Changes\n\nWords.\n\n## 2.0, soon\n\n- `serve` is\n  faster.\n- More.\n\n## 1.0\n\n- All.\n";
        let release = |title: &str, changes: &[&str]| Release {
            title: title.to_owned(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        };
        assert_eq!(
            parse_releases(text),
            [release("2.0, soon", &["serve is faster.", "More."]), release("1.0", &["All."])]
        );
        let releases = parse_releases(&CHANGES.read().unwrap());
        assert!(releases.iter().all(|release| !release.changes.is_empty()));
        assert!(releases[0].title.starts_with(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_change_has_no_marks_of_its_format() {
        for (text, plain) in [
            (
                "**Send links** creates `one` ([docs/a.md](docs/a.md#b), [c](d)).",
                "Send links creates one (docs/a.md, c).",
            ),
            ("restore [--at TIME] and a[0] (x)", "restore [--at TIME] and a[0] (x)"),
            ("[a [b](c)", "[a b"),
        ] {
            assert_eq!(plain_line(text), plain);
        }
        let releases = parse_releases(&CHANGES.read().unwrap());
        let mut changes = releases.iter().flat_map(|release| &release.changes);
        assert!(changes.all(|change| !change.contains("**") && !change.contains("](")));
    }

    #[test]
    fn pages_of_the_change_log_have_each_change_once() {
        let release = |title: &str, count: usize| Release {
            title: title.to_owned(),
            changes: (0..count).map(|number| format!("{title} {number}")).collect(),
        };
        let releases = || vec![release("2.0", CHANGES_PER_PAGE + 5), release("1.0", CHANGES_PER_PAGE)];
        let (mut seen, mut from) = (Vec::new(), Some(0));
        while let Some(first) = from {
            let (page, next) = select_changes(releases(), first);
            assert!(page.iter().map(|release| release.changes.len()).sum::<usize>() <= CHANGES_PER_PAGE);
            seen.extend(page.into_iter().flat_map(|release| release.changes));
            from = next;
        }
        assert_eq!(seen, releases().into_iter().flat_map(|release| release.changes).collect::<Vec<_>>());
        assert_eq!(select_changes(releases(), usize::MAX), (Vec::new(), None));
    }

    #[test]
    fn every_library_has_a_version_and_a_licence() {
        let text = LIBRARIES.read().unwrap();
        let found = parse_libraries(&text);
        assert!(found.len() > 100 && found.iter().all(|one| !one.name.is_empty() && !one.licence.is_empty()));
        assert!(found.iter().any(|one| one.name == "actix-web") && !found.iter().any(|one| one.name == "library"));
    }
}
