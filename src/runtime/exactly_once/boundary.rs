//! Where transactions end: `transaction.boundary`.

use std::time::Duration;

use connect_core::Result;
use connect_core::config::{ConfigMap, ConnectorConfig, SourceOptions};
use connect_core::plugin::{TransactionBoundaries, TransactionEnd};
use tokio::time::Instant;

use crate::runtime::worker_config::wrong_options;

/// How long a transaction lasts that nobody ends, unless somebody sets it: Kafka's default.
pub(super) const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the transactions of a task end.
#[derive(Debug, Clone)]
pub(in crate::runtime) enum Boundary {
    /// With each poll.
    Poll,
    /// Every so often, after a poll.
    Interval { length: Duration, due: Instant },
    /// Where the task says.
    Connector(TransactionBoundaries),
}

impl Boundary {
    /// What a connector's options say. `usual` is the interval of one that gives none.
    ///
    /// # Errors
    /// Every wrong option.
    pub(in crate::runtime) fn of(config: &ConfigMap, usual: Duration) -> Result<Self> {
        let options = SourceOptions::from_map(config).map_err(|errors| wrong_options(&errors))?;
        Ok(
            match options.transaction_boundary.to_ascii_lowercase().as_str() {
                "interval" => {
                    let given = options.transaction_interval;
                    let given = given.and_then(|millis| u64::try_from(millis).ok());
                    let length = given.map_or(usual, Duration::from_millis);
                    Self::Interval {
                        length,
                        due: Instant::now() + length,
                    }
                }
                "connector" => Self::Connector(TransactionBoundaries::default()),
                _ => Self::Poll,
            },
        )
    }

    /// What the task is given, so that it can say.
    pub(in crate::runtime) fn of_connector(&self) -> Option<TransactionBoundaries> {
        match self {
            Self::Connector(boundaries) => Some(boundaries.clone()),
            Self::Poll | Self::Interval { .. } => None,
        }
    }

    /// The places in a batch of `records` where a transaction ends; the batch's own end is [`Boundary::ends_batch`]'s.
    pub(in crate::runtime) fn within(&self, records: usize) -> Vec<(usize, TransactionEnd)> {
        match self {
            Self::Connector(boundaries) => boundaries.take(records),
            Self::Poll | Self::Interval { .. } => Vec::new(),
        }
    }

    /// True if the transaction ends because a batch does.
    pub(in crate::runtime) fn ends_batch(&self) -> bool {
        match self {
            Self::Poll => true,
            Self::Interval { due, .. } => *due <= Instant::now(),
            Self::Connector(_) => false,
        }
    }

    /// When it ends, if one is open, although nothing was polled.
    pub(in crate::runtime) fn due(&self) -> Option<Instant> {
        match self {
            Self::Interval { due, .. } => Some(*due),
            Self::Poll | Self::Connector(_) => None,
        }
    }

    /// How long a transaction must be allowed to last, where that is longer than usual; the rest is for the commit.
    pub(in crate::runtime) fn transaction_timeout(&self) -> Option<Duration> {
        match self {
            Self::Interval { length, .. } => Some(*length + USUAL_TIMEOUT),
            Self::Poll | Self::Connector(_) => None,
        }
    }

    /// True if what was sent may be committed once the task stops, wherever it stands.
    pub(in crate::runtime) fn ends_anywhere(&self) -> bool {
        !matches!(self, Self::Connector(_))
    }

    /// A transaction has ended.
    pub(in crate::runtime) fn ended(&mut self) {
        if let Self::Interval { length, due } = self {
            *due = Instant::now() + *length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary(options: &[(&str, &str)]) -> Boundary {
        let options = options.iter();
        let config = options.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Boundary::of(&config.collect(), Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn each_poll_is_a_transaction_unless_something_else_is_asked_for() {
        let poll = boundary(&[]);
        assert!(poll.ends_batch() && poll.due().is_none() && poll.of_connector().is_none());
    }

    #[test]
    fn an_interval_is_the_connectors_or_the_workers() {
        let begin = Instant::now();
        let mut usual = boundary(&[("transaction.boundary", "INTERVAL")]);
        assert_eq!(usual.transaction_timeout(), Some(Duration::from_secs(120)));
        assert!(usual.due() >= Some(begin + Duration::from_secs(60)) && !usual.ends_batch());
        let due = usual.due();
        usual.ended();
        assert!(usual.due() >= due);
        let own = boundary(&[
            ("transaction.boundary", "interval"),
            ("transaction.boundary.interval.ms", "0"),
        ]);
        assert!(own.ends_batch());
    }

    #[test]
    fn a_connector_says_itself() {
        let connector = boundary(&[("transaction.boundary", "connector")]);
        connector
            .of_connector()
            .unwrap()
            .end_after(2, TransactionEnd::Abort);
        assert_eq!(connector.within(5), [(2, TransactionEnd::Abort)]);
        assert!(!connector.ends_batch() && !connector.ends_anywhere());
    }
}
