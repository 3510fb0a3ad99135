//! Administration of a Kafka cluster.

use std::collections::BTreeMap;

use async_trait::async_trait;
use connect_core::data::{Offset, OffsetAndMetadata, Offsets, TopicPartition};
use connect_core::{Error, Result};
use krafka::admin::{
    AdminClient, AlterConsumerGroupOffsetsOptions, ConfigResource, CreatePartitionsOptions,
    CreateTopicsOptions, DeleteConsumerGroupOffsetsOptions, DeleteConsumerGroupsOptions,
    DeleteTopicsOptions, DescribeClusterOptions, DescribeConfigsOptions, DescribeTopicsOptions,
    ListConsumerGroupOffsetsOptions, ListOffsetsOptions, ListTopicsOptions, OffsetSpec,
};
use krafka::consumer::TopicPartition as WirePartition;
use krafka::error::ErrorCode;
use krafka::{Kafka, KrafkaError};

use super::errors::mapped;
use crate::kafka::{Admin, NewTopic, TopicDescription, check_topic_name};

pub(super) struct ClusterAdmin {
    client: AdminClient,
}

impl ClusterAdmin {
    pub(super) fn new(kafka: &Kafka) -> Self {
        Self {
            client: kafka.admin(),
        }
    }
}

pub(super) fn to_wire(partition: &TopicPartition) -> WirePartition {
    WirePartition::new(&*partition.topic, partition.partition)
}

pub(super) fn from_wire(partition: &WirePartition) -> TopicPartition {
    TopicPartition::new(partition.topic(), partition.partition())
}

/// The answer for the only topic or group that was asked for.
pub(super) fn only<K, V>(
    answers: std::collections::HashMap<K, krafka::Result<V>>,
) -> krafka::Result<V> {
    answers.into_values().next().unwrap_or_else(|| {
        Err(KrafkaError::illegal_state(
            "an answer without what was asked for",
        ))
    })
}

pub(super) fn is_code(error: &KrafkaError, expected: ErrorCode) -> bool {
    matches!(error, KrafkaError::Broker { code, .. } if *code == expected)
}

pub(super) fn is_unknown_topic(error: &KrafkaError) -> bool {
    is_code(error, ErrorCode::UnknownTopicOrPartition)
        || matches!(error, KrafkaError::UnknownTopic { .. })
}

