//! `io.confluent.connect.avro.AvroConverter`.
//!
//! An Avro schema is compiled into a [`plan::Plan`]: the Connect schema with, at each place, how values are laid out. Reading
//! and writing follow the plan, so that a record is never held in a form between bytes and Connect data. Avro's own library
//! drops what Connect keeps on primitive types (`connect.type`, `connect.name`, …), which is why schemas are read here.

mod compile;
mod defaults;
mod derive;
mod names;
mod plan;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConnectorConfig;
use connect_core::data::{Datum, Schema};
use connect_core::plugin::ConverterPlugin;
use connect_core::{Error, Result};

use crate::converter::RegistryConverter;
use crate::format::{Derived, Format};
use crate::options::RegistryOptions;
use crate::registry::Resolved;
use plan::Plan;

/// Options of the Avro converter.
#[derive(Debug, ConnectorConfig)]
struct AvroConverterOptions {
    #[option(flatten)]
    registry: RegistryOptions,
    #[option(flatten)]
    avro: AvroOptions,
}

/// How Connect's schemas and Avro's correspond.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Avro")]
struct AvroOptions {
    /// Whether enumerations stay such, and the fields of unions are called by the full names of their types.
    #[option(name = "enhanced.avro.schema.support", default = "false", importance = Medium)]
    enhanced: bool,
    /// Whether schemas that are registered say what Avro has no words for: names, versions, parameters, defaults.
    #[option(name = "connect.meta.data", default = "true", importance = Low)]
    meta_data: bool,
    /// Kept for configurations that set it; `max.schemas.per.subject` says how many schemas are remembered.
    #[option(name = "schemas.cache.config", default = "1000", importance = Low)]
    _schemas_cache: i32,
    /// Whether a union of one type is that type.
    #[option(name = "flatten.singleton.unions", default = "true", importance = Low)]
    flatten_singletons: bool,
    /// Whether documentation and defaults of schemas are left out.
    #[option(name = "discard.type.doc.default", default = "false", importance = Low, unsupported = "documentation and defaults are kept")]
    _discard: bool,
    /// Whether unions and enumerations have the names that are shared by all formats.
    #[option(name = "generalized.sum.type.support", default = "false", importance = Medium, unsupported = "unions are called io.confluent.connect.avro.Union")]
    _generalized: bool,
    /// Whether a map's keys may be optional text.
    #[option(name = "allow.optional.map.keys", default = "false", importance = Low)]
    optional_keys: bool,
    /// Whether characters that Avro's names cannot hold are replaced.
    #[option(name = "scrub.invalid.names", default = "false", importance = Medium, unsupported = "such names are refused; a transform can rename them")]
    _scrub: bool,
    /// Whether the default of an optional field is passed over.
    #[option(name = "ignore.default.for.nullables", default = "false", importance = Medium, unsupported = "defaults of optional fields are used")]
    _ignore_defaults: bool,
}

struct Avro(AvroOptions);

impl Format for Avro {
    const NAME: &'static str = "AVRO";
    type Schema = Plan;

    fn parse(&self, schema: &Resolved) -> Result<Plan> {
        compile::compile(schema, &self.0)
    }

    fn derive(&self, schema: &Schema) -> Result<Derived> {
        derive::derive(schema, &self.0)
    }

    fn read(&self, plan: &Plan, payload: Bytes) -> Result<Datum> {
        let value = read::read(plan, payload)?;
        Ok(Datum::with_schema(plan.schema.clone(), value))
    }

    fn write(&self, plan: &Plan, _: &Arc<Schema>, datum: &Datum, out: &mut Vec<u8>) -> Result<()> {
        write::write_whole(plan, datum.value(), out)
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::data(format!("not a valid Avro schema: {what}"))
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "io.confluent.connect.avro.AvroConverter",
        version: crate::VERSION,
        definition: AvroConverterOptions::definition,
        make: Some(|options, role| {
            let options = AvroConverterOptions::from_map(options)?;
            Ok(Arc::new(RegistryConverter::new(Avro(options.avro), options.registry, role)?))
        }),
        make_header: None,
    }
}
