//! What the entries of a config topic mean. No input or output.
//!
//! Entries take effect in their order: task configs with the commit that follows them, and nothing of a connector before
//! its own config. After compaction they mean what they meant before, as far as can be told: compaction leaves task configs of
//! numbers that no longer count, and a commit before its connector's config if that was written once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConfigMap;
use serde_json::Value;
use tracing::warn;

use super::SESSION_KEY;
use crate::storage::configs::{STARTED, STOPPED, properties, target_state};
use crate::storage::generations::{Generations, TaskGeneration};

/// The option of a task config that its connector's has not.
pub(crate) const TASK_CLASS: &str = "task.class";

/// What there is in a cluster, up to an offset of its config topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The offset after the last entry; -1 if there is none.
    pub offset: i64,
    /// The connectors, by name.
    pub connectors: BTreeMap<String, ClusterConnector>,
    /// The last key that signs requests between workers, as it was written.
    pub session_key: Option<Value>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            offset: -1,
            connectors: BTreeMap::new(),
            session_key: None,
        }
    }
}

/// A connector of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConnector {
    /// Its configuration, as it was given.
    pub config: Arc<ConfigMap>,
    /// The offset of the configuration: it changes whenever one is written.
    pub revision: i64,
    /// `STARTED`, `PAUSED` or `STOPPED`.
    pub target_state: String,
    /// Its tasks; `None` if none were committed, or if some of them are missing.
    pub tasks: Option<CommittedTasks>,
}

