//! A worker of the tests: it joins when it must, shares work when it leads, and shows what it knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{
    Generation, GroupMember, GroupMemberOptions, GroupProtocol, Log, MemberMetadata, Rebalance,
};
use sluice::runtime::distributed::assignor::{Assignor, Plan, Round};
use sluice::runtime::distributed::protocol::{
    Assignment, ConnectProtocol, PROTOCOL_TYPE, Work, WorkerState,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SOON;

/// What a worker of the test knows, and what it assigns when it leads.
pub(super) struct Script {
    url: String,
    configured: Work,
    held: Mutex<Option<Assignment>>,
    assignor: Mutex<Assignor>,
    /// How long the next rebalance is put off.
    dawdling: Mutex<Duration>,
    pub(super) fellows: Mutex<BTreeMap<String, WorkerState>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    pub(super) fn new(name: &str, configured: Work) -> Arc<Self> {
        Arc::new(Self {
            url: match name.contains("://") {
                true => name.to_owned(),
                false => format!("http://{name}:8083/"),
            },
            configured,
            held: Mutex::new(None),
            dawdling: Mutex::default(),
            assignor: Mutex::new(Assignor::new(Duration::ZERO)),
            fellows: Mutex::default(),
        })
    }

    /// Puts off the next rebalance.
    pub(super) fn dawdle(&self, time: Duration) {
        *locked(&self.dawdling) = time;
    }

    fn work(&self) -> Work {
        locked(&self.held)
            .as_ref()
            .map(|held| held.work.clone())
            .unwrap_or_default()
    }

    /// Takes up what was assigned; true if the group must be joined again because something was given up.
    fn take(&self, generation: &Generation) -> Result<bool> {
        let mut assignment = Assignment::decode(&generation.assignment)?;
        let mut work = self.work().without(&assignment.revoked);
        work.add(&assignment.work);
        assignment.work = work;
        let again = !assignment.revoked.is_empty();
        *locked(&self.held) = Some(assignment);
        locked(&self.assignor).joined(generation.is_leader);
        Ok(again)
    }

    fn share(&self, states: &BTreeMap<String, WorkerState>) -> Plan {
        let work = |state: &WorkerState| state.assignment.clone().unwrap_or_default().work;
        let members = states.iter();
        locked(&self.assignor).assign(&Round {
            now: Instant::now(),
            configured: self.configured.clone(),
            members: members
                .map(|(id, state)| (id.clone(), work(state)))
                .collect(),
        })
    }
}

#[async_trait]
impl GroupProtocol for Script {
    fn offers(&self) -> Vec<(String, Bytes)> {
        let state = WorkerState {
            url: self.url.clone(),
            config_offset: -1,
            assignment: locked(&self.held).clone(),
        };
        let offered = ConnectProtocol::Sessioned.offered();
        offered
            .map(|protocol| (protocol.group_name().to_owned(), state.encode(protocol)))
            .collect()
    }

    async fn assign(
        &self,
        protocol: &str,
        leader: &str,
        members: Vec<MemberMetadata>,
    ) -> connect_core::Result<Vec<(String, Bytes)>> {
        let protocol = ConnectProtocol::of_group(protocol)?;
        let decoded = members.into_iter().map(|member| {
            let state = WorkerState::decode(&member.metadata)?;
            Ok((member.member_id, state))
        });
        let states: BTreeMap<_, _> = decoded.collect::<connect_core::Result<_>>()?;
        let config_offset = states.values().map(|state| state.config_offset).max();
        let plan = self.share(&states);
        *locked(&self.fellows) = states;
        let shares = plan.shares.into_iter().map(|(member, share)| {
            let assignment = Assignment {
                leader: leader.to_owned(),
                leader_url: self.url.clone(),
                config_offset: config_offset.unwrap_or(-1),
                work: share.added,
                revoked: share.revoked,
                delay: plan.delay,
                ..Assignment::default()
            };
            (member, assignment.encode(protocol))
        });
        Ok(shares.collect())
    }
}

/// What is seen of a worker from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) generation: i32,
    member: String,
    pub(super) is_leader: bool,
    pub(super) protocol: String,
    pub(super) work: Work,
    pub(super) leader_url: String,
    pub(super) losses: Vec<String>,
}

