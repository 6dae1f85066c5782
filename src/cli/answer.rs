//! What a command prints: plain lines, JSON, or a table with aligned columns.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Lines for people
    Table,
    /// One JSON document
    Json,
}

pub(super) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

pub(super) fn json(value: &Value) -> io::Result<()> {
    line(&format!("{value:#}"))
}

pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    write!(io::stdout().lock(), "{}", aligned(head, rows))
}

fn aligned(head: &[&str], rows: &[Vec<String>]) -> String {
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
        assert_eq!(aligned(&["ID", "NAME"], &rows), "ID  NAME\n1   Müller\n22  x\n");
    }
}
