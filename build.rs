//! Sets `PROGRAM_VERSION`, the version that the program reports.
//!
//! - The variable `ROLLCALL_VERSION` of the build, if it is set: for a source archive or an image without `.git`.
//! - A release build in a git checkout: the tag `vX.Y.Z` of the commit, or else `X.Y.Z+gitDATE.NUMBER.COMMIT` with the
//!   date (UTC) and the number of the commit, so that a later commit has a higher version for dpkg.
//! - Otherwise the version of Cargo.toml. A build for tests does not depend on the commit: a new commit compiles nothing
//!   again.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ROLLCALL_VERSION");
    let cargo = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let given = std::env::var("ROLLCALL_VERSION").ok().filter(|version| !version.is_empty());
    let version = given.or_else(|| if is_release { describe_commit(&cargo) } else { None }).unwrap_or(cargo);
    // Cargo also sets this variable for the tests that it runs, where one that begins with ROLLCALL_ would be a setting.
    println!("cargo::rustc-env=PROGRAM_VERSION={version}");
}

/// Returns the version of the commit, if this is a git checkout.
fn describe_commit(cargo: &str) -> Option<String> {
    // A folder of sources inside another repository is not a checkout of this program.
    if !Path::new(".git").exists() {
        return None;
    }
    for name in ["HEAD", "logs/HEAD", "packed-refs"] {
        let path = run_git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let tagged = run_git(&["describe", "--tags", "--exact-match", "--match", "v[0-9]*", "HEAD"]);
    if let Some(tag) = tagged {
        return tag.strip_prefix('v').map(str::to_owned);
    }
    let last = run_git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD"]);
    let base = last.as_deref().and_then(|tag| tag.strip_prefix('v')).unwrap_or(cargo);
    let date = run_git(&["log", "-1", "--format=%cd", "--date=format-local:%Y%m%d", "HEAD"])?;
    let number = run_git(&["rev-list", "--count", "HEAD"])?;
    let commit = run_git(&["rev-parse", "--short=9", "HEAD"])?;
    Some(format!("{base}+git{date}.{number}.{commit}"))
}

/// Returns what git prints, or `None` if it fails.
fn run_git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).env("TZ", "UTC").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
