//! What an option is: name, type, default, importance, group, documentation, validator.

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

/// One declared option.
#[derive(Debug, Clone)]
pub struct OptionDef {
    /// The key.
    pub name: &'static str,
}

/// The declared options of a plugin, in order.
#[derive(Debug, Clone, Default)]
pub struct ConfigDef {
    /// The options.
    pub options: Vec<OptionDef>,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// The key.
    pub key: String,
    /// What is wrong and what would be right, in Kafka's words where Kafka has words for it.
    pub message: String,
}
