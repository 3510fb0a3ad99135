//! Loads batches: PUT, BEGIN, COPY, MERGE of the offsets, COMMIT, REMOVE.
//!
//! Holds always: DDL runs outside the transaction; an answer to COMMIT is not believed, the table of offsets is; after
//! anything doubtful that table is read before a batch is tried again. One session, made anew when it is in doubt.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::data::{Offset, OffsetAndMetadata, TopicPartition};
use connect_core::plugin::{SinkRuntime, SinkTaskContext};
use connect_core::{Error, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::{debug, info, warn};

use crate::batch::{Batch, BatchFile};
use crate::config::SnowflakeSinkConfig;
use crate::copy;
use crate::error::{Cause, SnowflakeError};
use crate::naming::ConnectorNames;
use crate::offsets::{OffsetsTable, Standing, Stored, standing};
use crate::session::{Rows, Session};
use crate::tables::Tables;
use crate::upload::{Destination, UploadFailure};

/// Files uploaded at the same time.
const UPLOADS: usize = 4;
/// FILES of one COPY.
const FILES_OF_A_COPY: usize = 1000;
/// How often in a row something may be missing before that is not a change behind our back any more.
const MOST_MISSING: u32 = 3;

/// A partition that is to be claimed.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) partition: TopicPartition,
    /// What the group had committed.
    pub(crate) committed: Option<Offset>,
    /// The first record's offset.
    pub(crate) first: Offset,
}

/// How a transaction ended without being committed.
enum Stop {
    Failed(SnowflakeError),
    /// A file was taken for one that was loaded before.
    AlreadyLoaded,
    /// The offsets are not where they were expected.
    Moved,
}

impl From<SnowflakeError> for Stop {
    fn from(error: SnowflakeError) -> Self {
        Self::Failed(error)
    }
}

/// The Snowflake half of a task.
pub(crate) struct Loader {
    config: Arc<SnowflakeSinkConfig>,
    names: ConnectorNames,
    offsets: OffsetsTable,
    runtime: Arc<dyn SinkRuntime>,
    session: Option<Session>,
    tables: Tables,
    destination: Option<Destination>,
    /// The outcome of the last batch is not known.
    doubtful: bool,
    /// The transaction that held the offsets when we last waited in vain.
    blocked_by: Option<String>,
    missing: u32,
}

impl Loader {
    pub(crate) fn new(config: Arc<SnowflakeSinkConfig>, context: &SinkTaskContext) -> Self {
        let names = ConnectorNames::of(&context.task.connector);
        Self {
            offsets: OffsetsTable::new(&names.offsets),
            tables: Tables::new(config.rows.schematization),
            names,
            config,
            runtime: context.runtime.clone(),
            session: None,
            destination: None,
            doubtful: false,
            blocked_by: None,
            missing: 0,
        }
    }

    async fn run(&mut self, sql: &str) -> Result<Rows, SnowflakeError> {
        self.session().await?.run(sql).await
    }

    /// What a connector needs beside its tables: a stage, and the table of offsets.
    fn setup(&self) -> [String; 2] {
        let stage = &self.names.stage;
        let stage =
            format!("CREATE STAGE IF NOT EXISTS {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')");
        [stage, self.offsets.create()]
    }

    /// What is stored, and what would have to be made before it can be; nothing is made.
    ///
    /// # Errors
    /// What Snowflake says.
    pub(crate) async fn look(
        &self,
        session: &Session,
    ) -> Result<(Stored, Vec<String>), SnowflakeError> {
        match session.run(&self.offsets.read()).await {
            Ok(rows) => Ok((self.offsets.stored(&rows)?, Vec::new())),
            Err(error) if error.cause() == Cause::Missing => {
                Ok((Stored::new(), self.setup().into()))
            }
            Err(error) => Err(error),
        }
    }

    /// The statements that loading a batch would run: those that change tables, by table, and those that load; none is run.
    ///
    /// # Errors
    /// A data error that names a record that does not fit; what Snowflake says.
    pub(crate) async fn plan(
        &mut self,
        session: &Session,
        batch: &Batch,
    ) -> Result<(Vec<String>, Vec<String>), SnowflakeError> {
        let mut changes = Vec::new();
        for (table, files) in batch.by_table() {
            changes.extend(self.tables.changes(session, table, &files).await?);
        }
        let copies = self.copies(batch, false)?.into_iter();
        Ok((changes, copies.map(|(sql, _)| sql).collect()))
    }

