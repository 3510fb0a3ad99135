//! Exactly-once delivery on the embedded log, of a source that counts.

mod deliveries;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connect_core::clock::SystemClock;
use connect_core::config::{ConfigDef, ConfigMap};
use connect_core::data::{Datum, SourcePartition, SourceRecord, TopicPartition, Value};
use connect_core::plugin::{ConnectorPlugin, ConnectorType, ExactlyOnceSupport, TransactionEnd};
use connect_core::{Error, ErrorKind, RetryVerdict};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::kafka::embedded::EmbeddedLog;
use crate::kafka::{AutoOffsetReset, Consumer, ConsumerOptions, Isolation, Subscription};
use crate::runtime::WorkerSettings;
use crate::runtime::healing::Healer;
use crate::runtime::metrics::Startups;
use crate::runtime::status::BoardOwner;
use crate::runtime::status_writer::StatusWriter;
use crate::storage::{OffsetStorage, StorageTopicOptions, TopicPurpose, TopicStore};

const TOPIC: &str = "numbers";
const OFFSETS: &str = "offsets";
const SOON: Duration = Duration::from_secs(20);

static NUMBERS: ConnectorPlugin = ConnectorPlugin {
    class: "Numbers",
    aliases: &[],
    kind: ConnectorType::Source,
    version: "1",
    definition: ConfigDef::default,
};

/// Brings 0, 1, 2 … four at a time, up to a number that may be raised.
#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Numbers {
    /// Each so many numbers the source can go on.
    stride: i64,
    /// The tens whose transaction it drops, where it ends them.
    dropped: Vec<i64>,
    topic: String,
    /// Whether it asks for a long pause at its end.
    rests: bool,
    #[serde(skip)]
    upto: Arc<AtomicI64>,
    #[serde(skip)]
    acked: Arc<AtomicUsize>,
}

impl Numbers {
    fn to(upto: i64) -> Self {
        Self {
            stride: 1,
            dropped: Vec::new(),
            topic: TOPIC.to_owned(),
            rests: false,
            upto: Arc::new(AtomicI64::new(upto)),
            acked: Arc::default(),
        }
    }
}

#[typetag::deserialize(name = "test.Numbers")]
#[async_trait]
impl Connector for Numbers {
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        Some(ExactlyOnceSupport::Supported)
    }

    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(NumbersTask {
            numbers: self.clone(),
            context,
            partition: Arc::new([("numbers".to_owned(), json!("all"))].into()),
            next: 0,
        }))
    }
}

struct NumbersTask {
    numbers: Numbers,
    context: SourceTaskContext,
    partition: Arc<SourcePartition>,
    next: i64,
}

