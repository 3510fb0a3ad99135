//! Converters and transforms between the log's records and Connect records: the stage every record passes.

use std::sync::Arc;

use connect_core::config::{ConfigMap, find_converter_plugin};
use connect_core::data::{Header, RawHeaders, SinkRecord, SourceRecord, TopicPartition};
use connect_core::plugin::{Converter, ConverterRole, HeaderConverter};
use connect_core::{Error, Result};

use super::chain::Chain;
use super::worker_config::{WorkerSettings, strip_prefix};
use crate::kafka::{ConsumedRecord, ProducerRecord};

/// The converters and transforms of one task.
pub(super) struct Pipeline {
    chain: Chain,
    key: Arc<dyn Converter>,
    value: Arc<dyn Converter>,
    header: Arc<dyn HeaderConverter>,
    /// True if a converter gets schemas from a registry.
    looks_up: bool,
}

impl Pipeline {
    /// The connector's own converters; the worker's where it names none.
    pub(super) fn of(connector: &ConfigMap, worker: &WorkerSettings) -> Result<Self> {
        let key = converter(
            "key.converter",
            &worker.config.key_converter,
            ConverterRole::Key,
            connector,
            worker,
        )?;
        let value = converter(
            "value.converter",
            &worker.config.value_converter,
            ConverterRole::Value,
            connector,
            worker,
        )?;
        Ok(Self {
            chain: Chain::of(connector)?,
            looks_up: key.schema_lookup().or(value.schema_lookup()).is_some(),
            key,
            value,
            header: header_converter(&worker.config.header_converter, connector, worker)?,
        })
    }

    /// True if schemas may have to be fetched before a record is converted.
    pub(super) fn looks_up(&self) -> bool {
        self.looks_up
    }

    /// Fetches the schemas that a record of the log lacks to be converted.
    pub(super) async fn fetch_for_sink(&self, record: &ConsumedRecord) -> Result<()> {
        for (converter, bytes) in [(&self.key, &record.key), (&self.value, &record.value)] {
            let (Some(lookup), Some(bytes)) = (converter.schema_lookup(), bytes) else {
                continue;
            };
            if !lookup.can_read(&record.topic, bytes) {
                let fetched = lookup.fetch_for_reading(&record.topic, bytes).await;
                fetched.map_err(|cause| {
                    let offset = record.offset;
                    let position =
                        format!("{}-{} at offset {offset}", record.topic, record.partition);
                    not_fetched("record", position, cause)
                })?;
            }
        }
        Ok(())
    }

    /// Fetches or registers the schemas that a source's record lacks to be converted.
    pub(super) async fn fetch_for_log(&self, record: &SourceRecord) -> Result<()> {
        for (converter, datum) in [(&self.key, &record.key), (&self.value, &record.value)] {
            let Some(lookup) = converter.schema_lookup() else {
                continue;
            };
            if !lookup.can_write(&record.topic, datum) {
                let fetched = lookup.fetch_for_writing(&record.topic, datum).await;
                fetched.map_err(|cause| not_fetched("record for topic", &*record.topic, cause))?;
            }
        }
        Ok(())
    }

    /// Appends what a sink sees of a record of the log: usually one record, none if a transform drops it.
    pub(super) fn push_for_sink(
        &mut self,
        record: ConsumedRecord,
        out: &mut Vec<SinkRecord>,
    ) -> Result<()> {
        let record = self.to_connect(record)?;
        if self.chain.is_empty() {
            out.push(record);
            return Ok(());
        }
        let position = format!("{} at offset {}", record.origin, record.offset);
        let passed = self.chain.apply_to_sink(record).map_err(|cause| {
            let error = Error::new(cause.kind(), "cannot be transformed");
            error.operation("record").target(position).source(cause)
        })?;
        out.extend(passed);
        Ok(())
    }

    fn to_connect(&self, record: ConsumedRecord) -> Result<SinkRecord> {
        let failed = |part: &str, cause: Error| {
            let position = format!(
                "{}-{} at offset {}",
                record.topic, record.partition, record.offset
            );
            Error::data(format!("the {part} cannot be converted"))
                .operation("record")
                .target(position)
                .source(cause)
        };
        let topic = &*record.topic;
        let key = self
            .key
            .to_connect(topic, &record.headers, record.key.as_ref());
        let value = self
            .value
            .to_connect(topic, &record.headers, record.value.as_ref());
        let (key, value) = (
            key.map_err(|cause| failed("key", cause))?,
            value.map_err(|cause| failed("value", cause))?,
        );
        let mut headers = Vec::with_capacity(record.headers.len());
        for (name, bytes) in &record.headers {
            let value = self.header.to_connect(topic, name, bytes.as_ref());
            headers.push(Header {
                key: name.clone(),
                value: value.map_err(|cause| failed(&format!("header {name}"), cause))?,
            });
        }
        let size = record.key.as_ref().map_or(0, |key| key.len())
            + record.value.as_ref().map_or(0, |value| value.len());
        Ok(SinkRecord {
            origin: TopicPartition::new(record.topic.clone(), record.partition),
            topic: record.topic,
            offset: record.offset,
            timestamp: record.timestamp,
            headers,
            key,
            value,
            piece: None,
            size: u32::try_from(size).unwrap_or(u32::MAX),
        })
    }

