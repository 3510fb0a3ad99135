use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{Datum, Schema, Struct, Type, Value, logical};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Avro, AvroOptions};
use crate::format::Format;
use crate::registry::Resolved;
use crate::testing::{record, with_schema};
use connect_core::config::{ConfigMap, ConnectorConfig};

fn avro(options: &[(&str, &str)]) -> Avro {
    let options: ConfigMap = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Avro(AvroOptions::from_map(&options).unwrap())
}

fn parsed(avro: &Avro, json: &Json) -> super::Plan {
    avro.parse(&Resolved::alone(json.to_string())).unwrap()
}

fn derived(schema: &Schema) -> Json {
    serde_json::from_str(&avro(&[]).derive(schema).unwrap().text).unwrap()
}

/// Written by the schema's own derived form, and read again.
fn round_trip(schema: &Schema, value: &Value) -> Datum {
    let avro = avro(&[]);
    let plan = avro
        .parse(&Resolved::alone(avro.derive(schema).unwrap().text))
        .unwrap();
    let (mut out, own) = (Vec::new(), Arc::new(schema.clone()));
    let datum = Datum::with_schema(own.clone(), value.clone());
    avro.write(&plan, &own, &datum, &mut out).unwrap();
    avro.read(&plan, Bytes::from(out)).unwrap()
}

#[test]
fn bytes_are_those_of_the_specification() {
    let avro = avro(&[]);
    let schema = json!({"type": "record", "name": "test", "fields": [
        {"name": "a", "type": "long"}, {"name": "b", "type": "string"},
        {"name": "c", "type": ["null", {"type": "array", "items": "int"}]},
    ]});
    let plan = parsed(&avro, &schema);
    let bytes = [0x36, 0x06, 0x66, 0x6f, 0x6f, 0x02, 0x04, 0x06, 0x36, 0x00];
    let read = avro.read(&plan, Bytes::copy_from_slice(&bytes)).unwrap();
    assert_eq!(read.value().get("a"), Some(&Value::Int64(27)));
    assert_eq!(read.value().get("b"), Some(&Value::string("foo")));
    let array = Value::Array(vec![Value::Int32(3), Value::Int32(27)]);
    assert_eq!(read.value().get("c"), Some(&array));
    let mut out = Vec::new();
    avro.write(&plan, &plan.schema, &read, &mut out).unwrap();
    assert_eq!(out, bytes);
}

#[test]
fn schemas_are_spelled_as_connect_spells_them() {
    let decimal = |scale: &str| {
        let mut schema = Schema::new(Type::Bytes).named(logical::DECIMAL).version(1);
        schema
            .parameters
            .insert("scale".to_owned(), scale.to_owned());
        schema
    };
    assert_eq!(
        avro(&[]).derive(&decimal("2")).unwrap().text,
        r#"{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#
    );
    let timestamp = Schema::new(Type::Int64)
        .named(logical::TIMESTAMP)
        .version(1);
    assert_eq!(
        avro(&[]).derive(&timestamp.optional()).unwrap().text,
        r#"["null",{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}]"#
    );
    let mut with_default = Schema::new(Type::Int32).optional();
    with_default.default = Some(Value::Int32(7));
    let structure = Schema::new(Type::Struct(vec![
        field("small", Schema::new(Type::Int16)),
        field("a", with_default),
        field("b", Schema::new(Type::String).optional()),
        field(
            "m",
            Schema::new(Type::Map(
                Arc::new(Schema::new(Type::Int32)),
                Arc::new(Schema::new(Type::String)),
            )),
        ),
    ]));
    assert_eq!(
        avro(&[]).derive(&structure).unwrap().text,
        r#"{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"small","type":{"type":"int","connect.type":"int16"}},{"name":"a","type":[{"type":"int","connect.default":7},"null"],"default":7},{"name":"b","type":["null","string"],"default":null},{"name":"m","type":{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}}]}"#
    );
    assert_eq!(derived(&structure)["fields"][0]["name"], "small");
}

