//! Where on its way a record failed.

use connect_core::{Error, ErrorKind};

/// What stands between the errors of a trace.
const CAUSE: &str = "\n\tcaused by: ";

/// Who refuses a record that the log does not take, as Kafka Connect names it.
const PRODUCER: &str = "org.apache.kafka.clients.producer.KafkaProducer";

/// A stage of a record's way, by Kafka Connect's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Stage {
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    Transformation,
    TaskPut,
    KafkaProduce,
}

impl Stage {
    /// As logs and dead letters name it.
    pub(in crate::runtime) fn name(self) -> &'static str {
        match self {
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::Transformation => "TRANSFORMATION",
            Self::TaskPut => "TASK_PUT",
            Self::KafkaProduce => "KAFKA_PRODUCE",
        }
    }
}

/// A record that failed.
#[derive(Debug)]
pub(in crate::runtime) struct RecordFailure {
    pub(in crate::runtime) stage: Stage,
    /// The class of the plugin that refused it.
    pub(in crate::runtime) class: String,
    pub(in crate::runtime) error: Box<Error>,
}

impl RecordFailure {
    pub(in crate::runtime) fn new(stage: Stage, class: impl Into<String>, error: Error) -> Self {
        Self {
            stage,
            class: class.into(),
            error: Box::new(error),
        }
    }

    /// A record that the log does not take.
    pub(in crate::runtime) fn unsent(error: Error) -> Self {
        Self::new(Stage::KafkaProduce, PRODUCER, error)
    }

    /// True if the fault is the record's: the next one may do better.
    pub(in crate::runtime) fn is_of_record(&self) -> bool {
        match self.error.kind() {
            ErrorKind::Data => true,
            // One that is set up wrongly for the records it sees.
            ErrorKind::Config => self.stage == Stage::Transformation,
            _ => false,
        }
    }

    /// What was worth trying again has been tried for long enough: it counts as the record's fault.
    pub(in crate::runtime) fn given_up(mut self) -> Self {
        *self.error = Error::data("given up after errors.retry.timeout").source(*self.error);
        self
    }

    /// What the stage said, in one line. `trace` is the error's; its first line only tells which record a converter or
    /// transform was given.
    pub(super) fn message(&self, trace: &str) -> String {
        let mut causes: Vec<_> = trace.split(CAUSE).map(str::trim).collect();
        let is_named = matches!(
            self.stage,
            Stage::KeyConverter
                | Stage::ValueConverter
                | Stage::HeaderConverter
                | Stage::Transformation
        );
        if is_named && causes.len() > 1 {
            causes.remove(0);
        }
        causes.join(": ").replace(char::is_control, " ")
    }

    /// The Java exception that tools expect for such an error.
    pub(super) fn exception_class(&self) -> &'static str {
        match self.error.kind() {
            ErrorKind::Data => "org.apache.kafka.connect.errors.DataException",
            ErrorKind::Config => "org.apache.kafka.common.config.ConfigException",
            ErrorKind::Auth | ErrorKind::External | ErrorKind::Conflict | ErrorKind::Internal => {
                "org.apache.kafka.connect.errors.ConnectException"
            }
        }
    }
}

impl From<RecordFailure> for Error {
    fn from(failure: RecordFailure) -> Self {
        *failure.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_what_the_stage_said_not_which_record_it_was_given() {
        let error = || {
            Error::data("cannot be transformed")
                .source(Error::data("transform cast: failed").source(Error::data("no number")))
        };
        let message = |stage| {
            let failure = RecordFailure::new(stage, "class", error());
            failure.message(&failure.error.trace())
        };
        let cause = message(Stage::Transformation);
        assert!(cause.starts_with("transform cast: failed"), "{cause}");
        assert!(cause.ends_with(": no number"), "{cause}");
        let all = message(Stage::TaskPut);
        assert!(all.starts_with("cannot be transformed"), "{all}");
        let alone = RecordFailure::new(Stage::ValueConverter, "class", Error::data("wrong"));
        assert!(alone.message(&alone.error.trace()).starts_with("wrong"));
    }
}
