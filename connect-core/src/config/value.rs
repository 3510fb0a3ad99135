//! Option values: text to typed, as Kafka's `ConfigDef` parses it, and the Rust types options are read into.

use std::time::Duration;

use super::{OptionType, Validator};
use crate::Secret;

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// Not given, without a default.
    Null,
    /// BOOLEAN
    Boolean(bool),
    /// INT, SHORT, LONG
    Integer(i64),
    /// DOUBLE
    Double(f64),
    /// STRING, CLASS, PASSWORD
    Text(String),
    /// LIST
    List(Vec<String>),
}

impl OptionValue {
    /// Parses `text`, trimmed as Kafka trims it.
    ///
    /// # Errors
    /// Kafka's reason: `Not a number of type INT`.
    pub fn parse(kind: OptionType, text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        match kind {
            OptionType::Boolean => parse_boolean(trimmed),
            OptionType::Int => parse_integer(trimmed, kind, i32::MIN.into(), i32::MAX.into()),
            OptionType::Short => parse_integer(trimmed, kind, i16::MIN.into(), i16::MAX.into()),
            OptionType::Long => parse_integer(trimmed, kind, i64::MIN, i64::MAX),
            OptionType::Double => match trimmed.parse() {
                Ok(number) => Ok(Self::Double(number)),
                Err(_) => Err(not_a_number(kind)),
            },
            OptionType::List => Ok(Self::List(split_list(trimmed))),
            OptionType::String | OptionType::Class => Ok(Self::Text(trimmed.to_owned())),
            // Separators and passwords may begin or end with a space on purpose.
            OptionType::Password => Ok(Self::Text(text.to_owned())),
        }
    }

    /// True if there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As Kafka shows it; `None` for null.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Double(value) => Some(format!("{value:?}")),
            Self::Text(text) => Some(text.clone()),
            Self::List(items) => Some(items.join(",")),
        }
    }
}

fn parse_boolean(text: &str) -> Result<OptionValue, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(OptionValue::Boolean(true))
    } else if text.eq_ignore_ascii_case("false") {
        Ok(OptionValue::Boolean(false))
    } else {
        Err("Expected value to be either true or false".to_owned())
    }
}

fn parse_integer(text: &str, kind: OptionType, min: i64, max: i64) -> Result<OptionValue, String> {
    match text.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(OptionValue::Integer(number)),
        _ => Err(not_a_number(kind)),
    }
}

fn not_a_number(kind: OptionType) -> String {
    format!("Not a number of type {}", kind.name())
}

/// A comma-separated list; the empty text is the empty list.
fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// A Rust type an option is read into.
pub trait ValueOf: Sized {
    /// Kafka's type of the option.
    const KIND: OptionType;
    /// True if "no value" is one of the values.
    const OPTIONAL: bool = false;

    /// What every value of this type must satisfy.
    fn validator() -> Validator {
        Validator::Any
    }

    /// Takes a value that was parsed as [`ValueOf::KIND`] and has passed the validator.
    ///
    /// # Errors
    /// What is wrong with it, in the form of Kafka's reasons.
    fn from_value(value: OptionValue) -> Result<Self, String>;
}

fn wrong<T>() -> Result<T, String> {
    Err("Value must be non-null".to_owned())
}

macro_rules! integer_value {
    ($($rust:ty => $kind:ident),*) => {$(
        impl ValueOf for $rust {
            const KIND: OptionType = OptionType::$kind;
            fn from_value(value: OptionValue) -> Result<Self, String> {
                match value {
                    OptionValue::Integer(number) => Self::try_from(number).map_err(|_| {
                        let minimum = <$rust>::MIN;
                        let maximum = <$rust>::MAX;
                        format!("Value must be between {minimum} and {maximum}")
                    }),
                    _ => wrong(),
                }
            }
        }
    )*};
}

integer_value!(i16 => Short, i32 => Int, u32 => Int, u16 => Int, i64 => Long, u64 => Long, usize => Long);

impl ValueOf for bool {
    const KIND: OptionType = OptionType::Boolean;

    fn from_value(value: OptionValue) -> Result<Self, String> {
        match value {
            OptionValue::Boolean(value) => Ok(value),
            _ => wrong(),
        }
    }
}

impl ValueOf for f64 {
    const KIND: OptionType = OptionType::Double;

    fn from_value(value: OptionValue) -> Result<Self, String> {
        match value {
            OptionValue::Double(value) => Ok(value),
            _ => wrong(),
        }
    }
}

impl ValueOf for String {
    const KIND: OptionType = OptionType::String;

    fn from_value(value: OptionValue) -> Result<Self, String> {
        match value {
            OptionValue::Text(text) => Ok(text),
            _ => wrong(),
        }
    }
}

impl ValueOf for Secret<String> {
    const KIND: OptionType = OptionType::Password;

    fn from_value(value: OptionValue) -> Result<Self, String> {
        String::from_value(value).map(Self::new)
    }
}

impl ValueOf for Vec<String> {
    const KIND: OptionType = OptionType::List;

    fn from_value(value: OptionValue) -> Result<Self, String> {
        match value {
            OptionValue::List(items) => Ok(items),
            _ => wrong(),
        }
    }
}

/// Milliseconds.
impl ValueOf for Duration {
    const KIND: OptionType = OptionType::Long;

    fn from_value(value: OptionValue) -> Result<Self, String> {
        match value {
            OptionValue::Integer(millis) => u64::try_from(millis)
                .map(Self::from_millis)
                .map_err(|_| "Value must be at least 0".to_owned()),
            _ => wrong(),
        }
    }
}

impl<T: ValueOf> ValueOf for Option<T> {
    const KIND: OptionType = T::KIND;
    const OPTIONAL: bool = true;

    fn validator() -> Validator {
        T::validator()
    }

    fn from_value(value: OptionValue) -> Result<Self, String> {
        match value {
            OptionValue::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// Implements [`ValueOf`] for an enum whose values are names: `option_names!(Format { "json" => Json, "bytes" => Bytes });`
///
/// Names are compared without regard to case and listed in the documentation.
#[macro_export]
macro_rules! option_names {
    ($type:ty { $($name:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::config::ValueOf for $type {
            const KIND: $crate::config::OptionType = $crate::config::OptionType::String;

            fn validator() -> $crate::config::Validator {
                $crate::config::Validator::OneOfIgnoreCase(&[$($name),+])
            }

            fn from_value(value: $crate::config::OptionValue) -> ::core::result::Result<Self, ::std::string::String> {
                let text = <::std::string::String as $crate::config::ValueOf>::from_value(value)?;
                $(if text.eq_ignore_ascii_case($name) {
                    return Ok(Self::$variant);
                })+
                Err(format!("String must be one of (case insensitive): {}", [$($name),+].join(", ")))
            }
        }
    };
}