impl ClusterConnector {
    /// How many tasks it has.
    pub fn task_count(&self) -> u32 {
        let count = self.tasks.as_ref().map_or(0, |tasks| tasks.configs.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The tasks of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedTasks {
    /// Their configurations, by number.
    pub configs: Arc<Vec<ConfigMap>>,
    /// The offset of their commit: it changes whenever tasks are committed.
    pub revision: i64,
    /// The connector's configuration when they were.
    pub made_from: Arc<ConfigMap>,
}

/// What an entry has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigNews {
    /// A connector is there that was not, or is gone.
    Connectors,
    /// The configuration of a connector was written.
    Config(String),
    /// What a connector is to do was written.
    Target(String),
    /// Task configs of a connector were committed.
    Tasks(String),
    /// All workers are asked to restart their parts of a connector.
    Restart {
        /// The connector.
        connector: String,
        /// Its tasks, too.
        include_tasks: bool,
        /// Only what has failed.
        only_failed: bool,
    },
    /// All workers are asked to log at a level.
    Level {
        /// The logger.
        logger: String,
        /// The level.
        level: String,
    },
    /// There is a new key that signs requests between workers.
    SessionKey,
}

/// What the entries read so far mean.
#[derive(Debug, Default)]
pub(super) struct ConfigState {
    known: ClusterConfig,
    /// May be there before the connector: it is made with an initial state.
    targets: BTreeMap<String, String>,
    /// Task configs that wait for their commit, by connector.
    uncommitted: BTreeMap<String, BTreeMap<u64, ConfigMap>>,
    /// Committed tasks that wait for the config of their connector.
    ownerless: BTreeMap<String, Ownerless>,
    generations: Generations,
    news: Vec<ConfigNews>,
}

/// Tasks of a connector whose config was not read yet.
#[derive(Debug)]
struct Ownerless {
    configs: Vec<ConfigMap>,
    revision: i64,
}

impl Ownerless {
    /// The tasks of a connector with `config`, if they are: others are left from one of the same name that was removed, or
    /// from a config before, and are made anew.
    fn of(self, config: &Arc<ConfigMap>) -> Option<CommittedTasks> {
        are_told(&self.configs, config).then(|| CommittedTasks {
            configs: Arc::new(self.configs),
            revision: self.revision,
            made_from: config.clone(),
        })
    }
}

/// Whether tasks are told all that their connector is, and nothing but their class beside.
pub(crate) fn are_told(tasks: &[ConfigMap], config: &ConfigMap) -> bool {
    let options = |config: &ConfigMap| {
        let mut options = config.clone();
        options.remove(TASK_CLASS);
        options
    };
    let config = options(config);
    tasks.iter().all(|task| options(task) == config)
}

impl ConfigState {
    /// Which tasks of a connector are the newest.
    pub(super) fn generation(&self, connector: &str) -> TaskGeneration {
        self.generations.of(connector)
    }

    pub(super) fn offset(&self) -> i64 {
        self.known.offset
    }

    pub(super) fn view(&self) -> ClusterConfig {
        self.known.clone()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(super) fn take_news(&mut self) -> Vec<ConfigNews> {
        std::mem::take(&mut self.news)
    }

    /// Takes the next entry. What is not in its form is passed over.
    pub(super) fn apply(&mut self, offset: i64, key: &str, value: Option<&Bytes>) {
        self.known.offset = offset.saturating_add(1);
        let bytes = value.map(AsRef::as_ref);
        let value = match bytes.map(serde_json::from_slice::<Value>) {
            Some(Ok(value)) if value.is_object() => Some(value),
            // It is no tombstone either.
            Some(_) => return,
            None => None,
        };
        self.generations.apply(offset, key, bytes);
        if let Some(name) = key.strip_prefix("connector-") {
            self.apply_connector(offset, name, value.as_ref());
        } else if let Some(name) = key.strip_prefix("target-state-") {
            self.apply_target(name, value.as_ref());
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.apply_commit(offset, name, value.as_ref());
        } else if let Some(value) = value {
            self.apply_other(key, value);
        }
    }

    /// Entries that mean nothing as tombstones.
    fn apply_other(&mut self, key: &str, value: Value) {
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or_default();
        if let Some((name, task)) = task_key(key) {
            let Some(config) = properties(&value) else {
                return passed_over(key);
            };
            let tasks = self.uncommitted.entry(name.to_owned()).or_default();
            tasks.insert(task, config);
        } else if let Some(name) = key.strip_prefix("restart-connector-") {
            self.news.push(ConfigNews::Restart {
                connector: name.to_owned(),
                include_tasks: flag("include-tasks"),
                only_failed: flag("only-failed"),
            });
        } else if let Some(logger) = key.strip_prefix("logger-cluster-") {
            let level = value.get("level").and_then(Value::as_str);
            self.news.extend(level.map(|level| ConfigNews::Level {
                logger: logger.to_owned(),
                level: level.to_owned(),
            }));
        } else if key == SESSION_KEY {
            self.known.session_key = Some(value);
            self.news.push(ConfigNews::SessionKey);
        }
    }

    fn apply_connector(&mut self, offset: i64, name: &str, value: Option<&Value>) {
        let Some(value) = value else {
            self.uncommitted.remove(name);
            self.ownerless.remove(name);
            if self.known.connectors.remove(name).is_some() {
                self.news.push(ConfigNews::Connectors);
            }
            return;
        };
        let Some(config) = properties(value).map(Arc::new) else {
            return passed_over(&format!("connector-{name}"));
        };
        self.news.push(match self.known.connectors.get_mut(name) {
            Some(known) => {
                known.config = config;
                known.revision = offset;
                ConfigNews::Config(name.to_owned())
            }
            None => {
                let target_state = self.target(name);
                let tasks = self.ownerless.remove(name);
                // One that is stopped has none before it is resumed.
                let tasks =
                    tasks.filter(|tasks| target_state != STOPPED || tasks.configs.is_empty());
                let connector = ClusterConnector {
                    tasks: tasks.and_then(|tasks| tasks.of(&config)),
                    config,
                    revision: offset,
                    target_state,
                };
                self.known.connectors.insert(name.to_owned(), connector);
                ConfigNews::Connectors
            }
        });
    }

    fn apply_target(&mut self, name: &str, value: Option<&Value>) {
        match value {
            Some(value) => {
                // As it was: what is paused is not started by somebody who knows more states.
                let Some(state) = target_state(value) else {
                    return passed_over(&format!("target-state-{name}"));
                };
                self.targets.insert(name.to_owned(), state.to_owned());
            }
            None => {
                self.targets.remove(name);
            }
        }
        let target = self.target(name);
        if let Some(known) = self.known.connectors.get_mut(name) {
            known.target_state = target;
            self.news.push(ConfigNews::Target(name.to_owned()));
        }
    }

    fn target(&self, name: &str) -> String {
        let known = self.targets.get(name).map_or(STARTED, String::as_str);
        known.to_owned()
    }

    /// The commit says how many there are: what has a higher number is left from a time when there were more.
    fn apply_commit(&mut self, offset: i64, name: &str, value: Option<&Value>) {
        let mut uncommitted = self.uncommitted.remove(name).unwrap_or_default();
        let Some(count) = value.and_then(|value| value.get("tasks")?.as_u64()) else {
            return;
        };
        let configs = (0..count).map(|task| uncommitted.remove(&task));
        let configs = configs.collect::<Option<Vec<_>>>();
        let Some(known) = self.known.connectors.get_mut(name) else {
            self.ownerless.remove(name);
            let tasks = configs.map(|configs| Ownerless {
                configs,
                revision: offset,
            });
            self.ownerless
                .extend(tasks.map(|tasks| (name.to_owned(), tasks)));
            return;
        };
        known.tasks = configs.map(|configs| CommittedTasks {
            configs: Arc::new(configs),
            revision: offset,
            made_from: known.config.clone(),
        });
        self.news.push(ConfigNews::Tasks(name.to_owned()));
    }
}

fn passed_over(key: &str) {
    warn!(key, "an entry that is not in its form is passed over");
}

/// The connector and the number of a task's key; names may hold dashes.
fn task_key(key: &str) -> Option<(&str, u64)> {
    let (name, task) = key.strip_prefix("task-")?.rsplit_once('-')?;
    Some((name, task.parse().ok()?))
}
