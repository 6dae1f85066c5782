//! Finds the source of each setting. The order is: flag, variable, secret file, settings file, default.
//!
//! One settings file is read: the one that `--config` or `ROLLCALL_CONFIG` names, else `./rollcall.toml`, else
//! `/etc/rollcall/rollcall.toml`. Files are not merged.
//!
//! A value from a file is inserted into the command line as an argument if neither flag nor variable is set, and clap
//! then validates it like any other argument.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Command;
use rustix::process::geteuid;

use super::file::{self, SettingsError, SettingsFile};
use crate::settings::setting::{Setting, ValueKind, find_similar_name, list_settings, list_variables};

/// Settings file that is read if no other one is configured.
const FILE: &str = "./rollcall.toml";
/// Settings file of the machine, which is read if the current folder contains none.
const MACHINE_FILE: &str = "/etc/rollcall/rollcall.toml";
/// Name of a settings file without settings.
const EMPTY_FILE: &str = "/dev/null";
/// Prefix of all variables of this program.
const PREFIX: &str = "ROLLCALL_";
/// Commands that read no settings and therefore work while the settings are not valid.
const WITHOUT_SETTINGS: [&str; 8] = ["help", "version", "completions", "man", "docs", "init", "simulate", "demo"];
/// Command that shows all settings.
const ABOUT_SETTINGS: &str = "config";
/// Its subcommand that prints an example file. It works while the settings are not valid.
const EXAMPLE: &str = "example";

/// Source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// A flag of the command line.
    Flag,
    /// The variable of that name.
    Variable(String),
    /// A file that contains only this secret.
    SecretFile(PathBuf),
    /// A line of the settings file.
    File(PathBuf, usize),
    /// Not set: the default.
    Default,
}

impl std::fmt::Display for SettingOrigin {
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

/// A setting with its values and their source.
#[derive(Debug, Clone)]
pub struct SettingValue {
    /// The setting.
    pub setting: Setting,
    /// Its values; empty if it is not set, and for a flag.
    pub values: Vec<String>,
    /// Source of the values.
    pub origin: SettingOrigin,
}

/// All settings of one command line.
#[derive(Debug)]
pub struct SettingSources {
    /// Settings in the order of their declaration.
    pub found: Vec<SettingValue>,
    /// Settings file that was read.
    pub file: Option<PathBuf>,
    /// Warnings for the log.
    pub warnings: Vec<String>,
    /// Whether the file in this folder was not read because it belongs to another user.
    is_local_file_ignored: bool,
    command: Option<usize>,
}

impl SettingSources {
    /// Collects the settings from command line, environment and files. `root` is the definition of the command line.
    ///
    /// # Errors
    /// A file cannot be read or is not valid, or a secret has two sources.
    pub fn read(root: &Command, args: &[OsString]) -> Result<Self, SettingsError> {
        let command = find_command(root, args);
        let (found, warnings) = (Vec::new(), Vec::new());
        let mut sources = Self { found, file: None, warnings, is_local_file_ignored: false, command };
        let name = command.and_then(|at| args[at].to_str());
        let asks_for_help = ["--help", "-h", "--version", "-V"].iter().any(|flag| args.iter().any(|arg| arg == flag));
        if asks_for_help || name.is_none_or(|name| WITHOUT_SETTINGS.contains(&name)) {
            return Ok(sources);
        }
        let settings = list_settings(root);
        if args.last().is_some_and(|arg| arg == EXAMPLE) {
            let found =
                |setting: Setting| SettingValue { values: setting.defaults(), setting, origin: SettingOrigin::Default };
            sources.found = settings.into_iter().map(found).collect();
            return Ok(sources);
        }
        let chosen = find_settings_file(args);
        let file = match &chosen {
            Some((path, _)) if path == Path::new(EMPTY_FILE) => None,
            Some((path, named_by)) => Some(file::read_settings_file(path, named_by, &settings)?),
            None => None,
        };
        let target = root.get_subcommands().find(|command| Some(command.get_name()) == name);
        for setting in settings {
            let is_relevant =
                name == Some(ABOUT_SETTINGS) || target.is_some_and(|target| setting.is_accepted_by(target));
            sources.found.push(find_setting(setting, args, file.as_ref(), is_relevant)?);
        }
        sources.warnings = warn_of_unknown_variables(&list_variables(root));
        let is_named = chosen.is_some_and(|(path, _)| path != Path::new(MACHINE_FILE));
        sources.is_local_file_ignored = !is_named && Path::new(FILE).exists();
        if sources.is_local_file_ignored {
            let warning = format!("{FILE} belongs to another user and was ignored; use --config {FILE} to read it");
            sources.warnings.push(warning);
        }
        sources.file = file.map(|file| file.path);
        Ok(sources)
    }

