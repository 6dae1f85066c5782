//! `rollcall init`: writes a settings file and creates the data folder.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::geteuid;

use crate::cli::Cli;
use crate::cli::output;
use crate::settings;
use crate::store::Store;

/// The settings file that is written if no other one is named.
const FILE: &str = "./rollcall.toml";
/// A name that means: no settings file.
const NO_FILE: &str = "/dev/null";

#[derive(Debug, Args)]
pub(in crate::cli) struct InitArgs {
    /// URL at which identity providers reach the server
    #[arg(long, value_name = "URL", value_parser = settings::parse_public_url)]
    public_url: Option<String>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Folder for daily backups
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// Replace the settings file if it exists
    #[arg(long)]
    force: bool,
}

/// Writes the settings file, creates the data folder with an empty database, and prints the next steps. A database that
/// exists is not changed.
pub(in crate::cli) fn initialize(cli: &Cli, args: &InitArgs) -> anyhow::Result<()> {
    let named = cli.config.config.as_deref().filter(|path| *path != Path::new(NO_FILE));
    let path = named.unwrap_or(Path::new(FILE));
    if fs::symlink_metadata(path).is_ok() && !args.force {
        bail!("{} already exists: edit it, or replace it with --force", path.display());
    }
    let folder = cli.data_dir.data_dir.as_path();
    let is_new = !folder.exists();
    drop(Store::open_for_command(folder)?);
    let folder = folder.canonicalize().with_context(|| format!("cannot open {}", folder.display()))?;
    write_settings(path, &folder, &format_settings(&folder, args)?)?;
    output::print_line(&format!("wrote {}", path.display()))?;
    let state = if is_new { "created" } else { "uses" };
    output::print_line(&format!("{state} the data folder {}", folder.display()))?;
    let flag = if named.is_some() { format!(" --config {}", path.display()) } else { String::new() };
    Ok(output::print_line(&format!(
        "\nNext steps:\n  rollcall serve{flag}      start the server; it prints the URL for creating the first admin\n  \
         rollcall setup-url{flag}  print such a URL again\n  rollcall doctor{flag}     check the installation"
    ))?)
}

/// Writes the file. It can contain secrets later: only its owner can read it, and the group of the data folder if that
/// belongs to another user.
fn write_settings(path: &Path, folder: &Path, text: &str) -> anyhow::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent
        .map_or(Ok(()), fs::create_dir_all)
        .with_context(|| format!("cannot create the folder of {}", path.display()))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let owner = fs::metadata(folder)?;
        if geteuid().is_root() && owner.uid() != 0 {
            chown(path, None, Some(owner.gid()))?;
            file.set_permissions(Permissions::from_mode(0o640))?;
        }
        Ok::<_, std::io::Error>(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Formats a setting: a comment with an example if it has no value.
fn format_setting(key: &str, value: Option<&str>, example: &str) -> String {
    match value {
        Some(value) => format!("{key} = {}\n", toml::Value::from(value)),
        None => format!("#{key} = {example}\n"),
    }
}

/// The text of a settings file with the most useful keys.
fn format_settings(folder: &Path, args: &InitArgs) -> anyhow::Result<String> {
    let read = |path: &Path| path.to_str().map(str::to_owned).context("the path of a folder must be UTF-8");
    let listen = args.listen.map(|address| address.to_string());
    let backups = args.backup_dir.as_deref().map(|path| read(&std::path::absolute(path)?)).transpose()?;
    let [data_dir, listen, public_url, backup_dir] = [
        format_setting("data_dir", Some(&read(folder)?), ""),
        format_setting("listen", listen.as_deref(), "\"127.0.0.1:8080\""),
        format_setting("public_url", args.public_url.as_deref(), "\"https://scim.example.com\""),
        format_setting("backup_dir", backups.as_deref(), "\"/var/backups/rollcall\""),
    ];
    Ok(format!(
        "# Settings of Rollcall, for the server and for every command. Flags and ROLLCALL_* variables override this file.
# `rollcall config show --origin` prints the values and their sources, `rollcall config check` finds mistakes, and
# `rollcall config example` prints all settings. Restart the server after a change.

# Folder of the database.
{data_dir}
# Address and port to listen on; default: 127.0.0.1:8080, or 0.0.0.0:443 with a domain. Plain HTTP is allowed only on the
# loopback address, unless allow_plain_http = true.
{listen}
# URL at which identity providers reach this server. Not needed with a domain.
{public_url}
# HTTPS, one of three options:
# 1. A certificate from Let's Encrypt. The domain must resolve to this machine, and port 443 must be open. This accepts
#    the terms of service of Let's Encrypt.
#domain = [\"scim.example.com\"]
#acme_email = \"ops@example.com\"
# 2. Your certificate files, readable by the user of the server. They are read again after a change.
#tls_cert = \"/etc/rollcall/fullchain.pem\"
#tls_key = \"/etc/rollcall/privkey.pem\"
# 3. A proxy with TLS in front of it: set the public URL above, and the address of the proxy.
#trusted_proxies = [\"127.0.0.1\"]

# Scheduled backups. Copy them to another machine.
{backup_dir}#backup_every = \"24h\"
#backup_keep = 14

# How much to log: off, error, warn, info, debug or trace.
#log_level = \"info\"
"
    ))
}
