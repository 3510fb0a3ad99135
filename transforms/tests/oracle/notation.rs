//! Values and schemas in the oracle's notation, which tells every type apart.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::config::{ConfigMap, find_converter_plugin};
use connect_core::data::{Datum, Decimal, Field, Schema, Struct, Type, Value};
use connect_core::plugin::ConverterRole;
use num_bigint::BigInt;
use serde_json::{Map, Value as Json, json};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Reads `null`, `{"built": …}`, `{"plain": …}` or `{"schema": …, "payload": …}`.
pub(crate) fn datum_from(json: &Json) -> Datum {
    if json.is_null() {
        return Datum::null();
    }
    if let Some(name) = json.get("built") {
        return built(name.as_str().unwrap());
    }
    match json.get("plain") {
        Some(plain) => Datum::schemaless(plain_from(plain)),
        None => envelope(json),
    }
}

fn envelope(json: &Json) -> Datum {
    let class = "org.apache.kafka.connect.json.JsonConverter";
    let make = find_converter_plugin(class).unwrap().make.unwrap();
    let options = ConfigMap::from([("replace.null.with.default".to_owned(), "false".to_owned())]);
    let bytes = Bytes::from(json.to_string());
    make(&options, ConverterRole::Value)
        .unwrap()
        .to_connect("t", &Vec::new(), Some(&bytes))
        .unwrap_or_else(|error| panic!("{json}: {}", error.trace()))
}

/// A struct in a struct, with a default, as the oracle builds it.
fn built(name: &str) -> Datum {
    let field = |name: &str, schema: Schema| Field {
        name: name.into(),
        schema: Arc::new(schema),
    };
    let text = Schema {
        default: Some(Value::string("z")),
        ..Schema::new(Type::String).optional()
    };
    let fields = vec![
        field("b", Schema::new(Type::Int32)),
        field("o", Schema::new(Type::Int32).optional()),
        field("s", text),
    ];
    let mut inner = Schema::new(Type::Struct(fields)).named("inner");
    inner.optional = name.contains("optional");
    let structure = |schema: &Arc<Schema>, values| {
        let schema = schema.clone();
        Value::Struct(Struct { schema, values })
    };
    let without_default = Arc::new(inner.clone());
    let default = vec![Value::Int32(2), Value::Int32(4), Value::Null];
    inner.default = Some(structure(&without_default, default));
    let inner = Arc::new(inner);
    let value = if name.contains("set") {
        structure(&inner, vec![Value::Int32(9), Value::Null, Value::Null])
    } else {
        Value::Null
    };
    let outer = Arc::new(Schema::new(Type::Struct(vec![
        Field {
            name: "a".into(),
            schema: inner,
        },
        field("x", Schema::new(Type::Int32)),
    ])));
    let value = structure(&outer, vec![value, Value::Int32(1)]);
    Datum::with_schema(outer, value)
}

fn plain_from(json: &Json) -> Value {
    match json {
        Json::Object(entries) => match entries.iter().next() {
            Some((name, value)) if entries.len() == 1 && name.starts_with('$') => {
                special(name, value)
            }
            _ => Value::Map(
                entries
                    .iter()
                    .map(|(name, value)| (Value::string(name.as_str()), plain_from(value)))
                    .collect(),
            ),
        },
        Json::Array(items) => Value::Array(items.iter().map(plain_from).collect()),
        other => connect_core::data::json::from_serde(other.clone()),
    }
}

fn special(name: &str, json: &Json) -> Value {
    let integer = || json.as_i64().unwrap();
    match name {
        "$int8" => Value::Int8(integer().try_into().unwrap()),
        "$int16" => Value::Int16(integer().try_into().unwrap()),
        "$int32" => Value::Int32(integer().try_into().unwrap()),
        "$float32" => Value::Float32(json.to_string().parse().unwrap()),
        "$date" => Value::Timestamp(integer()),
        "$bytes" => Value::Bytes(STANDARD.decode(json.as_str().unwrap()).unwrap().into()),
        "$decimal" => Value::Decimal(decimal(json.as_str().unwrap())),
        other => panic!("{other}"),
    }
}

