//! The objects of one Kafka partition: open ones, closed ones that wait to be published, and the plan being replayed.
//!
//! Holds always: every record from the committed offset on is in exactly one object of the open or closed rotations (or
//! was skipped); a rotation ends where the plan says while there is one, else where the rules say.

use std::collections::VecDeque;
use std::sync::Arc;

use connect_core::data::{Offset, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::Assignment;
use connect_core::{Error, Result};

use crate::encoder::Encoding;
use crate::object::Object;
use crate::partitioner::{Partitioner, Place};
use crate::plan::{Cut, from_note};
use crate::rotation::{OpenSpan, RotationRules};

/// What names objects.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    pub(crate) topics_dir: String,
    pub(crate) directory_delim: String,
    pub(crate) file_delim: String,
    pub(crate) pad_width: usize,
    pub(crate) extension: String,
}

impl Naming {
    /// `<topics.dir>/<topic>/<path>/<topic>+<partition>+<start offset><extension>`
    fn key(&self, topic: &str, path: &str, partition: i32, start: Offset) -> String {
        let (slash, plus) = (&self.directory_delim, &self.file_delim);
        let directory = match self.topics_dir.as_str() {
            "" => String::new(),
            topics_dir => format!("{topics_dir}{slash}"),
        };
        let (start, width, extension) = (start.value(), self.pad_width, &self.extension);
        format!(
            "{directory}{topic}{slash}{path}{slash}{topic}{plus}{partition}{plus}{start:0width$}{extension}"
        )
    }
}

/// Everything written between two cuts.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// Where the rotation before ended: the offset to commit while this one is only planned.
    pub(crate) start: Offset,
    /// The first offset that is not in it.
    pub(crate) end: Offset,
    pub(crate) objects: Vec<Object>,
    clock: Timestamp,
    span: OpenSpan,
    last_path: Option<Arc<str>>,
    schema: Option<Option<Arc<connect_core::data::Schema>>>,
}

/// The objects of one Kafka partition.
#[derive(Debug)]
pub(crate) struct PartitionWriter {
    partition: TopicPartition,
    partitioner: Partitioner,
    rules: RotationRules,
    encoding: Arc<Encoding>,
    naming: Arc<Naming>,
    /// The next offset to come.
    frontier: Option<Offset>,
    open: Option<Rotation>,
    pub(crate) closed: VecDeque<Rotation>,
    /// Cuts of a plan that was committed before and may have been carried out in part.
    replay: VecDeque<Cut>,
    /// How many closed rotations stand in a committed plan.
    pub(crate) planned: usize,
    /// The frontier last reported as durable.
    reported: Option<Offset>,
}

impl PartitionWriter {
    pub(crate) fn new(
        assignment: &Assignment,
        partitioner: Partitioner,
        rules: RotationRules,
        encoding: Arc<Encoding>,
        naming: Arc<Naming>,
    ) -> Self {
        let committed = assignment.committed.as_ref();
        let frontier = committed.map(|committed| committed.offset);
        Self {
            partition: assignment.partition.clone(),
            partitioner,
            rules,
            encoding,
            naming,
            frontier,
            open: None,
            closed: VecDeque::new(),
            replay: committed
                .map(|committed| from_note(&committed.metadata, committed.offset))
                .unwrap_or_default(),
            planned: 0,
            reported: frontier,
        }
    }

    /// Passes a record by: it counts as done once everything before it is.
    pub(crate) fn skip(&mut self, record: &SinkRecord) -> Result<()> {
        self.cut_where_planned(record.offset)?;
        self.frontier = Some(record.offset.next());
        if let Some(open) = &mut self.open {
            open.end = record.offset.next();
        }
        self.cut_if_full()
    }

    /// Writes a record into its object.
    pub(crate) fn write(&mut self, record: &SinkRecord, now: Timestamp) -> Result<()> {
        self.cut_where_planned(record.offset)?;
        let mut place = self.place(record, now)?;
        if self.cuts_before(record, &place, now) {
            self.close()?;
            place = self.place(record, now)?;
        }
        self.append(record, &place, now)
            .map_err(|cause| at(record, cause))?;
        self.frontier = Some(record.offset.next());
        self.cut_if_full()
    }

    /// While a plan is replayed, cuts come from it alone.
    fn cut_where_planned(&mut self, offset: Offset) -> Result<()> {
        while self.replay.front().is_some_and(|cut| offset >= cut.end) {
            let Some(cut) = self.replay.pop_front() else {
                return Ok(());
            };
            self.frontier = Some(cut.end);
            if let Some(open) = &mut self.open {
                open.end = cut.end;
                self.close()?;
                self.planned += 1;
            }
        }
        Ok(())
    }

    fn cut_if_full(&mut self) -> Result<()> {
        if let Some(cut) = self.replay.front() {
            if self.frontier.is_some_and(|frontier| frontier >= cut.end) {
                self.replay.pop_front();
                self.planned += usize::from(self.open.is_some());
                return self.close();
            }
            return Ok(());
        }
        match &self.open {
            Some(open) if self.rules.cuts_after(&open.span) => self.close(),
            _ => Ok(()),
        }
    }

    /// The clock of a rotation: the plan's, the one it began with, or now.
    fn clock(&self, now: Timestamp) -> Timestamp {
        match (self.replay.front().and_then(|cut| cut.clock), &self.open) {
            (Some(planned), _) => planned,
            _ => now,
        }
    }

