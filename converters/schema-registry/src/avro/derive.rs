//! The Avro schema of a Connect schema, with names and properties as Confluent's converter writes them: a registry must
//! find that it has the schema already.

use std::collections::BTreeMap;

use connect_core::data::{Field, Schema, Type, logical};
use connect_core::{Error, Result};
use serde_json::{Map, Value as Json, json};

use super::plan::{
    DEFAULT_NAME, DEFAULT_PRECISION, ENUM, FIXED_SIZE, INTERNAL_TYPE, MAP_ENTRY, NAMESPACE,
    PRECISION, UNION,
};
use super::{AvroOptions, defaults};
use crate::format::{Derived, checked_name};

/// The schema as the registry gets it.
pub(super) fn derive(schema: &Schema, options: &AvroOptions) -> Result<Derived> {
    let mut deriver = Deriver {
        options,
        unnamed: 0,
        written: BTreeMap::new(),
        namespace: String::new(),
    };
    let json = deriver.place(schema)?;
    let record = match &json {
        Json::Array(branches) => branches.iter().find_map(record_name),
        json => record_name(json),
    };
    Ok(Derived {
        text: json.to_string(),
        record,
    })
}

fn record_name(json: &Json) -> Option<String> {
    let name = json.get("name")?.as_str()?;
    Some(match json.get("namespace").and_then(Json::as_str) {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}.{name}"),
        _ => name.to_owned(),
    })
}

struct Deriver<'a> {
    options: &'a AvroOptions,
    /// How many structs without a name there were.
    unnamed: u32,
    /// Types with names that were written, by full name: the second time the name is enough.
    written: BTreeMap<String, Schema>,
    /// The namespace around the place: it need not be said again.
    namespace: String,
}

