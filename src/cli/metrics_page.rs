//! The table of metrics in the guide, generated between two markers.

use std::fmt::Write;

use crate::runtime::metric_reference;

/// The page, below the project's root.
pub(super) const PAGE: &str = "docs/guide/monitoring.md";

const BEGIN: &str = "<!-- metrics:begin -->";
const END: &str = "<!-- metrics:end -->";
const HEAD: &str = "| Metric | Labels | What it says |\n|---|---|---|\n";

/// `page` with the table written anew; `None` if it has no markers.
pub(super) fn rewrite(page: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}{END}{after}", table()))
}

fn table() -> String {
    let mut text = HEAD.to_owned();
    for metric in metric_reference() {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, help) = (metric.name, metric.help);
        writeln!(text, "| `{name}` | {} | {help} |", labels.join(" "))
            .expect("writing to a string cannot fail");
    }
    text
}
