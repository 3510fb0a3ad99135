//! The worker's life in its group: join, run what is given, wait until the group is to be shared anew.
//!
//! Holds always: what is taken away has stopped before the group is joined again; a worker that is not in the group runs
//! nothing; nothing that was given is started before the config topic was read as far as the leader had.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connect_core::retry::RetryPolicy;
use connect_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::MemberOptions;
use super::cluster::{Cluster, Role};
use super::group::ConnectGroup;
use super::protocol::{Assignment, AssignmentError, ConnectProtocol, PROTOCOL_TYPE, Work};
use super::running::{Locals, NewTasks, Running};
use crate::kafka::{Generation, GroupMember, GroupMemberOptions, Rebalance};
use crate::runtime::environment::Environment;
use crate::runtime::herder::RestartRequest;
use crate::runtime::metrics::Rebalances;
use crate::storage::ConfigNews;

/// Pauses before the group is joined again after a failure.
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
};
/// The pause before a group is joined again whose leader had not read as far as another.
const MISMATCH_PAUSE: Duration = Duration::from_millis(100);
/// How often a leader looks at least whether the session key is too old, and whether it can still write.
const LEAD_LOOK: Duration = Duration::from_secs(10);
/// How often it looks at the most, however short session keys are to live.
const LEAD_LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long leaving may take.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);

/// What a membership stands on.
pub(super) struct Parts {
    pub(super) environment: Arc<Environment>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) locals: Locals,
    /// Set once what was given first has been taken up.
    pub(super) ready: Arc<AtomicBool>,
    pub(super) rebalances: Rebalances,
    pub(super) stop: CancellationToken,
    pub(super) options: MemberOptions,
}

/// The membership of a worker.
pub(super) struct Membership {
    parts: Parts,
    group: ConnectGroup,
    running: Running,
    /// What was given to this worker.
    work: Work,
    /// That of the generation this worker is in or was in last.
    protocol: ConnectProtocol,
    /// What was begun last as the leader.
    keeping: Option<JoinHandle<()>>,
}

/// How a time in the group ends.
enum End {
    /// The worker stops.
    Stopped,
    /// The worker is no member any more.
    Lost(Error),
    /// The config topic could not be read as far as the leader had.
    Behind,
}

/// What follows after an assignment.
enum Next {
    /// Wait; if there is a time, then at most until then.
    Wait(Option<Instant>),
    Join,
    End(End),
}

impl Membership {
    pub(super) fn new(parts: Parts) -> Self {
        let (cluster, options) = (parts.cluster.clone(), &parts.options);
        Self {
            group: ConnectGroup::new(
                cluster.clone(),
                options.url.clone(),
                options.cluster.protocol,
                options.cluster.max_delay,
            ),
            running: Running::new(parts.environment.clone(), cluster, parts.locals.clone()),
            work: Work::default(),
            protocol: options.cluster.protocol,
            keeping: None,
            parts,
        }
    }

