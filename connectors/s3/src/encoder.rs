//! Records as the bytes of an object.

use std::io::Write;

use bytes::Bytes;
use connect_core::data::{SinkRecord, Value, json};
use connect_core::{Error, Result};
use flate2::write::GzEncoder;

use crate::config::{Compression, Format, S3SinkConfig};

/// Buffers grow by this: doubling would hold twice what is needed.
const GROWTH: usize = 512 * 1024;

/// How records become bytes: the same for all objects of a connector.
#[derive(Debug, Clone)]
pub(crate) struct Encoding {
    format: Format,
    separator: Vec<u8>,
    gzip: Option<flate2::Compression>,
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
        }
    }

    fn encode(&self, record: &SinkRecord, out: &mut Vec<u8>) -> Result<()> {
        match self.format {
            Format::Json => json::write(&record.value, out)?,
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

/// The bytes of one object, as far as they have not been sent.
#[derive(Debug)]
pub(crate) enum Encoder {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>, Vec<u8>),
}

impl Encoder {
    pub(crate) fn new(encoding: &Encoding) -> Self {
        match encoding.gzip {
            None => Self::Plain(Vec::new()),
            Some(level) => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), level)), Vec::new()),
        }
    }

    /// Appends a record; nothing is appended if it cannot be encoded.
    pub(crate) fn append(&mut self, encoding: &Encoding, record: &SinkRecord) -> Result<()> {
        let failed = |cause: std::io::Error| Error::internal("compressing in memory").source(cause);
        match self {
            Self::Plain(buffer) => {
                let before = buffer.len();
                if buffer.capacity() - before < record.size as usize + GROWTH / 8 {
                    buffer.reserve_exact(record.size as usize + GROWTH);
                }
                encoding
                    .encode(record, buffer)
                    .inspect_err(|_| buffer.truncate(before))
            }
            Self::Gzip(encoder, line) => {
                line.clear();
                encoding.encode(record, line)?;
                encoder.write_all(line).map_err(failed)
            }
        }
    }

    /// Bytes ready to be sent.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Plain(buffer) => buffer.len(),
            Self::Gzip(encoder, _) => encoder.get_ref().len(),
        }
    }

    /// Takes the bytes that are ready.
    pub(crate) fn take(&mut self) -> Bytes {
        match self {
            Self::Plain(buffer) => Bytes::from(std::mem::take(buffer)),
            Self::Gzip(encoder, _) => Bytes::from(std::mem::take(encoder.get_mut())),
        }
    }

    /// Closes the object and takes the rest.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        if let Self::Gzip(encoder, _) = self {
            encoder
                .try_finish()
                .map_err(|cause| Error::internal("compressing in memory").source(cause))?;
        }
        Ok(self.take())
    }
}
