//! Names: unique types, functions with a verb and an object, no word of the list in identifiers or prose.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{self, Source};
use super::{assert_none, module_path};

/// Type names that may exist in more than one module: each is a term whose module says the rest.
const SHARED_TYPE_NAMES: &[&str] = &[];

/// Most names in that list.
const SHARED_TYPE_NAMES_MAX: usize = 40;

/// Share of free functions that may have a name of one word, in percent.
const ONE_WORD_NAMES_PERCENT_MAX: usize = 25;

/// Parts of identifiers that are not used, in lower case.
const BANNED_NAME_PARTS: &[&str] = &[
    "tell",
    "told",
    "tells",
    "telling",
    "somebody",
    "nobody",
    "whoever",
    "people",
    "person",
    "beside",
    "behind",
    "mend",
    "mended",
    "heed",
    "lest",
    "anew",
    "vain",
    "stranger",
    "door",
    "knock",
    "stretch",
    "moment",
    "moments",
    "place",
    "places",
    "word",
    "words",
    "happening",
    "shown",
    "kept",
    "wanted",
    "undo",
    "fate",
    "guilty",
    "spoilt",
    "aside",
    "neighbours",
    "customer",
    "agreement",
    "standing",
    "standings",
    "spot",
    "who",
];

/// Whole type names that are not used.
const BANNED_TYPE_NAMES: &[&str] = &[
    "Happening",
    "Flow",
    "Telling",
    "Net",
    "Shown",
    "Kept",
    "Wanted",
    "By",
    "Reach",
    "Undo",
    "Fate",
    "Guilty",
    "Spoilt",
];

/// File names that are not used.
const BANNED_FILE_NAMES: &[&str] = &[
    "aside",
    "by_hand",
    "guard",
    "frame",
    "told",
    "known",
    "words",
    "neighbours",
    "missing",
    "customer",
    "measure",
    "doors",
];

/// Identifiers that belong to the wire, the database or a library and keep their name.
const FOREIGN_NAMES: &[&str] = &["open_in_place", "seal_in_place_append_tag"];

/// Words and phrases that are not used in prose: comments, documents, UI texts, sentences of errors.
const BANNED_PROSE: &str = r"(?i)\b(tell|tells|told|somebody|nobody|whoever|beside|mend|mends|mended|heed|heeds|lest|anew|strangers?|in vain|passed over|thrown away|knocks?|stands (in|there)|is no JSON|spelt|learnt|a moment later)\b";

#[test]
fn type_names_are_unique_in_the_crate() {
    assert!(SHARED_TYPE_NAMES.len() <= SHARED_TYPE_NAMES_MAX);
    let declared =
        regex_lite::Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union|type) (\w+)").unwrap();
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Source { path, code, .. } in source::below("src") {
        // Associated types of traits are names of the trait.
        let code = without_impl_blocks(&code);
        for found in declared.captures_iter(&code) {
            types.entry(found[1].to_owned()).or_default().insert(path.clone());
        }
    }
    let shared: Vec<String> = types
        .iter()
        .filter(|(name, paths)| paths.len() > 1 && !SHARED_TYPE_NAMES.contains(&name.as_str()))
        .map(|(name, paths)| format!("{name}: {}", paths.iter().cloned().collect::<Vec<_>>().join(", ")))
        .collect();
    println!("{} type names, {} of them used more than once", types.len(), shared.len());
    assert_none("type names are unique in the crate", &shared);
    let unused: Vec<String> = SHARED_TYPE_NAMES
        .iter()
        .filter(|name| types.get(**name).is_none_or(|paths| paths.len() < 2))
        .map(|name| (*name).to_owned())
        .collect();
    assert_none("names in the allow list exist more than once", &unused);
}

/// The code without the bodies of `impl` and `trait` blocks.
fn without_impl_blocks(code: &str) -> String {
    let start = regex_lite::Regex::new(r"(?m)^\s*(?:unsafe )?(?:impl|(?:pub(?:\([^)]*\))? )?trait)\b").unwrap();
    let (mut left, mut at) = (String::new(), 0);
    while let Some(found) = start.find_at(code, at) {
        let open = code[found.start()..].find('{').map_or(code.len(), |open| found.start() + open);
        left.push_str(&code[at..open]);
        at = open + source::block_length(&code[open..]);
    }
    left.push_str(&code[at..]);
    left
}

