//! The options of the file source, and the rules that need several of them.

use std::time::Duration;

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::option_names;
use connect_core::output::OutputOptions;

use crate::column::ColumnType;

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    JsonLines,
}

option_names!(Format { "csv" => Csv, "jsonlines" => JsonLines });

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Auto,
    None,
    Gzip,
}

option_names!(Compression { "auto" => Auto, "none" => None, "gzip" => Gzip });

/// What becomes of a finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishedAction {
    Leave,
    Move,
    Delete,
}

option_names!(FinishedAction { "leave" => Leave, "move" => Move, "delete" => Delete });

/// What a line that cannot be read does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokenLine {
    Fail,
    Skip,
}

option_names!(BrokenLine { "fail" => Fail, "skip" => Skip });

/// When a file under a known name is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileIdentity {
    Inode,
    Content,
}

option_names!(FileIdentity { "inode" => Inode, "content" => Content });

/// Options of the file source.
#[derive(Debug, Clone, ConnectorConfig)]
pub(crate) struct FileSourceConfig {
    #[option(flatten)]
    pub(crate) files: FileOptions,
    #[option(flatten)]
    pub(crate) csv: CsvOptions,
    #[option(flatten)]
    pub(crate) output: OutputOptions,
}

/// Which files, and how they are read.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Files")]
pub(crate) struct FileOptions {
    /// A file, a folder (its files, not those below it) or a glob: `/data/in/*.csv`, `/data/**/*.jsonl`. Names that begin with a dot are left out of folders and globs: write a file under such a name and rename it.
    #[option(name = "file", importance = High, validator = Validator::Custom(pattern))]
    pub(crate) file: String,
    /// What the files hold: `csv`, or `jsonlines` (a JSON value per line).
    #[option(name = "format", importance = High)]
    pub(crate) format: Format,
    /// How the files are compressed: `gzip`, `none`, or by the name (`auto`: gzip if it ends in `.gz`).
    #[option(name = "compression", default = "auto", importance = Medium)]
    pub(crate) compression: Compression,
    /// When a file under a known name is another one, to be read from its beginning: `inode`, if its inode is another or if its first 1024 bytes or the 1024 before the position are; `content`, by these bytes alone, for file systems whose inodes change by themselves.
    #[option(name = "file.identity", default = "inode", importance = Low)]
    pub(crate) identity: FileIdentity,
    /// Milliseconds between two looks for new files and growth.
    #[option(name = "poll.interval.ms", default = "1000", importance = Medium, validator = Validator::AtLeast(1))]
    pub(crate) interval: Duration,
    /// Rows read at once, at the most; all of one file.
    #[option(name = "batch.size", default = "1000", importance = Low, kind = Int, validator = Validator::Between(1, 1_000_000))]
    pub(crate) batch_size: usize,
    /// Milliseconds without a change after which a file that is read to its end is finished: a last line without a line break counts as a line, and `finished.action` is done. -1: never; such a line waits for its line break.
    #[option(name = "finished.after.ms", default = "60000", importance = Medium, validator = Validator::AtLeast(-1))]
    pub(crate) finished_after: i64,
    /// What becomes of a finished file, once its rows are acknowledged and its offset is stored: `leave` it (growth is still followed), `move` it to `finished.directory`, or `delete` it.
    #[option(name = "finished.action", default = "leave", importance = Medium)]
    pub(crate) finished_action: FinishedAction,
    /// Where finished files are moved; made if it is not there.
    #[option(name = "finished.directory", importance = Medium)]
    pub(crate) finished_directory: Option<String>,
    /// What a line that cannot be read does: `fail` fails the task, `skip` leaves it out, with a warning that names file and line; the offset counts them as `skipped`.
    #[option(name = "on.broken.line", default = "fail", importance = Medium)]
    pub(crate) on_broken_line: BrokenLine,
    /// Bytes of a line (with CSV: of a row, which may have line breaks within quotes), at the most; a longer one is broken.
    #[option(name = "line.max.bytes", default = "1048576", importance = Low, kind = Int, validator = Validator::Between(16, 1_073_741_824))]
    pub(crate) line_max: usize,
}

