//! Records, schemas and values: the data that flows between connectors, converters and transforms.

pub mod date_pattern;
mod datum;
pub mod java;
pub mod json;
pub mod numbers;
mod record;
mod schema;
mod topic_partition;
mod value;

pub use datum::{Datum, RawJson};
pub use record::{
    Header, Headers, Piece, RawHeader, RawHeaders, RecordTimestamp, SinkRecord, SourceOffset,
    SourcePartition, SourceRecord,
};
pub use schema::{Field, Schema, Type, logical};
pub use topic_partition::{Offset, OffsetAndMetadata, Offsets, Timestamp, TopicPartition};
pub use value::{Decimal, Struct, Value};
