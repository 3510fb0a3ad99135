//! What a source of rows writes: a message per row, or an envelope per batch of rows.
//!
//! Sources that read lists (an API's answers, a file's lines) share this, so that their options and messages are the same.
//! Holds always: of the messages of one batch only the last carries the offset, so a restart repeats a batch, never skips in it.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{ConnectorConfig, OptionError};
use crate::data::{
    Datum, RawJson, SourceOffset, SourcePartition, SourceRecord, Timestamp, Value, json,
};
use crate::{Error, Result, option_names};

/// What becomes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputForm {
    /// Each row.
    Record,
    /// A batch of rows, in an object that says where they come from and how many there are.
    Envelope,
}

option_names!(OutputForm { "record" => Record, "envelope" => Envelope });

/// Options of what is written.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Output")]
pub struct OutputOptions {
    /// The topic to write to.
    #[option(name = "topic", importance = High, validator = Validator::NonEmpty)]
    pub topic: String,
    /// What becomes a message: each `record`, or an `envelope` of several: `{"source": …, "data": [records], "timestamp": …, "batch_size": …, "processed": false}`. The timestamp is UTC, without a zone.
    #[option(name = "output", default = "record", importance = High)]
    pub form: OutputForm,
    /// The field of a record that becomes its message's key; no key if not given, or where the record lacks it. Not with envelopes.
    #[option(name = "key.field", importance = Medium)]
    pub key_field: Option<String>,
    /// What an envelope says as `source`; the connector's name if not given.
    #[option(name = "envelope.source", importance = Medium)]
    pub envelope_source: Option<String>,
    /// Records in an envelope, at the most.
    #[option(name = "envelope.max.records", default = "500", importance = Medium, validator = Validator::Between(1, 1_000_000))]
    pub envelope_records: u32,
    /// Bytes of records in an envelope, at the most; a larger record has an envelope of its own. Brokers refuse messages over 1 MiB by default.
    #[option(name = "envelope.max.bytes", default = "900000", importance = Low, kind = Int, validator = Validator::AtLeast(1))]
    pub envelope_bytes: u32,
}

impl OutputOptions {
    /// Rules that need several options at once.
    pub fn cross_errors(&self) -> Vec<OptionError> {
        match &self.key_field {
            Some(field) if self.form == OutputForm::Envelope => vec![OptionError::invalid(
                "key.field",
                field,
                "an envelope holds many records and has no key",
            )],
            _ => Vec::new(),
        }
    }
}

/// Turns rows into messages.
#[derive(Debug, Clone)]
pub struct Output {
    options: OutputOptions,
    topic: Arc<str>,
    source: String,
}

/// Where a batch of rows came from, and where to go on after it.
#[derive(Debug, Clone)]
pub struct BatchOrigin {
    /// What was read.
    pub partition: Arc<SourcePartition>,
    /// How far.
    pub offset: SourceOffset,
    /// When.
    pub now: Timestamp,
}

impl Output {
    /// The output of the connector called `connector`.
    pub fn new(options: OutputOptions, connector: &str) -> Self {
        let source = options.envelope_source.as_deref().unwrap_or(connector);
        Self {
            topic: options.topic.as_str().into(),
            source: source.to_owned(),
            options,
        }
    }

    /// The messages for a batch of rows, in order; the last carries the offset. None for no rows.
    ///
    /// # Errors
    /// A data error if a row cannot be written as JSON into an envelope.
    pub fn messages(&self, rows: Vec<Datum>, origin: &BatchOrigin) -> Result<Vec<SourceRecord>> {
        let mut messages: Vec<_> = match self.options.form {
            OutputForm::Record => rows
                .into_iter()
                .map(|row| self.message(self.key(&row), row, origin))
                .collect(),
            OutputForm::Envelope => self
                .envelopes(&rows, origin.now)?
                .into_iter()
                .map(|envelope| self.message(Datum::null(), Datum::json(envelope), origin))
                .collect(),
        };
        if let Some(last) = messages.last_mut() {
            last.source_offset = Some(origin.offset.clone());
        }
        Ok(messages)
    }

    fn message(&self, key: Datum, value: Datum, origin: &BatchOrigin) -> SourceRecord {
        SourceRecord {
            source_partition: origin.partition.clone(),
            source_offset: None,
            topic: self.topic.clone(),
            partition: None,
            timestamp: Some(origin.now),
            headers: Vec::new(),
            key,
            value,
        }
    }

    fn key(&self, row: &Datum) -> Datum {
        let field = self.options.key_field.as_deref();
        let found = field.and_then(|field| row.value().get(field));
        found.map_or_else(Datum::null, key_text)
    }

    fn envelopes(&self, rows: &[Datum], now: Timestamp) -> Result<Vec<RawJson>> {
        let most_records = usize::try_from(self.options.envelope_records).unwrap_or(usize::MAX);
        let most_bytes = usize::try_from(self.options.envelope_bytes).unwrap_or(usize::MAX);
        let mut envelopes = Vec::new();
        let mut batch = Batch::default();
        for row in rows {
            let mut bytes = Vec::new();
            json::write(row, &mut bytes)?;
            let full = batch.count == most_records || batch.data.len() + bytes.len() > most_bytes;
            if full && batch.count > 0 {
                envelopes.push(self.envelope(&std::mem::take(&mut batch), now)?);
            }
            batch.add(&bytes);
        }
        if batch.count > 0 {
            envelopes.push(self.envelope(&batch, now)?);
        }
        Ok(envelopes)
    }

