//! Where each setting comes from: flag, variable, a secret's own file, the file of settings, or its default, in this order.
//!
//! What the files say is put among the words of the command line, where no flag and no variable says otherwise; from there
//! on the flags' own rules hold for it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Command;

use super::declared::{Kind, Setting, declared, nearest, variables};
use super::file::{self, File, SettingsError};

/// The file that is read where nobody names one.
const FILE: &str = "./rollcall.toml";
/// What all our variables begin with.
const OURS: &str = "ROLLCALL_";
/// Commands that need no settings, and help while the settings are broken.
const WITHOUT_SETTINGS: [&str; 4] = ["help", "version", "completions", "man"];
/// The command that tells of all settings.
const ABOUT_SETTINGS: &str = "config";
/// Its part that shows how a file is written, and helps while the file is broken.
const EXAMPLE: &str = "example";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of this very command.
    Flag,
    /// That variable.
    Variable(String),
    /// A file that holds this one secret.
    SecretFile(PathBuf),
    /// That line of the file of settings.
    File(PathBuf, usize),
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => write!(to, "flag"),
            Self::Variable(name) => write!(to, "environment {name}"),
            Self::SecretFile(path) => write!(to, "{}", path.display()),
            Self::File(path, line) => write!(to, "{}:{line}", path.display()),
            Self::Default => write!(to, "default"),
        }
    }
}

/// A setting with its value.
#[derive(Debug, Clone)]
pub struct Found {
    /// The setting.
    pub setting: Setting,
    /// Its values; none where it is not set.
    pub values: Vec<String>,
    /// Where they come from. Those of a flag are not known here.
    pub origin: Origin,
}

/// All settings, for one command line.
#[derive(Debug)]
pub struct Sources {
    /// In the order of their declaration.
    pub found: Vec<Found>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
    command: Option<usize>,
}

impl Sources {
    /// Finds what the words of the command line, the environment and the files say; `root` is the command line's shape.
    ///
    /// # Errors
    /// A file cannot be read or holds something wrong, or a secret comes from two places.
    pub fn read(root: &Command, words: &[OsString]) -> Result<Self, SettingsError> {
        let command = command_at(root, words);
        let mut sources = Self { found: Vec::new(), file: None, warnings: Vec::new(), command };
        let name = command.and_then(|at| words[at].to_str());
        let asks_for_help =
            ["--help", "-h", "--version", "-V"].iter().any(|flag| words.iter().any(|word| word == flag));
        if asks_for_help || name.is_none_or(|name| WITHOUT_SETTINGS.contains(&name)) {
            return Ok(sources);
        }
        let settings = declared(root);
        if words.last().is_some_and(|word| word == EXAMPLE) {
            let found = |setting: Setting| Found { values: setting.defaults(), setting, origin: Origin::Default };
            sources.found = settings.into_iter().map(found).collect();
            return Ok(sources);
        }
        let file = file_of(words).map(|(path, named_by)| file::read(&path, &named_by, &settings)).transpose()?;
        let target = root.get_subcommands().find(|command| Some(command.get_name()) == name);
        for setting in settings {
            let is_wanted = name == Some(ABOUT_SETTINGS) || target.is_some_and(|target| setting.is_taken_by(target));
            sources.found.push(find(setting, words, file.as_ref(), is_wanted)?);
        }
        sources.warnings = strangers(&variables(root));
        if file.is_none() && Path::new(FILE).exists() {
            let warning = format!("{FILE} belongs to somebody else and was passed over; --config {FILE} takes it");
            sources.warnings.push(warning);
        }
        sources.file = file.map(|file| file.path);
        Ok(sources)
    }

    /// The words with what the files say among them.
    pub fn among(&self, root: &Command, mut words: Vec<OsString>) -> Vec<OsString> {
        let Some(command) = self.command else { return words };
        let name = words[command].to_str().unwrap_or_default().to_owned();
        let target = root.get_subcommands().find(|command| command.get_name() == name);
        let from_files = |found: &&Found| matches!(found.origin, Origin::File(..) | Origin::SecretFile(_));
        let (mut of_all, mut of_one) = (Vec::new(), Vec::new());
        for found in self.found.iter().filter(from_files) {
            if found.setting.is_of_all_commands() {
                of_all.extend(spoken(found));
            } else if target.is_some_and(|target| found.setting.is_taken_by(target)) {
                of_one.extend(spoken(found));
            }
        }
        let behind = command + 1;
        words.splice(behind..behind, of_one);
        words.splice(1..1, of_all);
        words
    }

    /// The keys that the file of settings decides, for who has to say that something is wrong with them together.
    pub fn from_file(&self) -> Vec<&str> {
        let of_file = |found: &&Found| matches!(found.origin, Origin::File(..));
        self.found.iter().filter(of_file).map(|found| found.setting.key()).collect()
    }
}

/// A setting as words of the command line.
fn spoken(found: &Found) -> Vec<OsString> {
    let flag = found.setting.flag();
    if found.setting.is_bare() {
        let is_on = found.values.iter().any(|value| value == "true");
        return if is_on { vec![format!("--{flag}").into()] } else { Vec::new() };
    }
    found.values.iter().map(|value| format!("--{flag}={value}").into()).collect()
}