    /// Lives in the group until the worker stops, or until it can never be a member: then it tells `failed`.
    pub(super) async fn run(mut self, failed: oneshot::Sender<Error>) {
        let (mut member, mut failures) = (None, 0);
        let stop = self.parts.stop.clone();
        while !stop.is_cancelled() {
            let opened = match member.take() {
                Some(member) => Ok(member),
                None => self.member().await,
            };
            let outcome = match opened {
                Ok(opened) => self.one_time(member.insert(opened), &mut failures).await,
                Err(failure) => {
                    failures += 1;
                    self.lost(failure)
                }
            };
            let pause = match outcome {
                Ok(End::Stopped) => break,
                Ok(End::Lost(failure)) => PAUSES.pause(failures, &failure),
                Ok(End::Behind) => {
                    warn!(
                        "the config topic could not be read as far as the leader has: leaving the group for a while"
                    );
                    self.leave(member.take()).await;
                    self.parts.options.cluster.unsync_backoff
                }
                Err(failure) => {
                    let _nobody_waits = failed.send(failure);
                    break;
                }
            };
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        self.leave(member).await;
    }

    /// A time in the group.
    ///
    /// # Errors
    /// There will never be another.
    async fn one_time(
        &mut self,
        member: &mut Box<dyn GroupMember>,
        failures: &mut u32,
    ) -> Result<End> {
        let (end, joined) = self.take_part(&mut **member).await;
        self.parts.cluster.set_role(Role::Unsettled);
        *failures = if joined { 1 } else { *failures + 1 };
        if let End::Lost(failure) = end {
            self.give_up(&failure).await;
            return self.lost(failure);
        }
        Ok(end)
    }

    /// The end of a time in the group that was lost, or could not be had.
    ///
    /// # Errors
    /// There will never be another.
    fn lost(&self, failure: Error) -> Result<End> {
        if self.may_come_back(&failure) {
            return Ok(End::Lost(failure));
        }
        Err(failure)
    }

    async fn member(&self) -> Result<Box<dyn GroupMember>> {
        let options = &self.parts.options.cluster;
        let options = GroupMemberOptions {
            group: options.group_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            client_id: options.client_id.clone(),
            session_timeout: options.session_timeout,
            heartbeat_interval: options.heartbeat_interval,
            rebalance_timeout: options.rebalance_timeout,
        };
        let mut member = self.parts.environment.log.group_member(options).await?;
        member.observe(Arc::new(self.parts.rebalances.clone()));
        self.parts.cluster.set_session(member.session());
        Ok(member)
    }

    /// Whether a worker that is no member may become one by itself. One that never was one is told so.
    fn may_come_back(&self, failure: &Error) -> bool {
        let never = matches!(failure.kind(), ErrorKind::Auth | ErrorKind::Config);
        failure.is_retriable() || (!never && self.parts.ready.load(Ordering::Acquire))
    }

    /// Ends all that runs here: others may run it.
    async fn give_up(&mut self, failure: &Error) {
        error!(
            error = failure.trace(),
            "this worker is no longer in its group: all that it runs is ended"
        );
        self.running.cut_off().await;
        self.hold_nothing();
    }

    fn hold_nothing(&mut self) {
        self.work = Work::default();
        self.parts.cluster.hold(self.work.clone());
        self.group.hold_nothing();
    }

    /// Stops all in good order, then leaves.
    async fn leave(&mut self, member: Option<Box<dyn GroupMember>>) {
        self.running.stop_all().await;
        self.hold_nothing();
        self.parts.environment.statuses.flush().await;
        let Some(member) = member else {
            return;
        };
        let left = tokio::time::timeout(LEAVE_DEADLINE, member.leave()).await;
        if let Ok(Err(failure)) = left {
            warn!(error = failure.trace(), "the group was not left");
        }
    }

    /// A time in the group; true if it was joined at all.
    async fn take_part(&mut self, member: &mut dyn GroupMember) -> (End, bool) {
        let mut joined = false;
        loop {
            if self.protocol == ConnectProtocol::Eager {
                self.running.stop_all().await;
                self.hold_nothing();
            }
            self.parts.cluster.set_role(Role::Unsettled);
            let stop = self.parts.stop.clone();
            let joining = member.join(&self.group);
            let generation = match stop.run_until_cancelled(joining).await {
                None => return (End::Stopped, joined),
                Some(Err(failure)) => return (End::Lost(failure), joined),
                Some(Ok(generation)) => generation,
            };
            joined = true;
            let next = match self.take_up(generation).await {
                Ok(Next::Wait(until)) => self.wait(member, until).await,
                Ok(next) => next,
                Err(failure) => Next::End(End::Lost(failure)),
            };
            if let Next::End(end) = next {
                return (end, joined);
            }
        }
    }

    /// Takes up what the leader has given to this worker.
    async fn take_up(&mut self, generation: Generation) -> Result<Next> {
        self.protocol = ConnectProtocol::of_group(&generation.protocol)?;
        self.parts.cluster.set_protocol(self.protocol);
        let assignment = Assignment::decode(&generation.assignment)?;
        if assignment.error == AssignmentError::ConfigMismatch {
            self.refresh().await;
            tokio::time::sleep(MISMATCH_PAUSE).await;
            return Ok(Next::Join);
        }
        if !self.catch_up(assignment.config_offset).await {
            return Ok(Next::End(End::Behind));
        }
        self.parts
            .environment
            .statuses
            .set_generation(generation.id);
        self.work = match self.protocol {
            ConnectProtocol::Eager => assignment.work.clone(),
            _ => {
                let mut work = self.work.without(&assignment.revoked);
                work.add(&assignment.work);
                work
            }
        };
        info!(
            generation = generation.id,
            leader = assignment.leader_url,
            connectors = self.work.connectors.len(),
            tasks = self.work.tasks.len(),
            "what the leader has given"
        );
        self.parts.cluster.hold(self.work.clone());
        self.settle(NewTasks::Start).await;
        self.group.joined(
            generation.is_leader,
            Assignment {
                work: self.work.clone(),
                revoked: Work::default(),
                ..assignment.clone()
            },
        );
        if !assignment.revoked.is_empty() {
            self.parts.environment.statuses.flush().await;
            return Ok(Next::Join);
        }
        self.settled(generation.is_leader, &assignment.leader_url);
        let delay = assignment.delay;
        Ok(Next::Wait(
            (!delay.is_zero()).then(|| Instant::now() + delay),
        ))
    }

    /// Reads the config topic as far as the leader had.
    async fn catch_up(&self, offset: i64) -> bool {
        let cluster = &self.parts.cluster;
        if cluster.view().offset < offset {
            self.refresh().await;
        }
        cluster.view().offset >= offset
    }

    /// Reads the config topic to its end, if that does not take too long.
    async fn refresh(&self) {
        let timeout = self.parts.options.cluster.sync_timeout;
        match tokio::time::timeout(timeout, self.parts.cluster.config.refresh()).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                warn!(
                    error = failure.trace(),
                    "the config topic could not be read"
                );
            }
            Err(_) => warn!(?timeout, "the config topic took too long to be read"),
        }
    }

    async fn settle(&mut self, tasks: NewTasks) {
        let view = self.parts.cluster.view();
        let gone = self.running.settle(&view, &self.work, tasks).await;
        // Another may have made a connector of that name meanwhile.
        let view = self.parts.cluster.view();
        for name in gone {
            if !view.connectors.contains_key(&name) {
                // Its tasks may have told something while they ended.
                self.parts.environment.statuses.forget(&name);
            }
        }
    }

    /// The group is shared.
    fn settled(&self, is_leader: bool, leader_url: &str) {
        let cluster = &self.parts.cluster;
        let (connectors, tasks) = (self.work.connectors.len(), self.work.tasks.len());
        self.parts
            .rebalances
            .assigned(leader_url, connectors, tasks);
        if is_leader {
            let view = cluster.view();
            let connectors = view.connectors.iter();
            let tasks: BTreeMap<_, _> = connectors
                .map(|(name, connector)| (name.as_str(), connector.task_count()))
                .collect();
            let owners = self.group.owners();
            let statuses = &self.parts.environment.statuses;
            statuses.keep_only(&tasks, &owners.workers);
            cluster.set_role(Role::Leader(owners));
        } else {
            cluster.set_role(Role::Follower {
                leader_url: leader_url.to_owned(),
            });
        }
        self.parts.ready.store(true, Ordering::Release);
    }

    /// As the leader, has done what it is to do from time to time; that may take long, and nothing waits for it.
    fn keep_lead(&mut self) {
        let keeping = self.keeping.as_ref();
        let is_going_on = keeping.is_some_and(|keeping| !keeping.is_finished());
        if !is_going_on && self.parts.cluster.leads() {
            self.keeping = Some(tokio::spawn(keep_lead(self.parts.cluster.clone())));
        }
    }

    /// Waits until the group is to be joined again; meanwhile does what the config topic says.
    async fn wait(&mut self, member: &mut dyn GroupMember, until: Option<Instant>) -> Next {
        let (stop, cluster) = (self.parts.stop.clone(), self.parts.cluster.clone());
        let key_lifetime = self.parts.options.cluster.signing.key_lifetime;
        let look = (key_lifetime / 4).clamp(LEAD_LOOK_PAUSE, LEAD_LOOK);
        let mut look_at_lead = tokio::time::interval(look);
        loop {
            let delay = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // That the place is lost comes before all else.
                biased;
                rebalance = member.rebalance_needed() => return match rebalance {
                    Rebalance::Requested => Next::Join,
                    Rebalance::Lost(failure) => Next::End(End::Lost(failure)),
                },
                () = stop.cancelled() => return Next::End(End::Stopped),
                () = delay => return Next::Join,
                _ = look_at_lead.tick() => self.keep_lead(),
                news = cluster.config.news() => if self.hear(news).await {
                    return Next::Join;
                },
            }
        }
    }

    /// Does what news say; true if the group must be joined again for them: connectors or tasks have come or gone.
    async fn hear(&mut self, news: Vec<ConfigNews>) -> bool {
        let is_shared_anew =
            |news: &ConfigNews| matches!(news, ConfigNews::Connectors | ConfigNews::Tasks(_));
        let joins = news.iter().any(is_shared_anew);
        self.settle(NewTasks::Wait).await;
        for news in news {
            match news {
                ConfigNews::Restart {
                    connector,
                    include_tasks,
                    only_failed,
                } => {
                    let request = RestartRequest {
                        include_tasks,
                        only_failed,
                    };
                    self.running.restart(&connector, request).await;
                }
                ConfigNews::Level { logger, level } => self.set_level(&logger, &level),
                _ => {}
            }
        }
        joins
    }

    fn set_level(&self, logger: &str, level: &str) {
        match self.parts.options.levels.set(logger, level) {
            Ok(_affected) => info!(logger, level, "level of logging changed"),
            Err(failure) => warn!(logger, level, %failure, "the level of logging is not changed"),
        }
    }
}

/// Takes the leader's place back if another has it, and makes a new session key if there is none or if it is too old.
async fn keep_lead(cluster: Arc<Cluster>) {
    if let Err(failure) = cluster.take_lead_back().await {
        warn!(
            error = failure.trace(),
            "the leader cannot write the config topic: it is tried again"
        );
    }
    if !cluster.leads() {
        return;
    }
    if let Err(failure) = cluster.renew_session_key().await {
        warn!(
            error = failure.trace(),
            "no session key could be written: it is tried again"
        );
    }
}
