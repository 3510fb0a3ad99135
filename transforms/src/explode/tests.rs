use super::*;
use crate::testing::{json, map, record, text_of};
use proptest::prelude::*;

fn explode(options: &[(&str, &str)]) -> Explode {
    Explode::new(ExplodeOptions::from_map(&map(options)).unwrap()).unwrap()
}

/// The values of the pieces as JSON.
fn pieces(explode: &mut Explode, value: Datum) -> Result<Vec<String>> {
    match explode.apply(record(Datum::null(), value))? {
        Transformed::Several(pieces) => {
            Ok(pieces.iter().map(|piece| text_of(&piece.value)).collect())
        }
        other => panic!("not pieces: {other:?}"),
    }
}

const ENVELOPE: &str = r#"{"source":"api_users","data":[{"id":1,"name":"John"},{"id":2,"name":"Jane"}],"timestamp":"2025-12-13T10:30:00","batch_size":2,"processed":false}"#;

#[test]
fn rows_of_an_envelope_come_out_one_by_one_with_what_was_chosen_of_it() {
    let mut plain = explode(&[("field", "data")]);
    let rows = pieces(&mut plain, json(ENVELOPE)).unwrap();
    assert_eq!(
        rows,
        [r#"{"id":1,"name":"John"}"#, r#"{"id":2,"name":"Jane"}"#]
    );

    let mut with_envelope = explode(&[
        ("field", "data"),
        ("copy.fields", "source, timestamp:fetched_at"),
        ("index.field", "row"),
    ]);
    let rows = pieces(&mut with_envelope, json(ENVELOPE)).unwrap();
    assert_eq!(
        rows.last().unwrap(),
        r#"{"id":2,"name":"Jane","source":"api_users","fetched_at":"2025-12-13T10:30:00","row":1}"#
    );
}

#[test]
fn key_headers_topic_and_position_stay_with_every_piece() {
    let mut original = record(json(r#"{"k":1}"#), json(ENVELOPE));
    original.headers.push(connect_core::data::Header {
        key: "trace".into(),
        value: json("\"abc\""),
    });
    let Transformed::Several(pieces) = explode(&[("field", "data")])
        .apply(original.clone())
        .unwrap()
    else {
        panic!("not pieces");
    };
    for piece in pieces {
        assert_eq!(piece.topic, original.topic);
        assert_eq!(piece.position, original.position);
        assert_eq!(text_of(&piece.key), r#"{"k":1}"#);
        assert_eq!(piece.headers.len(), 1);
    }
}

#[test]
fn a_copied_field_never_overwrites_one_of_the_element() {
    let value = r#"{"timestamp":"x","data":[{"timestamp":"mine"}]}"#;
    let error = pieces(
        &mut explode(&[("field", "data"), ("copy.fields", "timestamp")]),
        json(value),
    );
    let text = error.unwrap_err().to_string();
    assert!(text.contains("timestamp:new"), "{text}");
}

#[test]
fn scalars_become_values_or_go_to_a_field() {
    let value = r#"{"data":[1,"b",null],"source":"s"}"#;
    let mut named = explode(&[
        ("field", "data"),
        ("element.field", "v"),
        ("copy.fields", "source"),
    ]);
    assert_eq!(
        pieces(&mut named, json(value)).unwrap(),
        [
            r#"{"v":1,"source":"s"}"#,
            r#"{"v":"b","source":"s"}"#,
            r#"{"v":null,"source":"s"}"#
        ]
    );
    let mut bare = explode(&[("field", "data")]);
    assert_eq!(
        pieces(&mut bare, json(r#"{"data":[1,"b"]}"#)).unwrap(),
        ["1", "\"b\""]
    );
    assert!(
        pieces(&mut bare, json(value)).is_err(),
        "a null would be a tombstone"
    );
    let mut copying = explode(&[("field", "data"), ("copy.fields", "source")]);
    assert!(pieces(&mut copying, json(value)).is_err());
}

#[test]
fn a_record_without_the_array_fails_passes_or_goes() {
    for missing in [r#"{"a":1}"#, r#"{"data":null}"#] {
        let run = |behavior| {
            let mut explode = explode(&[("field", "data"), ("behavior.on.missing", behavior)]);
            explode.apply(record(Datum::null(), json(missing)))
        };
        assert!(run("fail").is_err());
        assert!(matches!(run("drop"), Ok(Transformed::Dropped)));
        match run("pass") {
            Ok(Transformed::One(record)) => assert_eq!(text_of(&record.value), missing),
            other => panic!("{other:?}"),
        }
    }
    let tombstone = explode(&[("field", "data")]).apply(record(Datum::null(), Datum::null()));
    assert!(matches!(tombstone, Ok(Transformed::One(record)) if record.value.is_null()));
    assert!(pieces(&mut explode(&[("field", "data")]), json(r#"{"data":{}}"#)).is_err());
    assert!(
        pieces(&mut explode(&[("field", "data")]), json(r#"{"data":[]}"#))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn structs_get_one_schema_for_all_pieces_of_all_records() {
    let text = || Arc::new(Schema::new(Type::String));
    let field = |name: &str, schema| Field {
        name: name.into(),
        schema,
    };
    let element = Arc::new(Schema::new(Type::Struct(vec![field(
        "id",
        Arc::new(Schema::new(Type::Int32)),
    )])));
    let envelope = Arc::new(Schema::new(Type::Struct(vec![
        field("source", text()),
        field("data", Arc::new(Schema::new(Type::Array(element.clone())))),
    ])));
    let row = |id| {
        Value::Struct(Struct {
            schema: element.clone(),
            values: vec![Value::Int32(id)],
        })
    };
    let value = Value::Struct(Struct {
        schema: envelope.clone(),
        values: vec![Value::string("api"), Value::Array(vec![row(1), row(2)])],
    });
    let mut explode = explode(&[
        ("field", "data"),
        ("copy.fields", "source"),
        ("index.field", "row"),
    ]);
    let mut schemas = Vec::new();
    for _ in 0..2 {
        let datum = Datum::with_schema(envelope.clone(), value.clone());
        let Transformed::Several(pieces) = explode.apply(record(Datum::null(), datum)).unwrap()
        else {
            panic!("not pieces");
        };
        let texts: Vec<_> = pieces.iter().map(|piece| text_of(&piece.value)).collect();
        assert_eq!(
            texts,
            [
                r#"{"id":1,"source":"api","row":0}"#,
                r#"{"id":2,"source":"api","row":1}"#
            ]
        );
        schemas.extend(
            pieces
                .iter()
                .filter_map(|piece| piece.value.schema().cloned()),
        );
    }
    assert_eq!(schemas.len(), 4);
    assert!(
        schemas
            .windows(2)
            .all(|pair| Arc::ptr_eq(&pair[0], &pair[1]))
    );
}

#[test]
fn wrong_options_are_refused_by_name() {
    let made = |options: &[(&str, &str)]| {
        Explode::new(ExplodeOptions::from_map(&map(options))?).map(|_| ())
    };
    for options in [
        &[][..],
        &[("field", "")],
        &[("field", "data"), ("copy.fields", "a:")],
        &[("field", "data"), ("copy.fields", "a:x,b:x")],
        &[
            ("field", "data"),
            ("copy.fields", "a"),
            ("index.field", "a"),
        ],
        &[("field", "data"), ("behavior.on.missing", "perhaps")],
    ] {
        assert!(made(options).is_err(), "{options:?}");
    }
}

proptest! {
    #[test]
    fn every_element_comes_out_once_and_in_order(ids in proptest::collection::vec(any::<i64>(), 0..50)) {
        let rows: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        let value = format!(r#"{{"data":[{}]}}"#, rows.join(","));
        let mut explode = explode(&[("field", "data")]);
        prop_assert_eq!(pieces(&mut explode, json(&value)).unwrap(), rows);
    }
}
