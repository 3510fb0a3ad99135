use connect_core::data::{Type, Value};
use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::confluent::quickstart;

fn record_of(fields: &Json) -> String {
    json!({"type": "record", "name": "r", "namespace": "n", "fields": fields}).to_string()
}

fn maker(schema: &str, made: u64) -> Maker {
    let (plan, counters) = read(schema, Files::Read).unwrap();
    Maker::new(plan, counters, made)
}

/// A maker of records with one field `f` of this type.
fn maker_of(kind: &Json) -> Maker {
    maker(&record_of(&json!([{"name": "f", "type": kind}])), 0)
}

/// Many values of field `f`.
fn values_of(kind: &Json) -> Vec<Value> {
    let mut maker = maker_of(kind);
    let mut rng = Rng::with_seed(7);
    let field = |_| maker.make(&mut rng).get("f").unwrap().clone();
    (0..200).map(field).collect()
}

/// True if `value` is one that the Avro schema `schema` with its `arg.properties` allows: read once more, by other code.
fn satisfies(schema: &Json, value: &Value) -> bool {
    if let Json::Array(branches) = schema {
        return branches.iter().any(|branch| satisfies(branch, value));
    }
    let name = schema.get("type").unwrap_or(schema);
    if !name.is_string() {
        return satisfies(name, value);
    }
    let properties = &schema["arg.properties"];
    if let Some(options) = properties["options"].as_array() {
        let shown = shown(value);
        return options.contains(&shown);
    }
    match (name.as_str().unwrap(), value) {
        ("null", value) => value.is_null(),
        ("boolean", Value::Boolean(_)) => true,
        ("int", Value::Int32(number) | Value::Date(number) | Value::Time(number)) => {
            is_within(properties, f64::from(*number))
        }
        #[expect(clippy::cast_precision_loss, reason = "the numbers here are small")]
        ("long", Value::Int64(number) | Value::Timestamp(number)) => {
            is_within(properties, *number as f64)
        }
        ("float", Value::Float32(number)) => is_within(properties, f64::from(*number)),
        ("double", Value::Float64(number)) => is_within(properties, *number),
        ("string", Value::String(text)) => is_text(properties, text),
        ("bytes", Value::Decimal(decimal)) => {
            let text = connect_core::data::java::decimal_text(decimal);
            is_within(properties, text.parse().unwrap())
        }
        ("bytes" | "fixed", Value::Bytes(_)) => true,
        ("enum", Value::String(text)) => {
            let symbols = schema["symbols"].as_array().unwrap();
            symbols.iter().any(|symbol| *symbol == **text)
        }
        ("array", Value::Array(items)) => {
            let all = items.iter().all(|item| satisfies(&schema["items"], item));
            all && has_length(properties, items.len())
        }
        ("map", Value::Map(entries)) => {
            let keys = json!({"type": "string", "arg.properties": properties["keys"]});
            let each = |(key, value): &(Value, Value)| {
                satisfies(&keys, key) && satisfies(&schema["values"], value)
            };
            entries.iter().all(each)
        }
        ("record", Value::Struct(record)) => {
            let fields = schema["fields"].as_array().unwrap();
            let pairs = fields.iter().zip(&record.values);
            fields.len() == record.values.len()
                && pairs
                    .into_iter()
                    .all(|(field, value)| satisfies(&field["type"], value))
        }
        _ => false,
    }
}

fn shown(value: &Value) -> Json {
    let mut written = Vec::new();
    connect_core::data::json::write_value(value, &mut written).unwrap();
    serde_json::from_slice(&written).unwrap()
}

fn is_within(properties: &Json, number: f64) -> bool {
    let range = &properties["range"];
    let from = range["min"].as_f64().unwrap_or(f64::MIN);
    let to = range["max"].as_f64().unwrap_or(f64::INFINITY);
    from <= number && number < to
}

fn is_text(properties: &Json, text: &str) -> bool {
    match properties["regex"].as_str() {
        Some(expression) => regex::Regex::new(&format!("^(?:{expression})$"))
            .unwrap()
            .is_match(text),
        None => has_length(properties, text.len()),
    }
}

