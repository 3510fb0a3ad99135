//! Converters whose schemas are kept in a Schema Registry: `io.confluent.connect.avro.AvroConverter`,
//! `io.confluent.connect.json.JsonSchemaConverter` and `io.confluent.connect.protobuf.ProtobufConverter`.
//!
//! All three share the frame of a record (a zero byte, the schema's id, the payload), the registry's client, its caches and
//! the naming of subjects; a format says how its schemas and values look. The worker fetches what a record lacks before it
//! converts it: converting itself never waits.

mod avro;
mod client;
mod converter;
mod format;
mod json_schema;
mod options;
mod protobuf;
mod registry;
mod subject;
#[cfg(test)]
mod testing;
mod tls;
mod wire;

/// Version shown by `/connector-plugins`.
const VERSION: &str = env!("CARGO_PKG_VERSION");
