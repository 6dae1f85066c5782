//! `rollcall completions` and `rollcall man`: generates the shell completions and manual pages of a package from the
//! command tree.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder to write one page per command to; without it, the first page is written to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn print_completions(mut commands: Command, shell: Shell) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut commands, "rollcall", &mut script);
    std::io::stdout().lock().write_all(&script)
}

pub(super) fn print_manual(commands: Command, args: &ManArgs) -> std::io::Result<()> {
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)?;
        return clap_mangen::generate_to(commands, folder);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(commands).render(&mut page)?;
    std::io::stdout().lock().write_all(&page)
}
