//! `rollcall cells map`: which instance serves which configuration or account, as a map file of a proxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::cli::output;
use crate::model::account::AccountState;

/// Largest file with instances or accounts, in bytes.
const FILE_MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CellsCommand {
    /// Print a map file of HAProxy or nginx from a list of instances
    Map(CellsMapArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CellsMapArgs {
    /// File with the instances, in TOML: see `rollcall docs scaling`
    instances: PathBuf,
    /// The proxy that reads the map
    #[arg(long, value_enum)]
    format: MapFormat,
    /// What the map finds an instance by
    #[arg(long, value_enum, default_value_t = MapKeys::Configurations)]
    keys: MapKeys,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MapFormat {
    /// HAProxy: the converter `map`
    Haproxy,
    /// nginx: included in a `map` block
    Nginx,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MapKeys {
    /// Configuration IDs, which are in provisioning URLs
    Configurations,
    /// Account IDs, which are in the header frontegg-tenant-id
    Accounts,
}

/// The file with the instances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceList {
    instance: Vec<CellInstance>,
}

/// An instance.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellInstance {
    /// Name of the backend in the configuration of the proxy.
    name: String,
    /// File with the output of `rollcall account list --output json`, relative to the file with the instances.
    accounts: PathBuf,
}

/// An account of the output of `rollcall account list --output json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedAccount {
    id: String,
    state: String,
    configuration_ids: Vec<String>,
}

pub(in crate::cli) fn run_cells_command(command: &CellsCommand) -> anyhow::Result<()> {
    let CellsCommand::Map(args) = command;
    let text = read_file(&args.instances)?;
    let list: InstanceList =
        toml::from_str(&text).with_context(|| format!("{} is not a list of instances", args.instances.display()))?;
    let folder = args.instances.parent().unwrap_or(Path::new("."));
    let mut accounts = Vec::new();
    for instance in &list.instance {
        check_backend_name(&instance.name)?;
        let path = folder.join(&instance.accounts);
        let listed: Vec<ListedAccount> = serde_json::from_str(&read_file(&path)?)
            .with_context(|| format!("{} is not the output of `account list --output json`", path.display()))?;
        accounts.extend(listed.into_iter().map(|account| (instance.name.as_str(), account)));
    }
    let map = build_map(&accounts, args.keys)?;
    for line in format_map(&map, args.format)? {
        output::print_line(&line)?;
    }
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let read = || format!("{} cannot be read", path.display());
    if fs::metadata(path).with_context(read)?.len() > FILE_MAX_BYTES {
        bail!("{} is larger than {FILE_MAX_BYTES} bytes", path.display());
    }
    fs::read_to_string(path).with_context(read)
}

/// Both proxies accept these names without quotes.
fn check_backend_name(name: &str) -> anyhow::Result<()> {
    let is_valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if is_valid {
        return Ok(());
    }
    bail!("the name {name:?} of an instance has other characters than letters, digits, '-', '_', '.' and ':'")
}

/// Which instance serves an account: the one where it is active, else the one where it is frozen, because it was there last.
fn rank_state(state: &str) -> anyhow::Result<Option<u8>> {
    match state.parse::<AccountState>() {
        Ok(AccountState::Active) => Ok(Some(2)),
        Ok(AccountState::Frozen) => Ok(Some(1)),
        Ok(AccountState::Moved | AccountState::Importing) => Ok(None),
        Err(problem) => bail!("the state {state:?} of an account is unknown: {problem}"),
    }
}

/// Returns the instance of each key, in the order of the keys.
fn build_map<'a>(
    accounts: &'a [(&'a str, ListedAccount)],
    keys: MapKeys,
) -> anyhow::Result<BTreeMap<&'a str, &'a str>> {
    let mut found: BTreeMap<&str, (u8, &str)> = BTreeMap::new();
    for (instance, account) in accounts {
        let Some(rank) = rank_state(&account.state)? else { continue };
        let own: Vec<&str> = match keys {
            MapKeys::Configurations => account.configuration_ids.iter().map(String::as_str).collect(),
            MapKeys::Accounts => vec![&account.id],
        };
        for key in own {
            match found.get(key) {
                Some((other_rank, other)) if *other_rank == rank => {
                    bail!("{key} of the account {:?} is served by {other} and by {instance}", account.id);
                }
                Some((other_rank, _)) if *other_rank > rank => {}
                _ => drop(found.insert(key, (rank, instance))),
            }
        }
    }
    Ok(found.into_iter().map(|(key, (_, instance))| (key, instance)).collect())
}

