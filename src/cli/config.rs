//! `rollcall config …`: shows and checks the settings and their sources.

pub(super) mod data_folder;
pub(super) mod init;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde_json::{Value, json};

use super::{Cli, CliCommand};
use crate::cli::output::{self, OutputFormat};
use crate::settings::{SettingOrigin, SettingSources, SettingValue, Settings, ValueKind};

/// Exit code of wrong usage.
const USAGE: u8 = 2;
/// Output in place of the value of a secret.
const MASKED: &str = "(set, not shown)";

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting and its value; secrets are masked
    Show {
        /// Also show the source of each value
        #[arg(long)]
        origin: bool,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Check the settings without starting the server
    Check,
    /// Print a rollcall.toml with every setting, its meaning and its default
    Example,
}

pub(super) fn run_config_command(cli: &Cli, sources: &SettingSources, command: &ConfigCommand) -> anyhow::Result<()> {
    for warning in &sources.warnings {
        eprintln!("rollcall: warning: {warning}");
    }
    match command {
        ConfigCommand::Show { origin, output } => show_settings(cli, sources, *origin, *output),
        ConfigCommand::Check => {
            load_serve_settings(cli)?;
            Ok(output::print_line(&format!("the settings are valid; settings file: {}", sources.describe_file()))?)
        }
        ConfigCommand::Example => Ok(output::print_line(format_example(&sources.found).trim_end())?),
    }
}

