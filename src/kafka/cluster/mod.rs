//! The log in a real Kafka, through the crate krafka.
//!
//! Nothing outside this folder names krafka. Its errors are mapped by kind, never by text.

mod admin;
mod consumer;
mod errors;
mod group;
mod leaders;
mod producer;
mod security;
pub(super) mod settings;
mod subscription;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::Result;
use krafka::Kafka;

use super::{
    Admin, Consumer, ConsumerOptions, GroupMember, GroupMemberOptions, Log, Producer,
    ProducerOptions, TransactionalProducer,
};
use errors::mapped;
use settings::ConnectionSettings;

/// A Kafka cluster. Consumers and producers have connections of their own, under their own client id, as in Kafka
/// Connect: one that waits does not hold up another.
#[derive(Debug, Clone)]
pub struct ClusterLog {
    kafka: Kafka,
    properties: BTreeMap<String, String>,
    metadata_max_age: Duration,
}

impl ClusterLog {
    /// Connects with Kafka's own keys: `bootstrap.servers`, `security.protocol`, `sasl.*`, `ssl.*`, `client.id` …
    ///
    /// # Errors
    /// A configuration error that lists every wrong key; otherwise what the broker said.
    pub async fn connect(properties: &BTreeMap<String, String>) -> Result<Self> {
        Ok(Self {
            kafka: connect(properties, false).await?,
            properties: properties.clone(),
            metadata_max_age: ConnectionSettings::read(properties)?.metadata_max_age,
        })
    }

    /// A client for reading or writing: a topic it names that is not there is made, if the brokers want that. The admin
    /// client only looks.
    async fn client(&self, options: &mut ProducerOptions) -> Result<Kafka> {
        let (connection, others) = settings::divided(std::mem::take(&mut options.overrides));
        options.overrides = others;
        self.client_with(&options.client_id, self.metadata_max_age, connection)
            .await
    }

    /// What a client says of its connection wins over the worker's own settings.
    async fn client_with(
        &self,
        client_id: &str,
        metadata_max_age: Duration,
        connection: BTreeMap<String, String>,
    ) -> Result<Kafka> {
        let mut own = BTreeMap::new();
        let millis = metadata_max_age.as_millis().to_string();
        own.insert("metadata.max.age.ms".to_owned(), millis);
        own.extend(connection);
        connect(&self.properties_with(client_id, own), true).await
    }

    /// The worker's own settings with those of a client above them.
    fn properties_with(
        &self,
        client_id: &str,
        own: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut properties = self.properties.clone();
        properties.insert("client.id".to_owned(), client_id.to_owned());
        properties.extend(own);
        properties
    }
}

async fn connect(properties: &BTreeMap<String, String>, make_topics: bool) -> Result<Kafka> {
    let settings = ConnectionSettings::read(properties)?;
    let servers = settings.bootstrap_servers.join(",");
    let builder = settings
        .builder(properties)?
        .allow_auto_create_topics(make_topics);
    builder.connect().await.map_err(|error| {
        mapped(error)
            .operation("connect to Kafka at")
            .target(servers)
    })
}

#[async_trait]
impl Log for ClusterLog {
    async fn consumer(&self, mut options: ConsumerOptions) -> Result<Arc<dyn Consumer>> {
        let (connection, others) = settings::divided(options.overrides);
        options.overrides = others;
        let interval = subscription::interval(self.metadata_max_age);
        // A member that makes its group share partitions anew must not do it by metadata from before they came.
        let client = self.client_with(&options.client_id, interval / 2, connection);
        let client = client.await?;
        let admin = self.kafka.admin();
        let opened = consumer::ClusterConsumer::open(&client, (admin, interval), options);
        Ok(Arc::new(opened.await?))
    }

    async fn producer(&self, mut options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        let client = self.client(&mut options).await?;
        let opened = producer::ClusterProducer::open(&client, &options).await?;
        Ok(Arc::new(opened))
    }

    async fn transactional_producer(
        &self,
        transactional_id: &str,
        mut options: ProducerOptions,
    ) -> Result<Arc<dyn TransactionalProducer>> {
        let client = self.client(&mut options).await?;
        let opened = producer::ClusterTransaction::open(&client, transactional_id, &options);
        Ok(Arc::new(opened.await?))
    }

    async fn group_member(&self, options: GroupMemberOptions) -> Result<Box<dyn GroupMember>> {
        let settings = ConnectionSettings::read(&self.properties)?;
        let timeout = settings
            .request_timeout
            .min(group::request_timeout(&options));
        let key = "request.timeout.ms".to_owned();
        let connection = [(key, timeout.as_millis().to_string())].into();
        let client = self.client_with(&options.client_id, self.metadata_max_age, connection);
        Ok(Box::new(group::ClusterMember::new(client.await?, options)))
    }

    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(admin::ClusterAdmin::new(&self.kafka))
    }

    async fn admin_with(
        &self,
        client_id: &str,
        overrides: BTreeMap<String, String>,
    ) -> Result<Arc<dyn Admin>> {
        if overrides.is_empty() {
            return Ok(self.admin());
        }
        let (connection, others) = settings::divided(overrides);
        settings::none_of(&others)?;
        let properties = self.properties_with(client_id, connection);
        let kafka = connect(&properties, false).await?;
        Ok(Arc::new(admin::ClusterAdmin::new(&kafka)))
    }
}

/// The partition, of `partitions`, that Kafka's default partitioner gives to a key.
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    (krafka::producer::murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}
