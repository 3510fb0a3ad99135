//! What the worker is doing: said to whoever waited for it in vain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connect_core::clock::Clock;
use connect_core::data::Timestamp;

use super::metrics::rfc3339;

#[derive(Debug)]
struct Stage {
    what: String,
    began: Timestamp,
}

#[derive(Debug, Default)]
struct Board {
    /// By number, the oldest first.
    running: BTreeMap<u64, Stage>,
    /// The last to be completed, and when.
    completed: Option<(Stage, Timestamp)>,
    next: u64,
}

/// The stages the worker is in, and the one it was in last.
#[derive(Clone)]
pub(crate) struct Stages {
    clock: Arc<dyn Clock>,
    board: Arc<Mutex<Board>>,
}

/// A stage that lasts as long as this is held.
#[must_use]
pub(crate) struct InStage {
    stages: Stages,
    number: u64,
}

impl Stages {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            board: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a stage: `what` completes "the worker is currently …".
    pub(crate) fn enter(&self, what: String) -> InStage {
        let began = self.clock.now();
        let mut board = self.lock();
        let number = board.next;
        board.next += 1;
        board.running.insert(number, Stage { what, began });
        InStage {
            stages: self.clone(),
            number,
        }
    }

    /// What has been done for longest, or was done last, in Kafka Connect's words; empty if that is nothing.
    pub(crate) fn text(&self) -> String {
        let board = self.lock();
        if let Some(Stage { what, began }) = board.running.values().next() {
            let began = rfc3339(*began);
            return format!("The worker is currently {what}, which began at {began}");
        }
        let Some((Stage { what, began }, completed)) = &board.completed else {
            return String::new();
        };
        let (began, completed) = (rfc3339(*began), rfc3339(*completed));
        format!(
            "The last operation the worker completed was {what}, which began at {began} and completed at {completed}"
        )
    }
}

impl Drop for InStage {
    fn drop(&mut self) {
        let now = self.stages.clock.now();
        let mut board = self.stages.lock();
        if let Some(stage) = board.running.remove(&self.number) {
            board.completed = Some((stage, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_core::clock::ManualClock;

    use super::*;

    #[test]
    fn a_stage_is_told_while_it_lasts_and_after() {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let stages = Stages::new(Arc::new(clock.clone()));
        assert_eq!(stages.text(), "");
        let stage = stages.enter("stopping connector a".to_owned());
        let now =
            "The worker is currently stopping connector a, which began at 1970-01-01T00:00:00Z";
        drop(stages.enter("doing something short meanwhile".to_owned()));
        assert_eq!(stages.text(), now);
        clock.advance(std::time::Duration::from_secs(2));
        drop(stage);
        assert!(
            stages.text().ends_with("completed at 1970-01-01T00:00:02Z"),
            "{}",
            stages.text()
        );
    }
}
