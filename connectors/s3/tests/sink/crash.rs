//! Exactly once, whatever dies: tasks that crash at every commit point, with another configuration each time.

use std::time::Duration;

use connect_core::clock::Clock;
use connect_core::config::ConfigMap;
use connect_core::data::Timestamp;
use connect_core::plugin::MemoryBudget;
use connect_core::{ErrorKind, Result};
use fastrand::Rng;

use crate::harness::{CommitFault, LogRecord, Row, RunningTask, World, committed, rows_of_json};

/// Record times begin here.
const BEGIN: i64 = 1_710_052_200_000;

/// What stays the same through all lives of a connector, since it names objects or makes their bytes.
#[derive(Clone, Copy)]
struct Setup {
    options: &'static [(&'static str, &'static str)],
    /// The clock when it begins.
    clock: i64,
    /// How far the clock moves between two flushes, at most.
    pace: u64,
    /// True if each life has a clock of its own, behind or before the last.
    clocks_differ: bool,
    /// So many times more records than usual come, and come at once.
    crowd: usize,
}

const BY_PATH: &[(&str, &str)] = &[
    (
        "partitioner.class",
        "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
    ),
    ("partition.duration.ms", "600000"),
    ("path.format", "'hour'=HH/'minute'=mm"),
    ("locale", "en"),
    ("timezone", "Europe/Berlin"),
];

impl Setup {
    const fn new(options: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            options,
            clock: BEGIN,
            pace: 200_000,
            clocks_differ: false,
            crowd: 1,
        }
    }

    /// Many rotations in each second, in the hour that clocks show twice; workers whose clocks differ.
    const fn many_a_second(options: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            options,
            clock: 1_730_611_800_000,
            pace: 700,
            clocks_differ: true,
            crowd: 1,
        }
    }
}

