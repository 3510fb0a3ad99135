//! Which topics a consumer reads, as topics and partitions come and go.
//!
//! The client crate asks for topics once: a topic that is made later, or that gets more partitions, would stay unread. So a
//! member of a group looks from time to time, and makes the group share its partitions anew when nobody reads some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_core::data::TopicPartition;
use connect_core::{Error, Result};
use krafka::admin::{
    AdminClient, DescribeConsumerGroupsOptions, DescribeTopicsOptions, ListTopicsOptions,
};
use krafka::error::ErrorCode;
use regex::Regex;
use tracing::debug;

use super::admin::{describe_topic, is_code, is_unknown_topic, only};
use super::errors::mapped;
use crate::kafka::{Subscription, check_topic_name};

/// How long a partition may take to appear on the broker that is asked.
const PARTITION_APPEARS: Duration = Duration::from_secs(3);
/// How often topics and partitions are looked at, unless metadata are to be fresher.
const REFRESH: Duration = Duration::from_secs(10);
/// How long a look may hold up a poll.
const LOOK: Duration = Duration::from_secs(5);

/// How many looks a member leaves it to the first of the group to join anew: if all did, they would disturb each other.
const PATIENCE: u32 = 2;

/// How often a consumer looks for topics and partitions.
pub(super) fn interval(metadata_max_age: Duration) -> Duration {
    REFRESH.min(metadata_max_age)
}

/// What is wanted.
enum Wanted {
    Topics(Vec<String>),
    Pattern(Regex),
}

/// Topics and partitions as last seen by a member of a group.
pub(super) struct Watch {
    wanted: Wanted,
    /// The topics subscribed to.
    subscribed: Vec<String>,
    /// Topics with their numbers of partitions, when all were last seen to have a reader.
    read: BTreeMap<String, usize>,
    /// For how many looks some have had no reader.
    unread_looks: u32,
    interval: Duration,
    looked: Option<Instant>,
}

/// Subscribes; what is to be watched from then on, if anything.
pub(super) async fn subscribe(
    consumer: &krafka::consumer::Consumer,
    subscription: Subscription,
    interval: Duration,
) -> Result<Option<Watch>> {
    let wanted = match subscription {
        Subscription::Topics(topics) => {
            consumer.subscribe(&topics).await.map_err(mapped)?;
            Wanted::Topics(topics)
        }
        Subscription::Partitions(partitions) => {
            assign(consumer, partitions).await?;
            return Ok(None);
        }
        Subscription::Pattern(pattern) => Wanted::Pattern(whole_name(&pattern)?),
    };
    Ok(Some(Watch {
        subscribed: match &wanted {
            Wanted::Topics(topics) => topics.clone(),
            Wanted::Pattern(_) => Vec::new(),
        },
        wanted,
        read: BTreeMap::new(),
        unread_looks: 0,
        interval,
        looked: None,
    }))
}

fn whole_name(pattern: &str) -> Result<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|cause| {
        Error::config(format!(
            "the topic pattern {pattern} is not a regular expression"
        ))
        .source(cause)
    })
}

async fn assign(
    consumer: &krafka::consumer::Consumer,
    partitions: Vec<TopicPartition>,
) -> Result<()> {
    let mut by_topic = BTreeMap::<_, Vec<i32>>::new();
    for partition in partitions {
        let numbers = by_topic.entry(partition.topic).or_default();
        numbers.push(partition.partition);
    }
    for (topic, numbers) in by_topic {
        consumer.assign(&topic, numbers).await.map_err(mapped)?;
    }
    Ok(())
}

