//! How far a sink task is behind: asks the log now and then, beside the task's loop and never in its way.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::metrics::TaskMetrics;
use crate::kafka::Admin;

/// Between questions: lag is looked at, not acted upon.
const INTERVAL: Duration = Duration::from_secs(5);
/// An answer that takes longer says nothing about now.
const DEADLINE: Duration = Duration::from_secs(10);

/// Keeps the ends of the task's partitions up to date. Runs until it is dropped.
pub(super) async fn watch(admin: Arc<dyn Admin>, metrics: TaskMetrics) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let partitions = metrics.partitions();
        if partitions.is_empty() {
            continue;
        }
        match tokio::time::timeout(DEADLINE, admin.end_offsets(&partitions)).await {
            Ok(Ok(ends)) => metrics.ends(&ends),
            Ok(Err(error)) => debug!(
                error = error.trace(),
                "the ends of partitions are not known"
            ),
            Err(_) => debug!("the ends of partitions did not come in time"),
        }
    }
}
