//! Under which key a file's position is stored, and whether a file that is found is the one it is of: pure functions.
//!
//! A file is looked for by its inode within its folder, so that a renamed one is found again after a restart, then by its
//! name. With `file.identity=content` the name alone is the key.

use std::path::Path;

use connect_core::data::{SourceOffset, SourcePartition};
use connect_core::plugin::{FieldKind, OffsetForm};
use serde_json::{Value, json};

use crate::config::{FileIdentity, FileOptions, FinishedAction};
use crate::discover::Stamp;
use crate::position::Position;

/// What a user may set.
pub(crate) const FORM: OffsetForm = OffsetForm {
    partitions: &[
        &[("directory", FieldKind::Text), ("inode", FieldKind::Whole)],
        &[("file", FieldKind::Text)],
    ],
    offset: &[
        ("position", FieldKind::Whole),
        ("lines", FieldKind::Whole),
        ("skipped", FieldKind::Whole),
        ("tail_taken", FieldKind::Flag),
        ("head", FieldKind::Text),
        ("before", FieldKind::Text),
        ("inode", FieldKind::Whole),
        ("born", FieldKind::Whole),
        ("size", FieldKind::Whole),
        ("modified", FieldKind::Whole),
        ("file", FieldKind::Text),
    ],
    required: &["position"],
};

/// A position that was stored, with the name its file had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) position: Position,
    /// `None` if whoever stored it did not say.
    path: Option<String>,
}

/// The key of a file's position.
pub(crate) fn partition(identity: FileIdentity, path: &Path, inode: u64) -> SourcePartition {
    match identity {
        FileIdentity::Inode => by_inode(path, inode),
        FileIdentity::Content => by_name(path),
    }
}

/// Where a file's position may be stored, in the order to look.
pub(crate) fn keys(identity: FileIdentity, path: &Path, inode: u64) -> [SourcePartition; 2] {
    let (inode, name) = (by_inode(path, inode), by_name(path));
    match identity {
        FileIdentity::Inode => [inode, name],
        FileIdentity::Content => [name, inode],
    }
}

fn by_name(path: &Path) -> SourcePartition {
    [("file".to_owned(), json!(path.display().to_string()))].into()
}

fn by_inode(path: &Path, inode: u64) -> SourcePartition {
    let directory = path.parent().unwrap_or(Path::new(""));
    [
        (
            "directory".to_owned(),
            json!(directory.display().to_string()),
        ),
        ("inode".to_owned(), json!(inode)),
    ]
    .into()
}

impl Stored {
    /// As a position is stored.
    pub(crate) fn to_offset(position: Position, path: &Path) -> SourceOffset {
        let mut offset = position.to_offset();
        offset.insert("file".to_owned(), json!(path.display().to_string()));
        offset
    }

    /// As it was stored; `None` if that is not a position.
    pub(crate) fn from_offset(offset: &SourceOffset) -> Option<Self> {
        let path = offset.get("file").and_then(Value::as_str);
        Some(Self {
            position: Position::from_offset(offset)?,
            path: path.map(str::to_owned),
        })
    }

    /// Whether the file at `path` may be the one. Its bytes are looked at when it is opened.
    pub(crate) fn is_of(&self, path: &Path, seen: Stamp, options: &FileOptions) -> bool {
        let shown = path.display().to_string();
        let has_name = self.path.as_ref().is_none_or(|path| *path == shown);
        let is_it = match options.identity {
            FileIdentity::Inode => self.has_inode(seen) && (has_name || self.is_renamed(seen)),
            FileIdentity::Content => has_name,
        };
        is_it && !(options.finished_action != FinishedAction::Leave && self.is_written_anew(seen))
    }

    fn has_inode(&self, seen: Stamp) -> bool {
        let same = |known: u64, seen: u64| known == 0 || seen == 0 || known == seen;
        same(self.position.inode, seen.id.inode) && same(self.position.born, seen.born)
    }

    /// An inode is used again, and then has another time of birth. Where there is none to be had, only a file that has not
    /// changed at all is the same under another name.
    fn is_renamed(&self, seen: Stamp) -> bool {
        let known = self.position;
        if known.born != 0 && seen.born != 0 {
            return true;
        }
        known.size == seen.size && known.modified != 0 && known.modified == seen.modified_nanos()
    }

