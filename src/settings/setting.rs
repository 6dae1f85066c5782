//! The list of settings: every flag of `serve`, and every global flag, that has an environment variable. Declaring a
//! flag with `env = "ROLLCALL_…"` creates a setting; `hide_env_values = true` makes it a secret.

use std::any::TypeId;
use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

/// The flag with the path of the settings file. It is not a key of the file itself.
const CONFIG: &str = "config";
/// Least similarity (Jaro-Winkler, from 0 to 1) at which a name is suggested for a mistyped one.
const SIMILARITY_MIN: f64 = 0.8;

/// One setting, as its flag declares it.
#[derive(Debug, Clone)]
pub struct Setting {
    arg: Arg,
    key: String,
}

/// Type of a setting's value in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// Text in quotes.
    Text,
    /// A list of texts.
    List,
}

/// Returns every setting of the command line: global flags first, then those of `serve`, in the order of declaration.
pub(super) fn list_settings(root: &Command) -> Vec<Setting> {
    let serve = root.get_subcommands().find(|command| command.get_name() == "serve");
    let args = root.get_arguments().chain(serve.into_iter().flat_map(Command::get_arguments));
    args.filter_map(Setting::from_arg).filter(|setting| setting.key != CONFIG).collect()
}

/// Returns every variable that any command reads, sorted.
pub(super) fn list_variables(root: &Command) -> Vec<String> {
    let mut open = vec![root];
    let mut names = Vec::new();
    while let Some(command) = open.pop() {
        for arg in command.get_arguments() {
            let Some(name) = arg.get_env().and_then(|name| name.to_str()) else { continue };
            names.push(name.to_owned());
            if arg.is_hide_env_values_set() {
                names.push(format!("{name}_FILE"));
            }
        }
        open.extend(command.get_subcommands());
    }
    names.sort();
    names.dedup();
    names
}

/// Returns the most similar name, or `None` if none is similar enough.
pub(crate) fn find_similar_name<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|other| (strsim::jaro_winkler(name, other), other));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= SIMILARITY_MIN).then_some(best.1)
}

impl Setting {
    fn from_arg(arg: &Arg) -> Option<Self> {
        arg.get_env()?;
        let key = arg.get_long()?.replace('-', "_");
        Some(Self { arg: arg.clone(), key })
    }

    /// Key in the settings file.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Name of the flag, without the dashes.
    pub fn flag(&self) -> &str {
        self.arg.get_long().unwrap_or_default()
    }

    /// Name of the environment variable.
    pub fn variable(&self) -> &str {
        self.arg.get_env().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Help text of the flag.
    pub fn meaning(&self) -> String {
        self.arg.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Placeholder of the flag's value in help texts, such as `DIR`.
    pub fn placeholder(&self) -> Option<String> {
        let takes_value = self.kind() != ValueKind::Switch || !matches!(self.arg.get_action(), ArgAction::SetTrue);
        let names = self.arg.get_value_names().filter(|_| takes_value)?;
        names.first().map(ToString::to_string)
    }

    /// Default values; empty if there is no default.
    pub fn defaults(&self) -> Vec<String> {
        let values = self.arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        match self.arg.get_value_delimiter().filter(|_| self.kind() == ValueKind::List) {
            Some(delimiter) => values.flat_map(|value| split_values(&value, delimiter)).collect(),
            None => values.collect(),
        }
    }

    /// Splits the text of a variable into values.
    pub fn split_value(&self, text: &str) -> Vec<String> {
        match self.arg.get_value_delimiter() {
            Some(delimiter) => split_values(text, delimiter),
            None => vec![text.to_owned()],
        }
    }

    /// Whether the value is masked in output and may come from a separate file.
    pub fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }

    /// Whether every command accepts it.
    pub fn is_global(&self) -> bool {
        self.arg.is_global_set()
    }

    /// Whether the command has the same flag with the same variable.
    pub fn is_accepted_by(&self, command: &Command) -> bool {
        command.get_arguments().any(|arg| arg.get_long() == self.arg.get_long() && arg.get_env() == self.arg.get_env())
    }

    /// Type of its value.
    pub fn kind(&self) -> ValueKind {
        match self.arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => ValueKind::Switch,
            ArgAction::Append => ValueKind::List,
            _ if self.parses_to::<bool>() => ValueKind::Switch,
            _ if self.is_number() => ValueKind::Number,
            _ => ValueKind::Text,
        }
    }

    /// Whether the flag has no value: its presence means `true`.
    pub(super) fn has_no_value(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue)
    }

    /// Validates one value with the value parser of the flag.
    ///
    /// # Errors
    /// The rule that the value violates.
    pub fn validate(&self, text: &str) -> Result<(), String> {
        if self.has_no_value() {
            return Ok(());
        }
        let parser = self.arg.get_value_parser().clone();
        let probe =
            Command::new("probe").no_binary_name(true).arg(Arg::new("value").long("value").value_parser(parser));
        let Err(error) = probe.try_get_matches_from([format!("--value={text}")]) else { return Ok(()) };
        if let Some(why) = error.source() {
            return Err(why.to_string());
        }
        match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
                Err(format!("use {}", valid.join(", ")))
            }
            _ => Err("it must not be empty".to_owned()),
        }
    }

    fn is_number(&self) -> bool {
        self.parses_to::<u8>()
            || self.parses_to::<u16>()
            || self.parses_to::<u32>()
            || self.parses_to::<u64>()
            || self.parses_to::<usize>()
            || self.parses_to::<i64>()
    }

    fn parses_to<T: 'static>(&self) -> bool {
        self.arg.get_value_parser().type_id() == TypeId::of::<T>()
    }
}

fn split_values(text: &str, delimiter: char) -> Vec<String> {
    text.split(delimiter).map(str::to_owned).collect()
}
