//! What arrived where, counted anew each time: from the log's ends and from the lines of the files.

use std::path::Path;

use anyhow::{Context, Result};
use connect_core::data::TopicPartition;
use sluice_stand_in_s3::list_objects;

use crate::kafka::Log;

/// Events at each stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    in_log: i64,
    in_s3: i64,
    objects: usize,
}

/// Events in a topic.
pub(super) async fn events_in_log(log: &dyn Log, topic: &str) -> Result<i64> {
    let admin = log.admin();
    let Some(description) = admin.describe_topic(topic).await? else {
        return Ok(0);
    };
    let partitions: Vec<_> = (0..description.partitions)
        .map(|partition| TopicPartition::new(topic, partition))
        .collect();
    let ends = admin.end_offsets(&partitions).await?;
    Ok(ends.values().map(|end| end.value()).sum())
}

impl Counts {
    pub(super) async fn take(
        log: &dyn Log,
        topic: &str,
        folder: &Path,
        bucket: &str,
    ) -> Result<Self> {
        let in_log = events_in_log(log, topic).await?;
        let objects = list_objects(folder, bucket)?;
        let mut in_s3 = 0;
        for (key, _) in &objects {
            let path = folder.join(bucket).join(key);
            let content = tokio::fs::read(&path)
                .await
                .with_context(|| format!("reading {}", path.display()))?;
            in_s3 += i64::try_from(content.iter().filter(|byte| **byte == b'\n').count())?;
        }
        Ok(Self {
            in_log,
            in_s3,
            objects: objects.len(),
        })
    }

    pub(super) fn agree(&self) -> bool {
        self.in_log == self.in_s3
    }

    pub(super) fn table(&self) -> String {
        let verdict = if self.agree() {
            "every event has arrived once"
        } else {
            "NOT ALL HAVE ARRIVED"
        };
        format!(
            "\nevents in the log  {:>8}\nlines in S3        {:>8}  in {} objects\n{verdict}\n",
            self.in_log, self.in_s3, self.objects
        )
    }
}
