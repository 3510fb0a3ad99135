//! What one transaction loads.

use std::collections::BTreeMap;

use connect_core::data::{Offset, TopicPartition};

use crate::fields::Fields;
use crate::file::StageFile;
use crate::naming::TableName;

/// The offsets of a partition that a batch covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// What the table of offsets must say before.
    pub(crate) expected: Offset,
    /// What it says afterwards.
    pub(crate) next: Offset,
}

/// The partitions of a batch.
pub(crate) type Spans = BTreeMap<TopicPartition, Span>;

/// A complete file with its partition.
#[derive(Debug, Clone)]
pub(crate) struct BatchFile {
    pub(crate) partition: TopicPartition,
    pub(crate) file: StageFile,
    /// With schematization.
    pub(crate) fields: Fields,
}

/// What one transaction loads.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) files: Vec<BatchFile>,
    pub(crate) spans: Spans,
}

impl Batch {
    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.file.content.len()).sum()
    }

    /// The files of each table.
    pub(crate) fn by_table(&self) -> BTreeMap<&TableName, Vec<&BatchFile>> {
        let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in &self.files {
            tables.entry(&file.file.table).or_default().push(file);
        }
        tables
    }

    /// The batch without these partitions; `None` if nothing is left.
    pub(crate) fn without(&self, partitions: &[TopicPartition]) -> Option<Self> {
        let spans: Spans = self
            .spans
            .iter()
            .filter(|(partition, _)| !partitions.contains(partition))
            .map(|(partition, span)| (partition.clone(), *span))
            .collect();
        let files = self
            .files
            .iter()
            .filter(|file| spans.contains_key(&file.partition));
        let files = files.cloned().collect();
        (!spans.is_empty()).then_some(Self { files, spans })
    }
}
