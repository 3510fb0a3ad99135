//! The loop on the embedded log, with a target that fails when its partitions come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_core::clock::{Clock, ManualClock, SystemClock};
use connect_core::config::{ConfigDef, ConfigMap};
use connect_core::data::{Offset, Offsets, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::{
    Assignment, Connector, ConnectorPlugin, ConnectorType, MemoryBudget, MemoryShare, SinkTask,
    SinkTaskContext, TaskId,
};
use connect_core::{Error, Result, RetryVerdict};
use tempfile::TempDir;

use super::{SinkTaskSpec, run};
use crate::kafka::embedded::EmbeddedLog;
use crate::kafka::{Log, NewTopic, ProducerOptions, ProducerRecord};
use crate::runtime::WorkerSettings;
use crate::runtime::control::{Control, Wanted};
use crate::runtime::healing::Healer;
use crate::runtime::metrics::{Startups, TaskMetrics};
use crate::runtime::pipeline::Pipeline;
use crate::runtime::status::{BoardOwner, StatusBoard};
use crate::runtime::status_writer::StatusWriter;

static FRAGILE: ConnectorPlugin = ConnectorPlugin {
    class: "Fragile",
    aliases: &[],
    kind: ConnectorType::Sink,
    version: "1",
    definition: ConfigDef::default,
};

/// A board that nobody reads.
fn board() -> StatusBoard {
    let clock = Arc::new(SystemClock);
    let (commands, _) = tokio::sync::mpsc::channel(1);
    StatusBoard::new(BoardOwner {
        name: "fragile".to_owned(),
        plugin: &FRAGILE,
        worker_id: "here".to_owned(),
        clock: clock.clone(),
        startups: Startups::default(),
        healer: Healer::new(None, commands.downgrade(), clock),
        statuses: StatusWriter::default(),
    })
}

const TOPIC: &str = "topic";
const BUDGET: usize = 1 << 26;

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
    fn sink_task(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(FragileTask {
            target: self.target.clone(),
            open: Offsets::new(),
            _memory: context.memory,
        }))
    }
}

struct FragileTask {
    target: Arc<Mutex<Target>>,
    /// Open partitions, with the offset after the last record taken.
    open: Offsets,
    _memory: MemoryShare,
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
    spec_with(
        log,
        fragile,
        Arc::new(SystemClock),
        &MemoryBudget::new(BUDGET),
    )
}

fn spec_with(
    log: Arc<EmbeddedLog>,
    fragile: &Fragile,
    clock: Arc<dyn Clock>,
    memory: &MemoryBudget,
) -> SinkTaskSpec {
    let config = [
        ("name", "fragile"),
        ("connector.class", "Fragile"),
        ("topics", TOPIC),
    ];
    let config = ConfigMap::from(config.map(|(key, value)| (key.to_owned(), value.to_owned())));
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
        producer_settings: ConfigMap::new(),
        admin_settings: ConfigMap::new(),
        clock,
        memory: memory.clone(),
        flush_interval: Duration::from_millis(50),
        status: board(),
        metrics: TaskMetrics::default(),
        topics: None,
    }
}

/// Waits until the target has 20 records, or long enough.
async fn wait_for_all(fragile: &Fragile) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while fragile.target.lock().unwrap().records.len() < 20 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_does_not_hold_up_a_retry() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_with_records(&folder).await;
    let fragile = Fragile::default();
    fragile.target.lock().unwrap().failures = 2;
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
    let memory = MemoryBudget::new(BUDGET);
    let spec = spec_with(log, &fragile, Arc::new(clock.clone()), &memory);
    let (sender, control) = Control::line(Wanted::Run);
    let task = tokio::spawn(run(spec, control));
    while fragile.target.lock().unwrap().failures == 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    clock.set(Timestamp::from_millis(1_600_000_000_000));
    wait_for_all(&fragile).await;
    assert_eq!(fragile.target.lock().unwrap().records.len(), 20);
    sender.send(Wanted::Stop).unwrap();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_task_that_begins_paused_reads_nothing_until_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_with_records(&folder).await;
    let fragile = Fragile::default();
    let (sender, control) = Control::line(Wanted::Pause);
    let task = tokio::spawn(run(spec(log, &fragile), control));
    // Long enough to join the group and to poll several times.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(fragile.target.lock().unwrap().records, []);
    sender.send(Wanted::Run).unwrap();
    wait_for_all(&fragile).await;
    assert_eq!(fragile.target.lock().unwrap().records.len(), 20);
    sender.send(Wanted::Stop).unwrap();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_task_that_has_ended_holds_no_share_of_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_with_records(&folder).await;
    let fragile = Fragile::default();
    let memory = MemoryBudget::new(BUDGET);
    for _run in 0..2 {
        let clock = Arc::new(SystemClock);
        let spec = spec_with(log.clone(), &fragile, clock, &memory);
        let (sender, control) = Control::line(Wanted::Run);
        let task = tokio::spawn(run(spec, control));
        wait_for_all(&fragile).await;
        sender.send(Wanted::Stop).unwrap();
        task.await.unwrap().unwrap();
    }
    assert_eq!(memory.join().bytes(), BUDGET);
}

#[tokio::test]
async fn partitions_that_cannot_be_opened_at_first_lose_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_with_records(&folder).await;
    let fragile = Fragile::default();
    fragile.target.lock().unwrap().failures = 2;
    let (sender, control) = Control::line(Wanted::Run);
    let task = tokio::spawn(run(spec(log.clone(), &fragile), control));
    wait_for_all(&fragile).await;
    sender.send(Wanted::Stop).unwrap();
    task.await.unwrap().unwrap();
    let mut records = fragile.target.lock().unwrap().records.clone();
    records.sort_unstable();
    let expected: Vec<_> = (0..2)
        .flat_map(|partition| (0..10).map(move |offset| (partition, offset)))
        .collect();
    assert_eq!(records, expected, "each record once");
}