    /// The next file under the name of one that was moved or deleted, with as many bytes.
    fn is_written_anew(&self, seen: Stamp) -> bool {
        let known = self.position;
        known.modified != 0 && known.size == seen.size && known.modified != seen.modified_nanos()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use connect_core::config::{ConfigMap, ConnectorConfig};
    use connect_core::plugin::OffsetChanges;

    use super::*;
    use crate::discover::FileId;

    fn options(identity: &str, action: &str) -> FileOptions {
        let pairs = [
            ("file", "x"),
            ("format", "csv"),
            ("file.identity", identity),
            ("finished.action", action),
            ("finished.directory", "y"),
        ];
        let config: ConfigMap = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        FileOptions::from_map(&config).unwrap()
    }

    fn stamp(inode: u64, born: u64, size: u64, modified: u64) -> Stamp {
        Stamp {
            id: FileId { device: 1, inode },
            size,
            modified: SystemTime::UNIX_EPOCH + Duration::from_nanos(modified),
            born,
        }
    }

    /// Whether what was stored of `log` when it was `then` is that of what is `now` at `path`.
    fn is_of(then: Stamp, path: &str, now: Stamp, identity: &str, action: &str) -> bool {
        let mut position = Position::default();
        position.mark(then);
        let offset = Stored::to_offset(position, Path::new("log"));
        let stored = Stored::from_offset(&offset).unwrap();
        stored.is_of(Path::new(path), now, &options(identity, action))
    }

    #[test]
    fn a_renamed_file_is_told_by_its_birth_from_one_that_has_its_inode_now() {
        let then = stamp(5, 70, 9, 100);
        let grown = stamp(5, 70, 20, 200);
        assert!(is_of(then, "log.1", grown, "inode", "leave"));
        assert!(!is_of(
            then,
            "log.1",
            stamp(5, 71, 20, 200),
            "inode",
            "leave"
        ));
        assert!(!is_of(then, "log", stamp(5, 71, 20, 200), "inode", "leave"));
        assert!(!is_of(then, "log", stamp(6, 70, 20, 200), "inode", "leave"));
        assert!(!is_of(then, "log.1", then, "content", "leave"));
    }

    #[test]
    fn without_a_birth_only_an_unchanged_file_is_known_under_another_name() {
        let then = stamp(5, 0, 9, 100);
        assert!(is_of(then, "log.1", then, "inode", "leave"));
        assert!(!is_of(then, "log.1", stamp(5, 0, 9, 101), "inode", "leave"));
        assert!(!is_of(
            then,
            "log.1",
            stamp(5, 0, 20, 200),
            "inode",
            "leave"
        ));
        assert!(is_of(then, "log", stamp(5, 0, 20, 200), "inode", "leave"));
    }

    #[test]
    fn where_files_are_moved_or_deleted_one_written_anew_with_as_many_bytes_is_another() {
        let (then, anew) = (stamp(5, 70, 9, 100), stamp(5, 70, 9, 200));
        for identity in ["inode", "content"] {
            for action in ["move", "delete"] {
                assert!(!is_of(then, "log", anew, identity, action));
                assert!(is_of(then, "log", then, identity, action));
                assert!(is_of(then, "log", stamp(5, 70, 10, 200), identity, action));
            }
            assert!(is_of(then, "log", anew, identity, "leave"));
        }
    }

    #[test]
    fn what_is_shown_can_be_set() {
        let mut position = Position::default();
        position.mark(stamp(5, 70, 9, 100));
        let path = Path::new("/folder/log");
        let offset = Stored::to_offset(position, path);
        let keys = keys(FileIdentity::Inode, path, 5).into_iter();
        let shown = keys.map(|key| (Some(key), Some(offset.clone())));
        let shown = OffsetChanges::Source(shown.collect());
        assert!(FORM.check(&shown).is_ok());
    }

    #[test]
    fn a_position_set_by_hand_is_taken_for_what_it_is() {
        let offset = [("position".to_owned(), json!(3))].into();
        let stored = Stored::from_offset(&offset).unwrap();
        let seen = stamp(5, 70, 9, 100);
        assert!(stored.is_of(Path::new("log"), seen, &options("inode", "delete")));
    }
}
