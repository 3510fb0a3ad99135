//! Statuses and used topics of a cluster, kept in its status topic as Kafka Connect keeps them.
//!
//! Whoever reports a state does not wait: only the last of each part is kept until it is written. What other workers write
//! is read all the time, so that every worker can tell the states of all. Holds always: that a part has ended or failed here
//! is not written over what its next worker says. A worker alone has no topic: then nothing is kept here.

mod entries;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_core::Result;
use connect_core::clock::Clock;
use connect_core::retry::RetryPolicy;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::entries::Entries;
use super::info::State;
use crate::storage::statuses::{
    StatusEntry, connector_key, connector_of_task, task_key, topic_key, topic_value, used_topic,
};
use crate::storage::{KeyValueStore, TopicStore};

/// How long statuses may take that others should know of before they go on.
const FLUSH: Duration = Duration::from_secs(3);
/// How long the last statuses may take.
const LAST_WRITE: Duration = Duration::from_secs(10);
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
};

/// Where states are told; writes them if there is a topic.
#[derive(Clone, Default)]
pub(super) struct StatusWriter(Option<Arc<Shared>>);

/// A state to be told.
pub(super) struct Told<'a> {
    pub(super) state: State,
    pub(super) trace: Option<&'a str>,
    /// The plugin's; `None` if there is no such plugin.
    pub(super) version: Option<&'a str>,
}

/// A state as some worker told it.
pub(super) type Known = StatusEntry<State>;

/// The states of a connector as its workers told them.
#[derive(Debug, Default)]
pub(super) struct KnownStates {
    pub(super) connector: Option<Known>,
    /// By number.
    pub(super) tasks: BTreeMap<u32, Known>,
}

struct Shared {
    worker_id: String,
    generation: AtomicU64,
    clock: Arc<dyn Clock>,
    entries: Mutex<Entries>,
    /// Counts what others have removed of used topics.
    topic_resets: AtomicU64,
    news: Notify,
    /// All that was told is written.
    written: Notify,
    /// Ends the reading of what others write.
    closing: CancellationToken,
    keeping: Mutex<Option<JoinHandle<()>>>,
}

impl StatusWriter {
    /// Goes on with what is in the topic.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn open(
        store: TopicStore,
        worker_id: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let entries = Entries::new(store.load().await?);
        let shared = Arc::new(Shared {
            worker_id,
            generation: AtomicU64::default(),
            clock,
            entries: Mutex::new(entries),
            topic_resets: AtomicU64::default(),
            news: Notify::new(),
            written: Notify::new(),
            closing: CancellationToken::new(),
            keeping: Mutex::default(),
        });
        *locked(&shared.keeping) = Some(tokio::spawn(keep(shared.clone(), store)));
        Ok(Self(Some(shared)))
    }

    /// Whether there is a topic.
    pub(super) fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// What is told from now on belongs to this generation of the group.
    pub(super) fn set_generation(&self, generation: i32) {
        if let Some(shared) = &self.0 {
            let generation = u64::try_from(generation).unwrap_or_default();
            shared.generation.store(generation, Ordering::Release);
        }
    }

    fn change(&self, change: impl FnOnce(&Shared, &mut Entries)) {
        if let Some(shared) = &self.0 {
            change(shared, &mut locked(&shared.entries));
            shared.news.notify_one();
        }
    }

    fn known<T: Default>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        let shared = self.0.as_ref();
        shared.map_or_else(T::default, |shared| look(&locked(&shared.entries)))
    }

    pub(super) fn connector(&self, connector: &str, told: &Told<'_>) {
        self.tell(connector_key(connector), told);
    }

    pub(super) fn task(&self, connector: &str, task: u32, told: &Told<'_>) {
        self.tell(task_key(connector, task), told);
    }

    /// The end of a part may be told late, when it runs elsewhere already.
    fn tell(&self, key: String, told: &Told<'_>) {
        self.change(|shared, entries| {
            let entry = shared.entry(told);
            match told.state {
                State::Failed | State::Unassigned => entries.set_if_newest(key, &entry),
                _ => entries.set(key, entry.value()),
            }
        });
    }

    /// A task is no more.
    pub(super) fn forget_task(&self, connector: &str, task: u32) {
        let key = task_key(connector, task);
        self.change(|_, entries| entries.remove_all(|known| known == key));
    }

    /// A connector has been removed.
    pub(super) fn forget(&self, connector: &str) {
        let own = connector_key(connector);
        self.change(|_, entries| {
            entries.remove_all(|key| key == own || connector_of_task(key) == Some(connector));
        });
    }

    /// Removes what is told of connectors and tasks that are not there. `tasks`: how many a connector has, by its name. A task
    /// of a connector with fewer tasks may run until one of `workers`, those of the group, tells its end.
    pub(super) fn keep_only(&self, tasks: &BTreeMap<&str, u32>, workers: &BTreeSet<String>) {
        self.change(|_, entries| {
            let running = entries.running(workers);
            entries.remove_all(|key| {
                let connector = connector_of_task(key);
                let may_run = connector.is_some_and(|connector| tasks.contains_key(connector))
                    && running.contains(key);
                is_gone(key, tasks) && !may_run
            });
        });
    }

    /// The states of a connector, as told by whoever runs its parts.
    pub(super) fn states(&self, connector: &str) -> KnownStates {
        self.known(|entries| entries.states(connector))
    }

    /// A task has used a topic; told if it is not known.
    pub(super) fn topic_used(&self, topic: &str, connector: &str, task: u32) {
        self.change(|shared, entries| {
            let key = topic_key(topic, connector);
            if !entries.has(&key) {
                let value = topic_value(topic, connector, task, shared.clock.now());
                entries.set(key, value);
            }
        });
    }

    /// The topics of a connector are forgotten.
    pub(super) fn topics_reset(&self, connector: &str) {
        self.change(|_, entries| {
            entries.remove_all(|key| used_topic(key).is_some_and(|(_, of)| of == connector));
        });
    }

    /// How often a topic was forgotten, here or elsewhere.
    pub(super) fn topic_resets(&self) -> u64 {
        let shared = self.0.as_ref();
        shared.map_or(0, |shared| shared.topic_resets.load(Ordering::Acquire))
    }

    /// The topics that a connector has used.
    pub(super) fn used_topics(&self, connector: &str) -> Vec<String> {
        self.known(|entries| {
            let used = entries.keys().filter_map(used_topic);
            used.filter(|(_, of)| *of == connector)
                .map(|(topic, _)| topic.to_owned())
                .collect()
        })
    }

    /// Waits, but not for long, until all that was told is written.
    pub(super) async fn flush(&self) {
        let Some(shared) = &self.0 else {
            return;
        };
        let written = async {
            loop {
                let changed = shared.written.notified();
                if locked(&shared.entries).are_written() {
                    return;
                }
                changed.await;
            }
        };
        let _written_or_late = tokio::time::timeout(FLUSH, written).await;
    }

    /// Tells that nothing runs here any more, and waits until all is written.
    pub(super) async fn close(&self) {
        self.change(|shared, entries| {
            entries.unassign(&shared.worker_id);
            entries.is_closing = true;
            shared.closing.cancel();
        });
        let keeping = self.0.as_ref();
        let Some(mut keeping) = keeping.and_then(|shared| locked(&shared.keeping).take()) else {
            return;
        };
        let kept = tokio::time::timeout(LAST_WRITE, &mut keeping).await;
        if kept.is_err() {
            warn!("the last statuses could not be written");
            keeping.abort();
        }
    }
}

