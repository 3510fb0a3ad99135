//! `ReplaceField`: leaves fields out and renames them.

use std::sync::Arc;

use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::data::{Datum, Field, Schema, Type, Value};
use connect_core::plugin::{Transform, TransformRecord, Transformed};

use crate::fields::{
    NullOption, check_names, entries, fields_of, like, put, structure, unique, values,
};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;

const PURPOSE: &str = "field replacement";

/// Options of ReplaceField.
#[derive(Debug, ConnectorConfig)]
struct ReplaceFieldOptions {
    /// Fields to leave out; counts more than `include`.
    #[option(name = "exclude", default = "", importance = Medium)]
    exclude: Vec<String>,
    /// Fields to keep; all if empty.
    #[option(name = "include", default = "", importance = Medium)]
    include: Vec<String>,
    /// Fields to rename, as `old:new`.
    #[option(name = "renames", default = "", importance = Medium, validator = Validator::Custom(renames))]
    renames: Vec<String>,
    #[option(flatten)]
    null: NullOption,
}

fn renames(value: &OptionValue) -> Result<(), String> {
    let OptionValue::List(items) = value else {
        return Ok(());
    };
    match items.iter().find(|item| rename(item).is_none()) {
        Some(wrong) => Err(format!("Invalid rename mapping: {wrong}")),
        None => Ok(()),
    }
}

fn rename(text: &str) -> Option<(String, Arc<str>)> {
    let (old, new) = text.split_once(':')?;
    let is_right = !new.is_empty() && !new.contains(':');
    is_right.then(|| (old.to_owned(), new.into()))
}

struct ReplaceField {
    part: Part,
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, Arc<str>)>,
    null: NullOption,
    schemas: SchemaCache<Arc<Schema>>,
}

impl ReplaceField {
    fn new(options: ReplaceFieldOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        let lists = [("exclude", &options.exclude), ("include", &options.include)];
        let checked = lists.map(|(key, names)| check_names(key, names));
        let wrong: Vec<_> = checked.into_iter().filter_map(Result::err).collect();
        if !wrong.is_empty() {
            return Err(wrong.concat());
        }
        Ok(Self {
            part,
            exclude: options.exclude,
            include: options.include,
            renames: options
                .renames
                .iter()
                .filter_map(|text| rename(text))
                .collect(),
            null: options.null,
            schemas: SchemaCache::default(),
        })
    }

    fn keeps(&self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|listed| listed == name);
        !listed(&self.exclude) && (self.include.is_empty() || listed(&self.include))
    }

    fn renamed(&self, name: &Arc<str>) -> Arc<str> {
        // Of several names for one field the last counts.
        let found = self.renames.iter().rev().find(|(old, _)| **old == **name);
        found.map_or(name, |(_, new)| new).clone()
    }

    fn of_map(&self, value: Value) -> Result<Datum> {
        let mut replaced = Vec::new();
        for (key, value) in entries(value, PURPOSE)? {
            match key {
                Value::String(name) if self.keeps(&name) => {
                    put(&mut replaced, &self.renamed(&name), value);
                }
                _ => {}
            }
        }
        Ok(Datum::schemaless(Value::Map(replaced)))
    }

    fn of_struct(&mut self, schema: &Arc<Schema>, value: Value) -> Result<Datum> {
        let fields = fields_of(schema);
        let mut schemas = std::mem::take(&mut self.schemas);
        let replaced = schemas.get(schema, || {
            let kept = fields.iter().filter(|field| self.keeps(&field.name));
            let renamed = kept.map(|field| Field {
                name: self.renamed(&field.name),
                schema: field.schema.clone(),
            });
            Ok(Arc::new(like(
                schema,
                Type::Struct(unique(renamed.collect())?),
            )))
        });
        self.schemas = schemas;
        let kept = fields
            .iter()
            .zip(values(value, PURPOSE)?)
            .filter(|(field, _)| self.keeps(&field.name))
            .map(|(field, value)| self.null.read(&field.schema, value));
        Ok(structure(&replaced?, kept.collect()))
    }
}

impl Transform for ReplaceField {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if self.part.of(&record).is_null() {
            return Ok(Transformed::One(record));
        }
        let (schema, value) = self.part.take(&mut record);
        let replaced = match schema {
            None => self.of_map(value)?,
            Some(schema) => self.of_struct(&schema, value)?,
        };
        self.part.put(&mut record, replaced);
        Ok(Transformed::One(record))
    }
}

register_parts!("ReplaceField", ReplaceFieldOptions, ReplaceField::new);

#[cfg(test)]
mod tests {
    use crate::testing::{fields, json, refused, shares_schemas, typed, value_of};

    #[test]
    fn fields_are_left_out_kept_and_renamed() {
        let replaced = |options: &[(&str, &str)]| {
            value_of("ReplaceField", options, json(r#"{"a":1,"b":2,"c":3}"#))
        };
        assert_eq!(replaced(&[("exclude", "a")]), r#"{"b":2,"c":3}"#);
        assert_eq!(
            replaced(&[("include", "a,b"), ("exclude", "a")]),
            r#"{"b":2}"#
        );
        assert_eq!(
            replaced(&[("include", "c,a"), ("renames", "a:x, c:a")]),
            r#"{"x":1,"a":3}"#
        );
        assert_eq!(value_of("ReplaceField", &[], json("null")), "null");
    }

    #[test]
    fn a_schema_keeps_the_order_and_its_fields_their_schemas() {
        let schema = fields(&[
            r#""field":"a","type":"int32","optional":true,"default":9"#,
            r#""field":"b","type":"string""#,
        ]);
        let value = typed(&schema, r#"{"a":null,"b":"x"}"#);
        let options = [("renames", "b:c")];
        assert_eq!(
            value_of("ReplaceField", &options, value.clone()),
            r#"{a:int32?,c:string} {"a":9,"c":"x"}"#
        );
        assert!(shares_schemas("ReplaceField$Value", &options, &value));
    }

    #[test]
    fn a_rename_needs_both_names() {
        let class = "ReplaceField$Value";
        for renames in ["a", "a:", "a:b:c"] {
            assert!(refused(class, &[("renames", renames)]).contains("renames"));
        }
    }
}