fn find(setting: Setting, words: &[OsString], file: Option<&File>, is_wanted: bool) -> Result<Found, SettingsError> {
    if flag_of(words, setting.flag()).is_some() {
        return Ok(Found { setting, values: Vec::new(), origin: Origin::Flag });
    }
    let variable = std::env::var(setting.variable()).ok();
    let secret = if setting.is_secret() && is_wanted { secret_of(&setting, variable.is_some())? } else { None };
    let line = file.and_then(|file| file.entries.iter().find(|entry| entry.key == setting.key()).map(|it| (file, it)));
    let (values, origin) = match (variable, secret, line) {
        (Some(text), ..) => {
            let values = if setting.kind() == Kind::List { setting.values_of(&text) } else { vec![text] };
            (values, Origin::Variable(setting.variable().to_owned()))
        }
        (None, Some((text, path)), _) => (vec![text], Origin::SecretFile(path)),
        (None, None, Some((file, entry))) => (entry.values.clone(), Origin::File(file.path.clone(), entry.line)),
        (None, None, None) => (setting.defaults(), Origin::Default),
    };
    Ok(Found { setting, values, origin })
}

/// A secret from the file that its `…_FILE` names, or from systemd's credentials (`$CREDENTIALS_DIRECTORY/<key>`).
fn secret_of(setting: &Setting, has_variable: bool) -> Result<Option<(String, PathBuf)>, SettingsError> {
    let variable = format!("{}_FILE", setting.variable());
    let named = std::env::var_os(&variable).map(PathBuf::from);
    if named.is_some() && has_variable {
        let both = format!("{} and {variable} are both set: keep one of them", setting.variable());
        return Err(SettingsError::Secret(both));
    }
    let credential = || {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
        Some(Path::new(&folder).join(setting.key())).filter(|path| path.exists())
    };
    let (path, named_by) = match (named, has_variable) {
        (Some(path), _) => (path, variable),
        (None, true) => return Ok(None),
        (None, false) => match credential() {
            Some(path) => (path, "CREDENTIALS_DIRECTORY".to_owned()),
            None => return Ok(None),
        },
    };
    let text = file::secret(&path, &named_by)?;
    let judged = setting.judge(&text);
    judged.map_err(|rule| SettingsError::Secret(format!("{} ({}): {rule}", path.display(), setting.key())))?;
    Ok(Some((text, path)))
}

/// The file of settings and who names it. One that merely lies about counts only where it is ours or the system's: a
/// command that root runs in somebody's folder does not obey that somebody.
fn file_of(words: &[OsString]) -> Option<(PathBuf, String)> {
    if let Some(path) = flag_of(words, "config") {
        return Some((PathBuf::from(path), "--config".to_owned()));
    }
    if let Some(path) = std::env::var_os("ROLLCALL_CONFIG") {
        return Some((PathBuf::from(path), "ROLLCALL_CONFIG".to_owned()));
    }
    let owner = fs::metadata(FILE).ok()?.uid();
    let own = fs::metadata("/proc/self").map_or(owner, |process| process.uid());
    (owner == 0 || owner == own).then(|| (PathBuf::from(FILE), "the folder it lies in".to_owned()))
}

/// What a flag says among the words, as `--flag=value` or `--flag value`.
fn flag_of<'a>(words: &'a [OsString], flag: &str) -> Option<&'a OsStr> {
    let dashed = format!("--{flag}");
    for (at, word) in words.iter().enumerate() {
        if word == "--" {
            return None;
        }
        if word == dashed.as_str() {
            return Some(words.get(at + 1).map_or(OsStr::new(""), OsString::as_os_str));
        }
        let said = word.to_str().and_then(|word| word.strip_prefix(&dashed)?.strip_prefix('='));
        if let Some(said) = said {
            return Some(OsStr::new(said));
        }
    }
    None
}

/// Where the name of the command stands: the first word that is no flag and no flag's value.
fn command_at(root: &Command, words: &[OsString]) -> Option<usize> {
    let takes_value = |word: &str| {
        let named = |arg: &&clap::Arg| arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        root.get_arguments().find(named).is_some_and(|arg| arg.get_action().takes_values())
    };
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.to_str() {
            Some(flag) if flag.starts_with('-') => at += if takes_value(flag) { 2 } else { 1 },
            Some(name) => return root.get_subcommands().any(|known| known.get_name() == name).then_some(at),
            None => return None,
        }
    }
    None
}

/// Variables that look like ours and are read by nobody.
fn strangers(known: &[String]) -> Vec<String> {
    let mut found: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    found.retain(|name| name.starts_with(OURS) && !known.contains(name));
    found.sort();
    let warn = |name: String| match nearest(&name, known.iter().map(String::as_str)) {
        Some(like) => format!("the variable {name} means nothing; did you mean {like}?"),
        None => format!("the variable {name} means nothing; `rollcall config show` lists those that do"),
    };
    found.into_iter().map(warn).collect()
}