impl Shared {
    fn entry(&self, told: &Told<'_>) -> Known {
        StatusEntry {
            state: told.state,
            trace: told.trace.map(str::to_owned),
            worker_id: self.worker_id.clone(),
            generation: self.generation.load(Ordering::Acquire),
            version: told.version.map(str::to_owned),
        }
    }
}

fn is_gone(key: &str, tasks: &BTreeMap<&str, u32>) -> bool {
    if let Some(connector) = connector_of_task(key) {
        let there = tasks.get(connector).copied().unwrap_or_default();
        return !(0..there).any(|task| task_key(connector, task) == key);
    }
    let connector = match used_topic(key) {
        Some((_, connector)) => Some(connector),
        None => key.strip_prefix(&connector_key("")),
    };
    connector.is_some_and(|connector| !tasks.contains_key(connector))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads and writes until the worker closes and all is written.
async fn keep(shared: Arc<Shared>, store: TopicStore) {
    tokio::join!(read(&shared, &store), write(&shared, &store));
    store.close().await;
}

/// Takes up what others write, until the worker closes.
async fn read(shared: &Shared, store: &TopicStore) {
    let mut failures = 0;
    while let Some(news) = shared.closing.run_until_cancelled(store.follow()).await {
        match news {
            Ok(changes) => {
                failures = 0;
                let mut entries = locked(&shared.entries);
                for (key, value) in changes {
                    if value.is_none() && used_topic(&key).is_some() {
                        shared.topic_resets.fetch_add(1, Ordering::Release);
                    }
                    entries.learn(key, value);
                }
            }
            Err(failure) => {
                failures += 1;
                warn!(error = failure.trace(), "statuses could not be read");
                let pause = tokio::time::sleep(PAUSES.pause(failures, &failure));
                let _closing = shared.closing.run_until_cancelled(pause).await;
            }
        }
    }
}

/// Writes what is told until the worker closes and nothing is left.
async fn write(shared: &Shared, store: &TopicStore) {
    let mut failures = 0;
    loop {
        let (batch, is_closing) = {
            let mut entries = locked(&shared.entries);
            (entries.take_unwritten(), entries.is_closing)
        };
        if batch.is_empty() {
            shared.written.notify_one();
            if is_closing {
                return;
            }
            shared.news.notified().await;
            continue;
        }
        match store.put(batch.clone()).await {
            Ok(()) => failures = 0,
            Err(failure) => {
                failures += 1;
                warn!(
                    error = failure.trace(),
                    "statuses could not be written and are written again"
                );
                locked(&shared.entries).give_back(batch);
                tokio::time::sleep(PAUSES.pause(failures, &failure)).await;
            }
        }
    }
}
