//! The config topic of a cluster: connectors, target states and task configs, as Kafka Connect writes and reads them.
//!
//! Every worker of the cluster reads it to know what there is; what is written is read back before it counts. [`ConfigState`]
//! is the reading, without input or output: it says what each entry has changed, for the herder to act on. What this worker
//! does not change it does not write: task configs that a Java worker has made stay as they are as long as config and number
//! of tasks do.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_core::config::ConfigMap;
use connect_core::{Error, Result};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use self::state::ConfigState;
pub use self::state::{ClusterConfig, ClusterConnector, CommittedTasks, ConfigNews};
pub(crate) use self::state::{TASK_CLASS, are_told};
use super::configs::state_json;
use super::generations::{self, TaskGeneration};
use super::leader::LeaderWriter;
use super::topic::{Entry, StorageTopic, StorageTopicOptions};
use crate::kafka::{ConsumedRecord, Log};

/// How long one look for news waits.
const FOLLOW: Duration = Duration::from_secs(1);
/// The key of what signs requests between workers.
const SESSION_KEY: &str = "session-key";

/// A key with its value, or with `None` for a tombstone.
type Change = (String, Option<Value>);

/// The config topic.
pub struct ConfigTopic {
    topic: StorageTopic,
    /// Never held while something is waited for.
    state: Mutex<ConfigState>,
    view: watch::Sender<Arc<ClusterConfig>>,
    /// There are news.
    news: Notify,
    /// `None`: whoever is the leader writes without a transaction.
    leader: Option<Arc<LeaderWriter>>,
}

impl ConfigTopic {
    /// Opens the topic, made if it is not there, and reads it to its end.
    ///
    /// # Errors
    /// `Config` if the topic has more than one partition or would lose entries; otherwise what the log says.
    pub async fn open(log: &dyn Log, options: &StorageTopicOptions) -> Result<Self> {
        let opened = Self {
            topic: StorageTopic::open(log, options).await?,
            state: Mutex::default(),
            view: watch::Sender::default(),
            news: Notify::new(),
            leader: None,
        };
        opened.refresh().await?;
        // What is there is no news.
        let _none = opened.state().take_news();
        Ok(opened)
    }

    /// Has everything but what any worker may write written by `leader`.
    #[must_use]
    pub fn written_by(mut self, leader: LeaderWriter) -> Self {
        self.leader = Some(Arc::new(leader));
        self
    }

    /// Ends its clients; nothing is read or written afterwards.
    pub async fn close(&self) {
        if let Some(leader) = &self.leader {
            leader.close().await;
        }
        self.topic.close().await;
    }

    /// Takes the place of whoever wrote as the leader before. To be called by a worker that has become the leader.
    ///
    /// # Errors
    /// What the log says.
    pub async fn lead(&self) -> Result<()> {
        match &self.leader {
            Some(leader) => leader.claim().await,
            None => Ok(()),
        }
    }

    /// Whether another has taken this worker's place as the leader since [`ConfigTopic::lead`].
    pub fn is_fenced(&self) -> bool {
        self.leader.as_deref().is_some_and(LeaderWriter::is_fenced)
    }

    /// Which tasks of a connector are the newest, by all that was written by now.
    ///
    /// # Errors
    /// What the log says.
    pub async fn generation(&self, connector: &str) -> Result<TaskGeneration> {
        self.refresh().await?;
        Ok(self.state().generation(connector))
    }

    /// Records that so many tasks of a connector may write, and no others.
    ///
    /// # Errors
    /// What the log says.
    pub async fn put_task_count(&self, connector: &str, tasks: u32) -> Result<()> {
        let record = generations::task_count(connector, tasks);
        self.write(vec![record]).await
    }

    /// What the entries read so far mean.
    pub fn view(&self) -> Arc<ClusterConfig> {
        self.view.borrow().clone()
    }

    /// Reads to the end. A commit is over before a reader of committed records sees it: it is waited for.
    ///
    /// # Errors
    /// What the log says.
    pub async fn refresh(&self) -> Result<()> {
        let outcome = self.topic.read_through(|record| self.take(record)).await;
        self.show();
        outcome
    }

    /// Waits a while for entries and reads them. To be called for ever, by one.
    ///
    /// # Errors
    /// What the log says.
    pub async fn follow(&self) -> Result<()> {
        let outcome = self.topic.follow(FOLLOW, |record| self.take(record)).await;
        self.show();
        outcome
    }

