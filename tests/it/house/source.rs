//! Just enough of a Rust reader for the house rules: code and string literals apart, comments and test modules away.

use std::path::{Path, PathBuf};

/// One source file, taken apart.
pub(super) struct Source {
    /// Path below the repository, with forward slashes.
    pub(super) path: String,
    /// The file as it is.
    pub(super) text: String,
    /// The code outside test modules; comments are gone and each string literal is left as `""`.
    pub(super) code: String,
    /// String literals outside test modules.
    pub(super) strings: Vec<String>,
}

/// Every Rust file below that folder of the repository.
pub(super) fn below(folder: &str) -> Vec<Source> {
    files_below(folder)
        .into_iter()
        .filter(|(_, full)| full.extension().is_some_and(|kind| kind == "rs"))
        .map(|(path, full)| read(path, &full))
        .collect()
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
                let below = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push((below, path));
            }
        }
    }
    files.sort();
    files
}

fn read(path: String, full: &Path) -> Source {
    let text = std::fs::read_to_string(full).unwrap();
    let whole = Apart::of(&text);
    let kept = without_tests(&whole.code);
    // The literals of test modules come last, as those modules do; count the marks that are left.
    let outside = kept.matches("\"\"").count();
    let strings = whole.strings.into_iter().take(outside).collect();
    Source {
        path,
        text,
        code: kept,
        strings,
    }
}

/// Cuts from the first test module at the start of a line to the end of the file: that is where they stand here.
fn without_tests(code: &str) -> String {
    let cut = code.match_indices("#[cfg(test)]").find(|(at, mark)| {
        (*at == 0 || code[..*at].ends_with('\n'))
            && code[at + mark.len()..].trim_start().starts_with("mod ")
    });
    code[..cut.map_or(code.len(), |(at, _)| at)].to_owned()
}

#[derive(Default)]
struct Apart {
    code: String,
    strings: Vec<String>,
}

impl Apart {
    fn of(text: &str) -> Self {
        let mut apart = Self::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = apart.take(rest, c);
        }
        apart
    }

    /// Takes one thing from the front and gives what follows it.
    fn take<'t>(&mut self, rest: &'t str, c: char) -> &'t str {
        if rest.starts_with("//") {
            return rest.find('\n').map_or("", |end| &rest[end..]);
        }
        if rest.starts_with("/*") {
            return rest.find("*/").map_or("", |end| &rest[end + 2..]);
        }
        let in_word = self
            .code
            .ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(hashes) = raw_string(rest).filter(|_| !in_word) {
            let start = rest.find('"').unwrap() + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = rest[start..]
                .find(&close)
                .map_or(rest.len(), |end| start + end);
            self.literal(&rest[start..end]);
            return &rest[(end + close.len()).min(rest.len())..];
        }
        match c {
            '"' => {
                let end = end_of_text(&rest[1..]);
                self.literal(&rest[1..=end]);
                &rest[(end + 2).min(rest.len())..]
            }
            '\'' => match character(rest) {
                Some(length) => &rest[length..],
                None => self.copy(rest, c),
            },
            _ => self.copy(rest, c),
        }
    }

    fn literal(&mut self, text: &str) {
        self.strings.push(text.to_owned());
        self.code.push_str("\"\"");
    }

    fn copy<'t>(&mut self, rest: &'t str, c: char) -> &'t str {
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
fn strings_comments_and_characters_are_told_apart() {
    let apart = Apart::of(
        "let a = \"x // \\\" y\"; // \"no\"\nlet b: &'static str = r#\"raw \"q\"\"#; let c = '\"'; let d = '\\'';",
    );
    assert_eq!(apart.strings, ["x // \\\" y", "raw \"q\""]);
    assert_eq!(
        apart.code,
        "let a = \"\"; \nlet b: &'static str = \"\"; let c = ; let d = ;"
    );
}
