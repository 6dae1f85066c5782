//! The quick starts of the README and of the documents, run as they are pasted.

use std::path::Path;
use std::process::Command;

use crate::app::App;
use crate::http::find_free_port;

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");

/// Returns the shell blocks under a heading.
fn find_blocks(document: &str, heading: &str) -> String {
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
    assert!(!blocks.is_empty(), "{heading} has no block");
    blocks.join("\n")
}

/// Runs a script in a folder, and returns what it prints.
#[track_caller]
fn run_script(script: &str, folder: &Path) -> String {
    let mut command = Command::new("timeout");
    command.args(["60", "bash", "-e", "-c", script]).current_dir(folder);
    let ran = command.output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{errors}");
    out.into_owned()
}

#[test]
fn the_quick_start_runs_when_it_is_pasted_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", find_free_port());
    let block = find_blocks(include_str!("../../README.md"), "Quick start");
    assert!(block.contains("target/release/rollcall serve &") && block.contains("rollcall init "), "{block}");
    let block = block
        .replace("target/release/rollcall", BINARY)
        .replace("rollcall init ", &format!("rollcall init --listen {address} --public-url http://{address} "))
        .replace("127.0.0.1:8080", &address);
    let out = run_script(&block, folder.path());
    for result in ["\"totalResults\":1", "\"active\":false", "\"displayName\":\"Analysts\"", "group.member_added"] {
        assert!(out.contains(result), "{result} is not in the output:\n{out}");
    }
}

#[test]
fn the_first_steps_with_the_management_api_run() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let command = format!("{BINARY} --data-dir {}", folder.path().display());
    let run = |document: &str, heading: &str| {
        let blocks = find_blocks(document, heading);
        let blocks = blocks.split("target/release/rollcall webhook create").next().unwrap_or_default();
        let script = blocks.replace("target/release/rollcall", &command);
        run_script(&script.replace("127.0.0.1:8080", &app.address.to_string()), folder.path())
    };
    let out = run(include_str!("../../docs/management-api.md"), "Quick start");
    assert!(out.contains("\"userName\":\"ada@example.com\"") && out.contains("user.created"), "{out}");
    let out = run(include_str!("../../README.md"), "The management API");
    assert!(out.contains("\"source\":\"okta\""), "{out}");
}