    fn envelope(&self, batch: &Batch, now: Timestamp) -> Result<RawJson> {
        let time = jiff::Timestamp::from_millisecond(now.as_millis())
            .map_err(|cause| Error::internal("the clock is out of range").source(cause))?;
        let source = serde_json::Value::from(self.source.as_str());
        let mut envelope = format!("{{\"source\":{source},\"data\":[").into_bytes();
        envelope.extend_from_slice(&batch.data);
        let rest = format!(
            "],\"timestamp\":\"{}\",\"batch_size\":{},\"processed\":false}}",
            time.strftime("%Y-%m-%dT%H:%M:%S"),
            batch.count
        );
        envelope.extend_from_slice(rest.as_bytes());
        RawJson::validate(Bytes::from(envelope))
    }
}

/// Rows on their way into an envelope: JSON with commas between.
#[derive(Default)]
struct Batch {
    data: Vec<u8>,
    count: usize,
}

impl Batch {
    fn add(&mut self, row: &[u8]) {
        if self.count > 0 {
            self.data.push(b',');
        }
        self.data.extend_from_slice(row);
        self.count += 1;
    }
}

/// A key is text: a value that is not is spelled as JSON spells it.
fn key_text(value: &Value) -> Datum {
    match value {
        Value::Null => Datum::null(),
        Value::String(_) => Datum::schemaless(value.clone()),
        other => {
            let mut text = Vec::new();
            match json::write_value(other, &mut text) {
                Ok(()) => Datum::schemaless(Value::string(String::from_utf8_lossy(&text))),
                Err(_) => Datum::null(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigMap;

    fn options(pairs: &[(&str, &str)]) -> OutputOptions {
        let mut config: ConfigMap = [("topic".to_owned(), "data-stream".to_owned())].into();
        config.extend(
            pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into())),
        );
        OutputOptions::from_map(&config).unwrap()
    }

    fn row(json: &str) -> Datum {
        Datum::json(RawJson::validate(Bytes::copy_from_slice(json.as_bytes())).unwrap())
    }

    fn messages(pairs: &[(&str, &str)], rows: &[&str]) -> Vec<SourceRecord> {
        let origin = BatchOrigin {
            partition: Arc::default(),
            offset: [("at".to_owned(), 7.into())].into(),
            now: Timestamp::from_millis(1_765_621_800_999),
        };
        Output::new(options(pairs), "api_users")
            .messages(rows.iter().map(|text| row(text)).collect(), &origin)
            .unwrap()
    }

    fn text(record: &SourceRecord) -> &str {
        std::str::from_utf8(record.value.raw_json().unwrap()).unwrap()
    }

    #[test]
    fn an_envelope_says_source_records_time_and_number_and_keeps_every_digit() {
        let rows = [
            r#"{"id": 1, "price": 1.10}"#,
            r#"{"id": 12345678901234567890}"#,
        ];
        let made = messages(&[("output", "envelope")], &rows);
        assert_eq!(made.len(), 1);
        assert_eq!(
            text(&made[0]),
            r#"{"source":"api_users","data":[{"id": 1, "price": 1.10},{"id": 12345678901234567890}],"timestamp":"2025-12-13T10:30:00","batch_size":2,"processed":false}"#
        );
    }

    #[test]
    fn only_the_last_message_of_a_batch_carries_the_offset() {
        let made = messages(
            &[("key.field", "id")],
            &[r#"{"id":1}"#, r#"{"id":"b"}"#, "{}"],
        );
        let offsets: Vec<_> = made
            .iter()
            .map(|record| record.source_offset.is_some())
            .collect();
        assert_eq!(offsets, [false, false, true]);
        let keys: Vec<_> = made
            .iter()
            .map(|record| record.key.value().as_str())
            .collect();
        assert_eq!(keys, [Some("1"), Some("b"), None]);
    }

    #[test]
    fn envelopes_end_at_their_limits_and_hold_every_record_once() {
        let rows: Vec<_> = (100..125).map(|number| format!("[{number}]")).collect();
        let rows: Vec<_> = rows.iter().map(String::as_str).collect();
        for (records, bytes, sizes) in [
            ("10", "900000", vec![10, 10, 5]),
            ("1000", "1", vec![1; 25]),
            ("25", "900000", vec![25]),
        ] {
            let limits = [
                ("output", "envelope"),
                ("envelope.max.records", records),
                ("envelope.max.bytes", bytes),
            ];
            let made = messages(&limits, &rows);
            let lengths = made
                .iter()
                .map(|record| match record.value.value().get("data") {
                    Some(Value::Array(items)) => items.len(),
                    other => panic!("no data: {other:?}"),
                });
            assert_eq!(lengths.collect::<Vec<_>>(), sizes);
        }
        assert!(messages(&[("output", "envelope")], &[]).is_empty());
    }

    #[test]
    fn a_key_field_with_envelopes_is_refused() {
        let errors = options(&[("output", "envelope"), ("key.field", "id")]).cross_errors();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].key, "key.field");
    }
}
