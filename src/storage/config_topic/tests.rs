use bytes::Bytes;

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
    for (offset, (key, value)) in (0..).zip(entries) {
        let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
        state.apply(offset, key, value.as_ref());
    }
    state
}

fn connector(state: &ConfigState, name: &str) -> ClusterConnector {
    state.view().connectors.remove(name).unwrap()
}

#[test]
fn connectors_states_and_tasks_of_kafka_connect_are_read() {
    let state = state(WRITTEN);
    let view = state.view();
    let read = view.connectors.iter().map(|(name, connector)| {
        let target = connector.target_state.as_str();
        (name.as_str(), target, connector.task_count())
    });
    assert_eq!(
        read.collect::<Vec<_>>(),
        [
            ("pau", "PAUSED", 0),
            ("snk", "PAUSED", 2),
            ("src", "STOPPED", 0)
        ]
    );
    let source = &view.connectors["src"];
    assert_eq!(source.config["file"], "in.txt");
    assert_eq!(source.tasks.as_ref().unwrap().made_from, source.config);
    assert_eq!(view.offset, i64::try_from(WRITTEN.len()).unwrap());
    assert_eq!(view.session_key.unwrap()["algorithm"], "HmacSHA256");
}

#[test]
fn an_entry_tells_what_it_has_changed() {
    let mut state = state(WRITTEN);
    let news = state.take_news();
    let named = |name: &str| name.to_owned();
    assert_eq!(
        news[..3],
        [
            ConfigNews::SessionKey,
            ConfigNews::Connectors,
            ConfigNews::Tasks(named("src"))
        ]
    );
    assert_eq!(
        news[news.len() - 5..],
        [
            ConfigNews::Tasks(named("src")),
            ConfigNews::Target(named("src")),
            ConfigNews::Connectors,
            ConfigNews::Level {
                logger: named("org.x"),
                level: named("DEBUG")
            },
            ConfigNews::Restart {
                connector: named("src"),
                include_tasks: true,
                only_failed: false
            },
        ]
    );
    assert!(!state.has_news());
    let written = Bytes::from_static(br#"{"properties":{"a":"b"}}"#);
    state.apply(100, "connector-src", Some(&written));
    assert_eq!(state.take_news(), [ConfigNews::Config(named("src"))]);
    assert_eq!(
        (connector(&state, "src").revision, state.offset()),
        (100, 101)
    );
}

#[test]
fn a_state_of_an_old_writer_is_read() {
    let old = ("connector-c", Some(r#"{"properties":{}}"#));
    let state = state(&[old, ("target-state-c", Some(r#"{"state":"PAUSED"}"#))]);
    assert_eq!(connector(&state, "c").target_state, "PAUSED");
}

#[test]
fn a_state_that_is_not_known_leaves_a_connector_as_it_was() {
    for unknown in [
        r#"{"state":"FLYING","state.v2":"FLYING"}"#,
        r#"{"state":"STARTED","state.v2":"FLYING"}"#,
        r#"{"state":7}"#,
        "{}",
    ] {
        let state = state(&[
            ("connector-c", Some(r#"{"properties":{}}"#)),
            ("target-state-c", Some(r#"{"state":"PAUSED"}"#)),
            ("target-state-c", Some(unknown)),
        ]);
        assert_eq!(connector(&state, "c").target_state, "PAUSED", "{unknown}");
    }
}

#[test]
fn a_connector_or_task_without_properties_is_none() {
    for none in ["{}", r#"{"properties":null}"#, r#"{"properties":["a"]}"#] {
        let state = state(&[
            ("connector-n", Some(none)),
            ("connector-c", Some(r#"{"properties":{"a":"b"}}"#)),
            ("connector-c", Some(none)),
            ("task-c-0", Some(none)),
            ("commit-c", Some(r#"{"tasks":1}"#)),
        ]);
        let known = connector(&state, "c");
        assert_eq!(known.config["a"], "b", "{none}");
        assert_eq!(known.tasks, None, "{none}");
        assert_eq!(state.view().connectors.len(), 1, "{none}");
    }
}

#[test]
fn tasks_are_written_with_the_commit_that_makes_them_count() {
    let task = ConfigMap::from([("a".to_owned(), "b".to_owned())]);
    let written = tasks_and_commit("c-1", &[task.clone(), task]);
    let written: Vec<_> = written
        .into_iter()
        .map(|(key, value)| format!("{key} {}", value.unwrap()))
        .collect();
    assert_eq!(
        written,
        [
            r#"task-c-1-0 {"properties":{"a":"b"}}"#,
            r#"task-c-1-1 {"properties":{"a":"b"}}"#,
            r#"commit-c-1 {"tasks":2}"#
        ]
    );
    let (key, value) = target_state("c", "STOPPED");
    assert_eq!(key, "target-state-c");
    assert_eq!(
        value.unwrap().to_string(),
        r#"{"state":"PAUSED","state.v2":"STOPPED"}"#
    );
}

#[test]
fn tasks_without_all_their_configs_do_not_count() {
    let made = ("connector-c", Some(r#"{"properties":{}}"#));
    let task = ("task-c-0", Some(r#"{"properties":{}}"#));
    let two = ("commit-c", Some(r#"{"tasks":2}"#));
    let one = ("commit-c", Some(r#"{"tasks":1}"#));
    assert_eq!(connector(&state(&[made, task, two]), "c").task_count(), 0);
    // The commit has taken them, although it was of no use.
    assert_eq!(
        connector(&state(&[made, task, two, one]), "c").task_count(),
        0
    );
    assert_eq!(connector(&state(&[made, task, one]), "c").task_count(), 1);
    assert_eq!(connector(&state(&[made, task]), "c").task_count(), 0);
}

#[test]
fn fewer_tasks_than_before_count_after_compaction_too() {
    let made = ("connector-c", Some(r#"{"properties":{}}"#));
    let old = [
        ("task-c-1", Some(r#"{"properties":{"task":"old"}}"#)),
        ("task-c-2", Some(r#"{"properties":{"task":"old"}}"#)),
    ];
    let task = ("task-c-0", Some(r#"{"properties":{"task":"new"}}"#));
    let one = ("commit-c", Some(r#"{"tasks":1}"#));
    let two = ("commit-c", Some(r#"{"tasks":2}"#));
    let tasks = connector(&state(&[made, old[0], old[1], task, one]), "c").tasks;
    let tasks = tasks.unwrap();
    assert_eq!(tasks.configs.len(), 1);
    assert_eq!(tasks.configs[0]["task"], "new");
    // What was left over counts for no later commit.
    let later = [made, old[0], old[1], task, one, task, two];
    assert_eq!(connector(&state(&later), "c").tasks, None);
    let none = ("commit-c", Some(r#"{"tasks":0}"#));
    let none = connector(&state(&[made, old[0], none]), "c").tasks.unwrap();
    assert!(none.configs.is_empty());
    let endless = ("commit-c", Some(r#"{"tasks":18446744073709551615}"#));
    assert_eq!(connector(&state(&[made, task, endless]), "c").tasks, None);
}

#[test]
fn a_config_that_is_written_again_has_its_tasks_after_compaction_too() {
    let made = ("connector-c", Some(r#"{"properties":{"a":"b"}}"#));
    let config = r#"{"properties":{"a":"b","task.class":"Task"}}"#;
    let task = ("task-c-0", Some(config));
    let one = ("commit-c", Some(r#"{"tasks":1}"#));
    let unknown = ("unknown", None);
    // Compaction leaves the offsets as they are.
    let whole = connector(&state(&[made, task, one, made]), "c");
    let compacted = connector(&state(&[unknown, task, one, made]), "c");
    assert_eq!(whole, compacted);
    assert_eq!((compacted.task_count(), compacted.revision), (1, 3));
    let tasks = compacted.tasks.unwrap();
    assert_eq!((tasks.revision, &tasks.made_from), (2, &compacted.config));
    // A later commit counts instead, also if it is of no use.
    let two = ("commit-c", Some(r#"{"tasks":2}"#));
    let later = connector(&state(&[task, one, two, made]), "c");
    assert_eq!(later.tasks, None);
}

#[test]
fn a_connector_made_again_has_no_tasks_of_the_one_before() {
    let made = ("connector-c", Some(r#"{"properties":{}}"#));
    let task = ("task-c-0", Some(r#"{"properties":{}}"#));
    let commit = ("commit-c", Some(r#"{"tasks":1}"#));
    let other = ("connector-c", Some(r#"{"properties":{"a":"b"}}"#));
    let stopped = ("target-state-c", Some(r#"{"state.v2":"STOPPED"}"#));
    let gone = ("connector-c", None);
    // As written, and as compaction leaves it.
    for entries in [
        &[made, task, commit, gone, other][..],
        &[task, commit, other],
        &[task, commit, gone, made],
        &[task, commit, stopped, made],
    ] {
        let state = state(entries);
        assert_eq!(connector(&state, "c").tasks, None, "{entries:?}");
    }
}

#[test]
fn what_is_not_in_the_form_is_passed_over() {
    let made = ("connector-c", Some(r#"{"properties":{"a":"b"}}"#));
    let paused = ("target-state-p", Some(r#"{"state":"PAUSED"}"#));
    let state = state(&[
        made,
        ("connector-c", Some("{")),
        ("connector-c", Some("")),
        ("connector-c", Some("[]")),
        ("connector-p", Some(r#"{"properties":{}}"#)),
        paused,
        ("target-state-p", Some("no JSON")),
        ("task-c-x", Some("{}")),
        ("commit-c", Some("no JSON")),
        ("target-state-c", Some("7")),
        ("unknown", None),
        ("", None),
    ]);
    let known = connector(&state, "c");
    assert_eq!((known.revision, known.config["a"].as_str()), (0, "b"));
    assert_eq!(known.target_state, "STARTED");
    assert_eq!(connector(&state, "p").target_state, "PAUSED");
    assert_eq!(state.offset(), 12, "they are read, all the same");
}
