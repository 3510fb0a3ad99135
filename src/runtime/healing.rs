//! What failed on an outside cause is started again, with growing pauses.
//!
//! Kafka Connect leaves it FAILED until a person restarts it. Here it is FAILED too, but its status says when it will be
//! started again; with `task.restart.backoff.ms=0` it never is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connect_core::clock::Clock;
use connect_core::data::Timestamp;
use connect_core::retry::RetryPolicy;
use connect_core::{Error, ErrorKind};
use tokio::sync::mpsc;
use tracing::info;

use super::connector_actor::Command;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Connector,
    Task(u32),
}

/// The planned restart of a part, as the status shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restart {
    /// Restarts so far, this one included, since it last ran for long.
    pub(super) attempts: u32,
    /// When it comes, or came.
    pub(super) at: Timestamp,
}

/// Restarts of one connector and its tasks.
#[derive(Clone)]
pub(super) struct Healer {
    /// `None`: what has failed stays so.
    policy: Option<RetryPolicy>,
    /// The connector's actor; weak, so that it ends when nobody commands it any more.
    actor: mpsc::WeakSender<Command>,
    clock: Arc<dyn Clock>,
    plans: Arc<Mutex<BTreeMap<Part, Plan>>>,
}

/// How a part has fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    shown: Restart,
    /// When it is to be started, or was.
    due: Instant,
    is_pending: bool,
}

impl Healer {
    pub(super) fn new(
        policy: Option<RetryPolicy>,
        actor: mpsc::WeakSender<Command>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let plans = Arc::default();
        Self {
            policy,
            actor,
            clock,
            plans,
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<Part, Plan>) -> T) -> T {
        change(&mut self.plans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Plans the restart of a part that has failed, if trying again can help.
    pub(super) fn failed(&self, part: Part, error: &Error) {
        let Some(policy) = self.policy.filter(|_| may_heal(error)) else {
            return self.forget(part);
        };
        let now = Instant::now();
        let attempts = self.with(|plans| attempts_after(plans.get(&part), now, policy.max));
        let pause = policy.pause(attempts, error);
        let plan = Plan {
            shown: Restart {
                attempts,
                at: self.clock.now().saturating_add(pause),
            },
            due: now + pause,
            is_pending: true,
        };
        self.with(|plans| plans.insert(part, plan));
        info!(?part, attempts, ?pause, "will be started again");
        let actor = self.actor.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(actor) = actor.upgrade() {
                let _actor_ended = actor.send(Command::Heal(part)).await;
            }
        });
    }

    /// True once for a restart whose time has come. A user may have been faster.
    pub(super) fn is_due(&self, part: Part) -> bool {
        self.with(|plans| match plans.get_mut(&part) {
            Some(plan) if plan.is_pending && plan.due <= Instant::now() => {
                plan.is_pending = false;
                true
            }
            _ => false,
        })
    }

    /// A user has taken the part in hand: nothing is planned any more.
    pub(super) fn forget(&self, part: Part) {
        self.with(|plans| plans.remove(&part));
    }

    /// The same for connector and tasks.
    pub(super) fn forget_all(&self) {
        self.with(BTreeMap::clear);
    }

    /// The last restart of a part, or the one to come.
    pub(super) fn restart_of(&self, part: Part) -> Option<Restart> {
        self.with(|plans| plans.get(&part).map(|plan| plan.shown))
    }
}

/// True if the cause is outside, where it may go away by itself.
fn may_heal(error: &Error) -> bool {
    error.is_retriable() || error.kind() == ErrorKind::External
}

/// The number of the restart that follows: one, if the part has run for longer than the longest pause since the last.
fn attempts_after(before: Option<&Plan>, now: Instant, long: Duration) -> u32 {
    match before {
        Some(plan) if now.saturating_duration_since(plan.due) < long => {
            plan.shown.attempts.saturating_add(1)
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(attempts: u32, due: Instant) -> Plan {
        let at = Timestamp::from_millis(0);
        Plan {
            shown: Restart { attempts, at },
            due,
            is_pending: false,
        }
    }

    #[test]
    fn restarts_count_up_until_one_has_lasted() {
        let (start, long) = (Instant::now(), Duration::from_secs(60));
        assert_eq!(attempts_after(None, start, long), 1);
        let soon = start + Duration::from_secs(5);
        assert_eq!(attempts_after(Some(&plan(3, start)), soon, long), 4);
        let late = start + Duration::from_secs(61);
        assert_eq!(attempts_after(Some(&plan(3, start)), late, long), 1);
    }

    #[test]
    fn only_what_may_go_away_by_itself_is_started_again() {
        assert!(may_heal(&Error::external("down")));
        assert!(!may_heal(&Error::config("wrong")));
        assert!(!may_heal(&Error::data("broken")));
        assert!(!may_heal(&Error::new(ErrorKind::Auth, "refused")));
    }

    #[tokio::test]
    async fn a_restart_comes_once_and_not_at_all_if_a_user_was_faster() {
        let (commands, mut received) = mpsc::channel(4);
        let policy = RetryPolicy {
            initial: Duration::from_millis(5),
            max: Duration::from_millis(5),
        };
        let clock = Arc::new(connect_core::clock::SystemClock);
        let healer = Healer::new(Some(policy), commands.downgrade(), clock);
        healer.failed(Part::Task(1), &Error::external("down"));
        assert!(matches!(
            received.recv().await,
            Some(Command::Heal(Part::Task(1)))
        ));
        assert!(healer.is_due(Part::Task(1)) && !healer.is_due(Part::Task(1)));
        healer.failed(Part::Task(1), &Error::external("down"));
        healer.forget(Part::Task(1));
        assert!(received.recv().await.is_some() && !healer.is_due(Part::Task(1)));
    }
}
