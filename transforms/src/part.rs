//! The part of a record that a transform works on, and the registration of the classes for each.

use connect_core::data::Datum;
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

    /// Takes the part out; null stays.
    pub(crate) fn take(self, record: &mut TransformRecord) -> Datum {
        std::mem::replace(self.of_mut(record), Datum::null())
    }

    /// The part itself, to be changed.
    pub(crate) fn of_mut(self, record: &mut TransformRecord) -> &mut Datum {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}
