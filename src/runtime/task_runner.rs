//! A connector's running tasks: started, told what to do, stopped in good order or cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connect_core::config::ConfigMap;
use connect_core::plugin::{Connector, ConnectorType, TaskId};
use connect_core::{Error, Result};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::client_overrides::{self, client_settings};
use super::control::{Control, Wanted};
use super::environment::Environment;
use super::healing::{Healer, Part};
use super::info::State;
use super::metrics::TaskMetrics;
use super::pipeline::Pipeline;
use super::source_task::ExactlyOnceSpec;
use super::status::StatusBoard;
use super::{sink_task, source_offsets, source_task};
use crate::kafka::client_options::Client;

struct RunningTask {
    control: watch::Sender<Wanted>,
    work: AbortHandle,
    watcher: JoinHandle<()>,
}

/// What tasks are made from.
#[derive(Clone)]
pub(super) struct TaskPlan {
    pub(super) name: Arc<str>,
    pub(super) kind: ConnectorType,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) config: ConfigMap,
    pub(super) count: u32,
}

/// The tasks of one connector.
pub(super) struct TaskRunner {
    environment: Arc<Environment>,
    status: StatusBoard,
    healer: Healer,
    /// Ends all tasks at once.
    cut_off: CancellationToken,
    tasks: BTreeMap<u32, RunningTask>,
}

impl TaskRunner {
    pub(super) fn new(
        environment: Arc<Environment>,
        status: StatusBoard,
        healer: Healer,
        cut_off: CancellationToken,
    ) -> Self {
        Self {
            environment,
            status,
            healer,
            cut_off,
            tasks: BTreeMap::new(),
        }
    }

    /// The tasks that were started and not stopped, be it that they have failed.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.tasks.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Starts every task of the plan.
    pub(super) fn start_all(&mut self, plan: &TaskPlan, wanted: Wanted) {
        for task in 0..plan.count {
            self.start(plan, task, wanted);
        }
    }

    /// Starts one task.
    pub(super) fn start(&mut self, plan: &TaskPlan, task: u32, wanted: Wanted) {
        let id = TaskId {
            connector: plan.name.clone(),
            task,
        };
        let span = info_span!("task", connector = &*plan.name, task);
        let metrics = self.status.new_task(task);
        let counted = metrics.clone();
        let (control, line) = Control::line(wanted);
        let running = run_task(
            self.environment.clone(),
            plan.clone(),
            id,
            line,
            self.status.clone(),
            metrics,
        );
        let running = until_cut_off(running, self.cut_off.clone());
        let work = tokio::spawn(running.instrument(span.clone()));
        let abort = work.abort_handle();
        let watching = watch_task(work, task, self.status.clone(), self.healer.clone());
        let watching = async move {
            watching.await;
            // Whatever it held is gone.
            counted.holds(0, None);
        };
        let watcher = tokio::spawn(watching.instrument(span));
        self.tasks.insert(
            task,
            RunningTask {
                control,
                work: abort,
                watcher,
            },
        );
    }

    /// Tells all tasks to run or pause.
    pub(super) fn tell(&self, wanted: Wanted) {
        for task in self.tasks.values() {
            // A task that has failed no longer listens.
            let _ended_already = task.control.send(wanted);
        }
    }

    /// Stops these tasks within the graceful timeout, all at once; what is still there then is cut off.
    pub(super) async fn stop(&mut self, tasks: &[u32]) {
        let stopping: Vec<_> = tasks
            .iter()
            .filter_map(|task| self.tasks.remove(task))
            .collect();
        for task in &stopping {
            let _ended_already = task.control.send(Wanted::Stop);
        }
        let deadline = tokio::time::Instant::now() + self.graceful_timeout();
        for mut task in stopping {
            if tokio::time::timeout_at(deadline, &mut task.watcher)
                .await
                .is_err()
            {
                warn!(
                    "a task did not stop in time and is cut off: what it had not committed is done again"
                );
                task.work.abort();
                let _cut_off = task.watcher.await;
            }
        }
    }

