//! `sluice dlq list`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::ListArgs;
use super::ledger::Ledger;
use super::letter::Letter;
use super::queue::Queue;
use crate::cli::output::{Table, print_text};
use crate::kafka::Log;

/// Characters of a message in the table.
const SHOWN: usize = 100;
/// Kinds of letters that are told apart.
const KINDS: usize = 1_000;

/// Stage and message, numbers left out.
type Kind = (String, String);

#[derive(Default)]
struct Listing {
    /// Lines of the table, or objects of the JSON: not the letters, which may be large.
    rows: Vec<Vec<String>>,
    objects: Vec<Value>,
    /// Letters in the queue.
    all: u64,
    /// Those that were asked for.
    matching: u64,
    /// Those of them that were sent again.
    redriven: u64,
    kinds: BTreeMap<Kind, u64>,
}

pub(super) async fn list(log: &dyn Log, topic: &str, args: &ListArgs) -> Result<ExitCode> {
    let mut queue = Queue::existing(log, topic).await?;
    let ledger = Ledger::read(log, topic).await?;
    let mut listing = Listing::default();
    while let Some(records) = queue.next().await? {
        for record in records {
            listing.take(&Letter::new(record), &ledger, args);
        }
    }
    queue.close().await?;
    match args.json {
        true => print_text(&format!("{:#}\n", listing.to_json(topic))),
        false => listing.print(topic),
    }
    Ok(ExitCode::SUCCESS)
}

impl Listing {
    fn take(&mut self, letter: &Letter, ledger: &Ledger, args: &ListArgs) {
        self.all += 1;
        if !args.filter.takes(letter) {
            return;
        }
        self.matching += 1;
        let is_redriven = ledger.has(letter);
        self.redriven += u64::from(is_redriven);
        let mut kind = kind_of(letter);
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            kind = ("others".to_owned(), String::new());
        }
        *self.kinds.entry(kind).or_default() += 1;
        if self.matching > args.limit as u64 {
            return;
        }
        match args.json {
            true => self.objects.push(object(letter, is_redriven)),
            false => self.rows.push(row(letter, is_redriven)),
        }
    }

    /// Kinds, the most frequent first.
    fn ranked(&self) -> Vec<(&Kind, u64)> {
        let mut ranked: Vec<_> = self
            .kinds
            .iter()
            .map(|(kind, count)| (kind, *count))
            .collect();
        ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ranked
    }

    fn print(&self, topic: &str) {
        if self.matching == 0 {
            return print_text(&format!(
                "{topic}: {} dead letters, none to show\n",
                self.all
            ));
        }
        let mut table = Table::new(&[
            "LETTER", "WHEN", "FROM", "STAGE", "CLASS", "REDRIVEN", "MESSAGE",
        ]);
        for row in &self.rows {
            table.row(row.clone());
        }
        table.print();
        let hidden = self.matching - self.rows.len() as u64;
        if hidden > 0 {
            print_text(&format!("… and {hidden} more: --limit shows them\n"));
        }
        print_text(&format!(
            "\n{topic}: {} of {} dead letters, {} of them redriven\n",
            self.matching, self.all, self.redriven
        ));
        let mut totals = Table::new(&["COUNT", "STAGE", "MESSAGE"]);
        for ((stage, message), count) in self.ranked() {
            totals.row(vec![count.to_string(), stage.clone(), message.clone()]);
        }
        totals.print();
    }

    fn to_json(&self, topic: &str) -> Value {
        let totals = self.ranked().into_iter().map(|((stage, message), count)| {
            json!({ "stage": stage, "message": message, "count": count })
        });
        json!({
            "topic": topic,
            "total": self.all,
            "matching": self.matching,
            "redriven": self.redriven,
            "letters": self.objects,
            "totals": totals.collect::<Vec<_>>(),
        })
    }
}

fn object(letter: &Letter, is_redriven: bool) -> Value {
    let said = |name: &str| letter.said(name).map(|text| text.into_owned());
    let number = |name: &str| said(name).and_then(|text| text.parse::<i64>().ok());
    json!({
        "partition": letter.place().partition,
        "offset": letter.place().offset,
        "timestamp": letter.millis(),
        "topic": said("topic"),
        "original_partition": number("partition"),
        "original_offset": number("offset"),
        "connector": said("connector.name"),
        "task": number("task.id"),
        "stage": said("stage"),
        "class": said("class.name"),
        "exception": said("exception.class.name"),
        "message": said("exception.message"),
        "times": Some(letter.times()).filter(|times| *times != u32::MAX),
        "redriven": is_redriven,
    })
}

fn row(letter: &Letter, is_redriven: bool) -> Vec<String> {
    let said = |name: &str| letter.said(name).unwrap_or_default().into_owned();
    let class = said("class.name");
    let short = class.rsplit('.').next().unwrap_or(&class).to_owned();
    vec![
        letter.place().to_string(),
        letter.when(),
        letter.origin(),
        said("stage"),
        short,
        if is_redriven { "yes" } else { "no" }.to_owned(),
        one_line(&said("exception.message")),
    ]
}

fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown.replace(char::is_control, " ")
}

/// Messages name offsets and values: without their numbers those of one cause are alike.
fn kind_of(letter: &Letter) -> Kind {
    let said = |name: &str| letter.said(name).unwrap_or_default().into_owned();
    let message = one_line(&said("exception.message"));
    let mut kind = String::with_capacity(message.len());
    for character in message.chars() {
        match character.is_ascii_digit() {
            true if kind.ends_with('#') => {}
            true => kind.push('#'),
            false => kind.push(character),
        }
    }
    (said("stage"), kind)
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn letters_of_one_cause_are_one_kind_whatever_their_numbers() {
        let kind = |message: &str| {
            kind_of(&letter(&[
                ("__connect.errors.stage", "TRANSFORMATION"),
                ("__connect.errors.exception.message", message),
            ]))
        };
        assert_eq!(
            kind("record t-0 at offset 17"),
            kind("record t-2 at offset 4")
        );
        assert_eq!(kind("a\nb").1, "a");
        assert!(kind(&"ü".repeat(500)).1.ends_with("ü…"));
    }
}
