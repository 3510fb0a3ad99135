//! Keys, values and contents for people: cut where they are long, binary ones marked.
//!
//! Holds always: all that one dry run shows together stays within a budget; values that came from a config provider are not
//! shown, for a transform may have put them into records.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::data::{Datum, Headers, Value, json};
use serde::{Deserialize, Serialize};

use super::report::ShownHeader;
use crate::runtime::config_providers::Redaction;

/// Bytes shown of a key, a value or a cell.
const VALUE: usize = 4 << 10;
/// Bytes shown of a file.
pub(super) const CONTENT: usize = 64 << 10;
/// Bytes shown in all.
const TOTAL: usize = 4 << 20;

/// How a content is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// There is none.
    Null,
    /// As it is.
    Text,
    /// It is no text.
    Base64,
}

/// A content for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// How it is written down.
    pub form: Form,
    /// The content; only its beginning if `truncated`.
    pub content: String,
    /// Bytes of the whole.
    pub size: usize,
    /// True if not all of it is shown.
    pub truncated: bool,
}

/// What may still be shown.
pub(super) struct Display {
    left: usize,
    redaction: Redaction,
}

impl Display {
    pub(super) fn new(redaction: Redaction) -> Self {
        Self {
            left: TOTAL,
            redaction,
        }
    }

    /// What Sluice itself says.
    pub(super) fn said(&self, text: impl Into<String>) -> String {
        self.redaction.apply(text.into())
    }

    fn without_secrets<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.redaction.is_empty() => Cow::Owned(self.said(text).into_bytes()),
            _ => Cow::Borrowed(bytes),
        }
    }

    /// Bytes as text, if they are text; at most `most` of them.
    pub(super) fn bytes(&mut self, bytes: Option<&[u8]>, most: usize) -> Shown {
        let Some(bytes) = bytes else {
            return Shown {
                form: Form::Null,
                content: String::new(),
                size: 0,
                truncated: false,
            };
        };
        let size = bytes.len();
        let bytes = self.without_secrets(bytes);
        let end = bytes.len().min(most).min(self.left);
        self.left -= end;
        let beginning = bytes.get(..end).unwrap_or_default();
        let (form, content) = match text_of(beginning, bytes.len()) {
            Some(text) => (Form::Text, text.to_owned()),
            None => (Form::Base64, STANDARD.encode(beginning)),
        };
        Shown {
            form,
            content,
            size,
            truncated: end < bytes.len(),
        }
    }

    /// A key or value as the log stores it.
    pub(super) fn value(&mut self, bytes: Option<&[u8]>) -> Shown {
        self.bytes(bytes, VALUE)
    }

    /// Headers after conversion.
    pub(super) fn headers(&mut self, headers: &Headers) -> Vec<ShownHeader> {
        let shown = headers.iter().map(|header| ShownHeader {
            key: header.key.to_string(),
            value: self.datum(&header.value),
        });
        shown.collect()
    }

    /// A value of a row, which is text by itself; true if it is cut.
    pub(super) fn cell(&mut self, text: &str) -> (String, bool) {
        let text = self.said(text);
        let end = text.floor_char_boundary(VALUE.min(self.left));
        self.left -= end;
        let beginning = text.get(..end).unwrap_or_default();
        (beginning.to_owned(), end < text.len())
    }

    /// A key or value of Connect: text and bytes as they are, anything else as JSON.
    pub(super) fn datum(&mut self, datum: &Datum) -> Shown {
        if datum.is_null() {
            return self.value(None);
        }
        match datum.raw_json() {
            Some(json) => self.value(Some(json)),
            None => match datum.value() {
                Value::String(text) => self.value(Some(text.as_bytes())),
                Value::Bytes(bytes) => self.value(Some(bytes)),
                _ => {
                    let mut written = Vec::new();
                    // What JSON does not have is shown as Rust shows it.
                    if json::write(datum, &mut written).is_err() {
                        written = format!("{:?}", datum.value()).into_bytes();
                    }
                    self.value(Some(&written))
                }
            },
        }
    }
}

/// The beginning of a content of `size` bytes, if it is text: a character that is cut through at its end is left out.
fn text_of(beginning: &[u8], size: usize) -> Option<&str> {
    let is_text = |text: &str| {
        let control = |character: char| character.is_control() && !"\n\r\t".contains(character);
        !text.contains(control)
    };
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(cause) if cause.error_len().is_none() && beginning.len() < size => {
            std::str::from_utf8(beginning.get(..cause.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    is_text(text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display() -> Display {
        Display::new(Redaction::default())
    }

    #[test]
    fn long_text_is_cut_between_characters_and_says_its_size() {
        let text = "ä".repeat(10);
        let shown = display().bytes(Some(text.as_bytes()), 7);
        assert_eq!((shown.form, &*shown.content), (Form::Text, "äää"));
        assert_eq!((shown.size, shown.truncated), (20, true));
    }

    #[test]
    fn what_is_no_text_is_base64() {
        for bytes in [&b"\xff\xfe"[..], b"a\0b", b"\x1b[31m", "a\u{9b}".as_bytes()] {
            let shown = display().bytes(Some(bytes), 100);
            assert_eq!(shown.form, Form::Base64, "{bytes:?}");
            assert_eq!(STANDARD.decode(shown.content).unwrap(), bytes);
        }
        // A whole content that ends within a character is no text.
        assert_eq!(display().bytes(Some(b"a\xc3"), 100).form, Form::Base64);
    }

    #[test]
    fn null_and_empty_are_told_apart() {
        let mut display = display();
        assert_eq!(display.bytes(None, 10).form, Form::Null);
        assert_eq!(display.bytes(Some(b""), 10).form, Form::Text);
    }

    #[test]
    fn all_that_is_shown_stays_within_the_budget() {
        let mut display = display();
        let content = vec![b'x'; CONTENT];
        let shown: usize = (0..200)
            .map(|_| display.bytes(Some(&content), CONTENT).content.len())
            .sum();
        assert_eq!(shown, TOTAL);
        assert!(display.bytes(Some(b"x"), 1).truncated);
    }
}
