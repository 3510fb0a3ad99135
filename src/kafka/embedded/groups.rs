//! Consumer groups: members, who owns which partition, committed offsets.
//!
//! A partition passes from one member to another in two steps: its owner gives it up (after a last commit), then the other
//! takes it. A commit for a partition that the member does not own is a conflict. A member that does not poll for
//! `max.poll.interval.ms` is no longer one: others take its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use connect_core::data::{Offset, OffsetAndMetadata, Offsets, TopicPartition};
use connect_core::{Error, Result};

use super::store::Store;

/// A member of a group.
pub(super) type MemberId = u64;

/// A member as the group sees it.
#[derive(Debug)]
struct Member {
    /// The partitions it could read.
    readable: BTreeSet<TopicPartition>,
    /// When the group goes on without it, unless it polls before.
    until: Instant,
}

#[derive(Debug, Default)]
struct Group {
    members: BTreeMap<MemberId, Member>,
    owners: BTreeMap<TopicPartition, MemberId>,
    committed: Offsets,
}

/// All groups.
pub(super) struct Groups {
    groups: Mutex<BTreeMap<String, Group>>,
    next_member: Mutex<MemberId>,
}

/// What a member owns, is to give up, and has just taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Move {
    /// Owned before the move: what a member believes to own beyond this was taken from it.
    pub(super) owned: BTreeSet<TopicPartition>,
    pub(super) give_up: Vec<TopicPartition>,
    pub(super) take: Vec<TopicPartition>,
}

impl Groups {
    pub(super) fn load(store: &Store) -> Result<Self> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (_, (name, topic, partition, offset, metadata)) in
            store.list::<(String, String, i32, Offset, String)>("committed/")?
        {
            let committed = OffsetAndMetadata { offset, metadata };
            groups
                .entry(name)
                .or_default()
                .committed
                .insert(TopicPartition::new(topic, partition), committed);
        }
        Ok(Self {
            groups: Mutex::new(groups),
            next_member: Mutex::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new member's id.
    pub(super) fn member(&self) -> MemberId {
        let mut next = self
            .next_member
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        *next
    }

    /// Says what a member could read and until when it will poll again, and learns what it is to give up and may take now.
    pub(super) fn rebalance(
        &self,
        group: &str,
        member: MemberId,
        readable: BTreeSet<TopicPartition>,
        until: Instant,
    ) -> Move {
        let mut groups = self.lock();
        let group = groups.entry(group.to_owned()).or_default();
        group.members.insert(member, Member { readable, until });
        group.expire(Instant::now());
        let target = group.target();
        let mine = |owner: &MemberId| *owner == member;
        let owned: BTreeSet<_> = group
            .owners
            .iter()
            .filter(|(_, owner)| mine(owner))
            .map(|(partition, _)| partition.clone())
            .collect();
        let wanted: BTreeSet<_> = target
            .into_iter()
            .filter(|(_, owner)| mine(owner))
            .map(|(partition, _)| partition)
            .collect();
        let take: Vec<_> = wanted
            .difference(&owned)
            .filter(|partition| !group.owners.contains_key(*partition))
            .cloned()
            .collect();
        for partition in &take {
            group.owners.insert(partition.clone(), member);
        }
        Move {
            give_up: owned.difference(&wanted).cloned().collect(),
            owned,
            take,
        }
    }

    /// Gives partitions up.
    pub(super) fn release(&self, group: &str, member: MemberId, partitions: &[TopicPartition]) {
        if let Some(group) = self.lock().get_mut(group) {
            for partition in partitions {
                if group.owners.get(partition) == Some(&member) {
                    group.owners.remove(partition);
                }
            }
        }
    }

    /// Leaves; whatever it still owned is free.
    pub(super) fn leave(&self, group: &str, member: MemberId) {
        if let Some(group) = self.lock().get_mut(group) {
            group.members.remove(&member);
            group.owners.retain(|_, owner| *owner != member);
        }
    }

    /// Commits for partitions that the member owns.
    pub(super) fn commit(
        &self,
        store: &Store,
        group: &str,
        member: MemberId,
        offsets: &Offsets,
    ) -> Result<()> {
        let mut groups = self.lock();
        let state = groups.entry(group.to_owned()).or_default();
        if let Some(partition) = offsets
            .keys()
            .find(|partition| state.owners.get(*partition) != Some(&member))
        {
            return Err(
                Error::conflict(format!("{partition} is not owned by this member"))
                    .operation("commit offsets"),
            );
        }
        set(store, group, state, offsets)
    }

    pub(super) fn committed(&self, group: &str) -> Offsets {
        self.lock()
            .get(group)
            .map(|group| group.committed.clone())
            .unwrap_or_default()
    }

    /// Sets or removes offsets of a group without members.
    pub(super) fn alter(
        &self,
        store: &Store,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        let mut groups = self.lock();
        let state = groups.entry(group.to_owned()).or_default();
        state.refuse_members(group)?;
        let wanted = offsets
            .iter()
            .filter_map(|(partition, offset)| Some((partition.clone(), (*offset)?.into())));
        set(store, group, state, &wanted.collect())?;
        for partition in offsets
            .iter()
            .filter(|(_, offset)| offset.is_none())
            .map(|(partition, _)| partition)
        {
            store.put::<()>(vec![(key(group, partition), None)])?;
            state.committed.remove(partition);
        }
        Ok(())
    }

    /// Removes a group without members; false if it is not there.
    pub(super) fn delete(&self, store: &Store, group: &str) -> Result<bool> {
        let mut groups = self.lock();
        let Some(state) = groups.get_mut(group) else {
            return Ok(false);
        };
        state.refuse_members(group)?;
        let changes = state
            .committed
            .keys()
            .map(|partition| (key(group, partition), None))
            .collect();
        store.put::<()>(changes)?;
        groups.remove(group);
        Ok(true)
    }
}

impl Group {
    /// Who should own what: each partition goes round the members that can read it, in order.
    fn target(&self) -> BTreeMap<TopicPartition, MemberId> {
        let all: BTreeSet<_> = self
            .members
            .values()
            .flat_map(|member| &member.readable)
            .collect();
        let mut target = BTreeMap::new();
        for (number, partition) in all.into_iter().enumerate() {
            let readers: Vec<_> = self
                .members
                .iter()
                .filter(|(_, member)| member.readable.contains(partition))
                .map(|(id, _)| *id)
                .collect();
            if let Some(owner) = readers.get(number % readers.len().max(1)) {
                target.insert(partition.clone(), *owner);
            }
        }
        target
    }

    /// Goes on without members that have not polled for too long.
    fn expire(&mut self, now: Instant) {
        self.members.retain(|_, member| member.until > now);
        let members = &self.members;
        self.owners.retain(|_, owner| members.contains_key(owner));
    }

    fn refuse_members(&mut self, group: &str) -> Result<()> {
        self.expire(Instant::now());
        if self.members.is_empty() {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "group {group} has members: stop them first"
        )))
    }
}

fn key(group: &str, partition: &TopicPartition) -> String {
    format!("committed/{group}\u{0}{partition}")
}

fn set(store: &Store, group: &str, state: &mut Group, offsets: &Offsets) -> Result<()> {
    let entry = |(partition, committed): (&TopicPartition, &OffsetAndMetadata)| {
        let value = (
            group.to_owned(),
            partition.topic.to_string(),
            partition.partition,
            committed.offset,
            committed.metadata.clone(),
        );
        (key(group, partition), Some(value))
    };
    store.put(offsets.iter().map(entry).collect())?;
    state.committed.extend(offsets.clone());
    Ok(())
}
