use super::*;

/// What Kafka Connect 4.3.1 wrote while connectors were made, paused, stopped, resumed and removed; `None` is a tombstone.
const WRITTEN: &[(&str, Option<&str>)] = &[
    (
        "session-key",
        Some(
            r#"{"key":"t1KDlW57FG0C+s3jAA30DLq6b6zHFOkBEO/4buu7Pf0=","algorithm":"HmacSHA256","creation-timestamp":1795269666959}"#,
        ),
    ),
    (
        "connector-src",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSource","tasks.max":"1","file":"in.txt","topic":"t","name":"src"}}"#,
        ),
    ),
    (
        "task-src-0",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSource","file":"in.txt","task.class":"org.apache.kafka.connect.file.FileStreamSourceTask","tasks.max":"1","name":"src","topic":"t"}}"#,
        ),
    ),
    ("commit-src", Some(r#"{"tasks":1}"#)),
    (
        "connector-snk",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSink","tasks.max":"2","file":"out.txt","topics":"t","name":"snk"}}"#,
        ),
    ),
    (
        "task-snk-0",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSink","file":"out.txt","task.class":"org.apache.kafka.connect.file.FileStreamSinkTask","tasks.max":"2","topics":"t","name":"snk"}}"#,
        ),
    ),
    (
        "task-snk-1",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSink","file":"out.txt","task.class":"org.apache.kafka.connect.file.FileStreamSinkTask","tasks.max":"2","topics":"t","name":"snk"}}"#,
        ),
    ),
    ("commit-snk", Some(r#"{"tasks":2}"#)),
    (
        "target-state-pau",
        Some(r#"{"state":"PAUSED","state.v2":"PAUSED"}"#),
    ),
    (
        "connector-pau",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSink","tasks.max":"1","file":"out2.txt","topics":"t","name":"pau"}}"#,
        ),
    ),
    (
        "connector-gone",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSink","tasks.max":"1","file":"out3.txt","topics":"t","name":"gone"}}"#,
        ),
    ),
    (
        "task-gone-0",
        Some(
            r#"{"properties":{"connector.class":"FileStreamSink","file":"out3.txt","task.class":"org.apache.kafka.connect.file.FileStreamSinkTask","tasks.max":"1","topics":"t","name":"gone"}}"#,
        ),
    ),
    ("commit-gone", Some(r#"{"tasks":1}"#)),
    (
        "target-state-snk",
        Some(r#"{"state":"PAUSED","state.v2":"PAUSED"}"#),
    ),
    ("commit-src", Some(r#"{"tasks":0}"#)),
    (
        "target-state-src",
        Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
    ),
    ("connector-gone", None),
    ("target-state-gone", None),
    ("logger-cluster-org.x", Some(r#"{"level":"DEBUG"}"#)),
    (
        "restart-connector-src",
        Some(r#"{"include-tasks":true,"only-failed":false}"#),
    ),
];

fn state(entries: &[(&str, Option<&str>)]) -> ConfigState {
    let mut state = ConfigState::default();
    for (key, value) in entries {
        let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
        state.apply(key, value.as_ref());
    }
    state
}

fn stored(state: &ConfigState, name: &str) -> StoredConnector {
    state.connectors().remove(name).unwrap()
}

/// The changes as they are written, `null` for a tombstone.
fn written(state: &ConfigState, name: &str, wanted: &StoredConnector) -> Vec<String> {
    let changes = state.changes(name, wanted).into_iter();
    changes
        .map(|(key, value)| format!("{key} {}", value.unwrap_or_default()))
        .collect()
}

#[test]
fn connectors_states_and_tasks_of_kafka_connect_are_read() {
    let state = state(WRITTEN);
    let connectors = state.connectors();
    let read = connectors.iter().map(|(name, stored)| {
        let target = stored.target_state.as_str();
        (name.as_str(), target, stored.tasks)
    });
    assert_eq!(
        read.collect::<Vec<_>>(),
        [
            ("pau", "PAUSED", 0),
            ("snk", "PAUSED", 2),
            ("src", "STOPPED", 0)
        ]
    );
    assert_eq!(connectors["src"].config["file"], "in.txt");
}

#[test]
fn a_state_of_an_old_writer_is_read() {
    let connector = ("connector-c", Some(r#"{"properties":{}}"#));
    let state = state(&[connector, ("target-state-c", Some(r#"{"state":"PAUSED"}"#))]);
    assert_eq!(stored(&state, "c").target_state, "PAUSED");
}

#[test]
fn what_is_unchanged_is_not_written() {
    let state = state(WRITTEN);
    for (name, connector) in state.connectors() {
        assert_eq!(written(&state, &name, &connector), Vec::<String>::new());
    }
}

#[test]
fn changes_are_written_in_kafka_connects_order_and_form() {
    let state = state(WRITTEN);
    let mut sink = stored(&state, "snk");
    sink.target_state = "STOPPED".to_owned();
    sink.tasks = 0;
    assert_eq!(
        written(&state, "snk", &sink),
        [
            r#"commit-snk {"tasks":0}"#,
            r#"target-state-snk {"state":"PAUSED","state.v2":"STOPPED"}"#
        ]
    );
    let mut source = stored(&state, "src");
    source.target_state = "STARTED".to_owned();
    source.tasks = 1;
    let changes = written(&state, "src", &source);
    assert_eq!(
        changes[0],
        r#"target-state-src {"state":"STARTED","state.v2":"STARTED"}"#
    );
    assert!(
        changes[1].starts_with(r#"task-src-0 {"properties":{"#),
        "{changes:?}"
    );
    assert_eq!(changes[2..], [r#"commit-src {"tasks":1}"#]);
}

#[test]
fn a_new_connector_has_its_initial_state_first() {
    let wanted = StoredConnector {
        config: [("name".to_owned(), "n".to_owned())].into(),
        target_state: "PAUSED".to_owned(),
        tasks: 0,
    };
    assert_eq!(
        written(&ConfigState::default(), "n", &wanted),
        [
            r#"target-state-n {"state":"PAUSED","state.v2":"PAUSED"}"#,
            r#"connector-n {"properties":{"name":"n"}}"#
        ]
    );
}

#[test]
fn a_changed_config_brings_new_tasks_of_the_class_there_was() {
    let state = state(WRITTEN);
    let mut sink = stored(&state, "snk");
    sink.config
        .insert("file".to_owned(), "other.txt".to_owned());
    sink.tasks = 1;
    let changes = state.changes("snk", &sink);
    let keys: Vec<_> = changes.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["connector-snk", "task-snk-0", "commit-snk"]);
    let task = changes[1].1.as_ref().unwrap();
    assert_eq!(task["properties"]["file"], "other.txt");
    assert_eq!(
        task["properties"]["task.class"],
        "org.apache.kafka.connect.file.FileStreamSinkTask"
    );
}

#[test]
fn tasks_without_all_their_configs_do_not_count() {
    let connector = ("connector-c", Some(r#"{"properties":{}}"#));
    let task = ("task-c-0", Some(r#"{"properties":{}}"#));
    let two = ("commit-c", Some(r#"{"tasks":2}"#));
    let one = ("commit-c", Some(r#"{"tasks":1}"#));
    assert_eq!(stored(&state(&[connector, task, two]), "c").tasks, 0);
    // The commit has taken them, although it was of no use.
    assert_eq!(stored(&state(&[connector, task, two, one]), "c").tasks, 0);
    assert_eq!(stored(&state(&[connector, task, one]), "c").tasks, 1);
    assert_eq!(stored(&state(&[connector, task]), "c").tasks, 0);
}

#[test]
fn a_connector_made_again_has_no_tasks_of_the_one_before() {
    let connector = ("connector-c", Some(r#"{"properties":{}}"#));
    let task = ("task-c-0", Some(r#"{"properties":{}}"#));
    let commit = ("commit-c", Some(r#"{"tasks":1}"#));
    // As written, and as compaction leaves it.
    let whole = [connector, task, commit, ("connector-c", None), connector];
    assert_eq!(stored(&state(&whole), "c").tasks, 0);
    assert_eq!(stored(&state(&[task, commit, connector]), "c").tasks, 0);
}

#[test]
fn what_is_not_in_the_form_is_passed_over() {
    let connector = ("connector-c", Some(r#"{"properties":{"a":"b"}}"#));
    let state = state(&[
        connector,
        ("task-c-x", Some("{}")),
        ("commit-c", Some("no JSON")),
        ("target-state-c", Some("7")),
        ("unknown", None),
        ("", None),
    ]);
    assert_eq!(stored(&state, "c").target_state, "STARTED");
}
