//! The objects of one Kafka partition: open ones, closed ones that wait to be published, and the plan being replayed.
//!
//! Holds always: every record from the committed offset on is in exactly one object of the open or closed rotations (or
//! was skipped); a rotation ends where the plan says while there is one, else where the rules say; where names go by the
//! clock, the clocks of the rotations do not run backwards, whatever the worker's clock does.

use std::collections::VecDeque;
use std::sync::Arc;

use connect_core::data::{Offset, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::Assignment;
use connect_core::{Error, Result};

use crate::client::Destination;
use crate::csv::Added;
use crate::encoder::{Encoder, Encoding};
use crate::naming::{Naming, ObjectName};
use crate::object::{Object, same};
use crate::partitioner::{Partitioner, Place};
use crate::plan::{Cut, Plan};
use crate::rotation::{Cause, OpenSpan, RotationRules};

/// Everything written between two cuts.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// Where the rotation before ended: the offset to commit while this one is only planned.
    pub(crate) start: Offset,
    /// The first offset that is not in it.
    pub(crate) end: Offset,
    pub(crate) objects: Vec<Object>,
    /// Why it ended; `None` while it is open.
    pub(crate) cause: Option<Cause>,
    clock: Timestamp,
    span: OpenSpan,
    last_path: Option<Arc<str>>,
    /// The schemas of the last records, by topic.
    schemas: Vec<(Arc<str>, Option<SchemaRef>)>,
}

impl Rotation {
    /// Notes that a record has come into one of the objects.
    fn took(&mut self, record: &SinkRecord, place: &Place) {
        self.span.records += 1;
        self.end = record.offset.next();
        self.last_path = Some(place.path.clone());
        let schema = record.value.schema();
        let mut known = self.schemas.iter_mut();
        match known.find(|(topic, _)| same(topic, &record.topic)) {
            Some((_, last)) => *last = schema.cloned(),
            None => self.schemas.push((record.topic.clone(), schema.cloned())),
        }
    }

    /// True if the record's schema is not that of the record before it in its topic.
    fn changes_schema(&self, record: &SinkRecord) -> bool {
        let mut known = self.schemas.iter();
        known
            .find(|(topic, _)| same(topic, &record.topic))
            .is_some_and(|(_, last)| differ(last.as_ref(), record.value.schema()))
    }

