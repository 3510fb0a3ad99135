//! Any order of writing, rotating, reading, dying: every row written is read once, in order.

use std::time::Duration;

use proptest::prelude::*;

use connect_core::testkit::values;

use crate::support::Place;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The writer writes so many bytes more.
    Write(usize),
    /// The writer begins another file under the name, after its line.
    Rotate,
    /// The task reads, and its rows are acknowledged.
    Read,
    /// The task reads; the worker dies before the rows are acknowledged.
    Die,
    /// The worker stops and starts.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1_usize..40).prop_map(Step::Write),
        1 => Just(Step::Rotate),
        3 => Just(Step::Read),
        1 => Just(Step::Die),
        1 => Just(Step::Restart),
    ]
}

/// Writes rows `id,"text"` in pieces of any size.
struct Writer<'a> {
    place: &'a Place,
    name: &'static str,
    next_row: usize,
    pending: Vec<u8>,
}

impl Writer<'_> {
    fn row(&mut self) {
        let number = self.next_row;
        self.pending
            .extend(format!("{number},\"a\n\"\"{number}\"\n").bytes());
        self.next_row += 1;
    }

    fn write(&mut self, bytes: usize) {
        while self.pending.len() < bytes {
            self.row();
        }
        let piece: Vec<u8> = self.pending.drain(..bytes).collect();
        self.place.append(self.name, piece);
    }

    fn end_line(&mut self) {
        let rest = std::mem::take(&mut self.pending);
        self.place.append(self.name, rest);
    }
}

async fn run(steps: &[Step], batch: &str, identity: &str) -> (Vec<String>, usize) {
    let place = Place::new(
        "a.csv",
        &[
            ("batch.size", batch),
            ("csv.header", "false"),
            ("csv.columns", "id,text"),
            ("file.identity", identity),
        ],
    );
    let mut writer = Writer {
        place: &place,
        name: "a.csv",
        next_row: 0,
        pending: Vec::new(),
    };
    let mut task = place.task().await;
    let mut rows = Vec::new();
    for step in steps {
        match step {
            Step::Write(bytes) => writer.write(*bytes),
            Step::Rotate => {
                // All of it is read first: what a worker that is down misses is another test.
                writer.end_line();
                while rows.len() < writer.next_row {
                    rows.extend(task.next().await);
                }
                if place.path("a.csv").exists() {
                    place.rename("a.csv", "old");
                }
            }
            Step::Read => rows.extend(
                task.next_within(Duration::from_millis(8))
                    .await
                    .unwrap_or_default(),
            ),
            Step::Die => {
                let patience = Duration::from_millis(8);
                if let Ok(Ok(lost)) = tokio::time::timeout(patience, task.poll()).await {
                    assert!(!values(&lost).is_empty());
                }
                task = place.task().await;
            }
            Step::Restart => task = place.task().await,
        }
    }
    writer.end_line();
    while rows.len() < writer.next_row {
        rows.extend(task.next().await);
    }
    (rows, writer.next_row)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_read_once_and_in_order(steps in proptest::collection::vec(step(), 1..40), batch in prop_oneof![Just("1"), Just("3"), Just("1000")], identity in prop_oneof![Just("inode"), Just("content")]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (rows, written) = runtime.block_on(run(&steps, batch, identity));
        let expected: Vec<_> = (0..written).map(|number| format!("{{\"id\":{number},\"text\":\"a\\n\\\"{number}\"}}")).collect();
        prop_assert_eq!(rows, expected);
    }
}
