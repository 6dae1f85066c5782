//! `rollcall config`: what the settings are and where each comes from.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::{Cli, Command as CliCommand};
use crate::settings::{Found, Kind, Origin, Settings, Sources};

/// What stands where a secret is set.
const MASKED: &str = "(set, not shown)";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show every setting and its value; secrets are masked
    Show {
        /// Say as well where each value comes from
        #[arg(long)]
        origin: bool,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Check the settings without starting the server
    Check,
    /// Print a rollcall.toml with every setting, its meaning and its default
    Example,
}

pub(super) fn run(cli: &Cli, sources: &Sources, command: &Command) -> anyhow::Result<()> {
    for warning in &sources.warnings {
        eprintln!("rollcall: warning: {warning}");
    }
    match command {
        Command::Show { origin, output } => show(cli, sources, *origin, *output),
        Command::Check => {
            checked(cli)?;
            let file =
                sources.file.as_ref().map_or("no file of settings".to_owned(), |path| path.display().to_string());
            Ok(answer::line(&format!("the settings are sound ({file})"))?)
        }
        Command::Example => Ok(answer::line(example(&sources.found).trim_end())?),
    }
}

/// The settings that `serve` would run under here.
///
/// # Errors
/// What `serve` would refuse.
pub(super) fn checked(cli: &Cli) -> anyhow::Result<Settings> {
    let flag = |name: &str, path: &std::path::Path| {
        let mut word = OsString::from(format!("--{name}="));
        word.push(path);
        word
    };
    let mut words: Vec<OsString> = vec!["rollcall".into(), "serve".into()];
    words.push(flag("data-dir", &cli.data_dir.data_dir));
    words.extend(cli.config.config.as_ref().map(|path| flag("config", path)));
    let root = Cli::command();
    let sources = Sources::read(&root, &words)?;
    let refused = |error: clap::Error| {
        let text = error.render().to_string();
        let said = text.trim_start_matches("error: ").split("\n\nUsage").next().unwrap_or_default();
        anyhow::anyhow!("{}", said.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let matches = root.clone().try_get_matches_from(sources.among(&root, words)).map_err(refused)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(refused)?;
    match cli.command.take() {
        Some(CliCommand::Serve(serve)) => Ok(Settings::new(cli.data_dir, *serve, sources.warnings)?),
        _ => anyhow::bail!("the settings of `serve` could not be read"),
    }
}

fn show(cli: &Cli, sources: &Sources, origin: bool, output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        let all: Vec<Value> = sources.found.iter().map(|found| document(cli, found)).collect();
        return Ok(answer::json(&Value::Array(all))?);
    }
    let head = ["SETTING", "VALUE", "FROM"];
    let columns = if origin { 3 } else { 2 };
    let row = |found: &Found| {
        let values = shown(cli, found).join(", ");
        let value = if values.is_empty() { "-".to_owned() } else { values };
        let mut row = vec![found.setting.key().to_owned(), value, found.origin.to_string()];
        row.truncate(columns);
        row
    };
    let rows: Vec<Vec<String>> = sources.found.iter().map(row).collect();
    Ok(answer::table(&head[..columns], &rows)?)
}

fn shown(cli: &Cli, found: &Found) -> Vec<String> {
    match found.origin {
        // The one flag that this command has in common with `serve`.
        Origin::Flag => vec![cli.data_dir.data_dir.display().to_string()],
        _ if found.setting.is_secret() && !found.values.is_empty() => vec![MASKED.to_owned()],
        _ => found.values.clone(),
    }
}

fn document(cli: &Cli, found: &Found) -> Value {
    let setting = &found.setting;
    json!({
        "setting": setting.key(),
        "value": typed(setting.kind(), &shown(cli, found)),
        "origin": found.origin.to_string(),
        "default": typed(setting.kind(), &setting.defaults()),
        "flag": format!("--{}", setting.flag()),
        "placeholder": setting.placeholder(),
        "environment": setting.variable(),
        "secret": setting.is_secret(),
        "meaning": setting.meaning(),
    })
}

/// Values as JSON; what is no number or switch after all, such as a mistaken variable, stays text.
fn typed(kind: Kind, values: &[String]) -> Value {
    match (kind, values) {
        (Kind::List, values) => json!(values),
        (_, []) => Value::Null,
        (Kind::Switch | Kind::Number, [value, ..]) => value.parse().unwrap_or_else(|_| json!(value)),
        (Kind::Text, [value, ..]) => json!(value),
    }
}

/// The file with every line commented out: as it is, it says what holds without it.
fn example(found: &[Found]) -> String {
    let mut text = String::from(
        "# Settings of Rollcall. Flags and ROLLCALL_* variables win over this file; a line that begins with # says what\n\
         # holds without it. `rollcall config show --origin` tells what is in force, `rollcall config check` finds mistakes.\n",
    );
    for Found { setting, .. } in found {
        let value = match (setting.kind(), &setting.defaults()[..]) {
            (Kind::List, values) => format!("{values:?}"),
            (Kind::Switch, []) => "false".to_owned(),
            (Kind::Switch | Kind::Number, [value, ..]) => value.clone(),
            (Kind::Text, [value, ..]) => format!("{value:?}"),
            (Kind::Text | Kind::Number, []) => format!("{:?}", setting.placeholder().unwrap_or_default()),
        };
        let secret =
            if setting.is_secret() { ". A secret: better in a file of its own, see docs/settings.md" } else { "" };
        text.extend(["\n# ", &setting.meaning(), secret, "\n#", setting.key(), " = ", &value, "\n"]);
    }
    text
}

/// The words of a command line, read with what the files of settings say; ends the process where they are wrong.
pub(super) fn parsed(sources: &Sources, words: Vec<OsString>) -> Result<Cli, u8> {
    Cli::try_parse_from(sources.among(&Cli::command(), words)).map_err(|error| {
        // Nothing is left to tell it to when the terminal is gone.
        let _ = error.print();
        let (file, keys) = (sources.file.as_ref(), sources.from_file().join(", "));
        if let Some(file) = file.filter(|_| error.use_stderr() && !keys.is_empty()) {
            eprintln!("note: {} sets {keys}", file.display());
        }
        u8::try_from(error.exit_code()).unwrap_or(2)
    })
}
