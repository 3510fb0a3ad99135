//! The bytes of an open file from a position on, unpacked if it is compressed, in a buffer that rows are found in.
//!
//! Holds always: the buffer is never larger than the longest line allowed and one chunk.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use connect_core::{Error, Result};
use flate2::read::MultiGzDecoder;

use crate::position::{PRINT_BYTES, Print};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// How a file's bytes end for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There may be more.
    NotYet,
    /// All that is there is read.
    Reached,
    /// The compressed file is cut off: more must come before its end can be known.
    CutOff,
}

/// What every gzip file begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

/// An open file.
pub(crate) struct OpenBytes {
    source: Source,
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that are done with.
    consumed: usize,
    end: End,
}

impl OpenBytes {
    /// An open file, which is or was at `path`, at its beginning.
    pub(crate) fn of(mut file: File, path: &Path, gzip: bool) -> Result<Self> {
        file.seek(SeekFrom::Start(0))
            .map_err(|cause| failed(path, cause))?;
        if !gzip {
            return Ok(Self::over(Source::Plain(file)));
        }
        if !may_be_gzip(&mut file).map_err(|cause| failed(path, cause))? {
            return Err(named(Error::data("not a gzip file"), path));
        }
        Ok(Self::over(Source::Gzip(Box::new(MultiGzDecoder::new(
            file,
        )))))
    }

    fn over(source: Source) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            consumed: 0,
            end: End::NotYet,
        }
    }

    /// The file itself, for reading what is written to it under another name or after it was removed.
    pub(crate) fn into_file(self) -> Option<File> {
        match self.source {
            Source::Plain(file) => Some(file),
            Source::Gzip(_) => None,
        }
    }

    /// What is there to find rows in.
    pub(crate) fn rest(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// The bytes before the rest: as many as the file is known by, or all there are.
    pub(crate) fn before(&self) -> &[u8] {
        let from = self.consumed.saturating_sub(PRINT_BYTES);
        self.buffer.get(from..self.consumed).unwrap_or_default()
    }

    /// Whether there may be more.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// Is done with the first `bytes` of the rest.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.consumed = (self.consumed + bytes).min(self.buffer.len());
    }

    /// Appends a line break that the file lacks.
    pub(crate) fn close_line(&mut self) {
        self.buffer.push(b'\n');
    }

    /// Takes that line break away again; all bytes are done with.
    pub(crate) fn reopen_line(&mut self) {
        self.buffer.pop();
        self.consumed = self.buffer.len();
    }

    /// Reads a chunk more.
    pub(crate) fn fill(&mut self, path: &Path) -> Result<()> {
        // The last bytes that are done with stay: the file is known by them.
        let done = self.consumed.saturating_sub(PRINT_BYTES);
        self.buffer.drain(..done);
        self.consumed -= done;
        let known = self.buffer.len();
        self.buffer.resize(known + CHUNK, 0);
        let free = self.buffer.get_mut(known..).unwrap_or_default();
        let read = match &mut self.source {
            Source::Plain(file) => file.read(free),
            Source::Gzip(decoder) => decoder.read(free),
        };
        let length = read.as_ref().map_or(0, |length| *length);
        self.buffer.truncate(known + length);
        match read {
            Ok(0) => self.end = End::Reached,
            Ok(_) => {}
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => self.end = End::CutOff,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause)
                if matches!(
                    cause.kind(),
                    ErrorKind::InvalidInput | ErrorKind::InvalidData
                ) =>
            {
                return Err(named(
                    Error::data("not a whole gzip file").source(cause),
                    path,
                ));
            }
            Err(cause) => return Err(failed(path, cause)),
        }
        Ok(())
    }

    /// The file's beginning: at least the bytes a head is made of, if there are as many.
    pub(crate) fn beginning(&mut self, path: &Path) -> Result<&[u8]> {
        while self.rest().len() < PRINT_BYTES && self.end == End::NotYet {
            self.fill(path)?;
        }
        Ok(self.rest())
    }

    /// Moves from the beginning to `position`; false if the file is shorter, or `before` is not what stands before it.
    pub(crate) fn skip_to(&mut self, position: u64, before: Print, path: &Path) -> Result<bool> {
        let print = u64::try_from(before.bytes).unwrap_or(0).min(position);
        if !self.skip(position - print, path)? {
            return Ok(false);
        }
        while self.rest().len() < before.bytes && self.end == End::NotYet {
            self.fill(path)?;
        }
        let matches = before.matches(self.rest());
        self.consume(before.bytes);
        Ok(matches)
    }

    fn skip(&mut self, position: u64, path: &Path) -> Result<bool> {
        if let Source::Plain(file) = &mut self.source {
            let length = file.metadata().map_err(|cause| failed(path, cause))?.len();
            file.seek(SeekFrom::Start(position))
                .map_err(|cause| failed(path, cause))?;
            self.buffer.clear();
            self.consumed = 0;
            self.end = End::NotYet;
            return Ok(length >= position);
        }
        let mut left = position;
        loop {
            let here = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(self.rest().len());
            self.consume(here);
            left -= u64::try_from(here).unwrap_or(0);
            if left == 0 || self.end != End::NotYet {
                return Ok(left == 0);
            }
            self.fill(path)?;
        }
    }
}

/// Looks at the first two bytes, as far as they are there: the decoder would wait for ten.
fn may_be_gzip(file: &mut File) -> std::io::Result<bool> {
    let mut first = Vec::new();
    Read::by_ref(file).take(2).read_to_end(&mut first)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(GZIP_MAGIC.starts_with(&first))
}

/// Names the file; whether trying again can help depends on the cause.
pub(crate) fn failed(path: &Path, cause: std::io::Error) -> Error {
    let message = match cause.kind() {
        ErrorKind::NotFound => "the file is gone",
        ErrorKind::PermissionDenied => "the file must not be read",
        _ => "the file cannot be read",
    };
    named(Error::external(message).source(cause), path)
}

fn named(error: Error, path: &Path) -> Error {
    error.operation("read").target(path.display().to_string())
}
