//! Each record exactly once, wherever a worker is killed: its session stays open, its transaction and locks too.

use std::sync::Arc;

use connect_core::data::SinkRecord;
use fastrand::Rng;
use sluice_stand_in_snowflake::{Fault, Point};

use crate::harness::{STAGE, Worker, World, each_once, numbered, partition, partitions_of, until};

fn log(records: i64) -> Vec<SinkRecord> {
    let mut log = numbered(0, 0..records);
    log.extend(numbered(1, 0..records));
    log
}

/// Everything is there once, nothing is left behind.
async fn finish(world: &World, log: &[SinkRecord], records: i64) {
    world.server.faults().clear();
    let mut driver = world.owner(&world.config(&[]), &partitions_of(log)).await;
    driver.deliver(log).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(2, records));
    for partition in partitions_of(log) {
        assert_eq!(world.group.committed(&partition), Some(records));
    }
    assert_eq!(world.server.staged(STAGE), [""; 0]);
}

/// Kills a worker when it comes to a point, before or after the point's effect, in its first batch or a later one.
async fn killed_at(point: Point, fault: Fault) {
    for batches_before in [0, 1] {
        let world = World::new().await;
        let whole = log(40);
        if batches_before > 0 {
            let part = log(20);
            let config = world.config(&[]);
            let mut driver = world.owner(&config, &partitions_of(&part)).await;
            driver.deliver(&part).await.unwrap();
        }
        world.server.faults().next(point, fault);
        let worker = Worker::deliver(&world, &world.config(&[]), &whole);
        world.server.faults().hung().await;
        worker.kill();
        finish(&world, &whole, 40).await;
    }
}

macro_rules! killed {
    ($($name:ident: $point:ident $fault:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                killed_at(Point::$point, Fault::$fault).await;
            }
        )*
    };
}

killed! {
    killed_before_login: Login HangBefore,
    killed_after_login: Login HangAfter,
    killed_before_ddl: Ddl HangBefore,
    killed_after_ddl: Ddl HangAfter,
    killed_before_reading_offsets: Select HangBefore,
    killed_before_put: Put HangBefore,
    killed_after_put: Put HangAfter,
    killed_before_upload: Upload HangBefore,
    killed_after_upload: Upload HangAfter,
    killed_before_begin: Begin HangBefore,
    killed_after_begin: Begin HangAfter,
    killed_before_copy: Copy HangBefore,
    killed_after_copy: Copy HangAfter,
    killed_before_merge: Merge HangBefore,
    killed_after_merge: Merge HangAfter,
    killed_before_commit: Commit HangBefore,
    killed_after_commit: Commit HangAfter,
    killed_before_remove: Remove HangBefore,
    killed_after_remove: Remove HangAfter,
}

/// Any fault at any point.
fn mishap(chance: &mut Rng) -> (Point, Fault) {
    const POINTS: [Point; 10] = [
        Point::Login,
        Point::Upload,
        Point::Put,
        Point::Begin,
        Point::Copy,
        Point::Merge,
        Point::Commit,
        Point::Remove,
        Point::Select,
        Point::Renew,
    ];
    const FAULTS: [Fault; 7] = [
        Fault::Status(503),
        Fault::Status(429),
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Expire,
        Fault::HangBefore,
        Fault::HangAfter,
    ];
    let fault = *chance.choice(&FAULTS).unwrap();
    let point = *chance.choice(&POINTS).unwrap();
    (point, fault)
}

/// One life: faults now and then, the end at a random moment.
async fn live(chance: &mut Rng, world: &World, whole: &[SinkRecord]) {
    let count = chance.u8(1..8).to_string();
    let config = world.config(&[("buffer.count.records", &count)]);
    for _ in 0..chance.usize(0..3) {
        let (point, fault) = mishap(chance);
        world.server.faults().next(point, fault);
    }
    let worker = Worker::deliver(world, &config, whole);
    let pause = std::time::Duration::from_millis(chance.u64(0..400));
    tokio::time::sleep(pause).await;
    worker.kill();
    world.server.faults().clear();
    if chance.u8(0..4) == 0 {
        world.server.end_sessions();
    }
}

