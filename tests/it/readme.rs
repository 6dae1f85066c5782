//! The quick start of the README, run as it is pasted.

use std::process::Command;

use crate::http::find_free_port;

/// Returns the first shell block under a heading of the README.
fn find_block(heading: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_quick_start_runs_when_it_is_pasted_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", find_free_port());
    let block = find_block("Quick start");
    assert!(block.contains("target/release/rollcall serve &") && block.contains("rollcall init "), "{block}");
    let block = block
        .replace("target/release/rollcall", env!("CARGO_BIN_EXE_rollcall"))
        .replace("rollcall init ", &format!("rollcall init --listen {address} --public-url http://{address} "))
        .replace("127.0.0.1:8080", &address);
    let ran =
        Command::new("timeout").args(["60", "bash", "-e", "-c", &block]).current_dir(folder.path()).output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{errors}");
    for result in ["\"totalResults\":1", "\"active\":false", "\"displayName\":\"Analysts\"", "group.member_added"] {
        assert!(out.contains(result), "{result} is not in the output:\n{out}\n{errors}");
    }
}
