//! `io.confluent.connect.json.JsonSchemaConverter`: JSON whose schema is a JSON Schema.
//!
//! Values are not validated: a schema says what Connect makes of them.

mod derive;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConnectorConfig;
use connect_core::data::{Datum, Schema, Struct, Type, Value};
use connect_core::plugin::ConverterPlugin;
use connect_core::{Error, Result};
use serde_json::Value as Json;
use sluice_converters::payload::{DecimalFormat, MapForm, Reader, Writer};

use crate::converter::RegistryConverter;
use crate::format::{Derived, Format};
use crate::options::RegistryOptions;
use crate::registry::Resolved;

/// The name of the struct that stands for one of several types; its fields are called so too, with a number.
const ONE_OF: &str = "io.confluent.connect.json.OneOf";
/// The parameter that marks an enumeration; with a dot and a symbol behind it, each symbol.
const ENUM: &str = "io.confluent.connect.json.Enum";

/// Options of the JSON Schema converter.
#[derive(Debug, ConnectorConfig)]
struct JsonSchemaConverterOptions {
    #[option(flatten)]
    registry: RegistryOptions,
    #[option(flatten)]
    json: JsonSchemaOptions,
}

/// How Connect's schemas and JSON's correspond.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "JSON Schema")]
struct JsonSchemaOptions {
    /// Kept for configurations that set it; `max.schemas.per.subject` says how many schemas are remembered.
    #[option(name = "schemas.cache.size", default = "1000", importance = Low)]
    _schemas_cache: i32,
    /// Whether objects of schemas that are registered may have more properties.
    #[option(name = "object.additional.properties", default = "true", importance = Low)]
    additional_properties: bool,
    /// Whether properties that are not required are optional fields, and optional fields properties that are not required.
    #[option(name = "use.optional.for.nonrequired", default = "false", importance = Low)]
    optional_for_nonrequired: bool,
    /// How decimals are written: their bytes in base64, or a JSON number. Both are read.
    #[option(name = "decimal.format", default = "BASE64", importance = Low)]
    decimal_format: DecimalFormat,
    /// Whether a null in an optional field with a default is written and read as the default.
    #[option(name = "replace.null.with.default", default = "true", importance = Low)]
    replace_null: bool,
    /// Whether unions and enumerations have the names that are shared by all formats.
    #[option(name = "generalized.sum.type.support", default = "false", importance = Medium, unsupported = "one of several types is called io.confluent.connect.json.OneOf")]
    _generalized: bool,
    /// Whether values are validated.
    #[option(name = "json.fail.invalid.schema", default = "false", importance = Low, unsupported = "values are not validated")]
    _validate: bool,
}

struct JsonSchema(JsonSchemaOptions);

impl Format for JsonSchema {
    const NAME: &'static str = "JSON";
    const WRITES_NULL: bool = true;
    type Schema = Arc<Schema>;

    fn parse(&self, schema: &Resolved) -> Result<Arc<Schema>> {
        parse::parse(schema, &self.0).map(Arc::new)
    }

    fn derive(&self, schema: &Schema) -> Result<Derived> {
        let json = derive::derive(schema, &self.0)?;
        Ok(Derived {
            text: json.to_string(),
            record: schema.name.as_deref().map(str::to_owned),
        })
    }

    fn read(&self, schema: &Arc<Schema>, payload: Bytes) -> Result<Datum> {
        let json = serde_json::from_slice(&payload)
            .map_err(|cause| Error::data("the payload is not JSON").source(cause))?;
        let reader = Reader {
            replace_null: self.0.replace_null,
            maps: MapForm::Objects,
            own: read_one_of,
        };
        let value = reader.read(schema, json)?;
        Ok(Datum::with_schema(schema.clone(), value))
    }

    fn write(
        &self,
        _: &Self::Schema,
        own: &Arc<Schema>,
        datum: &Datum,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let writer = Writer {
            decimals: self.0.decimal_format,
            replace_null: self.0.replace_null,
            maps: MapForm::Objects,
            own: write_one_of,
        };
        writer.write(Some(own), datum.value(), out)
    }
}

fn branches(schema: &Schema) -> Option<&[connect_core::data::Field]> {
    match &schema.kind {
        Type::Struct(fields) if schema.name.as_deref() == Some(ONE_OF) => Some(fields),
        _ => None,
    }
}

/// The first of the types that the value fits: a struct in which only its field is set.
fn read_one_of(reader: &Reader, schema: &Arc<Schema>, json: &Json) -> Option<Result<Value>> {
    let fields = branches(schema)?;
    if json.is_null() {
        return None;
    }
    let mut values = vec![Value::Null; fields.len()];
    for (field, place) in fields.iter().zip(&mut values) {
        if !fits(&field.schema, json) {
            continue;
        }
        if let Ok(value) = reader.read(&field.schema, json.clone()) {
            *place = value;
            let schema = schema.clone();
            return Some(Ok(Value::Struct(Struct { schema, values })));
        }
    }
    Some(Err(Error::data(
        "the value fits none of the types that its schema names",
    )))
}

/// True if no field of the value would be lost.
fn fits(schema: &Schema, json: &Json) -> bool {
    match (&schema.kind, json) {
        (Type::Struct(_), Json::Object(properties)) if schema.name.as_deref() != Some(ONE_OF) => {
            properties.keys().all(|name| schema.field(name).is_some())
        }
        _ => true,
    }
}

fn write_one_of<'a>(
    schema: &'a Schema,
    value: &'a Value,
) -> Option<Result<(&'a Schema, &'a Value)>> {
    let fields = branches(schema)?;
    let Value::Struct(chosen) = value else {
        return None;
    };
    let mut set = fields
        .iter()
        .zip(&chosen.values)
        .filter(|(_, value)| !value.is_null());
    let branch = set.next().map(|(field, value)| (&*field.schema, value));
    Some(branch.ok_or_else(|| Error::data("none of the fields of a union is set")))
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "io.confluent.connect.json.JsonSchemaConverter",
        version: crate::VERSION,
        definition: JsonSchemaConverterOptions::definition,
        make: Some(|options, role| {
            let options = JsonSchemaConverterOptions::from_map(options)?;
            Ok(Arc::new(RegistryConverter::new(JsonSchema(options.json), options.registry, role)?))
        }),
        make_header: None,
    }
}
