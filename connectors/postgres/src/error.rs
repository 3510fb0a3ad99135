//! From what Postgres says to what the worker does: by SQLSTATE, never by text.

use std::io;

use connect_core::{Error, ErrorKind};
use tokio_postgres::error::DbError;

/// What kind of failure an SQLSTATE names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It may pass: connection, failover, deadlock, serialization, resources, locks.
    Passing,
    /// A row is wrong.
    Row,
    /// Login or privileges.
    Auth,
    /// What we know about the table may be out of date.
    Stale,
    /// The database or a constraint is not there.
    Setup,
    /// Anything else.
    Other,
}

/// Sorts an SQLSTATE.
pub(crate) fn cause_of(state: &str) -> Cause {
    match state {
        // Read-only: a standby that has not been promoted yet. Cancelled: by an operator or a time limit.
        "25006" | "57014" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "55P03" | "55006" => {
            Cause::Passing
        }
        "42501" => Cause::Auth,
        // Undefined table, column or function; other type than thought; plan that no longer fits.
        "42P01" | "42703" | "42883" | "42804" | "0A000" => Cause::Stale,
        "42P10" | "3D000" | "3F000" => Cause::Setup,
        _ => match state.get(..2) {
            Some("08" | "40" | "53" | "58" | "25") => Cause::Passing,
            Some("22" | "23" | "44" | "P0" | "54") => Cause::Row,
            Some("28") => Cause::Auth,
            _ => Cause::Other,
        },
    }
}

/// What failed, before anyone knows which record is to blame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The database refused, or could not be asked.
    #[error("the database")]
    Database(#[from] tokio_postgres::Error),
    /// The cause is known and so is what to do.
    #[error(transparent)]
    Known(#[from] Error),
    /// A table is not as it was when we looked.
    #[error("a table was changed")]
    Changed,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Deadline(std::time::Duration),
}

impl WriteError {
    /// The kind of failure.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Database(error) => match error.as_db_error() {
                Some(error) => cause_of(error.code().code()),
                None => client_cause(error),
            },
            Self::Known(error) if error.kind() == ErrorKind::Data => Cause::Row,
            Self::Known(error) if error.is_retriable() => Cause::Passing,
            Self::Known(_) => Cause::Other,
            Self::Changed => Cause::Stale,
            Self::Deadline(_) => Cause::Passing,
        }
    }

    /// True if the server itself has refused.
    pub(crate) fn is_from_server(&self) -> bool {
        matches!(self, Self::Database(error) if error.as_db_error().is_some())
    }

    /// True if it says that a row with this key exists.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error) if error.code().is_some_and(|code| code.code() == "23505"))
    }

    /// True if the connection cannot be used any more.
    pub(crate) fn breaks_connection(&self) -> bool {
        match self {
            Self::Database(error) => match error.as_db_error() {
                Some(error) => matches!(error.code().code().get(..2), Some("08" | "57" | "58")),
                None => true,
            },
            Self::Known(_) | Self::Changed => false,
            Self::Deadline(_) => true,
        }
    }

    /// The error for the worker.
    pub(crate) fn into_error(self, operation: &str, target: &str) -> Error {
        let cause = self.cause();
        match self {
            Self::Known(error) => error,
            Self::Deadline(deadline) => Error::external(format!("no answer within {deadline:?}"))
                .operation(operation)
                .target(target),
            Self::Changed => Error::external("a table was changed meanwhile")
                .operation(operation)
                .target(target),
            Self::Database(error) => {
                let message = match error.as_db_error() {
                    Some(refusal) if cause == Cause::Row => without_values(refusal),
                    Some(database) => described(database),
                    None => "the connection failed".to_owned(),
                };
                let described = of_cause(cause, message).operation(operation).target(target);
                match cause {
                    // The source would show the row.
                    Cause::Row => described,
                    _ => described.source(error),
                }
            }
        }
    }
}

