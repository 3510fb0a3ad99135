//! `sluice dlq redrive`: which letters are sent, and which are left and why.

use std::collections::{BTreeSet, HashMap};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::Args;

use super::filter::Filter;
use super::ledger::Ledger;
use super::letter::{Letter, Place};
use super::queue::Queue;
use super::sending::{Outgoing, Sender};
use crate::cli::output::print_text;
use crate::cli::signals::stop_at_signal;
use crate::kafka::{ConsumedRecord, Log, check_topic_name};

/// Exit code 1 if a letter that was asked for was left.
#[derive(Debug, Args)]
pub(super) struct RedriveArgs {
    /// The connector, unless --topic names its queue; then letters, if not all are meant
    #[arg(value_name = "[CONNECTOR] PARTITION:OFFSET")]
    pub(super) names: Vec<String>,
    /// All that were not sent yet
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Another topic than the one they came from
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Send nothing, say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Leave records that were sent so often already
    #[arg(long, default_value_t = 3, value_name = "N")]
    max_times: u32,
    /// Send at most so many records a second
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

/// What becomes of a letter.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Send(Arc<str>, Option<i32>),
    SentBefore,
    Left(String),
}

struct Redrive<'a> {
    log: &'a dyn Log,
    queue: &'a str,
    places: BTreeSet<Place>,
    args: &'a RedriveArgs,
    ledger: Ledger,
    /// Partitions of the topics letters came from; `None`: there is no such topic.
    targets: HashMap<String, Option<i32>>,
    sender: Option<Sender>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    before: u64,
    left: u64,
}

pub(super) async fn redrive(
    log: &dyn Log,
    queue: &str,
    places: &[Place],
    args: &RedriveArgs,
) -> Result<ExitCode> {
    let chosen = [args.all, args.filter.is_given(), !places.is_empty()];
    ensure!(
        chosen.iter().filter(|given| **given).count() == 1,
        "which dead letters? One of --all, filters (--stage, --since, --grep), or PARTITION:OFFSET …"
    );
    ensure!(
        args.to.as_deref() != Some(queue),
        "--to {queue}: that is the queue itself"
    );
    let mut letters = Queue::existing(log, queue).await?;
    // First of all: it ends what an interrupted run has left open, so that the ledger is complete.
    let sender = match args.dry_run {
        true => None,
        false => Some(Sender::open(log, queue, args.rate).await?),
    };
    let mut redrive = Redrive {
        log,
        queue,
        places: places.iter().copied().collect(),
        args,
        ledger: Ledger::read(log, queue).await?,
        targets: HashMap::new(),
        sender,
        counts: Counts::default(),
    };
    let outcome = redrive.run(&mut letters).await;
    redrive.print_counts();
    letters.close().await?;
    if let Some(sender) = redrive.sender {
        sender.close().await?;
    }
    outcome?;
    let is_complete = redrive.counts.left == 0;
    Ok(if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Redrive<'_> {
    async fn run(&mut self, letters: &mut Queue) -> Result<()> {
        let stop = stop_at_signal()?;
        if let Some(sender) = &self.sender {
            sender.forget(self.ledger.removals(letters)).await?;
        }
        while let Some(records) = letters.next().await? {
            for record in records {
                self.take(record).await?;
                ensure!(
                    !stop.is_cancelled(),
                    "stopped: what was sent is noted, the rest waits"
                );
            }
            if !self.args.all && !self.args.filter.is_given() && self.places.is_empty() {
                break;
            }
        }
        self.send().await?;
        for place in std::mem::take(&mut self.places) {
            self.leave(place, "there is no such record");
        }
        Ok(())
    }

    async fn take(&mut self, record: ConsumedRecord) -> Result<()> {
        let letter = Letter::new(record);
        let place = letter.place();
        let is_meant = self.places.remove(&place)
            || self.args.all
            || (self.args.filter.is_given() && self.args.filter.takes(&letter));
        if !is_meant {
            return Ok(());
        }
        match self.judge(&letter).await? {
            Verdict::SentBefore => self.counts.before += 1,
            Verdict::Left(reason) => self.leave(place, &reason),
            Verdict::Send(topic, partition) => self.pass_on(letter, topic, partition).await?,
        }
        Ok(())
    }

    async fn pass_on(
        &mut self,
        letter: Letter,
        topic: Arc<str>,
        partition: Option<i32>,
    ) -> Result<()> {
        self.ledger.expect(&letter);
        let Some(sender) = &mut self.sender else {
            print_text(&format!("{} would be sent to {topic}\n", letter.place()));
            self.counts.sent += 1;
            return Ok(());
        };
        let outgoing = Outgoing {
            place: letter.place(),
            size: letter.size(),
            note: self.ledger.entry(&letter, &topic),
            record: letter.restored(topic, partition),
        };
        if sender.push(outgoing) {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        let Some(sender) = &mut self.sender else {
            return Ok(());
        };
        let refused = sender.send(&mut self.counts.sent).await?;
        for (place, reason) in refused {
            self.leave(place, &reason);
        }
        Ok(())
    }

    async fn judge(&mut self, letter: &Letter) -> Result<Verdict> {
        if self.ledger.has(letter) {
            return Ok(Verdict::SentBefore);
        }
        let times = letter.times();
        if times >= self.args.max_times {
            let times = match times {
                u32::MAX => "an unknown number of".to_owned(),
                times => times.to_string(),
            };
            return Ok(Verdict::Left(format!(
                "it failed again after {times} redrives (--max-times {})",
                self.args.max_times
            )));
        }
        if let Some(topic) = &self.args.to {
            let topic = topic.clone();
            return self.target(topic, None).await;
        }
        match letter.topic() {
            None => Ok(Verdict::Left(
                "it does not say where it came from: set errors.deadletterqueue.context.headers.enable=true for the next ones, and give --to for this one".to_owned(),
            )),
            Some(topic) if topic == self.queue => {
                Ok(Verdict::Left("it came from the queue itself".to_owned()))
            }
            Some(topic) if topic.starts_with("__") => Ok(Verdict::Left(format!(
                "it says that it came from {topic}, which is one of Kafka's own topics"
            ))),
            Some(topic) => self.target(topic.into_owned(), letter.partition()).await,
        }
    }

    /// The partition it came from, if it is there.
    async fn target(&mut self, topic: String, partition: Option<i32>) -> Result<Verdict> {
        if let Err(error) = check_topic_name(&topic) {
            return Ok(Verdict::Left(error.message().to_owned()));
        }
        let partitions = match self.targets.get(&topic) {
            Some(known) => *known,
            None => {
                let described = self.log.admin().describe_topic(&topic).await?;
                let partitions = described.map(|described| described.partitions);
                self.targets.insert(topic.clone(), partitions);
                partitions
            }
        };
        Ok(match partitions {
            None => Verdict::Left(format!("there is no topic {topic}")),
            Some(count) => {
                let is_there = |number: &i32| (0..count).contains(number);
                Verdict::Send(topic.into(), partition.filter(is_there))
            }
        })
    }

    fn leave(&mut self, place: Place, reason: &str) {
        self.counts.left += 1;
        print_text(&format!("{place} left: {reason}\n"));
    }

    fn print_counts(&self) {
        let Counts { sent, before, left } = &self.counts;
        let verb = if self.args.dry_run { "to send" } else { "sent" };
        print_text(&format!(
            "{}: {sent} {verb}, {before} sent before, {left} left\n",
            self.queue
        ));
    }
}
