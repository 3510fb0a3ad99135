use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::{ConfigMap, ConnectorConfig};
use connect_core::data::{Datum, Field, Schema, Type, Value, logical};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{JsonSchema, JsonSchemaOptions, ONE_OF};
use crate::format::Format;
use crate::registry::Resolved;
use crate::testing::{record, with_schema};

fn format(options: &[(&str, &str)]) -> JsonSchema {
    let options: ConfigMap = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    JsonSchema(JsonSchemaOptions::from_map(&options).unwrap())
}

fn parsed(json: &Json) -> Arc<Schema> {
    format(&[])
        .parse(&Resolved::alone(json.to_string()))
        .unwrap()
}

fn field(name: &str, schema: Schema) -> Field {
    Field {
        name: name.into(),
        schema: Arc::new(schema),
    }
}

#[test]
fn schemas_are_spelled_as_connect_spells_them() {
    let schema = Schema::new(Type::Struct(vec![
        field("id", Schema::new(Type::Int32)),
        field(
            "at",
            Schema::new(Type::Int64)
                .named(logical::TIMESTAMP)
                .version(1)
                .optional(),
        ),
    ]))
    .named("Order");
    assert_eq!(
        format(&[]).derive(&schema).unwrap().text,
        r#"{"type":"object","title":"Order","properties":{"id":{"type":"integer","connect.type":"int32","connect.index":0},"at":{"oneOf":[{"type":"null"},{"type":"integer","title":"org.apache.kafka.connect.data.Timestamp","connect.version":1,"connect.type":"int64"}],"connect.index":1}}}"#
    );
    assert_eq!(
        format(&[
            ("use.optional.for.nonrequired", "true"),
            ("object.additional.properties", "false")
        ])
        .derive(&schema)
        .unwrap()
        .text,
        r#"{"type":"object","title":"Order","properties":{"id":{"type":"integer","connect.type":"int32","connect.index":0},"at":{"type":"integer","title":"org.apache.kafka.connect.data.Timestamp","connect.version":1,"connect.type":"int64","connect.index":1}},"required":["id"],"additionalProperties":false}"#
    );
}

