//! How a task is told to run, pause and stop, and how it waits.

use std::time::Duration;

use tokio::sync::watch;

/// What a task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Move records.
    Run,
    /// Keep everything open, move nothing.
    Pause,
    /// End in good order.
    Stop,
}

/// The task's end of its control line.
#[derive(Debug, Clone)]
pub(super) struct Control(watch::Receiver<Wanted>);

impl Control {
    /// A control line that begins with `wanted`.
    pub(super) fn line(wanted: Wanted) -> (watch::Sender<Wanted>, Self) {
        let (sender, receiver) = watch::channel(wanted);
        (sender, Self(receiver))
    }

    /// What is wanted now. A dropped sender means stop.
    pub(super) fn wanted(&self) -> Wanted {
        if self.0.has_changed().is_err() {
            return Wanted::Stop;
        }
        *self.0.borrow()
    }

    /// Waits for a change; at once if the sender is gone.
    pub(super) async fn changed(&mut self) {
        let _sender_is_gone = self.0.changed().await;
    }

    /// Waits until the task is to stop.
    pub(super) async fn stopped(&mut self) {
        while self.wanted() != Wanted::Stop {
            self.changed().await;
        }
    }

    /// Waits `duration`, or less if something else is wanted.
    pub(super) async fn sleep(&mut self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.changed() => {}
        }
    }
}
