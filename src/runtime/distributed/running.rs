//! What runs in this worker of a cluster: its parts of connectors, kept as the config topic and the group want them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_core::Error;
use connect_core::config::find_connector_plugin;
use connect_core::plugin::ConnectorPlugin;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::protocol::Work;
use crate::runtime::connector_actor::{
    self, ActorHandle, Command, Desired, Parts, Share, TaskCommitter,
};
use crate::runtime::environment::Environment;
use crate::runtime::herder::RestartRequest;
use crate::runtime::info::{State, TargetState};
use crate::runtime::status_writer::Told;
use crate::storage::{ClusterConfig, ClusterConnector};

/// How much longer than its tasks an actor may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A connector of which something runs here.
struct Local {
    plugin: &'static ConnectorPlugin,
    actor: ActorHandle,
    desired: Desired,
}

/// The connectors of which something runs here; looked at by REST.
#[derive(Clone, Default)]
pub(super) struct Locals(Arc<Mutex<BTreeMap<String, Local>>>);

impl Locals {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Local>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The actor of a connector, with what runs here.
    pub(super) fn get(&self, name: &str) -> Option<(ActorHandle, Parts)> {
        let locals = self.lock();
        let local = locals.get(name)?;
        Some((local.actor.clone(), parts(&local.desired)))
    }

    pub(super) fn actors(&self) -> Vec<ActorHandle> {
        let locals = self.lock();
        locals.values().map(|local| local.actor.clone()).collect()
    }
}

fn parts(desired: &Desired) -> Parts {
    match &desired.share {
        Share::Parts(parts) => parts.clone(),
        Share::Whole => Parts::default(),
    }
}

/// When the tasks of task configs that are new to this worker may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewTasks {
    /// Now: all workers have stopped those of the configs before.
    Start,
    /// After the group was joined again.
    Wait,
}

/// What runs here.
pub(super) struct Running {
    environment: Arc<Environment>,
    committer: Arc<dyn TaskCommitter>,
    locals: Locals,
    /// Parts given to this worker of connectors whose class it does not have.
    lacking: BTreeMap<String, Desired>,
    /// The commits whose tasks may run, by connector.
    commits: BTreeMap<String, i64>,
}

/// The end of what an actor was told to stop.
struct Ending {
    name: String,
    actor: ActorHandle,
    end: oneshot::Receiver<()>,
}

impl Running {
    pub(super) fn new(
        environment: Arc<Environment>,
        committer: Arc<dyn TaskCommitter>,
        locals: Locals,
    ) -> Self {
        Self {
            environment,
            committer,
            locals,
            lacking: BTreeMap::new(),
            commits: BTreeMap::new(),
        }
    }

    /// Makes what runs here what is configured and given to this worker. Returns once nothing else runs.
    pub(super) async fn settle(&mut self, view: &ClusterConfig, work: &Work, tasks: NewTasks) {
        let mut names: BTreeSet<String> = self.locals.lock().keys().cloned().collect();
        names.extend(self.lacking.keys().cloned());
        names.extend(work.connectors.iter().map(ToString::to_string));
        names.extend(work.tasks.iter().map(|task| task.connector.to_string()));
        let mut endings = Vec::new();
        for name in &names {
            let known = view.connectors.get(name);
            let desired = known.and_then(|known| desired(name, known, work));
            let desired = desired.and_then(|desired| self.without_new_tasks(name, desired, tasks));
            endings.extend(self.adapt(name, desired).await);
        }
        self.ended(endings).await;
        self.commits
            .retain(|name, _| view.connectors.contains_key(name));
        for name in names
            .iter()
            .filter(|name| !view.connectors.contains_key(*name))
        {
            // Its tasks may have told something while they ended.
            self.environment.statuses.forget(name);
        }
    }

