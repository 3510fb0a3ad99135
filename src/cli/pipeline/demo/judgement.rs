//! Whether each produced event is at each stage once: a pure rule, and the closing table.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::output::Table;

/// What a stage holds of one type, compared with what was produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    /// Rows, lines or records there.
    pub(super) rows: usize,
    /// Produced events that are not there.
    pub(super) lost: usize,
    /// Rows that are there beside one with the same id.
    pub(super) doubled: usize,
    /// Rows that were not produced by this run.
    pub(super) foreign: usize,
}

impl Finding {
    /// Compares the ids that were produced with those that a stage holds.
    pub(super) fn of(produced: &BTreeSet<String>, held: &[String]) -> Self {
        let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
        for id in held {
            *copies.entry(id).or_default() += 1;
        }
        let known = produced
            .iter()
            .filter(|id| copies.contains_key(id.as_str()));
        Self {
            rows: held.len(),
            lost: produced.len() - known.count(),
            doubled: copies.values().map(|count| count - 1).sum(),
            foreign: copies.keys().filter(|id| !produced.contains(**id)).count(),
        }
    }

    /// True if every produced event is there, once or more often.
    pub(super) fn is_complete(self) -> bool {
        self.lost == 0
    }

    fn agrees(self) -> bool {
        (self.lost, self.doubled, self.foreign) == (0, 0, 0)
    }

    fn complaints(self) -> Vec<String> {
        let counts = [
            (self.lost, "lost"),
            (self.doubled, "doubled"),
            (self.foreign, "not of this run"),
        ];
        let wrong = counts.into_iter().filter(|(count, _)| *count > 0);
        wrong
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// A type at all stages.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) produced: usize,
    /// One for each stage; `None` where there is no such stage in this run.
    pub(super) findings: Vec<Option<Finding>>,
}

/// All types at all stages.
#[derive(Debug)]
pub(super) struct Judgement {
    /// `Kafka`, `S3` …
    pub(super) stages: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Judgement {
    /// True if every event is once at every stage there is.
    pub(super) fn agrees(&self) -> bool {
        let mut findings = self
            .rows
            .iter()
            .flat_map(|row| row.findings.iter().flatten());
        findings.all(|finding| finding.agrees())
    }

    /// The closing table: a row a type, and all together. A row that does not agree says what is wrong where.
    pub(super) fn table(&self) -> Table {
        let mut head = vec!["TYPE".to_owned(), "PRODUCED".to_owned()];
        let stages = self.stages.iter();
        head.extend(stages.map(|stage| format!("IN {}", stage.to_uppercase())));
        head.push(String::new());
        let head: Vec<_> = head.iter().map(String::as_str).collect();
        let mut table = Table::new(&head);
        for row in &self.rows {
            let found = row
                .findings
                .iter()
                .map(|found| found.map(|found| found.rows));
            let mark = self.mark(row);
            table.row(cells(&row.name, row.produced, found, mark));
        }
        if self.rows.len() > 1 {
            let produced = self.rows.iter().map(|row| row.produced).sum();
            let totals = (0..self.stages.len()).map(|stage| self.total(stage));
            table.row(cells("all", produced, totals, String::new()));
        }
        table
    }

    fn total(&self, stage: usize) -> Option<usize> {
        let found = self.rows.iter().map(|row| row.findings.get(stage).copied());
        found.map(|found| Some(found??.rows)).sum()
    }

    fn mark(&self, row: &Row) -> String {
        let found = self.stages.iter().zip(&row.findings);
        let wrong: Vec<_> = found
            .filter_map(|(stage, found)| {
                let complaints = (*found)?.complaints();
                (!complaints.is_empty()).then(|| format!("{stage}: {}", complaints.join(", ")))
            })
            .collect();
        if wrong.is_empty() {
            return String::new();
        }
        format!("<- {}", wrong.join("; "))
    }
}

fn cells(
    name: &str,
    produced: usize,
    found: impl Iterator<Item = Option<usize>>,
    mark: String,
) -> Vec<String> {
    let mut cells = vec![name.to_owned(), produced.to_string()];
    cells.extend(found.map(|rows| rows.map_or_else(|| "-".to_owned(), |rows| rows.to_string())));
    cells.push(mark);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn finding(produced: &str, held: &str) -> Finding {
        Finding::of(&ids(produced).into_iter().collect(), &ids(held))
    }

    fn judgement(rows: &[(&str, &str, Option<&str>)]) -> Judgement {
        let row = |(name, log, target): &(&str, &str, Option<&str>)| Row {
            name: (*name).to_owned(),
            produced: 3,
            findings: vec![
                Some(finding("a b c", log)),
                target.map(|held| finding("a b c", held)),
            ],
        };
        Judgement {
            stages: vec!["Kafka".to_owned(), "S3".to_owned()],
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn what_is_there_once_agrees_in_any_order() {
        assert!(finding("a b c", "c a b").agrees());
        assert!(finding("", "").agrees());
    }

    #[test]
    fn lost_doubled_and_foreign_events_are_told_apart_although_the_numbers_agree() {
        let found = finding("a b c", "a a x");
        let expected = Finding {
            rows: 3,
            lost: 2,
            doubled: 1,
            foreign: 1,
        };
        assert_eq!(found, expected);
        assert!(!found.agrees());
        assert!(!finding("a", "a a").agrees() && !finding("a", "").agrees());
    }

    #[test]
    fn the_table_marks_the_row_that_does_not_agree() {
        let judged = judgement(&[
            ("sales", "a b c", Some("a b c")),
            ("stock", "a b c", Some("a a")),
        ]);
        assert!(!judged.agrees());
        assert_eq!(
            judged.table().to_text(false),
            "TYPE   PRODUCED  IN KAFKA  IN S3\n\
             sales  3         3         3\n\
             stock  3         3         2      <- S3: 2 lost, 1 doubled\n\
             all    6         6         5\n"
        );
    }

    #[test]
    fn a_stage_that_is_not_in_this_run_is_a_dash_and_no_disagreement() {
        let judged = judgement(&[("sales", "a b c", None), ("stock", "a b c", None)]);
        assert!(judged.agrees());
        assert!(
            judged
                .table()
                .to_text(false)
                .ends_with("all    6         6         -\n")
        );
    }
}