impl Watch {
    /// Looks, if it is time to, and subscribes anew where that is due. A broker that does not answer is asked again later.
    pub(super) async fn look(
        &mut self,
        consumer: &krafka::consumer::Consumer,
        admin: &AdminClient,
        group: Option<&str>,
    ) -> Result<()> {
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < self.interval)
        {
            return Ok(());
        }
        let looking = self.look_now(consumer, admin, group);
        let looked = tokio::time::timeout(LOOK, looking).await;
        self.looked = Some(Instant::now());
        match looked {
            Ok(Err(error)) if !error.is_retriable() => Err(error),
            Ok(Err(error)) => {
                debug!(error = error.trace(), "topics could not be looked at");
                Ok(())
            }
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    async fn look_now(
        &mut self,
        consumer: &krafka::consumer::Consumer,
        admin: &AdminClient,
        group: Option<&str>,
    ) -> Result<()> {
        let topics = self.topics(admin).await?;
        if topics != self.subscribed {
            consumer.subscribe(&topics).await.map_err(mapped)?;
            self.subscribed = topics;
            return Ok(());
        }
        let Some(group) = group else {
            return Ok(()); // The client crate looks for the partitions of a reader without a group.
        };
        let there = partition_counts(admin, &self.subscribed).await?;
        if there == self.read {
            return Ok(());
        }
        match group_reads(admin, group).await? {
            Some(group) if all_read(&there, &group.read) => {
                self.read = there;
                self.unread_looks = 0;
            }
            Some(group) => {
                let me = consumer.group_metadata().await;
                let first = me.is_some_and(|me| group.first.as_deref() == Some(me.member_id()));
                self.unread_looks += 1;
                if first || self.unread_looks > PATIENCE {
                    self.unread_looks = 0;
                    self.join_again(consumer).await?;
                }
            }
            None => {} // In the middle of a rebalance.
        }
        Ok(())
    }

    /// The topics there are that are wanted by pattern, or those that are wanted by name.
    async fn topics(&self, admin: &AdminClient) -> Result<Vec<String>> {
        match &self.wanted {
            Wanted::Topics(topics) => Ok(topics.clone()),
            Wanted::Pattern(pattern) => {
                let topics = admin.list_topics(ListTopicsOptions::default()).await;
                let mut topics = topics.map_err(mapped)?;
                topics.retain(|topic| pattern.is_match(topic));
                topics.sort();
                Ok(topics)
            }
        }
    }

    /// Joins the group anew: only a changed subscription makes the client crate do that, so it is changed and changed back.
    async fn join_again(&self, consumer: &krafka::consumer::Consumer) -> Result<()> {
        let twice = self.subscribed.iter().chain(self.subscribed.first());
        consumer.subscribe(twice).await.map_err(mapped)?;
        consumer.subscribe(&self.subscribed).await.map_err(mapped)
    }
}

/// The topics, of `topics`, that are there, with their numbers of partitions.
async fn partition_counts(
    admin: &AdminClient,
    topics: &[String],
) -> Result<BTreeMap<String, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let described = admin
        .describe_topics(topics, DescribeTopicsOptions::default())
        .await;
    let mut counts = BTreeMap::new();
    for (name, topic) in described.map_err(mapped)? {
        match topic {
            Ok(topic) => {
                counts.insert(name, topic.partitions.len());
            }
            Err(error) if is_unknown_topic(&error) => {}
            Err(error) => return Err(mapped(error)),
        }
    }
    Ok(counts)
}

/// A group as the broker sees it.
struct GroupReads {
    /// What its members read, by topic and number.
    read: BTreeSet<(String, usize)>,
    /// The member whose id comes first.
    first: Option<String>,
}

/// What the members of a group read; `None` while they are about to share it, for the first time or
/// anew.
async fn group_reads(admin: &AdminClient, group: &str) -> Result<Option<GroupReads>> {
    let described = admin
        .describe_consumer_groups([group], DescribeConsumerGroupsOptions::default())
        .await;
    let group = match only(described.map_err(mapped)?) {
        Err(error) if is_code(&error, ErrorCode::GroupIdNotFound) => return Ok(None),
        group => group.map_err(mapped)?,
    };
    if group.state != "Stable" {
        return Ok(None);
    }
    let ids = group.members.iter().map(|member| &member.member_id);
    let first = ids.min().cloned();
    let assignments = group
        .members
        .into_iter()
        .filter_map(|member| member.assignment);
    let mut read = BTreeSet::new();
    for assignment in assignments.flatten() {
        let numbers = assignment.partitions.into_iter();
        let numbers = numbers.filter_map(|number| usize::try_from(number).ok());
        read.extend(numbers.map(|number| (assignment.topic_name.clone(), number)));
    }
    Ok(Some(GroupReads { read, first }))
}

fn all_read(there: &BTreeMap<String, usize>, read: &BTreeSet<(String, usize)>) -> bool {
    there.iter().all(|(topic, count)| {
        let mut numbers = 0..*count;
        numbers.all(|number| read.contains(&(topic.clone(), number)))
    })
}

/// Refuses names that no topic can have, and partitions that are not there.
pub(super) async fn check(admin: &AdminClient, subscription: &Subscription) -> Result<()> {
    match subscription {
        Subscription::Topics(topics) => topics.iter().try_for_each(|topic| check_topic_name(topic)),
        Subscription::Pattern(_) => Ok(()),
        Subscription::Partitions(partitions) => {
            let mut highest = BTreeMap::<&Arc<str>, i32>::new();
            for partition in partitions {
                check_topic_name(&partition.topic)?;
                let known = highest.entry(&partition.topic).or_default();
                *known = partition.partition.max(*known);
            }
            for (topic, partition) in highest {
                await_partition(admin, &TopicPartition::new(topic.clone(), partition)).await?;
            }
            Ok(())
        }
    }
}

/// Waits for a partition that is not there: one made a moment ago may not be known to every broker.
async fn await_partition(admin: &AdminClient, partition: &TopicPartition) -> Result<()> {
    let until = Instant::now() + PARTITION_APPEARS;
    loop {
        let described = describe_topic(admin, &partition.topic).await?;
        match described {
            Some(topic) if topic.partitions > partition.partition => return Ok(()),
            _ if Instant::now() > until => {
                return Err(Error::config(format!("there is no partition {partition}")));
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
