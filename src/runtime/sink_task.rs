//! The loop of a sink task: poll, convert, put, flush, commit.
//!
//! Holds always: the loop keeps polling while the target fails, so that the task stays a member of its group; records it
//! could not hand over are kept, and nothing is fetched beyond them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use connect_core::clock::Clock;
use connect_core::config::{CommonOptions, ConfigMap, ConnectorConfig, SinkOptions};
use connect_core::plugin::{Connector, MemoryBudget, SinkTaskContext, TaskId};
use connect_core::retry::RetryPolicy;
use connect_core::{Error, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, info, warn};

use super::active_topics::TopicTracker;
use super::control::{Control, Wanted};
use super::errors::{DeadLetterQueue, ErrorHandling, ErrorReport, QueueClients};
use super::info::State;
use super::lag;
use super::metrics::TaskMetrics;
use super::pipeline::Pipeline;
use super::sink_session::{
    ConsumerSlot, SessionListener, SessionMetrics, SinkSession, is_conflict,
};
use super::status::StatusBoard;
use super::worker_config::wrong_options;
use crate::kafka::{AutoOffsetReset, Consumer, ConsumerOptions, Isolation, Log, Subscription};

#[cfg(test)]
mod tests;

/// The longest a poll waits: bounds how late a change of target state is seen.
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// Records one poll may bring.
const MAX_POLL_RECORDS: usize = 4_000;
/// Bytes of a fetch, by the task's share of the memory budget. A larger one makes nothing faster.
const SMALLEST_FETCH: usize = 1 << 20;
const LARGEST_FETCH: usize = 2 << 20;
/// How long the end of a task waits for dead letters that are left.
const LAST_LETTERS: Duration = Duration::from_secs(3);
/// Pauses between tries against a failing target.
const RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(250),
    max: Duration::from_secs(30),
};

/// What a sink task is made of.
pub(super) struct SinkTaskSpec {
    pub(super) id: TaskId,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) config: ConfigMap,
    pub(super) log: Arc<dyn Log>,
    /// The settings of its consumer: the worker's with the connector's above them.
    pub(super) consumer_settings: ConfigMap,
    /// Those of the producer of its dead letter queue.
    pub(super) producer_settings: ConfigMap,
    /// Those of the admin client that makes the topic of that queue.
    pub(super) admin_settings: ConfigMap,
    pub(super) pipeline: Pipeline,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: MemoryBudget,
    pub(super) flush_interval: Duration,
    pub(super) status: StatusBoard,
    pub(super) metrics: TaskMetrics,
    /// `None`: topics are not tracked.
    pub(super) topics: Option<TopicTracker>,
}

/// Runs until told to stop.
pub(super) async fn run(spec: SinkTaskSpec, control: Control) -> Result<()> {
    let slot = ConsumerSlot::default();
    let memory = spec.memory.join();
    let fetch_max_bytes = (memory.bytes() / 8).clamp(SMALLEST_FETCH, LARGEST_FETCH);
    let task = spec.connector.sink_task(SinkTaskContext {
        task: spec.id.clone(),
        clock: spec.clock.clone(),
        runtime: Arc::new(slot.clone()),
        memory,
    })?;
    let class = spec.config.get("connector.class").cloned();
    let report = error_report(&spec).await?;
    let handling = report.handling;
    let session = Arc::new(Mutex::new(SinkSession::new(
        task,
        slot.clone(),
        spec.status.clone(),
        SessionMetrics {
            task: spec.metrics.clone(),
            clock: spec.clock.clone(),
        },
        report,
        class.unwrap_or_default(),
    )));
    let options = consumer_options(&spec, fetch_max_bytes, session.clone())?;
    let consumer = spec.log.consumer(options).await?;
    slot.fill(&consumer);
    let waker = wake_on_change(control.clone(), Arc::downgrade(&consumer));
    // Ends with this function, however that ends.
    let mut beside = JoinSet::new();
    beside.spawn(lag::watch(spec.log.admin(), spec.metrics.clone()).in_current_span());
    let mut sink = SinkLoop {
        next_flush: Instant::now() + spec.flush_interval,
        spec,
        control,
        consumer: consumer.clone(),
        session: session.clone(),
        retry: None,
        pauses: handling.pauses(RETRY),
        attempts: 0,
    };
    let outcome = sink.run().await;
    waker.abort();
    drop(beside);
    let closed = consumer.close().await;
    let mut session = session.lock().await;
    let letters = tokio::time::timeout(LAST_LETTERS, session.last_letters()).await;
    let letters = letters.unwrap_or_else(|_| {
        Err(Error::external(format!("no end after {LAST_LETTERS:?}")).operation("dead letters"))
    });
    let failed = session.take_failure().map_or(Ok(()), Err);
    outcome.and(closed).and(failed).and(letters)
}