/// As Confluent's converter has it, and as the schema says that is registered for them.
#[test]
fn entries_of_maps_whose_keys_are_no_names_are_objects() {
    let format = format(&[]);
    let values = Arc::new(Schema::new(Type::String));
    let map = |keys: Schema| Arc::new(Schema::new(Type::Map(Arc::new(keys), values.clone())));
    let one = |key| Value::Map(vec![(key, Value::string("a"))]);
    for (schema, value, text) in [
        (
            map(Schema::new(Type::Int32)),
            one(Value::Int32(1)),
            r#"[{"key":1,"value":"a"}]"#,
        ),
        (
            map(Schema::new(Type::String).optional()),
            one(Value::Null),
            r#"[{"key":null,"value":"a"}]"#,
        ),
        (
            map(Schema::new(Type::String)),
            one(Value::string("k")),
            r#"{"k":"a"}"#,
        ),
    ] {
        let text_of_schema = format.derive(&schema).unwrap().text;
        let parsed = format.parse(&Resolved::alone(text_of_schema)).unwrap();
        assert_eq!(parsed.kind, schema.kind);
        let (mut out, datum) = (
            Vec::new(),
            Datum::with_schema(schema.clone(), value.clone()),
        );
        format.write(&parsed, &schema, &datum, &mut out).unwrap();
        assert_eq!(String::from_utf8(out.clone()).unwrap(), text);
        let read = format.read(&parsed, Bytes::from(out)).unwrap();
        assert_eq!(read.value(), &value);
    }
    let numbers = map(Schema::new(Type::Int32));
    for wrong in [
        "[[1,\"a\"]]",
        "[{\"key\":1}]",
        "[{\"key\":1,\"other\":2}]",
        "{\"1\":\"a\"}",
    ] {
        assert!(
            format.read(&numbers, Bytes::from(wrong)).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn schemas_written_by_hand_become_connect_schemas() {
    let schema = Resolved {
        text: json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
            "properties": {
                "id": {"type": "integer", "description": "its number"},
                "price": {"type": ["null", "number"]},
                "state": {"type": "string", "enum": ["NEW", "DONE"]},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "items": {"type": "array", "items": {"$ref": "#/definitions/An%20item"}},
                "customer": {"$ref": "customer.json"},
                "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "required": ["id"],
            "definitions": {"An item": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}},
        })
        .to_string(),
        imports: vec![(
            "customer.json".to_owned(),
            json!({"type": "object", "properties": {"name": {"type": "string"}}}).to_string(),
        )],
    };
    let format = format(&[("use.optional.for.nonrequired", "true")]);
    let schema = format.parse(&schema).unwrap();
    assert_eq!(schema.name.as_deref(), Some("Order"));
    let optional = |name: &str| schema.field(name).unwrap().schema.optional;
    assert!(!optional("id") && optional("price") && optional("items"));
    assert_eq!(
        schema.field("id").unwrap().schema.doc.as_deref(),
        Some("its number")
    );
    let payload = r#"{"id":7,"state":"NEW","tags":{"a":"b"},"items":[{"n":null},{"n":4}],"customer":{"name":"x"},"either":5}"#;
    let read = format
        .read(&schema, Bytes::from_static(payload.as_bytes()))
        .unwrap();
    assert_eq!(read.value().get("id"), Some(&Value::Int64(7)));
    let either = read.value().get("either").unwrap();
    assert_eq!(
        either.get(&format!("{ONE_OF}.field.1")),
        Some(&Value::Int64(5))
    );
    assert_eq!(
        read.value().get("tags").unwrap().get("a"),
        Some(&Value::string("b"))
    );
    let mut out = Vec::new();
    format.write(&schema, &schema, &read, &mut out).unwrap();
    let expected = r#"{"id":7,"price":null,"state":"NEW","tags":{"a":"b"},"items":[{"n":1},{"n":4}],"customer":{"name":"x"},"either":5}"#;
    assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
}

#[test]
fn of_several_objects_the_one_with_all_the_properties_is_chosen() {
    let schema = parsed(&json!({"oneOf": [
        {"type": "object", "properties": {"a": {"type": ["null", "integer"]}}},
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    ]}));
    let read = format(&[])
        .read(&schema, Bytes::from_static(br#"{"a":1,"b":2}"#))
        .unwrap();
    let chosen = read.value().get(&format!("{ONE_OF}.field.1")).unwrap();
    assert_eq!(chosen.get("b"), Some(&Value::Int64(2)));
}

#[test]
fn hostile_schemas_and_payloads_are_the_records_fault() {
    let itself = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
    for wrong in [
        itself,
        json!(1),
        json!({}),
        json!({"type": "nope"}),
        json!({"$ref": "#/no"}),
        json!({"$ref": "no.json"}),
    ] {
        let error = format(&[])
            .parse(&Resolved::alone(wrong.to_string()))
            .err()
            .unwrap();
        assert_eq!(error.kind(), connect_core::ErrorKind::Data);
    }
    let schema = parsed(&json!({"type": "integer"}));
    for wrong in ["", "{", "\"x\"", "1.5", "null"] {
        assert!(
            format(&[])
                .read(&schema, Bytes::from_static(wrong.as_bytes()))
                .is_err()
        );
    }
}

proptest! {
    #[test]
    fn any_value_comes_back_as_it_was_written((schema, value) in record(), numeric in any::<bool>()) {
        let format = format(&[("decimal.format", if numeric { "NUMERIC" } else { "BASE64" })]);
        let own = Arc::new(schema);
        let parsed = format.parse(&Resolved::alone(format.derive(&own).unwrap().text)).unwrap();
        prop_assert_eq!(&*parsed, &*own);
        let mut out = Vec::new();
        let datum = Datum::with_schema(own.clone(), value.clone());
        format.write(&parsed, &own, &datum, &mut out).unwrap();
        let read = format.read(&parsed, Bytes::from(out)).unwrap();
        prop_assert_eq!(read.value(), &with_schema(value, &own));
    }
}
