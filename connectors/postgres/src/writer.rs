//! Batches into the database: one transaction each.
//!
//! Holds always: a batch is written whole or not at all. After any doubt about the outcome the connection is dropped and
//! everything known about the server with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use connect_core::data::{SinkRecord, TopicPartition};
use connect_core::plugin::{SinkRuntime, SinkTaskContext};
use connect_core::{Error, Result};
use futures_util::future::join;
use tokio_postgres::Client;
use tracing::{debug, warn};

use crate::config::{Guarantee, InsertMode, KeyMode, PostgresSinkConfig};
use crate::connection::Target;
use crate::error::{Cause, WriteError};
use crate::groups::Encoding;
use crate::identifier::TableName;
use crate::layout::Mapper;
use crate::ledger::{self, Ledger, OldOffsets, Span, Spans};
use crate::rows::{self, at};
use crate::session::{self, Ending, Session};
use crate::temporal::Zone;

/// Why a row of `pk.mode=kafka` may be there although its record is new.
const MADE_ANEW: &str = "; a row of this topic, partition and offset is there, and no replay explains it: if the topic was \
     made anew, remove the old one's rows or write to another table";

/// Records that are written together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<SinkRecord>,
    pub(crate) spans: Spans,
}

/// Writes batches, one after the other.
pub(crate) struct Writer {
    config: Arc<PostgresSinkConfig>,
    target: Target,
    zone: Zone,
    mapper: Mapper,
    ledger: Option<Ledger>,
    /// Removed with the first connection.
    old_offsets: Option<OldOffsets>,
    session: Option<Session>,
    unreachable: bool,
    runtime: Arc<dyn SinkRuntime>,
    /// Partitions of which no row can be there that this writer does not know of: since they came, or since the last
    /// doubt, a batch with them was written without meeting one. All others may begin with a replay.
    settled: BTreeSet<TopicPartition>,
    /// Partitions for which the group had no offset, until this writer gave it one.
    anchored: BTreeSet<TopicPartition>,
}

impl Writer {
    /// Reads certificates and keys; connects with the first batch.
    ///
    /// # Errors
    /// A configuration error.
    pub(crate) fn new(config: Arc<PostgresSinkConfig>, context: &SinkTaskContext) -> Result<Self> {
        let connector = context.task.connector.clone();
        let offsets = TableName::parse(&config.delivery.offsets_table, config.ddl.quoting);
        let (ledger, old_offsets) = match config.delivery.guarantee {
            Guarantee::AtLeastOnce => {
                let old = offsets.ok().map(|table| OldOffsets {
                    table,
                    connector: connector.clone(),
                });
                (None, old)
            }
            Guarantee::ExactlyOnce => {
                let runtime = context.runtime.clone();
                (
                    Some(Ledger::new(offsets?, connector.clone(), runtime)),
                    None,
                )
            }
        };
        Ok(Self {
            target: Target::new(&config)?,
            zone: Zone::new(config.zone()),
            mapper: Mapper::new(config.clone(), connector),
            ledger,
            old_offsets,
            session: None,
            unreachable: false,
            runtime: context.runtime.clone(),
            settled: BTreeSet::new(),
            anchored: BTreeSet::new(),
            config,
        })
    }