async fn error_report(spec: &SinkTaskSpec) -> Result<ErrorReport> {
    let options = CommonOptions::from_map(&spec.config).map_err(|errors| wrong_options(&errors))?;
    let clients = QueueClients {
        producer: spec.producer_settings.clone(),
        admin: spec.admin_settings.clone(),
    };
    Ok(ErrorReport {
        handling: ErrorHandling::of(&options),
        status: spec.status.clone(),
        metrics: spec.metrics.clone(),
        clock: spec.clock.clone(),
        queue: DeadLetterQueue::open(&spec.id, &spec.config, clients, &*spec.log).await?,
    })
}

/// The group of a sink: `connect-<name>`, unless the connector or the worker's `consumer.` settings say otherwise.
pub(super) fn group_id(name: &str, config: &ConfigMap, consumer_settings: &ConfigMap) -> String {
    let own = config.get("consumer.override.group.id");
    let group = own.or_else(|| consumer_settings.get("group.id"));
    group.map_or_else(|| format!("connect-{name}"), Clone::clone)
}

fn consumer_options(
    spec: &SinkTaskSpec,
    fetch_max_bytes: usize,
    session: Arc<Mutex<SinkSession>>,
) -> Result<ConsumerOptions> {
    let mut overrides = spec.consumer_settings.clone();
    overrides.remove("group.id");
    let group = group_id(&spec.id.connector, &spec.config, &spec.consumer_settings);
    let options = SinkOptions::from_map(&spec.config).map_err(|errors| wrong_options(&errors))?;
    let subscription = if options.topics_regex.is_empty() {
        Subscription::Topics(options.topics)
    } else {
        Subscription::Pattern(options.topics_regex)
    };
    Ok(ConsumerOptions {
        group: Some(group),
        subscription,
        client_id: format!("connector-consumer-{}", spec.id),
        auto_offset_reset: AutoOffsetReset::Earliest,
        isolation: Isolation::ReadUncommitted,
        max_poll_records: MAX_POLL_RECORDS,
        fetch_max_bytes,
        listener: Some(Arc::new(SessionListener(session))),
        overrides,
    })
}

/// Ends a waiting poll when something else is wanted.
fn wake_on_change(
    mut control: Control,
    consumer: Weak<dyn Consumer>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while control.wanted() != Wanted::Stop {
            control.changed().await;
            let Some(consumer) = consumer.upgrade() else {
                return;
            };
            consumer.wakeup();
        }
    })
}

struct SinkLoop {
    spec: SinkTaskSpec,
    control: Control,
    consumer: Arc<dyn Consumer>,
    session: Arc<Mutex<SinkSession>>,
    /// When offsets are flushed although nothing else makes it due. The wall clock may jump: only the plugin goes by it.
    next_flush: Instant,
    /// When to try again after a failure.
    retry: Option<Instant>,
    pauses: RetryPolicy,
    attempts: u32,
}

impl SinkLoop {
    async fn run(&mut self) -> Result<()> {
        let mut shown = None;
        loop {
            let wanted = self.control.wanted();
            if wanted == Wanted::Stop {
                return Ok(());
            }
            if shown != Some(wanted) {
                let state = if wanted == Wanted::Pause {
                    State::Paused
                } else {
                    State::Running
                };
                self.spec.status.task(self.spec.id.task, state);
                shown = Some(wanted);
            }
            self.hold(wanted == Wanted::Pause || self.retry.is_some())
                .await;
            self.step().await?;
        }
    }

    /// Pauses or resumes fetching. Partitions that came since, or come in the next poll, are paused too.
    async fn hold(&mut self, hold: bool) {
        let was_held = self.session.lock().await.hold(hold);
        if hold {
            self.consumer.pause(&self.consumer.assignment().await).await;
        } else if was_held {
            self.consumer
                .resume(&self.consumer.assignment().await)
                .await;
        }
    }

