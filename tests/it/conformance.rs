//! `docs/conformance.md` held to the tree: each requirement stands in it once, and the tests it names exist.

use std::collections::BTreeMap;
use std::path::Path;

/// The last number of the requirements; they start at 1 and none is left out.
const LAST: u32 = 334;

/// One line of the tables.
struct Row {
    number: u32,
    section: String,
    requirement: String,
    state: String,
    /// Module paths: `it::…` below `tests/it`, all others below `src`.
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    text.lines().filter(|line| line.starts_with("| R-")).map(row).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
    let [number, section, requirement, state, tests] = cells[..] else { panic!("five cells, please: {line}") };
    let number = number.strip_prefix("R-").and_then(|digits| digits.parse().ok());
    Row {
        number: number.unwrap_or_else(|| panic!("no number: {line}")),
        section: section.to_owned(),
        requirement: requirement.to_owned(),
        state: state.to_owned(),
        tests: tests.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
    }
}

#[test]
fn every_requirement_stands_in_the_index_once() {
    let mut seen: BTreeMap<u32, u32> = (1..=LAST).map(|number| (number, 0)).collect();
    for row in rows() {
        *seen.entry(row.number).or_default() += 1;
    }
    let wrong: Vec<String> = seen
        .into_iter()
        .filter(|(number, times)| *times != 1 || !(1..=LAST).contains(number))
        .map(|(number, times)| format!("R-{number:03} stands there {times} times"))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_line_of_the_index_says_what_is_asked_where_and_how_far_we_are() {
    let mut wrong = Vec::new();
    for Row { number, section, requirement, state, tests } in rows() {
        let (word, why) = state.split_once(": ").unwrap_or((&state, ""));
        let complaint = match word {
            _ if section.is_empty() || requirement.is_empty() => "an empty cell",
            "done" if tests.is_empty() => "done, and no test shows it",
            "not yet" | "not offered" if why.is_empty() => "no reason",
            "done" | "not yet" | "not offered" => continue,
            _ => "a state is done, not yet or not offered",
        };
        wrong.push(format!("R-{number:03}: {complaint}"));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_test_that_the_index_names_exists() {
    let mut missing = Vec::new();
    for Row { number, tests, .. } in rows() {
        missing.extend(tests.iter().filter(|test| !exists(test)).map(|test| format!("R-{number:03}: {test}")));
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Whether the file of that module has a test of that name.
fn exists(test: &str) -> bool {
    let mut segments: Vec<&str> = test.split("::").collect();
    let name = segments.pop().unwrap_or_default();
    let folder = if segments.first() == Some(&"it") { "tests" } else { "src" };
    // `mod tests { … }` has no file of its own.
    let inline = segments.iter().position(|segment| *segment == "tests");
    [Some(segments.len()), inline].into_iter().flatten().any(|depth| {
        let path = format!("{folder}/{}", segments[..depth].join("/"));
        let found = [format!("{path}.rs"), format!("{path}/mod.rs")].map(|file| root().join(file));
        found.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| declares(&text, name))
    })
}

/// `#[test] fn name(`, or a line of the list of transcripts.
fn declares(text: &str, name: &str) -> bool {
    let test = regex_lite::Regex::new(&format!(r"#\[test\]\s+(?:#\[[^\]]*\]\s+)*fn {name}\(")).unwrap();
    let transcript = regex_lite::Regex::new(&format!("(?m)^    {name}: \"")).unwrap();
    test.is_match(text) || transcript.is_match(text)
}

#[test]
fn a_test_is_told_by_its_module_and_its_name() {
    assert!(exists("it::conformance::a_test_is_told_by_its_module_and_its_name"));
    assert!(exists("scim::version::tests::a_stale_tag_is_412"));
    assert!(exists("it::transcripts::okta_pushes_groups"));
    for missing in
        ["it::conformance::exists", "it::conformance::no_such_test", "it::nowhere::x", "scim::version::x", ""]
    {
        assert!(!exists(missing), "{missing}");
    }
}