/// Returns the settings that `serve` would use.
///
/// # Errors
/// Settings that `serve` would reject.
pub(super) fn load_serve_settings(cli: &Cli) -> anyhow::Result<Settings> {
    let flag = |name: &str, path: &std::path::Path| {
        let mut arg = OsString::from(format!("--{name}="));
        arg.push(path);
        arg
    };
    let mut args: Vec<OsString> = vec!["rollcall".into(), "serve".into()];
    args.push(flag("data-dir", &cli.data_dir.data_dir));
    args.extend(cli.config.config.as_ref().map(|path| flag("config", path)));
    let root = Cli::command();
    let sources = SettingSources::read(&root, &args)?;
    let refused = |error: clap::Error| {
        if let Some(problem) = describe_invalid_variable(&sources, &error) {
            return anyhow::anyhow!(problem);
        }
        let text = error.render().to_string();
        let message = text.trim_start_matches("error: ").split("\n\nUsage").next().unwrap_or_default();
        anyhow::anyhow!("{}", message.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let matches = root.clone().try_get_matches_from(sources.insert_arguments(&root, args)).map_err(refused)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(refused)?;
    match cli.command.take() {
        Some(CliCommand::Serve(serve)) => Ok(Settings::new(cli.data_dir, *serve, sources.warnings)?),
        _ => anyhow::bail!("the settings of `serve` could not be read"),
    }
}

fn show_settings(cli: &Cli, sources: &SettingSources, origin: bool, output: OutputFormat) -> anyhow::Result<()> {
    if output == OutputFormat::Json {
        let all: Vec<Value> = sources.found.iter().map(|found| setting_to_json(cli, found)).collect();
        return Ok(output::print_json(&Value::Array(all))?);
    }
    output::print_line(&format!("settings file: {}\n", sources.describe_file()))?;
    let head = ["SETTING", "VALUE", "FROM"];
    let columns = if origin { 3 } else { 2 };
    let row = |found: &SettingValue| {
        let values = display_values(cli, found).join(", ");
        let value = if values.is_empty() { "-".to_owned() } else { values };
        let mut row = vec![found.setting.key().to_owned(), value, found.origin.to_string()];
        row.truncate(columns);
        row
    };
    let rows: Vec<Vec<String>> = sources.found.iter().map(row).collect();
    Ok(output::print_table(&head[..columns], &rows)?)
}

fn display_values(cli: &Cli, found: &SettingValue) -> Vec<String> {
    match found.origin {
        // The only flag that this command shares with `serve`.
        SettingOrigin::Flag => vec![cli.data_dir.data_dir.display().to_string()],
        _ if found.setting.is_secret() && !found.values.is_empty() => vec![MASKED.to_owned()],
        _ => found.values.clone(),
    }
}

fn setting_to_json(cli: &Cli, found: &SettingValue) -> Value {
    let setting = &found.setting;
    json!({
        "setting": setting.key(),
        "value": values_to_json(setting.kind(), &display_values(cli, found)),
        "origin": found.origin.to_string(),
        "default": values_to_json(setting.kind(), &setting.defaults()),
        "flag": format!("--{}", setting.flag()),
        "placeholder": setting.placeholder(),
        "environment": setting.variable(),
        "secret": setting.is_secret(),
        "meaning": setting.meaning(),
    })
}

/// Converts values to JSON. A value that is not of the setting's type, such as that of an invalid variable, becomes a
/// string.
fn values_to_json(kind: ValueKind, values: &[String]) -> Value {
    match (kind, values) {
        (ValueKind::List, values) => json!(values),
        (_, []) => Value::Null,
        (ValueKind::Switch | ValueKind::Number, [value, ..]) => value.parse().unwrap_or_else(|_| json!(value)),
        (ValueKind::Text, [value, ..]) => json!(value),
    }
}

/// Formats the example file. Every line is commented out and shows the default.
fn format_example(found: &[SettingValue]) -> String {
    let mut text = String::from(
        "# Settings of Rollcall. Flags and ROLLCALL_* variables override this file. Lines that begin with # show the \
         defaults.\n\
         # `rollcall config show --origin` shows the current values, `rollcall config check` finds mistakes.\n",
    );
    for SettingValue { setting, .. } in found {
        let value = match (setting.kind(), &setting.defaults()[..]) {
            (ValueKind::List, values) => format!("{values:?}"),
            (ValueKind::Switch, []) => "false".to_owned(),
            (ValueKind::Switch | ValueKind::Number, [value, ..]) => value.clone(),
            (ValueKind::Text, [value, ..]) => format!("{value:?}"),
            (ValueKind::Text | ValueKind::Number, []) => format!("{:?}", setting.placeholder().unwrap_or_default()),
        };
        let secret = if setting.is_secret() { ". A secret: use a separate file, see docs/settings.md" } else { "" };
        text.extend(["\n# ", &setting.meaning(), secret, "\n#", setting.key(), " = ", &value, "\n"]);
    }
    text
}

/// Parses the command line together with the settings of files. If it is not valid, prints the error and returns the
/// exit code.
pub(super) fn parse_command_line(sources: &SettingSources, args: Vec<OsString>) -> Result<Cli, u8> {
    Cli::try_parse_from(sources.insert_arguments(&Cli::command(), args)).map_err(|error| {
        if let Some(problem) = describe_invalid_variable(sources, &error) {
            eprintln!("error: {problem}");
            return USAGE;
        }
        // Nothing can be reported if the terminal is closed.
        let _ = error.print();
        let (file, keys) = (sources.file.as_ref(), sources.keys_from_file().join(", "));
        if let Some(file) = file.filter(|_| error.use_stderr() && !keys.is_empty()) {
            eprintln!("note: {} sets {keys}", file.display());
        }
        u8::try_from(error.exit_code()).unwrap_or(USAGE)
    })
}

/// If the invalid value is that of an environment variable, returns what is wrong with it. clap would name the flag, and print
/// the value of a secret.
fn describe_invalid_variable(sources: &SettingSources, error: &clap::Error) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = argument.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    let found = sources.found.iter().find(|found| found.setting.flag() == flag)?;
    let SettingOrigin::Variable(name) = &found.origin else { return None };
    let refused = found.values.iter().find_map(|value| Some((value, found.setting.validate(value).err()?)));
    Some(match refused {
        Some((_, rule)) if found.setting.is_secret() => format!("the environment variable {name} is not valid: {rule}"),
        Some((value, rule)) => format!("the environment variable {name} is not valid: {value:?}: {rule}"),
        None => format!("the environment variable {name} is not valid: write true or false"),
    })
}
