//! A staged file while it grows: lines packed with gzip on the blocking pool, beside the fetch.

use std::io::Write;

use bytes::Bytes;
use connect_core::data::Offset;
use connect_core::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::JoinHandle;

use crate::naming::TableName;

/// Lines are packed in pieces of this size.
const PIECE: usize = 256 * 1024;
/// What a compressor keeps for itself.
const COMPRESSOR: usize = 300 * 1024;

type Encoder = GzEncoder<Vec<u8>>;

#[derive(Debug)]
enum Packing {
    Idle(Box<Encoder>),
    Busy(JoinHandle<std::io::Result<Box<Encoder>>>),
}

/// A file that takes rows of one table and partition.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Of its rows; meaningless without any.
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    pub(crate) rows: u64,
    lines: Vec<u8>,
    packing: Option<Packing>,
    packed: usize,
}

/// A file that is complete.
#[derive(Debug, Clone)]
pub(crate) struct StageFile {
    pub(crate) table: TableName,
    /// Below the stage: folder and name.
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) content: Bytes,
    pub(crate) rows: u64,
}

fn failed(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("compressing in memory").source(cause)
}

impl OpenFile {
    pub(crate) fn new() -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        Self {
            first: Offset::new(0),
            last: Offset::new(0),
            rows: 0,
            lines: Vec::new(),
            packing: Some(Packing::Idle(Box::new(encoder))),
            packed: 0,
        }
    }

    /// Where the next line goes.
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Notes that a line was added.
    pub(crate) fn added(&mut self, offset: Offset) {
        if self.rows == 0 {
            self.first = offset;
        }
        self.last = offset;
        self.rows += 1;
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.lines.capacity() + self.packed + COMPRESSOR
    }

    /// Packs what is there, if it is worth it; the work goes on beside the caller.
    pub(crate) async fn pack(&mut self) -> Result<()> {
        if self.lines.len() < PIECE {
            return Ok(());
        }
        let mut encoder = self.encoder().await?;
        let lines = std::mem::take(&mut self.lines);
        self.packed = encoder.get_ref().len() + lines.len();
        let packing = tokio::task::spawn_blocking(move || {
            encoder.write_all(&lines)?;
            Ok(encoder)
        });
        self.packing = Some(Packing::Busy(packing));
        Ok(())
    }

    async fn encoder(&mut self) -> Result<Box<Encoder>> {
        match self.packing.take() {
            Some(Packing::Idle(encoder)) => Ok(encoder),
            Some(Packing::Busy(packing)) => packing.await.map_err(failed)?.map_err(failed),
            None => Err(Error::internal("a file that was closed")),
        }
    }

    /// Closes the file.
    pub(crate) async fn finish(mut self) -> Result<Bytes> {
        let mut encoder = self.encoder().await?;
        let lines = std::mem::take(&mut self.lines);
        let packed = tokio::task::spawn_blocking(move || {
            encoder.write_all(&lines)?;
            encoder.finish()
        });
        let packed = packed.await.map_err(failed)?.map_err(failed)?;
        Ok(Bytes::from(packed))
    }
}
