//! The generator's options.

use connect_core::config::{
    ConnectorConfig, OptionError, OptionType, OptionValue, Validator, ValueOf,
};

use crate::events::{Disorder, EventKind};

impl ValueOf for EventKind {
    const KIND: OptionType = OptionType::String;

    fn validator() -> Validator {
        Validator::OneOfIgnoreCase(&Self::NAMES)
    }

    fn from_value(value: OptionValue) -> Result<Self, String> {
        let name = String::from_value(value)?;
        Self::named(&name).ok_or_else(|| {
            let names = Self::NAMES.join(", ");
            format!("String must be one of (case insensitive): {names}")
        })
    }
}

/// Options of the generator source.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Generator")]
pub(crate) struct DatagenConfig {
    /// The topic to write to.
    #[option(name = "kafka.topic", importance = High, validator = Validator::NonEmpty)]
    pub(crate) topic: String,
    /// What is generated: retail `sales`, retail `orders` with ids that count up, `transactions`, or one of a car dealer's six systems.
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
    /// Percent of the events that carry a time 11 to 60 minutes back: beyond a watermark of ten minutes.
    #[option(name = "late.percent", default = "0", importance = Low)]
    pub(crate) late: f64,
    /// Percent of the events that are written twice in a row. `count` and `rate` count such an event once.
    #[option(name = "duplicates.percent", default = "0", importance = Low)]
    pub(crate) duplicates: f64,
    /// Events handed over at once, at the most.
    #[option(name = "batch.size", default = "1000", importance = Low, validator = Validator::Between(1, 100_000))]
    pub(crate) batch_size: u32,
}

impl DatagenConfig {
    pub(crate) fn disorder(&self) -> Disorder {
        Disorder {
            late: self.late,
            duplicates: self.duplicates,
        }
    }

    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        if !(self.rate >= 0.0 && self.rate.is_finite()) {
            errors.push(OptionError::invalid(
                "rate",
                &self.rate.to_string(),
                "Value must be at least 0",
            ));
        }
        let percents = [
            ("late.percent", self.late),
            ("duplicates.percent", self.duplicates),
        ];
        for (key, percent) in percents {
            if !(0.0..=100.0).contains(&percent) {
                let reason = "Value must be between 0 and 100";
                errors.push(OptionError::invalid(key, &percent.to_string(), reason));
            }
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
