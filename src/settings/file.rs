//! `rollcall.toml`: keys and values with the lines they stand in, judged by the rules of the flags they stand for.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::declared::{Kind, Setting, nearest};

/// The most bytes a file of settings or of a secret may have.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Bits with which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
/// The bit with which everybody may read.
const ALL_READ: u32 = 0o004;

/// Why the settings cannot be used. Each text names where the fault is and how it is mended.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file that was named is not there, or cannot be read.
    #[error("{path}: {why}; {named_by} names it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
        /// Flag or variable.
        named_by: String,
    },
    /// Somebody else could have written it, or can read a secret in it.
    #[error("{path} {why}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the fix.
        why: String,
    },
    /// A line is wrong.
    #[error("{path} line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Key, rule and fix.
        why: String,
    },
    /// Two sources of a secret, or a secret that breaks its rule.
    #[error("{0}")]
    Secret(String),
    /// Settings that are right each, and wrong together.
    #[error("{0}")]
    Together(String),
}

/// One line of the file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// One value, or those of a list; a switch is `true` or `false`.
    pub(super) values: Vec<String>,
    /// Counted from 1.
    pub(super) line: usize,
}

/// The file of settings, taken apart.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// Reads the file at `path`, which `named_by` named.
///
/// # Errors
/// It cannot be read, is not TOML, has an unknown key or a wrong value; others may write to it; or it holds a secret and
/// everybody may read it.
pub(super) fn read(path: &Path, named_by: &str, settings: &[Setting]) -> Result<File, SettingsError> {
    let (text, mode) = contents(path, named_by)?;
    if mode & OTHERS_WRITE != 0 {
        let why = format!("may be written by other users (mode {:04o}): run chmod go-w on it", mode & 0o777);
        return Err(SettingsError::Open { path: path.to_owned(), why });
    }
    let entries = entries(path, &text, settings)?;
    let secret =
        entries.iter().find(|entry| settings.iter().any(|known| known.key() == entry.key && known.is_secret()));
    if let Some(secret) = secret.filter(|_| mode & ALL_READ != 0) {
        let why = format!("holds a secret ({}) and may be read by everybody: run chmod o-rwx on it", secret.key);
        return Err(SettingsError::Open { path: path.to_owned(), why });
    }
    Ok(File { path: path.to_owned(), entries })
}

/// The one secret that a file holds; the line break at its end is no part of it.
///
/// # Errors
/// It cannot be read, or everybody can.
pub(super) fn secret(path: &Path, named_by: &str) -> Result<String, SettingsError> {
    let (text, mode) = contents(path, named_by)?;
    if mode & ALL_READ != 0 {
        let why = format!("holds a secret ({named_by} names it) and may be read by everybody: run chmod o-rwx on it");
        return Err(SettingsError::Open { path: path.to_owned(), why });
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn contents(path: &Path, named_by: &str) -> Result<(String, u32), SettingsError> {
    let read = || -> io::Result<(String, u32)> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if metadata.len() > FILE_MAX_BYTES {
            return Err(io::Error::other(format!("it is longer than {FILE_MAX_BYTES} bytes")));
        }
        Ok((fs::read_to_string(path)?, metadata.mode()))
    };
    read().map_err(|why| SettingsError::Unreadable { path: path.to_owned(), why, named_by: named_by.to_owned() })
}

fn entries(path: &Path, text: &str, settings: &[Setting]) -> Result<Vec<Entry>, SettingsError> {
    let line_of = |span: Range<usize>| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
    let wrong = |line, why| SettingsError::Line { path: path.to_owned(), line, why };
    let table = DeTable::parse(text).map_err(|error| {
        let why = format!("this is not TOML: {}", error.message());
        wrong(error.span().map_or(1, line_of), why)
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let (line, key) = (line_of(key.span()), key.get_ref().as_ref());
        let setting = settings.iter().find(|setting| setting.key() == key);
        let setting = setting.ok_or_else(|| wrong(line, unknown(key, settings)))?;
        let values = values(setting, value.get_ref()).map_err(|why| wrong(line, format!("{key}: {why}")))?;
        entries.push(Entry { key: key.to_owned(), values, line });
    }
    Ok(entries)
}

fn unknown(key: &str, settings: &[Setting]) -> String {
    // Who writes the flag's name, or a variable's, means the key.
    let plain = key.to_ascii_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("rollcall_").unwrap_or(&plain);
    let fix = match nearest(plain, settings.iter().map(Setting::key)) {
        Some(known) => format!("did you mean {known}?"),
        None => "`rollcall config example` lists the keys".to_owned(),
    };
    format!("there is no setting {key:?}; {fix}")
}

fn values(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let values = match (setting.kind(), value) {
        (Kind::Switch, DeValue::Boolean(is_on)) => return Ok(vec![is_on.to_string()]),
        (Kind::Switch, _) => return Err("write true or false, without quotes".to_owned()),
        // Some texts are numbers: their own rule says what a bare one lacks.
        (Kind::Number | Kind::Text, DeValue::Integer(_)) => vec![number(value)?],
        (Kind::Number, _) => return Err("write a whole number, without quotes".to_owned()),
        (Kind::List, DeValue::Array(items)) => {
            let items = items.iter().map(|item| text(item.get_ref()));
            items.collect::<Result<Vec<_>, _>>().map_err(|_| "write a list of texts in quotes".to_owned())?
        }
        (Kind::List, _) => vec![text(value).map_err(|_| "write a list of texts, such as [\"a\", \"b\"]".to_owned())?],
        (Kind::Text, _) => vec![text(value)?],
    };
    if values.is_empty() && !setting.defaults().is_empty() {
        return Err(format!("the list must not be empty; without the line it is {}", setting.defaults().join(", ")));
    }
    values.iter().try_for_each(|value| setting.judge(value)).map_err(|rule| shown(setting, &values, &rule))?;
    Ok(values)
}

/// The rule that was broken, and by what, unless that is a secret.
fn shown(setting: &Setting, values: &[String], rule: &str) -> String {
    if setting.is_secret() {
        return rule.to_owned();
    }
    let value: String = values.join(", ").chars().take(100).collect();
    format!("{value:?} will not do: {rule}")
}

fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err("write text in quotes".to_owned()),
    }
}

fn number(value: &DeValue<'_>) -> Result<String, String> {
    let DeValue::Integer(number) = value else { return Err("write a whole number".to_owned()) };
    let read = i64::from_str_radix(number.as_str(), number.radix());
    read.map(|number| number.to_string()).map_err(|_| "the number is too large".to_owned())
}
