//! What runs in this worker of a cluster: its parts of connectors, kept as the config topic and the group want them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_core::Error;
use connect_core::config::find_connector_plugin;
use connect_core::plugin::ConnectorPlugin;
use tokio::sync::oneshot;
use tokio::time::Instant;
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

    /// Takes note of what is wanted of a connector; says what is to be done for it. One that is replaced is none of these any
    /// more.
    fn change(&self, name: &str, plugin: &'static ConnectorPlugin, desired: &Desired) -> Change {
        self.remove_dead(name);
        let mut locals = self.lock();
        let Some(local) = locals.get_mut(name) else {
            return Change::Start;
        };
        if !std::ptr::eq(local.plugin, plugin) {
            let replaced = locals.remove(name);
            return replaced.map_or(Change::Start, |local| Change::Replace(local.actor));
        }
        if local.desired == *desired {
            return Change::None;
        }
        local.desired = desired.clone();
        Change::Become(local.actor.clone())
    }

    /// Removes a connector whose actor has ended by a defect, and ends what it has left behind.
    fn remove_dead(&self, name: &str) {
        let mut locals = self.lock();
        let is_dead = |local: &Local| local.actor.commands.is_closed();
        if locals.get(name).is_some_and(is_dead)
            && let Some(dead) = locals.remove(name)
        {
            error!(
                connector = name,
                "the connector ended by a defect in Sluice"
            );
            dead.actor.cut_off.cancel();
        }
    }

    /// Waits for the end of what was told to stop; what takes too long is cut off, with all of its connector that runs here,
    /// and is none of these any more.
    async fn ended(&self, endings: Vec<Ending>, deadline: Instant) {
        let mut cut_off = Vec::new();
        for Ending { name, actor, end } in endings {
            if tokio::time::timeout_at(deadline, end).await.is_err() {
                warn!(
                    connector = name,
                    "the connector did not stop in time and is cut off"
                );
                actor.cut_off.cancel();
                // What is still wanted of it is started anew.
                self.lock().remove(&name);
                cut_off.push(actor);
            }
        }
        until_gone(&cut_off).await;
    }

    /// Ends all at once, without waiting for it; the actors that end.
    fn cut_off(&self) -> Vec<ActorHandle> {
        let locals = std::mem::take(&mut *self.lock());
        let actors = locals.into_values().map(|local| local.actor);
        actors.inspect(|actor| actor.cut_off.cancel()).collect()
    }
}

/// What is to be done to have of a connector what is wanted.
enum Change {
    None,
    Become(ActorHandle),
    /// It has another class now: another actor starts when this one has ended.
    Replace(ActorHandle),
    Start,
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

    /// Makes what runs here what is configured and given to this worker. Returns once nothing else runs, with the names of
    /// what ran or was given and is not configured.
    pub(super) async fn settle(
        &mut self,
        view: &ClusterConfig,
        work: &Work,
        tasks: NewTasks,
    ) -> Vec<String> {
        let mut names: BTreeSet<String> = self.locals.lock().keys().cloned().collect();
        names.extend(self.lacking.keys().cloned());
        names.extend(work.connectors.iter().map(ToString::to_string));
        names.extend(work.tasks.iter().map(|task| task.connector.to_string()));
        let (mut endings, mut wanted) = (Vec::new(), Vec::new());
        for name in &names {
            let known = view.connectors.get(name);
            let desired = known.and_then(|known| desired(name, known, work));
            let desired = desired.and_then(|desired| self.without_new_tasks(name, desired, tasks));
            endings.extend(self.adapt(name, desired.clone()).await);
            wanted.extend(desired.map(|desired| (name, desired)));
        }
        self.locals.ended(endings, self.stop_deadline()).await;
        for (name, desired) in wanted {
            // What had to end first, or was cut off, is not there: it starts now. To the rest nothing happens.
            let _nothing_ends = self.adapt(name, Some(desired)).await;
        }
        self.commits
            .retain(|name, _| view.connectors.contains_key(name));
        names.retain(|name| !view.connectors.contains_key(name));
        names.into_iter().collect()
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
        match self.locals.change(name, plugin, &desired) {
            Change::None => None,
            Change::Become(actor) => {
                let (done, end) = oneshot::channel();
                let told = actor.commands.send(Command::Become(desired, done)).await;
                if told.is_err() {
                    // It has ended by a defect: another one takes its place.
                    self.locals.remove_dead(name);
                }
                told.is_ok().then(|| Ending {
                    name: name.to_owned(),
                    actor,
                    end,
                })
            }
            Change::Replace(actor) => shut_down(name, &actor).await,
            Change::Start => {
                self.start(name, plugin, desired);
                None
            }
        }
    }

    fn start(&self, name: &str, plugin: &'static ConnectorPlugin, desired: Desired) {
        let start = connector_actor::Start {
            name,
            desired: desired.clone(),
            had_tasks: false,
            after: None,
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

    fn stop_deadline(&self) -> Instant {
        Instant::now() + self.environment.settings.config.graceful_timeout + STOP_GRACE
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
        self.locals.ended(endings, self.stop_deadline()).await;
    }

    /// Ends all at once: others may run it already.
    pub(super) async fn cut_off(&mut self) {
        self.lacking.clear();
        until_gone(&self.locals.cut_off()).await;
    }
}

impl Drop for Running {
    /// Nothing outlives the membership, not even if that panics: others may run it.
    fn drop(&mut self) {
        self.locals.cut_off();
    }
}

/// Waits, but not for long, until actors that were cut off have ended.
async fn until_gone(actors: &[ActorHandle]) {
    let gone = async {
        for actor in actors {
            actor.commands.closed().await;
        }
    };
    let _all_or_late = tokio::time::timeout(STOP_GRACE, gone).await;
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
    let committed = known.tasks.as_ref();
    let tasks = work.tasks.iter();
    let tasks = tasks.filter(|task| &*task.connector == name && task.task < known.task_count());
    let parts = Parts {
        connector: work.connectors.contains(name),
        tasks: tasks.map(|task| task.task).collect(),
        count: known.task_count(),
        commit: committed.map_or(-1, |tasks| tasks.revision),
        made_from: committed
            .map_or(&known.config, |tasks| &tasks.made_from)
            .clone(),
    };
    (parts.connector || !parts.tasks.is_empty()).then(|| Desired {
        config: known.config.clone(),
        revision: known.revision,
        target: TargetState::of(&known.target_state),
        share: Share::Parts(parts),
    })
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
