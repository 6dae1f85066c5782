//! Checks `docs/conformance.md`: each requirement is in it once, and the tests it names exist.

use std::collections::BTreeMap;
use std::path::Path;

/// The last requirement number. Numbers start at 1 without gaps.
const LAST: u32 = 334;

/// One row of the tables.
struct Row {
    number: u32,
    section: String,
    requirement: String,
    state: String,
    /// Module paths: `it::…` is below `tests/it`, all others below `src`.
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
    let [number, section, requirement, state, tests] = cells[..] else { panic!("expected five cells: {line}") };
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
fn every_requirement_is_in_the_index_once() {
    let mut seen: BTreeMap<u32, u32> = (1..=LAST).map(|number| (number, 0)).collect();
    for row in rows() {
        *seen.entry(row.number).or_default() += 1;
    }
    let wrong: Vec<String> = seen
        .into_iter()
        .filter(|(number, times)| *times != 1 || !(1..=LAST).contains(number))
        .map(|(number, times)| format!("R-{number:03} is in the index {times} times"))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_line_of_the_index_has_section_requirement_and_state() {
    let mut wrong = Vec::new();
    for Row { number, section, requirement, state, tests } in rows() {
        let (status, why) = state.split_once(": ").unwrap_or((&state, ""));
        let complaint = match status {
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
    let mut absent = Vec::new();
    for Row { number, tests, .. } in rows() {
        absent.extend(tests.iter().filter(|test| !exists(test)).map(|test| format!("R-{number:03}: {test}")));
    }
    assert_eq!(absent, Vec::<String>::new());
}

/// Whether the file of that module has a test of that name.
pub(crate) fn exists(test: &str) -> bool {
    let mut segments: Vec<&str> = test.split("::").collect();
    let name = segments.pop().unwrap_or_default();
    let folder = if segments.first() == Some(&"it") { "tests" } else { "src" };
    // `mod tests { … }` has no separate file.
    let inline = segments.iter().position(|segment| *segment == "tests");
    [Some(segments.len()), inline].into_iter().flatten().any(|depth| {
        let path = format!("{folder}/{}", segments[..depth].join("/"));
        let found = [format!("{path}.rs"), format!("{path}/mod.rs")].map(|file| root().join(file));
        found.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| declares(&text, name))
    })
}

/// `#[test] fn name(`, or a line of the list of transcripts.
fn declares(text: &str, name: &str) -> bool {
    let declared = regex_lite::Regex::new(&format!(r"#\[test\]\s+(?:#\[[^\]]*\]\s+)*fn {name}\(")).unwrap();
    let transcript = regex_lite::Regex::new(&format!("(?m)^    {name}: \"")).unwrap();
    declared.is_match(text) || transcript.is_match(text)
}

#[test]
fn a_test_is_identified_by_its_module_and_its_name() {
    assert!(exists("it::conformance::a_test_is_identified_by_its_module_and_its_name"));
    assert!(exists("scim::entity_tag::tests::conditions_are_checked_in_order"));
    assert!(exists("it::transcripts::okta_pushes_groups"));
    for absent in
        ["it::conformance::exists", "it::conformance::no_such_test", "it::nowhere::x", "scim::entity_tag::x", ""]
    {
        assert!(!exists(absent), "{absent}");
    }
}
