//! Sizes of files and folders, and what must not be in the code: panics, silent allows, unused fixtures.

use std::collections::BTreeMap;

use super::source::{self, Source};
use super::{assert_none, module_path};

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 600;
/// Most parameters of a function, `self` not counted.
const PARAMETERS_MAX: usize = 5;
/// Most source files of one folder, folders in it not counted.
const FOLDER_FILES_MAX: usize = 22;
/// Folders that are one list of equal things: tables of the database, resources of the API.
const LISTS: &[&str] = &["src/store/tables", "src/web/api"];
/// A file shorter than this that only one other file uses belongs into that file.
const SMALL_FILE_LINES: usize = 60;
/// Folders in which each file is one of a kind, however small: a table, a job, a command, a provider, the texts of an area.
const ONE_OF_A_KIND: &[&str] =
    &["src/store/tables/", "src/jobs/", "src/cli/", "src/providers/", "src/web/portal/texts/"];

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
fn functions_have_few_parameters() {
    let name = regex_lite::Regex::new(r"\bfn (\w+)").unwrap();
    let mut found = Vec::new();
    // A function of a C library has the parameters that the library gave it.
    let foreign = regex_lite::Regex::new(r#"(?s)unsafe extern "?\w*"? \{.*?\n\}"#).unwrap();
    for Source { path, code, .. } in source::below("src") {
        let code = foreign.replace_all(&code, "");
        for function in name.captures_iter(&code) {
            let parameters = count_parameters(&code[function.get(0).unwrap().end()..]);
            if parameters > PARAMETERS_MAX {
                found.push(format!("{path}: {} has {parameters} parameters", &function[1]));
            }
        }
    }
    assert_none("what travels together is a struct", &found);
}

/// Parameters of a function, `self` not counted. `rest` is the code after its name.
fn count_parameters(rest: &str) -> usize {
    let rest = &rest[skip_generics(rest)..];
    let (mut depth, mut parameters, mut start) = (0_usize, Vec::new(), 1);
    let mut before = ' ';
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' | '<' => depth += 1,
            '>' if before == '-' => {}
            ')' | ']' | '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            parameters.push(rest[start..at].trim());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
        before = c;
    }
    let is_self =
        |parameter: &&str| parameter.split(':').next().and_then(|name| name.rsplit(['&', ' ']).next()) == Some("self");
    parameters.iter().filter(|parameter| !parameter.is_empty() && !is_self(parameter)).count()
}

/// Bytes of the generic parameters that may start here.
fn skip_generics(rest: &str) -> usize {
    let (mut depth, mut before) = (0_usize, ' ');
    for (at, c) in rest.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            '(' if depth == 0 => return at,
            _ => {}
        }
        before = c;
    }
    rest.len()
}

#[test]
fn parameters_are_counted_without_self_and_without_types() {
    let counts = [
        ("()", 0),
        ("(&self)", 0),
        ("(&'a self)", 0),
        ("(&mut self, a: HashMap<K, V>, b: (u8, u8))", 2),
        ("<F: Fn(u8, u8) -> Vec<u8>>(self, (a, b): (u8, u8), f: F, g: impl Fn(u8) -> Option<u8>,\n) -> u8 {", 3),
        ("<'a>(a: &'a str, b: [u8; 2], c: fn(u8, u8) -> u8, d: u8, e: u8, f: u8)", 6),
    ];
    for (code, expected) in counts {
        assert_eq!(count_parameters(code), expected, "{code}");
    }
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
        if ONE_OF_A_KIND.iter().any(|folder| path.starts_with(folder)) {
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

#[test]
fn only_the_file_access_of_sqlite_and_lz4_are_unsafe() {
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        let allowed = path.starts_with("src/store/page_checksums/") || path == "src/model/logged_bodies/lz4.rs";
        let names = source::contains_name(&code, "unsafe") || source::contains_name(&code, "unsafe_code");
        // The module is declared there.
        let is_declared = path == "src/store/mod.rs" && code.matches("unsafe_code").count() == 1;
        if names && !allowed && !is_declared {
            found.push(path);
        }
    }
    assert_none("unsafe code is in store::page_checksums and model::logged_bodies::lz4 only", &found);
}
