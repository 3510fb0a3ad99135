use crate::testing::{fields, json, refused, shares_schemas, typed, value_of};

fn cast(spec: &str, value: &str) -> String {
    value_of("Cast", &[("spec", spec)], json(value))
}

#[test]
fn numbers_are_cast_as_java_casts_them() {
    assert_eq!(cast("int8", "300"), "44");
    assert_eq!(cast("int32", "-3.99"), "-3");
    assert_eq!(cast("int64", "1e300"), "9223372036854775807");
    assert_eq!(cast("int64", "18446744073709551617"), "1");
    assert_eq!(cast("int64", "123.12345678901234567890"), "123");
    assert_eq!(cast("float64", "2"), "2.0");
    assert_eq!(cast("boolean", "0.5"), "false");
    assert_eq!(cast("int16", "true"), "1");
}

#[test]
fn text_is_parsed_and_written_as_java_does() {
    assert_eq!(cast("int8", r#""-128""#), "-128");
    assert!(cast("int8", r#""128""#).contains("out of range"));
    assert_eq!(cast("boolean", r#""TRUE""#), "true");
    assert_eq!(cast("string", "1e10"), r#""1.0E10""#);
    assert_eq!(
        cast("string", "123456789012345678901"),
        r#""123456789012345678901""#
    );
}

#[test]
fn fields_that_are_not_there_are_added_only_without_a_schema() {
    assert_eq!(
        cast("a:int8,b:string", r#"{"a":"1"}"#),
        r#"{"a":1,"b":null}"#
    );
    let value = typed(&fields(&[r#""field":"a","type":"string""#]), r#"{"a":"1"}"#);
    let options = [("spec", "a:int8,b:string")];
    assert_eq!(
        value_of("Cast", &options, value.clone()),
        r#"{a:int8} {"a":1}"#
    );
    assert!(shares_schemas("Cast$Value", &options, &value));
}

#[test]
fn a_null_stays_null_unless_a_default_stands_in() {
    let schema = fields(&[r#""field":"a","type":"int32","optional":true,"default":5"#]);
    let value = typed(&schema, r#"{"a":null}"#);
    assert_eq!(
        value_of("Cast", &[("spec", "a:string")], value),
        r#"{a:string?} {"a":"5"}"#
    );
    assert_eq!(cast("int8", "null"), "null");
}

#[test]
fn logical_types_are_cast_by_what_they_are_encoded_as_and_lose_their_name() {
    let date = r#"{"type":"int32","name":"org.apache.kafka.connect.data.Date","version":1}"#;
    let value = typed(date, "2");
    assert_eq!(
        value_of("Cast", &[("spec", "int64")], value.clone()),
        "int64 2"
    );
    assert_eq!(
        value_of("Cast", &[("spec", "string")], value),
        r#"string "1970-01-03""#
    );
}

#[test]
fn wrong_specs_are_refused() {
    let wrong = |spec: &str| refused("Cast$Value", &[("spec", spec)]);
    assert!(wrong("").contains("at least one field"));
    assert!(wrong("a:int5").contains("Invalid type found in casting spec: int5"));
    assert!(wrong("a:bytes").contains("does not support casting to BYTES"));
    assert!(wrong("int8,a:int8").contains("only specify a single cast"));
    assert!(wrong("a:b:c").contains("Invalid rename mapping"));
}
