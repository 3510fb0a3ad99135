//! Finished files: left, moved or deleted, and never before their rows are safe.

use std::time::{Duration, SystemTime};

use crate::support::{Place, QUIET, gzip};

#[tokio::test]
async fn a_finished_file_is_moved_once_its_rows_are_acknowledged() {
    let options = [
        ("finished.action", "move"),
        ("finished.directory", "done"),
        ("finished.after.ms", "20"),
    ];
    let place = Place::new("*.csv", &options);
    place.write("a.csv", "id\n1\n2");
    let mut task = place.task().await;
    let first = task.poll().await.unwrap();
    let second = task.poll().await.unwrap();
    assert_eq!(task.next_within(QUIET).await, None);
    assert!(place.path("a.csv").exists(), "not acknowledged yet");
    task.acknowledge(&first).await;
    assert_eq!(task.next_within(QUIET).await, None);
    assert!(place.path("a.csv").exists(), "half acknowledged");
    task.acknowledge(&second).await;
    let done = place.path("done/a.csv");
    task.quiet_until(|| done.exists()).await;
    assert!(!place.path("a.csv").exists());

    // The same name, the same beginning: another file all the same.
    place.write("a.csv", "id\n1\n2\n3\n");
    assert_eq!(task.take(3).await.len(), 3);
    let again = place.path("done/a.csv.1");
    task.quiet_until(|| again.exists()).await;
}

#[tokio::test]
async fn what_comes_under_the_name_of_a_finished_file_is_another_file_whatever_it_begins_with() {
    for (action, identity) in [
        ("delete", "inode"),
        ("move", "content"),
        ("delete", "content"),
    ] {
        let options = [
            ("finished.action", action),
            ("finished.directory", "done"),
            ("finished.after.ms", "20"),
            ("file.identity", identity),
        ];
        let place = Place::new("*.csv", &options);
        let mut task = place.task().await;
        let path = place.path("a.csv");
        for _ in 0..2 {
            place.write(".a.csv", "id\n1\n2\n");
            place.rename(".a.csv", "a.csv");
            assert_eq!(task.take(2).await, [r#"{"id":1}"#, r#"{"id":2}"#]);
            task.quiet_until(|| !path.exists()).await;
        }
    }
}

#[tokio::test]
async fn a_finished_file_is_deleted_also_if_the_worker_died_in_between() {
    let options = [("finished.action", "delete"), ("finished.after.ms", "20")];
    let place = Place::new("*.csv", &options);
    place.write("a.csv", "id\n1\n");
    place.write("only-a-header.csv", "id\n");
    place.write("half-a-header.csv", "id");
    place.write("empty.csv", "");
    place.task().await.next().await;
    assert!(place.path("a.csv").exists());
    let mut task = place.task().await;
    let names = [
        "a.csv",
        "only-a-header.csv",
        "half-a-header.csv",
        "empty.csv",
    ];
    let paths = names.map(|name| place.path(name));
    task.quiet_until(|| paths.iter().all(|path| !path.exists()))
        .await;
}

#[tokio::test]
async fn a_new_file_with_the_content_of_a_finished_one_is_read_also_after_a_restart() {
    for identity in ["inode", "content"] {
        let options = [
            ("finished.action", "delete"),
            ("finished.after.ms", "20"),
            ("file.identity", identity),
        ];
        let place = Place::new("*.csv", &options);
        place.write("a.csv", "id\n1\n");
        let mut task = place.task().await;
        task.next().await;
        drop(task);
        // In place: the same inode, the same length, the same bytes.
        place.write("a.csv", "id\n1\n");
        let later = SystemTime::now() + Duration::from_secs(1);
        let file = std::fs::File::options()
            .append(true)
            .open(place.path("a.csv"));
        file.unwrap().set_modified(later).unwrap();
        let mut task = place.task().await;
        assert_eq!(task.next().await, [r#"{"id":1}"#]);
        let path = place.path("a.csv");
        task.quiet_until(|| !path.exists()).await;
    }
}

#[tokio::test]
async fn a_file_that_still_grows_is_not_finished() {
    let options = [("finished.action", "delete"), ("finished.after.ms", "300")];
    let place = Place::new("a.csv", &options);
    place.write("a.csv", "id\n");
    let mut task = place.task().await;
    for number in 0..30 {
        place.append("a.csv", format!("{number}\n"));
        assert_eq!(task.next().await, [format!("{{\"id\":{number}}}")]);
    }
    assert!(place.path("a.csv").exists());
}

#[tokio::test]
async fn a_packed_file_that_is_cut_off_is_never_deleted() {
    let options = [("finished.action", "delete"), ("finished.after.ms", "20")];
    let place = Place::new("*.gz", &options);
    let packed = gzip("id\n1\n");
    place.write("a.csv.gz", &packed[..12]);
    place.write("b.csv.gz", &packed);
    let mut task = place.task().await;
    task.next().await;
    let whole = place.path("b.csv.gz");
    task.quiet_until(|| !whole.exists()).await;
    assert!(place.path("a.csv.gz").exists());
    place.write("a.csv.gz", &packed);
    assert_eq!(task.next().await, [r#"{"id":1}"#]);
}

#[tokio::test]
async fn a_folder_for_finished_files_that_cannot_be_made_fails_the_connector() {
    let place = Place::new(
        "*.csv",
        &[
            ("finished.action", "move"),
            ("finished.directory", "file/done"),
            ("finished.after.ms", "20"),
        ],
    );
    place.write("file", "");
    let error = place.start().await.unwrap_err();
    assert!(error.to_string().contains("finished.directory"), "{error}");
}
