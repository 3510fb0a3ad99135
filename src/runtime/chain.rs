//! The transforms of one task, applied in order to one record at a time.
//!
//! Holds always: whatever transforms do, records keep the position of the original; the pieces of a record that was split
//! are numbered, and the last one that is left is marked.

use std::collections::BTreeMap;

use connect_core::config::{ChainLink, ConfigMap, transform_chain};
use connect_core::data::{Piece, SinkRecord, SourceRecord};
use connect_core::plugin::{RecordPosition, TransformRecord, Transformed};
use connect_core::{Error, Result};

use super::errors::{RecordFailure, Stage};
use super::metrics::UsedPlugin;
use super::worker_config::wrong_options;

/// The transforms of one task.
pub(super) struct Chain {
    links: Vec<ChainLink>,
}

/// A record inside the chain, with its number once it is a piece.
type Passing = (TransformRecord, Option<u32>);

impl Chain {
    /// The transforms a connector names.
    pub(super) fn of(config: &ConfigMap) -> Result<Self> {
        let links = transform_chain(config)
            .map_err(|errors| wrong_options(&errors).operation("transforms"))?;
        Ok(Self { links })
    }

    /// True if no record is ever changed.
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Its transforms by their names.
    pub(super) fn transforms(&self) -> BTreeMap<String, UsedPlugin> {
        let links = self.links.iter();
        links
            .map(|link| (link.name.clone(), UsedPlugin::new(link.class, link.version)))
            .collect()
    }

    /// Its predicates by their names.
    pub(super) fn predicates(&self) -> BTreeMap<String, UsedPlugin> {
        let conditions = self.links.iter().filter_map(|link| link.condition.as_ref());
        conditions
            .map(|condition| {
                let used = UsedPlugin::new(condition.class, condition.version);
                (condition.name.clone(), used)
            })
            .collect()
    }

    /// What becomes of a record of the log.
    pub(super) fn apply_to_sink(
        &mut self,
        record: SinkRecord,
    ) -> Result<Vec<SinkRecord>, RecordFailure> {
        let (origin, offset, timestamp) = (record.origin, record.offset, record.timestamp);
        let position = RecordPosition {
            partition: Some(origin.partition),
            offset: Some(offset),
            timestamp: timestamp.timestamp(),
        };
        let passed = self.apply(TransformRecord {
            topic: record.topic,
            headers: record.headers,
            key: record.key,
            value: record.value,
            position,
        })?;
        let last = passed.len().saturating_sub(1);
        let size = piece_size(record.size, passed.len());
        let piece = |index: usize, number: Option<u32>| {
            Some(Piece {
                number: number?,
                is_last: index == last,
            })
        };
        let records = passed.into_iter().enumerate();
        Ok(records
            .map(|(index, (record, number))| SinkRecord {
                origin: origin.clone(),
                topic: record.topic,
                offset,
                timestamp,
                headers: record.headers,
                key: record.key,
                value: record.value,
                piece: piece(index, number),
                size,
            })
            .collect())
    }

    /// What becomes of a source's record. Its source offset stays with the original.
    pub(super) fn apply_to_source(
        &mut self,
        record: SourceRecord,
    ) -> Result<Vec<SourceRecord>, RecordFailure> {
        let (source_partition, partition) = (record.source_partition, record.partition);
        let timestamp = record.timestamp;
        let position = RecordPosition {
            partition,
            offset: None,
            timestamp,
        };
        let passed = self.apply(TransformRecord {
            topic: record.topic,
            headers: record.headers,
            key: record.key,
            value: record.value,
            position,
        })?;
        let records = passed.into_iter();
        Ok(records
            .map(|(record, _)| SourceRecord {
                source_partition: source_partition.clone(),
                source_offset: None,
                topic: record.topic,
                partition,
                timestamp,
                headers: record.headers,
                key: record.key,
                value: record.value,
            })
            .collect())
    }

    fn apply(&mut self, record: TransformRecord) -> Result<Vec<Passing>, RecordFailure> {
        let mut passing = vec![(record, None)];
        for link in &mut self.links {
            passing = through(link, passing).map_err(|cause| {
                let error = Error::new(cause.kind(), "failed")
                    .operation("transform")
                    .target(&*link.name)
                    .source(cause);
                RecordFailure::new(Stage::Transformation, link.class, error)
            })?;
        }
        Ok(passing)
    }
}

/// What a piece counts for: its share of the original's bytes, and never less than it takes by itself, so that a small
/// record that is split into very many pieces does not slip past the byte budget.
fn piece_size(original: u32, pieces: usize) -> u32 {
    let share = original / u32::try_from(pieces.max(1)).unwrap_or(u32::MAX);
    let least = u32::try_from(size_of::<SinkRecord>()).unwrap_or(u32::MAX);
    if pieces > 1 { share.max(least) } else { share }
}

/// One link of the chain. If it splits a record all that leave it are numbered anew, so that numbers are unique.
fn through(link: &mut ChainLink, entering: Vec<Passing>) -> Result<Vec<Passing>> {
    let mut leaving = Vec::with_capacity(entering.len());
    let mut has_split = false;
    for (record, number) in entering {
        let applies = link
            .condition
            .as_ref()
            .is_none_or(|condition| condition.predicate.test(&record) != condition.negate);
        if !applies {
            leaving.push((record, number));
            continue;
        }
        match link.transform.apply(record)? {
            Transformed::One(record) => leaving.push((record, number)),
            Transformed::Dropped => {}
            Transformed::Several(pieces) => {
                has_split = true;
                leaving.extend(pieces.into_iter().map(|piece| (piece, None)));
            }
        }
    }
    if has_split {
        for (index, (_, number)) in leaving.iter_mut().enumerate() {
            *number = Some(u32::try_from(index).map_err(|_| Error::data("too many pieces"))?);
        }
    }
    Ok(leaving)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_pieces_of_a_small_record_count_for_what_they_take() {
        let least = size_of::<SinkRecord>();
        assert_eq!(piece_size(100, 1), 100);
        assert_eq!(piece_size(1_000_000, 2), 500_000);
        let pieces = 1_000_000;
        assert!(piece_size(2_000_000, pieces) as usize * pieces >= least * pieces);
        assert_eq!(piece_size(100, 0), 100);
    }
}