/// What a group has committed, with notes: for these partitions, or for all.
pub(super) async fn group_offsets(
    client: &AdminClient,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<Offsets> {
    let failed = |error| {
        mapped(error)
            .operation("read the offsets of group")
            .target(group)
    };
    let mut options = ListConsumerGroupOffsetsOptions::default();
    if let Some(partitions) = partitions {
        options = options.partitions(partitions.iter().map(to_wire).collect());
    }
    let answers = client
        .list_consumer_group_offsets(group, options)
        .await
        .map_err(failed)?;
    let mut offsets = Offsets::new();
    for (partition, answer) in answers {
        let committed = answer.map_err(failed)?;
        if let Some(offset) = committed.offset.filter(|offset| *offset >= 0) {
            offsets.insert(
                from_wire(&partition),
                OffsetAndMetadata {
                    offset: Offset::new(offset),
                    metadata: committed.metadata.unwrap_or_default(),
                },
            );
        }
    }
    Ok(offsets)
}

/// A topic; `None` if there is none of that name.
pub(super) async fn describe_topic(
    client: &AdminClient,
    topic: &str,
) -> Result<Option<TopicDescription>> {
    check_topic_name(topic)?;
    let failed = |error| mapped(error).operation("describe topic").target(topic);
    let answers = client
        .describe_topics([topic], DescribeTopicsOptions::default())
        .await;
    match only(answers.map_err(failed)?) {
        Ok(description) => Ok(Some(TopicDescription {
            name: description.name,
            partitions: i32::try_from(description.partitions.len()).unwrap_or(i32::MAX),
        })),
        Err(error) if is_unknown_topic(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

#[async_trait]
impl Admin for ClusterAdmin {
    async fn cluster_id(&self) -> Result<String> {
        let cluster = self
            .client
            .describe_cluster(DescribeClusterOptions::default())
            .await;
        cluster.map(|cluster| cluster.cluster_id).map_err(mapped)
    }

    async fn create_topic(&self, topic: &NewTopic) -> Result<bool> {
        let failed = |error| mapped(error).operation("make topic").target(&topic.name);
        check_topic_name(&topic.name)?;
        let partitions = topic.partitions.unwrap_or(-1);
        let replicas = topic.replication_factor.unwrap_or(-1);
        let mut wire =
            krafka::admin::NewTopic::new(&topic.name, partitions, replicas).map_err(failed)?;
        for (key, value) in &topic.settings {
            wire = wire.with_config(key, value);
        }
        let answers = self
            .client
            .create_topics([wire], CreateTopicsOptions::default())
            .await;
        match only(answers.map_err(failed)?) {
            Ok(()) => Ok(true),
            Err(error) if is_code(&error, ErrorCode::TopicAlreadyExists) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn grow_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let failed = |error| {
            mapped(error)
                .operation("add partitions to topic")
                .target(topic)
        };
        let options = CreatePartitionsOptions::default();
        let answers = self
            .client
            .create_partitions([(topic, partitions)], options)
            .await;
        only(answers.map_err(failed)?).map_err(failed)
    }

    async fn delete_topic(&self, topic: &str) -> Result<bool> {
        let failed = |error| mapped(error).operation("delete topic").target(topic);
        let answers = self
            .client
            .delete_topics([topic], DeleteTopicsOptions::default())
            .await;
        match only(answers.map_err(failed)?) {
            Ok(()) => Ok(true),
            Err(error) if is_unknown_topic(&error) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        let topics = self.client.list_topics(ListTopicsOptions::default()).await;
        topics.map_err(|error| mapped(error).operation("list topics"))
    }

    async fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>> {
        describe_topic(&self.client, topic).await
    }

    async fn topic_settings(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let failed = |error| {
            mapped(error)
                .operation("read the settings of topic")
                .target(topic)
        };
        let resource = ConfigResource::topic(topic);
        let answers = self
            .client
            .describe_configs([resource], DescribeConfigsOptions::default())
            .await;
        let entries = only(answers.map_err(failed)?).map_err(failed)?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| {
                Some((
                    entry.name.clone(),
                    entry.config_value().as_str()?.to_owned(),
                ))
            })
            .collect())
    }

    async fn group_offsets(&self, group: &str) -> Result<Offsets> {
        group_offsets(&self.client, group, None).await
    }

    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        let failed = |error| {
            mapped(error)
                .operation("alter the offsets of group")
                .target(group)
        };
        let set: Vec<_> = offsets
            .iter()
            .filter_map(|(partition, offset)| Some((to_wire(partition), (*offset)?.value())))
            .collect();
        let removed: Vec<_> = offsets
            .iter()
            .filter(|(_, offset)| offset.is_none())
            .map(|(partition, _)| to_wire(partition))
            .collect();
        if !set.is_empty() {
            let options = AlterConsumerGroupOffsetsOptions::default();
            let answers = self
                .client
                .alter_consumer_group_offsets(group, set, options)
                .await
                .map_err(failed)?;
            answers
                .into_values()
                .collect::<krafka::Result<Vec<()>>>()
                .map_err(failed)?;
        }
        if !removed.is_empty() {
            let options = DeleteConsumerGroupOffsetsOptions::default();
            let answers = self
                .client
                .delete_consumer_group_offsets(group, removed, options)
                .await
                .map_err(failed)?;
            answers
                .into_values()
                .collect::<krafka::Result<Vec<()>>>()
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn delete_group(&self, group: &str) -> Result<bool> {
        let failed = |error| mapped(error).operation("delete group").target(group);
        let options = DeleteConsumerGroupsOptions::default();
        match only(
            self.client
                .delete_consumer_groups([group], options)
                .await
                .map_err(failed)?,
        ) {
            Ok(()) => Ok(true),
            Err(error) if is_code(&error, ErrorCode::GroupIdNotFound) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        let failed = |error: Error| error.operation("read end offsets");
        let specs = partitions
            .iter()
            .map(|partition| (to_wire(partition), OffsetSpec::Latest));
        let answers = self
            .client
            .list_offsets(specs, ListOffsetsOptions::default())
            .await;
        answers
            .map_err(|error| failed(mapped(error)))?
            .into_iter()
            .map(|(partition, answer)| {
                let listed = answer.map_err(|error| failed(mapped(error)))?;
                Ok((from_wire(&partition), Offset::new(listed.offset)))
            })
            .collect()
    }
}
