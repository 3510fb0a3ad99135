//! A member of a consumer group with threads of its own, so that it can leave, stall or die.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, TopicPartition};
use sluice::kafka::{ConsumedRecord, Consumer, ConsumerOptions, Log, RebalanceListener};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::home::DEADLINE;
use crate::support::wait_until;

/// What all members of a group have seen, with the member's name.
pub(super) type Seen = Arc<Mutex<Vec<(String, ConsumedRecord)>>>;

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a listener was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

/// Commits what was seen when partitions are revoked, and writes down what it was told.
#[derive(Default)]
pub(super) struct Journal {
    consumer: OnceLock<Weak<dyn Consumer>>,
    next: Mutex<BTreeMap<TopicPartition, Offset>>,
    told: Mutex<Vec<Told>>,
}

impl Journal {
    pub(super) fn told(&self) -> Vec<Told> {
        locked(&self.told).clone()
    }

    /// Who commits at a revocation.
    pub(super) fn commits_with(&self, consumer: &Arc<dyn Consumer>) {
        let _first_wins = self.consumer.set(Arc::downgrade(consumer));
    }

    fn saw(&self, record: &ConsumedRecord) {
        let partition = TopicPartition::new(record.topic.clone(), record.partition);
        locked(&self.next).insert(partition, record.offset.next());
    }

    fn due(&self, partitions: &[TopicPartition]) -> Offsets {
        let next = locked(&self.next);
        let of = |partition: &TopicPartition| {
            Some((partition.clone(), next.get(partition).copied()?.into()))
        };
        partitions.iter().filter_map(of).collect()
    }
}

#[async_trait]
impl RebalanceListener for Journal {
    async fn assigned(&self, partitions: &[TopicPartition]) {
        locked(&self.next).retain(|partition, _| !partitions.contains(partition));
        locked(&self.told).push(Told::Assigned(partitions.to_vec()));
    }

    async fn revoked(&self, partitions: &[TopicPartition]) {
        let due = self.due(partitions);
        if let Some(consumer) = self.consumer.get().and_then(Weak::upgrade)
            && !due.is_empty()
            && let Err(error) = consumer.commit(&due).await
        {
            // The records are then read again, and the case fails on that.
            eprintln!("commit at revocation: {}", error.trace());
        }
        locked(&self.told).push(Told::Revoked(partitions.to_vec()));
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        locked(&self.told).push(Told::Lost(partitions.to_vec()));
    }
}

/// A member that polls, and commits only what is revoked from it.
pub(super) struct Member {
    name: String,
    runtime: Option<Runtime>,
    task: JoinHandle<Result<()>>,
    leave: CancellationToken,
    owned: Arc<Mutex<Vec<TopicPartition>>>,
    pub(super) journal: Arc<Journal>,
}

impl Member {
    /// Joins and polls until told otherwise.
    pub(super) fn join(
        name: &str,
        log: &Arc<dyn Log>,
        mut options: ConsumerOptions,
        seen: &Seen,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let journal = Arc::new(Journal::default());
        let leave = CancellationToken::new();
        let owned = Arc::new(Mutex::new(Vec::new()));
        options.listener = Some(journal.clone());
        name.clone_into(&mut options.client_id);
        let polling = Polling {
            name: name.to_owned(),
            journal: journal.clone(),
            leave: leave.clone(),
            owned: owned.clone(),
            seen: seen.clone(),
        };
        let task = runtime.spawn(polling.run(log.clone(), options));
        Ok(Self {
            name: name.to_owned(),
            runtime: Some(runtime),
            task,
            leave,
            owned,
            journal,
        })
    }

    /// Waits until it owns so many partitions.
    pub(super) async fn owns(&self, count: usize) -> Result<()> {
        let what = format!("{} owns {count} partitions", self.name);
        wait_until(&what, DEADLINE, || async {
            if self.task.is_finished() {
                bail!("it has ended");
            }
            let owned = locked(&self.owned).len();
            (owned == count)
                .then_some(true)
                .with_context(|| format!("{owned} are owned"))
        })
        .await
    }

    /// Gives its partitions up and leaves the group.
    pub(super) async fn leave(mut self) -> Result<()> {
        self.leave.cancel();
        let ended = tokio::time::timeout(DEADLINE, &mut self.task).await;
        ended.context("it does not leave")???;
        Ok(())
    }

    /// Ends without a word to anybody: its threads are gone.
    pub(super) fn die(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What runs on the member's threads.
struct Polling {
    name: String,
    journal: Arc<Journal>,
    leave: CancellationToken,
    owned: Arc<Mutex<Vec<TopicPartition>>>,
    seen: Seen,
}

impl Polling {
    async fn run(self, log: Arc<dyn Log>, options: ConsumerOptions) -> Result<()> {
        let consumer = log.consumer(options).await?;
        self.journal.commits_with(&consumer);
        while !self.leave.is_cancelled() {
            let records = consumer.poll(Duration::from_millis(100)).await?;
            for record in records {
                self.journal.saw(&record);
                locked(&self.seen).push((self.name.clone(), record));
            }
            *locked(&self.owned) = consumer.assignment().await;
        }
        Ok(consumer.close().await?)
    }
}

/// Waits until the members have seen so many records.
pub(super) async fn seen_in_all(seen: &Seen, count: usize) -> Result<()> {
    wait_until("all records are seen", DEADLINE, || async {
        let so_far = locked(seen).len();
        (so_far >= count)
            .then_some(true)
            .with_context(|| format!("{so_far} of {count}"))
    })
    .await
}
