//! With schematization: columns for fields. Pure: from what a table has and what fields show to what is to be done.

use std::collections::BTreeMap;

use connect_core::{Error, Result};

use crate::fields::{Field, FieldKind, Fields};
use crate::naming::quoted;

/// The longest text of a column.
const MAX_TEXT: u32 = 16_777_216;

/// A column of a table, as DESC TABLE shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// `NUMBER(38,0)`
    pub(crate) kind: String,
    pub(crate) required: bool,
}

/// The columns of a table, by name.
pub(crate) type Columns = BTreeMap<String, Column>;

/// What is done to a table before rows are loaded, and how they are then loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What follows `ALTER TABLE name`.
    pub(crate) alterations: Vec<String>,
    /// Column and expression over the staged document.
    pub(crate) projection: Vec<(String, String)>,
}

/// The column of a field: in upper case, unless the field's name is in double quotes.
fn column_name(field: &str) -> String {
    match field
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
    {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => field.to_uppercase(),
    }
}

/// Plans the columns for `fields` of `rows` rows.
///
/// # Errors
/// A data error that names the first record whose field does not fit its column.
pub(crate) fn plan(columns: &Columns, fields: &Fields, rows: u64) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut taken = BTreeMap::new();
    for (name, field) in &fields.0 {
        let column = column_name(name);
        if let Some(other) = taken.insert(column.clone(), name) {
            return Err(Error::data(format!(
                "the fields {other} and {name} are the same column {column}"
            )));
        }
        let kind = match columns.get(&column) {
            // A field that was only ever null shows no type.
            None if field.kinds.is_empty() => continue,
            None => {
                let kind = new_column(field);
                let quoted = quoted(&column);
                plan.alterations
                    .push(format!("ADD COLUMN IF NOT EXISTS {quoted} {kind}"));
                kind
            }
            Some(known) => existing(known, &column, field, rows, &mut plan.alterations)?,
        };
        plan.projection.push((column, expression(name, &kind)));
    }
    for (name, column) in columns {
        let is_ours = name == "RECORD_METADATA" || taken.contains_key(name);
        if column.required && !is_ours {
            plan.alterations.push(drop_not_null(name));
        }
    }
    Ok(plan)
}

fn drop_not_null(column: &str) -> String {
    format!("ALTER COLUMN {} DROP NOT NULL", quoted(column))
}

/// The type of a column that is not there yet.
fn new_column(field: &Field) -> String {
    let mut kinds = field.kinds.keys().copied();
    let first = kinds.next().unwrap_or(FieldKind::Variant);
    let joined = kinds.fold(first, |left, right| match (left, right) {
        (FieldKind::Integer(a), FieldKind::Integer(b)) => FieldKind::Integer(a.max(b)),
        (FieldKind::Text(a), FieldKind::Text(b)) => FieldKind::Text(a.max(b)),
        (FieldKind::Integer(_) | FieldKind::Float, FieldKind::Float | FieldKind::Integer(_)) => {
            FieldKind::Float
        }
        (left, right) if left == right => left,
        (FieldKind::Array | FieldKind::Variant, _) | (_, FieldKind::Array | FieldKind::Variant) => {
            FieldKind::Variant
        }
        _ => FieldKind::Text(MAX_TEXT),
    });
    let name = match joined {
        FieldKind::Boolean => "BOOLEAN",
        FieldKind::Integer(_) => "NUMBER(38,0)",
        FieldKind::Float => "FLOAT",
        FieldKind::Text(_) => "VARCHAR(16777216)",
        FieldKind::Binary => "BINARY",
        FieldKind::Date => "DATE",
        FieldKind::Time => "TIME(6)",
        FieldKind::Timestamp => "TIMESTAMP_NTZ(6)",
        FieldKind::Array => "ARRAY",
        FieldKind::Variant => "VARIANT",
    };
    name.to_owned()
}

/// A type and its parameters.
fn split(kind: &str) -> (&str, Vec<u32>) {
    match kind.split_once('(') {
        None => (kind, Vec::new()),
        Some((name, rest)) => {
            let numbers = rest.trim_end_matches(')').split(',');
            (
                name,
                numbers
                    .filter_map(|number| number.trim().parse().ok())
                    .collect(),
            )
        }
    }
}

enum Fit {
    Yes,
    /// Once the column has this type.
    Widened(String),
    No,
}

fn existing(
    column: &Column,
    name: &str,
    field: &Field,
    rows: u64,
    alterations: &mut Vec<String>,
) -> Result<String> {
    if column.required && field.present < rows {
        alterations.push(drop_not_null(name));
    }
    let mut kind = column.kind.clone();
    for (seen, (partition, offset)) in &field.kinds {
        match fit(&kind, *seen) {
            Fit::Yes => {}
            Fit::Widened(wider) => kind = wider,
            Fit::No => {
                let text = format!(
                    "{seen:?} does not fit column {name} of type {kind}, which cannot be changed to hold it"
                );
                return Err(Error::data(text).record(partition, *offset));
            }
        }
    }
    if kind != column.kind {
        alterations.push(format!(
            "ALTER COLUMN {} SET DATA TYPE {kind}",
            quoted(name)
        ));
    }
    Ok(kind)
}

