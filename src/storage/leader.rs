//! Writing as the leader of a group: in transactions, so that a worker that only believes to be the leader cannot.

use std::sync::Arc;

use connect_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tracing::warn;

use crate::kafka::{Log, ProducerOptions, ProducerRecord, TransactionalProducer};

/// Writes as the leader of a group.
pub struct LeaderWriter {
    log: Arc<dyn Log>,
    id: String,
    client_id: String,
    /// `None` until the first write, and after a failure.
    producer: Mutex<Option<Arc<dyn TransactionalProducer>>>,
}

impl LeaderWriter {
    /// A writer with the transactional id of the group's leader.
    pub fn new(log: Arc<dyn Log>, id: String, client_id: String) -> Self {
        let producer = Mutex::default();
        Self {
            log,
            id,
            client_id,
            producer,
        }
    }

    /// Takes the place of whoever was the leader before: that one can write no more. To be called by a worker that has
    /// become the leader.
    ///
    /// # Errors
    /// What the log says; the next write tries again.
    pub async fn claim(&self) -> Result<()> {
        let mut producer = self.producer.lock().await;
        *producer = None;
        *producer = Some(self.open().await?);
        Ok(())
    }

    async fn open(&self) -> Result<Arc<dyn TransactionalProducer>> {
        let options = ProducerOptions {
            client_id: self.client_id.clone(),
            ..ProducerOptions::default()
        };
        self.log.transactional_producer(&self.id, options).await
    }

    /// Writes records, all or none.
    ///
    /// # Errors
    /// `Conflict` if another worker has become the leader. Should this one still be the leader, its next write succeeds.
    pub(super) async fn write(&self, records: Vec<ProducerRecord>) -> Result<()> {
        let mut place = self.producer.lock().await;
        let producer = match place.take() {
            Some(producer) => producer,
            None => self.open().await?,
        };
        match write(&*producer, records).await {
            Ok(()) => {
                *place = Some(producer);
                Ok(())
            }
            Err(error) => {
                let error = producer.abort_after(error).await;
                let closed = producer.close().await;
                if let Err(error) = closed {
                    warn!(error = error.trace(), "a producer was not closed");
                }
                Err(self.named(error))
            }
        }
    }

    fn named(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Conflict {
            let text = "another worker has become the leader of the group";
            return Error::conflict(text).target(&self.id).source(error);
        }
        error.operation("write as").target(&self.id)
    }
}

async fn write(producer: &dyn TransactionalProducer, records: Vec<ProducerRecord>) -> Result<()> {
    producer.begin().await?;
    producer.send(records).await?;
    producer.commit().await
}
