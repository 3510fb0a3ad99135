//! Reading from the log on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, TopicPartition};
use connect_core::{Error, Result};
use regex::Regex;
use tokio::sync::Notify;

use super::Inner;
use super::groups::MemberId;
use super::reading::read_partitions;
use crate::kafka::cluster::settings::{ConsumerSettings, Reset, overrides};
use crate::kafka::{
    AutoOffsetReset, ConsumedRecord, Consumer, ConsumerOptions, Subscription, Watermarks,
};

/// How often a waiting poll looks whether partitions are to move.
const REBALANCE_CHECK: Duration = Duration::from_millis(200);

/// What is wanted, ready to be held against the topics there are.
enum Wanted {
    Topics(Vec<String>),
    Pattern(Regex),
    Partitions(Vec<TopicPartition>),
}

#[derive(Default)]
struct State {
    positions: BTreeMap<TopicPartition, Offset>,
    paused: BTreeSet<TopicPartition>,
    /// The partition read last: the next poll begins behind it, so that none starves.
    last: Option<TopicPartition>,
    closed: bool,
}

impl State {
    /// Forgets all but the partitions that are owned; returns what it forgot.
    fn forget_others(&mut self, owned: &BTreeSet<TopicPartition>) -> Vec<TopicPartition> {
        let held = self.positions.keys();
        let others: Vec<_> = held.filter(|held| !owned.contains(held)).cloned().collect();
        self.forget(&others);
        others
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.positions.remove(partition);
            self.paused.remove(partition);
        }
    }
}

pub(super) struct EmbeddedConsumer {
    inner: Arc<Inner>,
    options: ConsumerOptions,
    max_poll_interval: Duration,
    wanted: Wanted,
    member: MemberId,
    state: Mutex<State>,
    woken: Notify,
}

