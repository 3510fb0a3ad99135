//! The generator's task: event after event at the rate asked for.
//!
//! Tasks share the events out: of `n` tasks, task `i` makes the events i, i+n, i+2n … Its place is stored as the next index.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::Result;
use connect_core::data::{Datum, RawJson, SourcePartition, SourceRecord, Timestamp, Value};
use connect_core::plugin::{Polled, SourceTask, SourceTaskContext};
use serde_json::json;
use tokio::time::Instant;

use crate::config::DatagenConfig;
use crate::events::text_field;

/// Events of slow generators come one by one; of fast ones this often, several at once.
const PACE: Duration = Duration::from_millis(20);

pub(crate) struct DatagenTask {
    config: DatagenConfig,
    context: SourceTaskContext,
    partition: Arc<SourcePartition>,
    topic: Arc<str>,
    next: u64,
    made: u64,
    started: Instant,
}

impl DatagenTask {
    pub(crate) fn new(config: DatagenConfig, context: SourceTaskContext) -> Self {
        let partition = [
            ("task".to_owned(), json!(context.task.task)),
            ("tasks".to_owned(), json!(context.task_count)),
        ];
        Self {
            topic: config.topic.as_str().into(),
            next: u64::from(context.task.task),
            partition: Arc::new(partition.into()),
            config,
            context,
            made: 0,
            started: Instant::now(),
        }
    }

    /// Events this task makes a second; `None` without a limit.
    fn rate(&self) -> Option<f64> {
        (self.config.rate > 0.0)
            .then(|| self.config.rate / f64::from(self.context.task_count.max(1)))
    }

    /// How many events are due, waiting for at least one.
    async fn due(&self) -> u64 {
        let most = u64::from(self.config.batch_size);
        let Some(rate) = self.rate() else {
            return most;
        };
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 events")]
        let next_at = self.started + Duration::from_secs_f64((self.made + 1) as f64 / rate);
        let pace = Instant::now() + if rate > 50.0 { PACE } else { Duration::ZERO };
        tokio::time::sleep_until(next_at.max(pace)).await;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of events"
        )]
        let allowed = (self.started.elapsed().as_secs_f64() * rate) as u64;
        allowed.saturating_sub(self.made).clamp(1, most)
    }

    fn seed(&self) -> u64 {
        self.config.seed.cast_unsigned()
    }

    fn is_finished(&self) -> bool {
        u64::try_from(self.config.count).is_ok_and(|count| self.next >= count)
    }

    /// The next event's record, without an offset.
    fn record(&self, now: Timestamp) -> Result<SourceRecord> {
        let mut event = Vec::with_capacity(400);
        let seed = self.seed();
        let time = self.config.disorder().time(seed, self.next, now);
        self.config.kind.write(seed, self.next, time, &mut event);
        let key = self
            .config
            .key_field
            .as_deref()
            .and_then(|field| text_field(&event, field));
        let key = key.map_or_else(Datum::null, |key| Datum::schemaless(Value::string(key)));
        Ok(SourceRecord {
            source_partition: self.partition.clone(),
            source_offset: None,
            topic: self.topic.clone(),
            partition: None,
            timestamp: Some(now),
            headers: Vec::new(),
            key,
            value: Datum::json(RawJson::validate(Bytes::from(event))?),
        })
    }
}

#[async_trait]
impl SourceTask for DatagenTask {
    async fn start(&mut self) -> Result<()> {
        let stored = self.context.offsets.offset(&self.partition).await?;
        if let Some(next) = stored.and_then(|offset| offset.get("index")?.as_u64()) {
            self.next = next;
        }
        self.started = Instant::now();
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        if self.is_finished() {
            return Ok(Polled::Finished);
        }
        let due = self.due().await;
        let now = self.context.clock.now();
        let mut records = Vec::with_capacity(usize::try_from(due).unwrap_or(0));
        for _ in 0..due {
            let record = self.record(now)?;
            if self.config.disorder().is_doubled(self.seed(), self.next) {
                records.push(record.clone());
            }
            records.push(record);
            self.next += u64::from(self.context.task_count);
            self.made += 1;
            if self.is_finished() {
                break;
            }
        }
        if let Some(last) = records.last_mut() {
            last.source_offset = Some([("index".to_owned(), json!(self.next))].into());
        }
        Ok(Polled::Records(records))
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_core::clock::ManualClock;
    use connect_core::config::{ConfigMap, ConnectorConfig};
    use connect_core::data::{SourceOffset, json};
    use connect_core::plugin::{OffsetReader, TaskId};

    struct Stored(Option<u64>);

    #[async_trait]
    impl OffsetReader for Stored {
        async fn offset(&self, _: &SourcePartition) -> Result<Option<SourceOffset>> {
            Ok(self
                .0
                .map(|index| [("index".to_owned(), json!(index))].into()))
        }
    }

    /// Polls to the end: the values, and the offset of each.
    async fn polled(changes: &[(&str, &str)], stored: Option<u64>) -> Vec<(String, Option<u64>)> {
        let mut options: ConfigMap = [
            ("kafka.topic", "t"),
            ("event.type", "dealer-sales"),
            ("rate", "0"),
            ("count", "1000"),
            ("batch.size", "64"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        options.extend(
            changes
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into())),
        );
        let context = SourceTaskContext {
            task: TaskId {
                connector: "generator".into(),
                task: 0,
            },
            task_count: 1,
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_705_314_600_123))),
            offsets: Arc::new(Stored(stored)),
            transactions: None,
        };
        let mut task = DatagenTask::new(DatagenConfig::from_map(&options).unwrap(), context);
        task.start().await.unwrap();
        let mut all = Vec::new();
        while let Polled::Records(records) = task.poll().await.unwrap() {
            for record in records {
                let mut value = Vec::new();
                json::write(&record.value, &mut value).unwrap();
                let offset = record
                    .source_offset
                    .and_then(|offset| offset.get("index")?.as_u64());
                all.push((String::from_utf8(value).unwrap(), offset));
            }
        }
        all
    }

    #[tokio::test]
    async fn doubled_events_come_twice_in_a_row_and_count_once() {
        let all = polled(&[("duplicates.percent", "10")], None).await;
        let mut distinct = all.clone();
        distinct.dedup_by(|later, earlier| later.0 == earlier.0);
        assert_eq!(distinct.len(), 1_000);
        assert!((1_060..1_140).contains(&all.len()), "{}", all.len());
        let plain = polled(&[], None).await;
        assert!(
            plain
                .iter()
                .zip(&distinct)
                .all(|(one, other)| one.0 == other.0)
        );
    }

    #[tokio::test]
    async fn a_restart_goes_on_after_any_stored_offset_with_the_same_events() {
        let changes = [("duplicates.percent", "30"), ("late.percent", "30")];
        let all = polled(&changes, None).await;
        let places = all.iter().enumerate();
        let stored: Vec<_> = places
            .filter_map(|(place, (_, offset))| Some((place, (*offset)?)))
            .collect();
        assert!(stored.len() >= 16, "{stored:?}");
        for (place, index) in stored {
            let rest = polled(&changes, Some(index)).await;
            assert!(
                rest.iter()
                    .map(|(value, _)| value)
                    .eq(all[place + 1..].iter().map(|(value, _)| value))
            );
        }
    }
}
