//! Source tasks: their offsets, and polls as a worker makes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::clock::SystemClock;
use crate::data::{SourceOffset, SourcePartition, SourceRecord, json};
use crate::plugin::{Connector, OffsetReader, Polled, SourceTask, SourceTaskContext, TaskId};
use crate::{Error, Result};

/// The longest a poll may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Offsets that were stored: what outlives a task.
#[derive(Debug, Default)]
pub struct StoredOffsets(Mutex<BTreeMap<String, SourceOffset>>);

/// Maps in JSON are no keys.
fn key(partition: &SourcePartition) -> String {
    serde_json::to_string(partition).unwrap()
}

impl StoredOffsets {
    /// What is stored for a partition.
    pub fn get(&self, partition: &SourcePartition) -> Option<SourceOffset> {
        self.0.lock().unwrap().get(&key(partition)).cloned()
    }

    /// Stores an offset, as a worker does, or somebody by hand.
    pub fn set(&self, partition: &SourcePartition, offset: SourceOffset) {
        self.0.lock().unwrap().insert(key(partition), offset);
    }

    /// All that is stored, as text.
    pub fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

#[async_trait]
impl OffsetReader for StoredOffsets {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.get(partition))
    }
}

/// A source task, driven as a worker drives it.
pub struct SourceDriver {
    task: Box<dyn SourceTask>,
    offsets: Arc<StoredOffsets>,
}

impl SourceDriver {
    /// Starts one of a connector's `task_count` tasks where the stored offsets say.
    pub async fn start(
        connector: &dyn Connector,
        task: TaskId,
        task_count: u32,
        offsets: Arc<StoredOffsets>,
    ) -> Self {
        let context = SourceTaskContext {
            task,
            task_count,
            clock: Arc::new(SystemClock),
            offsets: offsets.clone(),
            transactions: None,
        };
        let mut task = connector.source_task(context).unwrap();
        task.start().await.unwrap();
        Self { task, offsets }
    }

    /// One poll of a source that has no end; nothing is stored.
    pub async fn poll(&mut self) -> Result<Vec<SourceRecord>> {
        let polled = self.poll_within(DEADLINE).await;
        polled.expect("a poll ends in time")
    }

    /// A poll that is dropped after `patience`, as a worker drops one to pause or to store offsets.
    pub async fn poll_within(&mut self, patience: Duration) -> Option<Result<Vec<SourceRecord>>> {
        let polled = tokio::time::timeout(patience, self.task.poll())
            .await
            .ok()?;
        Some(polled.map(|polled| match polled {
            Polled::Records(records) => records,
            Polled::Finished => panic!("the source has come to its end"),
        }))
    }

    /// Stores the offsets of records and tells the task.
    pub async fn acknowledge(&mut self, records: &[SourceRecord]) {
        for record in records {
            if let Some(offset) = &record.source_offset {
                self.offsets.set(&record.source_partition, offset.clone());
            }
        }
        self.task.acked(records.len()).await.unwrap();
    }

    /// One poll whose records are acknowledged: their values as text.
    pub async fn next(&mut self) -> Vec<String> {
        let records = self.poll().await.unwrap();
        self.acknowledge(&records).await;
        values(&records)
    }

    /// The same of a poll that may be dropped after `patience`.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Vec<String>> {
        let records = self.poll_within(patience).await?.unwrap();
        self.acknowledge(&records).await;
        Some(values(&records))
    }

    /// Polls until there are `count` records at least: their values as text.
    pub async fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.extend(self.next().await);
        }
        taken
    }

    /// Polls until `done`; meanwhile no record must come.
    pub async fn quiet_until(&mut self, done: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done() {
            assert!(Instant::now() < deadline, "not in time");
            let brought = self.next_within(Duration::from_millis(10)).await;
            assert_eq!(brought, None);
        }
    }

    /// The error of a poll.
    pub async fn failure(&mut self) -> Error {
        self.poll().await.unwrap_err()
    }
}

/// The values of records as JSON; what came as JSON is as it was spelled.
pub fn values(records: &[SourceRecord]) -> Vec<String> {
    let text = |record: &SourceRecord| {
        let mut text = Vec::new();
        json::write(&record.value, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    records.iter().map(text).collect()
}
