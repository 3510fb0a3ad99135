//! `sluice produce`: generated events to a Kafka topic, at least once.

mod sender;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Args, Subcommand};
use connect_core::data::Timestamp;
use sluice_connector_datagen::events::{EventKind, text_field};

use super::output::print_text;
use sender::Sender;
use settings::Settings;
pub(super) use settings::StreamArgs;

/// Flags win over the file (--config), the file over the environment.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice produce sales --count 100\n  sluice produce orders --events 100000 --burst --topic sales_events --partitions 3"
)]
pub(super) struct ProduceArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Retail sales, 13 fields, ids as UUIDs
    Sales(StreamArgs),
    /// Retail orders, ids that count up
    Orders(StreamArgs),
}

pub(super) async fn run(args: ProduceArgs) -> Result<ExitCode> {
    let (kind, args) = match args.kind {
        Kind::Sales(args) => (EventKind::Sales, args),
        Kind::Orders(args) => (EventKind::Orders, args),
    };
    let settings = Settings::resolve(kind, args)?;
    let sender = Sender::connect(&settings).await?;
    if settings.level.shows_info() {
        print_text(&format!(
            "Connected to Kafka broker: {}\n",
            settings.brokers.join(",")
        ));
    }
    let mut producing = Producing {
        sender,
        settings,
        made: 0,
        started: Instant::now(),
        last_line: Instant::now(),
    };
    let outcome = tokio::select! {
        outcome = producing.run() => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    let closed = producing.close().await;
    outcome.and(closed)?;
    Ok(ExitCode::SUCCESS)
}

struct Producing {
    sender: Sender,
    settings: Settings,
    made: u64,
    started: Instant,
    last_line: Instant,
}

impl Producing {
    async fn run(&mut self) -> Result<()> {
        while self.settings.count.is_none_or(|count| self.made < count) {
            self.produce_one().await?;
            if self.settings.interval > Duration::ZERO {
                self.pause().await?;
            }
        }
        Ok(())
    }

    async fn produce_one(&mut self) -> Result<()> {
        let mut event = Vec::with_capacity(420);
        self.settings
            .kind
            .write(self.settings.seed, self.made, now(), &mut event);
        let key = self
            .settings
            .key
            .as_deref()
            .and_then(|field| text_field(&event, field))
            .map(|key| key.as_bytes().to_vec());
        let id = (!self.settings.burst).then(|| {
            text_field(&event, self.settings.kind.id_field())
                .unwrap_or_default()
                .to_owned()
        });
        self.sender.send(key, event).await?;
        self.made += 1;
        match id {
            Some(id) if self.settings.level.shows_info() => self.event_line(&id),
            Some(_) => {}
            None => self.progress_line(),
        }
        Ok(())
    }

    /// Waits until the next event is due; what has gathered is sent meanwhile.
    async fn pause(&mut self) -> Result<()> {
        let interval = self.settings.interval;
        let due = self.started
            + interval.mul_f64(f64::from(u32::try_from(self.made).unwrap_or(u32::MAX)));
        // At short intervals batches fill by themselves; a pause shorter than a timer's step is none.
        if due.saturating_duration_since(Instant::now()) < Duration::from_millis(2) {
            return Ok(());
        }
        self.sender.flush().await?;
        tokio::time::sleep_until(due.into()).await;
        Ok(())
    }

    fn event_line(&self, id: &str) {
        let of = self
            .settings
            .count
            .map(|count| format!("/{count}"))
            .unwrap_or_default();
        print_text(&format!(
            "Event {}{of} produced - Order ID: {id}\n",
            self.made
        ));
    }

    /// In burst mode a line a second, on a terminal the same line again.
    fn progress_line(&mut self) {
        if self.last_line.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.last_line = Instant::now();
        let (start, end) = if std::io::stdout().is_terminal() {
            ("\r", "")
        } else {
            ("", "\n")
        };
        print_text(&format!("{start}{}{end}", self.summary()));
    }

    fn summary(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.made as f64 / seconds;
        format!(
            "{} events in {seconds:.1} s ({rate:.0} events/s)",
            self.made
        )
    }

    async fn close(mut self) -> Result<()> {
        self.sender.close().await?;
        if self.settings.level.shows_info() {
            let newline = if self.settings.burst && std::io::stdout().is_terminal() {
                "\n"
            } else {
                ""
            };
            print_text(&format!("{newline}Done: {}\n", self.summary()));
        }
        Ok(())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
