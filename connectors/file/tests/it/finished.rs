//! Finished files: left, moved or deleted, and never before their rows are safe.

use crate::support::{Place, QUIET};

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
    assert_eq!(task.within(QUIET).await, None);
    assert!(place.path("a.csv").exists(), "not acknowledged yet");
    task.acknowledge(&first).await;
    assert_eq!(task.within(QUIET).await, None);
    assert!(place.path("a.csv").exists(), "half acknowledged");
    task.acknowledge(&second).await;
    let done = place.path("done/a.csv");
    task.quiet_until(|| done.exists()).await;
    assert!(!place.path("a.csv").exists());

    // The same name, the same beginning: another file all the same.
    place.write("a.csv", "id\n1\n2\n3\n");
    assert_eq!(task.rows(3).await.len(), 3);
    let again = place.path("done/a.csv.1");
    task.quiet_until(|| again.exists()).await;
}

#[tokio::test]
async fn a_finished_file_is_deleted_also_if_the_worker_died_in_between() {
    let options = [("finished.action", "delete"), ("finished.after.ms", "20")];
    let place = Place::new("*.csv", &options);
    place.write("a.csv", "id\n1\n");
    place.write("only-a-header.csv", "id\n");
    place.task().await.next().await;
    assert!(place.path("a.csv").exists());
    let mut task = place.task().await;
    let paths = [place.path("a.csv"), place.path("only-a-header.csv")];
    task.quiet_until(|| paths.iter().all(|path| !path.exists()))
        .await;
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
