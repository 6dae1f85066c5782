//! Which module may name which: rows of the architecture, the way to the tables, circles between files.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{self, Source};
use super::{assert_none, module_path};

/// The rows of the architecture: a module names only modules of lower rows and itself. The longest entry that fits counts.
const ROWS: &[(&str, u8)] = &[
    ("settings", 0),
    ("log", 1),
    ("histogram", 0),
    ("compressed_text", 0),
    ("documents", 1),
    ("VERSION", 0),
    ("clock", 0),
    ("named_enum", 0),
    ("sync", 0),
    ("thread_priority", 0),
    ("outgoing", 0),
    ("simulate", 1),
    ("auth::secret", 0),
    ("error", 1),
    ("scim", 2),
    ("messages", 3),
    ("model", 3),
    ("providers", 4),
    ("diagnosis", 5),
    ("auth", 6),
    ("replica", 6),
    ("tls", 6),
    ("store", 7),
    ("provisioning", 8),
    ("management", 8),
    ("doctor", 9),
    ("delivery", 9),
    ("web", 10),
    ("jobs", 10),
    // Start, wire, stop: the command line starts the server.
    ("server", 11),
    ("cli", 12),
    // Reads constants of all rows for the documentation.
    ("limit_table", 12),
    ("main", 13),
];

/// Edges within `web` that do not name each other.
const EDGES: &[&str] = &["scim", "api", "portal"];

/// Modules that reach the tables through `provisioning` and `management` only.
const OUTSIDE_THE_TABLES: &[&str] = &["web", "jobs", "cli", "doctor", "delivery", "server"];

/// What those modules may name of the store.
const STORE_NAMES: &[&str] = &["Store", "Tx", "Snapshot", "OpenError", "WorkOwner", "LogReplicator", "WritePermit"];

fn row_of(module: &[String]) -> Option<u8> {
    let path = module.join("::");
    let fits = |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
    ROWS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len()).map(|(_, row)| *row)
}

/// Every path that starts with `crate::` or the crate's own name, with groups in braces spelled out, at full length.
pub(super) fn named_paths(code: &str) -> BTreeSet<Vec<String>> {
    let mut paths = BTreeSet::new();
    for start in ["crate::", "rollcall::"] {
        for (at, _) in code.match_indices(start) {
            let in_name = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let is_visibility = code[..at].ends_with("(in ");
            if !in_name && !is_visibility {
                expand_path_tree(&code[at + start.len()..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Reads one path tree (`a::b`, `{a, b::{c, d}}`) and returns the number of bytes it occupies.
fn expand_path_tree(tree: &str, before: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) -> usize {
    let skipped = tree.len() - tree.trim_start().len();
    let rest = &tree[skipped..];
    if let Some(group) = rest.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += expand_path_tree(&group[at..], before, paths);
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
    let mut read = skipped + end;
    if let Some(deeper) = rest[end..].strip_prefix("::") {
        read += 2 + expand_path_tree(deeper, before, paths);
    } else {
        // `self` names the module itself.
        let path: Vec<String> = before.iter().filter(|part| *part != "self").cloned().collect();
        paths.insert(path);
    }
    // `as other_name` belongs to this leaf.
    if let Some(alias) = tree[read..].trim_start().strip_prefix("as ") {
        let name = alias.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(alias.len());
        read = tree.len() - alias.len() + name;
    }
    before.pop();
    read
}

#[test]
fn paths_in_braces_are_spelled_out() {
    let code = "use crate::{error::Error, scim::{self, filter::lex as l}, a}; fn f(x: crate::store::db::Db) { mycrate::no(); }";
    let found: Vec<String> = named_paths(code).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a", "error::Error", "scim", "scim::filter::lex", "store::db::Db"]);
}

#[test]
fn a_module_names_only_lower_rows() {
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        let module = module_path(&path);
        let Some(own) = row_of(&module) else {
            if module[0] != "lib" {
                found.push(format!("{path}: {} has no row; give it one in the table above", module[0]));
            }
            continue;
        };
        for named in named_paths(&code) {
            // Use cases of both kinds call each other.
            let both = ["provisioning", "management"];
            let is_own =
                named[0] == module[0] || both.contains(&named[0].as_str()) && both.contains(&module[0].as_str());
            if !is_own && row_of(&named).is_some_and(|other| other >= own) {
                found.push(format!("{path} names {}, which is not below {}", named.join("::"), module[0]));
            }
            if named[0] == "web" && module[0] == "web" && crosses_edges(&module, &named) {
                found.push(format!("{path} names {}: the edges do not name each other", named.join("::")));
            }
        }
    }
    assert_none("a module names only lower rows", &found);
}

fn crosses_edges(module: &[String], named: &[String]) -> bool {
    let (Some(own), Some(other)) = (module.get(1), named.get(1)) else {
        return false;
    };
    EDGES.contains(&own.as_str()) && EDGES.contains(&other.as_str()) && own != other
}

#[test]
fn only_provisioning_and_management_reach_the_tables() {
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        if !OUTSIDE_THE_TABLES.contains(&module_path(&path)[0].as_str()) {
            continue;
        }
        let reaches = |named: &Vec<String>| {
            named[0] == "store" && !named.get(1).is_some_and(|name| STORE_NAMES.contains(&name.as_str()))
        };
        let names: Vec<String> =
            named_paths(&code).iter().filter(|named| reaches(named)).map(|n| n.join("::")).collect();
        if !names.is_empty() {
            found.push(format!("{path} names {}", names.join(", ")));
        }
    }
    assert_none("web, jobs, cli and doctor reach the tables through provisioning and management", &found);
}

#[test]
fn files_do_not_name_each_other_in_a_circle() {
    let files: BTreeMap<Vec<String>, Source> =
        source::below("src").into_iter().map(|source| (module_path(&source.path), source)).collect();
    // The file that a path leads into: the longest module with a file of its own.
    let file_of = |path: &[String]| (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|p| files.contains_key(p));
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (module, source) in &files {
        for named in named_paths(&absolute_paths(&source.code, module)) {
            let Some(target) = file_of(&named) else { continue };
            // A parent and its children are one subject.
            if !module.starts_with(&target) && !target.starts_with(module) {
                edges.entry(module.clone()).or_default().insert(target);
            }
        }
    }
    let circles: BTreeSet<String> = edges
        .iter()
        .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)))
        .filter(|(from, to)| from < to && is_reachable(&edges, to, from))
        .map(|(from, to)| format!("{} and {}", from.join("::"), to.join("::")))
        .collect();
    let found: Vec<String> = circles.into_iter().collect();
    assert_none("no circle between files except parent and child", &found);
}

/// The code with `super::` and `self::` written as paths from the crate.
fn absolute_paths(code: &str, module: &[String]) -> String {
    let relative = regex_lite::Regex::new(r"(^|[^\w:])((?:super::)+|self::)").unwrap();
    relative
        .replace_all(code, |found: &regex_lite::Captures<'_>| {
            let up = found[2].matches("super::").count();
            let base = &module[..module.len().saturating_sub(up)];
            let path: Vec<&str> = std::iter::once("crate").chain(base.iter().map(String::as_str)).collect();
            format!("{}{}::", &found[1], path.join("::"))
        })
        .into_owned()
}

