//! Lines that cannot be read: named with file and line, and the way out.

use connect_core::ErrorKind;

use crate::support::{Place, QUIET};

#[tokio::test]
async fn a_broken_line_fails_the_task_by_file_and_line_after_the_rows_before_it() {
    let cases = [
        (
            "a.csv",
            "csv",
            "id,name\n1,\"x\ny\"\n\n2\n3,z\n",
            "line 5",
            "1 values for 2 columns",
        ),
        (
            "a.jsonl",
            "jsonlines",
            "{}\n\n{\"a\":}\n{}\n",
            "line 3",
            "not valid JSON",
        ),
    ];
    for (name, format, content, line, reason) in cases {
        let place = Place::new(name, &[("format", format)]);
        place.write(name, content);
        let mut task = place.task().await;
        assert_eq!(task.next().await.len(), 1);
        let error = task.failure().await;
        assert_eq!(error.kind(), ErrorKind::Data);
        let text = error.to_string();
        assert!(
            text.contains(line) && text.contains(reason) && text.contains(name),
            "{text}"
        );
        assert!(text.contains("on.broken.line=skip"), "{text}");
        // A restart finds it again.
        assert!(
            place
                .task()
                .await
                .failure()
                .await
                .to_string()
                .contains(line)
        );
    }
}

#[tokio::test]
async fn broken_lines_are_left_out_and_counted_if_so_configured() {
    let place = Place::new(
        "a.csv",
        &[("on.broken.line", "skip"), ("csv.types", "id:int32")],
    );
    place.write("a.csv", b"id,name\n1,a\nx,b\n2\n3,\xff\n4,d\n");
    assert_eq!(
        place.task().await.next().await,
        [r#"{"id":1,"name":"a"}"#, r#"{"id":4,"name":"d"}"#]
    );
    assert_eq!(place.offset("a.csv")["skipped"], 3);
    assert_eq!(place.offset("a.csv")["lines"], 6);
}

#[tokio::test]
async fn a_line_longer_than_allowed_is_left_out_whatever_its_length() {
    for length in [300, 10_000, 1_000_000] {
        let place = Place::new(
            "a.jsonl",
            &[
                ("format", "jsonlines"),
                ("on.broken.line", "skip"),
                ("line.max.bytes", "256"),
            ],
        );
        let long = "x".repeat(length);
        place.write("a.jsonl", format!("1\n\"{long}\"\n2\n\"{long}"));
        let mut task = place.task().await;
        assert_eq!(task.take(2).await, ["1", "2"]);
        place.append("a.jsonl", "and on\"\n3\n");
        assert_eq!(task.take(1).await, ["3"], "{length}");
    }
}

#[tokio::test]
async fn a_quote_that_is_not_closed_costs_its_line_not_the_file() {
    let place = Place::new(
        "a.csv",
        &[("on.broken.line", "skip"), ("line.max.bytes", "64")],
    );
    let lines: String = (0..100).map(|number| format!("{number},a\n")).collect();
    place.write("a.csv", format!("id,name\n1,\"open\n{lines}"));
    let rows = place.task().await.take(100).await;
    assert_eq!(rows[0], r#"{"id":0,"name":"a"}"#);
    assert_eq!(place.offset("a.csv")["skipped"], 1);
}

#[tokio::test]
async fn an_error_names_the_column_and_not_the_value() {
    let place = Place::new("a.csv", &[("csv.types", "salary:int32")]);
    place.write("a.csv", "name,salary\nJohn,top-secret\n");
    let trace = place.task().await.failure().await.trace();
    assert!(
        trace.contains("salary") && !trace.contains("top-secret") && !trace.contains("John"),
        "{trace}"
    );
}

#[tokio::test]
async fn columns_of_one_name_fail_the_task_by_file() {
    let place = Place::new("a.csv", &[]);
    place.write("a.csv", "id,id\n1,2\n");
    let text = place.task().await.failure().await.to_string();
    assert!(text.contains("a.csv") && text.contains("\"id\""), "{text}");
}

#[tokio::test]
async fn what_is_not_gzip_fails_the_task_by_file() {
    let place = Place::new("a.csv.gz", &[]);
    place.write("a.csv.gz", "id\n1\n");
    let error = place.task().await.failure().await;
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("a.csv.gz"), "{error}");
}

#[tokio::test]
async fn a_last_line_without_a_line_break_is_taken_when_the_file_no_longer_changes() {
    let place = Place::new("a.csv", &[("finished.after.ms", "60")]);
    place.write("a.csv", "id,name\n1,a\n2,\"b\"");
    let mut task = place.task().await;
    assert_eq!(
        task.take(2).await,
        [r#"{"id":1,"name":"a"}"#, r#"{"id":2,"name":"b"}"#]
    );
    assert_eq!(task.next_within(QUIET).await, None);
    place.append("a.csv", "\n3,c\n");
    assert_eq!(task.next().await, [r#"{"id":3,"name":"c"}"#]);
    assert_eq!(place.offset("a.csv")["lines"], 4);
}

#[tokio::test]
async fn a_last_line_that_goes_on_after_all_is_an_error_not_a_wrong_row() {
    for restart in [false, true] {
        let place = Place::new("a.csv", &[("finished.after.ms", "60")]);
        place.write("a.csv", "id\n12");
        let mut task = place.task().await;
        assert_eq!(task.next().await, [r#"{"id":12}"#]);
        if restart {
            task = place.task().await;
        }
        place.append("a.csv", "34\n5\n");
        let text = task.failure().await.to_string();
        assert!(
            text.contains("has gone on") && text.contains("line 2"),
            "{text}"
        );
    }
}
