//! What an option is: name, type, default, importance, group, documentation, validator.

use super::{OptionValue, Validator, ValueOf};
use crate::{Error, without_userinfo};

/// How much an option matters to most users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Nearly everybody sets it.
    High,
    /// Many set it.
    Medium,
    /// Few set it.
    Low,
}

impl Importance {
    /// As Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// How wide a form field would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Not said.
    None,
    /// A number.
    Short,
    /// A name.
    Medium,
    /// A list or a URL.
    Long,
}

impl Width {
    /// As Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// The types of Kafka's `ConfigDef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionType {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text.
    String,
    /// 32-bit integer.
    Int,
    /// 16-bit integer.
    Short,
    /// 64-bit integer.
    Long,
    /// Floating point.
    Double,
    /// Comma-separated list.
    List,
    /// Name of a class.
    Class,
    /// Text that is never shown.
    Password,
}

impl OptionType {
    /// As Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// What stands in for an option that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// Nothing: it must be given.
    Required,
    /// No value.
    Null,
    /// This text, read as if it had been given.
    Text(&'static str),
}

/// One declared option.
#[derive(Debug, Clone)]
pub struct OptionDef {
    /// The key.
    pub name: &'static str,
    /// The type.
    pub kind: OptionType,
    /// What stands in when it is not given.
    pub default: Default,
    /// How much it matters.
    pub importance: Importance,
    /// The group it is shown in.
    pub group: Option<&'static str>,
    /// How wide a form field would be.
    pub width: Width,
    /// The name shown to people; the key if there is none.
    pub display: Option<&'static str>,
    /// What it does.
    pub documentation: &'static str,
    /// What its value must satisfy.
    pub validator: Validator,
    /// Why setting it is refused, if it is known but not supported.
    pub unsupported: Option<&'static str>,
    /// Its number in its group, where that is not its position.
    pub order: Option<i32>,
}

impl OptionDef {
    /// The option `name`, read into a `T`: its type and valid values come from `T`.
    pub fn of<T: ValueOf>(name: &'static str, documentation: &'static str) -> Self {
        Self {
            name,
            kind: T::KIND,
            default: if T::OPTIONAL {
                Default::Null
            } else {
                Default::Required
            },
            importance: Importance::Medium,
            group: None,
            width: Width::None,
            display: None,
            documentation,
            validator: T::validator(),
            unsupported: None,
            order: None,
        }
    }

    /// Sets the default, as text.
    #[must_use]
    pub fn default_text(mut self, text: &'static str) -> Self {
        self.default = Default::Text(text);
        self
    }

    /// Sets how much it matters.
    #[must_use]
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// Sets the group.
    #[must_use]
    pub fn group(mut self, group: &'static str) -> Self {
        self.group = Some(group);
        self
    }

    /// Sets the name shown to people.
    #[must_use]
    pub fn display(mut self, display: &'static str) -> Self {
        self.display = Some(display);
        self
    }

    /// Sets the width.
    #[must_use]
    pub fn width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    /// Sets what the value must satisfy.
    #[must_use]
    pub fn validator(mut self, validator: Validator) -> Self {
        self.validator = validator;
        self
    }

    /// Sets the type, where the field's own is not the right one.
    #[must_use]
    pub fn kind(mut self, kind: OptionType) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the number in its group.
    #[must_use]
    pub fn order(mut self, order: i32) -> Self {
        self.order = Some(order);
        self
    }

    /// Refuses every value but the default, saying why.
    #[must_use]
    pub fn unsupported(mut self, why: &'static str) -> Self {
        self.unsupported = Some(why);
        self
    }

    /// The default as a value.
    pub fn default_value(&self) -> OptionValue {
        match self.default {
            Default::Required | Default::Null => OptionValue::Null,
            Default::Text(text) => OptionValue::parse(self.kind, text).unwrap_or(OptionValue::Null),
        }
    }

    /// The default as Kafka shows it: null if there is none.
    pub fn default_shown(&self) -> Option<&'static str> {
        match self.default {
            Default::Required | Default::Null => None,
            Default::Text(text) => Some(text),
        }
    }
}

/// The declared options of a plugin, in order.
#[derive(Debug, Clone, Default)]
pub struct ConfigDef {
    options: Vec<OptionDef>,
}

impl ConfigDef {
    /// Adds an option.
    pub fn push(&mut self, option: OptionDef) {
        self.options.push(option);
    }

    /// Adds the options of another definition.
    pub fn extend(&mut self, other: Self) {
        self.options.extend(other.options);
    }

    /// The options, in order.
    pub fn options(&self) -> &[OptionDef] {
        &self.options
    }

    /// The option called `name`.
    pub fn option(&self, name: &str) -> Option<&OptionDef> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The number of an option within its group: its position from 1, if it has no other; -1 without a group, as Kafka counts.
    pub fn order_in_group(&self, name: &str) -> i32 {
        if let Some(order) = self.option(name).and_then(|option| option.order) {
            return order;
        }
        let Some(group) = self.option(name).and_then(|option| option.group) else {
            return -1;
        };
        let position = self
            .options
            .iter()
            .filter(|option| option.group == Some(group))
            .position(|option| option.name == name);
        position.map_or(-1, |position| i32::try_from(position + 1).unwrap_or(-1))
    }
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// The key.
    pub key: String,
    /// What is wrong and what would be right, in Kafka's words where Kafka has words for it.
    pub message: String,
}

impl OptionError {
    /// `message` about `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }

    /// Kafka's form: the value, the key, and what is wrong. A URL is shown without user and password.
    pub fn invalid(key: &str, value: &str, reason: &str) -> Self {
        let value = without_userinfo(value);
        let message = format!("Invalid value {value} for configuration {key}: {reason}");
        Self::new(key, message)
    }

    /// The same error with its key below `prefix`.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        Self::new(format!("{prefix}{}", self.key), self.message)
    }
}

/// One configuration error that names every wrong key.
pub fn wrong_options(errors: &[OptionError]) -> Error {
    let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
    Error::config(text.join("; "))
}

impl std::fmt::Display for OptionError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}
