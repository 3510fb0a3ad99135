//! Exactly once, whatever dies: tasks that crash at every commit point, with another configuration each time.

use std::time::Duration;

use connect_core::config::ConfigMap;
use connect_core::{ErrorKind, Result};
use fastrand::Rng;

use crate::harness::{CommitFault, LogRecord, RunningTask, World, committed};

/// Record times begin here.
const BEGIN: i64 = 1_710_052_200_000;

fn partitions(chance: &mut Rng, world: &mut World) -> Vec<String> {
    let mut produced = Vec::new();
    for partition in 0..2 {
        let mut time = BEGIN;
        let mut records = Vec::new();
        for number in 0..chance.usize(40..90) {
            time += chance.i64(0..120_000);
            let line = format!(r#"{{"partition":{partition},"number":{number}}}"#);
            produced.push(line.clone());
            records.push(LogRecord::text(line, time));
        }
        world.partitions.insert(partition, records);
    }
    produced.sort();
    produced
}

/// Rotation may differ from run to run; what names objects stays.
fn config(chance: &mut Rng, world: &World, extractor: &str) -> ConfigMap {
    let flush_size = chance.u32(1..30).to_string();
    let interval = ["-1", "60000", "300000"][chance.usize(0..3)];
    let schedule = ["-1", "-1", "600000"][chance.usize(0..3)];
    world.config(&[
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
        ),
        ("partition.duration.ms", "600000"),
        ("path.format", "'hour'=HH/'minute'=mm"),
        ("locale", "en"),
        ("timezone", "Europe/Berlin"),
        ("timestamp.extractor", extractor),
        ("flush.size", &flush_size),
        ("rotate.interval.ms", interval),
        ("rotate.schedule.interval.ms", schedule),
    ])
}

/// One life of a task: it ends with the first error that the runtime would not try again, or by `kill`.
async fn live(chance: &mut Rng, world: &World, task: &mut RunningTask) -> Result<()> {
    for _ in 0..chance.usize(1..12) {
        let partition = chance.i32(0..2);
        let records = chance.usize(0..20);
        task.feed(world, partition, records).await?;
        world
            .clock
            .advance(Duration::from_millis(chance.u64(0..200_000)));
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

async fn exactly_once(seed: u64, extractor: &str) {
    let mut chance = Rng::with_seed(seed);
    let mut world = World::new().await;
    let produced = partitions(&mut chance, &mut world);
    let faults = [0, 3, 10][chance.usize(0..3)];
    for _ in 0..12 {
        world.server.faults().one_in(faults);
        let config = config(&mut chance, &world, extractor);
        let mut task = world.task(&config).await;
        // How it ended does not matter: it is killed now.
        let _ended = live(&mut chance, &world, &mut task).await;
    }
    world.server.faults().one_in(0);
    world.group.fail_next(CommitFault::None);
    let mut config = config(&mut chance, &world, extractor);
    config.insert("flush.size".to_owned(), "1".to_owned());
    let mut task = world.task(&config).await;
    task.run_to_end(&world).await.unwrap();
    assert_eq!(world.lines(), produced, "seed {seed}, {extractor}");
    for (partition, records) in &world.partitions {
        let committed = committed(&world, *partition).unwrap();
        let end = i64::try_from(records.len()).unwrap();
        assert_eq!(committed.offset.value(), end, "seed {seed}, {extractor}");
    }
}

#[tokio::test]
async fn killed_anywhere_each_record_is_once_in_the_bucket_by_record_time() {
    for seed in 0..60 {
        exactly_once(seed, "Record").await;
    }
}

#[tokio::test]
async fn killed_anywhere_each_record_is_once_in_the_bucket_by_the_wall_clock() {
    for seed in 0..60 {
        exactly_once(seed, "Wallclock").await;
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
