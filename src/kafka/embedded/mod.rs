//! The log on local disk: topics, partitions, groups and offsets of one process, durable, with Kafka's semantics.
//!
//! A produced batch is one value in an ordered store, keyed by topic, partition and first offset. What is acknowledged
//! survives the end of the process however it ends; a power cut may take the last moments (the store's journal is written,
//! not synced, for each batch). One process owns the folder.
//!
//! Limits: records of a transaction appear at its commit, so even readers of uncommitted data do not see them before.

mod admin;
mod batch;
mod compaction;
mod consumer;
mod groups;
mod partitions;
mod producer;
mod reading;
mod retention;
mod store;
mod topic_settings;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use connect_core::Result;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cluster::settings::{ProducerSettings, none_of, overrides};
use super::{
    Admin, Consumer, ConsumerOptions, Log, Producer, ProducerOptions, TransactionalProducer,
};
use groups::Groups;
use partitions::Partitions;
use producer::Fences;
use store::Store;

/// The log on local disk.
pub struct EmbeddedLog {
    inner: Arc<Inner>,
    _retention: DropGuard,
}

/// What all clients share.
struct Inner {
    store: Store,
    partitions: Partitions,
    groups: Groups,
    fences: Fences,
}

impl EmbeddedLog {
    /// Opens the log in `folder`, making it if it is not there.
    ///
    /// # Errors
    /// A configuration error that names the folder: another process has it, it cannot be written, it is damaged.
    pub async fn open(folder: &Path) -> Result<Arc<Self>> {
        let folder = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || Inner::open(&folder)).await;
        let inner = Arc::new(opened.map_err(|cause| {
            connect_core::Error::internal("opening the log panicked").source(cause)
        })??);
        let stop = CancellationToken::new();
        tokio::spawn(retention::run(inner.clone(), stop.clone()));
        Ok(Arc::new(Self {
            inner,
            _retention: stop.drop_guard(),
        }))
    }
}

impl Inner {
    fn open(folder: &Path) -> Result<Self> {
        let store = Store::open(folder)?;
        let partitions = Partitions::load(&store)?;
        let groups = Groups::load(&store)?;
        Ok(Self {
            store,
            partitions,
            groups,
            fences: Fences::default(),
        })
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn consumer(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>> {
        Ok(Arc::new(consumer::EmbeddedConsumer::open(
            self.inner.clone(),
            options,
        )?))
    }

    async fn producer(&self, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        overrides::<ProducerSettings>(&options.overrides)?;
        Ok(Arc::new(producer::EmbeddedProducer::new(
            self.inner.clone(),
        )))
    }

    async fn transactional_producer(
        &self,
        transactional_id: &str,
        options: ProducerOptions,
    ) -> Result<Arc<dyn TransactionalProducer>> {
        overrides::<ProducerSettings>(&options.overrides)?;
        Ok(Arc::new(producer::EmbeddedTransaction::open(
            self.inner.clone(),
            transactional_id,
        )))
    }

    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(admin::EmbeddedAdmin(self.inner.clone()))
    }

    async fn admin_with(
        &self,
        _client_id: &str,
        overrides: BTreeMap<String, String>,
    ) -> Result<Arc<dyn Admin>> {
        none_of(&overrides)?;
        Ok(self.admin())
    }

    async fn lost(&self) -> connect_core::Error {
        self.inner.store.broken().await
    }
}

#[cfg(test)]
mod tests;
