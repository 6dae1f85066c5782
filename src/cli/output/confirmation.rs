//! Confirmation of commands whose effect cannot be reversed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use clap::Args;

/// Flag of a command that asks before it deletes or revokes something.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub(in crate::cli) struct ConfirmationArgs {
    /// Do not ask for confirmation; required if the command does not run on a terminal
    #[arg(long, short = 'y')]
    yes: bool,
}

impl ConfirmationArgs {
    /// Asks whether `action` may be done, unless `--yes` confirms it.
    ///
    /// # Errors
    /// The answer is not yes, or there is no terminal to ask on.
    pub(in crate::cli) fn confirm(self, action: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !can_ask() {
            bail!("{action}: this cannot be reversed, so confirm it with --yes; nothing was changed");
        }
        ask_to_continue(&format!("{action}? This cannot be reversed."))
    }
}

/// Whether the command runs on a terminal.
pub(in crate::cli) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on the terminal.
///
/// # Errors
/// The answer is not yes.
pub(in crate::cli) fn ask_to_continue(question: &str) -> anyhow::Result<()> {
    write!(io::stderr().lock(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("standard input cannot be read")?;
    if !is_yes(&answer) {
        bail!("not confirmed; nothing was changed");
    }
    Ok(())
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_yes_confirms() {
        assert!(["y", "Y\n", "yes\r\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "no", "yess", "y y"].into_iter().any(is_yes));
    }
}