/// As a JVM converter of the same lineage spells them: found by running it.
#[test]
fn names_versions_documentation_and_defaults_are_properties() {
    let order = |schema: Schema, default: Option<Value>| Schema { default, ..schema };
    let documented = Schema {
        doc: Some("the a".into()),
        ..Schema::new(Type::Int32)
    };
    let mut schema = Schema::new(Type::Struct(vec![
        field("a", documented),
        field(
            "b",
            order(
                Schema::new(Type::String).optional(),
                Some(Value::string("z")),
            ),
        ),
        field("c", order(Schema::new(Type::Int16), Some(Value::Int16(4)))),
        field(
            "y",
            order(
                Schema::new(Type::Bytes),
                Some(Value::Bytes(Bytes::from_static(b"\0\xff"))),
            ),
        ),
    ]))
    .named("com.x.Order")
    .version(3);
    schema.doc = Some("an order".into());
    assert_eq!(
        avro(&[]).derive(&schema).unwrap().text,
        r#"{"type":"record","name":"Order","namespace":"com.x","fields":[{"name":"a","type":{"type":"int","connect.doc":"the a"},"doc":"the a"},{"name":"b","type":[{"type":"string","connect.default":"z"},"null"],"default":"z"},{"name":"c","type":{"type":"int","connect.default":4,"connect.type":"int16"},"default":4},{"name":"y","type":{"type":"bytes","connect.default":"AP8="},"default":"\u0000ÿ"}],"connect.doc":"an order","connect.version":3,"connect.name":"com.x.Order"}"#
    );
    assert_eq!(
        avro(&[("connect.meta.data", "false")])
            .derive(&schema)
            .unwrap()
            .text,
        r#"{"type":"record","name":"Order","namespace":"com.x","fields":[{"name":"a","type":"int","doc":"the a"},{"name":"b","type":["string","null"],"default":"z"},{"name":"c","type":"int","default":4},{"name":"y","type":"bytes","default":"\u0000ÿ"}]}"#
    );
    let plan = avro(&[]);
    let plan = plan
        .parse(&Resolved::alone(plan.derive(&schema).unwrap().text))
        .unwrap();
    assert_eq!(*plan.schema, schema);
}

fn field(name: &str, schema: Schema) -> connect_core::data::Field {
    connect_core::data::Field {
        name: name.into(),
        schema: Arc::new(schema),
    }
}

#[test]
fn enums_unions_fixed_and_references_become_connect_schemas() {
    let avro = avro(&[]);
    let schema = Resolved {
        text: json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
            {"name": "state", "type": "State", "doc": "how far it is"},
            {"name": "what", "type": ["null", "string", "long", {"type": "record", "name": "Item", "fields": [{"name": "n", "type": "int", "default": 5}]}], "default": null},
            {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 2}},
            {"name": "again", "type": "Item"},
        ]})
        .to_string(),
        imports: vec![(
            "shop.State".to_owned(),
            json!({"type": "enum", "name": "State", "namespace": "shop", "symbols": ["NEW", "DONE"]}).to_string(),
        )],
    };
    let plan = avro.parse(&schema).unwrap();
    assert_eq!(plan.schema.name.as_deref(), Some("shop.Order"));
    let state = &plan.schema.field("state").unwrap().schema;
    assert_eq!(state.doc.as_deref(), Some("how far it is"));
    assert_eq!(
        state.parameters["io.confluent.connect.avro.Enum.DONE"],
        "DONE"
    );
    // DONE, the third branch with n=4, the bytes ab, n=1
    let read = avro
        .read(&plan, Bytes::from_static(b"\x02\x06\x08ab\x02"))
        .unwrap();
    assert_eq!(read.value().get("state"), Some(&Value::string("DONE")));
    let what = read.value().get("what").unwrap();
    assert_eq!(what.get("long"), Some(&Value::Null));
    assert_eq!(what.get("Item").unwrap().get("n"), Some(&Value::Int32(4)));
    let mut out = Vec::new();
    avro.write(&plan, &plan.schema, &read, &mut out).unwrap();
    assert_eq!(out, b"\x02\x06\x08ab\x02");
}

#[test]
fn values_of_a_union_of_one_type_say_that_they_are_of_it() {
    let union = json!([{"type": "null"}, "int", "string"]);
    let record = json!({"type": "record", "name": "R", "fields": [
        {"name": "one", "type": ["int"]}, {"name": "several", "type": union},
    ]});
    let bytes = [0, 10, 2, 12];
    for flatten in ["true", "false"] {
        let avro = avro(&[("flatten.singleton.unions", flatten)]);
        let plan = parsed(&avro, &record);
        let read = avro.read(&plan, Bytes::copy_from_slice(&bytes)).unwrap();
        let one = read.value().get("one").unwrap();
        let one = if flatten == "true" {
            Some(one)
        } else {
            one.get("int")
        };
        assert_eq!(one, Some(&Value::Int32(5)));
        let several = read.value().get("several").unwrap();
        assert_eq!(several.get("int"), Some(&Value::Int32(6)));
        let mut out = Vec::new();
        avro.write(&plan, &plan.schema, &read, &mut out).unwrap();
        assert_eq!(out, bytes);
    }
    let alone = parsed(&avro(&[]), &json!(["int"]));
    assert!(
        avro(&[])
            .read(&alone, Bytes::from_static(b"\x02\x0a"))
            .is_err()
    );
}

