//! An open file on its way to rows: from where it was left, batch by batch, to its end for now.
//!
//! Holds always: the position is the end of a row (or of a line left out), and moves only over bytes of the file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connect_core::data::Datum;
use connect_core::{Error, Result};
use tracing::{info, warn};

use crate::bytes::{End, OpenBytes, failed};
use crate::config::{BrokenLine, FileSourceConfig};
use crate::header::{Header, line_breaks};
use crate::position::{PRINT_BYTES, Position, Print};
use crate::row::{Content, Frame, Rows};

/// Bytes of rows read at once, at the most, and one row more.
const BATCH_BYTES: u64 = 4 << 20;

/// How far to go in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the last line break: a half-written line waits.
    LastLineBreak,
    /// To the end: what stands after the last line break is a line.
    End,
}

/// An open file.
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    pub(crate) position: Position,
    config: Arc<FileSourceConfig>,
    bytes: OpenBytes,
    rows: Rows,
    until: Until,
    /// True while the buffer ends with a line break that the file lacks.
    line_closed: bool,
    /// The file's first bytes, which it is known by.
    beginning: Vec<u8>,
}

/// What a read brought.
pub(crate) struct Batch {
    pub(crate) rows: Vec<Datum>,
    /// How the file ended, if it did.
    pub(crate) ended: Option<Ended>,
}

/// A file's end for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// True if something stands after the last line break.
    pub(crate) tail: bool,
    /// True if the compressed file is cut off.
    pub(crate) cut_off: bool,
}

/// What opening a file found.
pub(crate) enum Opening {
    /// The file, where it was left.
    File(Box<OpenFile>),
    /// No header row, or not all of it: there is nothing to read.
    NoHeader(Ended),
}

/// The next thing in a file.
enum Found {
    Frame(Frame),
    /// A line that has no end, or none within its limits.
    Endless(&'static str),
    End(Ended),
}

impl OpenFile {
    /// Reads `file`, which was at `path`, where it was left; from its beginning, if that was another file.
    pub(crate) fn open(
        config: &Arc<FileSourceConfig>,
        path: &Path,
        file: File,
        known: Position,
        until: Until,
    ) -> Result<Opening> {
        let gzip = config.files.is_gzip(path);
        let again = file.try_clone().map_err(|cause| failed(path, cause))?;
        let bytes = OpenBytes::of(file, path, gzip)?;
        if let Some(opening) = Self::at(config, path, bytes, known, until)? {
            return Ok(opening);
        }
        info!(file = %path.display(), "another file under a known name: read from its beginning");
        let bytes = OpenBytes::of(again, path, gzip)?;
        let opening = Self::at(config, path, bytes, Position::default(), until)?;
        opening.ok_or_else(|| {
            Error::internal("a file is not as it was a moment ago")
                .target(path.display().to_string())
        })
    }

    /// Goes on with a file that was kept open and has lost its name, to its very end. `None` if there is nothing to read.
    pub(crate) fn nameless(
        config: &Arc<FileSourceConfig>,
        path: &Path,
        file: File,
        known: Position,
    ) -> Result<Option<Self>> {
        let bytes = OpenBytes::of(file, path, false)?;
        Ok(match Self::at(config, path, bytes, known, Until::End)? {
            Some(Opening::File(file)) => Some(*file),
            Some(Opening::NoHeader(_)) | None => None,
        })
    }

    /// `None` if it is not the file that `known` is of.
    fn at(
        config: &Arc<FileSourceConfig>,
        path: &Path,
        mut bytes: OpenBytes,
        known: Position,
        until: Until,
    ) -> Result<Option<Opening>> {
        let beginning = bytes.beginning(path)?;
        let beginning = beginning.get(..PRINT_BYTES).unwrap_or(beginning).to_vec();
        if !known.head.matches(&beginning) {
            return Ok(None);
        }
        let Some(header) = Header::read(config, &mut bytes, path)? else {
            let ended = Ended {
                tail: until == Until::LastLineBreak,
                cut_off: bytes.end() == End::CutOff,
            };
            return Ok((known.bytes == 0).then_some(Opening::NoHeader(ended)));
        };
        let mut position = known;
        let first = u64::try_from(header.bytes).unwrap_or(0);
        if position.bytes < first {
            header.warn_of_unknown_columns(path);
            (position.bytes, position.lines) = (first, header.lines);
        }
        if !bytes.skip_to(position.bytes, position.before, path)? {
            return Ok(None);
        }
        Ok(Some(Opening::File(Box::new(Self {
            path: path.to_owned(),
            position,
            config: config.clone(),
            bytes,
            rows: header.rows,
            until,
            line_closed: false,
            beginning,
        }))))
    }

