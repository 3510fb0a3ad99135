//! Column types, by Snowflake's names and their synonyms.

/// The longest text.
const MAX_TEXT: usize = 16_777_216;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SqlType {
    Number {
        precision: u8,
        scale: u8,
    },
    Float,
    Boolean,
    Text(usize),
    Binary,
    Variant,
    Object,
    Array,
    Date,
    Time,
    /// Without a zone.
    TimestampNtz,
    /// A moment.
    TimestampLtz,
}

impl SqlType {
    /// The type called `name` with its parameters; `None` if there is none.
    pub(crate) fn named(name: &str, parameters: &[usize]) -> Option<Self> {
        let parameter = |index: usize| parameters.get(index).copied();
        Some(match name {
            "NUMBER" | "DECIMAL" | "NUMERIC" => Self::Number {
                precision: u8::try_from(parameter(0).unwrap_or(38))
                    .ok()
                    .filter(|p| *p <= 38)?,
                scale: u8::try_from(parameter(1).unwrap_or(0))
                    .ok()
                    .filter(|s| *s <= 37)?,
            },
            "INT" | "INTEGER" | "BIGINT" | "SMALLINT" | "TINYINT" | "BYTEINT" => Self::Number {
                precision: 38,
                scale: 0,
            },
            "FLOAT" | "FLOAT4" | "FLOAT8" | "DOUBLE" | "REAL" => Self::Float,
            "BOOLEAN" => Self::Boolean,
            "VARCHAR" | "STRING" | "TEXT" | "CHAR VARYING" => {
                Self::Text(parameter(0).unwrap_or(MAX_TEXT))
            }
            "CHAR" | "CHARACTER" => Self::Text(parameter(0).unwrap_or(1)),
            "BINARY" | "VARBINARY" => Self::Binary,
            "VARIANT" => Self::Variant,
            "OBJECT" => Self::Object,
            "ARRAY" => Self::Array,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "TIMESTAMP" | "TIMESTAMP_NTZ" | "DATETIME" => Self::TimestampNtz,
            "TIMESTAMP_LTZ" | "TIMESTAMP_TZ" => Self::TimestampLtz,
            _ => return None,
        })
    }

    /// As `DESC TABLE` shows it.
    pub(crate) fn described(self) -> String {
        match self {
            Self::Number { precision, scale } => format!("NUMBER({precision},{scale})"),
            Self::Float => "FLOAT".to_owned(),
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::Text(length) => format!("VARCHAR({length})"),
            Self::Binary => "BINARY(8388608)".to_owned(),
            Self::Variant => "VARIANT".to_owned(),
            Self::Object => "OBJECT".to_owned(),
            Self::Array => "ARRAY".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Time => "TIME(9)".to_owned(),
            Self::TimestampNtz => "TIMESTAMP_NTZ(9)".to_owned(),
            Self::TimestampLtz => "TIMESTAMP_LTZ(9)".to_owned(),
        }
    }

    /// As `rowtype` names it.
    pub(crate) fn wire_name(self) -> &'static str {
        match self {
            Self::Number { .. } => "fixed",
            Self::Float => "real",
            Self::Boolean => "boolean",
            Self::Text(_) => "text",
            Self::Binary => "binary",
            Self::Variant => "variant",
            Self::Object => "object",
            Self::Array => "array",
            Self::Date => "date",
            Self::Time => "time",
            Self::TimestampNtz => "timestamp_ntz",
            Self::TimestampLtz => "timestamp_ltz",
        }
    }

    /// Whether a column of this type may become one of `other`: longer text, more digits before the point.
    pub(crate) fn may_become(self, other: Self) -> bool {
        match (self, other) {
            (Self::Text(from), Self::Text(to)) => to >= from,
            (
                Self::Number {
                    precision: from,
                    scale,
                },
                Self::Number {
                    precision: to,
                    scale: new_scale,
                },
            ) => to >= from && scale == new_scale,
            (from, to) => from == to,
        }
    }
}