fn format_map(map: &BTreeMap<&str, &str>, format: MapFormat) -> anyhow::Result<Vec<String>> {
    let format_line = |(key, instance): (&&str, &&str)| match format {
        MapFormat::Haproxy if key.contains(char::is_whitespace) || key.starts_with('#') => {
            bail!(
                "HAProxy has no map key with spaces or a leading '#', as in the account {key:?}; send its requests to {instance} by another rule"
            )
        }
        MapFormat::Haproxy => Ok(format!("{key} {instance}")),
        MapFormat::Nginx => Ok(format!("\"{}\" {instance};", escape_nginx_key(key))),
    };
    map.iter().map(format_line).collect()
}

/// In a map block of nginx, `~` begins a regular expression, `$` a variable, and some words are parameters. A backslash in front of
/// them makes them keys.
fn escape_nginx_key(key: &str) -> String {
    let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
    let is_special = key.starts_with(['~', '\\']) || ["default", "hostnames", "include", "volatile"].contains(&key);
    if is_special { format!("\\\\{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str, state: &str, configurations: &[&str]) -> ListedAccount {
        let configuration_ids = configurations.iter().map(|id| (*id).to_owned()).collect();
        ListedAccount { id: id.to_owned(), state: state.to_owned(), configuration_ids }
    }

    #[test]
    fn a_configuration_is_where_its_account_is_active_or_else_frozen() {
        let accounts = [
            ("a", account("acme", "frozen", &["c2", "c1"])),
            ("b", account("acme", "importing", &["c1", "c2"])),
            ("a", account("old", "moved", &["c3"])),
            ("b", account("old", "active", &["c3"])),
            ("b", account("new", "active", &["c4"])),
            ("a", account("new", "frozen", &["c4"])),
        ];
        let map = build_map(&accounts, MapKeys::Configurations).unwrap();
        let expected = ["c1 a", "c2 a", "c3 b", "c4 b"];
        assert_eq!(format_map(&map, MapFormat::Haproxy).unwrap(), expected);
        let map = build_map(&accounts, MapKeys::Accounts).unwrap();
        assert_eq!(format_map(&map, MapFormat::Nginx).unwrap(), ["\"acme\" a;", "\"new\" b;", "\"old\" b;"]);
    }

    #[test]
    fn two_instances_that_serve_the_same_account_are_an_error() {
        let accounts = [("a", account("acme", "active", &["c1"])), ("b", account("acme", "active", &["c1"]))];
        let error = build_map(&accounts, MapKeys::Configurations).unwrap_err().to_string();
        assert!(
            error.contains("c1") && error.contains("acme") && error.contains('a') && error.contains('b'),
            "{error}"
        );
        assert!(build_map(&[("a", account("acme", "gone", &[]))], MapKeys::Accounts).is_err());
    }

    #[test]
    fn keys_of_a_map_have_no_second_meaning() {
        let accounts = [("a", account("two parts", "active", &[])), ("b", account("~.*", "active", &[]))];
        let map = build_map(&accounts, MapKeys::Accounts).unwrap();
        assert!(format_map(&map, MapFormat::Haproxy).is_err());
        assert_eq!(format_map(&map, MapFormat::Nginx).unwrap(), ["\"two parts\" a;", "\"\\\\~.*\" b;"]);
        assert!(check_backend_name("cell-a").is_ok() && check_backend_name("a;b").is_err());
    }
}
