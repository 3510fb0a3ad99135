//! What is said while events are produced: a line an event, or in burst mode a line a second.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use sluice_connector_datagen::events::EventKind;

use super::settings::{Level, Settings};
use crate::cli::output::print_text;

/// Counts and prints.
pub(super) struct Report {
    level: Level,
    burst: bool,
    count: Option<u64>,
    started: Instant,
    last_line: Instant,
    /// Lines of events that are not acknowledged yet.
    waiting: Vec<String>,
    /// Events made.
    events: u64,
    /// Records written: more than events if some are doubled.
    records: u64,
}

impl Report {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            level: settings.level,
            burst: settings.burst,
            count: settings.count,
            started: Instant::now(),
            last_line: Instant::now(),
            waiting: Vec::new(),
            events: 0,
            records: 0,
        }
    }

    pub(super) fn connected(&self, brokers: &[String]) {
        if self.level.shows_info() {
            let brokers = brokers.join(",");
            print_text(&format!("Connected to Kafka broker: {brokers}\n"));
        }
    }

    /// An event, number `number` of its stream, was handed over `copies` times.
    pub(super) fn event(&mut self, kind: EventKind, number: u64, event: &Event<'_>, copies: u64) {
        self.events += 1;
        self.records += copies;
        if self.burst {
            self.progress_line();
        } else if self.level.shows_info() {
            let mut line = event_line(kind, number, self.count, event.id);
            if self.level == Level::Debug {
                line.push_str(&String::from_utf8_lossy(event.json));
                line.push('\n');
            }
            self.waiting.push(line);
        }
    }

    /// True if lines of many events wait for an acknowledgement.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= 1_000
    }

    /// All events so far are acknowledged.
    pub(super) fn acknowledged(&mut self) {
        if !self.waiting.is_empty() {
            print_text(&self.waiting.concat());
            self.waiting.clear();
        }
    }

    /// On a terminal the same line again.
    fn progress_line(&mut self) {
        if !self.level.shows_info() || self.last_line.elapsed() < Duration::from_secs(1) {
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
        let rate = self.events as f64 / seconds;
        let doubled = match self.records - self.events {
            0 => String::new(),
            more => format!(", {more} of them twice"),
        };
        let events = self.events;
        format!("{events} events{doubled} in {seconds:.1} s ({rate:.0} events/s)")
    }

    pub(super) fn done(&self) {
        if self.level.shows_info() {
            let is_progress = self.burst && std::io::stdout().is_terminal();
            let newline = if is_progress { "\n" } else { "" };
            print_text(&format!("{newline}Done: {}\n", self.summary()));
        }
    }
}

/// An event as the lines show it.
pub(super) struct Event<'a> {
    pub(super) id: &'a str,
    pub(super) json: &'a [u8],
}

fn event_line(kind: EventKind, number: u64, count: Option<u64>, id: &str) -> String {
    let what = match kind {
        EventKind::Dealer(system) => {
            return format!("Published {}_#{number}: {id}\n", system.name());
        }
        EventKind::Transactions => "Transaction",
        EventKind::Sales | EventKind::Orders => "Order",
    };
    let noun = if what == "Order" { "Event" } else { what };
    let of = count.map(|count| format!("/{count}")).unwrap_or_default();
    format!("{noun} {number}{of} produced - {what} ID: {id}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_connector_datagen::events::System;

    #[test]
    fn lines_are_those_that_users_know() {
        assert_eq!(
            event_line(EventKind::Orders, 1, Some(100), "ORD-123456"),
            "Event 1/100 produced - Order ID: ORD-123456\n"
        );
        assert_eq!(
            event_line(
                EventKind::Dealer(System::Sales),
                1,
                Some(9),
                "SALE-A1B2C3D4"
            ),
            "Published sales_#1: SALE-A1B2C3D4\n"
        );
        assert_eq!(
            event_line(EventKind::Transactions, 7, None, "x"),
            "Transaction 7 produced - Transaction ID: x\n"
        );
    }
}
