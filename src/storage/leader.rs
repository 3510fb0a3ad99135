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
    place: Mutex<Place>,
}

/// Whether the place is this writer's.
enum Place {
    /// As far as is known; its producer is made when it is needed.
    Own(Option<Arc<dyn TransactionalProducer>>),
    /// Another has taken it. A producer made now would fence that one out.
    Lost,
}

impl LeaderWriter {
    /// A writer with the transactional id of the group's leader.
    pub fn new(log: Arc<dyn Log>, id: String, client_id: String) -> Self {
        Self {
            log,
            id,
            client_id,
            place: Mutex::new(Place::Own(None)),
        }
    }

    /// Takes the place of whoever was the leader before: that one can write no more. To be called by a worker that has
    /// become the leader.
    ///
    /// # Errors
    /// What the log says; nothing is written until it succeeds.
    pub async fn claim(&self) -> Result<()> {
        let mut place = self.place.lock().await;
        *place = Place::Lost;
        *place = Place::Own(Some(self.open().await?));
        Ok(())
    }

    /// Whether another has taken the place since it was claimed, as far as is known: not before a write has ended.
    pub fn is_fenced(&self) -> bool {
        let place = self.place.try_lock();
        place.is_ok_and(|place| matches!(*place, Place::Lost))
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
    /// `Conflict` if another worker has become the leader; so are all writes after it until the place is claimed.
    pub(super) async fn write(&self, records: Vec<ProducerRecord>) -> Result<()> {
        let mut place = self.place.lock().await;
        let producer = match &mut *place {
            Place::Own(producer) => producer.take(),
            Place::Lost => return Err(self.lost()),
        };
        let producer = match producer {
            Some(producer) => producer,
            None => self.open().await?,
        };
        match write(&*producer, records).await {
            Ok(()) => {
                *place = Place::Own(Some(producer));
                Ok(())
            }
            Err(error) => {
                let error = producer.abort_after(error).await;
                ended(&*producer).await;
                if error.kind() == ErrorKind::Conflict {
                    *place = Place::Lost;
                    return Err(self.lost().source(error));
                }
                Err(error.operation("write as").target(&self.id))
            }
        }
    }

    /// Ends its producer; nothing is written afterwards.
    pub(super) async fn close(&self) {
        let mut place = self.place.lock().await;
        if let Place::Own(Some(producer)) = std::mem::replace(&mut *place, Place::Lost) {
            ended(&*producer).await;
        }
    }

    fn lost(&self) -> Error {
        Error::conflict("another worker has become the leader of the group").target(&self.id)
    }
}

async fn ended(producer: &dyn TransactionalProducer) {
    if let Err(error) = producer.close().await {
        warn!(error = error.trace(), "a producer was not closed");
    }
}

async fn write(producer: &dyn TransactionalProducer, records: Vec<ProducerRecord>) -> Result<()> {
    producer.begin().await?;
    producer.send(records).await?;
    producer.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::embedded::EmbeddedLog;

    fn record() -> Vec<ProducerRecord> {
        vec![ProducerRecord {
            topic: "configs".into(),
            partition: None,
            timestamp: None,
            headers: Vec::new(),
            key: None,
            value: Some("x".into()),
        }]
    }

    #[tokio::test]
    async fn a_leader_that_was_fenced_out_does_not_fence_out_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> = EmbeddedLog::open(folder.path()).await.unwrap();
        let writer = |name: &str| LeaderWriter::new(log.clone(), "leader".into(), name.into());
        let (before, now) = (writer("before"), writer("now"));
        before.claim().await.unwrap();
        before.write(record()).await.unwrap();
        now.claim().await.unwrap();
        for _ in 0..2 {
            let refused = before.write(record()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict);
            assert!(before.is_fenced());
            now.write(record()).await.unwrap();
        }
        before.claim().await.unwrap();
        before.write(record()).await.unwrap();
        assert!(!before.is_fenced());
    }
}
