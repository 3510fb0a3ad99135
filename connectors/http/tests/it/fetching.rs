//! What is asked for, what comes out, and where a restart goes on.

use std::time::Duration;

use connect_core::config::{connector_from_map, find_connector_plugin};
use connect_core::testkit::values;

use crate::support::{Api, Reply, Seen, Worker, config, users};

/// Pages of two users by `page`, five in all.
fn numbered(page: u64) -> String {
    users((page * 2 - 1..=page * 2).filter(|id| *id <= 5))
}

#[tokio::test]
async fn each_record_is_a_message_and_keeps_its_spelling() {
    let api = Api::start(|_| Reply::json(r#"{"data":[{"id": 1, "price": 1.10},{"id":2}]}"#)).await;
    let worker = Worker::new(
        &api.url("/users"),
        &[("records.pointer", "/data"), ("key.field", "id")],
    );
    let records = worker.task().await.poll().await.unwrap();
    assert_eq!(
        values(&records),
        [r#"{"id": 1, "price": 1.10}"#, r#"{"id":2}"#]
    );
    assert_eq!(records[0].key.value().as_str(), Some("1"));
    assert_eq!(&*records[0].topic, "users");
}

#[tokio::test]
async fn an_envelope_holds_the_fetch() {
    let api = Api::start(|_| Reply::json(users(1..=2))).await;
    let worker = Worker::new(
        &api.url("/"),
        &[("output", "envelope"), ("envelope.source", "api_users")],
    );
    let envelopes = worker.task().await.next().await;
    assert_eq!(envelopes.len(), 1);
    assert!(
        envelopes[0]
            .starts_with(r#"{"source":"api_users","data":[{"id":1},{"id":2}],"timestamp":""#),
        "{envelopes:?}"
    );
    assert!(
        envelopes[0].ends_with(r#"","batch_size":2,"processed":false}"#),
        "{envelopes:?}"
    );
}

#[tokio::test]
async fn the_next_fetch_comes_after_the_interval_and_a_restart_keeps_to_it() {
    let api = Api::start(|_| Reply::json(users(1..=1))).await;
    let worker = Worker::new(&api.url("/"), &[("poll.interval.ms", "700")]);
    let started = tokio::time::Instant::now();
    let mut task = worker.task().await;
    task.next().await;
    let mut restarted = worker.task().await;
    restarted.next().await;
    assert!(
        started.elapsed() >= Duration::from_millis(690),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(api.seen().len(), 2);
}

#[tokio::test]
async fn numbered_pages_are_read_to_the_last() {
    let api =
        Api::start(|seen| Reply::json(numbered(seen.parameter("page").unwrap().parse().unwrap())))
            .await;
    let options = [
        ("pagination.mode", "page"),
        ("pagination.size", "2"),
        ("pagination.size.parameter", "limit"),
        ("http.query", "active=true&name=%C3%A4"),
    ];
    let worker = Worker::new(&api.url("/users?sort=id"), &options);
    let mut task = worker.task().await;
    let mut read = Vec::new();
    while read.len() < 5 {
        read.extend(task.next().await);
    }
    assert_eq!(read.concat(), r#"{"id":1}{"id":2}{"id":3}{"id":4}{"id":5}"#);
    assert_eq!(
        api.uris()[2],
        "/users?sort=id&active=true&name=%C3%A4&limit=2&page=3"
    );
    assert_eq!(api.seen().len(), 3);
}

#[tokio::test]
async fn link_headers_are_followed_also_when_relative() {
    let api = Api::start(|seen| {
        let page: u64 = seen
            .parameter("after")
            .map_or(1, |text| text.parse().unwrap());
        let reply = Reply::json(numbered(page));
        if page == 3 {
            return reply;
        }
        let target = format!("/users?after={}", page + 1);
        let target = if page == 1 {
            format!("http://{}{target}", seen.address)
        } else {
            target
        };
        reply.header(
            "link",
            format!("</first>; rel=\"first\", <{target}>; rel=\"next\""),
        )
    })
    .await;
    let worker = Worker::new(&api.url("/users"), &[("pagination.mode", "link")]);
    let mut task = worker.task().await;
    let read = [task.next().await, task.next().await, task.next().await].concat();
    assert_eq!(read.len(), 5);
    assert_eq!(api.uris(), ["/users", "/users?after=2", "/users?after=3"]);
}

#[tokio::test]
async fn a_link_in_the_answer_is_followed() {
    let api = Api::start(|seen| match seen.uri.path() {
        "/users" => Reply::json(r#"{"items":[1,2],"links":{"next":"/more"}}"#),
        _ => Reply::json(r#"{"items":[3],"links":{"next":null}}"#),
    })
    .await;
    let options = [
        ("pagination.mode", "link"),
        ("pagination.pointer", "/links/next"),
        ("records.pointer", "/items"),
    ];
    let worker = Worker::new(&api.url("/users"), &options);
    let mut task = worker.task().await;
    assert_eq!(
        [task.next().await, task.next().await].concat(),
        ["1", "2", "3"]
    );
}

#[tokio::test]
async fn a_cursor_goes_into_the_query_or_into_the_body_of_a_post() {
    let script = |seen: &Seen| {
        let last = seen.uri.to_string().contains("c%2F%222") || seen.body.contains(r#"c/\"2"#);
        let next = if last { "null" } else { r#""c/\"2""# };
        Reply::json(format!(
            r#"{{"rows":[{}],"cursor":{next}}}"#,
            u8::from(last)
        ))
    };
    let api = Api::start(script).await;
    let common = [
        ("pagination.mode", "cursor"),
        ("pagination.pointer", "/cursor"),
        ("records.pointer", "/rows"),
    ];
    let mut task = Worker::new(&api.url("/q"), &common).task().await;
    assert_eq!([task.next().await, task.next().await].concat(), ["0", "1"]);

    let body = [
        ("http.method", "POST"),
        ("http.body", r#"{"after":"${cursor}"}"#),
        ("pagination.parameter", ""),
    ];
    let mut task = Worker::new(&api.url("/q"), &[common.as_slice(), &body].concat())
        .task()
        .await;
    assert_eq!([task.next().await, task.next().await].concat(), ["0", "1"]);
    let seen = api.seen();
    assert_eq!(seen[2].method, "POST");
    assert_eq!(seen[2].header("content-type"), Some("application/json"));
    assert_eq!(
        (seen[2].body.as_str(), seen[3].body.as_str()),
        (r#"{"after":""}"#, r#"{"after":"c/\"2"}"#)
    );
    assert_eq!(seen[3].uri, "/q");
}

#[tokio::test]
async fn a_restart_within_a_fetch_goes_on_with_the_first_page_not_acknowledged() {
    let api =
        Api::start(|seen| Reply::json(numbered(seen.parameter("page").unwrap().parse().unwrap())))
            .await;
    let worker = Worker::new(
        &api.url("/"),
        &[("pagination.mode", "page"), ("pagination.size", "2")],
    );
    let mut task = worker.task().await;
    task.next().await;
    let lost = task.poll().await.unwrap();
    let again = worker.task().await.poll().await.unwrap();
    assert_eq!(values(&again), values(&lost));
    assert_eq!(api.uris(), ["/?page=1", "/?page=2", "/?page=2"]);
}

#[tokio::test]
async fn only_what_is_new_is_asked_for_after_a_whole_fetch() {
    let api = Api::start(
        |seen| match (seen.parameter("since"), seen.parameter("page")) {
            (Some("2026-01-01"), Some("1")) => {
                Reply::json(r#"[{"t":"2026-03-01"},{"t":"2026-02-01"}]"#)
            }
            (Some("2026-01-01"), Some("2")) => Reply::json(r#"[{"t":"2026-02-15"}]"#),
            (Some("2026-03-01"), Some("1")) => Reply::json(r#"[{"t":"2026-04-01"}]"#),
            _ => Reply::json("[]"),
        },
    )
    .await;
    let options = [
        ("pagination.mode", "page"),
        ("pagination.size", "2"),
        ("poll.interval.ms", "1"),
        ("since.parameter", "since"),
        ("since.pointer", "/t"),
        ("since.initial", "2026-01-01"),
    ];
    let worker = Worker::new(&api.url("/"), &options);
    let mut read = worker.task().await.next().await;
    // A restart between two pages keeps the mark that this fetch asks by.
    let mut task = worker.task().await;
    read.extend(task.next().await);
    read.extend(task.next().await);
    assert_eq!(read.len(), 4);
    assert!(task.next().await.is_empty());
    assert_eq!(
        api.uris(),
        [
            "/?since=2026-01-01&page=1",
            "/?since=2026-01-01&page=2",
            "/?since=2026-03-01&page=1",
            "/?since=2026-04-01&page=1"
        ]
    );
}

#[tokio::test]
async fn records_at_an_inclusive_bound_are_not_written_again() {
    let api = Api::start(|seen| match seen.number {
        0 => Reply::json(r#"[{"t":1,"n":0},{"t":2,"n":1}]"#),
        1 => Reply::json(r#"[{"t":2,"n":1},{"t":2,"n":2}]"#),
        _ => Reply::json(r#"[{"t":2,"n":1},{"t":2,"n":2}]"#),
    })
    .await;
    let options = [
        ("poll.interval.ms", "1"),
        ("since.parameter", "from"),
        ("since.pointer", "/t"),
    ];
    let worker = Worker::new(&api.url("/"), &options);
    let mut task = worker.task().await;
    assert_eq!(task.next().await.len(), 2);
    assert_eq!(task.next().await, [r#"{"t":2,"n":2}"#]);
    assert!(task.next().await.is_empty());
    assert!(worker.task().await.next().await.is_empty());
    assert_eq!(api.uris(), ["/", "/?from=2", "/?from=2", "/?from=2"]);
}

#[tokio::test]
async fn the_body_of_a_post_may_ask_by_page_and_mark() {
    let api = Api::start(|seen| match seen.number {
        0 => Reply::json(r#"[{"t":"a\"b"}]"#),
        _ => Reply::json("[]"),
    })
    .await;
    let options = [
        ("http.method", "POST"),
        (
            "http.body",
            r#"{"page":${page},"after":"${since}","cost":"${x}"}"#,
        ),
        ("pagination.mode", "page"),
        ("pagination.parameter", ""),
        ("pagination.size", "1"),
        ("since.pointer", "/t"),
        ("poll.interval.ms", "1"),
    ];
    let mut task = Worker::new(&api.url("/"), &options).task().await;
    for _ in 0..3 {
        task.next().await;
    }
    let bodies: Vec<_> = api.seen().iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"page":1,"after":"","cost":"${x}"}"#,
            r#"{"page":2,"after":"","cost":"${x}"}"#,
            r#"{"page":1,"after":"a\"b","cost":"${x}"}"#,
        ]
    );
}

#[tokio::test]
async fn an_answer_that_has_not_changed_brings_nothing_also_after_a_restart() {
    let api = Api::start(|seen| match seen.header("if-none-match") {
        Some("\"v1\"") => Reply::status(304),
        _ => Reply::json(users(1..=2)).header("etag", "\"v1\""),
    })
    .await;
    let worker = Worker::new(&api.url("/"), &[("poll.interval.ms", "1")]);
    let mut task = worker.task().await;
    assert_eq!(task.next().await.len(), 2);
    assert!(task.next().await.is_empty());
    assert!(worker.task().await.next().await.is_empty());
    assert_eq!(api.seen().len(), 3);
}

#[test]
fn every_wrong_option_is_listed() {
    let wrong = [
        ("http.url", "ftp://host"),
        ("records.pointer", "data"),
        ("pagination.mode", "guess"),
        ("poll.interval.ms", "0"),
        ("http.headers", "no colon"),
    ];
    let error = connector_from_map(&config("", &wrong)).unwrap_err();
    for (key, _) in wrong {
        assert!(error.message().contains(key), "{key}: {error}");
    }
    let related = [
        ("auth.type", "basic"),
        ("http.body", "{}"),
        ("pagination.mode", "cursor"),
        ("since.pointer", "/t"),
        ("output", "envelope"),
        ("key.field", "id"),
        ("pagination.size.parameter", "limit"),
    ];
    let error = connector_from_map(&config("http://localhost", &related)).unwrap_err();
    for key in [
        "connection.user",
        "connection.password",
        "http.body",
        "pagination.pointer",
        "since.pointer",
        "key.field",
        "pagination.size",
    ] {
        assert!(error.message().contains(key), "{key}: {error}");
    }
    let user = config("https://me:secret@localhost/", &[]);
    assert!(connector_from_map(&user).is_err());
}

#[test]
fn the_short_name_finds_it() {
    let plugin = find_connector_plugin("HttpSource").unwrap();
    assert_eq!(plugin.class, "sluice.http.HttpSourceConnector");
}

#[tokio::test]
async fn a_page_of_very_many_records_is_handed_over_in_parts_and_only_its_end_is_an_offset() {
    let api = Api::start(|_| Reply::json(format!("[{}1]", "1,".repeat(499_999)))).await;
    let mut task = Worker::new(&api.url("/"), &[]).task().await;
    for _ in 0..3 {
        let part = task.poll().await.unwrap();
        assert_eq!(part.len(), 1000);
        assert!(part.iter().all(|record| record.source_offset.is_none()));
    }
    let api = Api::start(|_| Reply::json(users(1..=2500))).await;
    for (form, messages) in [("record", [1000, 1000, 500]), ("envelope", [2, 2, 1])] {
        let worker = Worker::new(&api.url("/"), &[("output", form)]);
        let mut task = worker.task().await;
        for messages in messages {
            let part = task.poll().await.unwrap();
            assert_eq!(part.len(), messages);
            let offsets = part.iter().filter(|record| record.source_offset.is_some());
            assert_eq!(
                offsets.count(),
                usize::from(messages == 500 || messages == 1)
            );
            task.acknowledge(&part).await;
            // A restart within the page reads it again.
            assert_eq!(
                worker.stored.text().contains("fetched_at"),
                part.len() == 500 || part.len() == 1
            );
        }
    }
}

#[tokio::test]
async fn the_offset_of_a_page_comes_with_its_last_new_record_also_when_known_ones_follow() {
    let api = Api::start(|seen| match seen.parameter("since") {
        Some("7") => {
            let new = (0..1000).map(|n| format!(r#"{{"at":8,"n":{n}}}"#));
            Reply::json(format!(
                r#"[{},{{"at":7}}]"#,
                new.collect::<Vec<_>>().join(",")
            ))
        }
        _ => Reply::json(r#"[{"at":7}]"#),
    })
    .await;
    let options = [
        ("since.parameter", "since"),
        ("since.pointer", "/at"),
        ("poll.interval.ms", "1"),
    ];
    let mut task = Worker::new(&api.url("/"), &options).task().await;
    assert_eq!(task.next().await.len(), 1);
    let part = task.poll().await.unwrap();
    assert_eq!(part.len(), 1000);
    assert!(part.last().unwrap().source_offset.is_some());
}
