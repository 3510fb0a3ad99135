//! What is read, what comes out, and where a restart goes on.

use connect_core::config::{connector_from_map, find_connector_plugin};
use connect_core::data::Value;
use connect_core::testkit::values;
use std::path::Path;
use std::time::Duration;

use crate::support::{Place, config, gzip};

#[tokio::test]
async fn csv_rows_become_objects_with_the_names_of_the_header() {
    let place = Place::new("users.csv", &[("key.field", "id")]);
    place.write(
        "users.csv",
        "\u{feff}\r\nid, name ,score\r\n1,\"O\"\"Hara, \nJohn\",1.10\r\n007,,true\r\n",
    );
    let records = place.task().await.poll().await.unwrap();
    assert_eq!(
        values(&records),
        [
            r#"{"id":1,"name":"O\"Hara, \nJohn","score":1.10}"#,
            r#"{"id":"007","name":null,"score":true}"#
        ]
    );
    assert_eq!(records[0].key.value().as_str(), Some("1"));
    assert_eq!(&*records[0].topic, "rows");
}

#[tokio::test]
async fn json_lines_are_copied_as_they_are_spelled() {
    let place = Place::new("a.jsonl", &[("format", "jsonlines")]);
    place.write("a.jsonl", "{\"id\": 1.10}\r\n\n[1]\n\"x\"\n");
    assert_eq!(
        place.task().await.next().await,
        [r#"{"id": 1.10}"#, "[1]", "\"x\""]
    );
}

#[tokio::test]
async fn rows_with_a_schema_have_the_declared_types() {
    let place = Place::new(
        "a.csv",
        &[("csv.schema", "true"), ("csv.types", "id:int64,day:date")],
    );
    place.write("a.csv", "id,day,note\n1,1970-01-02,x\n");
    let records = place.task().await.poll().await.unwrap();
    assert!(records[0].value.schema().is_some());
    assert_eq!(records[0].value.value().get("day"), Some(&Value::Date(1)));
}

#[tokio::test]
async fn an_envelope_holds_a_batch() {
    let place = Place::new(
        "a.csv",
        &[
            ("output", "envelope"),
            ("envelope.source", "csv_users"),
            ("envelope.max.records", "2"),
        ],
    );
    place.write("a.csv", "id\n1\n2\n3\n");
    let envelopes = place.task().await.next().await;
    assert_eq!(envelopes.len(), 2);
    assert!(
        envelopes[0]
            .starts_with(r#"{"source":"csv_users","data":[{"id":1},{"id":2}],"timestamp":""#),
        "{envelopes:?}"
    );
    assert!(
        envelopes[1].ends_with(r#""batch_size":1,"processed":false}"#),
        "{envelopes:?}"
    );
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_was_acknowledged() {
    for name in ["a.csv", "a.csv.gz"] {
        let place = Place::new(name, &[("batch.size", "3")]);
        let lines: String = (0..10)
            .map(|number| format!("{number},\"x\n{number}\"\n"))
            .collect();
        let content = format!("id,text\n{lines}");
        place.write(
            name,
            if name.ends_with("gz") {
                gzip(&content)
            } else {
                content.into_bytes()
            },
        );
        let mut task = place.task().await;
        task.next().await;
        let lost = values(&task.poll().await.unwrap());
        let mut task = place.task().await;
        assert_eq!(task.next().await, lost);
        assert_eq!(lost[0], r#"{"id":3,"text":"x\n3"}"#);
        let mut task = place.task().await;
        assert_eq!(
            task.take(4).await.last().unwrap(),
            r#"{"id":9,"text":"x\n9"}"#
        );
        assert_eq!(place.offset(name)["lines"], 21);
    }
}

#[tokio::test]
async fn an_offset_set_by_hand_is_gone_on_from() {
    let place = Place::new("a.csv", &[]);
    place.write("a.csv", "id\n1\n2\n3\n");
    let mut task = place.task().await;
    let mut records = task.poll().await.unwrap();
    records[2].source_offset = Some([("position".to_owned(), 5.into())].into());
    task.acknowledge(&records).await;
    assert_eq!(
        place.task().await.next().await,
        [r#"{"id":2}"#, r#"{"id":3}"#]
    );
}

#[tokio::test]
async fn all_files_of_a_glob_are_read_and_those_that_come_later() {
    let place = Place::new("*.csv", &[]);
    place.write("b.csv", "id\n2\n");
    place.write("a.csv", "other\n1\n");
    place.write(".c.csv", "id\n3\n");
    let mut task = place.task().await;
    assert_eq!(task.take(2).await, [r#"{"other":1}"#, r#"{"id":2}"#]);
    place.rename(".c.csv", "c.csv");
    assert_eq!(task.take(1).await, [r#"{"id":3}"#]);
}

#[tokio::test]
async fn tasks_share_the_files_of_a_folder() {
    let place = Place::new("", &[]);
    for number in 0..8 {
        place.write(&format!("{number}.csv"), format!("id\n{number}\n"));
    }
    assert_eq!(place.task_count(3), 3);
    assert_eq!(Place::new("one.csv", &[]).task_count(3), 1);
    let mut rows = Vec::new();
    for number in 0..3 {
        let mut task = place.task_of(number, 3).await;
        while let Some(more) = task.next_within(Duration::from_millis(300)).await {
            rows.extend(more);
        }
    }
    rows.sort();
    let expected: Vec<_> = (0..8)
        .map(|number| format!("{{\"id\":{number}}}"))
        .collect();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn polls_that_are_dropped_lose_nothing() {
    let place = Place::new("a.csv", &[("batch.size", "7")]);
    let lines: String = (0..500).map(|number| format!("{number}\n")).collect();
    place.write("a.csv", format!("id\n{lines}"));
    let mut task = place.task().await;
    let mut rows = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while rows.len() < 500 {
        assert!(tokio::time::Instant::now() < deadline, "not in time");
        rows.extend(
            task.next_within(Duration::from_micros(50))
                .await
                .unwrap_or_default(),
        );
    }
    let expected: Vec<_> = (0..500)
        .map(|number| format!("{{\"id\":{number}}}"))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_wrong_option_is_listed() {
    let wrong = [
        ("format", "xml"),
        ("csv.types", "id:integer"),
        ("csv.delimiter", ";;"),
        ("batch.size", "0"),
        ("on.broken.line", "ask"),
    ];
    let error = connector_from_map(&config(Path::new("a[.csv"), &wrong)).unwrap_err();
    for (key, _) in wrong.iter().chain(&[("file", "")]) {
        assert!(error.message().contains(key), "{key}: {error}");
    }
    let related = [
        ("finished.action", "move"),
        ("csv.header", "false"),
        ("csv.quote", ","),
    ];
    let error = connector_from_map(&config(Path::new("a.csv"), &related)).unwrap_err();
    for key in [
        "finished.directory",
        "finished.after.ms",
        "csv.columns",
        "csv.quote",
    ] {
        assert!(error.message().contains(key), "{key}: {error}");
    }
}

#[test]
fn the_short_name_finds_it() {
    let plugin = find_connector_plugin("FileSource").unwrap();
    assert_eq!(plugin.class, "sluice.file.FileSourceConnector");
}
