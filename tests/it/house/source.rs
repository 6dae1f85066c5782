//! A minimal reader of Rust for the house rules: separates code from string literals, drops comments and test modules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One source file, separated into its parts.
#[derive(Clone)]
pub(super) struct Source {
    /// Path below the repository, with forward slashes.
    pub(super) path: String,
    /// The file as it is.
    pub(super) text: String,
    /// All code, test modules included; without comments, and each string literal is left as `""`.
    pub(super) whole_code: String,
    /// The code outside test modules; without comments, and each string literal is left as `""`.
    pub(super) code: String,
    /// String literals outside test modules, without their quotes.
    pub(super) strings: Vec<String>,
}

/// Every Rust file below that folder of the repository. Each folder is read once.
pub(super) fn below(folder: &str) -> Vec<Source> {
    static FOLDERS: Mutex<BTreeMap<String, Vec<Source>>> = Mutex::new(BTreeMap::new());
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    folders.entry(folder.to_owned()).or_insert_with(|| read_sources(folder)).clone()
}

fn read_sources(folder: &str) -> Vec<Source> {
    let files: Vec<(String, String)> = files_below(folder)
        .into_iter()
        .filter(|(_, full)| full.extension().is_some_and(|kind| kind == "rs"))
        .map(|(path, full)| (path, std::fs::read_to_string(full).unwrap()))
        .collect();
    let tests: Vec<String> = files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let read = |(path, text): (String, String)| {
        let is_in = |module: &String| path.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', '/']));
        let is_test = path.starts_with("tests/") || tests.iter().any(is_in);
        separate_source(path, text, is_test)
    };
    files.into_iter().map(read).collect()
}

/// Separates one file. A file that is a test module has no code outside tests.
pub(super) fn separate_source(path: String, text: String, is_test: bool) -> Source {
    let separated = Separated::of(&text);
    let (code, strings) = if is_test { Default::default() } else { without_tests(&separated) };
    Source { path, text, whole_code: separated.code, code, strings }
}

/// Paths without `.rs` of the modules that a file declares for tests only.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let declared = regex_lite::Regex::new(r"#\[cfg\(test\)\]\s+(?:pub(?:\([^)]*\))? )?mod (\w+);").unwrap();
    let stem = path.trim_end_matches(".rs");
    let own_folder = stem.rsplit_once('/').filter(|(_, name)| ["mod", "lib", "main"].contains(name));
    let folder = own_folder.map_or(stem, |(folder, _)| folder);
    declared.captures_iter(text).map(|found| format!("{folder}/{}", &found[1])).collect()
}

/// `README.md` and the like, as path below the repository and as full path.
pub(super) fn root_documents() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<(String, PathBuf)> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| [".md", ".toml", ".sql"].iter().any(|end| name.ends_with(end)))
        .collect();
    files.sort();
    files
}

/// Whether the code has that name, not as the end of a longer one.
pub(super) fn contains_name(code: &str, name: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| !code[..at].ends_with(goes_on))
}

/// Bytes up to and including the brace that closes the block that starts here.
pub(super) fn block_length(code: &str) -> usize {
    end_of_item(code)
}

/// Every file below that folder, as path below the repository and as full path, in order.
pub(super) fn files_below(folder: &str) -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let below = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                files.push((below, path));
            }
        }
    }
    files.sort();
    files
}

/// The code and the literals outside `#[cfg(test)] mod name { … }` and `#[cfg(test)] mod name;`.
fn without_tests(whole: &Separated) -> (String, Vec<String>) {
    let mut literals = whole.strings.iter();
    let (mut code, mut strings) = (String::new(), Vec::new());
    let mut rest = whole.code.as_str();
    loop {
        let cut = rest.find("#[cfg(test)]").unwrap_or(rest.len());
        let (product, test) = rest.split_at(cut);
        code.push_str(product);
        strings.extend(literals.by_ref().take(count_literals(product)).cloned());
        if test.is_empty() {
            return (code, strings);
        }
        let (dropped, after) = test.split_at(end_of_item(test));
        literals.by_ref().take(count_literals(dropped)).for_each(drop);
        rest = after;
    }
}

/// How many literals were left as `""`.
fn count_literals(code: &str) -> usize {
    code.matches("\"\"").count()
}

/// Bytes up to the end of the item that starts here: its semicolon, or its closing brace.
fn end_of_item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[derive(Default)]
struct Separated {
    code: String,
    strings: Vec<String>,
}

impl Separated {
    fn of(text: &str) -> Self {
        let mut separated = Self::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = separated.read_next(rest, c);
        }
        separated
    }

    /// Reads one token from the front and returns the rest.
    fn read_next<'t>(&mut self, rest: &'t str, c: char) -> &'t str {
        if rest.starts_with("//") {
            return rest.find('\n').map_or("", |end| &rest[end..]);
        }
        if rest.starts_with("/*") {
            return rest.find("*/").map_or("", |end| &rest[end + 2..]);
        }
        let in_name = self.code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(hashes) = raw_string(rest).filter(|_| !in_name) {
            let start = rest.find('"').unwrap() + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = rest[start..].find(&close).map_or(rest.len(), |end| start + end);
            self.push_literal(&rest[start..end]);
            return &rest[(end + close.len()).min(rest.len())..];
        }
        match c {
            '"' => {
                let end = end_of_text(&rest[1..]);
                self.push_literal(&rest[1..=end]);
                &rest[(end + 2).min(rest.len())..]
            }
            '\'' => match character(rest) {
                Some(length) => &rest[length..],
                None => self.copy_char(rest, c),
            },
            _ => self.copy_char(rest, c),
        }
    }

    fn push_literal(&mut self, text: &str) {
        self.strings.push(text.to_owned());
        self.code.push_str("\"\"");
    }

    fn copy_char<'t>(&mut self, rest: &'t str, c: char) -> &'t str {
        self.code.push(c);
        &rest[c.len_utf8()..]
    }
}

/// Number of hashes of a raw string that starts here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// Bytes before the closing quote.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of a character literal that starts here; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inside = &rest[1..];
    if inside.starts_with('\\') {
        return inside[2..].find('\'').map(|end| end + 4);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(first + 2)
}

#[test]
fn test_modules_are_removed_and_the_code_after_them_stays() {
    let text = "let a = \"1\";\n#[cfg(test)]\nmod tests;\nlet b = \"2\";\n#[cfg(test)]\nmod t { fn f() { \"3\"; } }\nlet c = \"4\";";
    let (code, strings) = without_tests(&Separated::of(text));
    assert_eq!(strings, ["1", "2", "4"]);
    assert!(!code.contains("mod") && code.contains("let c"), "{code}");
}

#[test]
fn strings_comments_and_characters_are_separated() {
    let separated = Separated::of(
        "let a = \"x // \\\" y\"; // \"no\"\nlet b: &'static str = r#\"raw \"q\"\"#; let c = '\"'; let d = '\\'';",
    );
    assert_eq!(separated.strings, ["x // \\\" y", "raw \"q\""]);
    assert_eq!(separated.code, "let a = \"\"; \nlet b: &'static str = \"\"; let c = ; let d = ;");
}
