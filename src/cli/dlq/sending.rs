//! Letters on their way, each in one transaction with the note that it was sent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use connect_core::{Error, ErrorKind, RetryVerdict};
use tokio::time::Instant;

use super::ledger::Ledger;
use super::letter::Place;
use crate::kafka::{Compression, Log, ProducerOptions, ProducerRecord, TransactionalProducer};

/// Letters of one transaction, at the most.
const BATCH_LETTERS: usize = 500;
/// Bytes of one transaction, unless one letter is larger.
const BATCH_BYTES: usize = 4 << 20;
/// The largest request: what the queue's topic took is for the broker of the target to judge.
const REQUEST_BYTES: usize = 128 << 20;
/// Transactions a second, if the rate is limited.
const STEPS: u32 = 4;

/// A letter to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) place: Place,
    pub(super) size: usize,
    pub(super) record: ProducerRecord,
    pub(super) note: ProducerRecord,
}

pub(super) struct Sender {
    producer: Arc<dyn TransactionalProducer>,
    waiting: Vec<Outgoing>,
    bytes: usize,
    rate: Option<u32>,
    /// Before then nothing is sent.
    next: Instant,
}

impl Sender {
    /// Fences another run on the same queue, and aborts what one has left open.
    pub(super) async fn open(log: &dyn Log, queue: &str, rate: Option<u32>) -> Result<Self> {
        Ledger::provide(log, queue).await?;
        let bytes = REQUEST_BYTES.to_string();
        let options = ProducerOptions {
            client_id: "sluice-dlq".to_owned(),
            compression: Compression::Zstd,
            overrides: [
                ("max.request.size".to_owned(), bytes.clone()),
                ("buffer.memory".to_owned(), bytes),
            ]
            .into(),
        };
        let id = Ledger::name_for(queue);
        Ok(Self {
            producer: log.transactional_producer(&id, options).await?,
            waiting: Vec::new(),
            bytes: 0,
            rate,
            next: Instant::now(),
        })
    }

    /// Takes a letter; true if it is time to send.
    pub(super) fn push(&mut self, letter: Outgoing) -> bool {
        self.bytes += letter.size;
        self.waiting.push(letter);
        self.waiting.len() >= letters_at_once(self.rate) || self.bytes >= BATCH_BYTES
    }

    /// Sends what waits; returns letters that the log refuses, with the reason.
    pub(super) async fn send(&mut self, sent: &mut u64) -> Result<Vec<(Place, String)>> {
        let letters = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        tokio::time::sleep_until(self.next).await;
        self.next = Instant::now() + pause(letters.len(), self.rate);
        if self.transact(&letters).await?.is_none() {
            *sent += letters.len() as u64;
            return Ok(Vec::new());
        }
        let mut refused = Vec::new();
        for letter in letters {
            match self.transact(std::slice::from_ref(&letter)).await? {
                None => *sent += 1,
                Some(reason) => refused.push((letter.place, reason)),
            }
        }
        Ok(refused)
    }

    /// All in one transaction, or nothing and the reason if a record is refused for what it is.
    async fn transact(&self, letters: &[Outgoing]) -> Result<Option<String>> {
        let both = |letter: &Outgoing| [letter.record.clone(), letter.note.clone()];
        let written = self.write(letters.iter().flat_map(both).collect()).await;
        let Err(error) = written else {
            let committed = self.producer.commit().await;
            committed.context("committing: run it again, what was sent is not sent twice")?;
            return Ok(None);
        };
        // Aborting fails too if the producer was fenced: the first error says so.
        let aborted = self.producer.abort().await;
        if is_of_record(&error) && aborted.is_ok() {
            return Ok(Some(error.trace().replace("\n\tcaused by: ", ": ")));
        }
        Err(error).context("sending: run it again, what was sent is not sent twice")
    }

    async fn write(&self, records: Vec<ProducerRecord>) -> connect_core::Result<()> {
        self.producer.begin().await?;
        self.producer.send(records).await?;
        Ok(())
    }

    /// Removes notes of letters that are gone.
    pub(super) async fn forget(&self, removals: Vec<ProducerRecord>) -> Result<()> {
        for some in removals.chunks(BATCH_LETTERS) {
            self.write(some.to_vec()).await?;
            self.producer.commit().await?;
        }
        Ok(())
    }

    pub(super) async fn close(&self) -> Result<()> {
        Ok(self.producer.close().await?)
    }
}

/// True if other records may fare better. The client does not tell which record has spoilt a transaction, and only in its text
/// why: it is not worth trying the same again, and nobody else has taken over.
fn is_of_record(error: &Error) -> bool {
    let is_lasting = error.verdict() == RetryVerdict::Never;
    is_lasting && matches!(error.kind(), ErrorKind::Data | ErrorKind::External)
}

fn letters_at_once(rate: Option<u32>) -> usize {
    let limited = rate.map_or(u32::MAX, |rate| (rate / STEPS).max(1));
    usize::try_from(limited).map_or(BATCH_LETTERS, |limited| limited.min(BATCH_LETTERS))
}

/// The pause that so many letters take at this rate.
fn pause(letters: usize, rate: Option<u32>) -> Duration {
    let letters = u32::try_from(letters).unwrap_or(u32::MAX);
    rate.map_or(Duration::ZERO, |rate| {
        Duration::from_secs(1) * letters / rate.max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_in_small_steps() {
        assert_eq!(letters_at_once(None), BATCH_LETTERS);
        for rate in [1, 3, 20, 1_000, 10_000] {
            let letters = letters_at_once(Some(rate));
            let seconds = pause(letters, Some(rate)).as_secs_f64();
            assert!((letters as f64 / seconds - f64::from(rate)).abs() < 1e-3);
            assert!(seconds <= 1.0);
        }
    }
}
