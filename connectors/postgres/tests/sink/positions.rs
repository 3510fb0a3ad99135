//! `pk.mode=kafka` with `insert`: what is a replay, and what is another record.

use std::sync::Arc;

use connect_core::ErrorKind;
use connect_core::data::SinkRecord;
use connect_core::testkit::Group;

use crate::harness::{DATABASE, config, join, json_record, partition, postgres, sink};

fn positions(topic: &str, range: std::ops::Range<i64>, value: i64) -> Vec<SinkRecord> {
    let json = format!(r#"{{"v": {value}}}"#);
    range
        .map(|offset| json_record(topic, offset, &json))
        .collect()
}

const POSITIONS: &str = "SELECT count(*), sum(v), min(__connect_offset), max(__connect_offset), min(__connect_topic) FROM t";

#[tokio::test]
async fn with_the_position_as_key_a_replay_adds_nothing() {
    let postgres = postgres();
    let options = [
        ("pk.mode", "kafka"),
        ("auto.create", "true"),
        ("batch.size", "3"),
    ];
    let config = config(&postgres, &options);
    let group: Arc<Group> = Arc::default();
    let mut first = join(&config, "t", group.clone()).await;
    first.write(positions("t", 0..5, 1)).await.unwrap();
    first.put(positions("t", 5..10, 1)).await.unwrap();
    first.task.flush().await.unwrap();
    drop(first);
    // The rows are there, the group does not know.
    let mut second = join(&config, "t", group).await;
    second.write(positions("t", 5..15, 1)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, POSITIONS).unwrap(), "15|15|0|14|t");
}

#[tokio::test]
async fn with_the_position_as_key_new_records_of_a_topic_made_anew_are_refused_and_not_dropped() {
    let postgres = postgres();
    let options = [("pk.mode", "kafka"), ("auto.create", "true")];
    let config = config(&postgres, &options);
    let group: Arc<Group> = Arc::default();
    let mut driver = join(&config, "t", group.clone()).await;
    driver.write(positions("t", 0..10, 1)).await.unwrap();
    // Another topic under the name, in a task that goes on: no crash explains the rows.
    let error = driver.write(positions("t", 0..3, 100)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("record t-0 at offset 0: "), "{text}");
    assert!(text.contains("was made anew"), "{text}");
    // After a restart: the group has committed more than what comes now.
    drop(driver);
    let mut driver = join(&config, "t", group).await;
    let error = driver.write(positions("t", 3..5, 100)).await.unwrap_err();
    assert!(error.to_string().contains("was made anew"), "{error}");
    assert_eq!(postgres.sql(DATABASE, POSITIONS).unwrap(), "10|10|0|9|t");
}

#[tokio::test]
async fn with_the_position_as_key_a_replay_of_one_partition_excuses_no_row_of_another() {
    let postgres = postgres();
    let options = [
        ("pk.mode", "kafka"),
        ("auto.create", "true"),
        ("table.name.format", "t"),
    ];
    let config = config(&postgres, &options);
    let group: Arc<Group> = Arc::default();
    let mut first = join(&config, "b", group.clone()).await;
    first.put(positions("b", 0..5, 1)).await.unwrap();
    first.task.flush().await.unwrap();
    drop(first);
    let mut driver = join(&config, "a", group).await;
    driver.write(positions("a", 0..5, 1)).await.unwrap();
    driver.open(&[partition("b")]).await;
    let both = |a: std::ops::Range<i64>| [positions("b", 0..8, 1), positions("a", a, 1)].concat();
    let error = driver.write(both(4..7)).await.unwrap_err();
    assert!(
        error.to_string().starts_with("record a-0 at offset 4: "),
        "{error}"
    );
    driver.reopen().await;
    driver.write(both(5..7)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, POSITIONS).unwrap(), "15|15|0|7|a");
}

#[tokio::test]
async fn with_the_position_as_key_a_task_that_has_lost_its_partition_is_told_so_and_does_not_fail()
{
    let postgres = postgres();
    let options = [("pk.mode", "kafka"), ("auto.create", "true")];
    let config = config(&postgres, &options);
    let mut zombie = sink(&config, "t").await;
    zombie.write(positions("t", 0..5, 1)).await.unwrap();
    let mut owner = sink(&config, "t").await;
    owner.write(positions("t", 5..10, 1)).await.unwrap();
    zombie.group.expel();
    let mut records = positions("t", 5..10, 1);
    let error = zombie.try_write(&mut records).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn with_the_position_as_key_rows_are_refused_that_a_group_without_an_offset_cannot_have_written()
 {
    let postgres = postgres();
    let options = [("pk.mode", "kafka"), ("auto.create", "true")];
    let config = config(&postgres, &options);
    let mut driver = sink(&config, "t").await;
    driver.write(positions("t", 0..10, 1)).await.unwrap();
    // With a deleted topic its offsets go too; and a failed task that is started again knows no more than before.
    let group: Arc<Group> = Arc::default();
    for _ in 0..2 {
        let mut driver = join(&config, "t", group.clone()).await;
        let error = driver.write(positions("t", 0..3, 100)).await.unwrap_err();
        assert!(error.to_string().contains("was made anew"), "{error}");
    }
    assert_eq!(postgres.sql(DATABASE, POSITIONS).unwrap(), "10|10|0|9|t");
}

#[tokio::test]
async fn with_the_position_as_key_a_crash_before_the_very_first_offset_commit_is_a_replay() {
    let postgres = postgres();
    let options = [("pk.mode", "kafka"), ("auto.create", "true")];
    let config = config(&postgres, &options);
    let group: Arc<Group> = Arc::default();
    let mut first = join(&config, "t", group.clone()).await;
    first.put(positions("t", 0..5, 1)).await.unwrap();
    first.task.flush().await.unwrap();
    drop(first);
    let mut second = join(&config, "t", group).await;
    second.write(positions("t", 0..8, 1)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, POSITIONS).unwrap(), "8|8|0|7|t");
}
