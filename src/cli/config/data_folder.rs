//! The data folder of a command: whose rights the command uses, and what it reports if the folder has no database.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, bail, ensure};

use crate::cli::Cli;
use crate::management::backups::BackupError;
use crate::settings::SettingSources;
use crate::store::OpenError;

/// Largest file with the users or groups of the system that is read, in bytes.
const SYSTEM_FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The user whose rights the process uses since root gave up its own.
static ADOPTED: OnceLock<String> = OnceLock::new();

/// Where a command finds its data, for its errors.
#[derive(Debug)]
pub(in crate::cli) struct DataFolderOrigin {
    folder: PathBuf,
    /// Source of the path.
    origin: String,
    settings_file: String,
}

impl DataFolderOrigin {
    pub(in crate::cli) fn new(cli: &Cli, sources: &SettingSources) -> Self {
        Self {
            folder: cli.data_dir.data_dir.clone(),
            origin: sources.find_origin("data_dir").to_string(),
            settings_file: sources.describe_file(),
        }
    }

    /// Adds to the error what its reader needs: the folder and the settings file if there is no database, and the
    /// user if a file cannot be opened since root gave up its rights.
    pub(in crate::cli) fn explain_error(&self, error: anyhow::Error) -> anyhow::Error {
        let Self { folder, origin, settings_file } = self;
        if finds_no_database(&error) {
            let problem = if folder.is_dir() { "" } else { ": the folder does not exist" };
            return anyhow::anyhow!(
                "there is no database in {} ({origin}){problem}; settings file: {settings_file}; use the settings of the \
                 server with --config FILE or --data-dir DIR, or create a data folder with `rollcall init`",
                folder.display(),
            );
        }
        match ADOPTED.get().filter(|_| is_permission_denied(&error)) {
            Some(user) => error.context(format!("with the rights of {user}, the owner of {}", folder.display())),
            None => error,
        }
    }
}

fn finds_no_database(error: &anyhow::Error) -> bool {
    let of_backup = || match error.downcast_ref::<BackupError>() {
        Some(BackupError::Open(error)) => Some(error),
        _ => None,
    };
    matches!(error.downcast_ref::<OpenError>().or_else(of_backup), Some(OpenError::NotFound(_)))
}

fn is_permission_denied(error: &anyhow::Error) -> bool {
    let is_denied = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::PermissionDenied;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_denied))
}

/// A user of the system.
#[derive(Debug, PartialEq, Eq)]
struct SystemUser {
    /// Its name, or its number if it has no entry.
    name: String,
    uid: u32,
    gid: u32,
    /// All its groups.
    groups: Vec<u32>,
}

impl SystemUser {
    /// Finds the user in the texts of `/etc/passwd` and `/etc/group`. Without an entry, the user has one group: `gid`.
    fn parse(uid: u32, gid: u32, users: &str, groups: &str) -> Self {
        let entry = users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, number, group, ..] = fields[..] else { return None };
            (number.parse() == Ok(uid)).then_some((name, group.parse().ok()?))
        });
        let Some((name, gid)) = entry else { return Self { name: uid.to_string(), uid, gid, groups: vec![gid] } };
        let further = groups.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, number, members] = fields[..] else { return None };
            members.split(',').any(|member| member == name).then(|| number.parse().ok())?
        });
        let groups = std::iter::once(gid).chain(further.filter(|other| *other != gid)).collect();
        Self { name: name.to_owned(), uid, gid, groups }
    }
}

/// If root runs the command and the folder belongs to another user, uses the rights of that user from now on: files
/// that root creates would be in the way of the server.
///
/// # Errors
/// The rights cannot be changed.
pub(in crate::cli) fn adopt_folder_owner(folder: &Path) -> anyhow::Result<()> {
    // A folder that does not exist has no owner; `serve` creates it.
    let Some(found) = fs::metadata(folder).ok().filter(|_| rustix::process::geteuid().is_root()) else { return Ok(()) };
    if found.uid() == 0 {
        return Ok(());
    }
    let [users, groups] = ["/etc/passwd", "/etc/group"].map(|path| read_system_file(Path::new(path)));
    let user = SystemUser::parse(found.uid(), found.gid(), &users, &groups);
    let name = user.name.clone();
    switch_user(&user).with_context(|| {
        format!("{} belongs to {name}: run the command as that user (sudo -u {name} rollcall …)", folder.display())
    })?;
    // Set once: a process runs one command.
    let _ = ADOPTED.set(format!("user {name}"));
    Ok(())
}

fn read_system_file(path: &Path) -> String {
    let is_small = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= SYSTEM_FILE_MAX_BYTES);
    if is_small { fs::read_to_string(path).unwrap_or_default() } else { String::new() }
}

/// Changes the user of this thread, which is the only one of the process: later threads inherit it.
#[cfg(target_os = "linux")]
fn switch_user(user: &SystemUser) -> anyhow::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let threads = fs::read_dir("/proc/self/task").context("cannot read /proc/self/task")?.count();
    ensure!(threads == 1, "the process has {threads} threads");
    let is_valid = |id: u32| id != 0 && id != u32::MAX;
    if !is_valid(user.uid) || user.gid == u32::MAX {
        bail!("{} is not a user whose rights can be used", user.uid);
    }
    let groups: Vec<Gid> = user.groups.iter().copied().filter(|id| is_valid(*id)).map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn switch_user(_: &SystemUser) -> anyhow::Result<()> {
    bail!("root must not use it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\nrollcall:x:990:980::/var/lib/rollcall:/usr/sbin/nologin\n";
    const GROUPS: &str = "root:x:0:\nssl-cert:x:101:postgres,rollcall\nrollcall:x:980:rollcall\nother:x:5:rollcall2\n";

    #[test]
    fn a_user_has_its_own_group_and_those_that_list_it() {
        let user = SystemUser::parse(990, 0, USERS, GROUPS);
        assert_eq!((&*user.name, user.uid, user.gid, user.groups), ("rollcall", 990, 980, vec![980, 101]));
    }

    #[test]
    fn a_user_without_an_entry_has_the_group_of_the_folder() {
        let user = SystemUser::parse(1234, 55, USERS, GROUPS);
        assert_eq!((&*user.name, user.uid, user.gid, user.groups), ("1234", 1234, 55, vec![55]));
    }
}
