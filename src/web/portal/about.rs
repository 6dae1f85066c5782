//! Rollcall itself: which version runs, what is new in it, and whose work is in it. All of it is in the program, so it is
//! there where there is no way out.

use std::sync::Arc;

use askama::Template;

use super::admins::Runner;
use super::page::{Layout, Place, Shown, page};
use super::session::Visit;
use crate::store::admins;

/// What changed from version to version, in Markdown.
const CHANGES: &str = include_str!("../../../CHANGELOG.md");
/// The libraries in the program, as a table in Markdown.
const LIBRARIES: &str = include_str!("../../../docs/licences.md");

#[derive(Template)]
#[template(path = "portal/about.html")]
struct AboutPage {
    layout: Layout,
    tab: &'static str,
    version: &'static str,
    public_url: Arc<str>,
    /// How many people could run the server, were one of them lost.
    owners: i64,
    releases: Vec<Release>,
}

/// What changed with a version.
#[derive(Debug, PartialEq, Eq)]
struct Release {
    /// Its number and its day.
    title: String,
    changes: Vec<String>,
}

/// `GET /settings/about`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let owners = visit.state.store.read_inline(admins::active_owners)?;
    let layout = Layout::new("About Rollcall", Some(&person.signed), Place::Settings);
    let (version, public_url) = (env!("CARGO_PKG_VERSION"), visit.state.public_url());
    let releases = releases(CHANGES);
    Ok(page(200, &AboutPage { layout, tab: "about", version, public_url, owners, releases }))
}

#[derive(Template)]
#[template(path = "portal/licences.html")]
struct LicencesPage {
    layout: Layout,
    tab: &'static str,
    libraries: Vec<Library>,
}

/// Somebody else's work in the program.
#[derive(Debug, PartialEq, Eq)]
struct Library {
    name: &'static str,
    version: &'static str,
    licence: &'static str,
}

/// `GET /settings/about/licences`
pub(super) async fn licences(person: Runner) -> Shown {
    let layout = Layout::new("Licences", Some(&person.signed), Place::Settings);
    Ok(page(200, &LicencesPage { layout, tab: "about", libraries: libraries(LIBRARIES) }))
}

/// The versions of a change log: `## ` begins one, `- ` a change, which goes on in the lines below it.
fn releases(text: &str) -> Vec<Release> {
    let mut releases: Vec<Release> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            releases.push(Release { title: title.to_owned(), changes: Vec::new() });
        } else if let Some(release) = releases.last_mut() {
            match (line.strip_prefix("- "), release.changes.last_mut()) {
                (Some(change), _) => release.changes.push(plain(change)),
                (None, Some(change)) if line.starts_with("  ") => {
                    change.push(' ');
                    change.push_str(&plain(line.trim()));
                }
                _ => {}
            }
        }
    }
    releases
}

/// A line without its marks for code.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// The rows of the table below its head.
fn libraries(text: &'static str) -> Vec<Library> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.filter_map(|row| {
        let mut cells = row.split(" | ");
        Some(Library { name: cells.next()?, version: cells.next()?, licence: cells.next()? })
    });
    cells.filter(|library| library.version.starts_with(|first: char| first.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_log_is_read_version_by_version() {
        let text = "# Changes\n\nWords.\n\n## 2.0, soon\n\n- `serve` is\n  faster.\n- More.\n\n## 1.0\n\n- All.\n";
        let release = |title: &str, changes: &[&str]| Release {
            title: title.to_owned(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        };
        assert_eq!(releases(text), [release("2.0, soon", &["serve is faster.", "More."]), release("1.0", &["All."])]);
        assert!(releases(CHANGES).iter().all(|release| !release.changes.is_empty()));
        assert!(releases(CHANGES)[0].title.starts_with(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn every_library_has_a_version_and_a_licence() {
        let found = libraries(LIBRARIES);
        assert!(found.len() > 100 && found.iter().all(|one| !one.name.is_empty() && !one.licence.is_empty()));
        assert!(found.iter().any(|one| one.name == "actix-web") && !found.iter().any(|one| one.name == "library"));
    }
}
