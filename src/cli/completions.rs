//! `rollcall completions`, `rollcall man` and `rollcall docs`: the shell completions and manual pages of a package, which
//! are generated from the command tree, and the documents.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::output;
use crate::documents::{DOCUMENTS, find_document};
use crate::settings::find_similar_name;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder to write one page per command to; without it, the first page is written to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a document, or the list of all.
///
/// # Errors
/// There is no such document, or its data in the program is damaged.
pub(super) fn print_documents(topic: Option<&str>) -> anyhow::Result<()> {
    let Some(topic) = topic else {
        let rows: Vec<Vec<String>> =
            DOCUMENTS.iter().map(|document| vec![document.topic.to_owned(), document.summary.to_owned()]).collect();
        output::print_table(&["TOPIC", "ABOUT"], &rows)?;
        return Ok(output::print_line("\n`rollcall docs TOPIC` prints a document.")?);
    };
    let Some(document) = find_document(topic) else {
        let fix = find_similar_name(topic, DOCUMENTS.iter().map(|document| document.topic))
            .map_or("`rollcall docs` lists them".to_owned(), |similar| format!("did you mean {similar}?"));
        anyhow::bail!("there is no document {topic}; {fix}");
    };
    Ok(output::print_line(document.text.read()?.trim_end())?)
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
