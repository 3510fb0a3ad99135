//! Topics of a log as the demos look at them: their partitions and ends.

use std::collections::BTreeMap;

use anyhow::Result;
use connect_core::data::{Offset, TopicPartition};

use crate::kafka::Log;

/// The offsets after the last record of each partition; none if the topic is not there.
pub(super) async fn ends(log: &dyn Log, topic: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
    let admin = log.admin();
    let Some(description) = admin.describe_topic(topic).await? else {
        return Ok(BTreeMap::new());
    };
    let partitions: Vec<_> = (0..description.partitions)
        .map(|partition| TopicPartition::new(topic, partition))
        .collect();
    Ok(admin.end_offsets(&partitions).await?)
}

/// Records ever written to a topic.
pub(super) async fn records(log: &dyn Log, topic: &str) -> Result<i64> {
    let ends = ends(log, topic).await?;
    Ok(ends.values().map(|end| end.value()).sum())
}
