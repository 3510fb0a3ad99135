//! `ExtractField`: puts one field in the place of the key or value.

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Schema, Type, Value};
use connect_core::option_names;
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, entries, fields_of, not_a_struct};
use crate::part::{Part, register_parts};

const PURPOSE: &str = "field extraction";
/// The option is for the field, not for what it lies in.
const ON_THE_WAY: NullOption = NullOption { replace: true };

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
    #[option(flatten)]
    null: NullOption,
    /// `V1`: the field is at the top. `V2`: it is a path; dots separate steps, and backticks stand around a step that holds dots.
    #[option(name = "field.syntax.version", default = "V1", importance = High)]
    syntax: Syntax,
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
            Syntax::V2 => {
                steps(&options.field).map_err(|reason| vec![OptionError::new("field", reason)])?
            }
        };
        Ok(Self {
            part,
            name: options.field,
            steps,
            null: options.null,
        })
    }

    fn of_struct(&self, mut datum: Datum) -> Result<Datum> {
        for (depth, step) in self.steps.iter().enumerate() {
            let (Some(schema), value) = datum.into_parts() else {
                return Err(self.unknown());
            };
            if depth == 0 && !matches!(value, Value::Struct(_) | Value::Null) {
                return Err(not_a_struct(&value, PURPOSE));
            }
            let index = self.place(&schema, step)?;
            let field = fields_of(&schema)
                .get(index)
                .ok_or_else(|| self.unknown())?;
            let value = match value {
                Value::Struct(mut fields) if index < fields.values.len() => {
                    let value = fields.values.swap_remove(index);
                    let is_last = depth + 1 == self.steps.len();
                    let null = if is_last { self.null } else { ON_THE_WAY };
                    null.read(&field.schema, value)
                }
                _ => Value::Null,
            };
            datum = Datum::with_schema(field.schema.clone(), value);
        }
        Ok(datum)
    }

    /// Where the field of a step stands.
    fn place(&self, schema: &Schema, step: &str) -> Result<usize> {
        let Type::Struct(fields) = &schema.kind else {
            return Err(Error::data("Cannot look up fields on non-struct type"));
        };
        let place = fields.iter().position(|field| *field.name == *step);
        place.ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Error {
        Error::data(format!("Unknown field: {}", self.name))
    }

    fn of_map(&self, mut value: Value) -> Result<Datum> {
        for (depth, step) in self.steps.iter().enumerate() {
            if value.is_null() {
                return Ok(Datum::null());
            }
            let purpose = if depth > 0 {
                "nested field access"
            } else {
                PURPOSE
            };
            let mut entries = entries(value, purpose)?.into_iter();
            let found = entries.find(|(name, _)| name.as_str() == Some(step));
            value = found.map_or(Value::Null, |(_, value)| value);
        }
        Ok(Datum::schemaless(value))
    }
}

/// The steps of a path: dots separate them, backticks around a step keep its dots. A backtick in such a step stands for
/// itself, and needs a backslash before it only where it would end the step.
fn steps(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Err("Empty path".to_owned());
    }
    let mut steps = vec![String::new()];
    let mut opened = None;
    let mut at_start = true;
    let mut characters = path.chars().enumerate().peekable();
    while let Some((position, character)) = characters.next() {
        let at_end = matches!(characters.peek(), None | Some((_, '.')));
        let Some(step) = steps.last_mut() else { break };
        match character {
            '`' if at_start => opened = Some(position),
            '`' if opened.is_some() && at_end => {
                if step.ends_with('\\') {
                    step.pop();
                    step.push('`');
                } else {
                    opened = None;
                }
            }
            '.' if opened.is_none() => {
                steps.push(String::new());
                at_start = true;
                continue;
            }
            other => step.push(other),
        }
        at_start = false;
    }
    match opened {
        None => Ok(steps),
        Some(position) => Err(format!(
            "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {position} to escape it"
        )),
    }
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
