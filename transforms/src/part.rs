//! The part of a record that a transform works on, and the registration of the classes.

use std::sync::Arc;

use connect_core::data::{Datum, Schema, Value};
use connect_core::plugin::TransformRecord;

/// Key or value: Kafka's `$Key` and `$Value` classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The record's key.
    Key,
    /// The record's value.
    Value,
}

impl Part {
    /// The part itself.
    pub(crate) fn of(self, record: &TransformRecord) -> &Datum {
        match self {
            Self::Key => &record.key,
            Self::Value => &record.value,
        }
    }

    /// Takes the part out, as schema and value; null stays.
    pub(crate) fn take(self, record: &mut TransformRecord) -> (Option<Arc<Schema>>, Value) {
        std::mem::replace(self.of_mut(record), Datum::null()).into_parts()
    }

    /// Puts another in its place.
    pub(crate) fn put(self, record: &mut TransformRecord, datum: Datum) {
        *self.of_mut(record) = datum;
    }

    fn of_mut(self, record: &mut TransformRecord) -> &mut Datum {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}

/// Registers a transform of Apache Kafka's: its class, its options and what makes it.
macro_rules! register {
    ($class:literal, $options:ty, $make:expr; $suffix:literal, $part:ident) => {
        crate::part::register!(@concat!($class, $suffix), $options, |options| {
            $make(options, crate::part::Part::$part)
        });
    };
    ($class:literal, $options:ty, $make:expr) => {
        crate::part::register!(@$class, $options, $make);
    };
    (@$class:expr, $options:ty, $make:expr) => {
        connect_core::inventory::submit! {
            connect_core::plugin::TransformPlugin {
                class: concat!("org.apache.kafka.connect.transforms.", $class),
                version: crate::VERSION,
                definition: <$options as connect_core::config::ConnectorConfig>::definition,
                make: |options| {
                    let options = <$options as connect_core::config::ConnectorConfig>::from_map(options)?;
                    Ok(Box::new($make(options)?))
                },
            }
        }
    };
}

/// Registers a transform for keys and for values.
macro_rules! register_parts {
    ($class:literal, $options:ty, $make:expr) => {
        crate::part::register!($class, $options, $make; "$Key", Key);
        crate::part::register!($class, $options, $make; "$Value", Value);
    };
}

pub(crate) use {register, register_parts};
