//! Tables and colours: colours on a terminal, plain text in a pipe.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

/// A table of text.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        let head = head.iter().map(|cell| (*cell).to_owned()).collect();
        Self { rows: vec![head] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table with aligned columns.
    pub(super) fn to_text(&self, colours: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let shown = if colours {
                    coloured(cell)
                } else {
                    cell.clone()
                };
                line.push_str(&shown);
                line.push_str(&" ".repeat(width - cell.chars().count() + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    pub(super) fn print(&self) {
        print_text(&self.to_text(takes_colours(&io::stdout())));
    }
}

/// Whether a stream takes colours: it is a terminal that knows them, and nobody has asked for none (<https://no-color.org>).
pub(super) fn takes_colours(stream: &impl IsTerminal) -> bool {
    let variable = |name: &str| std::env::var_os(name);
    stream.is_terminal() && are_wanted(variable("NO_COLOR"), variable("TERM"))
}

fn are_wanted(no_color: Option<OsString>, terminal: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && terminal.is_none_or(|kind| kind != "dumb")
}

/// States in the colours people expect of them.
fn coloured(cell: &str) -> String {
    let code = match cell {
        "RUNNING" => 32,
        "PAUSED" | "STOPPED" | "UNASSIGNED" | "RESTARTING" => 33,
        "FAILED" => 31,
        _ => return cell.to_owned(),
    };
    format!("\u{1b}[{code}m{cell}\u{1b}[0m")
}

/// Prints; a reader that has gone (`| head`) is not an error.
pub(super) fn print_text(text: &str) {
    let _reader_gone = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_who_wants_them() {
        let wanted = |no_color: Option<&str>, terminal: Option<&str>| {
            are_wanted(no_color.map(OsString::from), terminal.map(OsString::from))
        };
        assert!(wanted(None, None) && wanted(Some(""), Some("xterm")));
        assert!(!wanted(Some("1"), Some("xterm")) && !wanted(None, Some("dumb")));
    }

    #[test]
    fn columns_are_aligned_and_plain_without_a_terminal() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["s3-sink-sales".to_owned(), "RUNNING".to_owned()]);
        assert_eq!(
            table.to_text(false),
            "NAME           STATE\ns3-sink-sales  RUNNING\n"
        );
        assert!(table.to_text(true).contains("\u{1b}[32mRUNNING\u{1b}[0m"));
    }
}
