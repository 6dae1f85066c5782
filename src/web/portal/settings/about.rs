//! About Rollcall: version, release notes, and the licences of its libraries. All of it is compiled in, so the page
//! works without access to the internet.

use std::sync::Arc;

use askama::Template;

use crate::management::admins;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::settings::admins::SystemAdmin;

/// The change log, in Markdown.
const CHANGES: &str = include_str!("../../../../CHANGELOG.md");
/// The table of libraries, in Markdown.
const LIBRARIES: &str = include_str!("../../../../docs/licences.md");

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
    let layout = PageLayout::new("About Rollcall", Some(&admin.signed), NavigationEntry::Settings);
    let (version, public_url) = (env!("CARGO_PKG_VERSION"), page_request.state.server.public_url());
    let releases = parse_releases(CHANGES);
    Ok(render_page(200, &AboutPage { layout, tab: "about", version, public_url, owners, releases }))
}

#[derive(Template)]
#[template(path = "portal/licences.html")]
struct LicencesPage {
    layout: PageLayout,
    tab: &'static str,
    libraries: Vec<LibraryRow>,
}

/// A third-party library.
#[derive(Debug, PartialEq, Eq)]
struct LibraryRow {
    name: &'static str,
    version: &'static str,
    licence: &'static str,
}

/// `GET /settings/about/licences`
pub(crate) async fn show_licences(admin: SystemAdmin) -> PageResult {
    let layout = PageLayout::new("Licences", Some(&admin.signed), NavigationEntry::Settings);
    Ok(render_page(200, &LicencesPage { layout, tab: "about", libraries: parse_libraries(LIBRARIES) }))
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

/// The line without backticks.
fn plain_line(text: &str) -> String {
    text.replace('`', "")
}

/// The rows of the table below its header.
fn parse_libraries(text: &'static str) -> Vec<LibraryRow> {
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
        assert!(parse_releases(CHANGES).iter().all(|release| !release.changes.is_empty()));
        assert!(parse_releases(CHANGES)[0].title.starts_with(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn every_library_has_a_version_and_a_licence() {
        let found = parse_libraries(LIBRARIES);
        assert!(found.len() > 100 && found.iter().all(|one| !one.name.is_empty() && !one.licence.is_empty()));
        assert!(found.iter().any(|one| one.name == "actix-web") && !found.iter().any(|one| one.name == "library"));
    }
}
