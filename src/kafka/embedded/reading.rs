//! Records out of stored batches, for the consumer.

use connect_core::Result;
use connect_core::data::{Offset, RecordTimestamp, TopicPartition};

use super::{Inner, batch};
use crate::kafka::ConsumedRecord;

/// Bytes read of one partition at once.
const READ_BYTES: usize = 1 << 20;

/// A partition, the position read from, the next one, and what stands in between.
pub(super) type Read = (TopicPartition, Offset, Offset, Vec<ConsumedRecord>);

/// Reads partitions one after another, up to so many records and about so many bytes.
pub(super) fn read_partitions(
    inner: &Inner,
    ready: Vec<(TopicPartition, Offset)>,
    limits: (usize, usize),
) -> Result<Vec<Read>> {
    let (mut records_left, mut bytes_left) = limits;
    let mut read = Vec::new();
    for (partition, position) in ready {
        if records_left == 0 || bytes_left == 0 {
            break;
        }
        let (next, records) =
            read_partition(inner, &partition, position, records_left, bytes_left)?;
        records_left -= records.len();
        let bytes: usize = records
            .iter()
            .map(|record| record.value.as_ref().map_or(0, bytes::Bytes::len))
            .sum();
        bytes_left = bytes_left.saturating_sub(bytes);
        read.push((partition, position, next, records));
    }
    Ok(read)
}

fn read_partition(
    inner: &Inner,
    partition: &TopicPartition,
    position: Offset,
    max_records: usize,
    max_bytes: usize,
) -> Result<(Offset, Vec<ConsumedRecord>)> {
    let (Some(topic), Some(ends)) = (
        inner.partitions.topic(&partition.topic),
        inner.partitions.watermarks(partition),
    ) else {
        return Ok((position, Vec::new())); // deleted meanwhile
    };
    let position = position.max(ends.low);
    let wanted = u64::try_from(position.value()).unwrap_or(0);
    let batches = inner.store.read(
        topic.id,
        partition.partition.cast_unsigned(),
        wanted,
        max_bytes.min(READ_BYTES),
    )?;
    let mut records = Vec::new();
    let mut next = position;
    for (first, bytes) in batches {
        let skip = u32::try_from(wanted.saturating_sub(first)).unwrap_or(u32::MAX);
        let from = i64::try_from(first.max(wanted)).unwrap_or(i64::MAX);
        for (number, record) in (0_i64..).zip(batch::decode(bytes, skip)?) {
            let offset = Offset::new(from + number);
            if offset >= ends.high || records.len() >= max_records {
                return Ok((next, records));
            }
            records.push(consumed(partition, offset, record, topic.log_append_time()));
            next = offset.next();
        }
    }
    // Behind the last record stands at most the free offset of a transaction.
    let at_end = records.is_empty();
    Ok((if at_end { ends.high } else { next }, records))
}

fn consumed(
    partition: &TopicPartition,
    offset: Offset,
    record: batch::StoredRecord,
    log_append_time: bool,
) -> ConsumedRecord {
    let timestamp = match record.timestamp {
        Some(timestamp) if log_append_time => RecordTimestamp::LogAppendTime(timestamp),
        Some(timestamp) => RecordTimestamp::CreateTime(timestamp),
        None => RecordTimestamp::Unknown,
    };
    ConsumedRecord {
        topic: partition.topic.clone(),
        partition: partition.partition,
        offset,
        timestamp,
        headers: record.headers,
        key: record.key,
        value: record.value,
    }
}
