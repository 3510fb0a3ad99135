//! A worker of a cluster whose membership panics.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::ErrorKind;

use super::*;
use crate::kafka::{
    Admin, Consumer, ConsumerOptions, GroupMember, GroupMemberOptions, Producer, ProducerOptions,
    TransactionalProducer,
};

/// A log of which nobody can be a member of a group.
struct Panicking(Arc<dyn Log>);

#[async_trait]
impl Log for Panicking {
    async fn consumer(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>> {
        self.0.consumer(options).await
    }

    async fn producer(&self, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        self.0.producer(options).await
    }

    async fn transactional_producer(
        &self,
        transactional_id: &str,
        options: ProducerOptions,
    ) -> Result<Arc<dyn TransactionalProducer>> {
        self.0
            .transactional_producer(transactional_id, options)
            .await
    }

    async fn group_member(&self, _: GroupMemberOptions) -> Result<Box<dyn GroupMember>> {
        panic!("a defect")
    }

    fn admin(&self) -> Arc<dyn Admin> {
        self.0.admin()
    }

    async fn admin_with(
        &self,
        client_id: &str,
        overrides: BTreeMap<String, String>,
    ) -> Result<Arc<dyn Admin>> {
        self.0.admin_with(client_id, overrides).await
    }
}

fn settings() -> WorkerSettings {
    let properties = [
        ("group.id", "g"),
        ("bootstrap.servers", "b:1"),
        ("config.storage.topic", "c"),
        ("offset.storage.topic", "o"),
        ("status.storage.topic", "s"),
        ("config.storage.replication.factor", "1"),
        ("offset.storage.replication.factor", "1"),
        ("status.storage.replication.factor", "1"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    WorkerSettings::read(&properties.into()).unwrap()
}

#[tokio::test]
async fn a_worker_whose_membership_panics_says_so_and_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = EmbeddedLog::open(folder.path()).await.unwrap();
    let settings = settings();
    let options = settings.cluster.clone().unwrap();
    let identity = WorkerIdentity {
        worker_id: "here:1".to_owned(),
        url: "http://here:1/".to_owned(),
        levels: Arc::new(LogLevels::new("info", Box::new(|_| {}))),
    };
    let worker = in_cluster(Arc::new(Panicking(log)), settings, options, identity);
    let worker = worker.await.unwrap();
    let deadline = Duration::from_secs(10);
    let lost = tokio::time::timeout(deadline, worker.lost()).await.unwrap();
    assert_eq!(lost.kind(), ErrorKind::Internal);
    assert!(lost.message().contains("panicked"), "{lost}");
    tokio::time::timeout(deadline, worker.shutdown())
        .await
        .unwrap();
}
