//! The place of a worker in its `group.id`: one worker runs at a time, until several share the work.
//!
//! The worker is a member of the group and owns the config topic's only partition there. Kafka's group coordinator is the
//! judge: a Java worker speaks another protocol in the group, so each is refused while the other is in it; of two workers
//! like this one the first keeps the partition and the second gets none. Whoever does not own it does not run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_core::data::TopicPartition;
use connect_core::retry::RetryPolicy;
use connect_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use super::cluster_options::ClusterOptions;
use crate::kafka::{
    AutoOffsetReset, Consumer, ConsumerOptions, Isolation, Log, RebalanceListener, Subscription,
};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(500);
/// The owner keeps its partition while others come and go.
const STICKY: &str = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};

/// Whether the partition is owned; told by the group, watched by the worker.
struct Ownership(watch::Sender<bool>);

#[async_trait]
impl RebalanceListener for Ownership {
    async fn assigned(&self, partitions: &[TopicPartition]) {
        if !partitions.is_empty() {
            self.0.send_replace(true);
        }
    }

    async fn revoked(&self, partitions: &[TopicPartition]) {
        self.lost(partitions).await;
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        if !partitions.is_empty() {
            self.0.send_replace(false);
        }
    }
}

/// The membership of a running worker.
pub(super) struct Membership {
    group: String,
    /// How long the partition may be gone, for a rebalance or because the coordinator was out of reach.
    grace: Duration,
    owned: watch::Receiver<bool>,
    /// Left, too, when this is dropped.
    leave: DropGuard,
    polling: tokio::task::JoinHandle<()>,
}

impl Membership {
    /// Joins the group and waits until this worker is the one that may run: no longer than a worker that has died is
    /// kept in the group.
    ///
    /// # Errors
    /// `Conflict` if another worker is in the group.
    pub(super) async fn join(log: &Arc<dyn Log>, options: &ClusterOptions) -> Result<Self> {
        let (owner, owned) = watch::channel(false);
        let joining = join(log, options, Arc::new(Ownership(owner)), owned.clone());
        let consumer = joining.await?;
        let leave = CancellationToken::new();
        let polling = tokio::spawn(stay(consumer, leave.clone()));
        info!(
            group = options.group_id,
            "this worker runs the group's work"
        );
        Ok(Self {
            group: options.group_id.clone(),
            grace: options.session_timeout,
            owned,
            leave: leave.drop_guard(),
            polling,
        })
    }

    /// Waits until this worker may no longer run.
    pub(super) async fn lost(&self) -> Error {
        let mut owned = self.owned.clone();
        loop {
            let taken = owned.wait_for(|owned| !owned).await.is_ok();
            if taken {
                warn!(
                    group = self.group,
                    "the group's work is no longer this worker's"
                );
                let back = owned.wait_for(|owned| *owned);
                if matches!(tokio::time::timeout(self.grace, back).await, Ok(Ok(_))) {
                    continue;
                }
            }
            return Error::conflict(format!("another worker runs in the group {}", self.group));
        }
    }

    /// Whether this worker may run now.
    pub(super) fn is_held(&self) -> bool {
        *self.owned.borrow()
    }

    /// Leaves the group: another worker may run at once.
    pub(super) async fn leave(self) {
        drop(self.leave);
        let _ended_or_late = tokio::time::timeout(self.grace, self.polling).await;
    }
}

async fn join(
    log: &Arc<dyn Log>,
    options: &ClusterOptions,
    listener: Arc<dyn RebalanceListener>,
    owned: watch::Receiver<bool>,
) -> Result<Arc<dyn Consumer>> {
    // A member that has died is forgotten after its session; the rest is for the rebalance.
    let until = Instant::now() + options.session_timeout.saturating_mul(2);
    let mut attempt = 0;
    loop {
        let consumer = log.consumer(member(options, listener.clone())).await?;
        let Err(failure) = own(&*consumer, &owned, until).await else {
            return Ok(consumer);
        };
        let _left = consumer.close().await;
        let is_taken = failure.kind() == ErrorKind::Conflict;
        if !(is_taken || failure.is_retriable()) || Instant::now() >= until {
            let failure = if is_taken { taken(failure) } else { failure };
            return Err(failure.operation("join group").target(&options.group_id));
        }
        debug!(error = failure.trace(), "the group is joined again");
        attempt += 1;
        tokio::time::sleep(PAUSES.pause(attempt, &failure)).await;
    }
}

fn taken(cause: Error) -> Error {
    let text = "another worker runs in the group, and several are not supported: stop it first";
    Error::conflict(text).source(cause)
}

/// Polls until the partition is owned.
async fn own(consumer: &dyn Consumer, owned: &watch::Receiver<bool>, until: Instant) -> Result<()> {
    while !*owned.borrow() {
        if Instant::now() >= until {
            return Err(Error::conflict("another member owns the config topic"));
        }
        consumer.poll(POLL).await?;
    }
    Ok(())
}

fn member(options: &ClusterOptions, listener: Arc<dyn RebalanceListener>) -> ConsumerOptions {
    let millis = |duration: Duration| duration.as_millis().to_string();
    let overrides = [
        ("session.timeout.ms", millis(options.session_timeout)),
        ("heartbeat.interval.ms", millis(options.heartbeat_interval)),
        ("max.poll.interval.ms", millis(options.rebalance_timeout)),
        ("partition.assignment.strategy", STICKY.to_owned()),
    ];
    ConsumerOptions {
        group: Some(options.group_id.clone()),
        subscription: Subscription::Topics(vec![options.configs.name.clone()]),
        client_id: options.configs.client_id.clone(),
        // Membership is all that is wanted.
        auto_offset_reset: AutoOffsetReset::Latest,
        isolation: Isolation::ReadUncommitted,
        max_poll_records: 1,
        fetch_max_bytes: 1 << 20,
        listener: Some(listener),
        overrides: overrides
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    }
}

/// Stays in the group until told to leave.
async fn stay(consumer: Arc<dyn Consumer>, leave: CancellationToken) {
    let mut failures = 0;
    while !leave.is_cancelled() {
        match consumer.poll(POLL).await {
            Ok(_records) => failures = 0,
            Err(failure) => {
                failures += 1;
                warn!(
                    error = failure.trace(),
                    "the worker's group cannot be polled"
                );
                let pause = tokio::time::sleep(PAUSES.pause(failures, &failure));
                tokio::select! {
                    () = pause => {}
                    () = leave.cancelled() => {}
                }
            }
        }
    }
    if let Err(failure) = consumer.close().await {
        warn!(error = failure.trace(), "the worker's group was not left");
    }
}