    /// Tasks of a commit that is new to this worker may have to wait; `None` if nothing is left.
    fn without_new_tasks(
        &mut self,
        name: &str,
        mut desired: Desired,
        tasks: NewTasks,
    ) -> Option<Desired> {
        let Share::Parts(parts) = &mut desired.share else {
            return Some(desired);
        };
        if tasks == NewTasks::Start {
            self.commits.insert(name.to_owned(), parts.commit);
        } else if self.commits.get(name) != Some(&parts.commit) {
            parts.tasks.clear();
        }
        (parts.connector || !parts.tasks.is_empty()).then_some(desired)
    }

    async fn adapt(&mut self, name: &str, desired: Option<Desired>) -> Option<Ending> {
        let Some(desired) = desired else {
            self.lacking.remove(name);
            let local = self.locals.lock().remove(name)?;
            return shut_down(name, &local.actor).await;
        };
        let class = desired.config.get("connector.class");
        let plugin = find_connector_plugin(class.map_or("", String::as_str));
        let Ok(plugin) = plugin.map_err(|failure| self.lack(name, &desired, &failure)) else {
            let local = self.locals.lock().remove(name)?;
            return shut_down(name, &local.actor).await;
        };
        self.lacking.remove(name);
        let known = {
            let mut locals = self.locals.lock();
            let local = locals.get_mut(name);
            local.map(|local| {
                let is_same = local.desired == desired;
                let fits = std::ptr::eq(local.plugin, plugin);
                if fits {
                    local.desired = desired.clone();
                }
                (local.actor.clone(), is_same, fits)
            })
        };
        match known {
            Some((_, true, _)) => None,
            Some((actor, false, true)) => {
                let (done, end) = oneshot::channel();
                let command = Command::Become(desired.clone(), done);
                if actor.commands.send(command).await.is_err() {
                    // It has ended by a defect.
                    self.start(name, plugin, desired, None);
                    return None;
                }
                Some(Ending {
                    name: name.to_owned(),
                    actor,
                    end,
                })
            }
            Some((actor, false, false)) => {
                let (done, end) = oneshot::channel();
                let _ended_already = actor.commands.send(Command::Shutdown(done)).await;
                self.start(name, plugin, desired, Some(end));
                None
            }
            None => {
                self.start(name, plugin, desired, None);
                None
            }
        }
    }

    fn start(
        &self,
        name: &str,
        plugin: &'static ConnectorPlugin,
        desired: Desired,
        after: Option<oneshot::Receiver<()>>,
    ) {
        let start = connector_actor::Start {
            name,
            desired: desired.clone(),
            had_tasks: false,
            after,
            committer: Some(self.committer.clone()),
        };
        let local = Local {
            plugin,
            actor: connector_actor::spawn(self.environment.clone(), plugin, start),
            desired,
        };
        self.locals.lock().insert(name.to_owned(), local);
    }

    /// Another worker may have the class: the parts have failed here.
    fn lack(&mut self, name: &str, desired: &Desired, failure: &Error) {
        if self.lacking.get(name) == Some(desired) {
            return;
        }
        let trace = failure.trace();
        error!(
            connector = name,
            error = trace,
            "parts of a connector were given to this worker, which does not have its class"
        );
        let told = Told {
            state: State::Failed,
            trace: Some(&trace),
            version: None,
        };
        let parts = parts(desired);
        if parts.connector {
            self.environment.statuses.connector(name, &told);
        }
        for task in parts.tasks {
            self.environment.statuses.task(name, task, &told);
        }
        self.lacking.insert(name.to_owned(), desired.clone());
    }

    /// Waits for the end of what was told to stop; what takes too long is cut off, with all of its connector that runs here.
    async fn ended(&mut self, endings: Vec<Ending>) {
        let graceful = self.environment.settings.config.graceful_timeout;
        let deadline = tokio::time::Instant::now() + graceful + STOP_GRACE;
        for Ending { name, actor, end } in endings {
            if tokio::time::timeout_at(deadline, end).await.is_err() {
                warn!(
                    connector = name,
                    "the connector did not stop in time and is cut off"
                );
                actor.cut_off.cancel();
                // What is still wanted of it is started anew.
                self.locals.lock().remove(&name);
            }
        }
    }