    /// Returns the arguments together with those that the files set.
    pub fn insert_arguments(&self, root: &Command, mut args: Vec<OsString>) -> Vec<OsString> {
        let Some(command) = self.command else { return args };
        let name = args[command].to_str().unwrap_or_default().to_owned();
        let target = root.get_subcommands().find(|command| command.get_name() == name);
        let from_files =
            |found: &&SettingValue| matches!(found.origin, SettingOrigin::File(..) | SettingOrigin::SecretFile(_));
        let (mut of_all, mut of_one) = (Vec::new(), Vec::new());
        for found in self.found.iter().filter(from_files) {
            if found.setting.is_global() {
                of_all.extend(to_arguments(found));
            } else if target.is_some_and(|target| found.setting.is_accepted_by(target)) {
                of_one.extend(to_arguments(found));
            }
        }
        let after = command + 1;
        args.splice(after..after, of_one);
        args.splice(1..1, of_all);
        args
    }

    /// Describes the settings file that was read.
    pub fn describe_file(&self) -> String {
        match &self.file {
            Some(path) if self.is_local_file_ignored => {
                format!("{} ({FILE} belongs to another user and was ignored)", path.display())
            }
            Some(path) => path.display().to_string(),
            None if self.is_local_file_ignored => format!("none ({FILE} belongs to another user and was ignored)"),
            None => format!("none ({FILE} and {MACHINE_FILE} are read if they exist)"),
        }
    }

    /// Returns the source of the setting with this key.
    pub fn find_origin(&self, key: &str) -> SettingOrigin {
        let found = self.found.iter().find(|found| found.setting.key() == key);
        found.map_or(SettingOrigin::Default, |found| found.origin.clone())
    }

