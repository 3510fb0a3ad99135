//! Batches into the database: one transaction each.
//!
//! Holds always: a batch is written whole or not at all. After any doubt about the outcome the connection is dropped and
//! everything known about the server with it.

use std::sync::Arc;

use connect_core::data::SinkRecord;
use connect_core::plugin::SinkTaskContext;
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
use crate::ledger::{Ledger, Spans};
use crate::rows::{self, at};
use crate::session::{self, Ending, Session};
use crate::temporal::Zone;

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
    session: Option<Session>,
    unreachable: bool,
}

impl Writer {
    /// Reads certificates and keys; connects with the first batch.
    ///
    /// # Errors
    /// A configuration error.
    pub(crate) fn new(config: Arc<PostgresSinkConfig>, context: &SinkTaskContext) -> Result<Self> {
        let connector = context.task.connector.clone();
        let ledger = match config.delivery.guarantee {
            Guarantee::AtLeastOnce => None,
            Guarantee::ExactlyOnce => {
                let table = TableName::parse(&config.delivery.offsets_table, config.ddl.quoting)?;
                Some(Ledger::new(
                    table,
                    connector.clone(),
                    context.runtime.clone(),
                ))
            }
        };
        Ok(Self {
            target: Target::new(&config)?,
            zone: Zone::new(config.zone()),
            mapper: Mapper::new(config.clone(), connector),
            ledger,
            session: None,
            unreachable: false,
            config,
        })
    }

    /// Partitions that are given up.
    pub(crate) fn forget(&mut self, partitions: &[connect_core::data::TopicPartition]) {
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
                self.doubt(&error);
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
            let Err(error) = outcome else {
                return Ok(());
            };
            if self.is_replayed(&error) && !skip_existing {
                debug!("rows of this batch are there already: only the others are written");
                skip_existing = true;
            } else if self.may_be_stale(&error) && !known_anew {
                debug!(%error, "looking at the tables again");
                known_anew = true;
            } else if is_refusal(&error) {
                return Err(self.culprit(batch, skip_existing, error).await);
            } else {
                return Err(error);
            }
        }
    }

    /// With topic, partition and offset as the key, a duplicate is the same record, written before a crash.
    fn is_replayed(&self, error: &WriteError) -> bool {
        error.is_duplicate()
            && self.config.data.key_mode == KeyMode::Kafka
            && self.config.writes.insert_mode == InsertMode::Insert
    }

    /// True if the error may come from a table that is not as we think; then nothing is known about tables any more.
    fn may_be_stale(&mut self, error: &WriteError) -> bool {
        let stale = error.cause() == Cause::Stale || error.cause() == Cause::Row;
        if let Some(session) = self.session.as_mut().filter(|_| stale) {
            session.forget_tables();
        }
        stale
    }

    fn doubt(&mut self, error: &WriteError) {
        if error.breaks_connection() {
            self.session = None;
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.forget_all();
        }
    }

    async fn transact(
        &mut self,
        records: &[SinkRecord],
        spans: &Spans,
        skip_existing: bool,
        ending: Ending,
    ) -> Result<(), WriteError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                self.unreachable = true;
                Session::open(&self.target).await?
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
    ) -> Result<(), WriteError> {
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
        written?;
        session::end(client, &work, ending).await?;
        if let Some(ledger) = self.ledger.as_mut().filter(|_| ending == Ending::Commit) {
            ledger.advanced(spans);
        }
        Ok(())
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
                Ok(()) => good = middle,
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
        let refused = refusal.into_error("table", &table);
        at(
            record,
            Error::data(format!("refused by the database: {refused}")).source(refused),
        )
        .into()
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
