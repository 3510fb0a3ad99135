//! Writing to a Kafka cluster.

use async_trait::async_trait;
use connect_core::data::Offset;
use connect_core::{Error, ErrorKind, Result};
use krafka::producer::{Acks, DeliveryHandle, ProducerBuilder, RecordMetadata};
use krafka::{Kafka, Record};

use super::errors::mapped;
use super::settings::{ProducerSettings, overrides};
use crate::kafka::{
    Compression, Produced, Producer, ProducerOptions, ProducerRecord, TransactionalProducer,
};

pub(super) struct ClusterProducer {
    producer: krafka::producer::Producer,
}

pub(super) struct ClusterTransaction {
    producer: krafka::producer::TransactionalProducer,
}

impl ClusterProducer {
    pub(super) async fn open(kafka: &Kafka, options: &ProducerOptions) -> Result<Self> {
        let settings: ProducerSettings = overrides(&options.overrides)?;
        let builder = configured(kafka, options, &settings).idempotent(settings.idempotence);
        let producer = builder.build().await.map_err(mapped)?;
        Ok(Self { producer })
    }
}

impl ClusterTransaction {
    pub(super) async fn open(
        kafka: &Kafka,
        transactional_id: &str,
        options: &ProducerOptions,
    ) -> Result<Self> {
        let settings: ProducerSettings = overrides(&options.overrides)?;
        let delivery_timeout = settings.delivery_timeout.min(settings.transaction_timeout);
        let builder = configured(kafka, options, &settings)
            .delivery_timeout(delivery_timeout)
            .transaction_timeout(settings.transaction_timeout);
        let producer = builder
            .build_transactional(transactional_id)
            .await
            .map_err(mapped)?;
        Ok(Self { producer })
    }
}

fn configured(
    kafka: &Kafka,
    options: &ProducerOptions,
    settings: &ProducerSettings,
) -> ProducerBuilder {
    kafka
        .producer()
        .acks(Acks::All)
        .compression(compression(options, settings))
        .batch_size(settings.batch_size)
        .linger(settings.linger)
        .delivery_timeout(settings.delivery_timeout)
        .max_request_size(settings.max_request_size)
        .buffer_memory(settings.buffer_memory)
        .max_block(settings.max_block)
        .metrics_push(false)
}

fn compression(options: &ProducerOptions, settings: &ProducerSettings) -> krafka::Compression {
    let named = settings
        .compression
        .as_ref()
        .map(|name| name.to_ascii_lowercase());
    match (named.as_deref(), options.compression) {
        (Some("gzip"), _) | (None, Compression::Gzip) => krafka::Compression::Gzip,
        (Some("snappy"), _) | (None, Compression::Snappy) => krafka::Compression::Snappy,
        (Some("lz4"), _) | (None, Compression::Lz4) => krafka::Compression::Lz4,
        (Some("zstd"), _) | (None, Compression::Zstd) => krafka::Compression::Zstd,
        _ => krafka::Compression::None,
    }
}

fn to_wire(record: ProducerRecord) -> Record {
    let mut wire = match record.value {
        Some(value) => Record::new(&*record.topic, value),
        None => Record::new(&*record.topic, bytes::Bytes::new()).without_value(),
    };
    wire.partition = record.partition;
    wire.key = record.key;
    wire.timestamp = record
        .timestamp
        .map(connect_core::data::Timestamp::as_millis);
    wire.headers = record
        .headers
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect();
    wire
}

fn produced(metadata: &RecordMetadata) -> Produced {
    Produced {
        partition: metadata.partition,
        offset: Offset::new(metadata.offset),
    }
}

async fn delivered(handle: krafka::Result<DeliveryHandle>) -> Result<Produced> {
    let metadata = handle.map_err(mapped)?.await.map_err(mapped)?;
    Ok(produced(&metadata))
}

impl ClusterProducer {
    /// The broker refuses a batch for one record that is too large. The others of the batch are sent once more, each by
    /// itself; they come after what was sent behind them.
    async fn send_blameless(&self, records: &[ProducerRecord], results: &mut [Result<Produced>]) {
        for (record, result) in records.iter().zip(results) {
            let is_refused = |error: &Error| error.kind() == ErrorKind::Data;
            if result.as_ref().is_err_and(is_refused) {
                let handle = self.producer.enqueue(to_wire(record.clone())).await;
                *result = delivered(handle).await;
            }
        }
    }
}

#[async_trait]
impl Producer for ClusterProducer {
    async fn send(&self, records: Vec<ProducerRecord>) -> Result<Vec<Result<Produced>>> {
        let mut handles = Vec::with_capacity(records.len());
        for record in &records {
            handles.push(self.producer.enqueue(to_wire(record.clone())).await);
        }
        let mut results = Vec::with_capacity(handles.len());
        for handle in handles {
            results.push(delivered(handle).await);
        }
        if results.len() > 1 {
            self.send_blameless(&records, &mut results).await;
        }
        Ok(results)
    }

    async fn close(&self) -> Result<()> {
        self.producer.close().await.map_err(mapped)
    }
}

#[async_trait]
impl TransactionalProducer for ClusterTransaction {
    async fn begin(&self) -> Result<()> {
        self.producer.begin().map_err(mapped)
    }

    async fn send(&self, records: Vec<ProducerRecord>) -> Result<Vec<Produced>> {
        let mut handles = Vec::with_capacity(records.len());
        for record in records {
            handles.push(self.producer.enqueue(to_wire(record)).await);
        }
        let mut results = Vec::with_capacity(handles.len());
        for handle in handles {
            results.push(delivered(handle).await?);
        }
        Ok(results)
    }

    async fn commit(&self) -> Result<()> {
        self.producer.commit().await.map_err(mapped)
    }

    async fn abort(&self) -> Result<()> {
        self.producer.abort().await.map_err(mapped)
    }

    async fn close(&self) -> Result<()> {
        self.producer.close().await.map_err(mapped)
    }
}
