//! What a dry run is asked for: how many records, from where, of which partitions.

use std::collections::BTreeMap;

use connect_core::data::{Offset, TopicPartition};

/// Records of a dry run, if no number is given.
const DEFAULT_RECORDS: usize = 20;
/// The most a dry run reads.
pub(super) const MOST_RECORDS: usize = 1_000;

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Where the connector would go on.
    Committed,
    /// At the first record there is.
    Earliest,
    /// So many records before the end of each partition.
    Latest(i64),
    /// At this offset, in each partition.
    Offset(Offset),
    /// At these offsets; other partitions are not read.
    Offsets(BTreeMap<TopicPartition, Offset>),
}

/// A partition by its number, in one topic or in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartitionFilter {
    /// In every topic.
    Number(i32),
    /// In one.
    One(TopicPartition),
}

/// What a dry run is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRunRequest {
    /// Records to read at the most.
    pub(super) records: usize,
    /// Where to begin.
    pub(super) from: Beginning,
    /// Which partitions; all if there is none.
    pub(super) partitions: Vec<PartitionFilter>,
}

impl Default for DryRunRequest {
    fn default() -> Self {
        Self {
            records: DEFAULT_RECORDS,
            from: Beginning::Committed,
            partitions: Vec::new(),
        }
    }
}

impl DryRunRequest {
    /// Reads the parameters of a query; those that are not given are as by default.
    ///
    /// # Errors
    /// What is wrong with the first wrong one.
    pub fn parse(
        records: Option<&str>,
        from: Option<&str>,
        partitions: &[&str],
    ) -> Result<Self, String> {
        let mut request = Self::default();
        if let Some(text) = records {
            request.records = number_of_records(text)?;
        }
        if let Some(text) = from {
            request.from = begin(text)?;
        }
        let filters = partitions.iter().map(|text| filter(text));
        request.partitions = filters.collect::<Result<_, _>>()?;
        Ok(request)
    }

    /// True if the partition is to be read.
    pub(super) fn wants(&self, partition: &TopicPartition) -> bool {
        let is_wanted = |filter: &PartitionFilter| match filter {
            PartitionFilter::Number(number) => partition.partition == *number,
            PartitionFilter::One(one) => one == partition,
        };
        let is_named = match &self.from {
            Beginning::Offsets(offsets) => offsets.contains_key(partition),
            _ => true,
        };
        is_named && (self.partitions.is_empty() || self.partitions.iter().any(is_wanted))
    }
}

fn number_of_records(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=MOST_RECORDS).contains(number))
        .ok_or_else(|| format!("records={text}: must be a number from 1 to {MOST_RECORDS}"))
}

fn begin(text: &str) -> Result<Beginning, String> {
    match text {
        "committed" => return Ok(Beginning::Committed),
        "earliest" => return Ok(Beginning::Earliest),
        _ => {}
    }
    if let Some(count) = text.strip_prefix("latest-").and_then(natural) {
        return Ok(Beginning::Latest(count));
    }
    if let Some(offset) = natural(text) {
        return Ok(Beginning::Offset(Offset::new(offset)));
    }
    let offsets: Option<BTreeMap<_, _>> = text.split(',').map(named_offset).collect();
    offsets.map(Beginning::Offsets).ok_or_else(|| {
        format!(
            "from={text}: must be committed, earliest, latest-N, an offset, or offsets as in orders-0:100,orders-1:250"
        )
    })
}

/// `topic-partition:offset`
fn named_offset(text: &str) -> Option<(TopicPartition, Offset)> {
    let (partition, offset) = text.trim().rsplit_once(':')?;
    Some((named_partition(partition)?, Offset::new(natural(offset)?)))
}

/// `topic-partition`
fn named_partition(text: &str) -> Option<TopicPartition> {
    let (topic, number) = text
        .rsplit_once('-')
        .filter(|(topic, _)| !topic.is_empty())?;
    let number = i32::try_from(natural(number)?).ok()?;
    Some(TopicPartition::new(topic, number))
}

fn filter(text: &str) -> Result<PartitionFilter, String> {
    let number = natural(text).and_then(|number| i32::try_from(number).ok());
    let filter = number
        .map(PartitionFilter::Number)
        .or_else(|| named_partition(text).map(PartitionFilter::One));
    filter.ok_or_else(|| {
        format!(
            "partition={text}: must be a partition's number, or topic and number as in orders-0"
        )
    })
}

/// A number that is not negative, in digits alone.
fn natural(text: &str) -> Option<i64> {
    let has_digits_alone = text.bytes().all(|byte| byte.is_ascii_digit());
    has_digits_alone.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Beginning, String> {
        DryRunRequest::parse(None, Some(text), &[]).map(|request| request.from)
    }

    #[test]
    fn where_to_begin_is_a_word_a_distance_from_the_end_or_offsets() {
        assert_eq!(from("committed"), Ok(Beginning::Committed));
        assert_eq!(from("earliest"), Ok(Beginning::Earliest));
        assert_eq!(from("latest-5"), Ok(Beginning::Latest(5)));
        assert_eq!(from("42"), Ok(Beginning::Offset(Offset::new(42))));
        let named = [
            (TopicPartition::new("my-topic", 0), Offset::new(7)),
            (TopicPartition::new("t", 11), Offset::new(0)),
        ];
        assert_eq!(
            from("my-topic-0:7,t-11:0"),
            Ok(Beginning::Offsets(named.into()))
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_says_what_is_allowed() {
        for text in [
            "",
            "latest",
            "latest--1",
            "-3",
            "t:1",
            "-0:1",
            "t-0:x",
            "t-0:1,",
            "99999999999999999999",
        ] {
            assert!(from(text).unwrap_err().contains("latest-N"), "{text}");
        }
        for text in ["0", "-1", "1001", "many", "", "1e3", "18446744073709551616"] {
            let refused = DryRunRequest::parse(Some(text), None, &[]).unwrap_err();
            assert!(refused.contains("from 1 to 1000"), "{refused}");
        }
        for text in ["", "-1", "t", "t-", "t-99999999999", "-5"] {
            let refused = DryRunRequest::parse(None, None, &[text]).unwrap_err();
            assert!(refused.starts_with("partition="), "{refused}");
        }
    }

    #[test]
    fn partitions_are_chosen_by_number_by_name_and_by_the_offsets_given() {
        let wants = |from: Option<&str>, partitions: &[&str], topic: &str, number: i32| {
            let request = DryRunRequest::parse(None, from, partitions).unwrap();
            request.wants(&TopicPartition::new(topic, number))
        };
        assert!(wants(None, &[], "any", 3));
        assert!(wants(None, &["3"], "any", 3) && !wants(None, &["3"], "any", 2));
        assert!(wants(None, &["a-1", "b-2"], "b", 2) && !wants(None, &["a-1"], "b", 1));
        assert!(wants(Some("a-1:9"), &[], "a", 1) && !wants(Some("a-1:9"), &[], "a", 0));
    }
}
