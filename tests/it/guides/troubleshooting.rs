//! What troubleshooting.md quotes is what the program says: commands of the page provoke what is cheap to provoke, the
//! rest is looked for in the sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{page, root};

const PAGE: &str = "docs/guide/troubleshooting.md";
/// Where the texts are made.
const SOURCES: [&str; 6] = [
    "src",
    "connect-core/src",
    "connectors",
    "converters",
    "transforms",
    "deploy",
];
/// Shorter pieces between two `…` show nothing.
const SHORTEST: usize = 6;

/// What stands between back quotes in the first column of tables that are headed `Seen`.
fn quotes(page: &str) -> Vec<String> {
    let mut quotes = Vec::new();
    let mut is_seen = false;
    for line in page.lines() {
        let first = line
            .strip_prefix("| ")
            .and_then(|row| row.split(" | ").next());
        match first {
            None => is_seen &= line.starts_with('|'),
            Some("Seen") => is_seen = true,
            Some(cell) if is_seen => {
                let spans = cell.split('`').skip(1).step_by(2);
                quotes.extend(spans.map(str::to_owned));
            }
            Some(_) => {}
        }
    }
    quotes
}

/// Source files without the tests beside them.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !name.starts_with("test") {
                sources(&path, found)?;
            }
        } else if name.ends_with(".sh") || (name.ends_with(".rs") && name != "tests.rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The text of all sources, with strings as they are printed: without escapes and without breaks of lines.
fn all_sources() -> Result<String> {
    let mut files = Vec::new();
    for folder in SOURCES {
        sources(&root().join(folder), &mut files)?;
    }
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        all.push_str(&code.replace("\\\"", "\""));
    }
    let words: Vec<_> = all
        .split_whitespace()
        .filter(|word| *word != "\\")
        .collect();
    Ok(words.join(" "))
}

fn pieces(quote: &str) -> Vec<&str> {
    let pieces = quote.split('…').map(str::trim);
    pieces.filter(|piece| piece.len() >= SHORTEST).collect()
}

#[test]
fn what_is_quoted_is_said_by_the_program() -> Result<()> {
    let page = fs::read_to_string(root().join(PAGE))?;
    let quotes = quotes(&page);
    ensure!(quotes.len() > 30, "{} quotes are too few", quotes.len());
    // What the page's commands show is said, too: they are run.
    let shown = page::read(&root().join(PAGE))?;
    let shown = shown.into_iter().flat_map(|step| step.shown);
    let said = shown.fold(all_sources()?, |all, line| all + "\n" + &line);
    let mut stale = Vec::new();
    for quote in &quotes {
        let pieces = pieces(quote);
        if pieces.is_empty() || !pieces.iter().all(|piece| said.contains(piece)) {
            stale.push(quote);
        }
    }
    ensure!(
        stale.is_empty(),
        "{PAGE} quotes what nothing says: {stale:#?}"
    );
    Ok(())
}

#[test]
fn quotes_are_in_the_first_column_of_tables_headed_seen() {
    let page = "| Seen | Why |\n|---|---|\n| `one …`, `two` | `no` |\n\n| Option | Why |\n|---|---|\n| `no` | x |\n";
    assert_eq!(quotes(page), ["one …", "two"]);
    assert_eq!(
        pieces("listen on … short … is taken"),
        ["listen on", "is taken"]
    );
}
