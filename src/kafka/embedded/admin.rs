//! Administration of the log on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, TopicPartition};
use connect_core::{Error, Result};

use super::partitions::Partitions;
use super::{Inner, topic_settings};
use crate::kafka::{Admin, NewTopic, TopicDescription, check_topic_name};

pub(super) struct EmbeddedAdmin(pub(super) Arc<Inner>);

#[async_trait]
impl Admin for EmbeddedAdmin {
    async fn cluster_id(&self) -> Result<String> {
        Ok("embedded".to_owned())
    }

    async fn create_topic(&self, topic: &NewTopic) -> Result<bool> {
        self.0.partitions.create(&self.0.store, topic)
    }

    async fn grow_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        self.0.partitions.grow(&self.0.store, topic, partitions)
    }

    async fn delete_topic(&self, topic: &str) -> Result<bool> {
        let Some(deleted) = self.0.partitions.delete(&self.0.store, topic)? else {
            return Ok(false);
        };
        let inner = self.0.clone();
        let purging =
            tokio::task::spawn_blocking(move || Partitions::purge(&inner.store, &deleted)).await;
        purging.map_err(|cause| Error::internal("deleting a topic panicked").source(cause))??;
        Ok(true)
    }

    async fn list_topics(&self) -> Result<Vec<String>> {
        Ok(self
            .0
            .partitions
            .names()
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    async fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>> {
        check_topic_name(topic)?;
        Ok(self
            .0
            .partitions
            .topic(topic)
            .map(|known| TopicDescription {
                name: topic.to_owned(),
                partitions: known.partitions,
            }))
    }

    async fn topic_settings(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let known = self
            .0
            .partitions
            .topic(topic)
            .ok_or_else(|| Error::config(format!("there is no topic {topic}")))?;
        Ok(topic_settings::with_defaults(&known.settings))
    }

    async fn group_offsets(&self, group: &str) -> Result<Offsets> {
        Ok(self.0.groups.committed(group))
    }

    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        self.0.groups.alter(&self.0.store, group, offsets)
    }

    async fn delete_group(&self, group: &str) -> Result<bool> {
        self.0.groups.delete(&self.0.store, group)
    }

    async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        partitions
            .iter()
            .map(|partition| {
                let unknown = || Error::config(format!("there is no partition {partition}"));
                let ends = self
                    .0
                    .partitions
                    .watermarks(partition)
                    .ok_or_else(unknown)?;
                Ok((partition.clone(), ends.high))
            })
            .collect()
    }
}