    /// The name of the stage.
    pub(crate) fn stage(&self) -> &str {
        &self.names.stage
    }

    /// The session; logs in and makes what a connector needs if there is none.
    async fn session(&mut self) -> Result<&Session, SnowflakeError> {
        if self.session.is_none() {
            let session = Session::new(&self.config)?;
            let lock_timeout = self.config.login.lock_timeout;
            // Nothing is committed but by COMMIT: also not if somebody aborts a transaction of ours between two statements.
            let alter =
                format!("ALTER SESSION SET LOCK_TIMEOUT = {lock_timeout} AUTOCOMMIT = FALSE");
            session.run(&alter).await?;
            for create in self.setup() {
                session.run(&create).await?;
            }
            self.session = Some(session);
        }
        let missing = || SnowflakeError::Protocol("no session".to_owned());
        self.session.as_ref().ok_or_else(missing)
    }

    /// Makes partitions ours, and says from where on their records are to be loaded.
    ///
    /// # Errors
    /// A conflict if this task does not own a partition any more, or must read again from an earlier offset.
    pub(crate) async fn claim(&mut self, claims: &[Claim]) -> Result<Stored> {
        // Only a member of the group that owns the partitions may commit: a zombie stops here.
        let mine = claims.iter().map(|claim| {
            let offset = claim.committed.unwrap_or(claim.first);
            (claim.partition.clone(), OffsetAndMetadata::from(offset))
        });
        self.runtime.commit(mine.collect()).await?;
        let outcome = self.claim_offsets(claims).await;
        let stored = match outcome {
            Ok(stored) => stored,
            Err(error) => return Err(self.failed(error, "claim partitions").await),
        };
        let behind: Stored = claims
            .iter()
            .filter_map(|claim| {
                let next = stored.get(&claim.partition)?;
                let behind = claim.committed.unwrap_or(claim.first) > *next;
                behind.then(|| (claim.partition.clone(), *next))
            })
            .collect();
        if !behind.is_empty() {
            return Err(self.go_back(behind).await);
        }
        self.clean(claims).await;
        Ok(stored)
    }

    async fn claim_offsets(&mut self, claims: &[Claim]) -> Result<Stored, SnowflakeError> {
        let stored = self.read_offsets().await?;
        let new: Stored = claims
            .iter()
            .filter(|claim| !stored.contains_key(&claim.partition))
            .map(|claim| {
                (
                    claim.partition.clone(),
                    claim.committed.unwrap_or(claim.first),
                )
            })
            .collect();
        if new.is_empty() {
            return Ok(stored);
        }
        let insert = self.offsets.insert(&new);
        self.run(&insert).await?;
        self.run("COMMIT").await?;
        self.read_offsets().await
    }

    async fn read_offsets(&mut self) -> Result<Stored, SnowflakeError> {
        let read = self.offsets.read();
        let rows = self.run(&read).await?;
        self.offsets.stored(&rows)
    }

