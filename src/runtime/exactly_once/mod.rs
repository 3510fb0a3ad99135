//! Exactly-once sources: records and the offsets they lead to in one transaction, tasks of older configs fenced out.
//!
//! Kafka Connect's KIP-618: the names of transactional ids, the records of the config topic and the order of steps are
//! its own, so that a cluster of either kind fences out the tasks of the other. A task starts in this order: tasks of older
//! configs are fenced out, the task's own producer is made (which ends what a task before it left open), the configs are
//! looked at again, offsets are read.
//!
//! Holds always: what a reader of committed records sees up to a stored source offset is what the source brought up to it,
//! once.

mod boundary;
mod fencing;
mod place;
mod transactions;

use connect_core::option_names;
use connect_core::plugin::TaskId;

pub(super) use boundary::Boundary;
pub(super) use fencing::{TaskGate, ZombieFence};
pub(super) use place::TaskPlace;
pub(super) use transactions::{TaskProducer, TaskTransactions};

/// The worker's option `exactly.once.source.support`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SourceSupport {
    /// Sources deliver at least once.
    #[default]
    Disabled,
    /// Still at least once; the config topic is written in transactions, so that the other workers of the group may go over.
    Preparing,
    /// Sources deliver exactly once.
    Enabled,
}

impl SourceSupport {
    /// Whether the leader writes the config topic in transactions.
    pub(super) fn leads_in_transactions(self) -> bool {
        self != Self::Disabled
    }
}

option_names!(SourceSupport { "disabled" => Disabled, "preparing" => Preparing, "enabled" => Enabled });

/// The transactional id of a task.
pub(super) fn id_of_task(group: &str, task: &TaskId) -> String {
    format!("{group}-{task}")
}

/// The transactional id of whoever writes a group's config topic.
pub(super) fn id_of_leader(group: &str) -> String {
    format!("connect-cluster-{group}")
}