/// How CSV is read.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "CSV")]
pub(crate) struct CsvOptions {
    /// Whether the first row of each file holds the names of its columns.
    #[option(name = "csv.header", default = "true", importance = High)]
    pub(crate) header: bool,
    /// Names of the columns, in order: where there is no header row, or instead of it.
    #[option(name = "csv.columns", default = "", importance = Medium)]
    pub(crate) columns: Vec<String>,
    /// Types of columns, `name:type` with commas between. Types: `string`, `boolean`, `int32`, `int64`, `float64`, `decimal(scale)`, `date` (2026-02-26), `timestamp` (2026-02-26T10:23:45, with a zone or UTC). A value that is not of its type makes the line a broken one.
    #[option(name = "csv.types", default = "", importance = Medium, validator = Validator::Custom(types))]
    pub(crate) types: Vec<String>,
    /// Whether values of columns without a type in `csv.types` become numbers and booleans where they look like one: `12`, `-1.50`, `1e-05`, `true`. Not `007`, `+1`, `1E5`. If not, they are text.
    #[option(name = "csv.infer", default = "true", importance = Medium)]
    pub(crate) infer: bool,
    /// Whether rows carry a Connect schema, for converters that need one: a struct with all columns optional, by `csv.types`; columns without a type there are text.
    #[option(name = "csv.schema", default = "false", importance = Medium)]
    pub(crate) schema: bool,
    /// What a value that stands for null looks like; by default the empty one.
    #[option(name = "csv.null", default = "", importance = Low)]
    pub(crate) null: String,
    /// What stands between two values: one ASCII character, or `\t`.
    #[option(name = "csv.delimiter", default = ",", importance = Medium, validator = Validator::Custom(character))]
    pub(crate) delimiter: String,
    /// What stands around a value that holds delimiters, quotes (doubled) or line breaks: one ASCII character. Empty: quotes mean nothing.
    #[option(name = "csv.quote", default = "\"", importance = Low, validator = Validator::Custom(optional_character))]
    pub(crate) quote: String,
    /// What makes a quote within quotes mean itself, beside doubling it: one ASCII character, such as `\`. Empty: nothing.
    #[option(name = "csv.escape", default = "", importance = Low, validator = Validator::Custom(optional_character))]
    pub(crate) escape: String,
}

impl FileOptions {
    /// True if the file at `path` is to be unpacked.
    pub(crate) fn is_gzip(&self, path: &std::path::Path) -> bool {
        match self.compression {
            Compression::Gzip => true,
            Compression::None => false,
            Compression::Auto => path.extension().is_some_and(|extension| extension == "gz"),
        }
    }
}

impl CsvOptions {
    /// The columns that have a declared type.
    pub(crate) fn typed_columns(&self) -> impl Iterator<Item = &str> {
        let declared = self.types.iter().filter_map(|text| text.rsplit_once(':'));
        declared.map(|(name, _)| name.trim())
    }

    /// The type declared for a column.
    pub(crate) fn declared(&self, column: &str) -> Option<ColumnType> {
        let declared = self.types.iter().filter_map(|text| text.rsplit_once(':'));
        let mut of_column = declared.filter(|(name, _)| name.trim() == column);
        ColumnType::parse(of_column.next()?.1)
    }
}

impl FileSourceConfig {
    /// Rules that need several options at once.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = self.output.cross_errors();
        let files = &self.files;
        if files.finished_action == FinishedAction::Move && files.finished_directory.is_none() {
            let message = "finished.action=move needs finished.directory";
            errors.push(OptionError::new("finished.directory", message));
        }
        if files.finished_action != FinishedAction::Leave && files.finished_after < 0 {
            let reason = "finished.action needs 0 or more";
            errors.push(OptionError::invalid("finished.after.ms", "-1", reason));
        }
        if files.format == Format::Csv {
            errors.extend(self.csv_errors());
        }
        errors
    }

    fn csv_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        let csv = &self.csv;
        if !csv.header && csv.columns.is_empty() {
            let message = "csv.header=false needs csv.columns";
            errors.push(OptionError::new("csv.columns", message));
        }
        let twice = |name: &&String| csv.columns.iter().filter(|other| other == name).count() > 1;
        if let Some(name) = csv.columns.iter().find(twice) {
            let reason = "a column has this name twice";
            errors.push(OptionError::invalid("csv.columns", name, reason));
        }
        if csv.delimiter == csv.quote {
            let reason = "must not be csv.delimiter";
            errors.push(OptionError::invalid("csv.quote", &csv.quote, reason));
        }
        errors
    }
}

/// The one ASCII character that `text` names; `None` for the empty text.
pub(crate) fn ascii(text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        [] => Ok(None),
        b"\\t" => Ok(Some(b'\t')),
        [b'\r' | b'\n'] => Err("must not be a line break".to_owned()),
        [byte] if byte.is_ascii() => Ok(Some(*byte)),
        _ => Err("must be one ASCII character, or \\t".to_owned()),
    }
}

fn character(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) if text.is_empty() => {
            Err("must be one ASCII character, or \\t".to_owned())
        }
        other => optional_character(other),
    }
}

fn optional_character(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) => ascii(text).map(|_| ()),
        _ => Ok(()),
    }
}

fn types(value: &OptionValue) -> Result<(), String> {
    let OptionValue::List(items) = value else {
        return Ok(());
    };
    let wrong = items.iter().find(|item| {
        let kind = item
            .rsplit_once(':')
            .and_then(|(_, kind)| ColumnType::parse(kind));
        kind.is_none()
    });
    match wrong {
        Some(item) => Err(format!("{item} is not name:type with a known type")),
        None => Ok(()),
    }
}

fn pattern(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) if text.is_empty() => Err("String must be non-empty".to_owned()),
        OptionValue::Text(text) => glob::Pattern::new(text)
            .map(|_| ())
            .map_err(|cause| format!("not a glob: {cause}")),
        _ => Ok(()),
    }
}