fn is_reachable(edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>, from: &[String], to: &[String]) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_vec()]);
    while let Some(next) = open.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next.clone()) {
            open.extend(edges.get(&next).into_iter().flatten().cloned());
        }
    }
    false
}

#[test]
fn the_protocol_and_the_model_know_no_http_no_sql_no_clock_and_no_randomness() {
    let foreign = [
        "actix_web",
        "rusqlite",
        "r2d2",
        "tokio",
        "rand::",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "now_v7",
        "std::fs",
        "std::net",
    ];
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        if ["scim", "model"].contains(&module_path(&path)[0].as_str()) {
            found.extend(
                foreign.iter().filter(|name| source::contains_name(&code, name)).map(|name| format!("{path}: {name}")),
            );
        }
    }
    assert_none("scim and model are pure", &found);
}

#[test]
fn sql_is_in_the_store_only() {
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
        if module_path(&path)[0] == "store" {
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
    assert_none("SQL is in src/store only", &found);
}

#[test]
fn one_function_reads_the_address_of_a_caller() {
    // Code that reads the peer address or a forwarding header itself ignores the list of trusted proxies.
    let names = ["peer_addr", "connection_info", "realip_remote_addr", "X_FORWARDED_FOR", "FORWARDED"];
    let allowed = ["src/web/request_middleware.rs", "src/web/network/proxies.rs", "src/web/network/connections.rs"];
    let mut found = Vec::new();
    for Source { path, code, .. } in source::below("src") {
        if !allowed.contains(&path.as_str()) {
            found.extend(
                names.iter().filter(|name| source::contains_name(&code, name)).map(|name| format!("{path}: {name}")),
            );
        }
    }
    assert_none("call the function of web::request_middleware that returns the caller's address", &found);
}

#[test]
fn code_outside_the_entries_compares_no_provider() {
    // Okta and Entra are also values of `source` and of the presets.
    let values: Vec<&str> = rollcall::providers::PROVIDERS.iter().filter_map(|provider| provider.provider).collect();
    let mut found = Vec::new();
    for Source { path, strings, .. } in source::below("src") {
        if module_path(&path)[0] != "providers" {
            let named = strings.iter().filter(|text| values.contains(&text.as_str()));
            found.extend(named.map(|text| format!("{path}: {text:?}")));
        }
    }
    assert_none("what depends on a provider is a field of its entry in src/providers", &found);
}
