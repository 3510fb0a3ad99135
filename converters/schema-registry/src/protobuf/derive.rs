//! The `.proto` file of a Connect schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use connect_core::data::{Field, Schema, Type, logical};
use connect_core::{Error, Result};

use super::{ENUM, ProtobufOptions, TAG, UNION};
use crate::format::{Derived, checked_name};

/// The name of messages whose Connect schema has no name, with a number behind it.
const DEFAULT_NAME: &str = "ConnectDefault";

/// The schema as the registry gets it.
pub(super) fn derive(schema: &Schema, options: &ProtobufOptions) -> Result<Derived> {
    let Type::Struct(fields) = &schema.kind else {
        return Err(Error::data(
            "only structs can be written as Protobuf messages",
        ));
    };
    let mut deriver = Deriver {
        options,
        imports: BTreeSet::new(),
        unnamed: 0,
    };
    let (package, name) = deriver.name(schema)?;
    let message = deriver.message(&name, fields, 0)?;
    let mut text = "syntax = \"proto3\";\n".to_owned();
    if !package.is_empty() {
        push(&mut text, format_args!("package {package};\n"));
    }
    text.push('\n');
    for import in &deriver.imports {
        push(&mut text, format_args!("import \"{import}\";\n"));
    }
    if !deriver.imports.is_empty() {
        text.push('\n');
    }
    text.push_str(&message);
    let point = if package.is_empty() { "" } else { "." };
    Ok(Derived {
        text,
        record: Some(format!("{package}{point}{name}")),
    })
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part)
        .expect("writing to a string cannot fail");
}

/// The messages and enums inside a message, by name.
type Inner = BTreeMap<String, String>;

struct Deriver<'a> {
    options: &'a ProtobufOptions,
    imports: BTreeSet<&'static str>,
    /// How many structs without a name there were.
    unnamed: u32,
}

impl Deriver<'_> {
    /// Package and name.
    fn name(&mut self, schema: &Schema) -> Result<(String, String)> {
        let Some(full) = &schema.name else {
            self.unnamed += 1;
            return Ok((String::new(), format!("{DEFAULT_NAME}{}", self.unnamed)));
        };
        let (package, name) = full.rsplit_once('.').unwrap_or(("", full));
        for part in package.split('.').filter(|part| !part.is_empty()) {
            checked(part)?;
        }
        Ok((package.to_owned(), checked(name)?.to_owned()))
    }

    fn message(&mut self, name: &str, fields: &[Field], depth: usize) -> Result<String> {
        let indent = "  ".repeat(depth);
        let (mut inner, mut lines) = (Inner::new(), String::new());
        let numbers = numbers(fields);
        let mut numbers = numbers.into_iter();
        let mut number = || numbers.next().unwrap_or_default();
        for field in fields {
            match oneof(field) {
                Some((name, members)) => {
                    push(
                        &mut lines,
                        format_args!("{indent}  oneof {} {{\n", checked(name)?),
                    );
                    for member in members {
                        let line = self.field(member, number(), false, &mut inner, depth)?;
                        push(&mut lines, format_args!("{indent}    {line}\n"));
                    }
                    push(&mut lines, format_args!("{indent}  }}\n"));
                }
                None => {
                    let line = self.field(field, number(), true, &mut inner, depth)?;
                    push(&mut lines, format_args!("{indent}  {line}\n"));
                }
            }
        }
        let mut text = format!("{indent}message {name} {{\n{lines}");
        for definition in inner.values() {
            text.push('\n');
            text.push_str(definition);
        }
        push(&mut text, format_args!("{indent}}}\n"));
        Ok(text)
    }

    fn field(
        &mut self,
        field: &Field,
        number: u32,
        may_be_marked: bool,
        inner: &mut Inner,
        depth: usize,
    ) -> Result<String> {
        let name = checked(&field.name)?;
        let schema = &*field.schema;
        let kind = match &schema.kind {
            Type::Array(items) => format!("repeated {}", self.element(items, false, inner, depth)?),
            Type::Map(keys, values) => {
                let keys = map_key(keys)?;
                format!(
                    "map<{keys}, {}>",
                    self.element(values, false, inner, depth)?
                )
            }
            _ => {
                let kind = self.element(schema, schema.optional && may_be_marked, inner, depth)?;
                let is_marked =
                    may_be_marked && schema.optional && self.options.optional_for_nullables;
                format!("{}{kind}", if is_marked { "optional " } else { "" })
            }
        };
        let meta = self.meta(schema);
        Ok(format!("{kind} {name} = {number}{meta};"))
    }

    /// The type of one value.
    fn element(
        &mut self,
        schema: &Schema,
        nullable: bool,
        inner: &mut Inner,
        depth: usize,
    ) -> Result<String> {
        let mut import = |file, kind: &str| {
            self.imports.insert(file);
            kind.to_owned()
        };
        Ok(match schema.name.as_deref() {
            Some(logical::DECIMAL) => {
                import("confluent/type/decimal.proto", "confluent.type.Decimal")
            }
            Some(logical::DATE) => import("google/type/date.proto", "google.type.Date"),
            Some(logical::TIME) => import("google/type/timeofday.proto", "google.type.TimeOfDay"),
            Some(logical::TIMESTAMP) => import(
                "google/protobuf/timestamp.proto",
                "google.protobuf.Timestamp",
            ),
            _ => match simple(&schema.kind) {
                Some("string") if zero_symbol(schema) => enumeration(schema, inner, depth)?,
                Some(kind) if nullable && self.options.wrapper_for_nullables => {
                    import("google/protobuf/wrappers.proto", wrapper(kind))
                }
                Some(kind) => kind.to_owned(),
                None => self.inner_message(schema, inner, depth)?,
            },
        })
    }

    fn inner_message(
        &mut self,
        schema: &Schema,
        inner: &mut Inner,
        depth: usize,
    ) -> Result<String> {
        let Type::Struct(fields) = &schema.kind else {
            return Err(Error::data(
                "Protobuf has no lists of lists or maps, and no maps of them: a transform can put them into a struct",
            ));
        };
        let (_, name) = self.name(schema)?;
        let definition = self.message(&name, fields, depth + 1)?;
        define(inner, &name, definition)?;
        Ok(name)
    }

    /// What Protobuf has no words for.
    fn meta(&mut self, schema: &Schema) -> String {
        let scale = schema.parameters.get("scale");
        let parameters = match (&schema.kind, schema.name.as_deref()) {
            (Type::Int8, _) => r#"{ key: "connect.type", value: "int8" }"#.to_owned(),
            (Type::Int16, _) => r#"{ key: "connect.type", value: "int16" }"#.to_owned(),
            (Type::Bytes, Some(logical::DECIMAL)) => {
                let scale = scale
                    .and_then(|scale| scale.parse::<i32>().ok())
                    .unwrap_or_default();
                format!(r#"{{ key: "scale", value: "{scale}" }}"#)
            }
            (Type::Array(values) | Type::Map(_, values), _) => return self.meta(values),
            _ => return String::new(),
        };
        self.imports.insert("confluent/meta.proto");
        format!(" [(confluent.field_meta) = {{ params: [{parameters}] }}]")
    }
}