#[test]
fn a_struct_of_another_schema_is_written_by_name() {
    let avro = avro(&[]);
    let plan = parsed(
        &avro,
        &json!({"type": "record", "name": "T", "fields": [
            {"name": "new", "type": "string", "default": "x"}, {"name": "a", "type": "long"},
        ]}),
    );
    let own = Arc::new(Schema::new(Type::Struct(vec![connect_core::data::Field {
        name: "a".into(),
        schema: Arc::new(Schema::new(Type::Int32)),
    }])));
    let value = Value::Struct(Struct {
        schema: own.clone(),
        values: vec![Value::Int32(3)],
    });
    let mut out = Vec::new();
    avro.write(
        &plan,
        &own,
        &Datum::with_schema(own.clone(), value),
        &mut out,
    )
    .unwrap();
    assert_eq!(out, b"\x02x\x06");
}

#[test]
fn hostile_bytes_and_schemas_are_the_records_fault() {
    let avro = avro(&[]);
    let plan = parsed(
        &avro,
        &json!({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}),
    );
    let huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert!(avro.read(&plan, Bytes::from_static(huge)).is_err());
    let text = parsed(&avro, &json!("string"));
    for wrong in [&b""[..], b"\x08ab", b"\x02\xff", b"\x02ab", b"\x01"] {
        let error = avro.read(&text, Bytes::copy_from_slice(wrong)).unwrap_err();
        assert_eq!(error.kind(), connect_core::ErrorKind::Data);
    }
    let itself =
        json!({"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]});
    for wrong in [
        itself.to_string(),
        "{".to_owned(),
        json!({"type": "nope"}).to_string(),
        json!("null").to_string(),
    ] {
        assert!(avro.parse(&Resolved::alone(wrong)).is_err());
    }
    // Elements without bytes, in lists of lists.
    let lists = parsed(
        &avro,
        &json!({"type": "array", "items": {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}}),
    );
    let ten_thousand = b"\xa0\x9c\x01\0";
    let payload = [b"\x04", &ten_thousand[..], ten_thousand, b"\0"].concat();
    assert!(avro.read(&lists, Bytes::from(payload)).is_err());
    let payload = [b"\x02", &ten_thousand[..], b"\0"].concat();
    assert!(avro.read(&lists, Bytes::from(payload)).is_ok());
    // Names used again and again.
    let mut fields = json!([{"name": "a", "type": "int"}]);
    for level in 0..40 {
        let inner = json!({"type": "record", "name": format!("R{level}"), "fields": fields});
        fields = json!([{"name": "a", "type": inner}, {"name": "b", "type": format!("R{level}")}]);
    }
    let wide = json!({"type": "record", "name": "Wide", "fields": fields});
    assert!(avro.parse(&Resolved::alone(wide.to_string())).is_err());
}

/// Records each of which holds the next.
fn chain(records: usize) -> String {
    let record = |number: usize| {
        let next = match records - number {
            1 => json!("int"),
            _ => json!(["null", format!("R{}", number + 1)]),
        };
        json!({"type": "record", "name": format!("R{number}"), "fields": [{"name": "next", "type": next}]})
    };
    Json::Array((0..records).map(record).collect()).to_string()
}

#[test]
fn a_schema_that_is_too_deep_is_refused_and_does_not_end_the_worker() {
    let avro = avro(&[]);
    let plan = avro.parse(&Resolved::alone(chain(40))).unwrap();
    assert!(avro.read(&plan, Bytes::from_static(b"\0\0")).is_ok());
    let error = avro.parse(&Resolved::alone(chain(20_000))).unwrap_err();
    assert_eq!(error.kind(), connect_core::ErrorKind::Data);
}

proptest! {
    #[test]
    fn any_value_comes_back_as_it_was_written((schema, value) in record()) {
        let read = round_trip(&schema, &value);
        let schema = Arc::new(schema);
        prop_assert_eq!(&**read.schema().unwrap(), &*schema);
        prop_assert_eq!(read.value(), &with_schema(value, &schema));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), (schema, _) in record()) {
        let avro = avro(&[]);
        let plan = avro.parse(&Resolved::alone(avro.derive(&schema).unwrap().text)).unwrap();
        let _read_or_refused = avro.read(&plan, Bytes::from(bytes));
    }
}
