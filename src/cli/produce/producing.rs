//! The loop: an event of each stream, then a pause, until the count, the duration or a signal ends it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use connect_core::data::Timestamp;
use sluice_connector_datagen::events::text_field;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::report::{Event, Report};
use super::settings::{Settings, Stream};

pub(super) struct Producing {
    settings: Settings,
    delivery: Delivery,
    report: Report,
    stop: CancellationToken,
    started: Instant,
    /// Events made of each stream.
    made: u64,
}

impl Producing {
    pub(super) fn new(
        settings: Settings,
        delivery: Delivery,
        report: Report,
        stop: CancellationToken,
    ) -> Self {
        Self {
            settings,
            delivery,
            report,
            stop,
            started: Instant::now(),
            made: 0,
        }
    }

    /// Produces to the end; what was produced by then is acknowledged.
    pub(super) async fn run(mut self) -> Result<()> {
        while !self.is_over() {
            for place in 0..self.settings.streams.len() {
                self.produce_one(place).await?;
            }
            self.made += 1;
            self.pause().await?;
        }
        self.flush().await?;
        self.delivery.close().await?;
        self.report.done();
        Ok(())
    }

    fn is_over(&self) -> bool {
        let is_counted = self.settings.count.is_some_and(|count| self.made >= count);
        let duration = self.settings.duration;
        let is_late = duration.is_some_and(|duration| self.started.elapsed() >= duration);
        is_counted || is_late || self.stop.is_cancelled()
    }

    /// Makes the next event of the stream at `place`.
    async fn produce_one(&mut self, place: usize) -> Result<()> {
        let settings = &self.settings;
        let stream = settings.streams.get(place).context("a known stream")?;
        let (seed, index) = (settings.seed, settings.start + self.made);
        let mut json = Vec::with_capacity(420);
        let time = settings.disorder.time(seed, index, now());
        stream.kind.write(seed, index, time, &mut json);
        let copies = 1 + u64::from(settings.disorder.is_doubled(seed, index));
        let id = text_field(&json, stream.kind.id_field()).unwrap_or_default();
        let event = Event { id, json: &json };
        self.report.event(stream.kind, index + 1, &event, copies);
        let key = key(settings, stream, &json);
        for _ in 1..copies {
            self.delivery.send(place, key.clone(), json.clone()).await?;
        }
        self.delivery.send(place, key, json).await
    }

    /// Waits until the next event is due; what has gathered is sent meanwhile.
    async fn pause(&mut self) -> Result<()> {
        if self.settings.interval.is_zero() {
            return Ok(());
        }
        let due = self.started + self.settings.interval.mul_f64(as_factor(self.made));
        // At short intervals batches fill by themselves; a pause shorter than a timer's step is none.
        if due.saturating_duration_since(Instant::now()) < Duration::from_millis(2) {
            if self.report.is_full() {
                self.flush().await?;
            }
            return Ok(());
        }
        self.flush().await?;
        if self.is_over() {
            return Ok(());
        }
        let end = self
            .settings
            .duration
            .map(|duration| self.started + duration);
        let until = end.map_or(due, |end| end.min(due));
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.stop.cancelled() => {}
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.delivery.flush().await?;
        self.report.acknowledged();
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 events")]
fn as_factor(count: u64) -> f64 {
    count as f64
}

fn key(settings: &Settings, stream: &Stream, event: &[u8]) -> Option<Vec<u8>> {
    let field = settings.key.as_deref()?;
    let key = stream
        .kind
        .fields()
        .contains(&field)
        .then(|| text_field(event, field));
    key.flatten().map(|key| key.as_bytes().to_vec())
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