impl Deriver<'_> {
    fn place(&mut self, schema: &Schema) -> Result<Json> {
        if let (Some(UNION), Type::Struct(fields)) = (schema.name.as_deref(), &schema.kind) {
            return self.union(fields, schema.optional);
        }
        let own = self.required(schema)?;
        if !schema.optional {
            return Ok(own);
        }
        Ok(match &schema.default {
            Some(_) => json!([own, "null"]),
            None => json!(["null", own]),
        })
    }

    fn union(&mut self, fields: &[Field], optional: bool) -> Result<Json> {
        let null = optional.then(|| Ok(Json::from("null")));
        let branches = fields.iter().map(|field| self.required(&field.schema));
        Ok(Json::Array(
            null.into_iter().chain(branches).collect::<Result<_>>()?,
        ))
    }

    /// The type without null.
    fn required(&mut self, schema: &Schema) -> Result<Json> {
        let mut own = Map::new();
        let mut kind = |kind: &str| {
            own.insert("type".to_owned(), kind.into());
        };
        match &schema.kind {
            Type::Int8 | Type::Int16 | Type::Int32 => kind("int"),
            Type::Int64 => kind("long"),
            Type::Float32 => kind("float"),
            Type::Float64 => kind("double"),
            Type::Boolean => kind("boolean"),
            Type::String => return self.text(schema),
            Type::Bytes => return self.bytes(schema),
            Type::Array(items) => {
                kind("array");
                let items = self.place(items)?;
                own.insert("items".to_owned(), items);
            }
            Type::Map(keys, values) => return self.map(schema, keys, values),
            Type::Struct(fields) => return self.record(schema, fields),
        }
        self.add_meta_data(schema, &mut own)?;
        let logical_type = match schema.name.as_deref() {
            Some(logical::DATE) => Some("date"),
            Some(logical::TIME) => Some("time-millis"),
            Some(logical::TIMESTAMP) => Some("timestamp-millis"),
            _ => None,
        };
        if let Some(name) = logical_type {
            own.insert("logicalType".to_owned(), name.into());
        }
        let connect_type = match schema.kind {
            Type::Int8 => Some("int8"),
            Type::Int16 => Some("int16"),
            _ => None,
        };
        if let Some(name) = connect_type.filter(|_| self.options.meta_data) {
            own.insert("connect.type".to_owned(), name.into());
        }
        Ok(shortest(own))
    }

    fn text(&mut self, schema: &Schema) -> Result<Json> {
        let name = schema
            .parameters
            .get(ENUM)
            .filter(|_| self.options.enhanced);
        let Some(name) = name else {
            let mut own = Map::new();
            own.insert("type".to_owned(), "string".into());
            self.add_meta_data(schema, &mut own)?;
            return Ok(shortest(own));
        };
        let prefix = format!("{ENUM}.");
        let symbols = schema.parameters.iter();
        let symbols = symbols.filter(|(key, _)| key.starts_with(&prefix));
        let symbols: Vec<_> = symbols
            .map(|(_, symbol)| Json::from(symbol.as_str()))
            .collect();
        self.definition("enum", name, schema, |deriver, own| {
            own.insert("symbols".to_owned(), symbols.into());
            deriver.add_meta_data(schema, own)
        })
    }

    fn bytes(&mut self, schema: &Schema) -> Result<Json> {
        let size = schema.parameters.get(FIXED_SIZE);
        let size = size.and_then(|size| size.parse::<u32>().ok());
        let name = schema
            .name
            .as_deref()
            .filter(|name| *name != logical::DECIMAL);
        if let (Some(size), Some(name)) = (size, name) {
            return self.definition("fixed", name, schema, |deriver, own| {
                own.insert("size".to_owned(), size.into());
                deriver.complete_bytes(schema, own)
            });
        }
        let mut own = Map::from_iter([("type".to_owned(), Json::from("bytes"))]);
        self.complete_bytes(schema, &mut own)?;
        Ok(shortest(own))
    }

    fn complete_bytes(&self, schema: &Schema, own: &mut Map<String, Json>) -> Result<()> {
        let is_decimal = schema.name.as_deref() == Some(logical::DECIMAL);
        if is_decimal {
            let number = |key: &str| schema.parameters.get(key)?.parse::<i64>().ok();
            let scale = number("scale")
                .ok_or_else(|| Error::data("Invalid Decimal schema: scale parameter not found."))?;
            own.insert("scale".to_owned(), scale.into());
            let precision = number(PRECISION).unwrap_or(DEFAULT_PRECISION);
            own.insert("precision".to_owned(), precision.into());
        }
        self.add_meta_data(schema, own)?;
        if is_decimal {
            own.insert("logicalType".to_owned(), "decimal".into());
        }
        Ok(())
    }

    fn map(&mut self, schema: &Schema, keys: &Schema, values: &Schema) -> Result<Json> {
        let is_text = keys.kind == Type::String && (!keys.optional || self.options.optional_keys);
        let mut own = Map::new();
        if is_text {
            own.insert("type".to_owned(), "map".into());
            own.insert("values".to_owned(), self.place(values)?);
        } else {
            own.insert("type".to_owned(), "array".into());
            let entry = self.entry(schema, keys, values)?;
            own.insert("items".to_owned(), entry);
        }
        self.add_meta_data(schema, &mut own)?;
        Ok(Json::Object(own))
    }

    /// The record of key and value. Maps of other types have other records: the second has a number.
    fn entry(&mut self, schema: &Schema, keys: &Schema, values: &Schema) -> Result<Json> {
        let default = format!("{NAMESPACE}.{MAP_ENTRY}");
        let mut name = schema.name.as_deref().unwrap_or(&default).to_owned();
        let mut number = 1;
        let taken = |deriver: &Self, name: &str| {
            let known = deriver.written.get(name);
            known.is_some_and(|known| known.kind != schema.kind)
        };
        while schema.name.is_none() && taken(self, &name) {
            number += 1;
            name = format!("{default}{number}");
        }
        let is_marked = name != default;
        let own = Schema {
            name: schema.name.clone(),
            ..Schema::new(schema.kind.clone())
        };
        self.definition("record", &name, &own, |deriver, own| {
            let mut field = |name: &str, schema| -> Result<Json> {
                Ok(json!({"name": name, "type": deriver.place(schema)?}))
            };
            let fields = [field("key", keys)?, field("value", values)?];
            own.insert("fields".to_owned(), fields.into_iter().collect());
            if is_marked {
                own.insert(INTERNAL_TYPE.to_owned(), MAP_ENTRY.into());
            }
            Ok(())
        })
    }

    fn record(&mut self, schema: &Schema, fields: &[Field]) -> Result<Json> {
        let name = match &schema.name {
            Some(name) => name.to_string(),
            None => self.default_name(),
        };
        self.definition("record", &name, schema, |deriver, own| {
            let fields: Result<Vec<_>> = fields.iter().map(|field| deriver.field(field)).collect();
            own.insert("fields".to_owned(), fields?.into());
            deriver.add_meta_data(schema, own)
        })
    }

    /// Structs without a name are numbered from the second on.
    fn default_name(&mut self) -> String {
        self.unnamed += 1;
        match self.unnamed {
            1 => format!("{NAMESPACE}.{DEFAULT_NAME}"),
            number => format!("{NAMESPACE}.{DEFAULT_NAME}{number}"),
        }
    }

    fn field(&mut self, field: &Field) -> Result<Json> {
        let mut own = Map::new();
        own.insert("name".to_owned(), checked(&field.name)?.into());
        own.insert("type".to_owned(), self.place(&field.schema)?);
        if let Some(doc) = &field.schema.doc {
            own.insert("doc".to_owned(), (**doc).into());
        }
        match &field.schema.default {
            Some(default) => own.insert("default".to_owned(), defaults::to_json(default)?),
            None if field.schema.optional => own.insert("default".to_owned(), Json::Null),
            None => None,
        };
        Ok(Json::Object(own))
    }

    /// A type with a name: the whole where it stands first, else its name. `complete` adds what stands behind the name.
    fn definition(
        &mut self,
        kind: &str,
        full: &str,
        schema: &Schema,
        complete: impl FnOnce(&mut Self, &mut Map<String, Json>) -> Result<()>,
    ) -> Result<Json> {
        let (namespace, name) = full.rsplit_once('.').unwrap_or(("", full));
        let same = Schema {
            optional: false,
            default: None,
            doc: None,
            ..schema.clone()
        };
        match self.written.get(full) {
            Some(written) if *written == same && namespace == self.namespace => {
                return Ok(name.into());
            }
            Some(written) if *written == same => return Ok(full.into()),
            Some(_) => {
                return Err(Error::data(format!(
                    "two different schemas are called {full}"
                )));
            }
            None => self.written.insert(full.to_owned(), same),
        };
        for part in namespace.split('.').filter(|part| !part.is_empty()) {
            checked(part)?;
        }
        let mut own = Map::new();
        own.insert("type".to_owned(), kind.into());
        own.insert("name".to_owned(), checked(name)?.into());
        if namespace != self.namespace {
            own.insert("namespace".to_owned(), namespace.into());
        }
        let around = std::mem::replace(&mut self.namespace, namespace.to_owned());
        let completed = complete(self, &mut own);
        self.namespace = around;
        completed.map(|()| Json::Object(own))
    }

    /// What Avro has no words for.
    fn add_meta_data(&self, schema: &Schema, own: &mut Map<String, Json>) -> Result<()> {
        if !self.options.meta_data {
            return Ok(());
        }
        if let Some(doc) = &schema.doc {
            own.insert("connect.doc".to_owned(), (**doc).into());
        }
        if let Some(version) = schema.version {
            own.insert("connect.version".to_owned(), version.into());
        }
        if !schema.parameters.is_empty() {
            let mut parameters = json!(schema.parameters);
            // Kafka's own first, as it is set first.
            if let (Some(scale), Some(parameters)) =
                (schema.parameters.get("scale"), parameters.as_object_mut())
            {
                parameters.shift_insert(0, "scale".to_owned(), scale.as_str().into());
            }
            own.insert("connect.parameters".to_owned(), parameters);
        }
        if let Some(default) = &schema.default {
            own.insert(
                "connect.default".to_owned(),
                defaults::to_property(default)?,
            );
        }
        if let Some(name) = &schema.name {
            own.insert("connect.name".to_owned(), (**name).into());
        }
        Ok(())
    }
}

/// A type that says nothing but its name is written as the name.
fn shortest(mut own: Map<String, Json>) -> Json {
    let kind = own
        .get("type")
        .filter(|kind| own.len() == 1 && kind.is_string());
    match kind.cloned() {
        Some(kind) => kind,
        None => Json::Object(std::mem::take(&mut own)),
    }
}

fn checked(name: &str) -> Result<&str> {
    checked_name(name, "Avro")
}
