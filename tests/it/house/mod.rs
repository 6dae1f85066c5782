//! The rules of the house, checked on the source: layers, where SQL may stand, sizes, names, and that nothing lies unused.

mod source;

use std::collections::BTreeSet;

use source::Source;

/// Longest source file, in lines.
const LINES_MAX: usize = 600;

/// The rows of the architecture: a module names only modules of lower rows and itself.
const ROWS: &[(&str, u8)] = &[
    ("settings", 0),
    ("log", 0),
    ("measure", 0),
    ("clock", 0),
    ("secret", 0),
    ("fetch", 1),
    ("scim", 1),
    ("model", 1),
    ("error", 2),
    ("jwt", 2),
    ("tls", 2),
    ("oidc", 3),
    ("store", 3),
    ("directory", 4),
    ("doctor", 4),
    ("web", 5),
    ("worker", 5),
    // Start, wire, stop: the command line starts the server.
    ("server", 6),
    ("cli", 7),
    ("main", 8),
];

/// Edges within `web` that do not know of each other.
const EDGES: &[&str] = &["scim", "api", "portal"];

fn broken(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

fn row(module: &str) -> Option<u8> {
    ROWS.iter().find(|(name, _)| *name == module).map(|(_, row)| *row)
}

/// `web::scim` of `src/web/scim/users.rs`; a file straight under `src` is its own module.
fn module_of(path: &str) -> Vec<&str> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.strip_suffix(".rs").unwrap_or(inside).split('/').filter(|part| *part != "mod").collect()
}

/// Every path that starts with `crate::` or the crate's own name, groups in braces spelt out, two segments deep.
fn named(code: &str) -> BTreeSet<Vec<String>> {
    let mut paths = BTreeSet::new();
    for start in ["crate::", "rollcall::"] {
        for (at, _) in code.match_indices(start) {
            let in_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if !in_word {
                unfold(&code[at + start.len()..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Reads one path tree (`a::b`, `{a, b::{c, d}}`) and gives the number of bytes it took.
fn unfold(tree: &str, before: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) -> usize {
    let skipped = tree.len() - tree.trim_start().len();
    let rest = &tree[skipped..];
    if let Some(group) = rest.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += unfold(&group[at..], before, paths);
            let gap = group[at..].len() - group[at..].trim_start().len();
            match group[at + gap..].chars().next() {
                Some(',') => at += gap + 1,
                Some('}') => return skipped + 1 + at + gap + 1,
                _ => return tree.len(),
            }
        }
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    if end == 0 {
        return skipped;
    }
    before.push(rest[..end].to_owned());
    let mut taken = skipped + end;
    if let Some(deeper) = rest[end..].strip_prefix("::") {
        taken += 2 + unfold(deeper, before, paths);
    } else {
        paths.insert(before.iter().take(2).cloned().collect());
    }
    before.pop();
    taken
}

#[test]
fn paths_in_braces_are_spelt_out() {
    let found =
        named("use crate::{error::Error, scim::{self, filter::lex}}; fn f(x: crate::store::db::Db) { mycrate::no(); }");
    let found: Vec<String> = found.into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["error::Error", "scim::filter", "scim::self", "store::db"]);
}

#[test]
fn a_module_names_only_lower_rows() {
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        let module = module_of(&path);
        let Some(own) = row(module[0]) else {
            if module[0] != "lib" {
                found.push(format!("{path}: {} has no row; give it one in the table above", module[0]));
            }
            continue;
        };
        for named in named(&code) {
            let allowed = named[0] == module[0] || row(&named[0]).is_none_or(|other| other < own);
            if !allowed {
                found.push(format!("{path} names {}, which is not below {}", named.join("::"), module[0]));
            }
            if named[0] == "web" && module[0] == "web" && crosses_edges(&module, &named) {
                found.push(format!("{path} names {}: the edges do not know of each other", named.join("::")));
            }
        }
    }
    broken("a module names only lower rows", &found);
}

fn crosses_edges(module: &[&str], named: &[String]) -> bool {
    let (Some(own), Some(other)) = (module.get(1), named.get(1)) else {
        return false;
    };
    EDGES.contains(own) && EDGES.contains(&other.as_str()) && own != other
}

#[test]
fn the_protocol_and_the_nouns_know_no_http_no_sql_no_clock_and_no_chance() {
    let foreign = [
        "actix_web",
        "rusqlite",
        "r2d2",
        "tokio",
        "rand::",
        "SystemTime",
        "Instant::now",
        "now_utc",
        "now_v7",
        "std::fs",
        "std::net",
    ];
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        if ["scim", "model"].contains(&module_of(&path)[0]) {
            found.extend(foreign.iter().filter(|word| says(&code, word)).map(|word| format!("{path}: {word}")));
        }
    }
    broken("scim and model are pure", &found);
}

/// Whether the code has that word, not as the end of another one.
fn says(code: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(goes_on))
}

#[test]
fn sql_stands_in_the_store_only() {
    let verbs = [
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE ",
        "PRAGMA ",
        "WITH RECURSIVE ",
        "BEGIN IMMEDIATE",
        "ALTER TABLE ",
    ];
    let mut found = Vec::new();
    for Source { path, code, strings, .. } in source::below("src") {
        if module_of(&path)[0] == "store" {
            continue;
        }
        for text in strings {
            if verbs.iter().any(|verb| text.trim_start().starts_with(verb)) {
                found.push(format!("{path}: {text:?}"));
            }
        }
        if code.contains("rusqlite::") {
            found.push(format!("{path} names rusqlite"));
        }
    }
    broken("SQL stands in src/store only", &found);
}

#[test]
fn one_function_says_where_a_request_came_from() {
    // Whoever looks at the peer, or at what proxies say, goes past the trusted proxies.
    let words = ["peer_addr", "connection_info", "realip_remote_addr", "X_FORWARDED_FOR", "FORWARDED"];
    let places = ["src/web/frame.rs", "src/web/network/proxies.rs", "src/web/network/sockets.rs"];
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        if !places.contains(&path.as_str()) {
            found.extend(words.iter().filter(|word| says(&code, word)).map(|word| format!("{path}: {word}")));
        }
    }
    broken("ask web::frame::address", &found);
}

