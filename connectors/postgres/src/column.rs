//! Types: what a column takes, and what a column is made as for a field.

use connect_core::data::{Schema, Type, Value, logical};

/// How a column's values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Real,
    Double,
    Numeric,
    /// Text, varchar, char, name, enums: types whose binary form is their text.
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Uuid,
    Json,
    Jsonb,
    /// An array, with its elements' type and its oid.
    Array(Box<ColumnType>, u32),
    /// Any other type: sent as text and cast by the server.
    Cast,
}

impl ColumnType {
    /// The type with this oid; `is_enum` tells the types that users make.
    pub(crate) fn of(oid: u32, is_enum: bool, element: u32, element_is_enum: bool) -> Self {
        if is_enum {
            return Self::Text;
        }
        if let Some(scalar) = Self::scalar(oid) {
            return scalar;
        }
        let element_type = if element_is_enum {
            Some(Self::Text)
        } else {
            Self::scalar(element)
        };
        match element_type {
            Some(kind) => Self::Array(Box::new(kind), element),
            None => Self::Cast,
        }
    }

    /// Built-in types, by the oids that are the same in every Postgres.
    fn scalar(oid: u32) -> Option<Self> {
        Some(match oid {
            16 => Self::Boolean,
            17 => Self::Bytea,
            19 | 25 | 1042 | 1043 => Self::Text,
            20 => Self::BigInt,
            21 => Self::SmallInt,
            23 => Self::Integer,
            114 => Self::Json,
            700 => Self::Real,
            701 => Self::Double,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => return None,
        })
    }

    /// The name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Double => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamp with time zone",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Array(..) => "array",
            Self::Cast => "text that is cast",
        }
    }
}

/// What a new column is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewType {
    Scalar(&'static str),
    /// An array of this.
    Array(&'static str),
}

impl NewType {
    /// The type for SQL.
    pub(crate) fn sql(self) -> String {
        match self {
            Self::Scalar(name) => name.to_owned(),
            Self::Array(name) => format!("{name}[]"),
        }
    }

    /// The type for a schema: a value that is nested goes to jsonb.
    pub(crate) fn of_schema(schema: &Schema) -> Self {
        match &schema.kind {
            Type::Array(items) => match scalar_of_schema(items) {
                Some(name) => Self::Array(name),
                None => Self::Scalar("JSONB"),
            },
            _ => Self::Scalar(scalar_of_schema(schema).unwrap_or("JSONB")),
        }
    }

    /// The type for a value without a schema; `None` for null, which says nothing.
    pub(crate) fn of_value(value: &Value) -> Option<Self> {
        Some(Self::Scalar(match value {
            Value::Null => return None,
            Value::Boolean(_) => "BOOLEAN",
            Value::Int8(_) | Value::Int16(_) => "SMALLINT",
            Value::Int32(_) => "INT",
            Value::Int64(_) => "BIGINT",
            Value::Float32(_) => "REAL",
            Value::Float64(_) => "DOUBLE PRECISION",
            Value::Number(_) | Value::Decimal(_) => "DECIMAL",
            Value::String(_) => "TEXT",
            Value::Bytes(_) => "BYTEA",
            Value::Date(_) => "DATE",
            Value::Time(_) => "TIME",
            Value::Timestamp(_) => "TIMESTAMP",
            Value::Array(_) | Value::Map(_) | Value::Struct(_) => "JSONB",
        }))
    }

    /// The type that takes values of both.
    pub(crate) fn with(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let numbers = [
            "SMALLINT",
            "INT",
            "BIGINT",
            "REAL",
            "DOUBLE PRECISION",
            "DECIMAL",
        ];
        let rank = |new: Self| match new {
            Self::Scalar(name) => numbers.iter().position(|number| *number == name),
            Self::Array(_) => None,
        };
        match (rank(self), rank(other)) {
            (Some(one), Some(two)) => Self::Scalar(numbers.get(one.max(two)).unwrap_or(&"DECIMAL")),
            _ if [self, other].contains(&Self::Scalar("JSONB")) => Self::Scalar("JSONB"),
            _ => Self::Scalar("TEXT"),
        }
    }
}

fn scalar_of_schema(schema: &Schema) -> Option<&'static str> {
    match (schema.name.as_deref(), &schema.kind) {
        (Some(logical::DECIMAL), Type::Bytes) => return Some("DECIMAL"),
        (Some(logical::DATE), Type::Int32) => return Some("DATE"),
        (Some(logical::TIME), Type::Int32) => return Some("TIME"),
        (Some(logical::TIMESTAMP), Type::Int64) => return Some("TIMESTAMP"),
        _ => {}
    }
    Some(match schema.kind {
        Type::Int8 | Type::Int16 => "SMALLINT",
        Type::Int32 => "INT",
        Type::Int64 => "BIGINT",
        Type::Float32 => "REAL",
        Type::Float64 => "DOUBLE PRECISION",
        Type::Boolean => "BOOLEAN",
        Type::String => "TEXT",
        Type::Bytes => "BYTEA",
        Type::Array(_) | Type::Map(..) | Type::Struct(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_widens_until_it_takes_everything() {
        let of = |json: &str| {
            NewType::of_value(&connect_core::data::json::parse(json.as_bytes()).unwrap())
        };
        let both = |one: &str, two: &str| of(one).unwrap().with(of(two).unwrap()).sql();
        assert_eq!(both("1", "2.5"), "DOUBLE PRECISION");
        assert_eq!(both("1", "123456789012345678901234567890"), "DECIMAL");
        assert_eq!(both("1.5", "0.12345678901234567890"), "DECIMAL");
        assert_eq!(both("1", "\"a\""), "TEXT");
        assert_eq!(both("true", "{}"), "JSONB");
        assert_eq!(of("null"), None);
    }

    #[test]
    fn unknown_types_are_cast_by_the_server_and_enums_are_text() {
        assert_eq!(ColumnType::of(869, false, 0, false), ColumnType::Cast);
        assert_eq!(ColumnType::of(90_000, true, 0, false), ColumnType::Text);
        let array = ColumnType::Array(Box::new(ColumnType::Integer), 23);
        assert_eq!(ColumnType::of(1007, false, 23, false), array);
    }
}
