//! docs/compatibility.md, from a run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};

use super::compare::shortened;
use super::differences::INTENDED;
use super::script::Call;

/// Set to write the page anew instead of comparing it.
pub(super) const WRITE: &str = "SLUICE_WRITE_DOCS";

/// A call that was answered otherwise on purpose.
pub(super) struct Row {
    pub(super) call: Call,
    pub(super) key: &'static str,
    pub(super) theirs: String,
    pub(super) ours: String,
}

/// Calls of a section.
#[derive(Default)]
pub(super) struct Count {
    pub(super) calls: usize,
    pub(super) intended: usize,
}

/// The page.
pub(super) fn page(sections: &[(String, Count)], rows: &[Row]) -> String {
    let calls: usize = sections.iter().map(|(_, count)| count.calls).sum();
    let mut page = format!(
        "# Compatibility with Kafka Connect 4.3.1\n\n\
         Made by a test (`tests/it/oracle`): {calls} calls are sent to a real Kafka Connect 4.3.1 and to Sluice, and the answers \
         compared: status, `Location`, `Content-Type`, `Allow`, `error_code`, message, body.\n\n\
         Not compared: what differs between any two workers (addresses, versions, commits, times, traces), documentation \
         of options, the order of lists, the tasks in the answer to a create (a distributed worker does not know them yet), \
         what Sluice tells under a key of its own (`sluice`), and what answers of Kafka Connect show of its insides: pages of its HTTP \
         server, what its JSON parser says beyond the first words, messages of null pointers, classes of exceptions. \
         Of lists of plugins and of their options, Sluice's must hold all of Kafka Connect's.\n\n\
         Kafka Connect has no `GET /metrics`, no `GET /openapi.json` and no `POST /connectors/{{connector}}/dry-run` (see the \
         [guide to the REST API](guide/rest.md#dry-runs)).\n\n\
         | Calls about | Calls | Same | Different on purpose |\n|---|---:|---:|---:|\n"
    );
    for (section, count) in sections {
        let same = count.calls - count.intended;
        page += &format!(
            "| {section} | {} | {same} | {} |\n",
            count.calls, count.intended
        );
    }
    page +=
        "\n## Different on purpose\n\n| Call | Kafka Connect | Sluice | Why |\n|---|---|---|---|\n";
    let reasons: BTreeMap<_, _> = INTENDED
        .iter()
        .map(|intended| (intended.key, intended.reason))
        .collect();
    for row in rows {
        let reason = reasons.get(row.key).copied().unwrap_or_default();
        page += &format!(
            "| {} | {} | {} | {reason} |\n",
            code(&row.call.shown()),
            code(&row.theirs),
            code(&row.ours)
        );
    }
    page
}

/// As code in a table.
fn code(text: &str) -> String {
    format!(
        "`{}`",
        shortened(text, 140).replace('|', "\\|").replace('`', "'")
    )
}

/// Compares the page with the one in the tree, or writes that anew if asked to.
pub(super) fn check(page: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, page)?;
        return Ok(());
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    ensure!(
        kept == page,
        "docs/compatibility.md is not what this run makes: run the test with {WRITE}=1 and look at the change\n{page}"
    );
    Ok(())
}