    pub(super) async fn stop_all(&mut self) {
        self.stop(&self.numbers()).await;
    }

    fn graceful_timeout(&self) -> Duration {
        self.environment.settings.config.graceful_timeout
    }
}

/// Runs a task as long as it may.
async fn until_cut_off(
    running: impl Future<Output = Result<()>>,
    cut_off: CancellationToken,
) -> Result<()> {
    tokio::select! {
        biased;
        () = cut_off.cancelled() => {
            warn!("the task is cut off: what it had not committed is done again");
            Ok(())
        }
        outcome = running => outcome,
    }
}

/// Waits for the end of a task and says how it ended.
async fn watch_task(work: JoinHandle<Result<()>>, task: u32, status: StatusBoard, healer: Healer) {
    match work.await {
        Ok(Ok(())) => {
            info!("task stopped");
            status.task(task, State::Unassigned);
        }
        Ok(Err(failure)) => {
            error!(error = status.trace_of(&failure), "task failed");
            status.task_failed(task, &failure);
            healer.failed(Part::Task(task), &failure);
        }
        Err(end) if end.is_cancelled() => status.task(task, State::Unassigned),
        Err(_) => {
            let failure = Error::internal("the task panicked: a defect in Sluice, see the log");
            error!("task panicked");
            status.task_failed(task, &failure);
        }
    }
}

async fn run_task(
    environment: Arc<Environment>,
    plan: TaskPlan,
    id: TaskId,
    control: Control,
    status: StatusBoard,
    metrics: TaskMetrics,
) -> Result<()> {
    info!("task starting");
    let settings = &environment.settings;
    client_overrides::check(plan.kind, &plan.config, &settings.override_policy())?;
    let pipeline = Pipeline::of(&plan.config, settings)?;
    metrics.uses(pipeline.plugins());
    let log = environment.log.clone();
    let clock = environment.clock.clone();
    let flush_interval = settings.config.offset_flush_interval;
    let client = |client| client_settings(client, &settings.client_settings(client), &plan.config);
    let tracked = settings.config.topic_tracking;
    let topics = tracked.then(|| environment.active_topics.tracker(&plan.name, id.task));
    match plan.kind {
        ConnectorType::Sink => {
            let spec = sink_task::SinkTaskSpec {
                id,
                connector: plan.connector,
                consumer_settings: client(Client::Consumer),
                producer_settings: client(Client::Producer),
                admin_settings: client(Client::Admin),
                config: plan.config,
                log,
                pipeline,
                clock,
                memory: environment.memory.clone(),
                flush_interval,
                status,
                metrics,
                topics,
            };
            sink_task::run(spec, control).await
        }
        ConnectorType::Source => {
            let offsets = source_offsets::open(&environment, &plan.name, &plan.config).await?;
            let exactly_once = exactly_once_of(&environment, &plan.config);
            let spec = source_task::SourceTaskSpec {
                id,
                task_count: plan.count,
                connector: plan.connector,
                producer_settings: client(Client::Producer),
                admin_settings: client(Client::Admin),
                makes_topics: settings.config.topic_creation,
                config: plan.config,
                log,
                pipeline,
                clock,
                offsets,
                flush_interval,
                status,
                metrics,
                topics,
                exactly_once,
            };
            source_task::run(spec, control).await
        }
    }
}

/// What the tasks of sources need to deliver exactly once, if the worker is to.
fn exactly_once_of(environment: &Environment, config: &ConfigMap) -> Option<ExactlyOnceSpec> {
    let cluster = environment.settings.cluster.as_ref()?;
    Some(ExactlyOnceSpec {
        group: cluster.group_id.clone(),
        gate: environment.gate.clone()?,
        offsets_topic: source_offsets::first_topic(environment, config)?,
    })
}
