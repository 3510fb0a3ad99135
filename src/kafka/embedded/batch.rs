//! A produced batch as bytes: what the store keeps.
//!
//! Form, version 1, integers big-endian: version (u8), number of records (u32), then per record: timestamp (i64, -1 for
//! none), key, value, number of headers (u32), per header its key and value. A byte string is its length (u32, `u32::MAX`
//! for null) and its bytes. Record `n` of a batch stands at the batch's offset plus `n`.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use connect_core::data::{RawHeaders, Timestamp};
use connect_core::{Error, Result};

use crate::kafka::ProducerRecord;

const VERSION: u8 = 1;
const NULL: u32 = u32::MAX;

/// A record as stored.
pub(super) struct StoredRecord {
    pub(super) timestamp: Option<Timestamp>,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: RawHeaders,
}

/// Writes records; those without a timestamp get `now`.
pub(super) fn encode(records: &[ProducerRecord], now: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.iter().map(size).sum::<usize>() + 5);
    put_head(&mut out, records.len());
    for record in records {
        let millis = record.timestamp.unwrap_or(now).as_millis();
        let fields = (record.key.as_deref(), record.value.as_deref());
        put_record(&mut out, millis, fields, &record.headers);
    }
    out
}

/// Writes records that were stored before.
pub(super) fn encode_stored(records: &[StoredRecord]) -> Vec<u8> {
    let mut out = Vec::new();
    put_head(&mut out, records.len());
    for record in records {
        let millis = record.timestamp.map_or(-1, Timestamp::as_millis);
        let fields = (record.key.as_deref(), record.value.as_deref());
        put_record(&mut out, millis, fields, &record.headers);
    }
    out
}

fn put_head(out: &mut Vec<u8>, count: usize) {
    out.put_u8(VERSION);
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_record(
    out: &mut Vec<u8>,
    millis: i64,
    (key, value): (Option<&[u8]>, Option<&[u8]>),
    headers: &RawHeaders,
) {
    out.put_i64(millis);
    put(out, key);
    put(out, value);
    out.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    for (key, value) in headers {
        put(out, Some(key.as_bytes()));
        put(out, value.as_deref());
    }
}

fn size(record: &ProducerRecord) -> usize {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| key.len() + length(value) + 8)
        .sum();
    length(&record.key) + length(&record.value) + headers + 20
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.put_u32(NULL),
        Some(bytes) => {
            out.put_u32(u32::try_from(bytes.len()).unwrap_or(NULL - 1));
            out.put_slice(bytes);
        }
    }
}

/// How many records a stored batch holds.
pub(super) fn count(batch: &[u8]) -> Result<u32> {
    let mut head = batch;
    read_head(&mut head)
}

fn read_head(batch: &mut impl Buf) -> Result<u32> {
    let version = batch.try_get_u8().map_err(|_| damaged())?;
    if version != VERSION {
        return Err(Error::config(format!(
            "the log was written in form {version}, this version reads {VERSION}"
        )));
    }
    batch.try_get_u32().map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::external("a batch of the log on disk is damaged")
        .retry(connect_core::RetryVerdict::Never)
}

/// Reads the records of a batch, from number `skip` on; keys and values share the batch's memory.
pub(super) fn decode(mut batch: Bytes, skip: u32) -> Result<Vec<StoredRecord>> {
    let count = read_head(&mut batch)?;
    let mut records = Vec::new();
    for number in 0..count {
        let record = read_record(&mut batch)?;
        if number >= skip {
            records.push(record);
        }
    }
    Ok(records)
}

fn read_record(batch: &mut Bytes) -> Result<StoredRecord> {
    let millis = batch.try_get_i64().map_err(|_| damaged())?;
    let key = take(batch)?;
    let value = take(batch)?;
    let count = batch.try_get_u32().map_err(|_| damaged())?;
    let mut headers = RawHeaders::new();
    for _ in 0..count {
        let name = take(batch)?.ok_or_else(damaged)?;
        let name: Arc<str> = std::str::from_utf8(&name).map_err(|_| damaged())?.into();
        headers.push((name, take(batch)?));
    }
    Ok(StoredRecord {
        timestamp: (millis >= 0).then(|| Timestamp::from_millis(millis)),
        key,
        value,
        headers,
    })
}

fn take(batch: &mut Bytes) -> Result<Option<Bytes>> {
    let length = batch.try_get_u32().map_err(|_| damaged())?;
    if length == NULL {
        return Ok(None);
    }
    let length = length as usize;
    if batch.len() < length {
        return Err(damaged());
    }
    Ok(Some(batch.split_to(length)))
}
