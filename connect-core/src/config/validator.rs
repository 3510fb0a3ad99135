//! What values must satisfy, with Kafka's words for what is wrong.

use super::OptionValue;

/// A check on a parsed value. All but [`Validator::Custom`] let null pass where the option may be null.
#[derive(Debug, Clone, Copy)]
pub enum Validator {
    /// Everything is right.
    Any,
    /// A number of at least this.
    AtLeast(i64),
    /// A number from the first to the second, both included.
    Between(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfIgnoreCase(&'static [&'static str]),
    /// Not the empty text.
    NonEmpty,
    /// Not the empty list.
    NonEmptyList,
    /// A list that holds nothing twice.
    UniqueList,
    /// A function's answer.
    Custom(fn(&OptionValue) -> Result<(), String>),
}

impl Validator {
    /// Checks `value`; the reason if it is wrong.
    ///
    /// # Errors
    /// Kafka's reason.
    pub fn check(&self, value: &OptionValue) -> Result<(), String> {
        match (self, value) {
            (Self::Custom(check), value) => check(value),
            (Self::AtLeast(_) | Self::Between(..), OptionValue::Null) => {
                Err("Value must be non-null".to_owned())
            }
            (_, OptionValue::Null) | (Self::Any, _) => Ok(()),
            (Self::AtLeast(min), value) => check_that(number(value) >= as_double(*min), || {
                format!("Value must be at least {min}")
            }),
            (Self::Between(min, max), value) => {
                check_that(number(value) >= as_double(*min), || {
                    format!("Value must be at least {min}")
                })?;
                check_that(number(value) <= as_double(*max), || {
                    format!("Value must be no more than {max}")
                })
            }
            (Self::OneOf(names), value) => check_that(
                texts(value)
                    .iter()
                    .all(|text| names.contains(&text.as_str())),
                || format!("String must be one of: {}", names.join(", ")),
            ),
            (Self::OneOfIgnoreCase(names), value) => {
                let known =
                    |text: &String| names.iter().any(|name| name.eq_ignore_ascii_case(text));
                check_that(texts(value).iter().all(known), || {
                    format!(
                        "String must be one of (case insensitive): {}",
                        names.join(", ")
                    )
                })
            }
            (Self::NonEmptyList, value) => check_that(!texts(value).is_empty(), || {
                "must not be empty. Valid values include: any non-empty value".to_owned()
            }),
            (Self::UniqueList, value) => {
                let items = texts(value);
                let unique: std::collections::BTreeSet<_> = items.iter().collect();
                check_that(unique.len() == items.len(), || {
                    "values must not be duplicated.".to_owned()
                })
            }
            (Self::NonEmpty, value) => {
                check_that(texts(value).iter().all(|text| !text.is_empty()), || {
                    "String must be non-empty".to_owned()
                })
            }
        }
    }

    /// The valid values, for the reference page.
    pub fn valid_values(&self) -> Option<String> {
        match self {
            Self::Any | Self::Custom(_) => None,
            Self::AtLeast(min) => Some(format!("{min} or more")),
            Self::Between(min, max) => Some(format!("{min} to {max}")),
            Self::OneOf(names) | Self::OneOfIgnoreCase(names) => Some(names.join(", ")),
            Self::NonEmpty | Self::NonEmptyList => Some("not empty".to_owned()),
            Self::UniqueList => Some("nothing twice".to_owned()),
        }
    }
}

fn check_that(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are small")]
fn as_double(number: i64) -> f64 {
    number as f64
}

fn number(value: &OptionValue) -> f64 {
    match value {
        OptionValue::Integer(number) => as_double(*number),
        OptionValue::Double(number) => *number,
        _ => f64::NAN,
    }
}

fn texts(value: &OptionValue) -> Vec<String> {
    match value {
        OptionValue::List(items) => items.clone(),
        OptionValue::Text(text) => vec![text.clone()],
        other => other.shown().into_iter().collect(),
    }
}