/// A worker of the test: it joins when it must, until it is stopped.
pub(super) struct Worker {
    pub(super) script: Arc<Script>,
    seen: watch::Receiver<Seen>,
    leave: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Worker {
    pub(super) async fn start(
        log: &ClusterLog,
        group: &str,
        name: &str,
        work: Work,
    ) -> Result<Self> {
        Self::with_session(log, group, name, work, Duration::from_secs(6)).await
    }

    pub(super) async fn with_session(
        log: &ClusterLog,
        group: &str,
        name: &str,
        work: Work,
        session_timeout: Duration,
    ) -> Result<Self> {
        let member = log.group_member(GroupMemberOptions {
            group: group.to_owned(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            client_id: name.to_owned(),
            session_timeout,
            heartbeat_interval: Duration::from_millis(300),
            rebalance_timeout: Duration::from_secs(30),
        });
        let script = Script::new(name, work);
        let leave = CancellationToken::new();
        let (tell, seen) = watch::channel(Seen::default());
        let running = run(member.await?, script.clone(), tell, leave.clone());
        Ok(Self {
            script,
            seen,
            leave,
            task: tokio::spawn(running),
        })
    }

    pub(super) async fn expect(
        &mut self,
        what: &str,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        let found = tokio::time::timeout(SOON, self.seen.wait_for(|seen| wanted(seen))).await;
        let found = found.ok().and_then(|found| Some(found.ok()?.clone()));
        if let Some(seen) = found {
            return Ok(seen);
        }
        let seen = self.seen.borrow().clone();
        let ended = match self.task.is_finished() {
            true => format!("{:?}", (&mut self.task).await),
            false => "it runs".to_owned(),
        };
        anyhow::bail!("{what}: {seen:?}; {ended}")
    }

    pub(super) async fn expect_work(&mut self, work: &Work) -> Result<Seen> {
        self.expect(&format!("has {work:?}"), |seen| seen.work == *work)
            .await
    }

    pub(super) async fn leave(self) -> Result<()> {
        self.leave.cancel();
        self.task.await?
    }

    /// As if its process had died: nobody says good-bye.
    pub(super) fn die(self) {
        self.task.abort();
    }
}

pub(super) async fn run(
    mut member: Box<dyn GroupMember>,
    script: Arc<Script>,
    tell: watch::Sender<Seen>,
    leave: CancellationToken,
) -> Result<()> {
    while !leave.is_cancelled() {
        let joined = tokio::select! {
            joined = member.join(&*script) => joined,
            () = leave.cancelled() => break,
        };
        match joined {
            Err(failure) => lost(&script, &tell, failure.trace()),
            Ok(generation) => {
                let again = script.take(&generation)?;
                show(&script, &tell, &generation);
                if again {
                    continue;
                }
                tokio::select! {
                    rebalance = member.rebalance_needed() => {
                        let dawdling = std::mem::take(&mut *locked(&script.dawdling));
                        tokio::time::sleep(dawdling).await;
                        if let Rebalance::Lost(failure) = rebalance {
                            lost(&script, &tell, failure.trace());
                        }
                    }
                    () = leave.cancelled() => break,
                }
            }
        }
    }
    Ok(member.leave().await?)
}

pub(super) fn show(script: &Script, tell: &watch::Sender<Seen>, generation: &Generation) {
    let leader = locked(&script.held).clone().unwrap_or_default().leader_url;
    tell.send_modify(|seen| {
        seen.generation = generation.id;
        seen.member.clone_from(&generation.member_id);
        seen.is_leader = generation.is_leader;
        seen.protocol.clone_from(&generation.protocol);
        seen.work = script.work();
        seen.leader_url = leader;
    });
}

/// All that ran is stopped.
pub(super) fn lost(script: &Script, tell: &watch::Sender<Seen>, why: String) {
    *locked(&script.held) = None;
    tell.send_modify(|seen| {
        seen.work = Work::default();
        seen.losses.push(why);
    });
}
