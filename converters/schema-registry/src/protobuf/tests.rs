use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::config::{ConfigMap, ConnectorConfig};
use connect_core::data::{Datum, Field, Schema, Struct, Type, Value, logical};
use proptest::prelude::*;

use super::{Protobuf, ProtobufOptions};
use crate::format::Format;
use crate::registry::Resolved;
use crate::testing::record;

fn format(options: &[(&str, &str)]) -> Protobuf {
    let options: ConfigMap = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Protobuf(ProtobufOptions::from_map(&options).unwrap())
}

const ORDER: &str = r#"
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "item.proto";

// What is bought.
message Order {
  int64 id = 1;
  optional string note = 2;
  State state = 3;
  repeated sint32 counts = 4;
  map<string, shop.Item> items = 5;
  oneof payment { string card = 6; bool cash = 7; }
  google.protobuf.Timestamp at = 8;
  google.protobuf.StringValue nick = 9;
  message Inner { fixed32 n = 1; }
  Inner inner = 10;
  enum State { NEW = 0; DONE = 1; }
}
message Other { string x = 1; }
"#;

fn order() -> Resolved {
    Resolved {
        text: ORDER.to_owned(),
        imports: vec![(
            "item.proto".to_owned(),
            "syntax = \"proto3\"; package shop; message Item { float price = 1; }".to_owned(),
        )],
    }
}

#[test]
fn every_kind_of_field_is_read_and_written_back_the_same() {
    let format = format(&[("wrapper.for.nullables", "true")]);
    let file = format.parse(&order()).unwrap();
    let bytes = [
        &b"\0\x08\x2a\x18\x01"[..], // the first message; id, state
        b"\x22\x02\x02\x03",        // counts, packed
        b"\x2a\x0a\x0a\x01a\x12\x05\x0d\0\0\xc0\x3f", // items
        b"\x38\x01",                // cash
        b"\x42\x0a\x08\xd2\xa6\xd6\xb9\x06\x10\xc0\x84\x3d", // at
        b"\x4a\x03\x0a\x01z",       // nick
        b"\x52\x05\x0d\x07\0\0\0",  // inner
    ]
    .concat();
    let read = format.read(&file, Bytes::from(bytes)).unwrap();
    let value = read.value();
    assert_eq!(value.get("id"), Some(&Value::Int64(42)));
    assert_eq!(value.get("note"), Some(&Value::Null));
    assert_eq!(value.get("state"), Some(&Value::string("DONE")));
    assert_eq!(
        value.get("counts"),
        Some(&Value::Array(vec![Value::Int32(1), Value::Int32(-2)]))
    );
    assert_eq!(
        value.get("items").unwrap().get("a").unwrap().get("price"),
        Some(&Value::Float32(1.5))
    );
    assert_eq!(
        value.get("payment_0").unwrap().get("cash"),
        Some(&Value::Boolean(true))
    );
    assert_eq!(
        value.get("payment_0").unwrap().get("card"),
        Some(&Value::Null)
    );
    assert_eq!(value.get("at"), Some(&Value::Timestamp(1_731_564_370_001)));
    assert_eq!(value.get("nick"), Some(&Value::string("z")));
    assert_eq!(value.get("inner").unwrap().get("n"), Some(&Value::Int64(7)));
    let own = read.schema().unwrap();
    let mut out = Vec::new();
    format.write(&file, own, &read, &mut out).unwrap();
    let again = format.read(&file, Bytes::from(out)).unwrap();
    assert_eq!(again.value(), read.value());
    assert_eq!(own.name.as_deref(), Some("Order"));
    assert_eq!(
        own.field("id").unwrap().schema.parameters["io.confluent.connect.protobuf.Tag"],
        "1"
    );
}

#[test]
fn indexes_choose_the_message() {
    let format = format(&[]);
    let file = format.parse(&order()).unwrap();
    // The second message of the file, then the second inside the first: a map's entry is the first.
    let other = format
        .read(&file, Bytes::from_static(b"\x02\x02\x0a\x01q"))
        .unwrap();
    assert_eq!(other.value().get("x"), Some(&Value::string("q")));
    let inner = format
        .read(
            &file,
            Bytes::from_static(b"\x04\x00\x02\x0d\x01\x00\x00\x00"),
        )
        .unwrap();
    assert_eq!(inner.value().get("n"), Some(&Value::Int64(1)));
    let mut out = Vec::new();
    format
        .write(&file, other.schema().unwrap(), &other, &mut out)
        .unwrap();
    assert_eq!(out, b"\x02\x02\x0a\x01q");
    for wrong in [
        &b""[..],
        b"\x02",
        b"\x02\x7e",
        b"\x01",
        b"\xff\xff\xff\xff\xff\xff",
        b"\0\x0a\x09x",
        b"\0\x08",
    ] {
        let error = format
            .read(&file, Bytes::copy_from_slice(wrong))
            .unwrap_err();
        assert_eq!(error.kind(), connect_core::ErrorKind::Data);
    }
}

