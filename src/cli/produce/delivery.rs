//! How events get to Kafka: at least once in batches, or exactly once in transactions.

use anyhow::Result;

use super::sender::Sender;
use super::settings::{Guarantee, Settings};
use super::transaction::Transactions;

/// Bytes of a batch.
pub(super) const BATCH_BYTES: usize = 16 * 1024;
/// How often what failed is sent again.
pub(super) const RETRIES: u32 = 3;

/// One way or the other; streams are named by their place in the settings.
pub(super) enum Delivery {
    AtLeastOnce(Sender),
    ExactlyOnce(Box<Transactions>),
}

impl Delivery {
    /// Connects, and makes the topics that are not there.
    pub(super) async fn connect(settings: &Settings) -> Result<Self> {
        Ok(match &settings.guarantee {
            Guarantee::AtLeastOnce => Self::AtLeastOnce(Sender::connect(settings).await?),
            Guarantee::ExactlyOnce { transactional_id } => {
                let transactions = Transactions::open(settings, transactional_id).await?;
                Self::ExactlyOnce(Box::new(transactions))
            }
        })
    }

    /// Takes a record; sends what has gathered if that is enough.
    pub(super) async fn send(
        &mut self,
        stream: usize,
        key: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<()> {
        match self {
            Self::AtLeastOnce(sender) => sender.send(stream, key, value).await,
            Self::ExactlyOnce(transactions) => transactions.send(stream, key, value).await,
        }
    }

    /// Sends what has gathered and waits until all is acknowledged, or committed.
    pub(super) async fn flush(&mut self) -> Result<()> {
        match self {
            Self::AtLeastOnce(sender) => sender.flush().await,
            Self::ExactlyOnce(transactions) => transactions.flush().await,
        }
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        self.flush().await?;
        match self {
            Self::AtLeastOnce(_) => Ok(()),
            Self::ExactlyOnce(transactions) => transactions.close().await,
        }
    }
}
