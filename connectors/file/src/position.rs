//! How far a file is read, and which file that was: what is stored as its offset, and read back from it.

use connect_core::data::SourceOffset;
use serde_json::{Value, json};

use crate::discover::Stamp;

/// Bytes that a file is known by, at the most: at its beginning, and before the position.
pub(crate) const PRINT_BYTES: usize = 1024;

/// Some bytes of a file, by their number and hash. Of no bytes: matches every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) bytes: usize,
    pub(crate) hash: u64,
}

impl Default for Print {
    fn default() -> Self {
        Self::of_first(&[])
    }
}

impl Print {
    /// Of the first of `bytes`.
    pub(crate) fn of_first(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..PRINT_BYTES).unwrap_or(bytes);
        Self {
            bytes: bytes.len(),
            hash: fnv1a(bytes),
        }
    }

    /// Of the last of `bytes`.
    pub(crate) fn of_last(bytes: &[u8]) -> Self {
        let from = bytes.len().saturating_sub(PRINT_BYTES);
        Self::of_first(bytes.get(from..).unwrap_or_default())
    }

    /// True if `bytes` begin with those this was taken of.
    pub(crate) fn matches(&self, bytes: &[u8]) -> bool {
        bytes
            .get(..self.bytes)
            .is_some_and(|first| fnv1a(first) == self.hash)
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// How far a file is read: always to the end of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// Bytes read; of a compressed file: of its content.
    pub(crate) bytes: u64,
    /// Lines read, blank ones and those within quotes too.
    pub(crate) lines: u64,
    /// Broken lines left out.
    pub(crate) skipped: u64,
    /// True if the last line had no line break and was taken as whole, because the file no longer changed.
    pub(crate) tail_taken: bool,
    /// The file's first bytes.
    pub(crate) head: Print,
    /// The bytes before the position: a file that was written anew has others there.
    pub(crate) before: Print,
    /// The file's inode; 0: not known, as below.
    pub(crate) inode: u64,
    /// When it was made, in nanoseconds since 1970.
    pub(crate) born: u64,
    /// Its size and the time of the last write, as they were just before it was read.
    pub(crate) size: u64,
    pub(crate) modified: u64,
}

impl Position {
    /// Which file it is of, from the look at it before reading.
    pub(crate) fn mark(&mut self, stamp: Stamp) {
        (self.inode, self.born) = (stamp.id.inode, stamp.born);
        (self.size, self.modified) = (stamp.size, stamp.modified_nanos());
    }

    /// As it is stored.
    pub(crate) fn to_offset(self) -> SourceOffset {
        [
            ("position", json!(self.bytes)),
            ("lines", json!(self.lines)),
            ("skipped", json!(self.skipped)),
            ("tail_taken", json!(self.tail_taken)),
            ("head", self.head.json()),
            ("before", self.before.json()),
            ("inode", json!(self.inode)),
            ("born", json!(self.born)),
            ("size", json!(self.size)),
            ("modified", json!(self.modified)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// As it was stored; `None` if that is not a position. One set by hand needs `position` alone; what it lacks is not
    /// checked.
    pub(crate) fn from_offset(offset: &SourceOffset) -> Option<Self> {
        let number = |name: &str| offset.get(name).and_then(Value::as_u64);
        let print = |name: &str| offset.get(name).and_then(Print::from_json);
        let tail_taken = offset.get("tail_taken").and_then(Value::as_bool);
        Some(Self {
            bytes: number("position")?,
            lines: number("lines").unwrap_or(0),
            skipped: number("skipped").unwrap_or(0),
            tail_taken: tail_taken.unwrap_or(false),
            head: print("head").unwrap_or_default(),
            before: print("before").unwrap_or_default(),
            inode: number("inode").unwrap_or(0),
            born: number("born").unwrap_or(0),
            size: number("size").unwrap_or(0),
            modified: number("modified").unwrap_or(0),
        })
    }
}

impl Print {
    /// `bytes:hash`
    fn json(self) -> Value {
        json!(format!("{}:{:016x}", self.bytes, self.hash))
    }

    fn from_json(value: &Value) -> Option<Self> {
        let (bytes, hash) = value.as_str()?.split_once(':')?;
        Some(Self {
            bytes: bytes.parse().ok()?,
            hash: u64::from_str_radix(hash, 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stored_position_reads_back_the_same(bytes in any::<u64>(), lines in any::<u64>(), tail_taken in any::<bool>(), head in proptest::collection::vec(any::<u8>(), 0..2000), inode in any::<u64>(), born in any::<u64>(), size in any::<u64>(), modified in any::<u64>()) {
            let position = Position { bytes, lines, skipped: 3, tail_taken, head: Print::of_first(&head), before: Print::of_last(&head), inode, born, size, modified };
            let stored: SourceOffset = serde_json::from_str(&json!(position.to_offset()).to_string()).unwrap();
            prop_assert_eq!(Position::from_offset(&stored), Some(position));
        }

        #[test]
        fn a_file_that_grows_keeps_its_head_and_another_has_its_own(bytes in proptest::collection::vec(any::<u8>(), 1..2000), more in proptest::collection::vec(any::<u8>(), 0..50), at in any::<proptest::sample::Index>()) {
            let head = Print::of_first(&bytes);
            prop_assert!(head.matches(&[bytes.clone(), more].concat()));
            let mut other = bytes.clone();
            let at = at.index(bytes.len().min(PRINT_BYTES));
            other[at] ^= 1;
            prop_assert!(!head.matches(&other));
            prop_assert!(!head.matches(&bytes[..head.bytes - 1]));
        }
    }

    #[test]
    fn a_position_set_by_hand_needs_only_its_number() {
        let position = Position::from_offset(&[("position".to_owned(), json!(7))].into()).unwrap();
        assert_eq!(position.bytes, 7);
        assert!(position.head.matches(b"anything"));
        assert_eq!(Position::from_offset(&SourceOffset::new()), None);
    }
}
