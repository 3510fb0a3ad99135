//! The top-level fields of a JSON object, found without taking their values apart.
//!
//! Most rows come as JSON and most of their values are copied: a tree of each would cost more than everything else. The
//! bytes were checked to be JSON before; whatever is unusual here (escapes in names, no object) is left to the tree.

use std::ops::Range;

use memchr::{memchr2, memchr3};

/// Where something stands in the JSON.
pub(crate) type Place = Range<u32>;

/// A field: its name without quotes, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawField {
    pub(crate) name: Place,
    pub(crate) value: Place,
}

/// The bytes at a place.
pub(crate) fn slice<'a>(json: &'a [u8], place: &Place) -> &'a [u8] {
    json.get(place.start as usize..place.end as usize)
        .unwrap_or_default()
}

/// Finds the fields of the object `json`, in order; `None` if it is better read as a tree.
pub(crate) fn find(json: &[u8], fields: &mut Vec<RawField>) -> Option<()> {
    fields.clear();
    u32::try_from(json.len()).ok()?;
    let mut cursor = Cursor { json, at: 0 };
    cursor.expect(b'{')?;
    if cursor.peek()? == b'}' {
        return Some(());
    }
    loop {
        cursor.expect(b'"')?;
        let start = cursor.at;
        let end = start + memchr2(b'"', b'\\', json.get(start..)?)?;
        cursor.at = end;
        cursor.expect(b'"')?;
        cursor.expect(b':')?;
        cursor.peek()?;
        let value = cursor.at;
        cursor.skip_value()?;
        fields.push(RawField {
            name: place(start, end)?,
            value: place(value, cursor.at)?,
        });
        match cursor.peek()? {
            b',' => cursor.at += 1,
            b'}' => return Some(()),
            _ => return None,
        }
    }
}

fn place(start: usize, end: usize) -> Option<Place> {
    Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
}

struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.json.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_text(),
            b'{' | b'[' => self.skip_nested(),
            _ => {
                let rest = self.json.get(self.at..)?;
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.iter().position(is_end)?;
                Some(())
            }
        }
    }

    fn skip_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let found = self.at + memchr2(b'"', b'\\', self.json.get(self.at..)?)?;
            match self.json.get(found)? {
                b'"' => {
                    self.at = found + 1;
                    return Some(());
                }
                _ => self.at = found + 2,
            }
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.json.get(self.at)? {
                b'"' => {
                    self.skip_text()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// The text of a JSON string that has no escapes.
pub(crate) fn plain_text(json: &[u8]) -> Option<&str> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    match memchr3(b'\\', b'"', 0, inner) {
        Some(_) => None,
        None => std::str::from_utf8(inner).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        find(json.as_bytes(), &mut fields)?;
        let text = |place| String::from_utf8_lossy(slice(json.as_bytes(), place)).into_owned();
        let pairs = fields
            .iter()
            .map(|field| (text(&field.name), text(&field.value)));
        Some(pairs.collect())
    }

    #[test]
    fn names_and_values_are_found_whatever_stands_in_them() {
        let json = r#" { "a" : 1 ,"b":"x\"},\\" , "c":{"d":[1,"}]"]} ,"e":null,"":-1.5e3} "#;
        let expected = [
            ("a", "1"),
            ("b", r#""x\"},\\""#),
            ("c", r#"{"d":[1,"}]"]}"#),
            ("e", "null"),
            ("", "-1.5e3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found(json).unwrap(), expected);
        assert_eq!(found("{}"), Some(Vec::new()));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_tree() {
        for json in [
            "[1]",
            "1",
            "\"a\"",
            r#"{"a\u0062": 1}"#,
            "",
            "{",
            "{\"a\":1",
            "{\"a\"",
        ] {
            assert_eq!(found(json), None, "{json}");
        }
    }

    #[test]
    fn only_text_without_escapes_is_plain() {
        assert_eq!(plain_text("\"Zoë\"".as_bytes()), Some("Zoë"));
        assert_eq!(plain_text(br#""a\n""#), None);
        assert_eq!(plain_text(b"12"), None);
    }
}
