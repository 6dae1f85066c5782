//! What settings there are: every flag of `serve` and every flag of all commands that has a variable. Whoever declares
//! a flag with `env = "ROLLCALL_…"` has made a setting; `hide_env_values = true` makes it a secret.

use std::any::TypeId;
use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

/// The flag that names the file of settings; it cannot stand in the file itself.
const CONFIG: &str = "config";
/// The least likeness (Jaro-Winkler, from 0 to 1) at which a name is taken for a slip of another.
const LIKE: f64 = 0.8;

/// One setting, as its flag declares it.
#[derive(Debug, Clone)]
pub struct Setting {
    arg: Arg,
    key: String,
}

/// What a setting's value looks like in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// Text in quotes.
    Text,
    /// A list of texts.
    List,
}

/// Every setting of this command line: those of all commands first, then those of `serve` as they are declared.
pub(super) fn declared(root: &Command) -> Vec<Setting> {
    let serve = root.get_subcommands().find(|command| command.get_name() == "serve");
    let args = root.get_arguments().chain(serve.into_iter().flat_map(Command::get_arguments));
    args.filter_map(Setting::of).filter(|setting| setting.key != CONFIG).collect()
}

/// Every variable that some command reads, in order.
pub(super) fn variables(root: &Command) -> Vec<String> {
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

/// The known name that is most like this one, where one is like it at all.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|other| (strsim::jaro_winkler(name, other), other));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= LIKE).then_some(best.1)
}

impl Setting {
    fn of(arg: &Arg) -> Option<Self> {
        arg.get_env()?;
        let key = arg.get_long()?.replace('-', "_");
        Some(Self { arg: arg.clone(), key })
    }

    /// Its name in the file.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its flag, without the dashes.
    pub fn flag(&self) -> &str {
        self.arg.get_long().unwrap_or_default()
    }

    /// Its variable.
    pub fn variable(&self) -> &str {
        self.arg.get_env().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// What it means, in one sentence.
    pub fn meaning(&self) -> String {
        self.arg.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// What the flag's value is called, such as `DIR`.
    pub fn placeholder(&self) -> Option<String> {
        let takes_value = self.kind() != Kind::Switch || !matches!(self.arg.get_action(), ArgAction::SetTrue);
        let names = self.arg.get_value_names().filter(|_| takes_value)?;
        names.first().map(ToString::to_string)
    }

    /// Its values where nobody says anything; none where it is then unset.
    pub fn defaults(&self) -> Vec<String> {
        let values = self.arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        match self.arg.get_value_delimiter().filter(|_| self.kind() == Kind::List) {
            Some(delimiter) => values.flat_map(|value| split(&value, delimiter)).collect(),
            None => values.collect(),
        }
    }

    /// The values that a variable with this text means.
    pub fn values_of(&self, text: &str) -> Vec<String> {
        match self.arg.get_value_delimiter() {
            Some(delimiter) => split(text, delimiter),
            None => vec![text.to_owned()],
        }
    }

    /// Whether its value is masked wherever settings are shown, and may come from a file of its own.
    pub fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }

    /// Whether every command takes it.
    pub fn is_of_all_commands(&self) -> bool {
        self.arg.is_global_set()
    }

    /// Whether that command takes it, and means the same.
    pub fn is_taken_by(&self, command: &Command) -> bool {
        command.get_arguments().any(|arg| arg.get_long() == self.arg.get_long() && arg.get_env() == self.arg.get_env())
    }

    /// What its value looks like.
    pub fn kind(&self) -> Kind {
        match self.arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => Kind::Switch,
            ArgAction::Append => Kind::List,
            _ if self.parses_to::<bool>() => Kind::Switch,
            _ if self.is_number() => Kind::Number,
            _ => Kind::Text,
        }
    }

    /// Whether the flag alone says yes.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue)
    }

    /// Asks the flag's own rule about one value; the error is that rule and how to obey it.
    pub fn judge(&self, text: &str) -> Result<(), String> {
        if self.is_bare() {
            return Ok(());
        }
        let parser = self.arg.get_value_parser().clone();
        let probe = Command::new("probe").no_binary_name(true).arg(Arg::new("it").long("it").value_parser(parser));
        let Err(refused) = probe.try_get_matches_from([format!("--it={text}")]) else { return Ok(()) };
        if let Some(why) = refused.source() {
            return Err(why.to_string());
        }
        match (refused.kind(), refused.get(ContextKind::ValidValue)) {
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

fn split(text: &str, delimiter: char) -> Vec<String> {
    text.split(delimiter).map(str::to_owned).collect()
}
