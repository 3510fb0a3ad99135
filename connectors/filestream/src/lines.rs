//! Lines out of bytes as they come: `\n`, `\r\n` and `\r` end a line; what has no end yet is held back.

use connect_core::{Error, Result};

/// Bytes of a line, at the most: what has no end after so many is no text.
const LONGEST_LINE: usize = 128 << 20;

/// A line without its end, and how many bytes it took with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) length: u64,
}

/// Bytes that were read and not yet handed out as lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to here no line ends.
    searched: usize,
}

impl Lines {
    /// Takes what was read next.
    ///
    /// # Errors
    /// A data error if a line is longer than any line may be.
    pub(crate) fn push(&mut self, more: &[u8]) -> Result<()> {
        self.bytes.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        if self.bytes.len() + more.len() > LONGEST_LINE {
            let text = format!("there is no end of a line within {LONGEST_LINE} bytes");
            return Err(Error::data(text));
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// The next whole line. Bytes that are not UTF-8 become U+FFFD.
    pub(crate) fn next(&mut self) -> Option<Line> {
        let unsearched = self.bytes.get(self.searched..)?;
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(found) = unsearched.iter().position(is_end) else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + found;
        self.searched = end;
        let after = end + end_length(self.bytes.get(end..)?)?;
        let text = String::from_utf8_lossy(self.bytes.get(self.begin..end)?).into_owned();
        let length = u64::try_from(after - self.begin).unwrap_or(u64::MAX);
        (self.begin, self.searched) = (after, after);
        Some(Line { text, length })
    }
}

/// How long the end of a line is that `bytes` begin with; `None` if the next byte decides.
fn end_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        [b'\r', _, ..] => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(String, u64)> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for chunk in chunks {
            lines.push(chunk).unwrap();
            all.extend(std::iter::from_fn(|| lines.next()).map(|line| (line.text, line.length)));
        }
        all
    }

    fn expected(all: &[(&str, u64)]) -> Vec<(String, u64)> {
        all.iter()
            .map(|(text, length)| ((*text).to_owned(), *length))
            .collect()
    }

    #[test]
    fn every_end_of_a_line_counts_and_what_has_none_is_held_back() {
        assert_eq!(
            lines(&[b"a\r\nb\rc\n\n\xc3\xbc\nrest"]),
            expected(&[("a", 3), ("b", 2), ("c", 2), ("", 1), ("ü", 3)])
        );
        assert_eq!(
            lines(&[b"held", b" back\n"]),
            expected(&[("held back", 10)])
        );
    }

    #[test]
    fn a_carriage_return_at_the_end_waits_for_what_follows() {
        assert_eq!(lines(&[b"a\r"]), []);
        assert_eq!(lines(&[b"a\r", b"\nb\n"]), expected(&[("a", 3), ("b", 2)]));
        assert_eq!(
            lines(&[b"a\r", b"\rb\n"]),
            expected(&[("a", 2), ("", 1), ("b", 2)])
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_and_counted_as_they_are() {
        assert_eq!(lines(&[b"a\xffb\n"]), expected(&[("a\u{fffd}b", 4)]));
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_into_reads_does_not_matter(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..40),
            cut in 0_usize..40,
        ) {
            let whole = lines(&[&text]);
            let (head, tail) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(&lines(&[head, tail]), &whole);
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            prop_assert_eq!(&lines(&bytes), &whole);
            let taken: u64 = whole.iter().map(|(_, length)| length).sum();
            prop_assert!(taken <= u64::try_from(text.len()).unwrap());
        }
    }
}
