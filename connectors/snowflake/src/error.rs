//! From what Snowflake says to what the worker does: by code, never by text.

use connect_core::{Error, ErrorKind, RetryVerdict};
use std::time::Duration;

/// What kind of failure a code names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It may pass: overload, a cancelled statement, an internal error.
    Passing,
    /// The session is gone; a new one may do.
    SessionGone,
    /// Another transaction holds the table.
    Locked,
    /// No warehouse runs.
    Warehouse,
    /// Login, role or privileges.
    Auth,
    /// A table, stage or column is not there, or not as we think.
    Missing,
    /// The database or schema that a login names.
    Setup,
    /// A row does not fit its table.
    Row,
    /// Anything else.
    Other,
}

/// Sorts a code.
pub(crate) fn cause_of(code: &str) -> Cause {
    match code {
        "390111" | "390112" | "390104" | "390114" | "390115" | "390195" => Cause::SessionGone,
        "390201" | "002043" => Cause::Setup,
        "000625" => Cause::Locked,
        "000606" | "090073" | "090109" => Cause::Warehouse,
        "002002" | "002003" | "002020" | "000904" | "001430" | "091016" => Cause::Missing,
        // Cancelled, timed out, an internal error, a transaction that was aborted, throttled.
        "000603" | "000604" | "000605" | "000630" | "000640" | "000621" | "390142" => {
            Cause::Passing
        }
        "003001" | "003003" | "003540" => Cause::Auth,
        _ if code.starts_with("390") => Cause::Auth,
        _ if code.starts_with("100") => Cause::Row,
        _ => Cause::Other,
    }
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnowflakeError {
    /// Snowflake refused.
    #[error("{message} ({code})")]
    Refused {
        /// Six digits.
        code: String,
        /// Snowflake's words.
        message: String,
    },
    /// Something on the way answered instead.
    #[error("HTTP status {status} after {attempts} attempts")]
    Status {
        /// The last one.
        status: u16,
        /// How many there were.
        attempts: u32,
    },
    /// No answer: whether the request had an effect is not known.
    #[error("no answer after {attempts} attempts")]
    Lost {
        /// How many there were.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No end in time: whether the request had an effect is not known.
    #[error("no end within {0:?}")]
    Deadline(Duration),
    /// An answer that is not one.
    #[error("an answer that cannot be understood: {0}")]
    Protocol(String),
    /// The cause is known and so is what to do.
    #[error(transparent)]
    Known(#[from] Error),
}

impl SnowflakeError {
    /// The kind of failure.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Refused { code, .. } => cause_of(code),
            Self::Status {
                status: 401 | 403, ..
            } => Cause::Auth,
            Self::Status { .. } | Self::Lost { .. } | Self::Deadline(_) => Cause::Passing,
            Self::Protocol(_) | Self::Known(_) => Cause::Other,
        }
    }

    /// True if the session can be used after it.
    pub(crate) fn leaves_session(&self) -> bool {
        match self {
            Self::Refused { .. } => self.cause() != Cause::SessionGone,
            Self::Known(_) => true,
            _ => false,
        }
    }

    /// The error for the worker.
    pub(crate) fn into_error(self, operation: &str, target: &str) -> Error {
        let cause = self.cause();
        let text = self.to_string();
        let error = match self {
            Self::Known(error) => return error,
            Self::Lost { source, .. } => Error::external(text).source(source),
            _ => of_cause(cause, text),
        };
        error.operation(operation).target(target)
    }
}

fn of_cause(cause: Cause, text: String) -> Error {
    match cause {
        Cause::Passing | Cause::SessionGone | Cause::Locked | Cause::Missing => {
            Error::external(text)
        }
        // Somebody resumes it, or it resumes by itself.
        Cause::Warehouse => {
            let text = format!("{text} Set snowflake.warehouse.name, or resume the warehouse.");
            Error::external(text).retry(RetryVerdict::After(Duration::from_secs(10)))
        }
        Cause::Auth => Error::new(ErrorKind::Auth, text),
        Cause::Setup => Error::config(text),
        Cause::Row => Error::data(text),
        Cause::Other => Error::new(ErrorKind::External, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        assert_eq!(cause_of("000604"), Cause::Passing);
        assert_eq!(cause_of("000625"), Cause::Locked);
        assert_eq!(cause_of("390112"), Cause::SessionGone);
        assert_eq!(cause_of("390100"), Cause::Auth);
        assert_eq!(cause_of("390144"), Cause::Auth);
        assert_eq!(cause_of("390201"), Cause::Setup);
        assert_eq!(cause_of("003001"), Cause::Auth);
        assert_eq!(cause_of("002003"), Cause::Missing);
        assert_eq!(cause_of("091016"), Cause::Missing);
        assert_eq!(cause_of("100038"), Cause::Row);
        assert_eq!(cause_of("001003"), Cause::Other);
    }

    #[test]
    fn a_lost_answer_costs_the_session_and_a_refusal_does_not() {
        let refused = |code: &str| SnowflakeError::Refused {
            code: code.to_owned(),
            message: String::new(),
        };
        assert!(refused("002003").leaves_session());
        assert!(!refused("390111").leaves_session());
        assert!(!SnowflakeError::Deadline(Duration::ZERO).leaves_session());
    }
}