    /// Returns the keys of single commands that the settings file sets, for the message about an invalid combination.
    pub fn keys_from_file(&self) -> Vec<&str> {
        let of_file =
            |found: &&SettingValue| matches!(found.origin, SettingOrigin::File(..)) && !found.setting.is_global();
        self.found.iter().filter(of_file).map(|found| found.setting.key()).collect()
    }
}

/// Formats a setting as arguments of the command line.
fn to_arguments(found: &SettingValue) -> Vec<OsString> {
    let flag = found.setting.flag();
    if found.setting.has_no_value() {
        let is_on = found.values.iter().any(|value| value == "true");
        return if is_on { vec![format!("--{flag}").into()] } else { Vec::new() };
    }
    found.values.iter().map(|value| format!("--{flag}={value}").into()).collect()
}

fn find_setting(
    setting: Setting,
    args: &[OsString],
    file: Option<&SettingsFile>,
    is_relevant: bool,
) -> Result<SettingValue, SettingsError> {
    if find_flag_value(args, setting.flag()).is_some() {
        return Ok(SettingValue { setting, values: Vec::new(), origin: SettingOrigin::Flag });
    }
    let variable = std::env::var(setting.variable()).ok();
    let secret = if setting.is_secret() && is_relevant { read_secret(&setting, variable.is_some())? } else { None };
    let line =
        file.and_then(|file| file.entries.iter().find(|entry| entry.key == setting.key()).map(|entry| (file, entry)));
    let (values, origin) = match (variable, secret, line) {
        (Some(text), ..) => {
            let values = if setting.kind() == ValueKind::List { setting.split_value(&text) } else { vec![text] };
            (values, SettingOrigin::Variable(setting.variable().to_owned()))
        }
        (None, Some((text, path)), _) => (vec![text], SettingOrigin::SecretFile(path)),
        (None, None, Some((file, entry))) => (entry.values.clone(), SettingOrigin::File(file.path.clone(), entry.line)),
        (None, None, None) => (setting.defaults(), SettingOrigin::Default),
    };
    Ok(SettingValue { setting, values, origin })
}

/// Reads a secret from the file that `…_FILE` names, or from a systemd credential (`$CREDENTIALS_DIRECTORY/<key>`).
fn read_secret(setting: &Setting, has_variable: bool) -> Result<Option<(String, PathBuf)>, SettingsError> {
    let variable = format!("{}_FILE", setting.variable());
    let named = std::env::var_os(&variable).map(PathBuf::from);
    if named.is_some() && has_variable {
        let both = format!("{} and {variable} are both set: remove one of them", setting.variable());
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
    let text = file::read_secret_file(&path, &named_by)?;
    let judged = setting.validate(&text);
    judged.map_err(|rule| SettingsError::Secret(format!("{} ({}): {rule}", path.display(), setting.key())))?;
    Ok(Some((text, path)))
}

/// Returns the settings file and the flag or variable that names it. Without a name, `rollcall.toml` in the current
/// folder is read only if it belongs to root or to the user of the process: a command that root runs in the folder of
/// another user must not use settings of that user. Without such a file, it is the settings file of the machine.
fn find_settings_file(args: &[OsString]) -> Option<(PathBuf, String)> {
    if let Some(path) = find_flag_value(args, "config") {
        return Some((PathBuf::from(path), "--config".to_owned()));
    }
    if let Some(path) = std::env::var_os("ROLLCALL_CONFIG") {
        return Some((PathBuf::from(path), "ROLLCALL_CONFIG".to_owned()));
    }
    let is_own = |metadata: fs::Metadata| metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    if fs::metadata(FILE).is_ok_and(is_own) {
        return Some((PathBuf::from(FILE), "the current folder".to_owned()));
    }
    Path::new(MACHINE_FILE).exists().then(|| (PathBuf::from(MACHINE_FILE), "this machine".to_owned()))
}

/// Returns the value of a flag, written as `--flag=value` or `--flag value`.
fn find_flag_value<'a>(args: &'a [OsString], flag: &str) -> Option<&'a OsStr> {
    let dashed = format!("--{flag}");
    for (at, arg) in args.iter().enumerate() {
        if arg == "--" {
            return None;
        }
        if arg == dashed.as_str() {
            return Some(args.get(at + 1).map_or(OsStr::new(""), OsString::as_os_str));
        }
        let value = arg.to_str().and_then(|arg| arg.strip_prefix(&dashed)?.strip_prefix('='));
        if let Some(value) = value {
            return Some(OsStr::new(value));
        }
    }
    None
}

/// Returns the index of the command's name: the first argument that is neither a flag nor the value of a flag.
fn find_command(root: &Command, args: &[OsString]) -> Option<usize> {
    let takes_value = |text: &str| {
        let named = |arg: &&clap::Arg| arg.get_long().is_some_and(|long| text.strip_prefix("--") == Some(long));
        root.get_arguments().find(named).is_some_and(|arg| arg.get_action().takes_values())
    };
    let mut at = 1;
    while let Some(arg) = args.get(at) {
        match arg.to_str() {
            Some(flag) if flag.starts_with('-') => at += if takes_value(flag) { 2 } else { 1 },
            Some(name) => return root.get_subcommands().any(|command| command.get_name() == name).then_some(at),
            None => return None,
        }
    }
    None
}

/// Returns a warning for each variable with our prefix that no command reads.
fn warn_of_unknown_variables(declared: &[String]) -> Vec<String> {
    let mut found: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    found.retain(|name| name.starts_with(PREFIX) && !declared.contains(name));
    found.sort();
    let warn = |name: String| match find_similar_name(&name, declared.iter().map(String::as_str)) {
        Some(like) => format!("the variable {name} is not a setting; did you mean {like}?"),
        None => format!("the variable {name} is not a setting; `rollcall config show` lists all settings"),
    };
    found.into_iter().map(warn).collect()
}
