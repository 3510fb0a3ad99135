//! Batches into the database: one transaction each.
//!
//! Holds always: a batch is written whole or not at all. After any doubt about the outcome the connection is dropped and
//! everything known about the server with it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::SinkRecord;
use connect_core::plugin::SinkTaskContext;
use connect_core::{Error, Result};
use futures_util::SinkExt as _;
use tokio_postgres::{Client, CopyInSink, Transaction};
use tracing::{debug, warn};

use crate::config::{Guarantee, InsertMode, KeyMode, PostgresSinkConfig, Quoting};
use crate::connection::{Connection, Target};
use crate::error::{Cause, WriteError};
use crate::groups::{self, Encoding, Group, Way};
use crate::identifier::{Identifier, TableName};
use crate::layout::Mapper;
use crate::ledger::{Ledger, Spans};
use crate::rows::{self, TableRows, at};
use crate::statement;
use crate::table::{self, Column, Table};
use crate::temporal::Zone;

/// Bytes handed to the connection at once.
const CHUNK: usize = 256 << 10;

/// Records that are written together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<SinkRecord>,
    pub(crate) spans: Spans,
}

/// What ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Commit,
    /// Nothing is kept: only whether it would have worked.
    Rollback,
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

/// A connection with what is known about its server.
struct Session {
    connection: Connection,
    tables: HashMap<TableName, Arc<Table>>,
    stages: HashMap<StageKey, Identifier>,
}

/// Table and columns of a staging table.
type StageKey = (TableName, Vec<Identifier>);

/// A group with its table.
struct Work {
    table: Arc<Table>,
    group: Group,
    stage: Option<Identifier>,
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
            session.tables.clear();
            session.stages.clear();
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
        // A session is kept unless the error says that it is broken; a dropped future drops it.
        self.session = Some(session);
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
        let transaction = session.connection.client.transaction().await?;
        if let Some(ledger) = ledger {
            ledger.advance(transaction.client(), spans).await?;
        }
        write_all(&transaction, work).await?;
        match ending {
            Ending::Commit => transaction.commit().await?,
            Ending::Rollback => {
                transaction
                    .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
                    .await?;
                transaction.rollback().await?;
            }
        }
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

impl Session {
    async fn open(target: &Target) -> Result<Self, WriteError> {
        Ok(Self {
            connection: target.connect().await?,
            tables: HashMap::new(),
            stages: HashMap::new(),
        })
    }

    /// The groups of a table's rows, with table and staging tables ready.
    async fn prepare(
        &mut self,
        rows: &TableRows,
        records: &[SinkRecord],
        encoding: Encoding<'_>,
    ) -> Result<Vec<Work>, WriteError> {
        let Some(table) = self.table(rows, records, encoding).await? else {
            return Ok(Vec::new());
        };
        let groups = groups::encode(rows, records, &table, encoding)?;
        let mut work = Vec::with_capacity(groups.len());
        for group in groups {
            let stage = match group.way {
                Way::Append => None,
                Way::Stage(_) => Some(self.stage(&table, &group).await?),
            };
            work.push(Work {
                table: table.clone(),
                group,
                stage,
            });
        }
        Ok(work)
    }

    /// The table with every column that the rows need; `None` if it is missing and there is only something to delete.
    async fn table(
        &mut self,
        rows: &TableRows,
        records: &[SinkRecord],
        encoding: Encoding<'_>,
    ) -> Result<Option<Arc<Table>>, WriteError> {
        let config = encoding.config;
        let known = self.tables.get(&rows.name);
        if let Some(table) = known
            && rows
                .missing_columns(records, Some(table), encoding.zone)
                .is_empty()
        {
            return Ok(Some(table.clone()));
        }
        let client = &mut self.connection.client;
        let mut found = table::read(client, &rows.name, config).await?;
        if found.is_none() && config.ddl.auto_create && rows.only_deletes() {
            return Ok(None);
        }
        let missing = rows.missing_columns(records, found.as_ref(), encoding.zone);
        if found.is_none() || !missing.is_empty() {
            table::provide(client, &rows.name, &missing, config).await?;
            found = table::read(client, &rows.name, config).await?;
            self.stages.retain(|(table, _), _| *table != rows.name);
        }
        let table = found.map(Arc::new);
        if let Some(table) = &table {
            self.tables.insert(rows.name.clone(), table.clone());
        }
        Ok(table)
    }

    async fn stage(&mut self, table: &Table, group: &Group) -> Result<Identifier, WriteError> {
        let columns = columns_at(table, &group.columns);
        let names = columns.iter().map(|column| column.name.clone()).collect();
        let key = (table.name.clone(), names);
        if let Some(stage) = self.stages.get(&key) {
            return Ok(stage.clone());
        }
        // Names are not used twice: one that was forgotten may still be there.
        let number = fastrand::u64(..);
        let stage = Identifier::new(&format!("sluice_stage_{number:016x}"), Quoting::Always);
        let create = statement::create_stage(&stage, table, &columns);
        self.connection.client.batch_execute(&create).await?;
        self.stages.insert(key, stage.clone());
        Ok(stage)
    }
}

fn columns_at<'a>(table: &'a Table, places: &[usize]) -> Vec<&'a Column> {
    places
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .collect()
}

async fn write_all(transaction: &Transaction<'_>, work: Vec<Work>) -> Result<(), WriteError> {
    let mut used: Vec<Identifier> = Vec::new();
    let mut tables: Vec<Arc<Table>> = Vec::new();
    for Work {
        table,
        group,
        stage,
    } in work
    {
        let columns = columns_at(&table, &group.columns);
        let keys = columns_at(&table, &group.keys);
        match (group.way, stage) {
            (Way::Stage(merge), Some(stage)) => {
                if used.contains(&stage) {
                    transaction
                        .batch_execute(&statement::truncate_stage(&stage))
                        .await?;
                }
                let copy = statement::copy_stage(&stage, &columns);
                copy_in(transaction, &copy, group.data).await?;
                let target = statement::Target {
                    table: &table,
                    columns: &columns,
                    keys: &keys,
                };
                if let Some(merge) = statement::merge(merge, &stage, &target) {
                    transaction.execute_typed(&merge, &[]).await?;
                }
                used.push(stage);
            }
            _ => {
                let copy = statement::copy(&table, &columns);
                copy_in(transaction, &copy, group.data).await?;
            }
        }
        if !tables.iter().any(|known| Arc::ptr_eq(known, &table)) {
            tables.push(table);
        }
    }
    for table in &tables {
        table::verify(transaction, table).await?;
    }
    Ok(())
}

async fn copy_in(
    transaction: &Transaction<'_>,
    copy: &str,
    data: Vec<u8>,
) -> Result<u64, WriteError> {
    let sink: CopyInSink<Bytes> = transaction.copy_in(copy).await?;
    let mut sink = std::pin::pin!(sink);
    let mut data = Bytes::from(data);
    while !data.is_empty() {
        let chunk = data.split_to(data.len().min(CHUNK));
        sink.feed(chunk).await?;
    }
    Ok(sink.finish().await?)
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