fn decimal(text: &str) -> Decimal {
    let scale = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let unscaled: BigInt = text.replace('.', "").parse().unwrap();
    Decimal {
        unscaled: unscaled.to_signed_bytes_be().into(),
        scale: scale.try_into().unwrap(),
    }
}

/// Schema and value.
pub(crate) fn datum_shown(datum: &Datum) -> Json {
    let mut shown = json!({
        "schema": datum.schema().map(|schema| schema_shown(schema)),
        "value": value_shown(datum.value()),
    });
    if let Value::Struct(fields) = datum.value() {
        let own = without_default(&fields.schema);
        if datum.schema().map(|schema| without_default(schema)) != Some(own.clone()) {
            shown["other"] = own;
        }
    }
    shown
}

/// A default cannot hold a schema that holds it.
fn without_default(schema: &Schema) -> Json {
    let mut shown = schema_shown(schema);
    if let Some(shown) = shown.as_object_mut() {
        shown.shift_remove("default");
    }
    shown
}

fn schema_shown(schema: &Schema) -> Json {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Json| {
        shown.insert(key.to_owned(), value);
    };
    put("type", type_name(&schema.kind).into());
    put("optional", schema.optional.into());
    schema
        .name
        .iter()
        .for_each(|name| put("name", (**name).into()));
    schema
        .version
        .iter()
        .for_each(|version| put("version", (*version).into()));
    schema.doc.iter().for_each(|doc| put("doc", (**doc).into()));
    schema
        .default
        .iter()
        .for_each(|default| put("default", value_shown(default)));
    if !schema.parameters.is_empty() {
        put("parameters", json!(schema.parameters));
    }
    match &schema.kind {
        Type::Struct(fields) => {
            let field =
                |field: &Field| json!({"name": *field.name, "schema": schema_shown(&field.schema)});
            put("fields", fields.iter().map(field).collect());
        }
        Type::Map(keys, values) => {
            put("keys", schema_shown(keys));
            put("values", schema_shown(values));
        }
        Type::Array(items) => put("items", schema_shown(items)),
        _ => {}
    }
    Json::Object(shown)
}

fn type_name(kind: &Type) -> &'static str {
    match kind {
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Float32 => "float32",
        Type::Float64 => "float64",
        Type::Boolean => "boolean",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array(_) => "array",
        Type::Map(..) => "map",
        Type::Struct(_) => "struct",
    }
}

fn value_shown(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!({"boolean": value}),
        Value::Int8(number) => json!({"int8": number}),
        Value::Int16(number) => json!({"int16": number}),
        Value::Int32(number) => json!({"int32": number}),
        Value::Int64(number) => json!({"int64": number}),
        Value::Float32(number) => json!({"float32": number.to_bits().cast_signed()}),
        Value::Float64(number) => json!({"float64": number.to_bits().cast_signed()}),
        Value::Number(text) => json!({"integer": text}),
        Value::String(text) => json!({"string": **text}),
        Value::Bytes(bytes) => json!({"bytes": STANDARD.encode(bytes)}),
        Value::Decimal(decimal) => {
            let unscaled = BigInt::from_signed_bytes_be(&decimal.unscaled);
            json!({"decimal": format!("{unscaled}e{}", -decimal.scale)})
        }
        Value::Date(days) => json!({"date": i64::from(*days) * MILLIS_PER_DAY}),
        Value::Time(millis) => json!({"date": millis}),
        Value::Timestamp(millis) => json!({"date": millis}),
        Value::Array(items) => json!({"array": items.iter().map(value_shown).collect::<Vec<_>>()}),
        Value::Map(entries) => map_shown(entries),
        Value::Struct(fields) => {
            let Type::Struct(declared) = &fields.schema.kind else {
                return json!({"struct": "without fields"});
            };
            assert_eq!(declared.len(), fields.values.len(), "a value per field");
            let names = declared.iter().map(|field| field.name.to_string());
            let values = fields.values.iter().map(value_shown);
            json!({"struct": names.zip(values).collect::<Map<_, _>>()})
        }
    }
}

fn map_shown(entries: &[(Value, Value)]) -> Json {
    let shown = |(key, value): &(Value, Value)| json!([value_shown(key), value_shown(value)]);
    let mut entries: Vec<_> = entries.iter().map(shown).collect();
    entries.sort_by_key(|entry| entry[0].to_string());
    json!({"map": entries})
}
