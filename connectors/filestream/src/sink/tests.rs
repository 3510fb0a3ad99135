use std::path::Path;
use std::sync::Arc;

use connect_core::clock::ManualClock;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::{Datum, Value};
use connect_core::plugin::{MemoryBudget, SinkRuntime, TaskId};
use connect_core::testkit::{self, json_datum};

use super::*;

struct NoCommits;

#[async_trait]
impl SinkRuntime for NoCommits {
    async fn commit(&self, _offsets: Offsets) -> Result<()> {
        Err(Error::internal("this sink writes nothing down ahead"))
    }
}

fn task(file: &Path) -> Box<dyn SinkTask> {
    let config: ConfigMap = [
        ("name", "lines"),
        ("connector.class", "FileStreamSink"),
        ("topics", "t"),
        ("file", file.to_str().unwrap()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let context = SinkTaskContext {
        task: TaskId {
            connector: "lines".into(),
            task: 0,
        },
        clock: Arc::new(ManualClock::default()),
        runtime: Arc::new(NoCommits),
        memory: MemoryBudget::new(1 << 20).join(),
    };
    connector_from_map(&config)
        .unwrap()
        .sink_task(context)
        .unwrap()
}

async fn opened(file: &Path) -> Result<Box<dyn SinkTask>> {
    let mut task = task(file);
    let assignment = Assignment {
        partition: TopicPartition::new("t", 0),
        committed: None,
    };
    task.open(&[assignment]).await?;
    Ok(task)
}

fn record(offset: i64, value: Datum) -> SinkRecord {
    testkit::record(TopicPartition::new("t", 0), offset, Datum::null(), value)
}

fn text(offset: i64, text: &str) -> SinkRecord {
    record(offset, Datum::schemaless(Value::string(text)))
}

#[tokio::test]
async fn values_are_lines_as_java_writes_them_and_in_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sink.txt");
    let mut task = opened(&file).await.unwrap();
    let json = json_datum(r#"{"b":1.0,"a":[null]}"#);
    let mut records = vec![text(0, "foo"), record(1, Datum::null()), record(2, json)];
    task.put(&mut records).await.unwrap();
    assert!(records.is_empty());
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, "foo\nnull\n{a=[null], b=1.0}\n");
    let expected: Offsets = [(TopicPartition::new("t", 0), Offset::new(3).into())].into();
    assert_eq!(task.flush().await.unwrap(), expected);
    assert_eq!(task.flush().await.unwrap(), Offsets::new());
}

#[tokio::test]
async fn a_line_that_was_broken_off_is_ended_before_more_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sink.txt");
    std::fs::write(&file, "whole\nbroken o").unwrap();
    let mut task = opened(&file).await.unwrap();
    task.put(&mut vec![text(0, "next")]).await.unwrap();
    drop(task);
    let mut task = opened(&file).await.unwrap();
    task.put(&mut vec![text(1, "last")]).await.unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, "whole\nbroken o\nnext\nlast\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_named_as_kafka_names_it() {
    let error = opened(Path::new("/nonexistent/x")).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "Couldn't find or create file '/nonexistent/x' for FileStreamSinkTask"
    );
    assert!(!error.is_retriable());
}

#[tokio::test]
async fn partitions_given_up_are_not_committed_and_dropped_records_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = opened(&folder.path().join("sink.txt")).await.unwrap();
    task.put(&mut vec![text(0, "foo")]).await.unwrap();
    task.skipped(&TopicPartition::new("t", 1), Offset::new(9))
        .await
        .unwrap();
    task.close(&[TopicPartition::new("t", 0)]).await.unwrap();
    let expected: Offsets = [(TopicPartition::new("t", 1), Offset::new(9).into())].into();
    assert_eq!(task.flush().await.unwrap(), expected);
}
