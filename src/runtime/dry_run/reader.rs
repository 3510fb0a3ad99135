//! Reads a sink's records without its group: partitions are assigned, nothing is joined, nothing committed.
//!
//! Holds always: what is read is bounded in records, bytes and time, and no further than the ends that partitions had when
//! reading began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connect_core::config::{ConfigMap, ConnectorConfig, SinkOptions};
use connect_core::data::{Offset, Offsets, TopicPartition};
use connect_core::plugin::Assignment;
use connect_core::{Error, Result};
use regex::Regex;
use tokio::time::Instant;

use super::report::ReadPosition;
use super::request::{Beginning, DryRunRequest};
use crate::kafka::{
    Admin, AutoOffsetReset, ConsumedRecord, Consumer, ConsumerOptions, Isolation, Log,
    Subscription, Watermarks,
};
use crate::runtime::sink_task::group_id;
use crate::runtime::worker_config::{strip_prefix, wrong_options};

/// How long reading may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// The longest one poll waits.
const LONGEST_POLL: Duration = Duration::from_millis(500);
/// Bytes of keys and values read in all, but for the last record.
const MOST_BYTES: usize = 8 << 20;
/// Bytes of a fetch.
const FETCH: usize = 1 << 20;
/// Partitions that one dry run reads.
const MOST_PARTITIONS: usize = 1_000;

/// Settings of a consumer that are the dry run's own.
const OWN_SETTINGS: [&str; 5] = [
    "group.id",
    "group.instance.id",
    "max.poll.records",
    "fetch.max.bytes",
    "fetch.min.bytes",
];

/// Where a sink's records are.
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) config: &'a ConfigMap,
    pub(super) log: &'a dyn Log,
    /// The worker's `consumer.` settings.
    pub(super) consumer_settings: ConfigMap,
}

/// What was read.
pub(super) struct Read {
    pub(super) records: Vec<ConsumedRecord>,
    pub(super) positions: Vec<ReadPosition>,
    /// The partitions, as a task would be given them.
    pub(super) assignments: Vec<Assignment>,
    pub(super) ended: String,
    pub(super) notes: Vec<String>,
}

/// One partition on its way.
struct Reading {
    partition: TopicPartition,
    from: Offset,
    end: Offset,
}

/// Reads what was asked for.
///
/// # Errors
/// A configuration error if there is nothing that could be read; what the log says.
pub(super) async fn read(source: &Source<'_>, request: &DryRunRequest) -> Result<Read> {
    let admin = source.log.admin();
    let (partitions, mut notes) = partitions(source, &*admin, request).await?;
    let committed = match request.from {
        Beginning::Committed => {
            let group = group_id(source.name, source.config, &source.consumer_settings);
            admin.group_offsets(&group).await?
        }
        _ => Offsets::new(),
    };
    let options = options(source, request, &partitions);
    let starts_late = options
        .overrides
        .get("auto.offset.reset")
        .is_some_and(|reset| reset.trim().eq_ignore_ascii_case("latest"));
    let consumer = source.log.consumer(options).await?;
    let begin = Begin {
        from: &request.from,
        committed: &committed,
        starts_late,
    };
    let outcome = read_from(&*consumer, request.records, &begin, partitions).await;
    let closed = consumer.close().await;
    let (readings, records, ended) = outcome?;
    closed?;
    if records.is_empty() {
        notes.push(nothing_to_read(request));
    }
    Ok(Read {
        positions: positions(&readings, &records),
        assignments: readings
            .into_iter()
            .map(|reading| Assignment {
                committed: committed.get(&reading.partition).cloned(),
                partition: reading.partition,
            })
            .collect(),
        records,
        ended: ended.to_owned(),
        notes,
    })
}

fn nothing_to_read(request: &DryRunRequest) -> String {
    let hint = match request.from {
        Beginning::Committed => ": from=latest-20 or from=earliest shows what is there already",
        _ => "",
    };
    format!("no records to read from there on{hint}")
}

/// The partitions that are wanted, and what to say of topics that are not there.
async fn partitions(
    source: &Source<'_>,
    admin: &dyn Admin,
    request: &DryRunRequest,
) -> Result<(Vec<TopicPartition>, Vec<String>)> {
    let options = SinkOptions::from_map(source.config).map_err(|errors| wrong_options(&errors))?;
    let topics = topics(&options, admin).await?;
    let (mut partitions, mut notes) = (Vec::new(), Vec::new());
    for topic in topics {
        let Some(description) = admin.describe_topic(&topic).await? else {
            notes.push(format!("topic {topic} does not exist"));
            continue;
        };
        let topic: Arc<str> = topic.into();
        let all =
            (0..description.partitions).map(|number| TopicPartition::new(topic.clone(), number));
        partitions.extend(all.filter(|partition| request.wants(partition)));
    }
    if partitions.is_empty() {
        let why = match notes.is_empty() {
            true => "no partition is left to be read: see topics, partition and from".to_owned(),
            false => notes.join(", "),
        };
        return Err(Error::config(why));
    }
    if partitions.len() > MOST_PARTITIONS {
        notes.push(format!(
            "only the first {MOST_PARTITIONS} of {} partitions are read",
            partitions.len()
        ));
        partitions.truncate(MOST_PARTITIONS);
    }
    Ok((partitions, notes))
}

