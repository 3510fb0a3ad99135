//! `SetSchemaMetadata`: sets name and version of the schema.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Schema, Struct, Value};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, fields_of};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;

/// Options of SetSchemaMetadata.
#[derive(Debug, ConnectorConfig)]
struct SetSchemaMetadataOptions {
    /// The name; as it is if not given.
    #[option(name = "schema.name", importance = High)]
    name: Option<String>,
    /// The version; as it is if not given.
    #[option(name = "schema.version", importance = High)]
    version: Option<i32>,
    #[option(flatten)]
    null: NullOption,
}

struct SetSchemaMetadata {
    part: Part,
    name: Option<Arc<str>>,
    version: Option<i32>,
    null: NullOption,
    schemas: SchemaCache<Arc<Schema>>,
}

impl SetSchemaMetadata {
    fn new(options: SetSchemaMetadataOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        if options.name.is_none() && options.version.is_none() {
            let text = "Neither schema name nor version configured";
            return Err(vec![OptionError::new("schema.name", text)]);
        }
        Ok(Self {
            part,
            name: options.name.map(Into::into),
            version: options.version,
            null: options.null,
            schemas: SchemaCache::default(),
        })
    }
}

impl Transform for SetSchemaMetadata {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            if value.is_null() {
                return Ok(Transformed::One(record));
            }
            return Err(Error::data(
                "Schema required for [updating schema metadata]",
            ));
        };
        let (name, version) = (&self.name, self.version);
        let updated = self.schemas.get(&schema, || {
            Ok(Arc::new(Schema {
                name: name.clone().or_else(|| schema.name.clone()),
                version: version.or(schema.version),
                ..(*schema).clone()
            }))
        })?;
        let value = match value {
            Value::Struct(fields) => Value::Struct(Struct {
                values: self.null.read_all(fields_of(&schema), fields.values),
                schema: updated.clone(),
            }),
            other => other,
        };
        self.part
            .put(&mut record, Datum::with_schema(updated, value));
        Ok(Transformed::One(record))
    }
}

register_parts!(
    "SetSchemaMetadata",
    SetSchemaMetadataOptions,
    SetSchemaMetadata::new
);

#[cfg(test)]
mod tests {
    use crate::testing::{fields, json, shares_schemas, typed, value_of};

    const OPTIONS: [(&str, &str); 2] = [("schema.name", "n"), ("schema.version", "3")];

    #[test]
    fn the_schema_gets_name_and_version_and_so_does_the_struct() {
        let value = typed(&fields(&[r#""field":"a","type":"int32""#]), r#"{"a":1}"#);
        assert_eq!(
            value_of("SetSchemaMetadata", &OPTIONS, value.clone()),
            r#"{a:int32}#n {"a":1}"#
        );
        assert!(shares_schemas("SetSchemaMetadata$Value", &OPTIONS, &value));
        let value = typed(r#"{"type":"string","optional":true}"#, "null");
        assert_eq!(
            value_of("SetSchemaMetadata", &OPTIONS, value),
            "string#n? null"
        );
    }

    #[test]
    fn a_value_without_schema_is_an_error_but_a_tombstone_is_not() {
        assert_eq!(
            value_of("SetSchemaMetadata", &OPTIONS, json("1")),
            "Schema required for [updating schema metadata]"
        );
        assert_eq!(
            value_of("SetSchemaMetadata", &OPTIONS, json("null")),
            "null"
        );
    }
}
