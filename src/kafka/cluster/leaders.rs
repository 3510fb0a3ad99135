//! Who leads what a consumer reads, after a broker was lost.
//!
//! The client crate asks anew when a broker says that it leads a partition no more. One that has died or is frozen says
//! nothing: its partitions would stay unread until the metadata are too old, five minutes. So whoever polls looks whether
//! fetches have failed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use krafka::__private::kafka_metadata;
use krafka::Kafka;
use krafka::consumer::Consumer;
use tokio::time::Instant;
use tracing::debug;

/// How often is looked; brokers take some seconds to agree on another leader.
const LOOK: Duration = Duration::from_millis(500);
/// How long a poll waits for the answer. One that comes later is taken, too.
const ANSWER: Duration = Duration::from_millis(100);

/// The leaders of what a consumer reads.
pub(super) struct Leaders {
    /// The consumer's own client.
    kafka: Kafka,
    seen: Mutex<Seen>,
}

struct Seen {
    /// Fetches that had failed.
    failures: u64,
    looked: Instant,
}

impl Seen {
    /// Whether it is time to look.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.duration_since(self.looked) >= LOOK;
        if is_due {
            self.looked = now;
        }
        is_due
    }

    /// Whether fetches have failed since the last look.
    fn is_new(&mut self, failures: u64) -> bool {
        std::mem::replace(&mut self.failures, failures) != failures
    }
}

impl Leaders {
    pub(super) fn new(kafka: Kafka) -> Self {
        Self {
            kafka,
            seen: Mutex::new(Seen {
                failures: 0,
                looked: Instant::now(),
            }),
        }
    }

    /// Asks for the leaders of what `consumer` reads if fetches have failed lately.
    pub(super) async fn look(&self, consumer: &Consumer) {
        if !self.have_failed(consumer) {
            return;
        }
        let assignment = consumer.assignment().await;
        let topics: Vec<_> = assignment.keys().map(String::as_str).collect();
        let asked = kafka_metadata(&self.kafka).force_refresh(Some(&topics));
        if let Ok(Err(error)) = tokio::time::timeout(ANSWER, asked).await {
            debug!(%error, "leaders could not be asked for");
        }
    }

    fn have_failed(&self, consumer: &Consumer) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_due(Instant::now()) && seen.is_new(consumer.metrics().consumer.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_seen_once_and_not_looked_for_all_the_time() {
        let start = Instant::now();
        let mut seen = Seen {
            failures: 0,
            looked: start,
        };
        assert!(!seen.is_due(start + LOOK / 2));
        assert!(seen.is_due(start + LOOK) && !seen.is_due(start + LOOK));
        assert!(!seen.is_new(0));
        assert!(seen.is_new(3) && !seen.is_new(3));
    }
}
