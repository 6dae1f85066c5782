//! The texts of the portal: sentences and labels are in `src/web/portal/texts`, each of them once.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::assert_none;
use super::layers::named_paths;
use super::source::{self, Source};

const PORTAL: &str = "src/web/portal/";
const TEXTS: &str = "src/web/portal/texts/";

/// Literals outside the texts that look like one, and what they are.
const NO_TEXTS: &[(&str, &str)] = &[
    ("User", "name of a resource type of SCIM"),
    ("Group", "name of a resource type of SCIM"),
    ("public, max-age=31536000, immutable", "value of a header"),
    ("curl -X {method} {} \\\\\\n  -H \\\"Authorization: Bearer $TOKEN\\\"", "command for a shell"),
    ("Email", "name of a value in the console of a provider"),
    ("an event", "name of stored data in an error for the log"),
    ("not called", "beginning of a stored error"),
    // Purposes of keys. Other texts would make stored values and cookies useless.
    ("known device", "purpose of a key"),
    ("link of an identity", "purpose of a key"),
    ("link of {id}", "purpose of a key"),
    ("links of several connections", "purpose of a key"),
    ("secret of {client_id}", "purpose of a key"),
    ("new one-time codes", "purpose of a key"),
    ("signing in", "purpose of a key"),
    ("signing in by single sign-on", "purpose of a key"),
];

/// Most literals in that list.
const NO_TEXTS_MAX: usize = 20;

/// Whether a literal is written for a human: two words with a space between them, or a label that begins with a capital letter
/// and a lower-case letter. A placeholder is a word. Markup is not counted, and neither is a name that a program reads, such as
/// `Europe/Berlin`: it has no space, but a slash or an underscore.
fn is_text(literal: &str) -> bool {
    let replaced =
        |text: &str, pattern: &str, by: &str| Regex::new(pattern).unwrap().replace_all(text, by).into_owned();
    let matches = |text: &str, pattern: &str| Regex::new(pattern).unwrap().is_match(text);
    let text = replaced(literal, r"\\\n\s*", "");
    let text = replaced(&text, r"\\[nrt]", " ");
    let text = replaced(&text, r"<[^>]*(>|$)", "");
    let text = replaced(&text, r"\{\{|\}\}", "");
    let text = replaced(&text, r"\{[^{}]*\}", "{}");
    let has_words = matches(&text, r"[A-Za-z0-9}][.,]? +[A-Za-z{]") && matches(&text, r"[A-Za-z]{2}");
    let is_name = !text.contains(' ') && text.contains(['/', '_']);
    has_words || (matches(&text, r"^[A-Z][a-z]") && !is_name)
}

/// The literals of a file outside tests that are texts. Lines of the log, what is hashed and reasons for the compiler are none.
fn list_texts(file: &Source) -> Vec<&str> {
    let mut code_before = "";
    let statements = file.code.split("\"\"").zip(&file.strings).map(|(code, literal)| {
        let start = code.rfind([';', '{', '}']).map(|at| at + 1);
        // A statement can have several literals.
        code_before = start.map_or(code_before, |at| &code[at..]);
        let own = &code[start.unwrap_or(0)..];
        let has = |name| code_before.contains(name) || own.contains(name);
        (has("tracing::") || has("digest_text(") || own.trim_end().ends_with("reason ="), literal.as_str())
    });
    statements.filter(|(is_other, literal)| !is_other && is_text(literal)).map(|(_, literal)| literal).collect()
}

#[test]
fn texts_of_the_portal_are_in_one_folder() {
    assert!(NO_TEXTS.len() <= NO_TEXTS_MAX);
    let mut found = Vec::new();
    let mut unused: Vec<&str> = NO_TEXTS.iter().map(|(literal, _)| *literal).collect();
    for file in source::below("src").iter().filter(|file| file.path.starts_with(PORTAL)) {
        if file.path.starts_with(TEXTS) {
            continue;
        }
        for literal in list_texts(file) {
            unused.retain(|known| *known != literal);
            if !NO_TEXTS.iter().any(|(known, _)| *known == literal) {
                found.push(format!("{}: {literal}", file.path));
            }
        }
    }
    println!("{} texts of the portal are outside {TEXTS}", found.len());
    assert_none("sentences and labels of the portal are in src/web/portal/texts", &found);
    let unused: Vec<String> = unused.into_iter().map(str::to_owned).collect();
    assert_none("the list of other literals has only such that exist", &unused);
}

#[test]
fn a_text_of_the_portal_exists_once() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in source::below("src").iter().filter(|file| file.path.starts_with(TEXTS)) {
        for literal in list_texts(file) {
            files.entry(literal.to_owned()).or_default().push(file.path.clone());
        }
    }
    println!("{} texts of the portal", files.len());
    assert!(files.len() > 500, "the texts were not found");
    let found: Vec<String> = files
        .into_iter()
        .filter(|(_, paths)| paths.len() > 1)
        .map(|(literal, paths)| format!("{literal}: {}", paths.join(", ")))
        .collect();
    assert_none("a text of the portal exists once; move it to texts/labels.rs", &found);
}

#[test]
fn texts_of_the_portal_depend_on_no_page() {
    let mut found = Vec::new();
    for file in source::below("src").iter().filter(|file| file.path.starts_with(TEXTS)) {
        for named in named_paths(&file.code) {
            if named.starts_with(&["web".to_owned()]) && named.get(2).is_none_or(|module| module != "texts") {
                found.push(format!("{} names {}", file.path, named.join("::")));
            }
        }
    }
    assert_none("a second language can replace src/web/portal/texts", &found);
}

#[test]
fn sentences_and_labels_are_recognized() {
    let texts = [
        "Save",
        "Users",
        "Choose a format.",
        "no limit",
        "7 days",
        "{count} users",
        "expires {}",
        "It waits. Nothing is sent.",
        "{name} {state}, see below",
        "first line \\\n     and the second",
        "line\\nline",
        "<p class=\\\"a\\\">Two words</p>",
        "<label>Name</label>",
        "Role · {}",
    ];
    let others = [
        "",
        "userName",
        "save",
        "GET",
        "UTC",
        "/connections/{id}/users",
        "?only={}&cause={}",
        "{account} · {connection}",
        "{} {}",
        "M{x} {y}h{length}z",
        "text/html; charset=utf-8",
        "attachment; filename=\\\"{name}\\\"",
        "default-src 'none'; script-src 'self'",
        "webhook-id: {}",
        ".branded {{ --primary: {accent}; }}",
        "<div class=\\\"table\\\" tabindex=\\\"0\\\">",
        "<time datetime=\\\"",
        "Europe/Berlin",
        "Firefox/",
        ", ",
        "\\r\\n",
    ];
    assert_eq!(texts.iter().filter(|text| !is_text(text)).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert_eq!(others.iter().filter(|text| is_text(text)).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn lines_of_the_log_purposes_and_tests_are_no_texts() {
    let code = "fn f() { tracing::warn!(id = \"x\", \"it did not work\"); let title = \"A page\"; digest_text(\"form of a link\"); }\n#[cfg(test)]\nmod tests { const T: &str = \"In a test\"; }";
    let file = source::separate_source("src/web/portal/a.rs".to_owned(), code.to_owned(), false);
    assert_eq!(list_texts(&file), ["A page"]);
}