async fn topics(options: &SinkOptions, admin: &dyn Admin) -> Result<Vec<String>> {
    let pattern = &options.topics_regex;
    if pattern.is_empty() {
        return Ok(options.topics.clone());
    }
    let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|cause| {
        Error::config(format!(
            "topics.regex: {pattern} is not a regular expression"
        ))
        .source(cause)
    })?;
    let mut topics = admin.list_topics().await?;
    topics.retain(|topic| whole.is_match(topic));
    topics.sort();
    Ok(topics)
}

fn options(
    source: &Source<'_>,
    request: &DryRunRequest,
    partitions: &[TopicPartition],
) -> ConsumerOptions {
    let mut overrides = source.consumer_settings.clone();
    overrides.extend(strip_prefix(source.config, "consumer.override."));
    overrides.retain(|key, _| !OWN_SETTINGS.contains(&key.as_str()));
    ConsumerOptions {
        group: None,
        subscription: Subscription::Partitions(partitions.to_vec()),
        client_id: format!("connector-dry-run-{}", source.name),
        auto_offset_reset: AutoOffsetReset::Earliest,
        isolation: Isolation::ReadUncommitted,
        max_poll_records: request.records,
        fetch_max_bytes: FETCH,
        listener: None,
        overrides,
    }
}

/// Where partitions are read from.
struct Begin<'a> {
    from: &'a Beginning,
    committed: &'a Offsets,
    /// True if a partition without an offset is read from its end.
    starts_late: bool,
}

impl Begin<'_> {
    fn of(&self, partition: &TopicPartition, ends: Watermarks) -> Offset {
        let wanted = match self.from {
            Beginning::Committed => self.committed.get(partition).map(|known| known.offset),
            Beginning::Earliest => Some(ends.low),
            Beginning::Latest(count) => Some(Offset::new(ends.high.value().saturating_sub(*count))),
            Beginning::Offset(offset) => Some(*offset),
            Beginning::Offsets(offsets) => offsets.get(partition).copied(),
        };
        let without_offset = match self.starts_late {
            true => ends.high,
            false => ends.low,
        };
        let wanted = wanted.unwrap_or(without_offset);
        wanted.max(ends.low).min(ends.high)
    }
}

async fn read_from(
    consumer: &dyn Consumer,
    count: usize,
    begin: &Begin<'_>,
    partitions: Vec<TopicPartition>,
) -> Result<(Vec<Reading>, Vec<ConsumedRecord>, &'static str)> {
    let mut readings = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let ends = consumer.watermarks(&partition).await?;
        let from = begin.of(&partition, ends);
        consumer.seek(&partition, from).await?;
        readings.push(Reading {
            partition,
            from,
            end: ends.high,
        });
    }
    let (records, ended) = read_to_the_end(consumer, count, &readings).await?;
    Ok((readings, records, ended))
}

async fn read_to_the_end(
    consumer: &dyn Consumer,
    count: usize,
    readings: &[Reading],
) -> Result<(Vec<ConsumedRecord>, &'static str)> {
    let deadline = Instant::now() + READ_DEADLINE;
    let mut ends: BTreeMap<TopicPartition, Offset> = readings
        .iter()
        .filter(|reading| reading.from < reading.end)
        .map(|reading| (reading.partition.clone(), reading.end))
        .collect();
    let (mut records, mut bytes) = (Vec::new(), 0);
    while !ends.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((records, "the time was up"));
        }
        for record in consumer.poll(LONGEST_POLL.min(left)).await? {
            let partition = TopicPartition::new(record.topic.clone(), record.partition);
            if ends.get(&partition).is_none_or(|end| record.offset >= *end) {
                continue;
            }
            bytes += size(&record);
            records.push(record);
            if records.len() >= count {
                return Ok((records, "as many records as asked for were read"));
            }
            if bytes >= MOST_BYTES {
                return Ok((records, "no more bytes are read"));
            }
        }
        let mut read = Vec::new();
        for (partition, end) in &ends {
            if consumer.position(partition).await? >= *end {
                read.push(partition.clone());
            }
        }
        ends.retain(|partition, _| !read.contains(partition));
    }
    Ok((records, "the end of the topics"))
}

fn size(record: &ConsumedRecord) -> usize {
    let length = |bytes: Option<&bytes::Bytes>| bytes.map_or(0, bytes::Bytes::len);
    length(record.key.as_ref()) + length(record.value.as_ref())
}

fn positions(readings: &[Reading], records: &[ConsumedRecord]) -> Vec<ReadPosition> {
    let position = |reading: &Reading| {
        let partition = &reading.partition;
        let mine = records.iter().filter(|record| {
            record.topic == partition.topic && record.partition == partition.partition
        });
        let last = mine.map(|record| record.offset.next()).max();
        ReadPosition {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            from: reading.from.value(),
            to: last.unwrap_or(reading.from).value(),
            end: reading.end.value(),
        }
    };
    readings.iter().map(position).collect()
}
