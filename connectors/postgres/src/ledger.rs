//! Consumed offsets, kept in the database: what makes rows appear exactly once.
//!
//! A row per connector, topic and partition holds the next offset and an epoch. Whoever takes a partition over raises the
//! epoch; whoever writes rows moves the offset in the same transaction, under the epoch it has. A task that has lost its
//! partition without knowing finds another epoch and is refused, with its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::data::{Offset, OffsetAndMetadata, Offsets, SinkRecord, TopicPartition};
use connect_core::plugin::SinkRuntime;
use connect_core::{Error, Result};
use tokio_postgres::Client;
use tracing::{info, warn};

use crate::error::WriteError;
use crate::identifier::TableName;

/// A partition that is ours.
#[derive(Debug, Clone, Copy)]
struct Claim {
    epoch: i64,
    next: i64,
}

/// What a batch says about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// What the group had committed when the partition came.
    pub(crate) committed: Option<Offset>,
    /// The first offset of the batch.
    pub(crate) first: Offset,
    /// The offset after the last one of the batch.
    pub(crate) next: Offset,
}

/// The partitions of a batch.
pub(crate) type Spans = BTreeMap<TopicPartition, Span>;

/// The offsets that the group has, as far as is known: committing them again changes nothing, but only an owner may.
pub(crate) fn committed<'a>(
    spans: impl IntoIterator<Item = (&'a TopicPartition, &'a Span)>,
) -> Offsets {
    let offsets = spans.into_iter().map(|(partition, span)| {
        (
            partition.clone(),
            span.committed.unwrap_or(span.first).into(),
        )
    });
    offsets.collect()
}

/// Where a connector without a ledger may have left offsets when it had one: `exactly_once`, if it is chosen again, would
/// go back to them and write what has been written since a second time.
#[derive(Debug)]
pub(crate) struct OldOffsets {
    pub(crate) table: TableName,
    pub(crate) connector: Arc<str>,
}

impl OldOffsets {
    /// Removes them.
    ///
    /// # Errors
    /// What the network said. A table that is not there, or not to be changed, is none.
    pub(crate) async fn remove(&self, client: &Client) -> Result<(), WriteError> {
        match self.try_remove(client).await {
            Ok(0) => Ok(()),
            Ok(rows) => {
                info!(
                    rows,
                    "offsets of exactly_once removed: it is not chosen now"
                );
                Ok(())
            }
            Err(error) if error.breaks_connection() => Err(error),
            Err(error) => {
                let error = error.into_error("remove offsets in", &self.table.quoted());
                warn!(
                    error = error.trace(),
                    "old offsets may be left: remove them before exactly_once is chosen again"
                );
                Ok(())
            }
        }
    }

    async fn try_remove(&self, client: &Client) -> Result<u64, WriteError> {
        let table = self.table.quoted();
        let found = client
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
            .await?;
        if !found.try_get::<_, bool>(0)? {
            return Ok(0);
        }
        let remove = format!("DELETE FROM {table} WHERE connector = $1");
        Ok(client.execute(&remove, &[&&*self.connector]).await?)
    }
}

/// The offsets of one connector.
pub(crate) struct Ledger {
    table: TableName,
    connector: Arc<str>,
    runtime: Arc<dyn SinkRuntime>,
    claims: BTreeMap<TopicPartition, Claim>,
    has_table: bool,
}

impl Ledger {
    pub(crate) fn new(
        table: TableName,
        connector: Arc<str>,
        runtime: Arc<dyn SinkRuntime>,
    ) -> Self {
        Self {
            table,
            connector,
            runtime,
            claims: BTreeMap::new(),
            has_table: false,
        }
    }

