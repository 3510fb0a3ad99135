//! What this worker says to its group, and how it shares the work when it leads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::Result;
use tracing::{debug, warn};

use super::assignor::{Assignor, ByMember, Plan, Round, Share, assign_eagerly};
use super::cluster::{Cluster, Owners, configured};
use super::protocol::{Assignment, AssignmentError, ConnectProtocol, Work, WorkerState};
use crate::kafka::{GroupProtocol, MemberMetadata};

/// This worker's words in the group.
pub(super) struct ConnectGroup {
    cluster: Arc<Cluster>,
    /// Where this worker's REST API is.
    url: String,
    protocol: ConnectProtocol,
    state: Mutex<State>,
}

struct State {
    /// What this worker has.
    held: Option<Assignment>,
    /// Whether this worker has led when the group was shared last.
    leads: bool,
    assignor: Assignor,
    /// Who runs what, as this worker has shared it last.
    owners: Arc<Owners>,
}

impl ConnectGroup {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        url: String,
        protocol: ConnectProtocol,
        max_delay: Duration,
    ) -> Self {
        Self {
            cluster,
            url,
            protocol,
            state: Mutex::new(State {
                held: None,
                leads: false,
                assignor: Assignor::new(max_delay),
                owners: Arc::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This worker has nothing.
    pub(super) fn hold_nothing(&self) {
        let mut state = self.state();
        state.held = None;
        state.leads = false;
    }

    /// A join has ended well; this worker has `held` now.
    pub(super) fn joined(&self, is_leader: bool, held: Assignment) {
        let mut state = self.state();
        state.assignor.joined(is_leader);
        state.leads = is_leader;
        state.held = Some(held);
    }

    /// Who runs what, as this worker has shared it last.
    pub(super) fn owners(&self) -> Arc<Owners> {
        self.state().owners.clone()
    }

    /// The work of each member; nothing with an error if the leader has not read as far as another.
    fn share(
        &self,
        protocol: ConnectProtocol,
        leader: &str,
        members: &ByMember<WorkerState>,
    ) -> ByMember<Assignment> {
        let view = self.cluster.view();
        let offset = members.values().map(|state| state.config_offset).max();
        let is_behind = offset.is_some_and(|offset| view.offset < offset);
        let common = Assignment {
            error: match is_behind {
                true => AssignmentError::ConfigMismatch,
                false => AssignmentError::None,
            },
            leader: leader.to_owned(),
            leader_url: self.url.clone(),
            config_offset: view.offset,
            ..Assignment::default()
        };
        if is_behind {
            warn!("another worker has read further in the config topic: the group is joined again");
            let members = members.keys();
            return members
                .map(|member| (member.clone(), common.clone()))
                .collect();
        }
        let plan = self.plan(protocol, configured(&view), members);
        debug!(?plan, "work is shared");
        let mut owners = Owners::default();
        for (member, work) in &plan.running {
            let url = members.get(member).map_or("", |state| &state.url);
            owners.add(url, work);
        }
        self.state().owners = Arc::new(owners);
        let told = |(member, share): (String, Share)| {
            let assignment = Assignment {
                work: share.added,
                revoked: share.revoked,
                delay: plan.delay,
                ..common.clone()
            };
            (member, assignment)
        };
        plan.shares.into_iter().map(told).collect()
    }

    fn plan(
        &self,
        protocol: ConnectProtocol,
        configured: Work,
        members: &ByMember<WorkerState>,
    ) -> Plan {
        if protocol == ConnectProtocol::Eager {
            let running = assign_eagerly(&configured, &members.keys().cloned().collect());
            let all = |(member, work): (&String, &Work)| {
                let share = Share {
                    added: work.clone(),
                    revoked: Work::default(),
                };
                (member.clone(), share)
            };
            return Plan {
                shares: running.iter().map(all).collect(),
                running,
                delay: Duration::ZERO,
            };
        }
        let held = |(member, state): (&String, &WorkerState)| {
            let held = state.assignment.as_ref();
            let work = held.map(|held| held.work.clone()).unwrap_or_default();
            (member.clone(), work)
        };
        let round = Round {
            now: Instant::now(),
            configured,
            members: members.iter().map(held).collect(),
        };
        self.state().assignor.assign(&round)
    }
}

#[async_trait]
impl GroupProtocol for ConnectGroup {
    fn offers(&self) -> Vec<(String, Bytes)> {
        let state = WorkerState {
            url: self.url.clone(),
            config_offset: self.cluster.view().offset,
            assignment: self.state().held.clone(),
        };
        let offer = |protocol: ConnectProtocol| {
            let name = protocol.group_name().to_owned();
            (name, state.encode(protocol))
        };
        self.protocol.offered().map(offer).collect()
    }

    async fn assign(
        &self,
        protocol: &str,
        leader: &str,
        members: Vec<MemberMetadata>,
    ) -> Result<Vec<(String, Bytes)>> {
        let protocol = ConnectProtocol::of_group(protocol)?;
        let states = members.into_iter().map(|member| {
            let state = WorkerState::decode(&member.metadata)?;
            Ok((member.member_id, state))
        });
        let states = states.collect::<Result<BTreeMap<_, _>>>()?;
        let led_before = self.state().leads;
        if !led_before || self.cluster.config.is_fenced() {
            // What the leader before has left open would have to be waited for.
            self.cluster.config.lead().await?;
        }
        self.cluster.config.refresh().await?;
        let shared = self.share(protocol, leader, &states);
        let encode =
            |(member, assignment): (String, Assignment)| (member, assignment.encode(protocol));
        Ok(shared.into_iter().map(encode).collect())
    }
}