#[async_trait]
impl SourceTask for NumbersTask {
    async fn start(&mut self) -> Result<()> {
        let stored = self.context.offsets.offset(&self.partition).await?;
        self.next = stored
            .and_then(|offset| offset.get("next")?.as_i64())
            .unwrap_or(0);
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        while self.next >= self.numbers.upto.load(Ordering::Relaxed) {
            if self.numbers.rests {
                let pause = RetryVerdict::After(Duration::from_secs(3_600));
                return Err(Error::external("too many requests").retry(pause));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut records = Vec::new();
        while records.len() < 4 && self.next < self.numbers.upto.load(Ordering::Relaxed) {
            let number = self.next;
            self.next += 1;
            let goes_on = self.next % self.numbers.stride == 0;
            records.push(SourceRecord {
                source_partition: self.partition.clone(),
                source_offset: goes_on.then(|| [("next".to_owned(), json!(self.next))].into()),
                topic: self.numbers.topic.as_str().into(),
                partition: None,
                timestamp: None,
                headers: Vec::new(),
                key: Datum::null(),
                value: Datum::schemaless(Value::Int64(number)),
            });
            if let Some(transactions) = &self.context.transactions
                && self.next % 10 == 0
            {
                let is_dropped = self.numbers.dropped.contains(&(number / 10));
                let end = if is_dropped {
                    TransactionEnd::Abort
                } else {
                    TransactionEnd::Commit
                };
                transactions.end_after(records.len(), end);
            }
        }
        Ok(Polled::Records(records))
    }

    async fn acked(&mut self, count: usize) -> Result<()> {
        self.numbers.acked.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Lets tasks start; counts the generations it was asked for.
#[derive(Default)]
struct Gate {
    asked: AtomicI64,
    /// Whether each time there are newer configs.
    moves: bool,
    /// After so many questions the task is another worker's.
    lost_at: Option<i64>,
}

#[async_trait]
impl TaskGate for Gate {
    async fn fence(&self, _connector: &str, _config: &ConfigMap) -> Result<()> {
        Ok(())
    }

    async fn generation(&self, _connector: &str) -> Result<i64> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(if self.moves { asked } else { 1 })
    }

    fn check_held(&self, _task: &TaskId) -> Result<()> {
        let asked = self.asked.load(Ordering::Relaxed);
        match self.lost_at {
            Some(lost_at) if asked >= lost_at => Err(Error::external("another's")),
            _ => Ok(()),
        }
    }
}

/// A log with a topic for offsets.
struct Stage {
    log: Arc<EmbeddedLog>,
    _folder: TempDir,
}

struct Running {
    control: watch::Sender<Wanted>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    async fn stop(self) -> Result<()> {
        self.control.send(Wanted::Stop).unwrap();
        self.task.await.unwrap()
    }
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path()).await.unwrap();
        Self {
            log,
            _folder: folder,
        }
    }

    async fn offsets(&self) -> ConnectorOffsets {
        let options = StorageTopicOptions {
            purpose: TopicPurpose::Offsets,
            name: OFFSETS.to_owned(),
            partitions: Some(2),
            replication_factor: None,
            settings: ConfigMap::new(),
            client_id: "offsets".to_owned(),
        };
        let store = TopicStore::open(&*self.log, &options).await.unwrap();
        let storage = OffsetStorage::open(Arc::new(store)).await.unwrap();
        ConnectorOffsets::new("numbers", None, storage)
    }

    async fn spec(
        &self,
        numbers: &Numbers,
        options: &[(&str, &str)],
        gate: Gate,
    ) -> SourceTaskSpec {
        let own = [("name", "numbers"), ("connector.class", "Numbers")];
        let config: ConfigMap = own
            .iter()
            .chain(options)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut worker = WorkerSettings::read(&ConfigMap::new()).unwrap();
        let schemas = "value.converter.schemas.enable".to_owned();
        worker.properties.insert(schemas, "false".to_owned());
        SourceTaskSpec {
            id: TaskId {
                connector: "numbers".into(),
                task: 0,
            },
            task_count: 1,
            connector: Arc::new(numbers.clone()),
            pipeline: Pipeline::of(&config, &worker).unwrap(),
            config,
            log: self.log.clone(),
            producer_settings: ConfigMap::new(),
            admin_settings: ConfigMap::new(),
            makes_topics: true,
            clock: Arc::new(SystemClock),
            offsets: self.offsets().await,
            flush_interval: Duration::from_secs(60),
            status: board(),
            metrics: TaskMetrics::default(),
            topics: None,
            exactly_once: Some(ExactlyOnceSpec {
                group: "group".to_owned(),
                gate: Arc::new(gate),
                offsets_topic: OFFSETS.to_owned(),
            }),
        }
    }

    async fn run(&self, numbers: &Numbers, options: &[(&str, &str)]) -> Running {
        let spec = self.spec(numbers, options, Gate::default()).await;
        let (control, line) = Control::line(Wanted::Run);
        let task = tokio::spawn(run(spec, line));
        Running { control, task }
    }

    /// Waits until so many numbers are committed; all that are.
    async fn committed(&self, count: usize) -> Vec<i64> {
        let partition = TopicPartition::new(TOPIC, 0);
        let options = ConsumerOptions {
            group: None,
            subscription: Subscription::Partitions(vec![partition]),
            client_id: "reader".to_owned(),
            auto_offset_reset: AutoOffsetReset::Earliest,
            isolation: Isolation::ReadCommitted,
            max_poll_records: 100,
            fetch_max_bytes: 1 << 20,
            listener: None,
            overrides: ConfigMap::new(),
        };
        let until = std::time::Instant::now() + SOON;
        while self
            .log
            .admin()
            .describe_topic(TOPIC)
            .await
            .unwrap()
            .is_none()
        {
            assert!(std::time::Instant::now() < until, "nothing is written");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let reader: Arc<dyn Consumer> = self.log.consumer(options).await.unwrap();
        let mut numbers = Vec::new();
        while numbers.len() < count && std::time::Instant::now() < until {
            for record in reader.poll(Duration::from_millis(50)).await.unwrap() {
                let text = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                numbers.push(text.parse().unwrap());
            }
        }
        for record in reader.poll(Duration::from_millis(50)).await.unwrap() {
            numbers.push(
                String::from_utf8(record.value.unwrap().to_vec())
                    .unwrap()
                    .parse()
                    .unwrap(),
            );
        }
        numbers
    }
}

fn board() -> StatusBoard {
    let clock = Arc::new(SystemClock);
    let (commands, _) = tokio::sync::mpsc::channel(1);
    StatusBoard::new(BoardOwner {
        name: "numbers".to_owned(),
        plugin: &NUMBERS,
        worker_id: "here".to_owned(),
        clock: clock.clone(),
        startups: Startups::default(),
        healer: Healer::new(None, commands.downgrade(), clock),
        statuses: StatusWriter::default(),
    })
}

fn all(numbers: std::ops::Range<i64>) -> Vec<i64> {
    numbers.collect()
}

#[tokio::test]
async fn a_task_goes_on_after_the_last_transaction() {
    let stage = Stage::set().await;
    let numbers = Numbers::to(10);
    let first = stage.run(&numbers, &[]).await;
    assert_eq!(stage.committed(10).await, all(0..10));
    first.stop().await.unwrap();
    assert_eq!(numbers.acked.load(Ordering::Relaxed), 10);
    numbers.upto.store(22, Ordering::Relaxed);
    let second = stage.run(&numbers, &[]).await;
    assert_eq!(stage.committed(22).await, all(0..22));
    second.stop().await.unwrap();
}

#[tokio::test]
async fn an_interval_is_committed_when_the_task_stops() {
    let stage = Stage::set().await;
    let numbers = Numbers::to(10);
    let first = stage
        .run(&numbers, &[("transaction.boundary", "interval")])
        .await;
    while numbers.acked.load(Ordering::Relaxed) == 0 && !first.task.is_finished() {
        // What is open is committed because of the pause.
        first.control.send(Wanted::Pause).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        first.control.send(Wanted::Run).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.committed(10).await, all(0..10));
    numbers.upto.store(15, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.stop().await.unwrap();
    let committed = stage.committed(10).await;
    assert_eq!(committed, all(0..i64::try_from(committed.len()).unwrap()));
    assert_eq!(numbers.acked.load(Ordering::Relaxed), committed.len());
}

#[tokio::test]
async fn a_connector_ends_its_transactions_itself() {
    let stage = Stage::set().await;
    let numbers = Numbers {
        dropped: vec![1],
        ..Numbers::to(34)
    };
    let options = [("transaction.boundary", "connector")];
    let first = stage.run(&numbers, &options).await;
    let wanted: Vec<_> = (0..10).chain(20..30).collect();
    assert_eq!(stage.committed(20).await, wanted);
    // Open at the end, it is dropped, and comes again.
    first.stop().await.unwrap();
    assert_eq!(stage.committed(20).await, wanted);
    assert_eq!(numbers.acked.load(Ordering::Relaxed), 30);
    numbers.upto.store(40, Ordering::Relaxed);
    let second = stage.run(&numbers, &options).await;
    let wanted: Vec<_> = (0..10).chain(20..40).collect();
    assert_eq!(stage.committed(30).await, wanted);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn records_after_which_a_source_cannot_go_on_wait_for_one_after_which_it_can() {
    let stage = Stage::set().await;
    let numbers = Numbers {
        stride: 10,
        ..Numbers::to(25)
    };
    let first = stage.run(&numbers, &[]).await;
    assert_eq!(stage.committed(20).await, all(0..20));
    first.stop().await.unwrap();
    assert_eq!(stage.committed(20).await, all(0..20));
    numbers.upto.store(47, Ordering::Relaxed);
    let second = stage.run(&numbers, &[]).await;
    assert_eq!(stage.committed(40).await, all(0..40));
    // A pause does not keep the transaction open: what it held comes again.
    second.control.send(Wanted::Pause).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    numbers.upto.store(50, Ordering::Relaxed);
    second.control.send(Wanted::Run).unwrap();
    assert_eq!(stage.committed(50).await, all(0..50));
    second.stop().await.unwrap();
    assert_eq!(numbers.acked.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn a_task_of_configs_that_are_no_longer_the_newest_does_not_start() {
    let stage = Stage::set().await;
    let gate = Gate {
        moves: true,
        ..Gate::default()
    };
    let spec = stage.spec(&Numbers::to(10), &[], gate).await;
    let (_control, line) = Control::line(Wanted::Run);
    let refused = run(spec, line).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_task_whose_place_another_has_taken_writes_no_more_and_says_so() {
    let stage = Stage::set().await;
    let (older, newer) = (Numbers::to(10), Numbers::to(10));
    let first = stage.run(&older, &[]).await;
    assert_eq!(stage.committed(10).await, all(0..10));
    let second = stage.run(&newer, &[]).await;
    newer.upto.store(20, Ordering::Relaxed);
    assert_eq!(stage.committed(20).await, all(0..20));
    older.upto.store(30, Ordering::Relaxed);
    let fenced = first.task.await.unwrap().unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Conflict);
    assert!(fenced.to_string().contains("fenced out"), "{fenced}");
    assert!(fenced.is_retriable(), "it is this worker's still");
    assert_eq!(stage.committed(20).await, all(0..20));
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_task_that_is_no_longer_this_workers_does_not_take_its_place_back() {
    let stage = Stage::set().await;
    let numbers = Numbers::to(10);
    let theirs = stage.run(&numbers, &[]).await;
    assert_eq!(stage.committed(10).await, all(0..10));
    let gate = Gate {
        lost_at: Some(1),
        ..Gate::default()
    };
    let spec = stage.spec(&numbers, &[], gate).await;
    let (_control, line) = Control::line(Wanted::Run);
    run(spec, line).await.unwrap_err();
    numbers.upto.store(20, Ordering::Relaxed);
    assert_eq!(stage.committed(20).await, all(0..20));
    theirs.stop().await.unwrap();
}

#[tokio::test]
async fn a_task_lost_while_its_producer_was_made_does_not_start() {
    let stage = Stage::set().await;
    let gate = Gate {
        lost_at: Some(2),
        ..Gate::default()
    };
    let spec = stage.spec(&Numbers::to(10), &[], gate).await;
    let (_control, line) = Control::line(Wanted::Run);
    run(spec, line).await.unwrap_err();
}

#[tokio::test]
async fn an_interval_ends_while_the_source_has_asked_for_a_pause() {
    let stage = Stage::set().await;
    let numbers = Numbers {
        rests: true,
        ..Numbers::to(10)
    };
    let options = [
        ("transaction.boundary", "interval"),
        ("transaction.boundary.interval.ms", "100"),
    ];
    let running = stage.run(&numbers, &options).await;
    assert_eq!(stage.committed(10).await, all(0..10));
    running.stop().await.unwrap();
    assert_eq!(numbers.acked.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn the_topic_of_the_offsets_is_not_for_records() {
    let stage = Stage::set().await;
    let numbers = Numbers {
        topic: OFFSETS.to_owned(),
        ..Numbers::to(10)
    };
    let first = stage.run(&numbers, &[]).await;
    let refused = first.task.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("their own offsets topics"), "{refused}");
}
