//! Records as the bytes of an object.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{SinkRecord, Value, json};
use connect_core::{Error, Result};
use flate2::write::GzEncoder;

use crate::config::{Compression, Format, S3SinkConfig};
use crate::csv::{Added, CsvOptions, Sheet};
use crate::object::SMALLEST_PART;

/// Capacities a buffer passes through. The last holds a part: it is so large that allocators take it from the system and
/// give it back, and no memory is lost to buffers of all sizes growing side by side.
const CAPACITIES: [usize; 3] = [64 * 1024, 512 * 1024, SMALLEST_PART + 512 * 1024];

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

    /// Bytes in memory.
    pub(crate) fn buffered(&self) -> usize {
        self.len() + self.sheet.as_ref().map_or(0, |sheet| sheet.held())
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

    /// Closes the object and takes the rest.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        let mut sheet = self.sheet.take();
        match (&mut self.output, &mut sheet) {
            (Output::Plain(buffer), Some(sheet)) => sheet.finish(buffer),
            (Output::Gzip(encoder, line), Some(sheet)) => {
                line.clear();
                sheet.finish(line);
                encoder.write_all(line).map_err(not_compressed)?;
            }
            (_, None) => {}
        }
        if let Output::Gzip(encoder, _) = &mut self.output {
            encoder.try_finish().map_err(not_compressed)?;
        }
        Ok(self.take())
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
