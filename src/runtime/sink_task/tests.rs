//! The loop on the embedded log, with a target that fails when its partitions come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_core::clock::SystemClock;
use connect_core::config::ConfigMap;
use connect_core::data::{Offset, Offsets, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::{
    Assignment, Connector, ConnectorType, MemoryBudget, SinkTask, SinkTaskContext, TaskId,
};
use connect_core::{Error, Result, RetryVerdict};
use tempfile::TempDir;

use super::{SinkTaskSpec, run};
use crate::kafka::embedded::EmbeddedLog;
use crate::kafka::{Log, NewTopic, ProducerOptions, ProducerRecord};
use crate::runtime::WorkerSettings;
use crate::runtime::control::{Control, Wanted};
use crate::runtime::pipeline::Pipeline;
use crate::runtime::status::StatusBoard;

const TOPIC: &str = "topic";

/// What the target has, and how often opening fails.
#[derive(Debug, Default)]
struct Target {
    records: Vec<(i32, i64)>,
    failures: u32,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Fragile {
    #[serde(skip)]
    target: Arc<Mutex<Target>>,
}

#[typetag::deserialize(name = "test.Fragile")]
#[async_trait]
impl Connector for Fragile {
    fn sink_task(&self, _context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(FragileTask {
            target: self.target.clone(),
            open: Offsets::new(),
        }))
    }
}

struct FragileTask {
    target: Arc<Mutex<Target>>,
    /// Open partitions, with the offset after the last record taken.
    open: Offsets,
}

#[async_trait]
impl SinkTask for FragileTask {
    async fn open(&mut self, partitions: &[Assignment]) -> Result<()> {
        let mut target = self.target.lock().unwrap();
        if target.failures > 0 {
            target.failures -= 1;
            return Err(Error::external("not there yet").retry(RetryVerdict::Backoff));
        }
        for assignment in partitions {
            let start = assignment.committed.clone();
            let start = start.unwrap_or_else(|| Offset::new(0).into());
            self.open.insert(assignment.partition.clone(), start);
        }
        Ok(())
    }

    async fn put(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        for record in records.drain(..) {
            let next = record.offset.next().into();
            let known = self.open.insert(record.origin.clone(), next);
            assert!(known.is_some(), "a record of a partition that is not open");
            let mut target = self.target.lock().unwrap();
            target
                .records
                .push((record.origin.partition, record.offset.value()));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<Offsets> {
        Ok(self.open.clone())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.open
            .retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }
}

async fn log_with_records(folder: &TempDir) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(folder.path()).await.unwrap();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(2),
        replication_factor: None,
        settings: ConfigMap::new(),
    };
    assert!(log.admin().create_topic(&topic).await.unwrap());
    let producer = log.producer(ProducerOptions::default()).await.unwrap();
    let record = |number: i32| ProducerRecord {
        topic: TOPIC.into(),
        partition: Some(number % 2),
        timestamp: None,
        headers: Vec::new(),
        key: None,
        value: Some("{}".into()),
    };
    for sent in producer.send((0..20).map(record).collect()).await.unwrap() {
        sent.unwrap();
    }
    log
}

fn spec(log: Arc<EmbeddedLog>, fragile: &Fragile) -> SinkTaskSpec {
    let config = ConfigMap::from([("topics".to_owned(), TOPIC.to_owned())]);
    let mut worker = WorkerSettings::read(&ConfigMap::new()).unwrap();
    let schemas = "value.converter.schemas.enable".to_owned();
    worker.properties.insert(schemas, "false".to_owned());
    SinkTaskSpec {
        id: TaskId {
            connector: "fragile".into(),
            task: 0,
        },
        connector: Arc::new(fragile.clone()),
        pipeline: Pipeline::of(&config, &worker).unwrap(),
        config,
        log,
        consumer_settings: ConfigMap::new(),
        clock: Arc::new(SystemClock),
        memory: MemoryBudget::new(1 << 26),
        flush_interval: Duration::from_millis(50),
        status: StatusBoard::new("fragile", ConnectorType::Sink, "1", "here"),
    }
}

#[tokio::test]
async fn partitions_that_cannot_be_opened_at_first_lose_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_with_records(&folder).await;
    let fragile = Fragile::default();
    fragile.target.lock().unwrap().failures = 2;
    let (sender, control) = Control::line(Wanted::Run);
    let task = tokio::spawn(run(spec(log.clone(), &fragile), control));
    let deadline = Instant::now() + Duration::from_secs(20);
    while fragile.target.lock().unwrap().records.len() < 20 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sender.send(Wanted::Stop).unwrap();
    task.await.unwrap().unwrap();
    let mut records = fragile.target.lock().unwrap().records.clone();
    records.sort_unstable();
    let expected: Vec<_> = (0..2)
        .flat_map(|partition| (0..10).map(move |offset| (partition, offset)))
        .collect();
    assert_eq!(records, expected, "each record once");
}
