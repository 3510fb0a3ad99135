//! Refusals, with the codes that Snowflake gives.

/// Why a statement or request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Snowflake's six digits.
    pub(crate) code: &'static str,
    pub(crate) sql_state: &'static str,
    pub(crate) message: String,
}

/// A result with a [`Refusal`].
pub(crate) type Result<T, E = Refusal> = std::result::Result<T, E>;

impl Refusal {
    pub(crate) fn new(
        code: &'static str,
        sql_state: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            sql_state,
            message: message.into(),
        }
    }

    /// 001003: what this server does not know is refused like what Snowflake does not know.
    pub(crate) fn syntax(near: &str) -> Self {
        let text = format!("SQL compilation error:\nsyntax error unexpected '{near}'.");
        Self::new("001003", "42000", text)
    }

    /// 002003
    pub(crate) fn missing(kind: &str, name: &str) -> Self {
        let text =
            format!("SQL compilation error:\n{kind} '{name}' does not exist or not authorized.");
        Self::new("002003", "42S02", text)
    }

    /// 000904
    pub(crate) fn identifier(name: &str) -> Self {
        let text = format!(
            "SQL compilation error: error line 1 at position 1\ninvalid identifier '{name}'"
        );
        Self::new("000904", "42000", text)
    }

    /// 003001
    pub(crate) fn privilege(kind: &str, name: &str) -> Self {
        let text = format!(
            "SQL access control error:\nInsufficient privileges to operate on {kind} '{name}'"
        );
        Self::new("003001", "42501", text)
    }

    /// 002140 and its like: a function or form that is not known.
    pub(crate) fn unknown_function(name: &str) -> Self {
        let text = format!("SQL compilation error:\nUnknown function {name}");
        Self::new("002140", "42601", text)
    }
}
