//! The generator's options.

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::option_names;

use crate::events::EventKind;

option_names!(EventKind { "sales" => Sales, "orders" => Orders });

/// Options of the generator source.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Generator")]
pub(crate) struct DatagenConfig {
    /// The topic to write to.
    #[option(name = "kafka.topic", importance = High, validator = Validator::NonEmpty)]
    pub(crate) topic: String,
    /// What is generated: retail `sales`, or `orders` for the lakehouse.
    #[option(name = "event.type", importance = High)]
    pub(crate) kind: EventKind,
    /// Events a second, all tasks together; 0 is as fast as possible.
    #[option(name = "rate", default = "1.0", importance = High)]
    pub(crate) rate: f64,
    /// Events in all, all tasks together; -1 is without end.
    #[option(name = "count", default = "-1", importance = Medium, validator = Validator::AtLeast(-1))]
    pub(crate) count: i64,
    /// The field that becomes the record's key; no key if not given.
    #[option(name = "key.field", importance = Medium)]
    pub(crate) key_field: Option<String>,
    /// The same seed makes the same events.
    #[option(name = "seed", default = "1", importance = Low)]
    pub(crate) seed: i64,
    /// Events handed over at once, at the most.
    #[option(name = "batch.size", default = "1000", importance = Low, validator = Validator::Between(1, 100_000))]
    pub(crate) batch_size: u32,
}

impl DatagenConfig {
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        if !(self.rate >= 0.0 && self.rate.is_finite()) {
            errors.push(OptionError::invalid(
                "rate",
                &self.rate.to_string(),
                "Value must be at least 0",
            ));
        }
        if let Some(field) = &self.key_field
            && !self.kind.fields().contains(&field.as_str())
        {
            let reason = format!("must be one of {}", self.kind.fields().join(", "));
            errors.push(OptionError::invalid("key.field", field, &reason));
        }
        errors
    }
}