    /// Files that a task left behind which died before it loaded or removed them.
    async fn clean(&mut self, claims: &[Claim]) {
        for claim in claims {
            let folder = copy::folder(&claim.partition);
            let remove = format!("REMOVE @{}/{folder}", self.names.stage);
            match self.run(&remove).await {
                Ok(rows) if rows.len() > 0 => {
                    info!(partition = %claim.partition, files = rows.len(), "removed staged files of an earlier run");
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, partition = %claim.partition, "staged files may be left behind");
                }
            }
        }
    }

    /// The error that makes the runtime read again from `offsets`.
    async fn go_back(&self, offsets: Stored) -> Error {
        warn!(?offsets, "reading again from the offsets in Snowflake");
        let offsets = offsets
            .into_iter()
            .map(|(partition, offset)| (partition, OffsetAndMetadata::from(offset)));
        match self.runtime.commit(offsets.collect()).await {
            Err(error) => error,
            Ok(()) => Error::conflict("the offsets in Snowflake are not those of the group")
                .operation("load")
                .target(self.offsets.name()),
        }
    }

    /// Loads a batch.
    ///
    /// # Errors
    /// Worth trying again with the same batch, or a conflict: then the batch is to be dropped.
    pub(crate) async fn load(&mut self, batch: &Batch) -> Result<()> {
        let was_doubtful = std::mem::replace(&mut self.doubtful, true);
        if was_doubtful && self.is_done(batch).await? {
            self.finished(batch).await;
            return Ok(());
        }
        if let Err(error) = self.prepare(batch).await {
            return Err(self.failed(error, "stage").await);
        }
        let stop = match self.transact(batch, false).await {
            Err(Stop::AlreadyLoaded) => {
                self.roll_back().await;
                warn!(
                    "Snowflake takes files for loaded whose offsets are not stored: loading them by force"
                );
                self.transact(batch, true).await
            }
            outcome => outcome,
        };
        match stop {
            Ok(()) => {}
            Err(Stop::Failed(error)) => return Err(self.failed(error, "load").await),
            Err(Stop::AlreadyLoaded | Stop::Moved) => self.roll_back().await,
        }
        if !self.is_done(batch).await? {
            // The offsets have not moved: the transaction was lost before or at its commit.
            self.session = None;
            return Err(Error::external("the transaction was not committed").operation("load"));
        }
        self.finished(batch).await;
        Ok(())
    }

    /// True if the batch is in Snowflake, by its offsets.
    async fn is_done(&mut self, batch: &Batch) -> Result<bool> {
        let stored = match self.read_offsets().await {
            Ok(stored) => stored,
            Err(error) => return Err(self.failed(error, "read offsets").await),
        };
        match standing(&stored, &batch.spans) {
            Standing::Done => Ok(true),
            Standing::Before => Ok(false),
            Standing::Elsewhere(offsets) => Err(self.go_back(offsets).await),
        }
    }

    /// Tables and files: everything that is no part of the transaction.
    async fn prepare(&mut self, batch: &Batch) -> Result<(), SnowflakeError> {
        self.session().await?;
        if let Some(session) = &self.session {
            for (table, files) in batch.by_table() {
                self.tables.provide(session, table, &files).await?;
            }
        }
        for renewed in [false, true] {
            let destination = self.destination(renewed).await?;
            let uploads: Vec<_> = batch
                .files
                .iter()
                .map(|file| {
                    let name = format!("{}{}", file.file.folder, file.file.name);
                    let (destination, content) = (destination.clone(), file.file.content.clone());
                    async move { destination.upload(&name, content).await }
                })
                .collect();
            let uploads = stream::iter(uploads).buffer_unordered(UPLOADS);
            match uploads.try_collect::<()>().await {
                Ok(()) => return Ok(()),
                Err((UploadFailure::Expired, _)) if !renewed => {
                    debug!("the stage's credentials have expired");
                }
                Err((_, error)) => {
                    self.destination = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn destination(&mut self, renew: bool) -> Result<Destination, SnowflakeError> {
        if let (Some(destination), false) = (&self.destination, renew) {
            return Ok(destination.clone());
        }
        let stage = self.names.stage.clone();
        let reply = self.session().await?.put(&stage, "").await?;
        let destination = Destination::of(&reply)?;
        Ok(self.destination.insert(destination).clone())
    }

    /// BEGIN, COPY, MERGE, COMMIT.
    async fn transact(&mut self, batch: &Batch, force: bool) -> Result<(), Stop> {
        let copies = self.copies(batch, force)?;
        let session = self.session().await?;
        session.run("BEGIN TRANSACTION").await?;
        let asked = session
            .run("SELECT CURRENT_TRANSACTION()::VARCHAR AS \"ID\"")
            .await?;
        let Some(transaction) = asked.first().map(str::to_owned) else {
            let text = "no transaction is open after BEGIN".to_owned();
            return Err(Stop::Failed(SnowflakeError::Protocol(text)));
        };
        for (sql, rows) in copies {
            let answer = session.run(&sql).await?;
            let loaded = copy::loaded(&answer)?;
            if loaded < rows && !force {
                return Err(Stop::AlreadyLoaded);
            }
            if loaded != rows {
                let text = format!("COPY loaded {loaded} rows where {rows} were staged");
                return Err(Stop::Failed(SnowflakeError::Protocol(text)));
            }
        }
        let advance = self.offsets.advance(&batch.spans, &transaction);
        let moved = self.run(&advance).await?;
        let moved = moved.first().and_then(|count| count.parse::<usize>().ok());
        if moved != Some(batch.spans.len()) {
            return Err(Stop::Moved);
        }
        self.run("COMMIT").await?;
        Ok(())
    }

    /// The COPY statements of a batch, with the rows each must load.
    fn copies(&self, batch: &Batch, force: bool) -> Result<Vec<(String, u64)>, SnowflakeError> {
        let mut copies = Vec::new();
        for (table, files) in batch.by_table() {
            let projection = self.tables.projection(table, &files)?;
            for files in files.chunks(FILES_OF_A_COPY) {
                let paths = files
                    .iter()
                    .map(|file| format!("{}{}", file.file.folder, file.file.name));
                let copy = copy::Copy {
                    table,
                    stage: &self.names.stage,
                    projection: &projection,
                    files: paths.collect(),
                    force,
                };
                let rows = files.iter().map(|file: &&BatchFile| file.file.rows).sum();
                copies.push((copy.sql(), rows));
            }
        }
        Ok(copies)
    }

    /// The batch is in Snowflake: its files are not needed any more.
    async fn finished(&mut self, batch: &Batch) {
        self.doubtful = false;
        self.blocked_by = None;
        self.missing = 0;
        let mut removals = BTreeMap::new();
        for file in &batch.files {
            let path = format!("{}{}", file.file.folder, file.file.name);
            removals.insert(path, ());
        }
        for path in removals.into_keys() {
            let remove = format!("REMOVE @{}/{path}", self.names.stage);
            if let Err(error) = self.run(&remove).await {
                warn!(%error, "staged files may be left behind; the next claim of the partition removes them");
                if !error.leaves_session() {
                    self.session = None;
                }
                return;
            }
        }
    }

    async fn roll_back(&mut self) {
        let Some(session) = &self.session else { return };
        if let Err(error) = session.run("ROLLBACK").await {
            debug!(%error, "a session is dropped");
            self.session = None;
        }
    }

    /// Leaves nothing open, and gives the error that the worker is to see.
    async fn failed(&mut self, error: SnowflakeError, operation: &str) -> Error {
        let cause = error.cause();
        if !error.leaves_session() {
            self.session = None;
            self.destination = None;
        }
        if cause == Cause::Locked {
            self.unlock().await;
        }
        self.roll_back().await;
        if cause == Cause::Missing {
            // Dropped or changed behind our back: looked at again, and made anew where we may.
            self.tables.forget();
            self.session = None;
            self.missing += 1;
        }
        let target = self.config.login.database.clone() + "." + &self.config.login.schema;
        let error = error.into_error(operation, &target);
        if self.missing > MOST_MISSING {
            return error.retry(connect_core::RetryVerdict::Never);
        }
        error
    }

    /// A transaction that holds the offsets for twice as long as we wait belongs to a task that is gone: between its MERGE
    /// and its COMMIT there is nothing to do. It is aborted.
    async fn unlock(&mut self) {
        let holder = match self.run("SHOW LOCKS").await {
            Ok(rows) => holder_of(&rows, self.offsets.name()),
            Err(error) => {
                warn!(%error, "cannot see who holds the offsets");
                return;
            }
        };
        if holder.is_none() || holder != self.blocked_by {
            self.blocked_by = holder;
            return;
        }
        if let Some(transaction) = self.blocked_by.take() {
            warn!(
                transaction,
                "a transaction of a task that is gone holds the offsets: aborting it"
            );
            let abort = format!(
                "SELECT SYSTEM$ABORT_TRANSACTION({})",
                crate::naming::text(&transaction)
            );
            if let Err(error) = self.run(&abort).await {
                warn!(%error, "the transaction cannot be aborted");
            }
        }
    }
}

/// The transaction that holds a table.
pub(crate) fn holder_of(rows: &Rows, table: &str) -> Option<String> {
    (0..rows.len())
        .find(|row| {
            let resource = rows.get(*row, "resource").unwrap_or_default();
            let last = resource.rsplit('.').next().unwrap_or_default();
            last.trim_matches('"') == table && rows.get(*row, "status") == Some("HOLDING")
        })
        .and_then(|row| rows.get(row, "transaction"))
        .map(str::to_owned)
}
