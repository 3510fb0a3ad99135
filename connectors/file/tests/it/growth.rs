//! Files that grow, are rotated, written anew.

use std::io::Write;

use crate::support::{Place, QUIET, gzip};

#[tokio::test]
async fn a_half_written_line_waits_for_its_other_half() {
    let place = Place::new("a.csv", &[]);
    let mut task = place.task().await;
    assert_eq!(task.next_within(QUIET).await, None, "there is no file yet");
    place.append("a.csv", "id,na");
    assert_eq!(task.next_within(QUIET).await, None, "half a header");
    place.append("a.csv", "me\n1,John\n2,\"Ja");
    assert_eq!(task.next().await, [r#"{"id":1,"name":"John"}"#]);
    assert_eq!(task.next_within(QUIET).await, None);
    place.append("a.csv", "ne\n");
    assert_eq!(
        task.next_within(QUIET).await,
        None,
        "the line break is within quotes"
    );
    place.append("a.csv", "\"\n3,Jim");
    assert_eq!(task.next().await, [r#"{"id":2,"name":"Jane\n"}"#]);
    place.append("a.csv", "\n");
    assert_eq!(task.next().await, [r#"{"id":3,"name":"Jim"}"#]);
}

#[tokio::test]
async fn a_file_that_grew_while_the_worker_was_down_is_gone_on_with() {
    let place = Place::new("a.csv", &[]);
    place.write("a.csv", "id\n1\n2");
    assert_eq!(place.task().await.next().await, [r#"{"id":1}"#]);
    place.append("a.csv", "0\n3\n");
    assert_eq!(
        place.task().await.next().await,
        [r#"{"id":20}"#, r#"{"id":3}"#]
    );
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let place = Place::new("log.csv", &[]);
    place.write("log.csv", "id\n1\n");
    let mut task = place.task().await;
    task.next().await;
    let path = place.path("log.csv");
    let mut writer = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    place.rename("log.csv", "old");
    writer.write_all(b"2\n3").unwrap();
    place.write("log.csv", "id\n4\n");
    assert_eq!(
        task.take(3).await,
        [r#"{"id":2}"#, r#"{"id":3}"#, r#"{"id":4}"#]
    );
}

#[tokio::test]
async fn a_rotated_file_within_the_glob_is_not_read_again() {
    let place = Place::new("log*", &[("csv.columns", "id"), ("csv.header", "false")]);
    place.write("log", "1\n");
    let mut task = place.task().await;
    task.next().await;
    place.append("log", "2\n");
    place.rename("log", "log.1");
    place.write("log", "3\n");
    let mut rows = task.take(2).await;
    rows.sort();
    assert_eq!(rows, [r#"{"id":2}"#, r#"{"id":3}"#]);
    place.rename("log.1", "log.2");
    place.rename("log", "log.1");
    place.write("log", "4\n");
    assert_eq!(task.take(1).await, [r#"{"id":4}"#]);
    assert_eq!(task.next_within(QUIET).await, None);
    // The new names have their own offsets once something was read under them.
    place.append("log", "5\n");
    assert_eq!(task.next().await, [r#"{"id":5}"#]);
}

#[tokio::test]
async fn a_renamed_file_is_not_read_again_after_a_restart() {
    let place = Place::new("log*", &[("csv.columns", "id"), ("csv.header", "false")]);
    place.write("log", "1\n");
    let mut task = place.task().await;
    task.next().await;
    // Noticed while the task runs, and nothing is read under the new name.
    place.rename("log", "log.1");
    place.write("log", "2\n");
    assert_eq!(task.take(1).await, [r#"{"id":2}"#]);
    let mut task = place.task().await;
    assert_eq!(task.next_within(QUIET).await, None);
    drop(task);
    // While the worker is down, with a rest that was not read.
    place.append("log", "20\n");
    place.rename("log.1", "log.2");
    place.rename("log", "log.1");
    place.write("log", "3\n");
    let mut task = place.task().await;
    let mut rows = task.take(2).await;
    rows.sort();
    assert_eq!(rows, [r#"{"id":20}"#, r#"{"id":3}"#]);
    assert_eq!(task.next_within(QUIET).await, None);
}

#[tokio::test]
async fn a_position_under_a_name_counts_where_none_is_stored_for_the_file() {
    let place = Place::new("a.csv", &[]);
    place.write("a.csv", "id\n1\n2\n");
    place.store("a.csv", 5);
    assert_eq!(place.task().await.next().await, [r#"{"id":2}"#]);
}

#[tokio::test]
async fn a_file_written_anew_in_place_is_read_from_its_beginning() {
    let header = format!("id,{}\n", "x".repeat(1100));
    for (first, second) in [
        ("1,a\n2,b\n".to_owned(), "1,a\n".to_owned()),
        // The same first 1024 bytes, larger, but not what stood there before.
        ("1,a\n2,b\n".to_owned(), "1,a\n3,b\n4,c\n".to_owned()),
    ] {
        for restart in [false, true] {
            let place = Place::new("a.csv", &[]);
            place.write("a.csv", format!("{header}{first}"));
            let mut task = place.task().await;
            task.take(2).await;
            if restart {
                task = place.task().await;
            }
            place.write("a.csv", format!("{header}{second}"));
            let count = second.lines().count();
            let rows = task.take(count).await;
            assert!(rows[0].starts_with(r#"{"id":1,"#), "{rows:?}");
            assert_eq!(rows.len(), count);
        }
    }
}

#[tokio::test]
async fn another_file_under_the_name_is_read_from_its_beginning_also_when_it_begins_the_same() {
    for restart in [false, true] {
        let place = Place::new("a.csv", &[]);
        place.write("a.csv", "id\n1\n");
        let mut task = place.task().await;
        task.next().await;
        if restart {
            task = place.task().await;
        }
        place.write("new", "id\n1\n2\n");
        place.rename("new", "a.csv");
        assert_eq!(task.take(2).await, [r#"{"id":1}"#, r#"{"id":2}"#]);
    }
}

#[tokio::test]
async fn with_identity_by_content_a_copy_is_gone_on_with() {
    for restart in [false, true] {
        let place = Place::new("a.csv", &[("file.identity", "content")]);
        place.write("a.csv", "id\n1\n");
        let mut task = place.task().await;
        task.next().await;
        if restart {
            task = place.task().await;
        }
        place.write("new", "id\n1\n2\n");
        place.rename("new", "a.csv");
        assert_eq!(task.next().await, [r#"{"id":2}"#]);
    }
}

#[tokio::test]
async fn a_packed_file_that_is_still_written_waits_for_its_rest() {
    let place = Place::new("a.csv.gz", &[("finished.after.ms", "30")]);
    let lines: String = (0..2000)
        .map(|number| format!("{number},{}\n", fastrand_text(number)))
        .collect();
    let packed = gzip(&format!("id,text\n{lines}"));
    let (first, second) = packed.split_at(packed.len() / 2);
    place.write("a.csv.gz", first);
    let mut task = place.task().await;
    let before = task.next().await;
    assert!(before.len() < 2000);
    let mut rows = before;
    while let Some(more) = task.next_within(QUIET).await {
        rows.extend(more);
    }
    assert!(rows.len() < 2000, "no half line at the cut: {}", rows.len());
    place.append("a.csv.gz", second);
    while rows.len() < 2000 {
        rows.extend(task.next().await);
    }
    let ids: Vec<_> = rows
        .iter()
        .map(|row| row.split([':', ',']).nth(1).unwrap().to_owned())
        .collect();
    let expected: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(ids, expected);
}

/// Text that does not pack well, the same at every run.
fn fastrand_text(seed: u64) -> String {
    format!("{:016x}", (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[tokio::test]
async fn two_packed_parts_one_after_the_other_are_one_file() {
    let place = Place::new("a.csv.gz", &[]);
    place.write("a.csv.gz", gzip("id\n1\n"));
    let mut task = place.task().await;
    assert_eq!(task.next().await, [r#"{"id":1}"#]);
    place.append("a.csv.gz", gzip("2\n"));
    assert_eq!(task.next().await, [r#"{"id":2}"#]);
}
