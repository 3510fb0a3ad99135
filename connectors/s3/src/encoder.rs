//! Records as the bytes of an object.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{SinkRecord, Value, json};
use connect_core::{Error, Result};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::config::{Compression, Format, S3SinkConfig};
use crate::csv::{Added, CsvOptions, Sheet};
use crate::object::SMALLEST_PART;

/// Capacities a buffer passes through. The last holds a part: it is so large that allocators take it from the system and
/// give it back, and no memory is lost to buffers of all sizes growing side by side.
const CAPACITIES: [usize; 3] = [64 * 1024, 512 * 1024, SMALLEST_PART + 512 * 1024];

/// Bytes that a compressor keeps beside its output: window, tables and a buffer.
const GZIP_STATE: usize = 352 * 1024;

/// How records become bytes: the same for all objects of a connector.
#[derive(Debug, Clone)]
pub(crate) struct Encoding {
    format: Format,
    separator: Vec<u8>,
    gzip: Option<flate2::Compression>,
    csv: Arc<CsvOptions>,
}

impl Encoding {
    pub(crate) fn of(config: &S3SinkConfig) -> Self {
        let separator = match (config.format(), &config.connector.bytes_separator) {
            (Format::Bytes, Some(separator)) => separator.expose().as_bytes().to_vec(),
            _ => b"\n".to_vec(),
        };
        let level = u32::try_from(config.connector.compression_level);
        let gzip = match config.connector.compression {
            Compression::None => None,
            Compression::Gzip => Some(
                level.map_or_else(|_| flate2::Compression::default(), flate2::Compression::new),
            ),
        };
        Self {
            format: config.format(),
            separator,
            gzip,
            csv: Arc::new(config.csv.clone()),
        }
    }

    /// How objects are compressed.
    pub(crate) fn compression(&self) -> Option<&'static str> {
        self.gzip.map(|_| "gzip")
    }

    /// An object's bytes before compression.
    pub(crate) fn plain(&self, object: &Bytes) -> Result<Bytes> {
        if self.gzip.is_none() {
            return Ok(object.clone());
        }
        let mut plain = Vec::new();
        let mut reader = GzDecoder::new(&**object);
        reader.read_to_end(&mut plain).map_err(|cause| {
            Error::internal("reading what was compressed in memory").source(cause)
        })?;
        Ok(plain.into())
    }

    fn encode(&self, record: &SinkRecord, out: &mut Vec<u8>) -> Result<()> {
        match self.format {
            Format::Json | Format::Csv => json::write(&record.value, out)?,
            Format::Bytes => match record.value.value() {
                Value::Bytes(bytes) => out.extend_from_slice(bytes),
                _ => {
                    let text = "ByteArrayFormat takes bytes only: set value.converter to ByteArrayConverter";
                    return Err(Error::data(text));
                }
            },
        }
        out.extend_from_slice(&self.separator);
        Ok(())
    }
}

/// Room for a record of about `size` bytes.
fn make_room(buffer: &mut Vec<u8>, size: usize) {
    let needed = buffer.len() + size + size / 8 + 64;
    if needed <= buffer.capacity() {
        return;
    }
    let step = CAPACITIES.into_iter().find(|capacity| *capacity >= needed);
    buffer.reserve_exact(step.unwrap_or(needed) - buffer.len());
}

/// The bytes of one object, as far as they have not been sent.
#[derive(Debug)]
pub(crate) struct Encoder {
    output: Output,
    /// The rows, if it is CSV.
    sheet: Option<Box<Sheet>>,
}

#[derive(Debug)]
enum Output {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>, Vec<u8>),
}

impl Encoder {
    pub(crate) fn new(encoding: &Encoding) -> Self {
        let sheet = (encoding.format == Format::Csv).then(|| Sheet::new(encoding.csv.clone()));
        Self::of(encoding, sheet)
    }

    /// The encoder of the object that takes what this one's header is too narrow for.
    pub(crate) fn wider(&self, encoding: &Encoding) -> Self {
        Self::of(encoding, self.sheet.as_deref().map(Sheet::wider))
    }

    fn of(encoding: &Encoding, sheet: Option<Sheet>) -> Self {
        let output = match encoding.gzip {
            None => Output::Plain(Vec::new()),
            Some(level) => Output::Gzip(Box::new(GzEncoder::new(Vec::new(), level)), Vec::new()),
        };
        Self {
            output,
            sheet: sheet.map(Box::new),
        }
    }