    /// Partitions that are given up, or whose state in the database is no longer known.
    pub(crate) fn forget<'a>(&mut self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        for partition in partitions {
            self.claims.remove(partition);
        }
    }

    /// Everything is looked up again: the outcome of the last transaction is not known.
    pub(crate) fn forget_all(&mut self) {
        self.claims.clear();
        self.has_table = false;
    }

    /// True if the record's row is in the database already.
    pub(crate) fn has(&self, record: &SinkRecord) -> bool {
        let claim = self.claims.get(&record.origin);
        claim.is_some_and(|claim| record.offset.value() < claim.next)
    }

    /// Makes the partitions of a batch ours, as far as they are not.
    ///
    /// # Errors
    /// A conflict if this task does not own a partition any more, or must read again from an earlier offset.
    pub(crate) async fn claim(
        &mut self,
        client: &mut Client,
        spans: &Spans,
    ) -> Result<(), WriteError> {
        let new: Vec<_> = spans
            .iter()
            .filter(|(partition, _)| !self.claims.contains_key(partition))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        self.provide_table(client).await?;
        // Only a member of the group that owns the partitions may commit: a zombie stops here.
        let mine = new.iter().map(|(partition, span)| (*partition, *span));
        self.runtime.commit(committed(mine)).await?;
        let mut back = BTreeMap::new();
        for (partition, span) in new {
            let claim = self.claim_one(client, partition, span).await?;
            if span
                .committed
                .is_some_and(|committed| committed.value() > claim.next)
            {
                let offset = OffsetAndMetadata::from(Offset::new(claim.next));
                back.insert(partition.clone(), offset);
            }
            self.claims.insert(partition.clone(), claim);
        }
        if back.is_empty() {
            return Ok(());
        }
        warn!(
            ?back,
            "the database is behind the consumer group: reading again from its offsets"
        );
        self.forget(back.keys());
        self.runtime.commit(back).await?;
        Err(Error::conflict("the offsets in the database are behind those of the group").into())
    }

    async fn claim_one(
        &self,
        client: &Client,
        partition: &TopicPartition,
        span: &Span,
    ) -> Result<Claim, WriteError> {
        let table = self.table.quoted();
        let claim = format!(
            "INSERT INTO {table} AS offsets (connector, topic, partition, next_offset, epoch) VALUES ($1, $2, $3, $4, 1) \
             ON CONFLICT (connector, topic, partition) DO UPDATE SET epoch = offsets.epoch + 1, updated = now() \
             RETURNING next_offset, epoch"
        );
        let row = client
            .query_one(
                &claim,
                &[
                    &&*self.connector,
                    &&*partition.topic,
                    &partition.partition,
                    &span.first.value(),
                ],
            )
            .await?;
        let claim = Claim {
            next: row.try_get(0)?,
            epoch: row.try_get(1)?,
        };
        let skipped = claim.next - span.first.value();
        info!(%partition, next = claim.next, epoch = claim.epoch, skipped = skipped.max(0), "partition claimed");
        Ok(claim)
    }

    /// Reads what is stored and claims nothing: for a dry run. The statement that would make the table, if there is none.
    ///
    /// # Errors
    /// What the server said.
    pub(crate) async fn look(&mut self, client: &Client) -> Result<Option<String>, WriteError> {
        let table = self.table.quoted();
        if !is_there(client, &table).await? {
            return Ok(Some(create(&table)));
        }
        let read = format!(
            "SELECT topic, partition, next_offset, epoch FROM {table} WHERE connector = $1"
        );
        for row in client.query(&read, &[&&*self.connector]).await? {
            let partition = TopicPartition::new(row.try_get::<_, String>(0)?, row.try_get(1)?);
            let claim = Claim {
                next: row.try_get(2)?,
                epoch: row.try_get(3)?,
            };
            self.claims.insert(partition, claim);
        }
        Ok(None)
    }

    /// Moves the offsets in the transaction of the rows; takes the locks that make others wait.
    ///
    /// # Errors
    /// A conflict if somebody else has claimed a partition since.
    pub(crate) async fn advance(
        &self,
        transaction: &Client,
        spans: &Spans,
    ) -> Result<(), WriteError> {
        let mut topics = Vec::new();
        let (mut partitions, mut epochs, mut nexts) = (Vec::new(), Vec::new(), Vec::new());
        for (partition, span) in spans {
            let claim = self.claims.get(partition);
            let claim = claim.ok_or_else(|| Error::internal("a partition without a claim"))?;
            topics.push(&*partition.topic);
            partitions.push(partition.partition);
            epochs.push(claim.epoch);
            nexts.push(span.next.value().max(claim.next));
        }
        let table = self.table.quoted();
        let advance = format!(
            "UPDATE {table} AS offsets SET next_offset = moved.next_offset, updated = now() \
             FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[]) AS moved (topic, partition, epoch, next_offset) \
             WHERE offsets.connector = $1 AND offsets.topic = moved.topic AND offsets.partition = moved.partition \
             AND offsets.epoch = moved.epoch"
        );
        let moved = transaction
            .execute(
                &advance,
                &[&&*self.connector, &topics, &partitions, &epochs, &nexts],
            )
            .await?;
        if moved == spans.len() as u64 {
            return Ok(());
        }
        let text = "another task has claimed a partition: nothing was written";
        Err(Error::conflict(text)
            .operation("offsets in")
            .target(table)
            .into())
    }

    /// The rows of a batch are committed.
    pub(crate) fn advanced(&mut self, spans: &Spans) {
        for (partition, span) in spans {
            if let Some(claim) = self.claims.get_mut(partition) {
                claim.next = claim.next.max(span.next.value());
            }
        }
    }

    async fn provide_table(&mut self, client: &mut Client) -> Result<(), WriteError> {
        if self.has_table {
            return Ok(());
        }
        let table = self.table.quoted();
        let transaction = client.transaction().await?;
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        transaction
            .execute(lock, &[&format!("sluice changes {table}")])
            .await?;
        if !is_there(transaction.client(), &table).await? {
            transaction.batch_execute(&create(&table)).await?;
        }
        transaction.commit().await?;
        self.has_table = true;
        Ok(())
    }
}

async fn is_there(client: &Client, table: &String) -> Result<bool, WriteError> {
    let found = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[table])
        .await?;
    Ok(found.try_get(0)?)
}

fn create(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (connector text NOT NULL, topic text NOT NULL, partition int4 NOT NULL, \
         next_offset int8 NOT NULL, epoch int8 NOT NULL, updated timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (connector, topic, partition))"
    )
}