/// A failure on our side of the connection: a broken one may come back, a certificate that is not trusted will not.
fn client_cause(error: &tokio_postgres::Error) -> Cause {
    if error.is_closed() {
        return Cause::Passing;
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(input_output) = inner.downcast_ref::<io::Error>() {
            let tls = input_output
                .get_ref()
                .is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some());
            return if tls { Cause::Auth } else { Cause::Passing };
        }
        source = inner.source();
    }
    Cause::Other
}

fn of_cause(cause: Cause, message: String) -> Error {
    match cause {
        Cause::Passing => Error::external(message),
        Cause::Row => Error::data(message),
        Cause::Auth => Error::new(ErrorKind::Auth, message),
        Cause::Stale | Cause::Setup => Error::config(message),
        Cause::Other => Error::new(ErrorKind::External, message),
    }
}

/// Postgres's words, with what they are about.
fn described(error: &DbError) -> String {
    let mut text = format!("{} ({})", error.message(), error.code().code());
    let parts = [
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("detail", error.detail()),
        ("hint", error.hint()),
        ("at", error.where_()),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("; {name}: {}", part.replace('\n', " ")));
        }
    }
    if error.code().code() == "42P10" {
        text.push_str("; the columns of the key need a primary key or a unique constraint");
    }
    text
}

/// Postgres's words about a row without what the row holds: no DETAIL, of CONTEXT only COPY's column, and of messages
/// about a value only what comes before it. What a trigger says (class P0) is its author's.
fn without_values(error: &DbError) -> String {
    let state = error.code().code();
    let message = match state.get(..2) {
        Some("22") => before_quote(error.message()),
        _ => error.message().to_owned(),
    };
    let mut text = format!("{message} ({state})");
    let place = error.where_().and_then(copy_place);
    let parts = [
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("at", place),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("; {name}: {part}"));
        }
    }
    text
}

/// Values stand in quotes, whatever the server's language.
const QUOTES: [char; 8] = ['"', '»', '«', '„', '“', '”', '‘', '「'];

fn before_quote(message: &str) -> String {
    match message.split_once(QUOTES) {
        Some((before, _)) => format!("{before}…"),
        None => message.to_owned(),
    }
}

/// `COPY table, line, column`: the binary form shows no data behind it.
fn copy_place(context: &str) -> Option<&str> {
    let mut lines = context.lines();
    lines.find(|line| line.starts_with("COPY ") && !line.contains(':') && !line.contains(QUOTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_left_of_what_the_server_says() {
        let message = "invalid input syntax for type inet: \"hush\"";
        assert_eq!(
            before_quote(message),
            "invalid input syntax for type inet: …"
        );
        assert_eq!(
            before_quote("ungültige Eingabesyntax für Typ inet: »hush«"),
            "ungültige Eingabesyntax für Typ inet: …"
        );
        let long = "value too long for type character varying(5)";
        assert_eq!(before_quote(long), long);
        let context =
            "SQL statement \"INSERT INTO audit VALUES ('hush')\"\nCOPY t, line 778, column v";
        assert_eq!(copy_place(context), Some("COPY t, line 778, column v"));
        assert_eq!(copy_place("COPY t, line 1, column v: \"hush\""), None);
        assert_eq!(copy_place("COPY t, line 1: \"1,hush\""), None);
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for passing in [
            "40001", "40P01", "08006", "57P01", "53300", "25006", "55P03",
        ] {
            assert_eq!(cause_of(passing), Cause::Passing, "{passing}");
        }
        for row in ["23505", "23502", "22001", "22003", "23514", "P0001"] {
            assert_eq!(cause_of(row), Cause::Row, "{row}");
        }
        assert_eq!(cause_of("28P01"), Cause::Auth);
        assert_eq!(cause_of("42501"), Cause::Auth);
        assert_eq!(cause_of("42703"), Cause::Stale);
        assert_eq!(cause_of("42P10"), Cause::Setup);
        assert_eq!(cause_of("42601"), Cause::Other);
    }
}
