//! `ExtractField`: puts one field in the place of the key or value.

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Value};
use connect_core::option_names;
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, entries, fields_of, values};
use crate::part::{Part, register_parts};

const PURPOSE: &str = "field extraction";

/// How the field is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// A field at the top.
    V1,
    /// A path.
    V2,
}

option_names!(Syntax { "V1" => V1, "V2" => V2 });

/// Options of ExtractField.
#[derive(Debug, ConnectorConfig)]
struct ExtractFieldOptions {
    /// The field.
    #[option(name = "field", importance = Medium)]
    field: String,
    /// `V1`: the field is at the top. `V2`: it is a path; dots separate steps, and backticks stand around a step that holds dots.
    #[option(name = "field.syntax.version", default = "V1", importance = High)]
    syntax: Syntax,
    #[option(flatten)]
    null: NullOption,
}

struct ExtractField {
    part: Part,
    name: String,
    steps: Vec<String>,
    null: NullOption,
}

impl ExtractField {
    fn new(options: ExtractFieldOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        let steps = match options.syntax {
            Syntax::V1 => vec![options.field.clone()],
            Syntax::V2 => steps(&options.field)
                .map_err(|reason| vec![OptionError::invalid("field", &options.field, &reason)])?,
        };
        Ok(Self {
            part,
            name: options.field,
            steps,
            null: options.null,
        })
    }

    fn of_struct(&self, mut datum: Datum) -> Result<Datum> {
        for step in &self.steps {
            let (schema, value) = datum.into_parts();
            let unknown = || Error::data(format!("Unknown field: {}", self.name));
            let schema = schema.ok_or_else(unknown)?;
            let fields = fields_of(&schema).iter();
            let (index, field) = fields
                .enumerate()
                .find(|(_, field)| *field.name == **step)
                .ok_or_else(unknown)?;
            let value = match value {
                Value::Null => Value::Null,
                value => {
                    let mut values = values(value, PURPOSE)?;
                    if index < values.len() {
                        self.null.read(&field.schema, values.swap_remove(index))
                    } else {
                        Value::Null
                    }
                }
            };
            datum = Datum::with_schema(field.schema.clone(), value);
        }
        Ok(datum)
    }

    fn of_map(&self, mut value: Value) -> Result<Datum> {
        for (depth, step) in self.steps.iter().enumerate() {
            value = match value {
                Value::Null => return Ok(Datum::null()),
                other if depth > 0 && !matches!(other, Value::Map(_)) => return Ok(Datum::null()),
                other => {
                    let found = entries(other, PURPOSE)?
                        .into_iter()
                        .find(|(name, _)| name.as_str() == Some(step));
                    found.map_or(Value::Null, |(_, value)| value)
                }
            };
        }
        Ok(Datum::schemaless(value))
    }
}

/// The steps of a path: dots separate them, backticks keep dots in one, a backslash keeps a backtick.
fn steps(path: &str) -> Result<Vec<String>, String> {
    let mut steps = vec![String::new()];
    let mut characters = path.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        let at_start = steps.last().is_none_or(String::is_empty);
        let at_end = matches!(characters.peek(), None | Some('.'));
        match character {
            '`' if !quoted && at_start => quoted = true,
            '`' if quoted && at_end => quoted = false,
            '\\' if quoted && characters.peek() == Some(&'`') => {
                characters.next();
                steps.last_mut().into_iter().for_each(|step| step.push('`'));
            }
            '.' if !quoted => steps.push(String::new()),
            other => steps
                .last_mut()
                .into_iter()
                .for_each(|step| step.push(other)),
        }
    }
    if quoted {
        return Err(format!("Incomplete backtick pair in path: [{path}]"));
    }
    Ok(steps)
}

impl Transform for ExtractField {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let (schema, value) = self.part.take(&mut record);
        let extracted = match schema {
            None => self.of_map(value)?,
            schema => self.of_struct(Datum::of(schema, value))?,
        };
        self.part.put(&mut record, extracted);
        Ok(Transformed::One(record))
    }
}

register_parts!("ExtractField", ExtractFieldOptions, ExtractField::new);

#[cfg(test)]
mod tests {
    use super::steps;
    use crate::testing::{fields, json, refused, typed, value_of};

    const INNER: &str = r#""field":"a","type":"struct","optional":true,"fields":[{"field":"b.c","type":"int32","optional":true,"default":5}]"#;

    #[test]
    fn backticks_keep_dots_and_backslashes_keep_backticks() {
        assert_eq!(steps("a.b").unwrap(), ["a", "b"]);
        assert_eq!(steps("`a.b`.c").unwrap(), ["a.b", "c"]);
        assert_eq!(steps("a`b.c").unwrap(), ["a`b", "c"]);
        assert_eq!(steps("`a\\`.b`").unwrap(), ["a`.b"]);
        assert!(steps("`a.b").is_err());
    }

    #[test]
    fn a_field_takes_the_place_of_the_value_with_its_schema() {
        let value = typed(&fields(&[INNER]), r#"{"a":{"b.c":7}}"#);
        let extracted = |options: &[(&str, &str)]| value_of("ExtractField", options, value.clone());
        assert_eq!(extracted(&[("field", "a")]), r#"{b.c:int32?}? {"b.c":7}"#);
        let path = [("field", "a.`b.c`"), ("field.syntax.version", "v2")];
        assert_eq!(extracted(&path), "int32? 7");
        assert_eq!(extracted(&[("field", "x")]), "Unknown field: x");
    }

    #[test]
    fn a_null_on_the_way_is_null_and_a_default_stands_in_only_if_asked() {
        let path = ("field", "a.`b.c`");
        let version = ("field.syntax.version", "V2");
        let value = typed(&fields(&[INNER]), r#"{"a":null}"#);
        assert_eq!(
            value_of("ExtractField", &[path, version], value),
            "int32? null"
        );
        let value = typed(&fields(&[INNER]), r#"{"a":{"b.c":null}}"#);
        let extracted = value_of("ExtractField", &[path, version], value);
        assert_eq!(extracted, "int32? 5");
    }

    #[test]
    fn what_a_map_does_not_have_is_null() {
        let path = [("field", "a.b"), ("field.syntax.version", "V2")];
        for (value, expected) in [
            (r#"{"a":{"b":[1]}}"#, "[1]"),
            (r#"{"a":{}}"#, "null"),
            (r#"{"a":null}"#, "null"),
            (r#"{"a.b":1}"#, "null"),
            ("null", "null"),
        ] {
            assert_eq!(
                value_of("ExtractField", &path, json(value)),
                expected,
                "{value}"
            );
        }
        let plain = value_of("ExtractField", &[("field", "a.b")], json(r#"{"a.b":1}"#));
        assert_eq!(plain, "1");
    }

    #[test]
    fn a_path_that_does_not_close_its_backticks_is_refused() {
        let options = [("field", "`a"), ("field.syntax.version", "V2")];
        assert!(refused("ExtractField$Value", &options).contains("Incomplete backtick pair"));
    }
}
