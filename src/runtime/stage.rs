//! What the worker is doing: said to whoever waited for it in vain.

use std::sync::{Arc, Mutex, PoisonError};

use connect_core::clock::Clock;
use connect_core::data::Timestamp;

use super::metrics::rfc3339;

#[derive(Debug)]
struct Stage {
    what: String,
    began: Timestamp,
    completed: Option<Timestamp>,
}

impl Stage {
    /// In Kafka Connect's words.
    fn text(&self) -> String {
        let (what, began) = (&self.what, rfc3339(self.began));
        match self.completed.map(rfc3339) {
            None => format!("The worker is currently {what}, which began at {began}"),
            Some(completed) => format!(
                "The last operation the worker completed was {what}, which began at {began} and completed at {completed}"
            ),
        }
    }
}

/// The stage the worker is in, or was in last.
#[derive(Clone)]
pub(super) struct Stages {
    clock: Arc<dyn Clock>,
    current: Arc<Mutex<Option<Stage>>>,
}

/// A stage that lasts as long as this is held.
#[must_use]
pub(super) struct InStage(Stages);

impl Stages {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            current: Arc::default(),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Option<Stage>)) {
        change(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Begins a stage: `what` completes "the worker is currently …".
    pub(super) fn enter(&self, what: String) -> InStage {
        let began = self.clock.now();
        self.with(|current| {
            *current = Some(Stage {
                what,
                began,
                completed: None,
            });
        });
        InStage(self.clone())
    }

    /// What is or was done; empty if nothing was done yet.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.with(|current| {
            text = match current {
                None => String::new(),
                Some(stage) => stage.text(),
            };
        });
        text
    }
}

impl Drop for InStage {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        self.0.with(|current| {
            if let Some(stage) = current {
                stage.completed = Some(now);
            }
        });
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
