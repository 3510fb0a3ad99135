//! What is gathered of one partition until it is due.

use std::collections::BTreeMap;
use std::time::Duration;

use connect_core::Result;
use connect_core::data::{Offset, SinkRecord, Timestamp, TopicPartition};

use crate::batch::{Batch, BatchFile, Span};
use crate::config::{BufferOptions, RowOptions};
use crate::copy;
use crate::fields::{Fields, seen};
use crate::file::{OpenFile, StageFile};
use crate::naming::TableName;
use crate::row;

/// A partition that is ours.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// What the group had committed.
    pub(crate) committed: Option<Offset>,
    /// Where Snowflake stands, with what is under way; `None` until the partition is claimed.
    pub(crate) next: Option<Offset>,
    files: BTreeMap<TableName, (OpenFile, Fields)>,
    /// The offset after the last record taken.
    end: Option<Offset>,
    /// The pieces of a record are not complete.
    open_record: bool,
    since: Option<Timestamp>,
    rows: u64,
    bytes: usize,
}

impl Buffer {
    pub(crate) fn new(committed: Option<Offset>) -> Self {
        Self {
            committed,
            ..Self::default()
        }
    }

    /// True if the record's row is in Snowflake, or under way.
    pub(crate) fn has(&self, record: &SinkRecord) -> bool {
        self.next.is_some_and(|next| record.offset < next)
    }

    /// Takes a record.
    ///
    /// # Errors
    /// A data error; nothing of the record is taken.
    pub(crate) fn take(
        &mut self,
        record: &SinkRecord,
        table: &TableName,
        options: &RowOptions,
        now: Timestamp,
    ) -> Result<()> {
        let seen = match options.schematization {
            true => seen(record).map_err(|error| row::at(record, error))?,
            false => Vec::new(),
        };
        let (file, fields) = self
            .files
            .entry(table.clone())
            .or_insert_with(|| (OpenFile::new(), Fields::default()));
        let before = file.lines().len();
        if row::append(record, options, file.lines())? {
            self.bytes += file.lines().len() - before;
            self.rows += 1;
            file.added(record.offset);
            fields.note(record, seen);
        }
        self.open_record = !record.completes_offset();
        self.reached(record.offset.next(), now);
        Ok(())
    }

    /// Everything before `next` is taken, or needs no row.
    pub(crate) fn reached(&mut self, next: Offset, now: Timestamp) {
        let known = self.next.is_some_and(|stored| next <= stored);
        if !known {
            self.end = self.end.max(Some(next));
            self.since.get_or_insert(now);
        }
    }

    /// Packs lines beside the caller.
    pub(crate) async fn pack(&mut self) -> Result<()> {
        for (file, _) in self.files.values_mut() {
            file.pack().await?;
        }
        Ok(())
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.files.values().map(|(file, _)| file.held()).sum()
    }

    /// When it is due at the latest.
    pub(crate) fn due_at(&self, options: &BufferOptions) -> Option<Timestamp> {
        let wait = Duration::from_secs(options.seconds);
        self.since.map(|since| since.saturating_add(wait))
    }

    /// Whether it is to be loaded now. Never between the pieces of a record.
    pub(crate) fn is_due(&self, options: &BufferOptions, now: Timestamp) -> bool {
        let is_full = self.rows >= options.records || self.bytes >= options.bytes;
        let is_old = self.due_at(options).is_some_and(|due| due <= now);
        self.may_close() && (is_full || is_old)
    }

    /// Whether there is anything that may be loaded.
    pub(crate) fn may_close(&self) -> bool {
        self.end.is_some() && self.next.is_some() && !self.open_record
    }

    /// Moves what was gathered into a batch.
    ///
    /// # Errors
    /// Compressing failed: a defect.
    pub(crate) async fn close(
        &mut self,
        partition: &TopicPartition,
        batch: &mut Batch,
    ) -> Result<()> {
        let (Some(expected), Some(next)) = (self.next, self.end.take()) else {
            return Ok(());
        };
        self.since = None;
        (self.rows, self.bytes) = (0, 0);
        let files = std::mem::take(&mut self.files).into_iter();
        for (table, (file, fields)) in files.filter(|(_, (file, _))| file.rows > 0) {
            let name = format!("{}/{}_{}.json.gz", table.path(), file.first, file.last);
            let rows = file.rows;
            let file = StageFile {
                table,
                folder: copy::folder(partition),
                name,
                content: file.finish().await?,
                rows,
            };
            batch.files.push(BatchFile {
                partition: partition.clone(),
                file,
                fields,
            });
        }
        let span = Span { expected, next };
        batch.spans.insert(partition.clone(), span);
        self.next = Some(next);
        Ok(())
    }
}