fn field(name: &str, schema: Schema) -> Field {
    Field {
        name: name.into(),
        schema: Arc::new(schema),
    }
}

#[test]
fn files_are_written_for_connect_schemas() {
    let mut amount = Schema::new(Type::Bytes).named(logical::DECIMAL).version(1);
    amount.parameters.insert("scale".to_owned(), "2".to_owned());
    let inner = Schema::new(Type::Struct(vec![field("x", Schema::new(Type::Int8))]));
    let schema = Schema::new(Type::Struct(vec![
        field("id", Schema::new(Type::Int32)),
        field("note", Schema::new(Type::String).optional()),
        field("amount", amount),
        field("inner", inner),
        field(
            "tags",
            Schema::new(Type::Map(
                Arc::new(Schema::new(Type::String)),
                Arc::new(Schema::new(Type::Int64)),
            )),
        ),
    ]))
    .named("shop.Order");
    let expected = r#"syntax = "proto3";
package shop;

import "confluent/meta.proto";
import "confluent/type/decimal.proto";

message Order {
  int32 id = 1;
  optional string note = 2;
  confluent.type.Decimal amount = 3 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
  ConnectDefault1 inner = 4;
  map<string, int64> tags = 5;

  message ConnectDefault1 {
    int32 x = 1 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }];
  }
}
"#;
    let format = format(&[("optional.for.nullables", "true")]);
    let derived = format.derive(&schema).unwrap();
    assert_eq!(derived.text, expected);
    assert_eq!(derived.record.as_deref(), Some("shop.Order"));
    let file = format.parse(&Resolved::alone(derived.text)).unwrap();
    let read = format.read(&file, Bytes::from_static(b"\0")).unwrap();
    assert_eq!(
        read.schema()
            .unwrap()
            .field("inner")
            .unwrap()
            .schema
            .field("x")
            .unwrap()
            .schema
            .kind,
        Type::Int8
    );
}