    /// Appends a record; nothing is appended if it cannot be encoded, or not in this object.
    pub(crate) fn append(&mut self, encoding: &Encoding, record: &SinkRecord) -> Result<Added> {
        let sheet = self.sheet.as_deref_mut();
        match &mut self.output {
            Output::Plain(buffer) => {
                let before = buffer.len();
                if sheet.as_ref().is_none_or(|sheet| sheet.held() == 0) {
                    make_room(buffer, record.size as usize);
                }
                encode(encoding, sheet, record, buffer).inspect_err(|_| buffer.truncate(before))
            }
            Output::Gzip(encoder, line) => {
                line.clear();
                let added = encode(encoding, sheet, record, line)?;
                encoder.write_all(line).map_err(not_compressed)?;
                Ok(added)
            }
        }
    }

    /// Bytes in memory. Of a buffer's room the first step counts as a whole: where many objects are open, it is most of
    /// what they hold.
    pub(crate) fn buffered(&self) -> usize {
        let output = match &self.output {
            Output::Plain(buffer) => buffer.len().max(buffer.capacity().min(CAPACITIES[0])),
            Output::Gzip(encoder, line) => encoder.get_ref().len() + line.capacity() + GZIP_STATE,
        };
        output + self.sheet.as_ref().map_or(0, |sheet| sheet.buffered())
    }

    /// Bytes ready to be sent.
    pub(crate) fn len(&self) -> usize {
        match &self.output {
            Output::Plain(buffer) => buffer.len(),
            Output::Gzip(encoder, _) => encoder.get_ref().len(),
        }
    }

    /// Takes the bytes that are ready.
    pub(crate) fn take(&mut self) -> Bytes {
        match &mut self.output {
            Output::Plain(buffer) => Bytes::from(std::mem::take(buffer)),
            Output::Gzip(encoder, _) => Bytes::from(std::mem::take(encoder.get_mut())),
        }
    }

    /// Closes the object and takes the rest; nothing stays in memory beside it.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        let sheet = self.sheet.take();
        let output = std::mem::replace(&mut self.output, Output::Plain(Vec::new()));
        let mut rest = match output {
            Output::Plain(mut buffer) => {
                if let Some(mut sheet) = sheet {
                    sheet.finish(&mut buffer);
                }
                buffer
            }
            Output::Gzip(mut encoder, mut line) => {
                line.clear();
                if let Some(mut sheet) = sheet {
                    sheet.finish(&mut line);
                }
                encoder.write_all(&line).map_err(not_compressed)?;
                encoder.finish().map_err(not_compressed)?
            }
        };
        rest.shrink_to_fit();
        Ok(Bytes::from(rest))
    }
}

fn encode(
    encoding: &Encoding,
    sheet: Option<&mut Sheet>,
    record: &SinkRecord,
    out: &mut Vec<u8>,
) -> Result<Added> {
    match sheet {
        Some(sheet) => sheet.add(record, out),
        None => encoding.encode(record, out).map(|()| Added::Yes),
    }
}

fn not_compressed(cause: std::io::Error) -> Error {
    Error::internal("compressing in memory").source(cause)
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};
    use connect_core::data::{Datum, TopicPartition};
    use connect_core::testkit;

    use super::*;

    fn encoding(gzip: bool) -> Encoding {
        let gzip = gzip.then(flate2::Compression::default);
        Encoding {
            format: Format::Bytes,
            separator: b"\n".to_vec(),
            gzip,
            csv: Arc::new(CsvOptions::from_map(&ConfigMap::new()).unwrap()),
        }
    }

    fn record() -> SinkRecord {
        let value = Datum::schemaless(Value::Bytes(Bytes::from_static(b"record")));
        testkit::record(TopicPartition::new("t", 0), 0, Datum::null(), value)
    }

    /// Small objects that wait to be published hold what they say they hold.
    #[test]
    fn a_finished_object_holds_its_bytes_and_nothing_more() {
        for gzip in [false, true] {
            let encoding = encoding(gzip);
            let mut encoder = Encoder::new(&encoding);
            encoder.append(&encoding, &record()).unwrap();
            assert!(encoder.buffered() >= 64 * 1024, "what it holds while open");
            let whole = encoder.finish().unwrap();
            assert_eq!(encoder.buffered(), 0);
            let length = whole.len();
            assert!(length < 100);
            assert_eq!(whole.try_into_mut().unwrap().capacity(), length);
        }
    }
}