fn has_length(properties: &Json, length: usize) -> bool {
    let bounds = &properties["length"];
    let bound = |key: &str| {
        bounds[key]
            .as_u64()
            .map(|bound| usize::try_from(bound).unwrap())
    };
    bound("min").is_none_or(|min| min <= length) && bound("max").is_none_or(|max| length < max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn records_of_every_quickstart_are_what_its_schema_allows(seed in any::<u64>(), made in 0_u64..1_000_000) {
        for quickstart in quickstart::ALL {
            let schema: Json = serde_json::from_str(quickstart.schema).unwrap();
            let mut maker = maker(quickstart.schema, made);
            let mut rng = Rng::with_seed(seed);
            for _ in 0..5 {
                let value = maker.make(&mut rng);
                prop_assert!(satisfies(&schema, &value), "{}: {value:?}", quickstart.name);
                prop_assert!(!value.get(quickstart.key).unwrap().is_null());
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_record(seed in any::<u64>()) {
        for quickstart in quickstart::ALL {
            let made = |_| maker(quickstart.schema, 3).make(&mut Rng::with_seed(seed));
            let [one, other] = [0, 1].map(made);
            prop_assert_eq!(one, other);
        }
    }
}

#[test]
fn ranges_lengths_and_options_hold() {
    for kind in [
        json!({"type": "int", "arg.properties": {"range": {"min": -3, "max": 3}}}),
        json!({"type": "long", "arg.properties": {"range": {"min": 10_000_000_000_i64}}}),
        json!({"type": "float", "arg.properties": {"range": {"max": -1.5}}}),
        json!({"type": "double", "arg.properties": {"range": {"min": 0.25, "max": 0.5}}}),
        json!({"type": "string", "arg.properties": {"length": {"min": 2, "max": 4}}}),
        json!({"type": "string", "arg.properties": {"regex": "[a-z]*", "length": {"min": 5, "max": 7}}}),
        json!({"type": "string", "arg.properties": {"options": ["a", "b"]}}),
        json!({"type": "array", "items": "int", "arg.properties": {"length": {"min": 1, "max": 3}}}),
        json!({"type": "enum", "name": "e", "symbols": ["A", "B"], "arg.properties": {"options": ["B"]}}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2, "arg.properties": {"range": {"min": -5, "max": 5}}}),
        json!(["null", {"type": "int", "arg.properties": {"range": {"min": 0, "max": 2}}}]),
        json!("boolean"),
    ] {
        let values = values_of(&kind);
        assert!(
            values.iter().all(|value| satisfies(&kind, value)),
            "{kind}: {values:?}"
        );
        assert!(
            values.iter().any(|value| *value != values[0]) || kind["type"] == "enum",
            "{kind}"
        );
    }
}

#[test]
fn odds_prefixes_and_iterations_hold() {
    let never = values_of(&json!({"type": "boolean", "arg.properties": {"odds": 0.0}}));
    assert!(never.iter().all(|value| *value == Value::Boolean(false)));
    let turns =
        values_of(&json!({"type": "boolean", "arg.properties": {"iteration": {"start": true}}}));
    assert_eq!(turns[..3], [true, false, true].map(Value::Boolean));
    let counted = json!({"start": 7, "restart": 9});
    let text = json!({"type": "string", "arg.properties": {"prefix": "<", "suffix": ">", "iteration": counted}});
    assert_eq!(
        values_of(&text)[..3],
        ["<7>", "<8>", "<7>"].map(Value::string)
    );
    let long = json!({"type": "long", "arg.properties": {"iteration": {"start": 1, "step": 10}}});
    assert_eq!(values_of(&long)[..2], [1, 11].map(Value::Int64));
}

#[test]
fn iterations_go_on_where_so_many_records_were_made() {
    let kind = json!({"type": "int", "arg.properties": {"iteration": {"start": 5}}});
    let schema = record_of(&json!([{"name": "f", "type": kind}]));
    let value = maker(&schema, 12).make(&mut Rng::with_seed(0));
    assert_eq!(value.get("f"), Some(&Value::Int32(17)));
}

#[test]
fn schemas_are_those_of_the_avro_converter() {
    let fields = json!([
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "when"},
        {"name": "maybe", "type": ["null", "string"], "default": null},
        {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}, "default": "LOW"},
        {"name": "again", "type": "Level"},
        {"name": "either", "type": ["int", "n.Level"]},
        {"name": "inner", "type": {"type": "record", "name": "Inner", "doc": "inside", "fields": []}},
    ]);
    let (plan, _) = read(&record_of(&fields), Files::Read).unwrap();
    let field = |name: &str| plan.schema.field(name).unwrap().schema.clone();
    assert_eq!(plan.schema.name.as_deref(), Some("n.r"));
    assert_eq!(
        field("day").name.as_deref(),
        Some("org.apache.kafka.connect.data.Date")
    );
    assert_eq!(field("at").doc.as_deref(), Some("when"));
    assert_eq!(
        (field("maybe").optional, &field("maybe").default),
        (true, &None)
    );
    assert_eq!(field("level").default, Some(Value::string("LOW")));
    assert_eq!(
        field("level").parameters["io.confluent.connect.avro.Enum.HIGH"],
        "HIGH"
    );
    assert_eq!(field("again").name.as_deref(), Some("n.Level"));
    assert_eq!(field("inner").doc.as_deref(), Some("inside"));
    let Type::Struct(branches) = &field("either").kind else {
        panic!("a union is a struct");
    };
    let names: Vec<_> = branches.iter().map(|branch| &*branch.name).collect();
    assert_eq!(names, ["int", "Level"]);
    assert!(branches.iter().all(|branch| branch.schema.optional));
}

#[test]
fn defaults_are_read_as_avro_writes_them() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2});
    for (kind, default, expected) in [
        (json!("int"), json!(7), Value::Int32(7)),
        (json!(["string", "null"]), json!("x"), Value::string("x")),
        (
            json!("bytes"),
            json!("\u{ff}a"),
            Value::Bytes(bytes::Bytes::from_static(b"\xffa")),
        ),
        (
            decimal,
            json!("\u{4}\u{d2}"),
            Value::Decimal(connect_core::data::Decimal {
                unscaled: bytes::Bytes::from_static(&[4, 0xd2]),
                scale: 2,
            }),
        ),
        (
            json!({"type": "array", "items": "int"}),
            json!([1]),
            Value::Array(vec![Value::Int32(1)]),
        ),
    ] {
        let fields = json!([{"name": "f", "type": kind, "default": default}]);
        let (plan, _) = read(&record_of(&fields), Files::Read).unwrap();
        assert_eq!(
            plan.schema.field("f").unwrap().schema.default,
            Some(expected)
        );
    }
}

