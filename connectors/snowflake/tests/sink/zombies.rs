//! A task that was stopped, has lost its partition and its session, and wakes up.

use std::sync::Arc;
use std::time::Duration;

use connect_core::config::ConfigMap;
use connect_core::testkit::{Group, SinkDriver};
use connect_core::{ErrorKind, Result};
use fastrand::Rng;
use sluice_stand_in_snowflake::{Fault, Point};
use tokio::task::JoinHandle;

use crate::harness::{Worker, World, each_once, numbered, partition};

struct Zombie {
    group: Arc<Group>,
    task: JoinHandle<(SinkDriver, Result<()>)>,
}

/// A task that hangs at a point of its second batch.
async fn stopped(world: &World, config: &ConfigMap, point: Point) -> Zombie {
    let mut driver = world.owner(config, &[partition(0)]).await;
    driver.write(numbered(0, 0..10)).await.unwrap();
    world.server.faults().next(point, Fault::HangBefore);
    let group = driver.group.clone();
    let task = tokio::spawn(async move {
        let outcome = driver.write(numbered(0, 10..20)).await;
        (driver, outcome)
    });
    world.server.faults().hung().await;
    Zombie { group, task }
}

/// A new owner takes over; then the zombie wakes up.
async fn wakes_up(point: Point, session_ends: bool) {
    let zombies = World::new().await;
    let zombie = stopped(&zombies, &zombies.config(&[]), point).await;
    if session_ends {
        zombies.server.end_sessions();
    }
    // The new owner's group stands where the zombie's stood; the zombie is no member any more.
    let owners = zombies.with_group(Group::default());
    owners.group.set(&partition(0), 10);
    zombie.group.expel();
    let mut owner = owners.driver(&[]).await;
    owner.write(numbered(0, 10..25)).await.unwrap();
    zombies.server.faults().release();
    let (mut driver, outcome) = zombie.task.await.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{}", error.trace());
    // It begins anew, as the worker does after a conflict, and is refused by the group.
    driver.reopen().await;
    let error = driver.write(numbered(0, 10..20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    owner.write(numbered(0, 25..30)).await.unwrap();
    assert_eq!(owners.places("SALES"), each_once(1, 30));
}

#[tokio::test]
async fn before_its_upload() {
    wakes_up(Point::Upload, false).await;
    wakes_up(Point::Upload, true).await;
}

#[tokio::test]
async fn before_begin() {
    wakes_up(Point::Begin, false).await;
    wakes_up(Point::Begin, true).await;
}

#[tokio::test]
async fn before_copy() {
    wakes_up(Point::Copy, false).await;
    wakes_up(Point::Copy, true).await;
}

#[tokio::test]
async fn before_its_offsets_are_moved() {
    wakes_up(Point::Merge, false).await;
    wakes_up(Point::Merge, true).await;
}

/// It holds the offsets: the new owner aborts its transaction after it has waited twice.
#[tokio::test]
async fn before_commit() {
    wakes_up(Point::Commit, false).await;
    wakes_up(Point::Commit, true).await;
}

/// Its batch was loaded before the new owner came: whoever reads the offsets knows.
#[tokio::test]
async fn after_commit() {
    let world = World::new().await;
    let zombie = stopped(&world, &world.config(&[]), Point::Remove).await;
    let owners = world.with_group(Group::default());
    owners.group.set(&partition(0), 10);
    let mut owner = owners.driver(&[]).await;
    owner.write(numbered(0, 10..25)).await.unwrap();
    zombie.group.expel();
    world.server.faults().release();
    let (_, outcome) = zombie.task.await.unwrap();
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(owners.places("SALES"), each_once(1, 25));
}

/// A new owner takes over at any moment; the old ones go on for a while as if they did not know, some after a hang.
async fn owners_change_at_random(seed: u64) {
    const RECORDS: i64 = 80;
    let mut chance = Rng::with_seed(seed);
    let mut world = World::new().await;
    let mut log = numbered(0, 0..RECORDS);
    log.extend(numbered(1, 0..RECORDS));
    let mut owners = Vec::new();
    for _ in 0..6 {
        let count = chance.u8(3..12).to_string();
        let config = world.config(&[("buffer.count.records", &count)]);
        let end = chance.i64(10..RECORDS);
        let part: Vec<_> = log
            .iter()
            .filter(|record| record.offset.value() < end)
            .cloned()
            .collect();
        owners.push(Worker::deliver(&world, &config, &part));
        if chance.bool() {
            let points = [Point::Upload, Point::Copy, Point::Merge, Point::Commit];
            let point = *chance.choice(&points).unwrap();
            world.server.faults().next(point, Fault::HangBefore);
        }
        tokio::time::sleep(Duration::from_millis(chance.u64(0..300))).await;
        let next = world.with_group(world.group.successor());
        world.group.expel();
        world = next;
        if chance.bool() {
            world.server.faults().release();
        }
    }
    world.server.faults().clear();
    world.server.faults().release();
    let mut owner = world
        .owner(&world.config(&[]), &[partition(0), partition(1)])
        .await;
    owner.deliver(&log).await.unwrap();
    drop(owners);
    assert_eq!(world.places("SALES"), each_once(2, RECORDS), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_random() {
    for seed in 0..5 {
        owners_change_at_random(seed).await;
    }
}

/// Two tasks that load other partitions of one connector wait for each other and do not abort each other.
#[tokio::test]
async fn neighbours_share_the_table_of_offsets() {
    let world = World::new().await;
    let config = world.config(&[("buffer.count.records", "5")]);
    let mut tasks = Vec::new();
    for number in 0..4 {
        let task = u32::try_from(number).unwrap();
        let mut driver = world.task(&config, task, 64 << 20);
        tasks.push(tokio::spawn(async move {
            driver.open(&[partition(number)]).await;
            for round in 0..10 {
                let offsets = round * 5..round * 5 + 5;
                driver.write(numbered(number, offsets)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.places("SALES"), each_once(4, 50));
}