    /// The next rows of the file.
    pub(crate) fn batch(&mut self) -> Result<Batch> {
        let mut rows = Vec::new();
        let mut ended = None;
        let most = self.position.bytes.saturating_add(BATCH_BYTES);
        while rows.len() < self.config.files.batch_size && self.position.bytes < most {
            let found = self.find()?;
            if let Found::End(end) = found {
                ended = Some(end);
                break;
            }
            if !rows.is_empty() && self.fails(&found) {
                // What stands before the broken line is delivered first; the line is found again.
                break;
            }
            rows.extend(self.take(found)?);
        }
        let read = usize::try_from(self.position.bytes).unwrap_or(usize::MAX);
        self.position.head = Print::of_first(self.beginning.get(..read).unwrap_or(&self.beginning));
        self.position.before = Print::of_last(self.bytes.before());
        Ok(Batch { rows, ended })
    }

    fn find(&mut self) -> Result<Found> {
        loop {
            let most = self.config.files.line_max;
            if self.has_gone_on() {
                return Ok(Found::Endless(
                    "it was taken as the last line after finished.after.ms without a change, and has gone on",
                ));
            }
            match self.rows.next(self.bytes.rest())? {
                Some(Frame { bytes, .. }) if bytes > most => {
                    let content = Content::Broken("longer than line.max.bytes".to_owned());
                    return Ok(Found::Frame(Frame { content, bytes }));
                }
                Some(frame) => return Ok(Found::Frame(frame)),
                None if self.bytes.rest().len() > most => {
                    return Ok(Found::Endless(
                        "longer than line.max.bytes; is a quote not closed?",
                    ));
                }
                None => {}
            }
            let tail = !self.bytes.rest().is_empty();
            match self.bytes.end() {
                End::NotYet => self.bytes.fill(&self.path)?,
                End::Reached if self.until == Until::End && tail && !self.line_closed => {
                    self.bytes.close_line();
                    self.line_closed = true;
                }
                End::Reached if self.line_closed && tail => {
                    return Ok(Found::Endless("it ends within quotes"));
                }
                end => {
                    return Ok(Found::End(Ended {
                        tail,
                        cut_off: end == End::CutOff,
                    }));
                }
            }
        }
    }

    /// True if a line was taken as whole and what follows it is not its line break.
    fn has_gone_on(&self) -> bool {
        let next = self.bytes.rest().first();
        self.position.tail_taken && next.is_some_and(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    fn fails(&self, found: &Found) -> bool {
        let broken = match found {
            Found::Frame(frame) => matches!(frame.content, Content::Broken(_)),
            Found::Endless(_) => true,
            Found::End(_) => false,
        };
        broken && self.config.files.on_broken_line == BrokenLine::Fail
    }

    /// Goes past what was found; the row, if it is one.
    fn take(&mut self, found: Found) -> Result<Option<Datum>> {
        match found {
            Found::Frame(Frame {
                content: Content::Row(row),
                bytes,
            }) => {
                self.advance(bytes);
                Ok(Some(row))
            }
            Found::Frame(Frame {
                content: Content::Nothing,
                bytes,
            }) => {
                self.advance(bytes);
                Ok(None)
            }
            Found::Frame(Frame {
                content: Content::Broken(reason),
                bytes,
            }) => {
                self.broken(&reason)?;
                self.advance(bytes);
                Ok(None)
            }
            Found::Endless(reason) => {
                self.broken(reason)?;
                self.skip_line()?;
                Ok(None)
            }
            Found::End(_) => Ok(None),
        }
    }

    /// A line that cannot be read: an error, or a warning and a count.
    fn broken(&mut self, reason: &str) -> Result<()> {
        let line = self.position.lines + 1;
        let file = self.path.display();
        if self.config.files.on_broken_line == BrokenLine::Fail {
            let message = format!(
                "line {line} cannot be read: {reason}; on.broken.line=skip would leave it out"
            );
            return Err(Error::data(message)
                .operation("file")
                .target(file.to_string()));
        }
        self.position.skipped += 1;
        warn!(%file, line, reason, skipped = self.position.skipped, "a line cannot be read and is left out");
        Ok(())
    }

    /// Goes past the next line break, however far it is. At the end of the file the rest goes too.
    fn skip_line(&mut self) -> Result<()> {
        loop {
            let rest = self.bytes.rest();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.advance(end + 1);
                return Ok(());
            }
            let all = rest.len();
            self.advance(all);
            if self.bytes.end() != End::NotYet {
                // Its line break may come later: what follows is then not a line of its own.
                self.position.tail_taken = true;
                return Ok(());
            }
            self.bytes.fill(&self.path)?;
        }
    }

    fn advance(&mut self, bytes: usize) {
        let passed = self.bytes.rest().get(..bytes).unwrap_or_default();
        let (mut lines, mut length) = (
            line_breaks(passed),
            u64::try_from(passed.len()).unwrap_or(0),
        );
        let whole = passed.len() == self.bytes.rest().len();
        self.bytes.consume(bytes);
        self.position.tail_taken = false;
        if whole && self.line_closed {
            // The line break at the end is ours, not the file's.
            (lines, length) = (lines.saturating_sub(1), length.saturating_sub(1));
            self.bytes.reopen_line();
            self.line_closed = false;
            self.position.tail_taken = true;
        }
        self.position.bytes += length;
        self.position.lines += lines;
    }

    /// The file itself, to be kept open.
    pub(crate) fn into_file(self) -> Option<File> {
        self.bytes.into_file()
    }
}
