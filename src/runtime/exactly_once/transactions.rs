//! The transactions of one task.

use std::sync::Arc;

use connect_core::config::ConfigMap;
use connect_core::plugin::TaskId;
use connect_core::{Error, ErrorKind, Result};
use tracing::warn;

use super::id_of_task;
use crate::kafka::{Log, ProducerOptions, ProducerRecord, TransactionalProducer};

/// How often a commit is tried whose outcome is not known: each try lasts `max.block.ms`.
const COMMIT_TRIES: u32 = 3;

/// The producer of a task.
pub(in crate::runtime) struct TaskProducer<'a> {
    pub(in crate::runtime) group: &'a str,
    pub(in crate::runtime) task: &'a TaskId,
    /// The worker's settings, and the connector's over them.
    pub(in crate::runtime) settings: ConfigMap,
}

impl TaskProducer<'_> {
    /// Makes the producer. A task before it that had the same name can write no more, and what it left open is dropped.
    ///
    /// # Errors
    /// What the log says.
    pub(in crate::runtime) async fn open(self, log: &dyn Log) -> Result<TaskTransactions> {
        check_cluster(&self.settings)?;
        let id = id_of_task(self.group, self.task);
        let options = ProducerOptions {
            client_id: format!("connector-producer-{}", self.task),
            overrides: ensured(self.settings, &id),
            ..ProducerOptions::default()
        };
        let producer = log.transactional_producer(&id, options).await?;
        Ok(TaskTransactions {
            producer,
            id,
            records: None,
        })
    }
}

/// Settings of a producer that are about the connection alone.
pub(super) fn connection(mut settings: ConfigMap) -> ConfigMap {
    settings.retain(|key, _| {
        ["security.", "sasl.", "ssl."]
            .iter()
            .any(|family| key.starts_with(family))
    });
    settings
}

/// Records and offsets are in one transaction, so they are in one cluster: that of the worker.
fn check_cluster(settings: &ConfigMap) -> Result<()> {
    if settings.contains_key("bootstrap.servers") {
        return Err(Error::config(
            "producer.override.bootstrap.servers is not for exactly-once delivery: source offsets are kept in the worker's cluster, and are written there in one transaction with the records",
        ));
    }
    Ok(())
}

/// Settings without those that a transaction decides; who has set them otherwise is told.
fn ensured(mut overrides: ConfigMap, id: &str) -> ConfigMap {
    for (key, needed) in [("enable.idempotence", "true"), ("transactional.id", id)] {
        if let Some(given) = overrides.remove(key).filter(|given| given.trim() != needed) {
            warn!(
                "The value '{given}' for the '{key}' property will be ignored as it cannot be overridden for connectors when exactly-once source support is enabled. The value '{needed}' will be used instead."
            );
        }
    }
    overrides
}

/// The transactions of a task, one after the other.
pub(in crate::runtime) struct TaskTransactions {
    producer: Arc<dyn TransactionalProducer>,
    id: String,
    /// Records of the source in the open one; `None` if none is open.
    records: Option<usize>,
}

impl TaskTransactions {
    /// How many records of the source are in the open transaction; `None` if none is open.
    pub(in crate::runtime) fn open_records(&self) -> Option<usize> {
        self.records
    }

    async fn begin(&mut self) -> Result<usize> {
        if let Some(records) = self.records {
            return Ok(records);
        }
        let begun = self.producer.begin().await;
        begun.map_err(|error| self.named(error, "begin"))?;
        self.records = Some(0);
        Ok(0)
    }

    /// Sends records of the source; all are acknowledged when this returns.
    ///
    /// # Errors
    /// The transaction is over then.
    pub(in crate::runtime) async fn send(&mut self, records: Vec<ProducerRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let before = self.begin().await?;
        let count = records.len();
        let sent = self.producer.send(records).await;
        if let Err(error) = sent {
            return Err(self.failed(error, "send in").await);
        }
        self.records = Some(before + count);
        Ok(())
    }

    /// Makes visible what was sent, together with `offsets`; how many records of the source that were.
    ///
    /// # Errors
    /// The transaction is over then; it may have been committed all the same: the next producer of the task finds out.
    pub(in crate::runtime) async fn commit(
        &mut self,
        offsets: Vec<ProducerRecord>,
    ) -> Result<usize> {
        let records = self.begin().await?;
        if !offsets.is_empty()
            && let Err(error) = self.producer.send(offsets).await
        {
            return Err(self.failed(error, "store offsets in").await);
        }
        let mut tries = 1;
        while let Err(error) = self.producer.commit().await {
            if !error.is_retriable() || tries >= COMMIT_TRIES {
                return Err(self.failed(error, "commit").await);
            }
            warn!(error = error.trace(), tries, "a commit is tried again");
            tries += 1;
        }
        self.records = None;
        Ok(records)
    }

    /// Drops what was sent.
    ///
    /// # Errors
    /// What the log says; the next producer of the task drops it then.
    pub(in crate::runtime) async fn abort(&mut self) -> Result<()> {
        if self.records.take().is_none() {
            return Ok(());
        }
        let aborted = self.producer.abort().await;
        aborted.map_err(|error| self.named(error, "abort"))
    }

    /// Drops what was sent and not committed, and closes.
    ///
    /// # Errors
    /// What the log says.
    pub(in crate::runtime) async fn close(mut self) -> Result<()> {
        let aborted = self.abort().await;
        aborted.and(self.producer.close().await)
    }

    /// Ends a transaction in which something failed.
    async fn failed(&mut self, error: Error, operation: &str) -> Error {
        self.records = None;
        let error = self.producer.abort_after(error).await;
        self.named(error, operation)
    }

    /// The error with what it is about. Who has been fenced out is told so.
    fn named(&self, error: Error, operation: &str) -> Error {
        if error.kind() == ErrorKind::Conflict {
            let text = "this task has been fenced out: a newer one with the same transactional id has taken its place, newer task configs came, or its transaction was open for longer than transaction.timeout.ms";
            return Error::conflict(text).target(&self.id).source(error);
        }
        error
            .operation(format!("{operation} transaction"))
            .target(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client_options::Client;
    use crate::runtime::client_overrides::client_settings;

    #[test]
    fn what_a_transaction_decides_is_not_for_settings() {
        let given = [
            ("enable.idempotence", "false"),
            ("transactional.id", "mine"),
            ("transaction.timeout.ms", "5000"),
        ];
        let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let left = ensured(given.into(), "group-connector-0");
        assert_eq!(
            left.into_keys().collect::<Vec<_>>(),
            ["transaction.timeout.ms"]
        );
    }

    #[test]
    fn a_producer_that_only_fences_connects_as_the_tasks_own_does() {
        let settings = |pairs: &[(&str, &str)]| -> ConfigMap {
            let pairs = pairs.iter();
            let owned = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let worker = settings(&[
            ("sasl.mechanism", "PLAIN"),
            ("ssl.a", "worker"),
            ("acks", "1"),
        ]);
        let connector = settings(&[("producer.override.ssl.a", "own"), ("ssl.b", "not its")]);
        let merged = client_settings(Client::Producer, &worker, &connector);
        let expected = settings(&[("sasl.mechanism", "PLAIN"), ("ssl.a", "own")]);
        assert_eq!(connection(merged), expected);
    }
}
