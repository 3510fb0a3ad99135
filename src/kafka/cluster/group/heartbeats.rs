//! The heartbeats of a member: they go on whatever its worker does, and end the session when they are not answered.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use connect_core::Error;
use connect_core::retry::RetryPolicy;
use futures_util::FutureExt;
use krafka::KrafkaError;
use krafka::error::ErrorCode;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::coordinator::Coordinator;
use super::mapped;
use super::session::{Beat, Session};
use crate::kafka::{GroupObserver, GroupSession, Rebalance};

pub(super) const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(1),
};

/// A session that heartbeats and joins share.
pub(super) struct SharedSession {
    session: Mutex<Session>,
    changed: Notify,
    observer: OnceLock<Arc<dyn GroupObserver>>,
}

impl SharedSession {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session: Mutex::new(session),
            changed: Notify::new(),
            observer: OnceLock::new(),
        }
    }

    pub(super) fn observe(&self, observer: Arc<dyn GroupObserver>) {
        let _first_counts = self.observer.set(observer);
    }

    /// Tells whoever observes the member.
    pub(super) fn tell(&self, tell: impl FnOnce(&dyn GroupObserver)) {
        if let Some(observer) = self.observer.get() {
            tell(&**observer);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads.
    pub(super) fn read<T>(&self, ask: impl FnOnce(&Session) -> T) -> T {
        ask(&self.locked())
    }

    /// Changes, and wakes whoever waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Session) -> T) -> T {
        let changed = change(&mut self.locked());
        self.changed.notify_waiters();
        changed
    }

    /// Waits until `ask` yields something.
    pub(super) async fn wait<T>(&self, ask: impl Fn(&Session) -> Option<T>) -> T {
        loop {
            let change = self.changed.notified();
            if let Some(found) = self.read(&ask) {
                return found;
            }
            change.await;
        }
    }

    /// Waits until the member is none any more.
    pub(super) async fn lost(&self) -> Error {
        let lost = |session: &Session| match session.rebalance() {
            Some(Rebalance::Lost(error)) => Some(error),
            Some(Rebalance::Requested) | None => None,
        };
        self.wait(lost).await
    }
}

impl GroupSession for SharedSession {
    fn is_alive(&self) -> bool {
        self.read(|session| session.is_alive(Instant::now()))
    }
}

/// Sends heartbeats while the member is inside, until told to stop.
pub(super) async fn run(
    session: Arc<SharedSession>,
    coordinator: Arc<Coordinator>,
    interval: Duration,
    stop: CancellationToken,
) {
    let beating = async {
        loop {
            session.wait(Session::deadline).await;
            let beats = beat_until_outside(&session, &coordinator, interval);
            // Without heartbeats nobody would notice when the session has ended.
            if AssertUnwindSafe(beats).catch_unwind().await.is_err() {
                error!("a heartbeat panicked: a defect in Sluice; they go on");
                tokio::time::sleep(PAUSES.initial).await;
            }
        }
    };
    stop.run_until_cancelled(beating).await;
}

async fn beat_until_outside(session: &SharedSession, coordinator: &Coordinator, every: Duration) {
    let mut failures = 0;
    while let Some(beat) = session.read(|session| session.beat(Instant::now())) {
        let next = match beat_once(session, coordinator, &beat).await {
            Ok(()) => {
                failures = 0;
                beat.sent + every
            }
            Err(failure) => {
                failures += 1;
                let failure = mapped(failure);
                debug!(error = failure.trace(), "a heartbeat was not answered");
                Instant::now() + PAUSES.pause(failures, &failure)
            }
        };
        // A new generation is told of at once: the coordinator waits for it.
        let renewed = session.wait(|session| {
            let now = session.beat(beat.sent)?;
            (now.generation != beat.generation).then_some(())
        });
        tokio::select! {
            () = renewed => {}
            () = expired(session) => return,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

async fn beat_once(
    session: &SharedSession,
    coordinator: &Coordinator,
    beat: &Beat,
) -> Result<(), KrafkaError> {
    let heartbeat = coordinator.heartbeat(&beat.member, beat.generation);
    let answer = tokio::select! {
        answer = heartbeat => answer,
        () = expired(session) => return Ok(()),
    };
    let code = match &answer {
        Ok(()) => ErrorCode::None,
        Err(KrafkaError::Broker { code, .. }) => *code,
        Err(_) => return answer,
    };
    session.change(|session| session.answered(beat, code));
    session.tell(|observer| observer.heartbeat_answered(beat.sent.elapsed()));
    match code {
        ErrorCode::None
        | ErrorCode::RebalanceInProgress
        | ErrorCode::UnknownMemberId
        | ErrorCode::IllegalGeneration => Ok(()),
        _ => answer,
    }
}

/// Ends the session when it was not heard for too long.
async fn expired(session: &SharedSession) {
    while let Some(deadline) = session.read(Session::deadline) {
        tokio::time::sleep_until(deadline).await;
        if session.change(|session| session.expire(Instant::now())) {
            warn!("the group's coordinator cannot be reached: this worker is no member any more");
        }
    }
}
