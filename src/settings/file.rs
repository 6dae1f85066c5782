//! Reads `rollcall.toml`: keys and values with their line numbers, each validated with the value parser of its flag.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::settings::setting::{Setting, ValueKind, find_similar_name};

/// Largest settings file or secret file, in bytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Permission bits: group or others may write.
const OTHERS_WRITE: u32 = 0o022;
/// Permission bit: others may read.
const ALL_READ: u32 = 0o004;

/// Why the settings cannot be used. Each sentence names the source and the fix.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configured file does not exist or cannot be read.
    #[error("{path}: {why}; {named_by} names it{}", suggest_readable_file(.why))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        why: io::Error,
        /// Flag or variable that contains the path.
        named_by: String,
    },
    /// Other users may write the file, or may read a secret in it.
    #[error("{path} {why}")]
    TooPermissive {
        /// The file.
        path: PathBuf,
        /// The problem and the fix.
        why: String,
    },
    /// A line is not valid.
    #[error("{path} line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key, the rule and the fix.
        why: String,
    },
    /// A secret has two sources or is not valid.
    #[error("{0}")]
    Secret(String),
    /// Each setting is valid, but the combination is not.
    #[error("{0}")]
    InvalidCombination(String),
}

/// The fix if the user of the process may not read the file.
fn suggest_readable_file(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::PermissionDenied => {
            ": run the command with sudo, or name another file with --config (/dev/null for none)"
        }
        _ => "",
    }
}

/// One line of the file.
#[derive(Debug, Clone)]
pub(super) struct FileEntry {
    pub(super) key: String,
    /// One value, or the values of a list; a switch is `true` or `false`.
    pub(super) values: Vec<String>,
    /// Counted from 1.
    pub(super) line: usize,
}

/// The parsed settings file.
#[derive(Debug, Clone)]
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<FileEntry>,
}

/// Reads the settings file. `named_by` is the flag or variable that contains its path.
///
/// # Errors
/// The file cannot be read, is not TOML, has an unknown key or an invalid value; other users may write it; or it
/// contains a secret and others may read it.
pub(super) fn read_settings_file(
    path: &Path,
    named_by: &str,
    settings: &[Setting],
) -> Result<SettingsFile, SettingsError> {
    let (text, mode) = read_file_with_mode(path, named_by)?;
    if mode & OTHERS_WRITE != 0 {
        let why = format!("can be written by other users (mode {:04o}): run chmod go-w on it", mode & 0o777);
        return Err(SettingsError::TooPermissive { path: path.to_owned(), why });
    }
    let entries = parse_entries(path, &text, settings)?;
    let secret =
        entries.iter().find(|entry| settings.iter().any(|setting| setting.key() == entry.key && setting.is_secret()));
    if let Some(secret) = secret.filter(|_| mode & ALL_READ != 0) {
        let why = format!("contains a secret ({}) and can be read by other users: run chmod o-rwx on it", secret.key);
        return Err(SettingsError::TooPermissive { path: path.to_owned(), why });
    }
    Ok(SettingsFile { path: path.to_owned(), entries })
}

/// Reads a file that contains one secret. A line break at its end is removed.
///
/// # Errors
/// The file cannot be read, or others may read or write it.
pub fn read_secret_file(path: &Path, named_by: &str) -> Result<String, SettingsError> {
    let (text, mode) = read_file_with_mode(path, named_by)?;
    if mode & ALL_READ != 0 {
        let why =
            format!("contains a secret ({named_by} names it) and can be read by other users: run chmod o-rwx on it");
        return Err(SettingsError::TooPermissive { path: path.to_owned(), why });
    }
    if mode & OTHERS_WRITE != 0 {
        let why = format!("can be written by other users (mode {:04o}): run chmod go-w on it", mode & 0o777);
        return Err(SettingsError::TooPermissive { path: path.to_owned(), why });
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_file_with_mode(path: &Path, named_by: &str) -> Result<(String, u32), SettingsError> {
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

fn parse_entries(path: &Path, text: &str, settings: &[Setting]) -> Result<Vec<FileEntry>, SettingsError> {
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
        let setting = setting.ok_or_else(|| wrong(line, describe_unknown_key(key, settings)))?;
        let values = parse_values(setting, value.get_ref()).map_err(|why| wrong(line, format!("{key}: {why}")))?;
        entries.push(FileEntry { key: key.to_owned(), values, line });
    }
    Ok(entries)
}

fn describe_unknown_key(key: &str, settings: &[Setting]) -> String {
    // The name of a flag or of a variable is understood as a key.
    let plain = key.to_ascii_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("rollcall_").unwrap_or(&plain);
    let fix = match find_similar_name(plain, settings.iter().map(Setting::key)) {
        Some(similar) => format!("did you mean {similar}?"),
        None => "`rollcall config example` lists the keys".to_owned(),
    };
    format!("there is no setting {key:?}; {fix}")
}

fn parse_values(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let values = match (setting.kind(), value) {
        (ValueKind::Switch, DeValue::Boolean(is_on)) => return Ok(vec![is_on.to_string()]),
        (ValueKind::Switch, _) => return Err("write true or false, without quotes".to_owned()),
        (ValueKind::Number, DeValue::Integer(_)) => vec![parse_number(value)?],
        (ValueKind::Number, _) => return Err("write a whole number, without quotes".to_owned()),
        (ValueKind::List, DeValue::Array(items)) => {
            let items = items.iter().map(|item| parse_text(item.get_ref()));
            items.collect::<Result<Vec<_>, _>>().map_err(|_| "write a list of texts in quotes".to_owned())?
        }
        (ValueKind::List, _) => {
            vec![parse_text(value).map_err(|_| "write a list of texts, such as [\"a\", \"b\"]".to_owned())?]
        }
        (ValueKind::Text, DeValue::Integer(_)) => return Err(describe_number(setting, &parse_number(value)?)),
        (ValueKind::Text, _) => vec![parse_text(value)?],
    };
    if values.is_empty() && !setting.defaults().is_empty() {
        return Err(format!("the list must not be empty; without the line it is {}", setting.defaults().join(", ")));
    }
    values
        .iter()
        .try_for_each(|value| setting.validate(value))
        .map_err(|rule| describe_invalid_value(setting, &values, &rule))?;
    Ok(values)
}

/// What is wrong with a number where text is expected: the value parser says what is absent, such as a unit.
fn describe_number(setting: &Setting, number: &str) -> String {
    match setting.validate(number) {
        Err(rule) => describe_invalid_value(setting, &[number.to_owned()], &rule),
        Ok(()) => "write text in quotes".to_owned(),
    }
}

/// The violated rule with the value; without the value if it is a secret.
fn describe_invalid_value(setting: &Setting, values: &[String], rule: &str) -> String {
    if setting.is_secret() {
        return rule.to_owned();
    }
    let value: String = values.join(", ").chars().take(100).collect();
    format!("{value:?} is not valid: {rule}")
}

fn parse_text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err("write text in quotes".to_owned()),
    }
}

fn parse_number(value: &DeValue<'_>) -> Result<String, String> {
    let DeValue::Integer(number) = value else { return Err("write a whole number".to_owned()) };
    let read = i64::from_str_radix(number.as_str(), number.radix());
    read.map(|number| number.to_string()).map_err(|_| "the number is too large".to_owned())
}