impl EmbeddedConsumer {
    pub(super) fn open(inner: Arc<Inner>, mut options: ConsumerOptions) -> Result<Self> {
        let settings = overrides::<ConsumerSettings>(&options.overrides)?;
        apply(&settings, &mut options);
        let wanted = match &options.subscription {
            Subscription::Topics(topics) => Wanted::Topics(topics.clone()),
            Subscription::Partitions(partitions) => Wanted::Partitions(partitions.clone()),
            Subscription::Pattern(pattern) => {
                Wanted::Pattern(Regex::new(&format!("^(?:{pattern})$")).map_err(|cause| {
                    Error::config(format!(
                        "the topic pattern {pattern} is not a regular expression"
                    ))
                    .source(cause)
                })?)
            }
        };
        if let Wanted::Topics(topics) = &wanted {
            for topic in topics {
                inner.partitions.ensure(&inner.store, topic)?;
            }
        }
        Ok(Self {
            member: inner.groups.member(),
            inner,
            options,
            max_poll_interval: settings.max_poll_interval,
            wanted,
            state: Mutex::default(),
            woken: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readable(&self) -> BTreeSet<TopicPartition> {
        let all_of = |name: Arc<str>| {
            let partitions = self
                .inner
                .partitions
                .topic(&name)
                .map_or(0, |topic| topic.partitions);
            (0..partitions).map(move |partition| TopicPartition::new(name.clone(), partition))
        };
        match &self.wanted {
            Wanted::Partitions(partitions) => partitions.iter().cloned().collect(),
            Wanted::Topics(topics) => topics
                .iter()
                .flat_map(|topic| all_of(topic.as_str().into()))
                .collect(),
            Wanted::Pattern(pattern) => {
                let names = self
                    .inner
                    .partitions
                    .names()
                    .into_iter()
                    .filter(|name| pattern.is_match(name));
                names.flat_map(all_of).collect()
            }
        }
    }

    /// Gives up and takes partitions as the group wants it, with the listener's calls in between.
    async fn rebalance(&self) -> Result<()> {
        let readable = self.readable();
        let Some(group) = &self.options.group else {
            return self
                .take(
                    readable
                        .into_iter()
                        .filter(|partition| !self.owns(partition))
                        .collect(),
                )
                .await;
        };
        let until = Instant::now() + self.max_poll_interval;
        let moved = self
            .inner
            .groups
            .rebalance(group, self.member, readable, until);
        self.lose(&moved.owned).await;
        if !moved.give_up.is_empty() {
            self.give_up(group, &moved.give_up).await;
        }
        if moved.take.is_empty() {
            return Ok(());
        }
        self.take(moved.take).await
    }

    fn owns(&self, partition: &TopicPartition) -> bool {
        self.state().positions.contains_key(partition)
    }

    async fn give_up(&self, group: &str, partitions: &[TopicPartition]) {
        if let Some(listener) = &self.options.listener {
            listener.revoked(partitions).await;
        }
        self.state().forget(partitions);
        self.inner.groups.release(group, self.member, partitions);
        self.inner.partitions.notify();
    }

    /// Forgets partitions that were given to others because this member had not polled for too long.
    async fn lose(&self, owned: &BTreeSet<TopicPartition>) {
        let lost = self.state().forget_others(owned);
        if let Some(listener) = self.options.listener.as_ref().filter(|_| !lost.is_empty()) {
            listener.lost(&lost).await;
        }
    }

    async fn take(&self, partitions: Vec<TopicPartition>) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let starts: Result<Vec<_>> = partitions
            .iter()
            .map(|partition| Ok((partition.clone(), self.start(partition)?)))
            .collect();
        if let (Err(_), Some(group)) = (&starts, &self.options.group) {
            self.inner.groups.release(group, self.member, &partitions);
        }
        self.state().positions.extend(starts?);
        if let Some(listener) = &self.options.listener {
            listener.assigned(&partitions).await;
        }
        Ok(())
    }

    /// The committed offset, or where a new group begins.
    fn start(&self, partition: &TopicPartition) -> Result<Offset> {
        let group = self.options.group.as_ref();
        let committed =
            group.and_then(|group| self.inner.groups.committed(group).remove(partition));
        self.within_ends(partition, committed.map(|committed| committed.offset))
    }

    /// The offset if there is one between the ends of the partition, else where the reset policy says.
    fn within_ends(&self, partition: &TopicPartition, offset: Option<Offset>) -> Result<Offset> {
        let ends = self.watermarks_of(partition)?;
        match (offset, self.options.auto_offset_reset) {
            (Some(offset), _) if (ends.low..=ends.high).contains(&offset) => Ok(offset),
            (_, AutoOffsetReset::Earliest) => Ok(ends.low),
            (_, AutoOffsetReset::Latest) => Ok(ends.high),
            (_, AutoOffsetReset::None) => Err(Error::config(format!(
                "{partition} has no committed offset within its ends, and auto.offset.reset is none"
            ))),
        }
    }

    /// Resets positions that are not, or no longer, between the ends.
    fn reset_positions(&self) -> Result<()> {
        let positions = self.state().positions.clone();
        for (partition, position) in positions {
            if self.inner.partitions.watermarks(&partition).is_none() {
                continue; // deleted meanwhile
            }
            let within = self.within_ends(&partition, Some(position))?;
            let mut state = self.state();
            if let Some(current) = state
                .positions
                .get_mut(&partition)
                .filter(|now| **now == position)
            {
                *current = within;
            }
        }
        Ok(())
    }

    fn watermarks_of(&self, partition: &TopicPartition) -> Result<Watermarks> {
        let unknown = || Error::config(format!("there is no partition {partition}"));
        self.inner
            .partitions
            .watermarks(partition)
            .ok_or_else(unknown)
    }

    /// Partitions with something to read, beginning behind the one read last.
    fn ready(&self) -> Vec<(TopicPartition, Offset)> {
        let state = self.state();
        let has_more = |(partition, position): &(&TopicPartition, &Offset)| {
            !state.paused.contains(*partition)
                && self
                    .inner
                    .partitions
                    .watermarks(partition)
                    .is_some_and(|ends| **position < ends.high)
        };
        let mut ready: Vec<_> = state
            .positions
            .iter()
            .filter(has_more)
            .map(|(partition, position)| (partition.clone(), *position))
            .collect();
        if let Some(last) = &state.last {
            let behind = ready
                .iter()
                .position(|(partition, _)| partition > last)
                .unwrap_or(0);
            ready.rotate_left(behind);
        }
        ready
    }

    async fn read(&self) -> Result<Vec<ConsumedRecord>> {
        let ready = self.ready();
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let inner = self.inner.clone();
        let limits = (self.options.max_poll_records, self.options.fetch_max_bytes);
        let reading =
            tokio::task::spawn_blocking(move || read_partitions(&inner, ready, limits)).await;
        let read = reading
            .map_err(|cause| Error::internal("reading the log panicked").source(cause))??;
        let mut state = self.state();
        let mut records = Vec::new();
        for (partition, position, next, batch) in read {
            // Sought or given up meanwhile: what was read is not what is wanted now.
            if state.positions.get(&partition) != Some(&position) {
                continue;
            }
            state.positions.insert(partition.clone(), next);
            state.last = Some(partition);
            records.extend(batch);
        }
        Ok(records)
    }

    async fn wait(
        &self,
        appended: tokio::sync::futures::Notified<'_>,
        until: tokio::time::Instant,
    ) -> bool {
        let check = tokio::time::Instant::now() + REBALANCE_CHECK;
        tokio::select! {
            () = appended => true,
            () = self.woken.notified() => false,
            () = tokio::time::sleep_until(until.min(check)) => tokio::time::Instant::now() < until,
        }
    }
}

/// Applies the settings that mean something without a network; the others are checked and have no effect.
fn apply(settings: &ConsumerSettings, options: &mut ConsumerOptions) {
    match settings.auto_offset_reset {
        Some(Reset::Earliest) => options.auto_offset_reset = AutoOffsetReset::Earliest,
        Some(Reset::Latest) => options.auto_offset_reset = AutoOffsetReset::Latest,
        Some(Reset::None) => options.auto_offset_reset = AutoOffsetReset::None,
        None => {}
    }
    let number = |value: Option<i32>, default| {
        let given = value.and_then(|value| usize::try_from(value).ok());
        given.unwrap_or(default)
    };
    options.max_poll_records = number(settings.max_poll_records, options.max_poll_records);
    options.fetch_max_bytes = number(settings.fetch_max_bytes, options.fetch_max_bytes);
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn poll(&self, timeout: Duration) -> Result<Vec<ConsumedRecord>> {
        let until = tokio::time::Instant::now() + timeout;
        loop {
            if self.state().closed {
                return Err(Error::internal("the consumer is closed"));
            }
            let appended = self.inner.partitions.appended();
            self.rebalance().await?;
            self.reset_positions()?;
            let records = self.read().await?;
            if !records.is_empty() || !self.wait(appended, until).await {
                return Ok(records);
            }
        }
    }

    fn wakeup(&self) {
        self.woken.notify_one();
    }

    async fn commit(&self, offsets: &Offsets) -> Result<()> {
        let Some(group) = &self.options.group else {
            return Err(Error::internal("a reader without a group cannot commit"));
        };
        self.inner
            .groups
            .commit(&self.inner.store, group, self.member, offsets)
    }

    async fn committed(&self, partitions: &[TopicPartition]) -> Result<Offsets> {
        let Some(group) = &self.options.group else {
            return Ok(Offsets::new());
        };
        let mut committed = self.inner.groups.committed(group);
        committed.retain(|partition, _| partitions.contains(partition));
        Ok(committed)
    }

    async fn assignment(&self) -> Vec<TopicPartition> {
        self.state().positions.keys().cloned().collect()
    }

    async fn position(&self, partition: &TopicPartition) -> Result<Offset> {
        let position = self.state().positions.get(partition).copied();
        position.ok_or_else(|| Error::conflict(format!("{partition} is not assigned")))
    }

    async fn seek(&self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        match self.state().positions.get_mut(partition) {
            Some(position) => {
                *position = offset;
                Ok(())
            }
            None => Err(Error::conflict(format!("{partition} is not assigned"))),
        }
    }

    async fn pause(&self, partitions: &[TopicPartition]) {
        self.state().paused.extend(partitions.iter().cloned());
    }

    async fn resume(&self, partitions: &[TopicPartition]) {
        self.state()
            .paused
            .retain(|partition| !partitions.contains(partition));
    }

    async fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        self.watermarks_of(partition)
    }

    async fn close(&self) -> Result<()> {
        if std::mem::replace(&mut self.state().closed, true) {
            return Ok(());
        }
        if let Some(group) = &self.options.group {
            let owned = self.assignment().await;
            self.give_up(group, &owned).await;
            self.inner.groups.leave(group, self.member);
        }
        Ok(())
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        if let Some(group) = &self.options.group {
            self.inner.groups.leave(group, self.member);
        }
    }
}