/// Whether a column takes such values. Text goes anywhere but into documents: Snowflake reads it as the column's type.
fn fit(column: &str, kind: FieldKind) -> Fit {
    let (name, parameters) = split(column);
    let parameter = |index: usize, default: u32| parameters.get(index).copied().unwrap_or(default);
    match (name, kind) {
        ("VARIANT", _) => Fit::Yes,
        ("VARCHAR", FieldKind::Text(length)) if length > parameter(0, MAX_TEXT) => {
            Fit::Widened(format!("VARCHAR({MAX_TEXT})"))
        }
        ("VARCHAR", _) => Fit::Yes,
        ("NUMBER", FieldKind::Integer(digits)) => {
            let scale = parameter(1, 0);
            let room = parameter(0, 38).saturating_sub(scale);
            if u32::from(digits) <= room {
                Fit::Yes
            } else if u32::from(digits) + scale <= 38 {
                Fit::Widened(format!("NUMBER(38,{scale})"))
            } else {
                Fit::No
            }
        }
        ("NUMBER", FieldKind::Float) if parameter(1, 0) > 0 => Fit::Yes,
        ("FLOAT", FieldKind::Integer(_) | FieldKind::Float)
        | ("BOOLEAN", FieldKind::Boolean)
        | ("BINARY", FieldKind::Binary)
        | ("DATE", FieldKind::Date)
        | ("TIME", FieldKind::Time)
        | ("TIMESTAMP_NTZ" | "TIMESTAMP_LTZ" | "TIMESTAMP_TZ", FieldKind::Timestamp)
        | ("ARRAY", FieldKind::Array)
        | ("OBJECT", FieldKind::Variant) => Fit::Yes,
        (
            "NUMBER" | "FLOAT" | "BOOLEAN" | "DATE" | "TIME" | "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ"
            | "TIMESTAMP_TZ",
            FieldKind::Text(_),
        ) => Fit::Yes,
        _ => Fit::No,
    }
}

/// A field of the staged document as its column's type.
fn expression(field: &str, kind: &str) -> String {
    let value = format!("$1:content:{}", quoted(field));
    match split(kind).0 {
        "VARIANT" => value,
        "BINARY" => format!("TO_BINARY({value}::VARCHAR, 'BASE64')"),
        _ => format!("{value}::{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use connect_core::data::{Offset, TopicPartition};

    use super::*;

    fn fields(kinds: &[(&str, FieldKind)]) -> Fields {
        let mut fields = Fields::default();
        for (name, kind) in kinds {
            let field = fields.0.entry((*name).to_owned()).or_default();
            field.present += 1;
            field
                .kinds
                .insert(*kind, (TopicPartition::new("t", 0), Offset::new(7)));
        }
        fields
    }

    fn column(kind: &str, required: bool) -> Column {
        let kind = kind.to_owned();
        Column { kind, required }
    }

    #[test]
    fn missing_columns_get_the_type_that_fields_show() {
        let seen = fields(&[
            ("n", FieldKind::Integer(19)),
            ("x", FieldKind::Integer(10)),
            ("x", FieldKind::Float),
            ("y", FieldKind::Integer(10)),
            ("y", FieldKind::Text(4)),
            ("\"Case\"", FieldKind::Array),
        ]);
        let plan = plan(&Columns::new(), &seen, 2).unwrap();
        assert_eq!(
            plan.alterations,
            [
                "ADD COLUMN IF NOT EXISTS \"Case\" ARRAY",
                "ADD COLUMN IF NOT EXISTS \"N\" NUMBER(38,0)",
                "ADD COLUMN IF NOT EXISTS \"X\" FLOAT",
                "ADD COLUMN IF NOT EXISTS \"Y\" VARCHAR(16777216)",
            ]
        );
        let (name, expression) = plan.projection.get(1).unwrap();
        assert_eq!(
            (name.as_str(), expression.as_str()),
            ("N", "$1:content:\"n\"::NUMBER(38,0)")
        );
    }

    #[test]
    fn columns_are_widened_where_snowflake_can_and_refused_by_name_where_not() {
        let columns = Columns::from([
            ("T".to_owned(), column("VARCHAR(10)", false)),
            ("N".to_owned(), column("NUMBER(5,0)", true)),
            ("GONE".to_owned(), column("DATE", true)),
        ]);
        let seen = fields(&[("t", FieldKind::Text(16)), ("n", FieldKind::Integer(10))]);
        let found = plan(&columns, &seen, 2).unwrap();
        assert_eq!(
            found.alterations,
            [
                "ALTER COLUMN \"N\" DROP NOT NULL",
                "ALTER COLUMN \"N\" SET DATA TYPE NUMBER(38,0)",
                "ALTER COLUMN \"T\" SET DATA TYPE VARCHAR(16777216)",
                "ALTER COLUMN \"GONE\" DROP NOT NULL",
            ]
        );
        let error = plan(&columns, &fields(&[("n", FieldKind::Float)]), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "record t-0 at offset 7: Float does not fit column N of type NUMBER(5,0), which cannot be changed to hold it"
        );
    }

    #[test]
    fn two_fields_that_are_one_column_are_refused() {
        let seen = fields(&[("a", FieldKind::Float), ("A", FieldKind::Float)]);
        assert!(plan(&Columns::new(), &seen, 1).is_err());
    }
}
