//! Where events can be found again: the log, and what the sinks write to.

mod log;
mod postgres;
mod s3;
mod snowflake;

use anyhow::Result;
use async_trait::async_trait;

use super::plan::Stream;

pub(super) use log::LogStage;
pub(super) use postgres::PostgresStage;
pub(super) use s3::S3Stage;
pub(super) use snowflake::SnowflakeStage;

/// A place that holds events.
#[async_trait]
pub(super) trait Stage: Send + Sync {
    /// Its name in the closing table: `Kafka`, `S3` …
    fn name(&self) -> &'static str;

    /// What it is and where it can be looked at, in one line.
    fn place(&self) -> String;

    /// The ids of the stream's events it holds now; one that is there twice is there twice.
    async fn ids(&self, stream: &Stream) -> Result<Vec<String>>;

    /// How many there are, for lines of progress.
    async fn count(&self, stream: &Stream) -> Result<usize> {
        Ok(self.ids(stream).await?.len())
    }
}
