//! The one error type at every trait border.
//!
//! Whoever knows the cause sets the kind and the retry verdict; nobody downstream guesses either from text.

use std::fmt;
use std::time::Duration;

use crate::data::{Offset, TopicPartition};

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault it is: decides where the error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The connector's or worker's configuration is wrong; a person must change it.
    Config,
    /// One record is wrong; the others are not. Goes to `errors.tolerance` and the dead letter queue.
    Data,
    /// Credentials or privileges are missing or were refused.
    Auth,
    /// A system we talk to failed or could not be reached.
    External,
    /// Somebody else owns or changed what we meant to write: a fenced task, a lost partition.
    Conflict,
    /// A defect in Sluice itself.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Config => "configuration",
            Self::Data => "data",
            Self::Auth => "authorization",
            Self::External => "external",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
        })
    }
}

/// Whether trying the same thing again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryVerdict {
    /// Trying again gives the same answer.
    Never,
    /// Worth trying again with growing pauses.
    Backoff,
    /// The other side said when to come back.
    After(Duration),
}

/// What went wrong, where, and whether trying again can help.
///
/// The message names the operation and the target, never a secret. Causes are chained as sources and
/// are not part of the message; [`Error::trace`] prints the whole chain.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    retry: RetryVerdict,
    message: String,
    operation: Option<String>,
    target: Option<String>,
    record: Option<Box<(TopicPartition, Offset)>>,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

impl Error {
    /// An error of `kind` that is not worth retrying.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            retry: RetryVerdict::Never,
            message: message.into(),
            operation: None,
            target: None,
            record: None,
            source: None,
        }
    }

    /// A configuration error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// An error of one record.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// A failure of a system we talk to, worth retrying with backoff.
    pub fn external(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::External, message).retry(RetryVerdict::Backoff)
    }

    /// Somebody else owns what we meant to change.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// A defect in Sluice.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Sets the verdict on retrying.
    #[must_use]
    pub fn retry(mut self, verdict: RetryVerdict) -> Self {
        self.retry = verdict;
        self
    }

    /// Names what was being done: `"upload"`, `"commit offsets"`.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Names what it was done to: an object key, a table, a topic partition.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Names the record of the log it is about, which the runtime may then leave out.
    #[must_use]
    pub fn record(mut self, partition: &TopicPartition, offset: Offset) -> Self {
        self.record = Some(Box::new((partition.clone(), offset)));
        self.operation("record")
            .target(format!("{partition} at offset {offset}"))
    }

    /// Chains the cause.
    #[must_use]
    pub fn source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The record of the log it is about, if it or one of its causes names one.
    pub fn record_position(&self) -> Option<&(TopicPartition, Offset)> {
        let mut error: &(dyn std::error::Error + 'static) = self;
        loop {
            let named = error.downcast_ref::<Self>();
            if let Some(record) = named.and_then(|error| error.record.as_deref()) {
                return Some(record);
            }
            error = error.source()?;
        }
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether trying again can help.
    pub fn verdict(&self) -> RetryVerdict {
        self.retry
    }

    /// True if trying again can help.
    pub fn is_retriable(&self) -> bool {
        self.retry != RetryVerdict::Never
    }

    /// The message without operation, target and causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The message and every cause below it, a line each: what a status shows as `trace`.
    pub fn trace(&self) -> String {
        let mut text = format!("{self} ({} error)", self.kind);
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str("\n\tcaused by: ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.operation, &self.target) {
            (Some(operation), Some(target)) => write!(formatter, "{operation} {target}: ")?,
            (Some(what), None) | (None, Some(what)) => write!(formatter, "{what}: ")?,
            (None, None) => {}
        }
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_operation_target_and_every_cause() {
        let cause = std::io::Error::other("connection reset");
        let error = Error::external("no answer after 3 attempts")
            .operation("upload")
            .target("bucket/key")
            .source(cause);
        assert_eq!(
            error.to_string(),
            "upload bucket/key: no answer after 3 attempts"
        );
        assert_eq!(
            error.trace(),
            "upload bucket/key: no answer after 3 attempts (external error)\n\tcaused by: connection reset"
        );
    }

    #[test]
    fn a_record_is_found_through_what_was_said_around_it() {
        let partition = TopicPartition::new("t", 3);
        let inner = Error::data("no number").record(&partition, Offset::new(7));
        assert_eq!(inner.to_string(), "record t-3 at offset 7: no number");
        let outer = Error::data("cannot be written").source(inner);
        let found = outer.record_position().cloned();
        assert_eq!(found, Some((partition, Offset::new(7))));
        assert!(Error::data("any").record_position().is_none());
    }
}
