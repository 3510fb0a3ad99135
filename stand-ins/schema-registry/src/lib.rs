//! A Schema Registry in memory, for tests: Confluent's HTTP API as far as clients that read and write records use it.
//!
//! It is strict: a schema that does not parse, a reference to nothing, an unknown field, a wrong media type, a missing login
//! are refused with the registry's own codes. Avro is parsed and compared by Avro's library, not by the code under test.
//! Not checked: the compatibility of JSON and Protobuf schemas. Nothing is kept when it stops.

mod answer;
mod check;
mod server;
mod store;

pub use server::{Credentials, RegistryStandIn};
