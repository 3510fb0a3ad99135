//! What a worker has to do with its group: how it was shared, and how the coordinator answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::families::REBALANCE_INFO_LABELS;
use super::window::{Meter, Window};
use crate::kafka::{Generation, GroupObserver};

/// The numbers of a worker's membership. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rebalances(Arc<Mutex<Numbers>>);

#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    pub(super) client_id: String,
    /// Where the leader's REST API is.
    pub(super) leader: String,
    pub(super) protocol: String,
    /// The generation of the group; `None` before the first.
    pub(super) epoch: Option<i32>,
    pub(super) connectors: usize,
    pub(super) tasks: usize,
    pub(super) joining: bool,
    pub(super) joined_at: Option<Instant>,
    pub(super) heard_at: Option<Instant>,
    pub(super) joins: Meter,
    pub(super) join_times: Window,
    pub(super) failures: Meter,
    pub(super) heartbeats: Meter,
    pub(super) heartbeat_times: Window,
}

/// These numbers at a moment.
#[derive(Debug)]
pub struct RebalanceSample {
    pub(super) numbers: Numbers,
    pub(super) now: Instant,
}

impl Rebalances {
    /// Those of a member that is called `client_id`.
    pub fn new(client_id: &str) -> Self {
        let client_id = client_id.to_owned();
        Self(Arc::new(Mutex::new(Numbers {
            client_id,
            ..Numbers::default()
        })))
    }

    /// What the leader, whose REST API is at `leader`, has given to this worker: all it has now.
    pub fn assigned(&self, leader: &str, connectors: usize, tasks: usize) {
        let mut numbers = self.numbers();
        leader.clone_into(&mut numbers.leader);
        (numbers.connectors, numbers.tasks) = (connectors, tasks);
    }

    /// These numbers now.
    pub fn sample(&self) -> RebalanceSample {
        RebalanceSample {
            numbers: self.numbers().clone(),
            now: Instant::now(),
        }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupObserver for Rebalances {
    fn heartbeat_answered(&self, took: Duration) {
        let now = Instant::now();
        let mut numbers = self.numbers();
        numbers.heard_at = Some(now);
        numbers.heartbeats.add(1, now);
        numbers.heartbeat_times.record(millis(took), now);
    }

    fn join_started(&self) {
        self.numbers().joining = true;
    }

    fn joined(&self, generation: &Generation, took: Duration) {
        let now = Instant::now();
        let mut numbers = self.numbers();
        numbers.joining = false;
        numbers.epoch = Some(generation.id);
        numbers.protocol.clone_from(&generation.protocol);
        numbers.joined_at = Some(now);
        numbers.joins.add(1, now);
        numbers.join_times.record(millis(took), now);
    }

    fn join_failed(&self) {
        let mut numbers = self.numbers();
        numbers.joining = false;
        numbers.failures.add(1, Instant::now());
    }
}

impl RebalanceSample {
    /// Milliseconds since the group was last shared.
    pub(super) fn since_joined(&self) -> Option<f64> {
        Some(millis(self.now.duration_since(self.numbers.joined_at?)))
    }

    /// Seconds since the coordinator last answered a heartbeat.
    pub(super) fn since_heard(&self) -> Option<f64> {
        let since = self.now.duration_since(self.numbers.heard_at?);
        Some(since.as_secs_f64())
    }

    /// Who leads and how work is shared; nothing before the first assignment.
    pub(super) fn names(&self) -> Option<[(&'static str, String); 2]> {
        let [leader_label, protocol_label] = REBALANCE_INFO_LABELS;
        let (leader, protocol) = (&self.numbers.leader, &self.numbers.protocol);
        let names = [
            (leader_label, leader.clone()),
            (protocol_label, protocol.clone()),
        ];
        (!leader.is_empty()).then_some(names)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebalance_is_told_from_its_start_to_its_end() {
        let rebalances = Rebalances::new("c");
        assert!(
            rebalances.sample().names().is_none() && rebalances.sample().since_joined().is_none()
        );
        rebalances.join_started();
        assert!(rebalances.sample().numbers.joining);
        let generation = Generation {
            id: 7,
            member_id: "m".to_owned(),
            is_leader: false,
            protocol: "sessioned".to_owned(),
            assignment: bytes::Bytes::new(),
        };
        rebalances.joined(&generation, Duration::from_millis(250));
        rebalances.assigned("http://w:8083/", 2, 3);
        let sample = rebalances.sample();
        let numbers = &sample.numbers;
        assert!(!numbers.joining && sample.since_joined().is_some());
        assert_eq!((numbers.epoch, numbers.joins.total()), (Some(7), 1));
        assert_eq!(numbers.join_times.max(sample.now), Some(250.0));
        let [leader, protocol] = sample.names().unwrap();
        assert_eq!(leader, ("leader_name", "http://w:8083/".to_owned()));
        assert_eq!(protocol, ("connect_protocol", "sessioned".to_owned()));
        rebalances.join_started();
        rebalances.join_failed();
        let numbers = rebalances.sample().numbers;
        assert!(!numbers.joining && numbers.failures.total() == 1);
    }
}
