use super::*;
use connect_core::data::{Decimal, Type, Value};

fn converter(schemas: &str) -> JsonConverter {
    let options = [("schemas.enable".to_owned(), schemas.to_owned())].into();
    JsonConverter::new(&JsonOptions::from_map(&options).unwrap()).unwrap()
}

fn read(schemas: &str, text: &'static str) -> Result<Datum> {
    converter(schemas).read(Some(&Bytes::from_static(text.as_bytes())))
}

const TYPES: &str = r#"{"schema":{"type":"struct","fields":[{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"dec"},{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"d"},{"type":"float","optional":false,"field":"f"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":false},"optional":false,"field":"m"},{"type":"bytes","optional":true,"field":"y"}],"optional":false},"payload":{"dec":"MDk=","d":19737,"f":1.5,"m":{"k":1},"y":null}}"#;

#[test]
fn without_schemas_bytes_stay_as_they_came() {
    let datum = read("false", r#"{ "a" : 1 }"#).unwrap();
    assert_eq!(datum.raw_json().unwrap(), r#"{ "a" : 1 }"#);
    assert_eq!(
        converter("false").write(&datum).unwrap().unwrap(),
        r#"{ "a" : 1 }"#
    );
}

#[test]
fn an_envelope_is_read_and_written_back_the_same() {
    let datum = read("true", TYPES).unwrap();
    let decimal = Decimal {
        unscaled: Bytes::from_static(b"09"),
        scale: 2,
    };
    assert_eq!(datum.value().get("dec"), Some(&Value::Decimal(decimal)));
    assert_eq!(datum.value().get("d"), Some(&Value::Date(19737)));
    assert!(matches!(
        datum.schema().unwrap().field("f").unwrap().schema.kind,
        Type::Float32
    ));
    assert_eq!(converter("true").write(&datum).unwrap().unwrap(), TYPES);
}

#[test]
fn equal_schemas_are_shared() {
    let converter = converter("true");
    let first = converter
        .read(Some(&Bytes::from_static(TYPES.as_bytes())))
        .unwrap();
    let second = converter
        .read(Some(&Bytes::from_static(TYPES.as_bytes())))
        .unwrap();
    assert!(Arc::ptr_eq(
        first.schema().unwrap(),
        second.schema().unwrap()
    ));
}

#[test]
fn plain_json_with_schemas_enabled_says_how_to_mend_it() {
    for text in [r#"{"a":1}"#, "1", r#"{"schema":null,"payload":1,"more":2}"#] {
        let error = read("true", text).unwrap_err();
        assert!(
            error.to_string().contains("schemas.enable=false"),
            "{error}"
        );
    }
}

#[test]
fn null_is_a_tombstone_only_without_a_schema() {
    assert_eq!(converter("true").write(&Datum::null()).unwrap(), None);
    let schema = Arc::new(connect_core::data::Schema::new(Type::String).optional());
    let null = Datum::with_schema(schema, Value::Null);
    assert_eq!(converter("false").write(&null).unwrap().unwrap(), "null");
    let text = r#"{"schema":{"type":"string","optional":true},"payload":null}"#;
    assert_eq!(converter("true").write(&null).unwrap().unwrap(), text);
}

#[test]
fn empty_bytes_are_null_without_schemas_and_an_error_with() {
    assert!(read("false", "").unwrap().is_null());
    assert!(read("true", "").is_err());
}

#[test]
fn a_missing_field_is_its_default_or_an_error() {
    let optional = r#"{"schema":{"type":"struct","optional":false,"fields":[{"field":"a","type":"int32","optional":true,"default":7}]},"payload":{}}"#;
    assert_eq!(
        read("true", optional).unwrap().value().get("a"),
        Some(&Value::Int32(7))
    );
    let required = r#"{"schema":{"type":"struct","optional":false,"fields":[{"field":"a","type":"int32","optional":false}]},"payload":{}}"#;
    assert!(read("true", required).is_err());
}

#[test]
fn a_value_that_does_not_fit_its_type_is_refused() {
    let text = r#"{"schema":{"type":"int8","optional":false},"payload":300}"#;
    assert!(read("true", text).is_err());
}