    fn state(&self) -> MutexGuard<'_, ConfigState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, record: ConsumedRecord) {
        let key = record.key.unwrap_or_default();
        let key = std::str::from_utf8(&key).unwrap_or_default();
        let (offset, value) = (record.offset.value(), record.value.as_ref());
        self.state().apply(offset, key, value);
    }

    /// Waits for news and takes them: one caller. May be dropped and called again.
    pub async fn news(&self) -> Vec<ConfigNews> {
        loop {
            let told = self.news.notified();
            let news = self.state().take_news();
            if !news.is_empty() {
                return news;
            }
            told.await;
        }
    }

    /// Shows what was read; whoever reads calls it, so the newest state is shown last.
    fn show(&self) {
        let state = self.state();
        if state.offset() != self.view.borrow().offset {
            self.view.send_replace(Arc::new(state.view()));
        }
        if state.has_news() {
            self.news.notify_one();
        }
    }

    /// Writes a connector's configuration; its initial state before it, if it is made with one.
    ///
    /// # Errors
    /// What the log says; then it may or may not be there.
    pub async fn put_connector(
        &self,
        name: &str,
        config: &ConfigMap,
        initial: Option<&str>,
    ) -> Result<()> {
        let initial = initial.map(|state| target_state(name, state));
        let own = (
            format!("connector-{name}"),
            Some(json!({ "properties": config })),
        );
        self.write(initial.into_iter().chain([own]).collect()).await
    }

    /// Commits a connector's task configs.
    ///
    /// # Errors
    /// What the log says; then the ones there were still count.
    pub async fn put_tasks(&self, name: &str, tasks: &[ConfigMap]) -> Result<()> {
        self.write(tasks_and_commit(name, tasks)).await
    }

    /// Changes what a connector is to do. Any worker may.
    ///
    /// # Errors
    /// What the log says.
    pub async fn put_target(&self, name: &str, state: &str) -> Result<()> {
        self.write_as_any(vec![target_state(name, state)]).await
    }

    /// Ends a connector's tasks and stops it.
    ///
    /// # Errors
    /// What the log says.
    pub async fn stop(&self, name: &str) -> Result<()> {
        let mut changes = tasks_and_commit(name, &[]);
        changes.push(target_state(name, super::configs::STOPPED));
        self.write(changes).await
    }

    /// Removes a connector.
    ///
    /// # Errors
    /// What the log says.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let gone = ["connector", "target-state"].map(|kind| (format!("{kind}-{name}"), None));
        self.write(gone.into()).await
    }

    /// Asks all workers to restart their parts of a connector.
    ///
    /// # Errors
    /// What the log says.
    pub async fn put_restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<()> {
        let value = json!({ "include-tasks": include_tasks, "only-failed": only_failed });
        let key = format!("restart-connector-{name}");
        self.write(vec![(key, Some(value))]).await
    }

    /// Asks all workers to log at a level. Any worker may.
    ///
    /// # Errors
    /// What the log says.
    pub async fn put_level(&self, logger: &str, level: &str) -> Result<()> {
        let key = format!("logger-cluster-{logger}");
        let level = json!({ "level": level });
        self.write_as_any(vec![(key, Some(level))]).await
    }

    /// Writes the key that signs requests between workers.
    ///
    /// # Errors
    /// What the log says.
    pub async fn put_session_key(&self, key: Value) -> Result<()> {
        self.write(vec![(SESSION_KEY.to_owned(), Some(key))]).await
    }

    /// Writes as the leader. What is begun is ended, also if the caller leaves: a transaction that is left open keeps all
    /// workers from reading on.
    async fn write(&self, changes: Vec<Change>) -> Result<()> {
        let Some(leader) = self.leader.clone() else {
            return self.write_as_any(changes).await;
        };
        let records = self.topic.records(entries(changes));
        let written = tokio::spawn(async move { leader.write(records).await }).await;
        written.map_err(|cause| Error::internal("writing as the leader").source(cause))??;
        self.refresh().await
    }

    async fn write_as_any(&self, changes: Vec<Change>) -> Result<()> {
        self.topic.write(entries(changes)).await?;
        self.refresh().await
    }
}

fn entries(changes: Vec<Change>) -> Vec<Entry> {
    let entry = |(key, value): Change| -> Entry {
        (key.into(), value.map(|value| value.to_string().into()))
    };
    changes.into_iter().map(entry).collect()
}

fn target_state(name: &str, state: &str) -> Change {
    (format!("target-state-{name}"), Some(state_json(state)))
}

fn tasks_and_commit(name: &str, tasks: &[ConfigMap]) -> Vec<Change> {
    let task = |(number, config): (usize, &ConfigMap)| {
        let value = json!({ "properties": config });
        (format!("task-{name}-{number}"), Some(value))
    };
    let commit = json!({ "tasks": tasks.len() });
    let commit = (format!("commit-{name}"), Some(commit));
    tasks.iter().enumerate().map(task).chain([commit]).collect()
}

#[cfg(test)]
mod tests;