async fn killed_at_random(seed: u64) {
    const RECORDS: i64 = 60;
    let mut chance = Rng::with_seed(seed);
    let world = World::new().await;
    let whole = log(RECORDS);
    for length in [15, 30, 45, RECORDS] {
        let part: Vec<_> = whole
            .iter()
            .filter(|record| record.offset.value() < length)
            .cloned()
            .collect();
        for _ in 0..chance.usize(1..4) {
            live(&mut chance, &world, &part).await;
        }
    }
    finish(&world, &whole, RECORDS).await;
}

#[tokio::test]
async fn killed_at_random_with_faults_before() {
    for seed in 0..6 {
        killed_at_random(seed).await;
    }
}

#[tokio::test]
async fn an_answer_to_commit_that_never_comes_is_found_out() {
    for fault in [Fault::CutAfter, Fault::CutBefore] {
        let world = World::new().await;
        let mut driver = world.driver(&[]).await;
        driver.write(numbered(0, 0..10)).await.unwrap();
        // Every try of the request is lost.
        world.server.faults().times(Point::Commit, fault, 6);
        driver.write(numbered(0, 10..20)).await.unwrap();
        assert_eq!(world.server.faults().injected(), 6);
        driver.write(numbered(0, 20..30)).await.unwrap();
        assert_eq!(world.places("SALES"), each_once(1, 30));
    }
}

#[tokio::test]
async fn a_task_that_is_dropped_rolls_back_and_closes_its_session() {
    let world = World::new().await;
    let mut driver = world.driver(&[("buffer.count.records", "10")]).await;
    driver.put(numbered(0, 0..1)).await.unwrap();
    world.server.faults().next(Point::Merge, Fault::HangAfter);
    driver.put(numbered(0, 1..10)).await.unwrap();
    world.server.faults().hung().await;
    drop(driver);
    let server = Arc::clone(&world.server);
    until("the session is closed", || server.sessions() == 0).await;
    assert!(world.rows("SALES").is_empty());
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..10)).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 10));
}

#[tokio::test]
async fn a_replay_of_what_is_loaded_adds_nothing() {
    let world = World::new().await;
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..20)).await.unwrap();
    drop(driver);
    // The offsets of the group were lost with the worker.
    world.group.set(&partition(0), 5);
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 5..25)).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 25));
}

#[tokio::test]
async fn a_group_ahead_of_snowflake_goes_back() {
    for forgotten in [false, true] {
        let world = World::new().await;
        let mut driver = world.driver(&[]).await;
        driver.write(numbered(0, 0..10)).await.unwrap();
        drop(driver);
        world.group.set(&partition(0), 15);
        if forgotten {
            world.group.forget();
        }
        let mut driver = world.driver(&[]).await;
        let error = driver.put(numbered(0, 15..20)).await.unwrap_err();
        assert_eq!(error.kind(), connect_core::ErrorKind::Conflict);
        assert_eq!(world.group.committed(&partition(0)), Some(10));
        driver.reopen().await;
        driver.write(numbered(0, 10..20)).await.unwrap();
        assert_eq!(world.places("SALES"), each_once(1, 20));
    }
}

#[tokio::test]
async fn records_that_retention_has_removed_do_not_stop_a_task() {
    let world = World::new().await;
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..10)).await.unwrap();
    // Offsets 10 to 14 are gone from the log: the consumer goes on at 15.
    driver.write(numbered(0, 15..20)).await.unwrap();
    drop(driver);
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 30..35)).await.unwrap();
    assert_eq!(world.places("SALES").len(), 20);
    assert_eq!(world.group.committed(&partition(0)), Some(35));
}

#[tokio::test]
async fn files_that_count_as_loaded_although_their_offsets_do_not_are_loaded_by_force() {
    let world = World::new().await;
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..10)).await.unwrap();
    drop(driver);
    // Somebody has emptied the table and set the offsets back: the history still knows the file.
    world.server.truncate_table("SALES");
    let back = "DELETE FROM SLUICE_OFFSETS_SALES";
    world.server.sql(back).unwrap();
    world.group.set(&partition(0), 0);
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..10)).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 10));
}
