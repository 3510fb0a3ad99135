//! The transactions of one task.

use std::sync::Arc;
use std::time::Duration;

use connect_core::config::ConfigMap;
use connect_core::plugin::TaskId;
use connect_core::{Error, ErrorKind, Result};
use tokio::time::Instant;
use tracing::warn;

use super::boundary::USUAL_TIMEOUT;
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
        let timeout = timeout(&self.settings);
        let options = ProducerOptions {
            client_id: format!("connector-producer-{}", self.task),
            overrides: ensured(self.settings, &id),
            ..ProducerOptions::default()
        };
        let producer = log.transactional_producer(&id, options).await?;
        Ok(TaskTransactions {
            producer,
            id,
            timeout,
            open: None,
            was_fenced: false,
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

/// How long a transaction may last before the broker drops it.
fn timeout(settings: &ConfigMap) -> Duration {
    let given = settings.get("transaction.timeout.ms");
    let given = given.and_then(|millis| millis.trim().parse().ok());
    given.map_or(USUAL_TIMEOUT, Duration::from_millis)
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
    timeout: Duration,
    /// `None` if none is open.
    open: Option<Open>,
    was_fenced: bool,
}

/// An open transaction.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Those of the source.
    records: usize,
    begun: Instant,
}

impl TaskTransactions {
    /// How many records of the source are in the open transaction; `None` if none is open.
    pub(in crate::runtime) fn open_records(&self) -> Option<usize> {
        self.open.map(|open| open.records)
    }

    /// Whether another producer has taken the place of this one.
    pub(in crate::runtime) fn was_fenced(&self) -> bool {
        self.was_fenced
    }

    async fn begin(&mut self) -> Result<Open> {
        if let Some(open) = self.open {
            return Ok(open);
        }
        let begun = Instant::now();
        if let Err(error) = self.producer.begin().await {
            return Err(self.named(error, "begin", None));
        }
        let open = Open { records: 0, begun };
        self.open = Some(open);
        Ok(open)
    }

    /// Sends records of the source; all are acknowledged when this returns.
    ///
    /// # Errors
    /// The transaction is over then.
    pub(in crate::runtime) async fn send(&mut self, records: Vec<ProducerRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let open = self.begin().await?;
        let count = records.len();
        let sent = self.producer.send(records).await;
        if let Err(error) = sent {
            return Err(self.failed(error, "send in").await);
        }
        self.open = Some(Open {
            records: open.records + count,
            ..open
        });
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
        let open = self.begin().await?;
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
        self.open = None;
        Ok(open.records)
    }

    /// Drops what was sent.
    ///
    /// # Errors
    /// What the log says; the next producer of the task drops it then.
    pub(in crate::runtime) async fn abort(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let aborted = self.producer.abort().await;
        aborted.map_err(|error| self.named(error, "abort", Some(open)))
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
        let open = self.open.take();
        let error = self.producer.abort_after(error).await;
        self.named(error, operation, open)
    }

    /// The error with what it is about. Who has been fenced out is told so; the broker does it, too, when it drops a
    /// transaction that was open for too long: then the task may come back.
    fn named(&mut self, error: Error, operation: &str, open: Option<Open>) -> Error {
        if error.kind() != ErrorKind::Conflict {
            return error
                .operation(format!("{operation} transaction"))
                .target(&self.id);
        }
        let named = if open.is_some_and(|open| open.begun.elapsed() >= self.timeout) {
            Error::external(
                "the transaction was open for longer than transaction.timeout.ms: the broker has dropped it",
            )
        } else {
            self.was_fenced = true;
            Error::conflict(
                "this task has been fenced out: a newer one with the same transactional id has taken its place, or newer task configs came",
            )
        };
        named.target(&self.id).source(error)
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
