//! A record as a line of a staged file: `{"meta":…,"content":…}`.

use connect_core::data::{RecordTimestamp, SinkRecord};
use connect_core::{Error, Result};

use crate::config::{NullValues, RowOptions};
use crate::content::{write, write_text};

/// Appends the line of a record; false if it makes no row. Nothing is appended if it fails.
///
/// # Errors
/// A data error that names the record.
pub(crate) fn append(record: &SinkRecord, options: &RowOptions, out: &mut Vec<u8>) -> Result<bool> {
    let is_null = record.value.is_null();
    if is_null && options.null_values == NullValues::Ignore {
        return Ok(false);
    }
    let before = out.len();
    let outcome = line(record, options, is_null, out);
    if outcome.is_err() {
        out.truncate(before);
    }
    outcome.map(|()| true).map_err(|error| at(record, error))
}

/// The error with the record's place.
pub(crate) fn at(record: &SinkRecord, error: Error) -> Error {
    error.record(&record.origin, record.offset)
}

fn line(record: &SinkRecord, options: &RowOptions, is_null: bool, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    if options.metadata {
        out.extend_from_slice(b"\"meta\":");
        metadata(record, options, out)?;
        out.push(b',');
    }
    out.extend_from_slice(b"\"content\":");
    if is_null {
        out.extend_from_slice(b"{}");
    } else {
        write(&record.value, out)?;
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn metadata(record: &SinkRecord, options: &RowOptions, out: &mut Vec<u8>) -> Result<()> {
    let begin = out.len();
    if options.metadata_offset {
        number("offset", record.offset.value(), out);
    }
    if options.metadata_topic {
        name("topic", out);
        write_text(&record.topic, out);
    }
    if options.metadata_offset {
        number("partition", record.origin.partition.into(), out);
    }
    if !record.key.is_null() {
        name("key", out);
        write(&record.key, out)?;
    }
    if options.metadata_time {
        match record.timestamp {
            RecordTimestamp::CreateTime(time) => number("CreateTime", time.as_millis(), out),
            RecordTimestamp::LogAppendTime(time) => number("LogAppendTime", time.as_millis(), out),
            RecordTimestamp::Unknown => {}
        }
    }
    headers(record, out)?;
    // Every field begins with a comma: the first is the brace.
    match out.get_mut(begin) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
    Ok(())
}

/// Of headers with the same key the last one is kept.
fn headers(record: &SinkRecord, out: &mut Vec<u8>) -> Result<()> {
    if record.headers.is_empty() {
        return Ok(());
    }
    name("headers", out);
    out.push(b'{');
    let mut first = true;
    for (index, header) in record.headers.iter().enumerate() {
        let mut later = record.headers.iter().skip(index + 1);
        if later.any(|other| other.key == header.key) {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        write_text(&header.key, out);
        out.push(b':');
        write(&header.value, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn name(name: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_text(name, out);
    out.push(b':');
}

fn number(field: &str, value: i64, out: &mut Vec<u8>) {
    name(field, out);
    out.extend_from_slice(value.to_string().as_bytes());
}
