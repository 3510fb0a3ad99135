//! CSV objects as they stand in the bucket, and the ready config for the automotive topics.

use std::time::Duration;

use connect_core::config::ConfigMap;
use connect_core::data::Piece;

use crate::harness::{LogRecord, World, committed, rows_of_csv};

const CSV: (&str, &str) = ("format.class", "sluice.s3.format.CsvFormat");

fn sale(number: usize) -> LogRecord {
    let line = format!(
        r#"{{"event_type":"sales","event_id":"SALE-{number:08}","vehicle":{{"vin":"1HGCM82633A004352","year":2024}},"amount":{number}.50}}"#
    );
    LogRecord::text(line, 0)
}

#[tokio::test]
async fn an_object_has_a_header_and_a_row_per_record() {
    let mut world = World::new().await;
    let lines = [r#"{"a":1,"b":"x, y"}"#, r#"{"a":null,"c":[1]}"#, "{}"];
    let records = lines.iter().map(|line| LogRecord::text(*line, 0));
    world.partitions.insert(0, records.collect());
    let mut task = world.task(&world.config(&[CSV])).await;
    task.run_to_end(&world).await.unwrap();
    let (key, content) = world.objects().into_iter().next().unwrap();
    assert_eq!(key, "topics/sales/partition=0/sales+0+0000000000.csv");
    assert_eq!(
        String::from_utf8(content).unwrap(),
        "a,b,c\r\n1,\"x, y\",\r\n,,[1]\r\n,,\r\n"
    );
}

#[tokio::test]
async fn csv_is_packed_like_the_other_formats() {
    let mut world = World::new().await;
    world.partitions.insert(0, (0..3).map(sale).collect());
    let config = world.config(&[CSV, ("s3.compression.type", "gzip")]);
    let mut task = world.task(&config).await;
    task.run_to_end(&world).await.unwrap();
    let (key, content) = world.objects().into_iter().next().unwrap();
    assert_eq!(key, "topics/sales/partition=0/sales+0+0000000000.csv.gz");
    let mut plain = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&*content), &mut plain).unwrap();
    assert_eq!(rows_of_csv(&plain).len(), 3);
}

/// A large object in parts: what waited for the header is in the first.
#[tokio::test]
async fn a_large_object_is_whole() {
    let mut world = World::new().await;
    let filler = "x".repeat(1 << 20);
    let record = |number: usize| LogRecord::text(format!(r#"{{"n":{number},"f":"{filler}"}}"#), 0);
    world.partitions.insert(0, (0..12).map(record).collect());
    let config = world.config(&[CSV, ("flush.size", "12"), ("s3.part.size", "5242880")]);
    let mut task = world.task(&config).await;
    task.run_to_end(&world).await.unwrap();
    let (_, content) = world.objects().into_iter().next().unwrap();
    let rows = rows_of_csv(&content);
    let numbers: Vec<usize> = rows.iter().map(|row| row["n"].parse().unwrap()).collect();
    assert_eq!(numbers, (0..12).collect::<Vec<usize>>());
    assert!(rows.iter().all(|row| row["f"] == filler));
}

fn ready_config(world: &World) -> ConfigMap {
    let file = include_str!("../../../../connector-configs/s3-sink-automotive-csv.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let ready: ConfigMap = serde_json::from_value(file["config"].clone()).unwrap();
    let mut config = world.config(&[]);
    let here: Vec<_> = ["s3.bucket.name", "s3.region"]
        .iter()
        .map(|key| ((*key).to_owned(), config[*key].clone()))
        .collect();
    config.extend(ready);
    config.extend(here);
    config
}

#[tokio::test]
async fn the_ready_config_writes_a_hundred_rows_or_what_came_in_five_minutes() {
    let mut world = World::new().await;
    world.topic = "sales_topic".to_owned();
    let noon = "2026-02-26T10:23:45Z".parse::<jiff::Timestamp>().unwrap();
    let at = |seconds: i64| {
        connect_core::data::Timestamp::from_millis(noon.as_millisecond() + seconds * 1000)
    };
    world.clock.set(at(0));
    world.partitions.insert(0, (0..320).map(sale).collect());
    let mut task = world.task(&ready_config(&world)).await;
    task.feed(&world, 0, 310).await.unwrap();
    task.flush(&world).await.unwrap();
    // 10:25:00 is a multiple of five minutes.
    world.clock.set(at(74));
    task.feed(&world, 0, 10).await.unwrap();
    task.flush(&world).await.unwrap();
    let sizes = |world: &World| -> Vec<(String, usize)> {
        let objects = world.objects().into_iter();
        objects
            .map(|(key, content)| (key, rows_of_csv(&content).len()))
            .collect()
    };
    let full = [
        ("sales/sales_20260226_102345.csv".to_owned(), 100),
        (
            "sales/sales_20260226_102345_0_0000000100.csv".to_owned(),
            100,
        ),
        (
            "sales/sales_20260226_102345_0_0000000200.csv".to_owned(),
            100,
        ),
    ];
    assert_eq!(sizes(&world), full);
    world.clock.advance(Duration::from_secs(1));
    assert!(task.task.wake_at().unwrap() <= at(75));
    task.flush(&world).await.unwrap();
    let all = sizes(&world);
    let last = (
        "sales/sales_20260226_102345_0_0000000300.csv".to_owned(),
        20,
    );
    assert!(all.contains(&last) && all.len() == 4, "{all:?}");
    let first = &world.objects()["sales/sales_20260226_102345.csv"];
    let header = String::from_utf8_lossy(first)
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(
        header,
        "event_type,event_id,vehicle.vin,vehicle.year,amount"
    );
    assert!((5_000..20_000).contains(&first.len()), "{}", first.len());
}

/// A transform has split records: the cut waits for the last piece, and offsets with it.
#[tokio::test]
async fn pieces_of_one_record_are_never_torn_apart() {
    let mut world = World::new().await;
    world.partitions.insert(0, (0..4).map(sale).collect());
    let config = world.config(&[
        CSV,
        ("flush.size", "2"),
        ("rotate.schedule.interval.ms", "60000"),
        ("timezone", "UTC"),
    ]);
    let mut task = world.task(&config).await;
    let mut batch = Vec::new();
    for offset in 0..2 {
        for number in 0..3 {
            let mut record = task.record(0, offset, &sale(offset));
            record.piece = Some(Piece {
                number,
                is_last: number == 2,
            });
            batch.push(record);
        }
    }
    let rest = batch.split_off(4);
    task.task.put(&mut batch).await.unwrap();
    // What is open is due, in the middle of an offset.
    world.clock.advance(Duration::from_secs(120));
    task.flush(&world).await.unwrap();
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 1);
    assert_eq!(world.rows().len(), 3);
    task.task.put(&mut rest.clone()).await.unwrap();
    task.flush(&world).await.unwrap();
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 2);
    assert_eq!(world.rows().len(), 6);
}

/// Nothing is left open: what a transform drops behind the last record is done with it.
#[tokio::test]
async fn dropped_records_move_the_offset() {
    let mut world = World::new().await;
    world.partitions.insert(0, (0..4).map(sale).collect());
    let mut task = world.task(&world.config(&[CSV, ("flush.size", "1")])).await;
    task.feed(&world, 0, 1).await.unwrap();
    let partition = connect_core::data::TopicPartition::new("sales", 0);
    let next = connect_core::data::Offset::new(4);
    task.task.skipped(&partition, next).await.unwrap();
    task.flush(&world).await.unwrap();
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 4);
}