    fn place(&mut self, record: &SinkRecord, now: Timestamp) -> Result<Place> {
        let clock = self.clock(now);
        self.partitioner
            .place(record, clock)
            .map_err(|cause| at(record, cause))
    }

    fn cuts_before(&self, record: &SinkRecord, place: &Place, now: Timestamp) -> bool {
        let Some(open) = self.open.as_ref().filter(|_| self.replay.is_empty()) else {
            return false;
        };
        if open.span.records == 0 {
            return false;
        }
        let path_changes = open
            .last_path
            .as_ref()
            .is_some_and(|path| *path != place.path);
        let schema_changes = open
            .schema
            .as_ref()
            .is_some_and(|schema| differ(schema.as_ref(), record.value.schema()));
        schema_changes
            || self
                .rules
                .cuts_before(&open.span, place.time, path_changes, now)
    }

    fn append(&mut self, record: &SinkRecord, place: &Place, now: Timestamp) -> Result<()> {
        let clock = self.clock(now);
        let start = self.frontier.unwrap_or(record.offset);
        let open = self.open.get_or_insert_with(|| Rotation {
            start,
            end: start,
            objects: Vec::new(),
            clock,
            span: OpenSpan {
                records: 0,
                base: place.time,
                received: now,
            },
            last_path: None,
            schema: None,
        });
        let known = open
            .objects
            .iter()
            .position(|object| Arc::ptr_eq(&object.path, &place.path) || object.path == place.path);
        let index = known.unwrap_or_else(|| {
            let key = self.naming.key(
                &record.topic,
                &place.path,
                self.partition.partition,
                record.offset,
            );
            open.objects
                .push(Object::new(place.path.clone(), key, &self.encoding));
            open.objects.len() - 1
        });
        let object = open
            .objects
            .get_mut(index)
            .ok_or_else(|| Error::internal("an object that was just there"))?;
        object.append(&self.encoding, record)?;
        open.span.records += 1;
        open.end = record.offset.next();
        open.last_path = Some(place.path.clone());
        open.schema = Some(record.value.schema().cloned());
        Ok(())
    }

    /// Ends the open rotation.
    pub(crate) fn close(&mut self) -> Result<()> {
        if let Some(mut open) = self.open.take() {
            for object in &mut open.objects {
                object.finish()?;
            }
            self.closed.push_back(open);
        }
        Ok(())
    }

    /// Ends the open rotation if its time has come.
    pub(crate) fn close_if_due(&mut self, now: Timestamp) -> Result<()> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            return self.close();
        }
        Ok(())
    }

    /// When the open rotation ends although no record comes. The end of one that is replayed is planned.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let open = self.open.as_ref().filter(|_| self.replay.is_empty())?;
        self.rules.deadline(&open.span)
    }

    /// The cuts of the first `count` closed rotations, and those still to be replayed behind them.
    pub(crate) fn cuts(&self, count: usize) -> Vec<Cut> {
        let wallclock = self.partitioner.is_wallclock();
        let closed = self.closed.iter().take(count).map(|rotation| Cut {
            end: rotation.end,
            clock: wallclock.then_some(rotation.clock),
        });
        let replay = self
            .replay
            .iter()
            .copied()
            .filter(|_| count == self.closed.len());
        closed.chain(replay).collect()
    }

    /// The offset up to which everything is durable, if it is further than reported before.
    pub(crate) fn progress(&mut self) -> Option<Offset> {
        let durable = match (self.closed.front(), &self.open) {
            (Some(rotation), _) | (None, Some(rotation)) => Some(rotation.start),
            (None, None) => self.frontier,
        };
        if durable == self.reported {
            return None;
        }
        self.reported = durable;
        durable
    }

    /// The next call of [`PartitionWriter::progress`] reports again.
    pub(crate) fn forget_report(&mut self) {
        self.reported = None;
    }

    pub(crate) fn objects_mut(&mut self) -> impl Iterator<Item = &mut Object> {
        let open = self
            .open
            .iter_mut()
            .flat_map(|open| open.objects.iter_mut());
        open.chain(
            self.closed
                .iter_mut()
                .flat_map(|rotation| rotation.objects.iter_mut()),
        )
    }

    /// Bytes in memory.
    pub(crate) fn buffered(&self) -> usize {
        let rotations = self.open.iter().chain(&self.closed);
        rotations
            .flat_map(|rotation| &rotation.objects)
            .map(Object::buffered)
            .sum()
    }

    /// Bytes in memory of what is open.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open
            .iter()
            .flat_map(|open| &open.objects)
            .map(Object::buffered)
            .sum()
    }

    pub(crate) fn into_objects(self) -> impl Iterator<Item = Object> {
        self.open
            .into_iter()
            .chain(self.closed)
            .flat_map(|rotation| rotation.objects)
    }
}

type SchemaRef = Arc<connect_core::data::Schema>;

fn differ(before: Option<&SchemaRef>, now: Option<&SchemaRef>) -> bool {
    match (before, now) {
        (None, None) => false,
        (Some(before), Some(now)) => !Arc::ptr_eq(before, now) && before != now,
        _ => true,
    }
}

fn at(record: &SinkRecord, cause: Error) -> Error {
    if cause.kind() != connect_core::ErrorKind::Data {
        return cause;
    }
    let position = format!("{} at offset {}", record.origin, record.offset);
    Error::data("cannot be written to S3")
        .operation("record")
        .target(position)
        .source(cause)
}