    /// Appends what the log stores of a source's record: usually one record, none if a transform drops it.
    pub(super) fn push_for_log(
        &mut self,
        record: SourceRecord,
        out: &mut Vec<ProducerRecord>,
    ) -> Result<()> {
        if self.chain.is_empty() {
            out.push(self.to_bytes(&record)?);
            return Ok(());
        }
        for record in &self.transformed(record)? {
            out.push(self.to_bytes(record)?);
        }
        Ok(())
    }

    /// What the transforms make of a source's record.
    pub(super) fn transformed(&mut self, record: SourceRecord) -> Result<Vec<SourceRecord>> {
        let topic = record.topic.clone();
        self.chain.apply_to_source(record).map_err(|cause| {
            let error = Error::new(cause.kind(), "cannot be transformed");
            error
                .operation("record for topic")
                .target(&*topic)
                .source(cause)
        })
    }

    /// What the log stores of a record that was transformed.
    pub(super) fn to_bytes(&self, record: &SourceRecord) -> Result<ProducerRecord> {
        let failed = |part: &str, cause: Error| {
            Error::data(format!("the {part} cannot be converted"))
                .operation("record for topic")
                .target(&*record.topic)
                .source(cause)
        };
        let topic = &*record.topic;
        let mut headers = RawHeaders::with_capacity(record.headers.len());
        for header in &record.headers {
            let bytes = self.header.to_bytes(topic, &header.key, &header.value);
            headers.push((
                header.key.clone(),
                bytes.map_err(|cause| failed(&format!("header {}", header.key), cause))?,
            ));
        }
        Ok(ProducerRecord {
            topic: record.topic.clone(),
            partition: record.partition,
            timestamp: record.timestamp,
            headers,
            key: self
                .key
                .to_bytes(topic, &record.key)
                .map_err(|cause| failed("key", cause))?,
            value: self
                .value
                .to_bytes(topic, &record.value)
                .map_err(|cause| failed("value", cause))?,
        })
    }
}

fn not_fetched(what: &str, target: impl Into<String>, cause: Error) -> Error {
    Error::new(cause.kind(), "its schema cannot be fetched")
        .retry(cause.verdict())
        .operation(what)
        .target(target)
        .source(cause)
}

/// The class and options of the converter `option`: sub-options count only beside the class they belong to.
fn chosen(
    option: &str,
    default: &str,
    connector: &ConfigMap,
    worker: &WorkerSettings,
) -> (String, ConfigMap) {
    let prefix = format!("{option}.");
    match connector.get(option) {
        Some(class) => (class.trim().to_owned(), strip_prefix(connector, &prefix)),
        None => (
            default.to_owned(),
            strip_prefix(&worker.properties, &prefix),
        ),
    }
}

fn wrong(option: &str, errors: &[connect_core::config::OptionError]) -> Error {
    let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
    Error::config(text.join("; ")).operation(option)
}

fn missing(option: &str, class: &str, what: &str) -> Error {
    Error::config(format!(
        "Invalid value {class} for configuration {option}: {what}"
    ))
}

fn converter(
    option: &str,
    default: &str,
    role: ConverterRole,
    connector: &ConfigMap,
    worker: &WorkerSettings,
) -> Result<Arc<dyn Converter>> {
    let (class, options) = chosen(option, default, connector, worker);
    let make = find_converter_plugin(&class)
        .ok_or_else(|| missing(option, &class, "class could not be found"))?
        .make
        .ok_or_else(|| missing(option, &class, "it converts headers only"))?;
    make(&options, role).map_err(|errors| wrong(option, &errors))
}

fn header_converter(
    default: &str,
    connector: &ConfigMap,
    worker: &WorkerSettings,
) -> Result<Arc<dyn HeaderConverter>> {
    let option = "header.converter";
    let (class, options) = chosen(option, default, connector, worker);
    let make = find_converter_plugin(&class)
        .ok_or_else(|| missing(option, &class, "class could not be found"))?
        .make_header
        .ok_or_else(|| missing(option, &class, "it does not convert headers"))?;
    make(&options).map_err(|errors| wrong(option, &errors))
}
