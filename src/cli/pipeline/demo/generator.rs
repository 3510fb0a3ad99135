//! Makes events and writes them to the log, one after the other, each until it is acknowledged.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use connect_core::data::Timestamp;

use super::ledger::{Delivery, Ledger, Made};
use super::pace::Pace;
use crate::cli::produce::{EventKind, text_field};
use crate::kafka::{Producer, ProducerRecord};

/// Makes the events of one stream.
pub(super) struct Generator {
    pub(super) kind: EventKind,
    pub(super) topic: Arc<str>,
    /// The same for all streams of a run: together they tell one story.
    pub(super) seed: u64,
    pub(super) producer: Arc<dyn Producer>,
    pub(super) ledger: Ledger,
}

impl Generator {
    /// Produces until the pace ends; what is in the ledger then is in the log.
    pub(super) async fn run(self, pace: Pace) -> Result<()> {
        let mut index = 0;
        while pace.wait_for(index).await {
            let made = self.produce(index).await;
            let made = made.with_context(|| format!("producing to {}", self.topic))?;
            self.ledger.add(made);
            index += 1;
        }
        Ok(())
    }

    async fn produce(&self, index: u64) -> Result<Made> {
        let (begin, made) = (Instant::now(), SystemTime::now());
        let mut json = Vec::with_capacity(420);
        let time = timestamp(made);
        self.kind.write(self.seed, index, time, &mut json);
        let id = text_field(&json, self.kind.id_field()).context("an event without an id")?;
        let id = id.to_owned();
        let record = ProducerRecord {
            topic: self.topic.clone(),
            partition: None,
            timestamp: Some(time),
            headers: Vec::new(),
            key: None,
            value: Some(json.into()),
        };
        let results = self.producer.send(vec![record]).await?;
        let result = results.into_iter().next();
        result.context("no answer for a record")??;
        let delivery = Delivery {
            took: begin.elapsed(),
            acknowledged: SystemTime::now(),
        };
        Ok(Made {
            id,
            made,
            delivery: Some(delivery),
        })
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
