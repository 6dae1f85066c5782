//! The list of libraries in the program matches its build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const LISTED: &str = include_str!("../../docs/licences.md");
/// The list is for one platform; a few libraries differ on others.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The list of the libraries that are linked, without those that only tests use.
fn built() -> String {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", PLATFORM])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes: BTreeMap<String, &Value> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|node| (text(&node["id"]), node)).collect();
    let root = text(&metadata["resolve"]["root"]);
    let (mut linked, mut to_see) = (BTreeSet::new(), vec![root.clone()]);
    while let Some(id) = to_see.pop() {
        let of = |node: &&Value| node["deps"].as_array().cloned().unwrap_or_default();
        for dependency in nodes.get(&id).map(of).unwrap_or_default() {
            let is_linked = dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            if is_linked && linked.insert(text(&dependency["pkg"])) {
                to_see.push(text(&dependency["pkg"]));
            }
        }
    }
    let packages = metadata["packages"].as_array().unwrap().iter();
    let mut rows: Vec<String> = packages
        .filter(|package| linked.contains(&text(&package["id"])))
        .map(|package| {
            let licence = text(&package["license"]).replace('/', " OR ").replace("  ", " ").replace("  ", " ");
            format!("| {} | {} | {licence} |", text(&package["name"]), text(&package["version"]))
        })
        .collect();
    rows.sort();
    let head = "# Libraries in Rollcall\n\nEach library is under one of the licences listed with it. SQLite is included too; it is in the public domain.\n\n\
                | library | version | licence |\n| --- | --- | --- |\n";
    format!("{head}{}\n", rows.join("\n"))
}

#[test]
fn every_library_in_the_program_is_listed_with_its_licence() {
    let built = built();
    if std::env::var_os("TEST_WRITES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/licences.md");
        std::fs::write(path, built).unwrap();
        return;
    }
    assert_eq!(LISTED, built, "TEST_WRITES=1 cargo test --test it licences rewrites docs/licences.md");
}
