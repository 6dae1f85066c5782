//! Sizes of files and folders, and what must not be in the code: panics, silent allows, unused fixtures.

use std::collections::BTreeMap;

use super::source::{self, Source};
use super::{assert_none, module_path};

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 600;
/// Most source files of one folder, folders in it not counted.
const FOLDER_FILES_MAX: usize = 22;
/// Folders that are one list of equal things: tables of the database, resources of the API.
const LISTS: &[&str] = &["src/store/tables", "src/web/api"];
/// A file shorter than this that only one other file uses belongs into that file.
const SMALL_FILE_LINES: usize = 60;
/// Folders in which each file is one of a kind, however small: a table, a job, a command, a provider.
const ONE_OF_A_KIND: &[&str] = &["src/store/tables/", "src/jobs/", "src/cli/", "src/providers/"];
/// Small files that are still on their own. The list only gets shorter.
const NOT_YET_MERGED: &[&str] = &["src/store/filter_sql/functions.rs", "src/web/portal/settings/sso_test.rs"];

#[test]
fn files_are_short_and_start_with_a_sentence() {
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        for Source { path, text, .. } in source::below(folder) {
            let lines = text.lines().count();
            if lines > FILE_LINES_MAX {
                found.push(format!("{path} has {lines} lines, more than {FILE_LINES_MAX}"));
            }
            if !text.starts_with("//!") {
                found.push(format!("{path} does not start with //! and its subject"));
            }
        }
    }
    assert_none("length and first line of each file", &found);
}

#[test]
fn no_folder_of_the_source_has_too_many_files() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for Source { path, .. } in source::below("src") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    let found: Vec<String> = folders
        .into_iter()
        .filter(|(folder, files)| *files > FOLDER_FILES_MAX && !LISTS.contains(&folder.as_str()))
        .map(|(folder, files)| format!("{folder} has {files} files, more than {FOLDER_FILES_MAX}"))
        .collect();
    assert_none("a folder has some 20 files, or folders of its own", &found);
}

#[test]
fn small_files_have_more_than_one_user() {
    let sources = source::below("src");
    let mut found = Vec::new();
    for Source { path, text, .. } in &sources {
        let module = module_path(path);
        let Some(name) = module.last().filter(|_| module.len() > 1 && !path.ends_with("/mod.rs")) else { continue };
        if text.lines().count() >= SMALL_FILE_LINES || path.contains("/schema/") || path.contains("tests") {
            continue;
        }
        if ONE_OF_A_KIND.iter().any(|folder| path.starts_with(folder)) || NOT_YET_MERGED.contains(&path.as_str()) {
            continue;
        }
        let uses = |other: &&Source| {
            other.path != *path && source::contains_name(&other.code.replace(&format!("mod {name};"), ""), name)
        };
        let users: Vec<&str> = sources.iter().filter(uses).map(|other| other.path.as_str()).collect();
        if let [user] = users[..] {
            found.push(format!("{path} is used by {user} only"));
        }
    }
    assert_none("a small file that one file uses is part of that file", &found);
}

#[test]
fn nothing_panics_on_purpose_outside_tests() {
    let patterns = ["todo!", "unimplemented!", "unreachable!", "panic!(", ".unwrap()", ".expect(", "dbg!(", "#[allow("];
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        for (number, line) in code.lines().enumerate() {
            found.extend(
                patterns
                    .iter()
                    .filter(|pattern| line.contains(**pattern))
                    .map(|pattern| format!("{path}:{}: {pattern}", number + 1)),
            );
        }
    }
    assert_none("no panic on purpose, no unfinished code, no silent allow (use expect with a reason)", &found);
}

#[test]
fn every_fixture_is_used() {
    let tests: String = source::below("tests").into_iter().map(|source| source.text).collect();
    let unused: Vec<String> = source::files_below("tests/fixtures")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !tests.contains(path.trim_start_matches("tests/fixtures/")))
        .collect();
    assert_none("every fixture is used by a test", &unused);
}