fn partitions(chance: &mut Rng, world: &mut World, crowd: usize) -> Vec<Row> {
    let mut produced = Vec::new();
    for partition in 0..2 {
        let mut time = BEGIN;
        let mut records = Vec::new();
        for number in 0..chance.usize(40..90) * crowd {
            time += chance.i64(0..120_000);
            let more = match chance.u8(0..4) {
                0 => String::new(),
                _ => format!(r#","extra{}":"a,\"b\"""#, chance.u8(0..3)),
            };
            let line = format!(r#"{{"partition":{partition},"number":{number}{more}}}"#);
            produced.extend(rows_of_json(line.as_bytes()));
            records.push(LogRecord::text(line, time));
        }
        world.partitions.insert(partition, records);
    }
    produced.sort();
    produced
}

/// Rotation may differ from run to run; what names objects stays.
fn config(chance: &mut Rng, world: &World, setup: Setup) -> ConfigMap {
    let flush_size = chance.usize(1..30 / setup.crowd + 1).to_string();
    let interval = ["-1", "60000", "300000"][chance.usize(0..3)];
    let schedule = ["-1", "-1", "600000"][chance.usize(0..3)];
    let mut options = setup.options.to_vec();
    options.extend([
        ("flush.size", flush_size.as_str()),
        ("rotate.interval.ms", interval),
        ("rotate.schedule.interval.ms", schedule),
    ]);
    world.config(&options)
}

/// One life of a task: it ends with the first error that the runtime would not try again, or by `kill`.
async fn live(chance: &mut Rng, world: &World, setup: Setup, task: &mut RunningTask) -> Result<()> {
    for _ in 0..chance.usize(1..12) {
        let partition = chance.i32(0..2);
        let records = chance.usize(0..20) * setup.crowd;
        task.feed(world, partition, records).await?;
        world
            .clock
            .advance(Duration::from_millis(chance.u64(0..setup.pace)));
        world.group.fail_next(match chance.u8(0..8) {
            0 => CommitFault::DieBefore,
            1 => CommitFault::DieAfter,
            2 => CommitFault::Refused,
            _ => CommitFault::None,
        });
        let again = chance.usize(0..4);
        let mut outcome = task.flush(world).await;
        for _ in 0..again {
            match &outcome {
                Err(error) if error.is_retriable() => outcome = task.flush(world).await,
                _ => break,
            }
        }
        outcome?;
    }
    Ok(())
}

/// The worker falls asleep between its plan and the upload.
async fn fall_asleep(world: &World, mut task: RunningTask) -> RunningTask {
    world.group.fail_next(CommitFault::None);
    world.server.faults().down(true);
    let _fails = task.flush(world).await;
    world.server.faults().down(false);
    task
}

/// It wakes up when another has its partitions: it uploads by its plan, and no commit of it is taken.
async fn wake_up(world: &World, mut asleep: RunningTask) -> Option<RunningTask> {
    world.server.faults().one_in(0);
    world.group.fail_next(CommitFault::Refused);
    let _not_committed = asleep.task.flush().await;
    world.group.fail_next(CommitFault::None);
    None
}

async fn exactly_once(seed: u64, setup: Setup) {
    let mut chance = Rng::with_seed(seed);
    let mut world = World::new().await;
    world.clock.set(Timestamp::from_millis(setup.clock));
    let produced = partitions(&mut chance, &mut world, setup.crowd);
    let faults = [0, 3, 10][chance.usize(0..3)];
    let mut asleep: Option<RunningTask> = None;
    for life in 0..12 {
        world.server.faults().one_in(faults);
        if setup.clocks_differ && life == 6 {
            world.clock.advance(Duration::from_secs(3_590));
        }
        if setup.clocks_differ {
            let differ = world.clock.now().as_millis() + chance.i64(-3_000..3_000);
            world.clock.set(Timestamp::from_millis(differ));
        }
        // Some workers have hardly any memory, and end rotations early where no plan forbids it.
        let memory = [256 << 20, 100 << 10][chance.usize(0..2)];
        world.memory = MemoryBudget::new(memory);
        let config = config(&mut chance, &world, setup);
        let mut task = world.task(&config).await;
        // How it ended does not matter, if no name was taken: it is killed now.
        if let Err(error) = live(&mut chance, &world, setup, &mut task).await {
            assert_ne!(error.kind(), ErrorKind::Config, "seed {seed}: {error}");
        }
        asleep = match asleep {
            Some(other) => wake_up(&world, other).await,
            None if chance.bool() => Some(fall_asleep(&world, task).await),
            None => None,
        };
    }
    world.server.faults().one_in(0);
    world.group.fail_next(CommitFault::None);
    let mut config = config(&mut chance, &world, setup);
    config.insert("flush.size".to_owned(), "1".to_owned());
    let mut task = world.task(&config).await;
    task.run_to_end(&world).await.unwrap();
    assert_eq!(world.rows(), produced, "seed {seed}");
    for (partition, records) in &world.partitions {
        let committed = committed(&world, *partition).unwrap();
        let end = i64::try_from(records.len()).unwrap();
        assert_eq!(committed.offset.value(), end, "seed {seed}");
    }
}

/// `more` beside the options of the paths by time.
fn by_path(more: &[(&'static str, &'static str)]) -> Setup {
    Setup::new([BY_PATH, more].concat().leak())
}

#[tokio::test]
async fn killed_anywhere_each_record_is_once_in_the_bucket_by_record_time() {
    let setup = by_path(&[("timestamp.extractor", "Record")]);
    for seed in 0..60 {
        exactly_once(seed, setup).await;
    }
}

#[tokio::test]
async fn killed_anywhere_each_record_is_once_in_the_bucket_by_the_wall_clock() {
    let setup = by_path(&[("timestamp.extractor", "Wallclock")]);
    for seed in 0..60 {
        exactly_once(seed, setup).await;
    }
}

const CSV: (&str, &str) = ("format.class", "sluice.s3.format.CsvFormat");

#[tokio::test]
async fn killed_anywhere_each_row_is_once_in_csv_named_by_the_second() {
    let setup = Setup::many_a_second(&[
        CSV,
        ("topics.dir", ""),
        ("timezone", "America/New_York"),
        (
            "file.name.template",
            "{{topic}}/{{topic}}_{{timestamp:yyyyMMdd_HHmmss}}",
        ),
    ]);
    for seed in 0..60 {
        exactly_once(seed, setup).await;
    }
}

/// Headers are written at once: nearly every rotation has several objects of a path.
#[tokio::test]
async fn killed_anywhere_each_row_is_once_in_csv_whose_headers_widen() {
    let setup = by_path(&[
        CSV,
        ("csv.header.wait.bytes", "0"),
        ("timestamp.extractor", "Record"),
        (
            "file.name.template",
            "{{topic}}/{{path}}/{{timestamp:yyyyMMdd}}",
        ),
    ]);
    for seed in 0..40 {
        exactly_once(seed, setup).await;
    }
}

#[tokio::test]
async fn killed_anywhere_each_record_is_once_in_the_bucket_with_wall_clock_paths_and_names() {
    let setup = Setup {
        pace: 2_000,
        clocks_differ: true,
        ..by_path(&[
            ("timestamp.extractor", "Wallclock"),
            (
                "file.name.template",
                "{{path}}/{{partition}}-{{timestamp:yyyyMMdd_HHmmss}}",
            ),
        ])
    };
    for seed in 0..40 {
        exactly_once(seed, setup).await;
    }
}

/// More rotations at once than a plan holds: records wait, and plans follow each other in one flush.
#[tokio::test]
async fn killed_anywhere_each_record_is_once_in_the_bucket_although_plans_are_too_short() {
    let setup = Setup {
        crowd: 10,
        ..Setup::many_a_second(&[
            ("timezone", "America/New_York"),
            (
                "file.name.template",
                "{{topic}}/{{topic}}_{{timestamp:yyyyMMdd_HHmmss}}",
            ),
        ])
    };
    for seed in 0..3 {
        exactly_once(seed, setup).await;
    }
}

#[tokio::test]
async fn a_task_that_lost_its_partition_writes_nothing() {
    let mut world = World::new().await;
    let records = (0..3).map(|number| LogRecord::text(number.to_string(), 0));
    world.partitions.insert(0, records.collect());
    let mut task = world.task(&world.config(&[])).await;
    task.feed(&world, 0, 3).await.unwrap();
    world.group.fail_next(CommitFault::Refused);
    let error = task.flush(&world).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(world.objects().is_empty());
}

#[tokio::test]
async fn objects_appear_only_after_their_plan() {
    let mut world = World::new().await;
    let records = (0..3).map(|number| LogRecord::text(number.to_string(), 0));
    world.partitions.insert(0, records.collect());
    world.server.faults().down(true);
    let mut task = world.task(&world.config(&[])).await;
    task.feed(&world, 0, 3).await.unwrap();
    assert!(task.flush(&world).await.unwrap_err().is_retriable());
    assert_eq!(world.group.note_of(0), "sluice-s3/1 3");
    assert!(world.objects().is_empty());
    world.server.faults().down(false);
    task.flush(&world).await.unwrap();
    assert_eq!(world.lines(), ["0", "1", "2"]);
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 3);
    assert_eq!(world.group.note_of(0), "");
}
