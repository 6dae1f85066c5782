//! `rollcall completions` and `rollcall man`: what a package ships beside the program, made from the command tree.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this folder, instead of the first one to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn completions(mut commands: Command, shell: Shell) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut commands, "rollcall", &mut script);
    std::io::stdout().lock().write_all(&script)
}

pub(super) fn man(commands: Command, args: &ManArgs) -> std::io::Result<()> {
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)?;
        return clap_mangen::generate_to(commands, folder);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(commands).render(&mut page)?;
    std::io::stdout().lock().write_all(&page)
}
