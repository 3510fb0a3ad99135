use connect_core::clock::SystemClock;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::plugin::{Connector, OffsetReader, TaskId};

use super::*;

struct Stored(Option<SourceOffset>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        assert!(partition.contains_key("task.id"), "{partition:?}");
        Ok(self.0.clone())
    }
}

fn connector(options: &[(&str, &str)]) -> Result<Box<dyn Connector>> {
    let mut config: ConfigMap = [
        ("name", "generator"),
        ("connector.class", "Datagen"),
        ("kafka.topic", "t"),
        ("max.interval", "0"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let more = options.iter();
    config.extend(more.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    connector_from_map(&config)
}

/// All records of a task until it fails, and why it has.
async fn all(
    options: &[(&str, &str)],
    task: u32,
    stored: Option<SourceOffset>,
) -> (Vec<SourceRecord>, String) {
    let context = SourceTaskContext {
        task: TaskId {
            connector: "generator".into(),
            task,
        },
        task_count: 2,
        clock: Arc::new(SystemClock),
        offsets: Arc::new(Stored(stored)),
        transactions: None,
    };
    let mut task = connector(options).unwrap().source_task(context).unwrap();
    task.start().await.unwrap();
    let mut records = Vec::new();
    loop {
        match task.poll().await {
            Ok(Polled::Records(more)) => records.extend(more),
            Ok(Polled::Finished) => panic!("the original fails"),
            Err(error) => return (records, error.message().to_owned()),
        }
    }
}

fn values(records: &[SourceRecord]) -> Vec<&Value> {
    records.iter().map(|record| record.value.value()).collect()
}

fn numbers(record: &SourceRecord) -> Vec<(String, Value)> {
    let headers = record.headers.iter();
    headers
        .map(|header| (header.key.to_string(), header.value.value().clone()))
        .collect()
}

const ORDERS: [(&str, &str); 3] = [
    ("quickstart", "orders"),
    ("random.seed", "17"),
    ("iterations", "1500"),
];

#[tokio::test]
async fn a_task_makes_its_iterations_and_fails_as_the_original_does() {
    let (records, reason) = all(&ORDERS, 0, None).await;
    assert_eq!(records.len(), 1_500);
    assert_eq!(
        reason,
        "Stopping connector: generated the configured 1500 number of messages"
    );
    let last = records.last().unwrap().source_offset.clone();
    let (more, reason) = all(&ORDERS, 0, last).await;
    assert!(more.is_empty());
    assert_eq!(
        reason,
        "Stopping connector: generated the configured 1500 number of messages"
    );
}

#[tokio::test]
async fn a_restart_goes_on_with_the_records_that_would_have_followed() {
    let (records, _) = all(&ORDERS, 0, None).await;
    for at in [0, 1, 999, 1_000, 1_498] {
        let stored = records[at].source_offset.clone();
        let (rest, _) = all(&ORDERS, 0, stored).await;
        assert_eq!(values(&rest), values(&records[at + 1..]));
        let expected = [
            ("task.generation".to_owned(), Value::Int64(1)),
            ("task.id".to_owned(), Value::Int64(0)),
            (
                "current.iteration".to_owned(),
                Value::Int64(i64::try_from(at).unwrap() + 1),
            ),
        ];
        assert_eq!(numbers(&rest[0]), expected);
    }
}

#[tokio::test]
async fn a_seed_makes_the_same_records_and_each_task_others() {
    let (one, _) = all(&ORDERS, 0, None).await;
    let (same, _) = all(&ORDERS, 0, None).await;
    let (other, _) = all(&ORDERS, 1, None).await;
    assert_eq!(values(&one), values(&same));
    let item = |records: &[SourceRecord]| records[0].value.value().get("ordertime").cloned();
    assert_ne!(item(&one), item(&other));
    assert_eq!(other[0].source_partition["task.id"], 1);
}

#[tokio::test]
async fn the_key_is_the_quickstarts_field_or_the_one_that_is_asked_for() {
    let key = async |options: &[(&str, &str)]| {
        let (records, _) = all(options, 0, None).await;
        let key = records[0].key.clone();
        let schema = key.schema().unwrap();
        (schema.kind.clone(), schema.optional, key.value().clone())
    };
    let few = ("iterations", "1");
    let orders = key(&[("quickstart", "Orders"), few]).await;
    assert_eq!(orders, (Type::Int32, false, Value::Int32(0)));
    let (kind, _, item) =
        key(&[("quickstart", "orders"), ("schema.keyfield", "itemid"), few]).await;
    assert_eq!(kind, Type::String);
    assert!(item.as_str().unwrap().starts_with("Item_"));
    let own = r#"{"type":"record","name":"r","fields":[{"name":"x","type":"int"}]}"#;
    let none = key(&[("schema.string", own), few]).await;
    assert_eq!(none, (Type::String, true, Value::Null));
}

#[test]
fn schemas_that_are_missing_doubled_or_wrong_are_refused_by_option() {
    let refused = |options: &[(&str, &str)]| connector(options).unwrap_err().message().to_owned();
    let one = "Must set exactly one of schema.string, schema.filename, quickstart";
    assert_eq!(refused(&[]).matches(one).count(), 3);
    let both = refused(&[("quickstart", "users"), ("schema.filename", "x.avsc")]);
    assert_eq!(both.matches(one).count(), 2);
    for (options, reason) in [
        (
            [("quickstart", "nothing"), ("iterations", "1")],
            "String must be one of",
        ),
        (
            [("schema.string", "{}"), ("iterations", "1")],
            "Unable to parse the provided schema",
        ),
        (
            [("quickstart", "users"), ("schema.keyfield", "x")],
            "the schema has no such field",
        ),
    ] {
        let error = refused(&options);
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_schema_in_a_file_is_read_and_a_missing_one_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.avsc");
    let path = path.to_str().unwrap();
    let options = [("schema.filename", path), ("iterations", "3")];
    let missing = connector(&options).unwrap().validate().await;
    assert_eq!(missing[0].key, "schema.filename");
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"x","type":"int"}]}"#;
    std::fs::write(path, schema).unwrap();
    assert_eq!(connector(&options).unwrap().validate().await, []);
    assert_eq!(all(&options, 0, None).await.0.len(), 3);
}