/// Adds a definition. The same one may be there already.
fn define(inner: &mut Inner, name: &str, definition: String) -> Result<()> {
    match inner.get(name) {
        Some(known) if *known != definition => Err(Error::data(format!(
            "two different schemas in one struct are called {name}"
        ))),
        _ => {
            inner.insert(name.to_owned(), definition);
            Ok(())
        }
    }
}

/// Name and members of a oneof.
fn oneof(field: &Field) -> Option<(&str, &[Field])> {
    let name = field.schema.name.as_deref()?.strip_prefix(UNION)?;
    match &field.schema.kind {
        Type::Struct(members) => Some((name, members)),
        _ => None,
    }
}

/// The numbers of the fields, members of oneofs among them: those they were read with, or counted from 1.
fn numbers(fields: &[Field]) -> Vec<u32> {
    let members =
        |field| oneof(field).map_or_else(|| std::slice::from_ref(field), |(_, members)| members);
    let flat: Vec<_> = fields.iter().flat_map(members).collect();
    let tag = |field: &&Field| field.schema.parameters.get(TAG)?.parse().ok();
    let tags: Option<Vec<u32>> = flat.iter().map(tag).collect();
    let distinct = |tags: &Vec<u32>| tags.iter().collect::<BTreeSet<_>>().len() == tags.len();
    tags.filter(distinct)
        .unwrap_or_else(|| (1..).take(flat.len()).collect())
}

fn simple(kind: &Type) -> Option<&'static str> {
    Some(match kind {
        Type::Int8 | Type::Int16 | Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::Boolean => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array(_) | Type::Map(..) | Type::Struct(_) => return None,
    })
}

fn wrapper(kind: &str) -> &'static str {
    match kind {
        "int32" => "google.protobuf.Int32Value",
        "int64" => "google.protobuf.Int64Value",
        "float" => "google.protobuf.FloatValue",
        "double" => "google.protobuf.DoubleValue",
        "bool" => "google.protobuf.BoolValue",
        "string" => "google.protobuf.StringValue",
        _ => "google.protobuf.BytesValue",
    }
}

fn map_key(keys: &Schema) -> Result<&'static str> {
    let kind =
        simple(&keys.kind).filter(|kind| ["int32", "int64", "bool", "string"].contains(kind));
    kind.filter(|_| keys.name.is_none())
        .ok_or_else(|| Error::data("Protobuf's maps have keys of text, integers or booleans only"))
}

/// True for an enumeration whose first symbol is zero, as proto3 demands.
fn zero_symbol(schema: &Schema) -> bool {
    let symbols = schema
        .parameters
        .iter()
        .filter(|(key, _)| key.starts_with(&format!("{ENUM}.")));
    let mut numbers = symbols.map(|(_, number)| number.as_str());
    schema.parameters.contains_key(ENUM) && numbers.any(|number| number == "0")
}

fn enumeration(schema: &Schema, inner: &mut Inner, depth: usize) -> Result<String> {
    let name = schema
        .parameters
        .get(ENUM)
        .map(String::as_str)
        .unwrap_or_default();
    let name = checked(name.rsplit('.').next().unwrap_or_default())?;
    let indent = "  ".repeat(depth + 1);
    let prefix = format!("{ENUM}.");
    let mut symbols = Vec::new();
    for (key, number) in &schema.parameters {
        if let (Some(symbol), Ok(number)) = (key.strip_prefix(&prefix), number.parse::<i32>()) {
            symbols.push((number != 0, number, checked(symbol)?));
        }
    }
    symbols.sort_unstable();
    let mut definition = format!("{indent}enum {name} {{\n");
    for (_, number, symbol) in symbols {
        push(
            &mut definition,
            format_args!("{indent}  {symbol} = {number};\n"),
        );
    }
    push(&mut definition, format_args!("{indent}}}\n"));
    define(inner, name, definition)?;
    Ok(name.to_owned())
}

fn checked(name: &str) -> Result<&str> {
    checked_name(name, "Protobuf")
}
