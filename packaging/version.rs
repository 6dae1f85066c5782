//! The version of the program, from git. A module of `build.rs`; tests compile it alone.
//!
//! For dpkg, the version of each commit is higher than those of the commits in front of it: `0.1.0~gitDATE.NUMBER.COMMIT` up to the
//! first tag, `0.1.0` at the tag `v0.1.0`, then `0.1.0+gitDATE.NUMBER.COMMIT` up to the next tag, which must be higher. The tag
//! `v0.2.0-rc1` of a version that is tried first is `0.2.0~rc1`, because dpkg sorts `~` in front of the end of the text.

use std::path::Path;
use std::process::Command;

/// Sets `PROGRAM_VERSION` for the compiler: the variable `ROLLCALL_VERSION`, else in a release build the version of the commit, else
/// the version of Cargo.toml.
pub(crate) fn set_version(is_release: bool) {
    println!("cargo::rerun-if-env-changed=ROLLCALL_VERSION");
    let cargo = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let given = std::env::var("ROLLCALL_VERSION").ok().filter(|version| !version.is_empty());
    let version = given.or_else(|| if is_release { describe_commit(&cargo) } else { None }).unwrap_or(cargo);
    let version = version.replace('-', "~");
    // Cargo also sets this variable for the tests that it runs, where one that begins with ROLLCALL_ would be a setting.
    println!("cargo::rustc-env=PROGRAM_VERSION={version}");
}

/// Returns the version of the commit, if the current folder is a git checkout. `first` is the version before there is a tag.
/// Prints the files of git that it depends on, as instructions for cargo.
fn describe_commit(first: &str) -> Option<String> {
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
    let base = match last.as_deref().and_then(|tag| tag.strip_prefix('v')) {
        Some(version) => format!("{version}+"),
        None => format!("{first}~"),
    };
    let date = run_git(&["log", "-1", "--format=%cd", "--date=format-local:%Y%m%d", "HEAD"])?;
    let number = run_git(&["rev-list", "--count", "HEAD"])?;
    let commit = run_git(&["rev-parse", "--short=9", "HEAD"])?;
    Some(format!("{base}git{date}.{number}.{commit}"))
}

/// Returns what git prints, or `None` if it fails.
fn run_git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).env("TZ", "UTC").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
