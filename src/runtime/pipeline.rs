//! Converters and transforms between the log's records and Connect records: the stage every record passes.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::{ConfigMap, find_converter_plugin};
use connect_core::data::{Datum, Header, RawHeaders, SinkRecord, SourceRecord, TopicPartition};
use connect_core::plugin::{Converter, ConverterRole, HeaderConverter, SchemaLookup};
use connect_core::{Error, Result};

use super::chain::Chain;
use super::errors::{RecordFailure, Stage};
use super::metrics::{TaskPlugins, UsedPlugin};
use super::worker_config::{WorkerSettings, strip_prefix, wrong_options};
use crate::kafka::{ConsumedRecord, ProducerRecord, check_topic_name};

/// A plugin with its class and version.
struct Named<P: ?Sized> {
    used: UsedPlugin,
    plugin: Arc<P>,
}

/// The converters and transforms of one task.
pub(super) struct Pipeline {
    chain: Chain,
    key: Named<dyn Converter>,
    value: Named<dyn Converter>,
    header: Named<dyn HeaderConverter>,
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
        let lookup = key.plugin.schema_lookup().or(value.plugin.schema_lookup());
        Ok(Self {
            chain: Chain::of(connector)?,
            looks_up: lookup.is_some(),
            key,
            value,
            header: header_converter(&worker.config.header_converter, connector, worker)?,
        })
    }

    /// What it is made of.
    pub(super) fn plugins(&self) -> TaskPlugins {
        TaskPlugins {
            key_converter: self.key.used,
            value_converter: self.value.used,
            header_converter: self.header.used,
            transforms: self.chain.transforms(),
            predicates: self.chain.predicates(),
        }
    }

    /// True if schemas may have to be fetched before a record is converted.
    pub(super) fn looks_up(&self) -> bool {
        self.looks_up
    }

    /// Fetches the schemas that a record of the log lacks to be converted.
    pub(super) async fn fetch_for_sink(
        &self,
        record: &ConsumedRecord,
    ) -> Result<(), RecordFailure> {
        for (stage, converter, bytes) in [
            (Stage::KeyConverter, &self.key, &record.key),
            (Stage::ValueConverter, &self.value, &record.value),
        ] {
            let (Some(lookup), Some(bytes)) = (converter.plugin.schema_lookup(), bytes) else {
                continue;
            };
            if !lookup.can_read(&record.topic, bytes) {
                let fetched = lookup.fetch_for_reading(&record.topic, bytes).await;
                fetched.map_err(|cause| {
                    let error = at(record, not_fetched(&cause)).source(cause);
                    RecordFailure::new(stage, converter.used.class, error)
                })?;
            }
        }
        Ok(())
    }

    /// Fetches or registers the schemas that a source's record lacks to be converted.
    pub(super) async fn fetch_for_log(&self, record: &SourceRecord) -> Result<(), RecordFailure> {
        for lack in self.lacks(record) {
            let fetched = lack.lookup.fetch_for_writing(&record.topic, lack.datum);
            fetched.await.map_err(|cause| lack.failed(record, cause))?;
        }
        Ok(())
    }

    /// Fetches the schemas that a source's record lacks to be converted, but registers none; says which a run would
    /// register. Only if it is none can the record be converted.
    pub(super) async fn fetch_for_dry_run(
        &self,
        record: &SourceRecord,
    ) -> Result<Vec<String>, RecordFailure> {
        let mut unregistered = Vec::new();
        for lack in self.lacks(record) {
            let found = lack.lookup.find_for_writing(&record.topic, lack.datum);
            unregistered.extend(found.await.map_err(|cause| lack.failed(record, cause))?);
        }
        Ok(unregistered)
    }

    /// The parts of a source's record whose converters lack the schema to write them; each is asked in its turn.
    fn lacks<'a>(&'a self, record: &'a SourceRecord) -> impl Iterator<Item = Lack<'a>> {
        let parts = [
            (Stage::KeyConverter, &self.key, &record.key),
            (Stage::ValueConverter, &self.value, &record.value),
        ];
        parts.into_iter().filter_map(|(stage, converter, datum)| {
            let lookup = converter.plugin.schema_lookup()?;
            let class = converter.used.class;
            (!lookup.can_write(&record.topic, datum)).then_some(Lack {
                stage,
                class,
                lookup,
                datum,
            })
        })
    }

    /// Appends what a sink sees of a record of the log: usually one record, none if a transform drops it or if it fails.
    pub(super) fn push_for_sink(
        &mut self,
        record: &ConsumedRecord,
        out: &mut Vec<SinkRecord>,
    ) -> Result<(), RecordFailure> {
        let converted = self.to_connect(record)?;
        if self.chain.is_empty() {
            out.push(converted);
            return Ok(());
        }
        let passed = self.chain.apply_to_sink(converted).map_err(|mut failure| {
            let error = Error::new(failure.error.kind(), "cannot be transformed");
            *failure.error = at(record, error).source(*failure.error);
            failure
        })?;
        out.extend(passed);
        Ok(())
    }

    fn to_connect(&self, record: &ConsumedRecord) -> Result<SinkRecord, RecordFailure> {
        let topic = &*record.topic;
        let datum = |stage, converter: &Named<dyn Converter>, bytes| {
            let converted = converter.plugin.to_connect(topic, &record.headers, bytes);
            converted.map_err(|cause| {
                refused(
                    stage,
                    converter.used.class,
                    |error| at(record, error),
                    cause,
                )
            })
        };
        let key = datum(Stage::KeyConverter, &self.key, record.key.as_ref())?;
        let value = datum(Stage::ValueConverter, &self.value, record.value.as_ref())?;
        let mut headers = Vec::with_capacity(record.headers.len());
        for (name, bytes) in &record.headers {
            let value = self.header.plugin.to_connect(topic, name, bytes.as_ref());
            let value = value.map_err(|cause| {
                let cause = Error::new(cause.kind(), name.to_string()).source(cause);
                refused(
                    Stage::HeaderConverter,
                    self.header.used.class,
                    |error| at(record, error),
                    cause,
                )
            })?;
            headers.push(Header {
                key: name.clone(),
                value,
            });
        }
        let length = |bytes: Option<&Bytes>| bytes.map_or(0, Bytes::len);
        let size = length(record.key.as_ref()) + length(record.value.as_ref());
        Ok(SinkRecord {
            origin: TopicPartition::new(record.topic.clone(), record.partition),
            topic: record.topic.clone(),
            offset: record.offset,
            timestamp: record.timestamp,
            headers,
            key,
            value,
            piece: None,
            size: u32::try_from(size).unwrap_or(u32::MAX),
        })
    }

    /// What the transforms make of a source's record: usually one record, none if one drops it.
    pub(super) fn transformed(
        &mut self,
        record: SourceRecord,
    ) -> Result<Vec<SourceRecord>, RecordFailure> {
        if self.chain.is_empty() {
            return Ok(vec![record]);
        }
        let topic = record.topic.clone();
        self.chain.apply_to_source(record).map_err(|mut failure| {
            let error = Error::new(failure.error.kind(), "cannot be transformed");
            *failure.error = for_topic(&topic, error).source(*failure.error);
            failure
        })
    }

    /// What the log stores of a record that was transformed.
    pub(super) fn to_bytes(&self, record: &SourceRecord) -> Result<ProducerRecord, RecordFailure> {
        let topic = &*record.topic;
        let name = |error| for_topic(topic, error);
        // Transforms name topics after what stands in records.
        check_topic_name(topic).map_err(|cause| {
            RecordFailure::unsent(name(Error::data("it cannot be sent")).source(cause))
        })?;
        let bytes = |stage, converter: &Named<dyn Converter>, datum| {
            let converted = converter.plugin.to_bytes(topic, datum);
            converted.map_err(|cause| refused(stage, converter.used.class, name, cause))
        };
        let mut headers = RawHeaders::with_capacity(record.headers.len());
        for header in &record.headers {
            let bytes = self
                .header
                .plugin
                .to_bytes(topic, &header.key, &header.value);
            let bytes = bytes.map_err(|cause| {
                let cause = Error::new(cause.kind(), header.key.to_string()).source(cause);
                refused(Stage::HeaderConverter, self.header.used.class, name, cause)
            })?;
            headers.push((header.key.clone(), bytes));
        }
        Ok(ProducerRecord {
            topic: record.topic.clone(),
            partition: record.partition,
            timestamp: record.timestamp,
            headers,
            key: bytes(Stage::KeyConverter, &self.key, &record.key)?,
            value: bytes(Stage::ValueConverter, &self.value, &record.value)?,
        })
    }
}