#[test]
fn structs_have_the_schema_of_their_field() {
    let inner = json!({"type": "record", "name": "inner", "fields": [{"name": "x", "type": "int"}],
        "arg.properties": {"options": [{"x": 1}]}});
    for kind in [inner.clone(), json!(["null", inner])] {
        let mut maker = maker_of(&kind);
        let Type::Struct(fields) = &maker.plan().schema.kind else {
            panic!("a record is a struct");
        };
        let declared = fields[0].schema.clone();
        let mut rng = Rng::with_seed(1);
        for _ in 0..20 {
            if let Some(Value::Struct(made)) = maker.make(&mut rng).get("f") {
                assert_eq!(made.schema, declared);
            }
        }
    }
}

#[test]
fn options_may_stand_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"["x"]"#).unwrap();
    let options = json!({"file": file.path(), "encoding": "json"});
    let values = values_of(&json!({"type": "string", "arg.properties": {"options": options}}));
    assert!(values.iter().all(|value| *value == Value::string("x")));
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    let recursive = json!({"type": "record", "name": "loop", "fields": [{"name": "next", "type": ["null", "loop"]}]});
    for (kind, reason) in [
        (json!("text"), "f: text is no type"),
        (
            json!({"type": "int", "arg.properties": {"range": {"min": 3, "max": 3}}}),
            "is empty",
        ),
        (
            json!({"type": "int", "arg.properties": {"range": {"max": 3_000_000_000_i64}}}),
            "max is no number of this type",
        ),
        (
            json!({"type": "int", "arg.properties": {"options": ["a"]}}),
            "options: \"a\" is no value of this type",
        ),
        (
            json!({"type": "int", "arg.properties": {"options": [1], "range": {"min": 1}}}),
            "options cannot go with range",
        ),
        (
            json!({"type": "string", "arg.properties": {"regex": "("}}),
            "regex",
        ),
        (
            json!({"type": "string", "arg.properties": {"regex": "a", "length": 3}}),
            "makes no texts of length",
        ),
        (
            json!({"type": "string", "arg.properties": {"length": 1_000_000_000}}),
            "length must be a number up to",
        ),
        (
            json!({"type": "boolean", "arg.properties": {"odds": 2}}),
            "odds must be",
        ),
        (
            json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2, "arg.properties": {"range": {"max": 101}}}),
            "more digits",
        ),
        (json!({"type": "array"}), "an array needs items"),
        (
            json!({"type": "enum", "name": "e"}),
            "an enum needs symbols",
        ),
        (json!(["null"]), "a union needs a type"),
        (json!("null"), "null stands in unions only"),
        (recursive, "f: next: loop holds itself"),
    ] {
        let schema = record_of(&json!([{"name": "f", "type": kind}]));
        let error = read(&schema, Files::Read).unwrap_err();
        assert!(error.contains(reason), "{error} should say: {reason}");
    }
    assert!(read("7", Files::Read).is_err());
    assert!(read("{", Files::Read).is_err());
    assert_eq!(
        read("\"int\"", Files::Read).unwrap_err(),
        "the schema must be a record"
    );
}
