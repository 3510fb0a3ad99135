use std::io::Write;
use std::path::Path;

use connect_core::clock::ManualClock;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::Timestamp;
use connect_core::plugin::{OffsetReader, TaskId};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(10);
/// How long a test looks whether what must not come does.
const SHORT: Duration = Duration::from_millis(400);

struct Stored(Option<serde_json::Value>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        assert!(partition.contains_key("filename"), "{partition:?}");
        let offset = |position: &_| [("position".to_owned(), Clone::clone(position))].into();
        Ok(self.0.as_ref().map(offset))
    }
}

fn connector(options: &[(&str, &str)]) -> Result<Box<dyn Connector>> {
    let mut config: ConfigMap = [
        ("name", "lines"),
        ("connector.class", "FileStreamSource"),
        ("topic", "t"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let more = options.iter();
    config.extend(more.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    connector_from_map(&config)
}

/// A started task on `file`.
async fn started(file: &Path, stored: Option<i64>, batch: &str) -> Box<dyn SourceTask> {
    let connector = connector(&[("file", file.to_str().unwrap()), ("batch.size", batch)]).unwrap();
    let context = SourceTaskContext {
        task: TaskId {
            connector: "lines".into(),
            task: 0,
        },
        task_count: connector.task_count(7),
        clock: Arc::new(ManualClock::at(Timestamp::from_millis(17))),
        offsets: Arc::new(Stored(stored.map(Into::into))),
        transactions: None,
    };
    let mut task = connector.source_task(context).unwrap();
    task.start().await.unwrap();
    task
}

/// The next records, as text and position.
async fn polled(task: &mut dyn SourceTask, patience: Duration) -> Option<Vec<(String, u64)>> {
    let polled = timeout(patience, task.poll()).await.ok()?.unwrap();
    let Polled::Records(records) = polled else {
        panic!("a file has no end");
    };
    let shown = |record: &SourceRecord| {
        let offset = record.source_offset.as_ref().unwrap();
        let text = record.value.value().as_str().unwrap().to_owned();
        (text, offset.get("position").unwrap().as_u64().unwrap())
    };
    Some(records.iter().map(shown).collect())
}

fn lines(expected: &[(&str, u64)]) -> Option<Vec<(String, u64)>> {
    let owned = |(text, position): &(&str, u64)| ((*text).to_owned(), *position);
    Some(expected.iter().map(owned).collect())
}

fn append(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.txt");
    (folder, file)
}

#[tokio::test]
async fn lines_come_as_the_file_grows_and_one_without_an_end_is_held_back() {
    let (_folder, file) = folder();
    append(&file, "foo\nbar\r\nhalf");
    let mut task = started(&file, None, "2000").await;
    let first = polled(&mut *task, SOON).await;
    assert_eq!(first, lines(&[("foo", 4), ("bar", 9)]));
    assert_eq!(polled(&mut *task, SHORT).await, None);
    append(&file, " and half\nnext\n");
    let grown = polled(&mut *task, SOON).await;
    assert_eq!(grown, lines(&[("half and half", 23), ("next", 28)]));
}

#[tokio::test]
async fn a_batch_has_batch_size_lines_at_the_most_and_the_rest_follows_at_once() {
    let (_folder, file) = folder();
    append(&file, "a\nb\nc\n");
    for (batch_size, first, second) in [
        ("2", lines(&[("a", 2), ("b", 4)]), lines(&[("c", 6)])),
        ("0", lines(&[("a", 2)]), lines(&[("b", 4)])),
    ] {
        let mut task = started(&file, None, batch_size).await;
        assert_eq!(polled(&mut *task, SOON).await, first);
        assert_eq!(polled(&mut *task, SOON).await, second);
    }
}

#[tokio::test]
async fn reading_goes_on_at_the_stored_byte_whatever_stands_before_it() {
    let (_folder, file) = folder();
    append(&file, "üü\nfoo\nbar\n");
    let mut task = started(&file, None, "1").await;
    assert_eq!(polled(&mut *task, SOON).await, lines(&[("üü", 5)]));
    let mut task = started(&file, Some(5), "1").await;
    assert_eq!(polled(&mut *task, SOON).await, lines(&[("foo", 9)]));
}

#[tokio::test]
async fn a_file_that_is_not_there_or_too_short_is_waited_for() {
    let (_folder, file) = folder();
    let mut task = started(&file, Some(4), "2000").await;
    assert_eq!(polled(&mut *task, SHORT).await, None);
    append(&file, "f");
    assert_eq!(polled(&mut *task, SHORT).await, None);
    append(&file, "oo\nbar\n");
    assert_eq!(polled(&mut *task, SOON).await, lines(&[("bar", 8)]));
}

#[tokio::test]
async fn a_named_pipe_is_read_whenever_somebody_writes_to_it() {
    let (_folder, pipe) = folder();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut task = started(&pipe, None, "2000").await;
    assert_eq!(polled(&mut *task, SHORT).await, None);
    append(&pipe, "foo\n");
    assert_eq!(polled(&mut *task, SOON).await, lines(&[("foo", 4)]));
    append(&pipe, "bar\n");
    assert_eq!(polled(&mut *task, SOON).await, lines(&[("bar", 8)]));
}

#[tokio::test]
async fn what_cannot_be_read_fails_the_task_with_the_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = started(folder.path(), None, "1").await;
    let error = timeout(SOON, task.poll()).await.unwrap().unwrap_err();
    assert!(!error.is_retriable());
    let name = folder.path().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn options_are_refused_as_kafka_refuses_them() {
    let refused = |options: &[(&str, &str)]| connector(options).unwrap_err().to_string();
    let empty = refused(&[("topic", " ")]);
    assert!(
        empty.contains("Invalid value  for configuration topic: String must be non-empty"),
        "{empty}"
    );
    let text = refused(&[("batch.size", "x")]);
    assert!(
        text.contains("Invalid value x for configuration batch.size: Not a number of type INT"),
        "{text}"
    );
    assert!(connector(&[("batch.size", "-5")]).is_ok());
}

#[tokio::test]
async fn offsets_set_from_outside_are_checked_as_kafka_checks_them() {
    let file = connector(&[("file", "test.txt")]).unwrap();
    let map = |value: serde_json::Value| serde_json::from_value(value).unwrap();
    let answer = async |partition, offset| {
        let changes = OffsetChanges::Source(vec![(map(partition), map(offset))]);
        let altered = file.alter_offsets(&changes).await;
        altered.map_err(|error| error.message().to_owned())
    };
    let named = || json!({"filename": "test.txt"});
    // The first of each is what Kafka Connect 4.3.1 answers.
    for (expected, partition, offset) in [
        (
            "The value for the 'position' key in the offset should be a non-negative value",
            named(),
            json!({"position": -1}),
        ),
        (
            "The value for the 'position' key in the offset is expected to be a Long value",
            named(),
            json!({"position": "4"}),
        ),
        (
            "The value for the 'position' key in the offset is expected to be a Long value",
            named(),
            json!({"position": 1.5}),
        ),
        (
            "The value for the 'position' key in the offset is expected to be a Long value",
            named(),
            json!({"position": null}),
        ),
        (
            "Offset objects should either be null or contain the key 'position'",
            named(),
            json!({}),
        ),
        (
            "Partition objects should contain the key 'filename'",
            json!({"file": "test.txt"}),
            json!({"position": 4}),
        ),
        (
            "Partition objects cannot be null",
            json!(null),
            json!({"position": 4}),
        ),
    ] {
        assert_eq!(answer(partition, offset).await, Err(expected.to_owned()));
    }
    for (partition, offset) in [
        (named(), json!({"position": 4})),
        (json!({"filename": "other"}), json!({"position": 7})),
        (json!({"file": "x"}), json!(null)),
        (json!(null), json!(null)),
    ] {
        assert_eq!(answer(partition, offset).await, Ok(true));
    }
    let stdin = connector(&[]).unwrap();
    let nothing = OffsetChanges::Source(Vec::new());
    let refused = stdin.alter_offsets(&nothing).await.unwrap_err();
    assert!(
        refused.message().contains("stdin is used for input"),
        "{refused}"
    );
}