    /// Restarts what runs here of a connector and is chosen.
    pub(super) async fn restart(&mut self, name: &str, request: RestartRequest) {
        if let Some(lacking) = self.lacking.remove(name) {
            let _still_lacking = self.adapt(name, Some(lacking)).await;
        }
        if let Some((actor, _)) = self.locals.get(name) {
            let (done, _not_waited_for) = oneshot::channel();
            let _ended_already = actor.commands.send(Command::Restart(request, done)).await;
        }
    }

    /// Stops all in good order.
    pub(super) async fn stop_all(&mut self) {
        self.lacking.clear();
        let locals = std::mem::take(&mut *self.locals.lock());
        let mut endings = Vec::new();
        for (name, local) in locals {
            endings.extend(shut_down(&name, &local.actor).await);
        }
        self.ended(endings).await;
    }

    /// Ends all at once: others may run it already.
    pub(super) async fn cut_off(&mut self) {
        self.lacking.clear();
        let locals = std::mem::take(&mut *self.locals.lock());
        for local in locals.values() {
            local.actor.cut_off.cancel();
        }
        let ended = async {
            for local in locals.into_values() {
                local.actor.commands.closed().await;
            }
        };
        let _all_or_late = tokio::time::timeout(STOP_GRACE, ended).await;
    }
}

async fn shut_down(name: &str, actor: &ActorHandle) -> Option<Ending> {
    let (done, end) = oneshot::channel();
    let told = actor.commands.send(Command::Shutdown(done)).await;
    told.is_ok().then(|| Ending {
        name: name.to_owned(),
        actor: actor.clone(),
        end,
    })
}

/// What is wanted here of a connector; `None` if that is nothing.
fn desired(name: &str, known: &ClusterConnector, work: &Work) -> Option<Desired> {
    let tasks = work.tasks.iter();
    let tasks = tasks.filter(|task| &*task.connector == name && task.task < known.task_count());
    let parts = Parts {
        connector: work.connectors.contains(name),
        tasks: tasks.map(|task| task.task).collect(),
        count: known.task_count(),
        commit: known.tasks.as_ref().map_or(-1, |tasks| tasks.revision),
    };
    (parts.connector || !parts.tasks.is_empty()).then(|| Desired {
        config: known.config.clone(),
        revision: known.revision,
        target: TargetState::of(&known.target_state),
        share: Share::Parts(parts),
    })
}

#[cfg(test)]
mod tests {
    use connect_core::config::ConfigMap;
    use connect_core::plugin::TaskId;

    use super::*;
    use crate::storage::CommittedTasks;

    fn connector(target: &str, tasks: Option<usize>) -> ClusterConnector {
        let config = Arc::new(ConfigMap::new());
        ClusterConnector {
            tasks: tasks.map(|count| CommittedTasks {
                configs: Arc::new(vec![ConfigMap::new(); count]),
                revision: 9,
                made_from: config.clone(),
            }),
            config,
            revision: 4,
            target_state: target.to_owned(),
        }
    }

    fn work(connectors: &[&str], tasks: &[(&str, u32)]) -> Work {
        let task = |&(connector, task): &(&str, u32)| TaskId {
            connector: connector.into(),
            task,
        };
        Work {
            connectors: connectors.iter().map(|name| Arc::from(*name)).collect(),
            tasks: tasks.iter().map(task).collect(),
        }
    }

    #[test]
    fn what_was_given_runs_here_as_far_as_it_is_there() {
        let given = work(&["a"], &[("a", 1), ("a", 7), ("b", 0)]);
        let wanted = desired("a", &connector("PAUSED", Some(3)), &given).unwrap();
        let parts = Parts {
            connector: true,
            tasks: BTreeSet::from([1]),
            count: 3,
            commit: 9,
        };
        assert_eq!(wanted.share, Share::Parts(parts));
        assert_eq!((wanted.target, wanted.revision), (TargetState::Paused, 4));
        let other = desired("b", &connector("STARTED", None), &given);
        assert_eq!(other, None, "its tasks are not committed");
        assert_eq!(desired("c", &connector("STARTED", Some(1)), &given), None);
    }
}
