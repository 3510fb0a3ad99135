//! How a task has spent its time.

use std::time::{Duration, Instant};

use crate::runtime::info::State;

/// Time in each state that is asked for, since the task was made.
#[derive(Debug, Clone)]
pub(in crate::runtime) struct StateTimes {
    begin: Instant,
    state: State,
    since: Instant,
    running: Duration,
    paused: Duration,
}

impl StateTimes {
    /// A task that is made now.
    pub(in crate::runtime) fn begin(state: State, now: Instant) -> Self {
        Self {
            begin: now,
            state,
            since: now,
            running: Duration::ZERO,
            paused: Duration::ZERO,
        }
    }

    /// The task is in another state from now on.
    pub(in crate::runtime) fn enter(&mut self, state: State, now: Instant) {
        self.running = self.time_in(State::Running, now);
        self.paused = self.time_in(State::Paused, now);
        (self.state, self.since) = (state, now);
    }

    /// The share of all time spent in a state, 0 to 1: running or paused, 0 for others.
    pub(super) fn ratio(&self, state: State, now: Instant) -> f64 {
        let all = now.duration_since(self.begin).as_secs_f64();
        if all == 0.0 {
            return 0.0;
        }
        self.time_in(state, now).as_secs_f64() / all
    }

    fn time_in(&self, state: State, now: Instant) -> Duration {
        let before = match state {
            State::Running => self.running,
            State::Paused => self.paused,
            _ => return Duration::ZERO,
        };
        let current = if self.state == state {
            now.duration_since(self.since)
        } else {
            Duration::ZERO
        };
        before + current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_shares_of_all_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut times = StateTimes::begin(State::Unassigned, start);
        assert_eq!(times.ratio(State::Running, start), 0.0);
        times.enter(State::Running, after(1));
        times.enter(State::Paused, after(4));
        times.enter(State::Running, after(6));
        assert_eq!(times.ratio(State::Running, after(10)), 0.7);
        assert_eq!(times.ratio(State::Paused, after(10)), 0.2);
    }
}
