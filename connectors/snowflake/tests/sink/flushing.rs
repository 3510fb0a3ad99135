//! When rows are loaded: by count, by bytes, by time, on a quiet topic, and when memory runs short.

use std::time::Duration;

use connect_core::clock::Clock;
use connect_core::data::{Datum, Offset, Timestamp};
use connect_core::plugin::SinkRuntime;
use connect_core::testkit::SinkDriver;
use fastrand::Rng;

use crate::harness::{
    BEGIN, FLUSH_TIME, OFFSETS, STAGE, World, each_once, json_record, numbered, partition, record,
    until,
};

/// Drives the task as the worker does while nothing comes: until nothing is due.
async fn settle(driver: &mut SinkDriver, now: Timestamp) {
    while driver.task.wake_at().is_some_and(|due| due <= now) {
        let durable = driver.task.flush().await.unwrap();
        driver.group.commit(durable).await.unwrap();
    }
}

/// Waits for the batch under way, without a flush that would start one.
async fn loaded(world: &World, driver: &mut SinkDriver, rows: usize) {
    until("the rows are loaded", || world.rows("SALES").len() == rows).await;
    driver.task.flush().await.unwrap();
}

#[tokio::test]
async fn a_full_buffer_is_loaded_at_once_and_one_that_is_not_waits() {
    let world = World::new().await;
    let mut driver = world.driver(&[("buffer.count.records", "10")]).await;
    driver.put(numbered(0, 0..9)).await.unwrap();
    driver.task.flush().await.unwrap();
    assert!(world.rows("SALES").is_empty());
    assert_eq!(driver.task.wake_at(), Some(later(FLUSH_TIME)));
    driver.put(numbered(0, 9..10)).await.unwrap();
    loaded(&world, &mut driver, 10).await;
    driver.put(numbered(0, 10..12)).await.unwrap();
    assert_eq!(world.rows("SALES").len(), 10);
}

#[tokio::test]
async fn bytes_are_counted_before_compression() {
    let world = World::new().await;
    let mut driver = world.driver(&[("buffer.size.bytes", "100000")]).await;
    let long = format!("{{\"text\":\"{}\"}}", "a".repeat(30_000));
    let records = (0..3).map(|offset| json_record(offset, &long));
    driver.put(records.collect()).await.unwrap();
    assert!(world.rows("SALES").is_empty());
    driver.put(vec![json_record(3, &long)]).await.unwrap();
    loaded(&world, &mut driver, 4).await;
}

fn later(by: Duration) -> Timestamp {
    Timestamp::from_millis(BEGIN + i64::try_from(by.as_millis()).unwrap())
}

#[tokio::test]
async fn a_topic_that_falls_silent_is_loaded_after_the_flush_time() {
    let world = World::new().await;
    let mut driver = world.driver(&[("buffer.flush.time", "30")]).await;
    driver.put(numbered(0, 0..3)).await.unwrap();
    // A record that comes later does not put it off.
    world.clock.advance(Duration::from_secs(20));
    driver.put(numbered(0, 3..4)).await.unwrap();
    driver.task.flush().await.unwrap();
    assert_eq!(driver.task.wake_at(), Some(later(Duration::from_secs(30))));
    assert!(world.rows("SALES").is_empty());
    world.clock.advance(Duration::from_secs(10));
    settle(&mut driver, world.clock.now()).await;
    assert_eq!(world.places("SALES"), each_once(1, 4));
    assert_eq!(world.group.committed(&partition(0)), Some(4));
    assert_eq!(driver.task.wake_at(), None);
}

#[tokio::test]
async fn each_partition_is_loaded_when_it_is_due_itself() {
    let world = World::new().await;
    let config = world.config(&[("buffer.count.records", "5")]);
    let mut driver = world.owner(&config, &[partition(0), partition(1)]).await;
    let mut both = numbered(0, 0..5);
    both.extend(numbered(1, 0..2));
    driver.put(both).await.unwrap();
    loaded(&world, &mut driver, 5).await;
    assert_eq!(world.places("SALES"), each_once(1, 5));
}

#[tokio::test]
async fn records_that_make_no_row_move_the_offset() {
    let world = World::new().await;
    let mut driver = world.driver(&[("behavior.on.null.values", "ignore")]).await;
    let tombstone = |offset| record(offset, Datum::null(), Datum::null());
    driver
        .write(vec![tombstone(0), tombstone(1)])
        .await
        .unwrap();
    assert_eq!(world.group.committed(&partition(0)), Some(2));
    driver.write(numbered(0, 2..3)).await.unwrap();
    // Dropped by a transform.
    let next = Offset::new(9);
    driver.task.skipped(&partition(0), next).await.unwrap();
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(world.group.committed(&partition(0)), Some(9));
    assert_eq!(world.places("SALES"), [(0, 2)]);
}

#[tokio::test]
async fn a_task_with_little_memory_loads_early_and_stays_within_its_share() {
    const SHARE: usize = 8 << 20;
    let world = World::new().await;
    let config = world.config(&[("buffer.size.bytes", "1000000000")]);
    let mut driver = world.task(&config, 0, SHARE);
    driver.open(&[partition(0)]).await;
    let mut random = Rng::with_seed(3);
    let mut noise = || -> String { (0..20_000).map(|_| random.alphanumeric()).collect() };
    for offset in 0..600 {
        let text = format!("{{\"noise\":\"{}\"}}", noise());
        driver.put(vec![json_record(offset, &text)]).await.unwrap();
        assert!(
            driver.task.buffered_bytes() <= SHARE,
            "{}",
            driver.task.buffered_bytes()
        );
    }
    assert!(world.rows("SALES").len() > 100);
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 600));
}

#[tokio::test]
async fn staged_files_are_gone_once_they_are_loaded() {
    let world = World::new().await;
    let config = world.config(&[]);
    let mut driver = world.owner(&config, &[partition(0), partition(1)]).await;
    let mut both = numbered(0, 0..5);
    both.extend(numbered(1, 0..2));
    driver.write(both).await.unwrap();
    assert_eq!(world.server.staged(STAGE), [""; 0]);
    let offsets = world.server.rows(OFFSETS);
    assert_eq!(offsets.len(), 2);
    assert_eq!(offsets[0][..3], ["sales", "0", "5"]);
    assert_eq!(offsets[1][..3], ["sales", "1", "2"]);
}

#[tokio::test]
async fn records_are_gathered_while_a_batch_is_loaded() {
    use sluice_stand_in_snowflake::{Fault, Point};
    let world = World::new().await;
    let mut driver = world.driver(&[("buffer.count.records", "10")]).await;
    driver.put(numbered(0, 0..1)).await.unwrap();
    world.server.faults().next(Point::Copy, Fault::HangBefore);
    driver.put(numbered(0, 1..10)).await.unwrap();
    world.server.faults().hung().await;
    // The next ones are taken although COPY does not end.
    driver.put(numbered(0, 10..25)).await.unwrap();
    world.server.faults().release();
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 25));
}
