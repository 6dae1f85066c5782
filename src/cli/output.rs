//! Output of commands: plain lines, JSON, or a table with aligned columns.

pub(super) mod confirmation;

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// Plain text
    Table,
    /// One JSON document
    Json,
}

pub(super) fn print_line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a line for the reader, such as an error, and not for a program that reads standard output.
pub(super) fn print_hint(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "rollcall: {text}")
}

/// Prints a line to standard error.
pub(super) fn print_warning(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "rollcall: warning: {text}")
}

pub(super) fn print_json(value: &Value) -> io::Result<()> {
    print_line(&format!("{value:#}"))
}

pub(super) fn print_table(head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    write!(io::stdout().lock(), "{}", align_columns(head, rows))
}

fn align_columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).chain([head[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".to_owned(), "Müller".to_owned()], vec!["22".into(), "x".into()]];
        assert_eq!(align_columns(&["ID", "NAME"], &rows), "ID  NAME\n1   Müller\n22  x\n");
    }
}