    /// Partitions that are given up.
    pub(crate) fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.settled.remove(partition);
            self.anchored.remove(partition);
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.forget(partitions);
        }
    }

    /// True if the last batch found no server to write to.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// An error that names the record if one is to blame; retriable if it may pass.
    pub(crate) async fn write(&mut self, batch: &Batch) -> Result<()> {
        let deadline = self.target.write_deadline;
        let written = tokio::time::timeout(deadline, self.write_knowing(batch)).await;
        match written.unwrap_or(Err(WriteError::Deadline(deadline))) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.doubt(&error, batch);
                Err(error.into_error("write to", &self.target.shown))
            }
        }
    }

    /// Writes; what is known about tables may be old, and rows of `pk.mode=kafka` may be there: then once more.
    async fn write_knowing(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let mut skip_existing = false;
        let mut known_anew = false;
        loop {
            let records = &batch.records;
            let outcome = self
                .transact(records, &batch.spans, skip_existing, Ending::Commit)
                .await;
            let error = match outcome {
                Ok(left_out) => {
                    self.written(batch, left_out);
                    return Ok(());
                }
                Err(error) => error,
            };
            let mut spans = batch.spans.iter();
            let may_be_replay = spans.any(|(partition, span)| self.may_be_replay(partition, span));
            if self.is_known_row(&error) && !skip_existing && may_be_replay {
                self.try_new(batch).await?;
                skip_existing = true;
            } else if self.may_be_stale(&error) && !known_anew {
                debug!(%error, "looking at the tables again");
                known_anew = true;
            } else if is_refusal(&error) {
                return Err(self.refused(batch, skip_existing, error).await);
            } else {
                return Err(error);
            }
        }
    }

    /// A batch is committed.
    fn written(&mut self, batch: &Batch, left_out: u64) {
        if left_out == 0 {
            self.settled.extend(batch.spans.keys().cloned());
            return;
        }
        let partitions: Vec<_> = batch.spans.keys().map(ToString::to_string).collect();
        warn!(
            rows = left_out,
            of = batch.records.len(),
            partitions = partitions.join(", "),
            "rows of these positions were there already: taken for written before a crash, and left out"
        );
    }

    /// True if rows are inserted under their topic, partition and offset.
    fn inserts_positions(&self) -> bool {
        self.config.data.key_mode == KeyMode::Kafka
            && self.config.writes.insert_mode == InsertMode::Insert
    }

    /// True if there is a row with this topic, partition and offset as its key.
    fn is_known_row(&self, error: &WriteError) -> bool {
        error.is_duplicate() && self.inserts_positions()
    }

    /// True if records of the partition may have been written before: not with a ledger, which knows of each; not where
    /// the group has no offset, since it gets one before the first row; and not before the offset it has. Whose row is
    /// there then is another topic's, made anew under the name.
    fn may_be_replay(&self, partition: &TopicPartition, span: &Span) -> bool {
        let goes_on = match span.committed {
            Some(committed) => span.first >= committed,
            None => self.anchored.contains(partition),
        };
        goes_on && self.ledger.is_none() && !self.settled.contains(partition)
    }

    /// Gives the group an offset where it has none, before the first rows are committed: without one a replay could not
    /// be told from a topic made anew.
    async fn anchor(&mut self, spans: &Spans) -> Result<(), WriteError> {
        let without_offset = |(partition, span): &(&TopicPartition, &Span)| {
            span.committed.is_none() && !self.anchored.contains(*partition)
        };
        let new: Vec<_> = spans.iter().filter(without_offset).collect();
        if new.is_empty() || self.ledger.is_some() || !self.inserts_positions() {
            return Ok(());
        }
        let partitions: Vec<_> = new
            .iter()
            .map(|(partition, _)| (*partition).clone())
            .collect();
        self.runtime.commit(ledger::committed(new)).await?;
        self.anchored.extend(partitions);
        Ok(())
    }

    /// Tries, and keeps nothing of it: rows of a batch that are there may be left out only where they may be replays.
    async fn try_new(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let is_new = |record: &&SinkRecord| {
            let span = batch.spans.get(&record.origin);
            span.is_some_and(|span| !self.may_be_replay(&record.origin, span))
        };
        let records: Vec<_> = batch.records.iter().filter(is_new).cloned().collect();
        if records.is_empty() {
            return Ok(());
        }
        let spans = batch.spans.clone();
        let new = Batch { records, spans };
        let tried = self
            .transact(&new.records, &new.spans, false, Ending::Rollback)
            .await;
        match tried {
            Ok(_) => Ok(()),
            Err(error) if is_refusal(&error) => Err(self.refused(&new, false, error).await),
            Err(error) => Err(error),
        }
    }

    /// What to say of a batch that is refused. If the row is there because another task has the partition by now, that.
    async fn refused(
        &mut self,
        batch: &Batch,
        skip_existing: bool,
        error: WriteError,
    ) -> WriteError {
        // The group gets no offset by this where it has none: the row would pass for a replay after a restart.
        let has_offset = |(_, span): &(&TopicPartition, &Span)| span.committed.is_some();
        let known = ledger::committed(batch.spans.iter().filter(has_offset));
        if self.is_known_row(&error)
            && !known.is_empty()
            && let Err(lost) = self.runtime.commit(known).await
        {
            return lost.into();
        }
        self.culprit(batch, skip_existing, error).await
    }

    /// True if the error may come from a table that is not as we think; then nothing is known about tables any more.
    fn may_be_stale(&mut self, error: &WriteError) -> bool {
        let stale = error.cause() == Cause::Stale || error.cause() == Cause::Row;
        if let Some(session) = self.session.as_mut().filter(|_| stale) {
            session.forget_tables();
        }
        stale
    }

    fn doubt(&mut self, error: &WriteError, batch: &Batch) {
        if error.breaks_connection() {
            self.session = None;
            // The COMMIT may have been sent.
            self.settled
                .retain(|partition| !batch.spans.contains_key(partition));
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.forget_all();
        }
    }

    async fn connect(&mut self) -> Result<Session, WriteError> {
        let session = Session::open(&self.target).await?;
        if let Some(old) = &self.old_offsets {
            old.remove(&session.connection.client).await?;
            self.old_offsets = None;
        }
        Ok(session)
    }

    /// How many rows were left out.
    async fn transact(
        &mut self,
        records: &[SinkRecord],
        spans: &Spans,
        skip_existing: bool,
        ending: Ending,
    ) -> Result<u64, WriteError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                self.unreachable = true;
                self.connect().await?
            }
        };
        self.unreachable = false;
        let outcome = self
            .transact_on(&mut session, records, spans, skip_existing, ending)
            .await;
        // A session is kept unless it is broken; a dropped future drops it.
        if outcome.is_ok() || session.roll_back().await {
            self.session = Some(session);
        }
        outcome
    }

    async fn transact_on(
        &mut self,
        session: &mut Session,
        records: &[SinkRecord],
        spans: &Spans,
        skip_existing: bool,
        ending: Ending,
    ) -> Result<u64, WriteError> {
        if let Some(ledger) = &mut self.ledger {
            ledger.claim(&mut session.connection.client, spans).await?;
        }
        let ledger = self.ledger.as_ref();
        let skip = |record: &SinkRecord| ledger.is_some_and(|ledger| ledger.has(record));
        let tables = rows::sort(records, skip, &mut self.mapper, &self.config)?;
        let encoding = Encoding {
            config: &self.config,
            zone: &self.zone,
            skip_existing,
        };
        let mut work = Vec::new();
        for rows in &tables {
            work.extend(session.prepare(rows, records, encoding).await?);
        }
        let client = &session.connection.client;
        let writing = async {
            if let Some(ledger) = ledger {
                ledger.advance(client, spans).await?;
            }
            session::write_all(client, &work).await
        };
        // Sent together, BEGIN first: no waiting for its answer.
        let (begun, written) = join(client.batch_execute("BEGIN"), writing).await;
        begun?;
        let left_out = written?;
        if ending == Ending::Commit {
            self.anchor(spans).await?;
        }
        session::end(client, &work, ending).await?;
        if let Some(ledger) = self.ledger.as_mut().filter(|_| ending == Ending::Commit) {
            ledger.advanced(spans);
        }
        Ok(left_out)
    }

    /// Finds the first record that the database refuses: the shortest beginning of the batch that fails, by halving.
    /// Nothing is kept of these tries.
    async fn culprit(
        &mut self,
        batch: &Batch,
        skip_existing: bool,
        error: WriteError,
    ) -> WriteError {
        let (mut good, mut bad) = (0, batch.records.len());
        let mut refusal = error;
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            let records = batch.records.get(..middle).unwrap_or_default();
            match self
                .transact(records, &batch.spans, skip_existing, Ending::Rollback)
                .await
            {
                Ok(_) => good = middle,
                Err(error) if error.cause() == Cause::Row => {
                    bad = middle;
                    refusal = error;
                }
                // The connection is gone, say: then that is what has to be dealt with first.
                Err(error) => return error,
            }
        }
        let Some(record) = batch.records.get(good) else {
            return refusal;
        };
        let table = self.config.table(&record.topic);
        let table = table.map_or_else(|_| record.topic.to_string(), |table| table.quoted());
        let hint = if self.is_known_row(&refusal) {
            MADE_ANEW
        } else {
            ""
        };
        let refused = refusal.into_error("table", &table);
        let text = format!("refused by the database: {refused}{hint}");
        at(record, Error::data(text).source(refused)).into()
    }
}

/// True if the database refuses a row.
fn is_refusal(error: &WriteError) -> bool {
    error.cause() == Cause::Row && matches!(error, WriteError::Database(_))
}

/// Looks whether the server can be reached and lets us in.
///
/// # Errors
/// What the server or the network said.
pub(crate) async fn check(config: &PostgresSinkConfig) -> Result<()> {
    let target = Target::new(config)?;
    match target.connect().await {
        Ok(connection) => ping(&connection.client, &target).await,
        Err(error) => Err(error.into_error("connect to", &target.shown)),
    }
}

async fn ping(client: &Client, target: &Target) -> Result<()> {
    let answer = client.batch_execute("SELECT 1").await;
    answer.map_err(|error| {
        warn!(%error, server = target.shown, "the server does not answer");
        WriteError::from(error).into_error("connect to", &target.shown)
    })
}