#[test]
fn what_was_read_is_registered_with_the_same_numbers() {
    let format = format(&[]);
    let file = format.parse(&order()).unwrap();
    let read = format
        .read(&file, Bytes::from_static(b"\0\x08\x01"))
        .unwrap();
    let text = format.derive(read.schema().unwrap()).unwrap().text;
    for line in [
        "oneof payment {",
        "string card = 6;",
        "int64 id = 1;",
        "State state = 3;",
        "DONE = 1;",
        "map<string, Item> items = 5;",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    format.parse(&Resolved::alone(text)).unwrap();
}

#[test]
fn a_file_that_was_registered_compiled_is_read() {
    let format = format(&[]);
    let file = format.parse(&order()).unwrap();
    let compiled = file.file.file_descriptor_proto();
    let text = STANDARD.encode(prost_reflect::prost::Message::encode_to_vec(compiled));
    let file = format.parse(&Resolved { text, ..order() }).unwrap();
    let read = format
        .read(&file, Bytes::from_static(b"\0\x08\x2a"))
        .unwrap();
    assert_eq!(read.value().get("id"), Some(&Value::Int64(42)));
}

#[test]
fn what_every_registry_knows_is_imported_without_a_reference() {
    let format = format(&[]);
    for (name, _) in super::known::KNOWN {
        let text = format!("syntax = \"proto3\"; import \"{name}\"; message M {{ int32 n = 1; }}");
        format.parse(&Resolved::alone(text)).unwrap();
    }
    let money = "syntax = \"proto3\"; import \"google/type/money.proto\"; message M { google.type.Money price = 1; }";
    let file = format.parse(&Resolved::alone(money.to_owned())).unwrap();
    let read = format
        .read(&file, Bytes::from_static(b"\0\x0a\x02\x10\x05"))
        .unwrap();
    let price = read.value().get("price").unwrap();
    assert_eq!(price.get("units"), Some(&Value::Int64(5)));
}

#[test]
fn hostile_schemas_are_the_records_fault() {
    let format = format(&[]);
    let itself = "syntax = \"proto3\"; message L { L next = 1; }";
    let file = format.parse(&Resolved::alone(itself.to_owned())).unwrap();
    assert!(format.read(&file, Bytes::from_static(b"\0")).is_err());
    for wrong in [
        "",
        "message",
        "{}",
        "syntax = \"proto3\"; import \"no.proto\"; message M {}",
        "syntax = \"proto3\"; message M { No x = 1; }",
    ] {
        let parsed = format.parse(&Resolved::alone(wrong.to_owned()));
        let read = parsed.and_then(|file| format.read(&file, Bytes::from_static(b"\0")));
        assert_eq!(
            read.unwrap_err().kind(),
            connect_core::ErrorKind::Data,
            "{wrong}"
        );
    }
}

#[test]
fn a_schema_that_is_too_deep_is_refused_and_does_not_end_the_worker() {
    let format = format(&[]);
    let chain = |count: usize| {
        let message =
            |number: usize| format!("message M{number} {{ M{} next = 1; }}\n", number + 1);
        let messages: String = (0..count).map(message).collect();
        format!("syntax = \"proto3\";\n{messages}message M{count} {{}}\n")
    };
    let nested = |count: usize| {
        let opened: String = (0..count)
            .map(|number| format!("message M{number} {{ "))
            .collect();
        format!(
            "syntax = \"proto3\"; /* {{ */ // {{\n{opened}{}",
            "}".repeat(count)
        )
    };
    let read = |text: String| {
        let file = format.parse(&Resolved::alone(text))?;
        format.read(&file, Bytes::from_static(b"\0"))
    };
    for fits in [chain(90), nested(90)] {
        read(fits).unwrap();
    }
    for deep in [chain(5000), nested(5000)] {
        assert_eq!(
            read(deep).unwrap_err().kind(),
            connect_core::ErrorKind::Data
        );
    }
}

/// What Protobuf makes of a value: it has no null lists and maps, and keeps maps by their keys.
fn kept(value: &Value, schema: &Schema) -> Value {
    match (value, &schema.kind) {
        (Value::Null, Type::Array(_)) => Value::Array(Vec::new()),
        (Value::Null, Type::Map(..)) => Value::Map(Vec::new()),
        (Value::Array(values), Type::Array(items)) => {
            Value::Array(values.iter().map(|value| kept(value, items)).collect())
        }
        (Value::Map(entries), Type::Map(_, values)) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), kept(value, values)))
                .collect(),
        ),
        (Value::Struct(fields), Type::Struct(declared)) => Value::Map(
            declared
                .iter()
                .zip(&fields.values)
                .map(|(field, value)| {
                    (
                        Value::String(field.name.clone()),
                        kept(value, &field.schema),
                    )
                })
                .collect(),
        ),
        (value, _) => value.clone(),
    }
}

proptest! {
    #[test]
    fn any_value_that_protobuf_can_hold_comes_back((schema, value) in record()) {
        let format = format(&[("optional.for.nullables", "true")]);
        let own = Arc::new(schema);
        if let Ok(derived) = format.derive(&own) {
            let file = format.parse(&Resolved::alone(derived.text)).unwrap();
            let mut out = Vec::new();
            let datum = Datum::with_schema(own.clone(), value.clone());
            format.write(&file, &own, &datum, &mut out).unwrap();
            let read = format.read(&file, Bytes::from(out)).unwrap();
            let read_schema = read.schema().unwrap();
            prop_assert_eq!(kept(read.value(), read_schema), kept(&value, &own));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let format = format(&[]);
        let file = format.parse(&order()).unwrap();
        let _read_or_refused = format.read(&file, Bytes::from(bytes));
    }
}

#[test]
fn a_null_in_a_list_is_refused() {
    let schema = Arc::new(Schema::new(Type::Struct(vec![field(
        "l",
        Schema::new(Type::Array(Arc::new(Schema::new(Type::String).optional()))),
    )])));
    let format = format(&[]);
    let file = format
        .parse(&Resolved::alone(format.derive(&schema).unwrap().text))
        .unwrap();
    let value = Value::Struct(Struct {
        schema: schema.clone(),
        values: vec![Value::Array(vec![Value::Null])],
    });
    let written = format.write(
        &file,
        &schema,
        &Datum::with_schema(schema.clone(), value),
        &mut Vec::new(),
    );
    assert_eq!(written.unwrap_err().kind(), connect_core::ErrorKind::Data);
}
