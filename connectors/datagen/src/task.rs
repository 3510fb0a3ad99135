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

    fn is_finished(&self) -> bool {
        u64::try_from(self.config.count).is_ok_and(|count| self.next >= count)
    }

    fn record(&self, now: Timestamp, last: bool) -> Result<SourceRecord> {
        let mut event = Vec::with_capacity(400);
        self.config
            .kind
            .write(self.config.seed.cast_unsigned(), self.next, now, &mut event);
        let key = self
            .config
            .key_field
            .as_deref()
            .and_then(|field| text_field(&event, field));
        let key = key.map_or_else(Datum::null, |key| Datum::schemaless(Value::string(key)));
        let next = self.next + u64::from(self.context.task_count);
        Ok(SourceRecord {
            source_partition: self.partition.clone(),
            source_offset: last.then(|| [("index".to_owned(), json!(next))].into()),
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
        for number in 1..=due {
            let after = self.next + u64::from(self.context.task_count);
            let ends = u64::try_from(self.config.count).is_ok_and(|count| after >= count);
            records.push(self.record(now, ends || number == due)?);
            self.next = after;
            self.made += 1;
            if ends {
                break;
            }
        }
        Ok(Polled::Records(records))
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}