#[test]
fn nothing_can_panic_on_purpose_outside_tests() {
    let words = ["todo!", "unimplemented!", "unreachable!", "panic!(", ".unwrap()", ".expect(", "dbg!(", "#[allow("];
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        for (number, line) in code.lines().enumerate() {
            found.extend(
                words.iter().filter(|word| line.contains(**word)).map(|word| format!("{path}:{}: {word}", number + 1)),
            );
        }
    }
    broken("no panic on purpose, no unfinished code, no silent allow (write expect with a reason)", &found);
}

#[test]
fn files_stay_short_open_with_a_sentence_and_have_telling_names() {
    let forbidden = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        for Source { path, text, .. } in source::below(folder) {
            let lines = text.lines().count();
            if lines > LINES_MAX {
                found.push(format!("{path} has {lines} lines, more than {LINES_MAX}"));
            }
            if !text.starts_with("//!") {
                found.push(format!("{path} does not open with //! and what lives there"));
            }
            // The attributes that all resources have in common are called so in RFC 7643 section 3.1.
            let named_badly = path.split(['/', '.']).any(|part| forbidden.contains(&part));
            if named_badly && path != "src/scim/schema/common.rs" {
                found.push(format!("{path}: say what it is about"));
            }
        }
    }
    broken("size, opening sentence and name of each file", &found);
}

#[test]
fn every_fixture_is_used() {
    let tests: String = source::below("tests").into_iter().map(|source| source.text).collect();
    let unused: Vec<String> = source::files_below("tests/fixtures")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !tests.contains(path.trim_start_matches("tests/fixtures/")))
        .collect();
    broken("every fixture is used by a test", &unused);
}
