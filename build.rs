//! Sets `PROGRAM_VERSION`, the version that the program reports, and compresses the texts of `src/compressed_text.rs`.
//!
//! The version is:
//! - The variable `ROLLCALL_VERSION` of the build, if it is set: for a source archive without `.git`.
//! - A release build in a git checkout: the tag `vX.Y.Z` of the commit, or else the last tag with the date (UTC) and the
//!   number of the commit; see `packaging/version.rs`.
//! - Otherwise the version of Cargo.toml. A build for tests does not depend on the commit: a new commit compiles nothing
//!   again.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;

#[path = "packaging/version.rs"]
mod version;

/// Folder and end of the names of the files that are compressed.
const TEXT_PATTERNS: [(&str, &str); 4] =
    [("docs", ".md"), (".", "CHANGELOG.md"), ("src/simulate", ".json"), ("src/simulate/conversations", ".json")];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=packaging/version.rs");
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_release {
        // Debuggers and backtraces find the symbol table of a released program by this id.
        println!("cargo::rustc-link-arg-bins=-Wl,--build-id=sha1");
    }
    version::set_version(is_release);
    compress_texts(&PathBuf::from(std::env::var("OUT_DIR")?).join("texts"))
}

/// Writes each file of `TEXT_PATTERNS` to the folder, with its path in the repository and `.deflate` after its name.
fn compress_texts(target: &Path) -> Result<(), Box<dyn Error>> {
    for (folder, end) in TEXT_PATTERNS {
        fs::create_dir_all(target.join(folder))?;
        if folder != "." {
            // A new file.
            println!("cargo::rerun-if-changed={folder}");
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(end)) else {
                continue;
            };
            println!("cargo::rerun-if-changed={}", path.display());
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&fs::read(&path)?)?;
            fs::write(target.join(folder).join(format!("{name}.deflate")), encoder.finish()?)?;
        }
    }
    Ok(())
}