#[test]
fn free_functions_have_a_verb_and_an_object() {
    let declared =
        regex_lite::Regex::new(r"(?m)^(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?(?:unsafe )?fn (\w+)").unwrap();
    let (mut all, mut one_word) = (0_usize, Vec::new());
    for Source { path, code, .. } in source::below("src") {
        for found in declared.captures_iter(&code) {
            all += 1;
            if !found[1].contains('_') {
                one_word.push(format!("{path}: {}", &found[1]));
            }
        }
    }
    let percent = one_word.len() * 100 / all;
    println!("{all} free functions, {} with a name of one word ({percent} %)", one_word.len());
    assert!(
        percent < ONE_WORD_NAMES_PERCENT_MAX,
        "{percent} % of free functions have a name of one word:\n  {}",
        one_word.join("\n  ")
    );
}

#[test]
fn identifiers_use_no_word_of_the_list() {
    let identifier = regex_lite::Regex::new(r"\b[A-Za-z_][A-Za-z0-9_]*\b").unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in ["src", "tests", "benches"] {
        for Source { path, whole_code, .. } in source::below(folder) {
            if path.starts_with("tests/it/house/") {
                continue;
            }
            for name in identifier.find_iter(&whole_code).map(|found| found.as_str()) {
                let is_banned = name_parts(name).iter().any(|part| BANNED_NAME_PARTS.contains(&part.as_str()))
                    || BANNED_TYPE_NAMES.contains(&name);
                if is_banned && !FOREIGN_NAMES.contains(&name) {
                    found.entry(name.to_owned()).or_default().insert(path.clone());
                }
            }
        }
    }
    let lines: Vec<String> = found
        .iter()
        .map(|(name, paths)| format!("{name}: {}", paths.iter().cloned().collect::<Vec<_>>().join(", ")))
        .collect();
    println!("{} identifiers use a word of the list", lines.len());
    assert_none("identifiers use the standard terms", &lines);
}

/// `read_page` and `ReadPage` have the parts `read` and `page`.
fn name_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            parts.push(String::new());
        }
        if c != '_' {
            parts.last_mut().unwrap().extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    parts
}

#[test]
fn names_are_split_into_parts() {
    assert_eq!(name_parts("SomeHTTPName"), ["some", "httpname"]);
    assert_eq!(name_parts("keep_two"), ["keep", "two"]);
}

#[test]
fn prose_uses_no_word_of_the_list() {
    let banned = regex_lite::Regex::new(BANNED_PROSE).unwrap();
    let mut found = Vec::new();
    let folders = ["src", "templates", "static", "docs", "tests/it", "tests/torture.d", "benches", "packaging"];
    let files = folders.iter().flat_map(|folder| source::files_below(folder)).chain(source::root_documents());
    for (path, full) in files {
        let is_text =
            [".rs", ".md", ".html", ".css", ".js", ".sql", ".toml", ".py", ".c"].iter().any(|end| path.ends_with(end));
        // This folder holds the list itself; fixtures and licences are texts of others.
        if !is_text || path.starts_with("tests/it/house/") || path == "docs/licences.md" {
            continue;
        }
        for (number, line) in std::fs::read_to_string(full).unwrap().lines().enumerate() {
            if let Some(word) = banned.find(line) {
                found.push(format!("{path}:{}: {}", number + 1, word.as_str()));
            }
        }
    }
    println!("{} lines use a word of the list", found.len());
    assert_none("prose uses the standard terms", &found);
}

#[test]
fn files_are_named_after_their_subject() {
    let vague = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        for Source { path, .. } in source::below(folder) {
            let is_vague =
                path.split(['/', '.']).any(|part| vague.contains(&part) || BANNED_FILE_NAMES.contains(&part));
            // The attributes that all resources have in common have this name in RFC 7643 section 3.1.
            if is_vague && path != "src/scim/schema/common.rs" {
                found.push(format!("{path}: name the subject"));
            }
        }
    }
    assert_none("files are named after their subject", &found);
    assert!(module_path("src/web/mod.rs") == ["web"]);
}