/// A part of a source's record whose schema its converter does not have yet.
struct Lack<'a> {
    stage: Stage,
    class: &'a str,
    lookup: &'a dyn SchemaLookup,
    datum: &'a Datum,
}

impl Lack<'_> {
    fn failed(&self, record: &SourceRecord, cause: Error) -> RecordFailure {
        let error = for_topic(&record.topic, not_fetched(&cause)).source(cause);
        RecordFailure::new(self.stage, self.class, error)
    }
}

/// The error with the record's place.
fn at(record: &ConsumedRecord, error: Error) -> Error {
    let partition = TopicPartition::new(record.topic.clone(), record.partition);
    error.record(&partition, record.offset)
}

fn for_topic(topic: &str, error: Error) -> Error {
    error.operation("record for topic").target(topic)
}

/// A part of a record that its converter refused.
fn refused(
    stage: Stage,
    class: &str,
    name: impl FnOnce(Error) -> Error,
    cause: Error,
) -> RecordFailure {
    let part = match stage {
        Stage::KeyConverter => "key",
        Stage::HeaderConverter => "header",
        _ => "value",
    };
    let error = name(Error::data(format!("the {part} cannot be converted")));
    RecordFailure::new(stage, class, error.source(cause))
}

fn not_fetched(cause: &Error) -> Error {
    Error::new(cause.kind(), "its schema cannot be fetched").retry(cause.verdict())
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
    wrong_options(errors).operation(option)
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
) -> Result<Named<dyn Converter>> {
    let (class, options) = chosen(option, default, connector, worker);
    let known = find_converter_plugin(&class)
        .ok_or_else(|| missing(option, &class, "class could not be found"))?;
    let make = known
        .make
        .ok_or_else(|| missing(option, &class, "it converts headers only"))?;
    Ok(Named {
        used: UsedPlugin::new(known.class, known.version),
        plugin: make(&options, role).map_err(|errors| wrong(option, &errors))?,
    })
}

fn header_converter(
    default: &str,
    connector: &ConfigMap,
    worker: &WorkerSettings,
) -> Result<Named<dyn HeaderConverter>> {
    let option = "header.converter";
    let (class, options) = chosen(option, default, connector, worker);
    let known = find_converter_plugin(&class)
        .ok_or_else(|| missing(option, &class, "class could not be found"))?;
    let make = known
        .make_header
        .ok_or_else(|| missing(option, &class, "it does not convert headers"))?;
    Ok(Named {
        used: UsedPlugin::new(known.class, known.version),
        plugin: make(&options).map_err(|errors| wrong(option, &errors))?,
    })
}
