//! A member of a group that is led by one of its members, over JoinGroup, SyncGroup, Heartbeat and LeaveGroup.
//!
//! Heartbeats run beside everything else on a connection of their own, so that the member knows by its own clock how
//! long it counts as one, even while a join waits for the others.

mod coordinator;
mod heartbeats;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::{Error, Result, RetryVerdict};
use krafka::__private::protocol::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, SyncGroupRequest,
    SyncGroupRequestAssignment,
};
use krafka::error::ErrorCode;
use krafka::{Kafka, KrafkaError};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::errors::mapped;
use crate::kafka::{
    Generation, GroupMember, GroupMemberOptions, GroupObserver, GroupProtocol, GroupSession,
    MemberMetadata, Rebalance,
};
use coordinator::Coordinator;
use heartbeats::{PAUSES, SharedSession};
use session::Session;

/// A broker answers a join when the rebalance timeout is over; its answer takes a moment.
const SLACK: Duration = Duration::from_secs(5);
/// How long leaving may take.
const LEAVING: Duration = Duration::from_secs(5);

/// The deadline of requests that a broker answers at once: a session has time for several of them.
pub(super) fn request_timeout(options: &GroupMemberOptions) -> Duration {
    (options.session_timeout / 3).max(Duration::from_secs(1))
}

/// A member.
pub(super) struct ClusterMember {
    options: GroupMemberOptions,
    coordinator: Arc<Coordinator>,
    session: Arc<SharedSession>,
    /// Ends the heartbeats, too, when this is dropped.
    heartbeats: DropGuard,
}

impl ClusterMember {
    /// A member that has not joined yet, with a client of its own.
    pub(super) fn new(kafka: Kafka, options: GroupMemberOptions) -> Self {
        let coordinator = Arc::new(Coordinator::new(kafka, options.group.clone()));
        let session = Session::new(options.session_timeout);
        let session = Arc::new(SharedSession::new(session));
        let stop = CancellationToken::new();
        let heartbeats = stop.clone().drop_guard();
        let interval = options.heartbeat_interval;
        tokio::spawn(heartbeats::run(
            session.clone(),
            coordinator.clone(),
            interval,
            stop,
        ));
        Self {
            options,
            coordinator,
            session,
            heartbeats,
        }
    }

    async fn join_with_retries(&self, protocol: &dyn GroupProtocol) -> Result<Generation> {
        let until = Instant::now() + self.options.session_timeout;
        let mut failures = 0;
        loop {
            let failure = match self.join_once(protocol).await {
                Ok(generation) => return Ok(generation),
                Err(failure) => failure,
            };
            let is_inside = self.session.read(|session| session.deadline().is_some());
            // Inside, the session's end is watched beside this.
            if !failure.is_retriable() || (!is_inside && Instant::now() >= until) {
                return Err(failure);
            }
            failures += 1;
            warn!(
                group = self.options.group,
                error = failure.trace(),
                "the group is joined again"
            );
            tokio::time::sleep(PAUSES.pause(failures, &failure)).await;
        }
    }

    async fn join_once(&self, protocol: &dyn GroupProtocol) -> Result<Generation> {
        let joined = self.ask_to_join(protocol).await?;
        let name = joined.protocol_name.clone().unwrap_or_default();
        let is_leader = joined.is_leader();
        let (id, member_id) = (joined.generation_id, joined.member_id.clone());
        let assignments = match is_leader && !joined.skip_assignment {
            true => self.assign(protocol, &name, joined).await?,
            false => Vec::new(),
        };
        let assignment = self.sync((id, &member_id), &name, assignments).await?;
        Ok(Generation {
            id,
            member_id,
            is_leader,
            protocol: name,
            assignment,
        })
    }

    /// Asks to join; a newcomer is first given an id.
    async fn ask_to_join(&self, protocol: &dyn GroupProtocol) -> Result<JoinGroupResponse> {
        loop {
            let request = self.join_request(protocol);
            let patience = self.options.rebalance_timeout + SLACK;
            let answer = self.coordinator.join(&request, patience).await;
            let answer = answer.map_err(|error| self.failed(error, "join"))?;
            if answer.error_code == ErrorCode::MemberIdRequired {
                self.session
                    .change(|session| session.name(&answer.member_id));
                continue;
            }
            let (member, generation) = (&answer.member_id, answer.generation_id);
            self.session
                .change(|session| session.joined(member, generation, Instant::now()));
            return Ok(answer);
        }
    }

    fn join_request(&self, protocol: &dyn GroupProtocol) -> JoinGroupRequest {
        let offers = protocol.offers().into_iter();
        JoinGroupRequest {
            group_id: self.options.group.clone(),
            session_timeout_ms: millis(self.options.session_timeout),
            rebalance_timeout_ms: millis(self.options.rebalance_timeout),
            member_id: self.session.read(|session| session.member().to_owned()),
            group_instance_id: None,
            protocol_type: self.options.protocol_type.clone(),
            protocols: offers
                .map(|(name, metadata)| JoinGroupRequestProtocol { name, metadata })
                .collect(),
            reason: None,
        }
    }