    /// Where the next object of this name goes: objects of different topics may be given one name too.
    fn destination(
        &self,
        naming: &Naming,
        record: &SinkRecord,
        name: ObjectName<'_>,
        before: Option<Timestamp>,
    ) -> Destination {
        let destination = naming.destination(record, &name, before);
        let has_it = |object: &Object| object.destination.key == destination.key;
        if !self.objects.iter().any(has_it) {
            return destination;
        }
        let next = ObjectName {
            is_next: true,
            ..name
        };
        naming.destination(record, &next, before)
    }
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
    /// The last rotation that was published.
    done: Option<Cut>,
    /// The clock of the rotation before the open one.
    before: Option<Timestamp>,
    /// True between the pieces of one offset: a cut there would tear them apart.
    is_mid_offset: bool,
    /// The object published last, until it is asked for.
    last_key: Option<Arc<str>>,
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
        let plan = committed.map(|note| Plan::of_note(&note.metadata, note.offset));
        let Plan { done, cuts } = plan.unwrap_or_default();
        Self {
            partition: assignment.partition.clone(),
            partitioner,
            rules,
            encoding,
            naming,
            frontier,
            open: None,
            closed: VecDeque::new(),
            replay: cuts,
            planned: 0,
            reported: frontier,
            done,
            before: done.and_then(|cut| cut.clock),
            is_mid_offset: false,
            last_key: None,
        }
    }

    /// Passes by what comes before `next` and was not written: it counts as done once everything before it is.
    pub(crate) fn skip_to(&mut self, next: Offset) -> Result<()> {
        self.cut_where_planned(Offset::new(next.value() - 1))?;
        self.is_mid_offset = false;
        self.frontier = Some(next);
        if let Some(open) = &mut self.open {
            open.end = next;
        }
        self.cut_if_full()
    }

    /// Writes a record into its object.
    pub(crate) fn write(&mut self, record: &SinkRecord, now: Timestamp) -> Result<()> {
        self.cut_where_planned(record.offset)?;
        let mut place = self.place(record, now)?;
        if let Some(cause) = self.cuts_before(record, &place, now) {
            self.close(cause)?;
            place = self.place(record, now)?;
        }
        self.append(record, &place, now)
            .map_err(|cause| at(record, cause))?;
        self.is_mid_offset = !record.completes_offset();
        if self.is_mid_offset {
            return Ok(());
        }
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
                self.close(Cause::Plan)?;
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
                return self.close(Cause::Plan);
            }
            return Ok(());
        }
        match &self.open {
            Some(open) if self.rules.cuts_after(&open.span) => self.close(Cause::FlushSize),
            _ => Ok(()),
        }
    }

    /// The clock of a rotation: the plan's, or now.
    fn clock(&self, now: Timestamp) -> Timestamp {
        let before = self.before.filter(|_| self.naming.goes_by_clock());
        match self.replay.front().and_then(|cut| cut.clock) {
            Some(planned) => planned,
            None => before.map_or(now, |before| now.max(before)),
        }
    }

    fn place(&mut self, record: &SinkRecord, now: Timestamp) -> Result<Place> {
        let clock = self.clock(now);
        self.partitioner
            .place(record, clock)
            .map_err(|cause| at(record, cause))
    }

    fn cuts_before(&self, record: &SinkRecord, place: &Place, now: Timestamp) -> Option<Cause> {
        let open = self.open.as_ref().filter(|_| self.replay.is_empty())?;
        if open.span.records == 0 || self.is_mid_offset {
            return None;
        }
        if open.changes_schema(record) {
            return Some(Cause::SchemaChange);
        }
        let path_changes = open
            .last_path
            .as_ref()
            .is_some_and(|path| *path != place.path);
        self.rules
            .cuts_before(&open.span, place.time, path_changes, now)
    }

    fn append(&mut self, record: &SinkRecord, place: &Place, now: Timestamp) -> Result<()> {
        let clock = self.clock(now);
        let start = self.frontier.unwrap_or(record.offset);
        let open = self.open.get_or_insert_with(|| Rotation {
            start,
            end: start,
            objects: Vec::new(),
            cause: None,
            clock,
            span: OpenSpan {
                records: 0,
                base: place.time,
                received: now,
            },
            last_path: None,
            schemas: Vec::new(),
        });
        let known = open
            .objects
            .iter_mut()
            .rfind(|object| object.is_for(&record.topic, &place.path));
        let encoder = match known {
            None => Encoder::new(&self.encoding),
            Some(object) => match object.append(&self.encoding, record)? {
                Added::Yes => {
                    open.took(record, place);
                    return Ok(());
                }
                Added::HeaderTooNarrow => object.wider(&self.encoding),
            },
        };
        let name = ObjectName {
            topic: &record.topic,
            path: &place.path,
            partition: self.partition.partition,
            start: record.offset,
            clock: open.clock,
            piece: record.piece.map_or(0, |piece| piece.number),
            is_next: false,
        };
        let destination = open.destination(&self.naming, record, name, self.before);
        let mut object = Object::new(
            record.topic.clone(),
            place.path.clone(),
            destination,
            encoder,
        );
        object.append(&self.encoding, record)?;
        open.objects.push(object);
        open.took(record, place);
        Ok(())
    }

    /// Ends the open rotation; between the pieces of one offset it stays open.
    pub(crate) fn close(&mut self, cause: Cause) -> Result<()> {
        if self.is_mid_offset {
            return Ok(());
        }
        if let Some(mut open) = self.open.take() {
            open.cause = Some(cause);
            for object in &mut open.objects {
                object.finish()?;
            }
            self.before = Some(open.clock);
            self.closed.push_back(open);
        }
        Ok(())
    }

    /// Ends the open rotation if its time has come.
    pub(crate) fn close_if_due(&mut self, now: Timestamp) -> Result<()> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            return self.close(Cause::Due);
        }
        Ok(())
    }

    /// When the open rotation ends although no record comes. The end of one that is replayed is planned.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let open = self.open.as_ref().filter(|_| self.replay.is_empty())?;
        self.rules.deadline(&open.span)
    }

    /// The cuts of the first `count` closed rotations, and those still to be replayed behind them; before them the last
    /// one carried out, if names are told apart from its names.
    pub(crate) fn cuts(&self, count: usize) -> Vec<Cut> {
        let done = self.done.filter(|_| self.naming.goes_by_clock());
        let closed = self
            .closed
            .iter()
            .take(count)
            .map(|rotation| self.cut(rotation));
        let replay = self
            .replay
            .iter()
            .copied()
            .filter(|_| count == self.closed.len());
        done.into_iter().chain(closed).chain(replay).collect()
    }

    fn cut(&self, rotation: &Rotation) -> Cut {
        Cut {
            end: rotation.end,
            clock: self.goes_by_clock().then_some(rotation.clock),
        }
    }

    /// True if paths or names depend on the rotation's clock.
    pub(crate) fn goes_by_clock(&self) -> bool {
        self.partitioner.is_wallclock() || self.naming.goes_by_clock()
    }

    /// The first closed rotation is published: it leaves the plan.
    pub(crate) fn finish_first(&mut self) {
        if let Some(rotation) = self.closed.pop_front() {
            if let Some(object) = rotation.objects.last() {
                self.last_key = Some(object.destination.key.as_str().into());
            }
            self.done = Some(self.cut(&rotation));
            self.planned -= 1;
        }
    }

    /// The object published last, if one was since the last question.
    pub(crate) fn take_last_key(&mut self) -> Option<Arc<str>> {
        self.last_key.take()
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

    /// True if something is open that may be ended early. While a plan is replayed its cuts are the only ones: whoever
    /// made it may be about to publish by it.
    pub(crate) fn is_closable(&self) -> bool {
        self.open.is_some() && self.replay.is_empty() && !self.is_mid_offset
    }

    /// What the open rotation waits for, for people; empty if none is open.
    pub(crate) fn waits_for(&self) -> String {
        let open = self.open.as_ref();
        let text = open.map(|open| self.rules.waits_for(&open.span));
        text.unwrap_or_default()
    }

    /// Every rotation, in order, with its content whole. One that was open has no cause.
    pub(crate) fn into_rotations(self) -> Result<Vec<Rotation>> {
        let mut rotations: Vec<_> = self.closed.into_iter().chain(self.open).collect();
        let objects = rotations
            .iter_mut()
            .flat_map(|rotation| &mut rotation.objects);
        for object in objects {
            object.finish()?;
        }
        Ok(rotations)
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
    Error::data("cannot be written to S3")
        .record(&record.origin, record.offset)
        .source(cause)
}
