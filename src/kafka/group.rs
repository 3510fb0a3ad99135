//! Membership in a group whose leader assigns by a protocol of its own, as the workers of a Kafka Connect cluster do.
//!
//! Kafka's group coordinator says who is in the group and who leads it; what the members tell each other, and what the
//! leader gives them, are bytes to it. The distributed herder is the caller.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::{Error, Result};

/// How to be a member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMemberOptions {
    /// The group.
    pub group: String,
    /// What kind of group: all members say the same, `connect` for workers.
    pub protocol_type: String,
    /// Shown in broker logs and group descriptions.
    pub client_id: String,
    /// How long without a heartbeat until the group goes on without this member.
    pub session_timeout: Duration,
    /// The time between two heartbeats.
    pub heartbeat_interval: Duration,
    /// How long a member may take to join again once the group wants it.
    pub rebalance_timeout: Duration,
}

/// What another member said of itself when it joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id in the group.
    pub member_id: String,
    /// Its words, in the group's protocol.
    pub metadata: Bytes,
}

/// What a member says of itself, and how it assigns when it leads.
#[async_trait]
pub trait GroupProtocol: Send + Sync {
    /// The protocols offered, best first, each with this member's metadata. Asked anew for each request to join.
    fn offers(&self) -> Vec<(String, Bytes)>;

    /// As the leader: what each member is given, by member id. `protocol` is what all members understand.
    ///
    /// # Errors
    /// The group has no assignment then. If the error is retriable it is joined again after a pause, otherwise the join
    /// fails.
    async fn assign(
        &self,
        protocol: &str,
        leader: &str,
        members: Vec<MemberMetadata>,
    ) -> Result<Vec<(String, Bytes)>>;
}

/// A stable group, as a member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Counts the group's rebalances.
    pub id: i32,
    /// This member's id in the group.
    pub member_id: String,
    /// Whether this member leads.
    pub is_leader: bool,
    /// The protocol that all members understand.
    pub protocol: String,
    /// What the leader gave to this member; empty if it gave nothing.
    pub assignment: Bytes,
}

/// Why a group must be joined again.
#[derive(Debug)]
pub enum Rebalance {
    /// The group wants it; this member still is one, and what it runs may go on until it has joined.
    Requested,
    /// This member is none any more, by the coordinator's word or by its own clock: whatever it runs must stop at once,
    /// others may run it already.
    Lost(Error),
}

/// Is told what a member does, from within it: must not wait for anything.
pub trait GroupObserver: Send + Sync {
    /// A heartbeat was answered.
    fn heartbeat_answered(&self, took: Duration);

    /// The group is being joined, for the first time or again.
    fn join_started(&self);

    /// It is stable, with this member in it.
    fn joined(&self, generation: &Generation, took: Duration);

    /// The join has failed, or was given up.
    fn join_failed(&self);
}

/// Whether a member is one, to be asked at any time and by anybody.
pub trait GroupSession: Send + Sync {
    /// False once the session has ended by the coordinator's word or by the member's own clock, however busy the member
    /// is, and before it has joined.
    fn is_alive(&self) -> bool;
}

/// A member of a group. Dropped without [`GroupMember::leave`], the group notices after the session timeout.
#[async_trait]
pub trait GroupMember: Send {
    /// Has `observer` told of all that follows; only the first is.
    fn observe(&mut self, observer: Arc<dyn GroupObserver>);

    /// The member's session.
    fn session(&self) -> Arc<dyn GroupSession>;

    /// Joins, or joins again, and waits until the group is stable. A leader that joins again starts a rebalance; so does
    /// any member whose metadata have changed.
    ///
    /// A coordinator that moves, restarts or cannot be reached is sought again for as long as the session lasts.
    ///
    /// # Errors
    /// This member is none any more: whatever it runs must stop at once. `Conflict` if the group went on without it, or
    /// is of another protocol; otherwise what kept it from the coordinator. If the error is retriable, or the member was
    /// lost, joining again may help.
    async fn join(&mut self, protocol: &dyn GroupProtocol) -> Result<Generation>;

    /// Waits until the group must be joined again; heartbeats go on meanwhile, and between calls. May be dropped and
    /// called again: nothing is missed.
    async fn rebalance_needed(&mut self) -> Rebalance;

    /// Ends the heartbeats and leaves: the group goes on without this member at once.
    ///
    /// # Errors
    /// The coordinator did not hear it; the session will end by itself.
    async fn leave(self: Box<Self>) -> Result<()>;
}