    async fn assign(
        &self,
        protocol: &dyn GroupProtocol,
        name: &str,
        joined: JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>> {
        let members = joined.members.into_iter();
        let members = members.map(|member| MemberMetadata {
            member_id: member.member_id,
            metadata: member.metadata,
        });
        let assigned = protocol.assign(name, &joined.leader, members.collect());
        let assigned = assigned.await?.into_iter();
        Ok(assigned
            .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                member_id,
                assignment,
            })
            .collect())
    }

    async fn sync(
        &self,
        (generation, member): (i32, &str),
        name: &str,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> Result<Bytes> {
        let request = SyncGroupRequest {
            group_id: self.options.group.clone(),
            generation_id: generation,
            member_id: member.to_owned(),
            group_instance_id: None,
            protocol_type: Some(self.options.protocol_type.clone()),
            protocol_name: Some(name.to_owned()),
            assignments,
        };
        let patience = self.options.rebalance_timeout + SLACK;
        let answer = self.coordinator.sync(&request, patience).await;
        let answer = answer.map_err(|error| self.failed(error, "sync"))?;
        Ok(answer.assignment)
    }

    /// Takes note of what a refusal says of the member: whoever waits for its end hears of it.
    fn failed(&self, error: KrafkaError, operation: &str) -> Error {
        let code = match &error {
            KrafkaError::Broker { code, .. } => *code,
            _ => ErrorCode::None,
        };
        self.session.change(|session| session.refused(code));
        let joins_again = [
            ErrorCode::RebalanceInProgress,
            ErrorCode::UnknownMemberId,
            ErrorCode::IllegalGeneration,
        ];
        let mut error = mapped(error);
        if joins_again.contains(&code) {
            error = error.retry(RetryVerdict::Backoff);
        }
        error
            .operation(format!("{operation} group"))
            .target(&self.options.group)
    }
}

#[async_trait]
impl GroupMember for ClusterMember {
    fn observe(&mut self, observer: Arc<dyn GroupObserver>) {
        self.session.observe(observer);
    }

    fn session(&self) -> Arc<dyn GroupSession> {
        self.session.clone()
    }

    async fn join(&mut self, protocol: &dyn GroupProtocol) -> Result<Generation> {
        let joining = Joining::begin(&self.session);
        let joined = tokio::select! {
            biased;
            lost = self.session.lost() => Err(lost),
            joined = self.join_with_retries(protocol) => joined,
        };
        match &joined {
            Ok(generation) => {
                joining.ended_well(generation);
                info!(
                    group = self.options.group,
                    generation = generation.id,
                    member = generation.member_id,
                    is_leader = generation.is_leader,
                    protocol = generation.protocol,
                    "joined the group"
                );
            }
            Err(_) => {
                drop(joining);
                self.session.change(Session::give_up);
                self.coordinator.hang_up().await;
            }
        }
        joined
    }

    async fn rebalance_needed(&mut self) -> Rebalance {
        let rebalance = self.session.wait(Session::rebalance).await;
        if matches!(rebalance, Rebalance::Lost(_)) {
            // It is told once: the next join is a newcomer's.
            self.session.change(Session::give_up);
        }
        rebalance
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        drop(self.heartbeats);
        let member = self.session.read(|session| session.member().to_owned());
        if member.is_empty() {
            return Ok(());
        }
        let left = tokio::time::timeout(LEAVING, self.coordinator.leave(&member)).await;
        self.coordinator.hang_up().await;
        let late = |_| KrafkaError::timeout("leave group");
        match left.map_err(late).flatten() {
            Err(KrafkaError::Broker {
                code: ErrorCode::UnknownMemberId,
                ..
            }) => Ok(()),
            left => left.map_err(|error| {
                mapped(error)
                    .operation("leave group")
                    .target(&self.options.group)
            }),
        }
    }
}

/// A join that goes on; it has ended when this is dropped, however that comes.
struct Joining<'a> {
    session: &'a SharedSession,
    started: Instant,
    has_failed: bool,
}

impl<'a> Joining<'a> {
    fn begin(session: &'a SharedSession) -> Self {
        session.change(Session::begin_join);
        session.tell(|observer| observer.join_started());
        Self {
            session,
            started: Instant::now(),
            has_failed: true,
        }
    }

    fn ended_well(mut self, generation: &Generation) {
        self.has_failed = false;
        let took = self.started.elapsed();
        self.session
            .tell(|observer| observer.joined(generation, took));
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        self.session.change(Session::end_join);
        if self.has_failed {
            self.session.tell(|observer| observer.join_failed());
        }
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