    async fn step(&mut self) -> Result<()> {
        let timeout = self.poll_timeout().await;
        let records = match self.consumer.poll(timeout).await {
            Ok(records) => records,
            Err(error) if error.is_retriable() => {
                self.attempts += 1;
                self.spec.status.task_retries(self.spec.id.task, &error);
                let pause = self.pauses.pause(self.attempts, &error);
                warn!(
                    error = self.spec.status.trace_of(&error),
                    ?pause,
                    "polling failed, trying again"
                );
                self.control.sleep(pause).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.spec.metrics.consumed(&records);
        let session = self.session.clone();
        let mut session = session.lock().await;
        if let Some(topics) = &mut self.spec.topics {
            records.iter().for_each(|record| topics.used(&record.topic));
        }
        session.accept(records);
        if let Some(error) = session.take_failure() {
            return self.recover(&mut session, error).await;
        }
        if self.retry.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        // What was converted before goes on its way whatever happens to the next.
        let converted = tokio::select! {
            biased;
            // A registry may take its time to answer. What was not converted stays in line.
            () = self.control.changed() => return Ok(()),
            converted = session.convert(&mut self.spec.pipeline) => converted,
        };
        let attempts = self.attempts;
        self.work(&mut session).await?;
        let Err(error) = converted else {
            return Ok(());
        };
        // That others got through does not shorten the pauses for this one.
        self.attempts = self.attempts.max(attempts);
        self.recover(&mut session, error).await
    }

    async fn work(&mut self, session: &mut SinkSession) -> Result<()> {
        let is_awake = |session: &SinkSession, now| session.wake_at().is_some_and(|at| at <= now);
        let due = Instant::now() >= self.next_flush || is_awake(session, self.spec.clock.now());
        match session.work(due).await {
            Ok(()) => {
                self.succeeded();
                // Records may have made a flush due: at once, not after the next poll.
                if !due && is_awake(session, self.spec.clock.now()) {
                    let again = session.work(true).await;
                    return self.settle(session, again).await;
                }
                Ok(())
            }
            failed => self.settle(session, failed).await,
        }
    }

    async fn settle(&mut self, session: &mut SinkSession, outcome: Result<()>) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => self.recover(session, error).await,
        }
    }

    fn succeeded(&mut self) {
        if self.attempts > 0 {
            info!(attempts = self.attempts, "working again");
        }
        self.attempts = 0;
        self.retry = None;
        let now = Instant::now();
        if now >= self.next_flush {
            self.next_flush = now + self.spec.flush_interval;
        }
    }

    /// A conflict means begin anew at what is committed; what may get better is tried again; anything else ends the task.
    async fn recover(&mut self, session: &mut SinkSession, error: Error) -> Result<()> {
        let conflict = is_conflict(&error);
        if !conflict && !error.is_retriable() {
            return Err(error);
        }
        self.attempts += 1;
        self.spec.status.task_retries(self.spec.id.task, &error);
        let pause = self.pauses.pause(self.attempts, &error);
        self.retry = Some(Instant::now() + pause);
        warn!(
            error = self.spec.status.trace_of(&error),
            attempt = self.attempts,
            ?pause,
            "trying again"
        );
        if conflict && let Err(error) = session.rewind().await {
            if !is_conflict(&error) && !error.is_retriable() {
                return Err(error);
            }
            warn!(
                error = self.spec.status.trace_of(&error),
                "going back to the committed offsets failed"
            );
        }
        Ok(())
    }

    async fn poll_timeout(&self) -> Duration {
        let wait = match self.retry {
            Some(at) => at.saturating_duration_since(Instant::now()),
            None => self.time_to_work().await,
        };
        wait.min(LONGEST_POLL)
    }

    /// How long nothing is due if no record comes.
    async fn time_to_work(&self) -> Duration {
        let flush = self.next_flush.saturating_duration_since(Instant::now());
        let wake_at = self.session.lock().await.wake_at();
        let wake = wake_at.map(|at| self.spec.clock.now().duration_until(at));
        wake.map_or(flush, |wake| wake.min(flush))
    }
}
