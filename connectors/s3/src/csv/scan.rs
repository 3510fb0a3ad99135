//! The members of a JSON object as slices of its bytes: numbers keep their spelling, and nothing is copied that need not be.
//!
//! Takes JSON that was checked before. Bytes that are none give wrong slices, never a panic.

use std::borrow::Cow;

/// The members of an object, in order.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a>(&'a [u8]);

/// The members of `json`, if it is an object.
pub(crate) fn members(json: &[u8]) -> Option<Members<'_>> {
    json.trim_ascii_start().strip_prefix(b"{").map(Members)
}

impl<'a> Iterator for Members<'a> {
    /// Name and value; the value is JSON.
    type Item = (Cow<'a, str>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = skip(self.0, b',');
        if rest.first() != Some(&b'"') {
            return None;
        }
        let (name, rest) = rest.split_at_checked(text_length(rest))?;
        let rest = skip(rest, b':');
        let (value, rest) = rest.split_at_checked(value_length(rest))?;
        self.0 = rest;
        Some((text(name), value))
    }
}

/// Passes white space and `mark`.
fn skip(bytes: &[u8], mark: u8) -> &[u8] {
    let is_skipped = |byte: &u8| byte.is_ascii_whitespace() || *byte == mark;
    let start = bytes.iter().position(|byte| !is_skipped(byte));
    start
        .and_then(|start| bytes.get(start..))
        .unwrap_or_default()
}

/// A JSON string, quotes included, as text. One that is no text keeps its spelling.
pub(crate) fn text(json: &[u8]) -> Cow<'_, str> {
    let inner = json.strip_prefix(b"\"").unwrap_or(json);
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    if !inner.contains(&b'\\') {
        return String::from_utf8_lossy(inner);
    }
    match serde_json::from_slice::<String>(json) {
        Ok(text) => Cow::Owned(text),
        Err(_) => String::from_utf8_lossy(inner),
    }
}

/// The length of the string that `bytes` begin with, quotes included.
fn text_length(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    bytes.len()
}

fn value_length(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'"') => text_length(bytes),
        Some(b'{' | b'[') => nested_length(bytes),
        _ => {
            let is_end =
                |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            bytes.iter().position(is_end).unwrap_or(bytes.len())
        }
    }
}

fn nested_length(bytes: &[u8]) -> usize {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(json: &str) -> Vec<(String, String)> {
        let members = members(json.as_bytes()).unwrap();
        members
            .map(|(name, value)| {
                (
                    name.into_owned(),
                    String::from_utf8(value.to_vec()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn members_are_found_as_they_are_spelled() {
        let json = r#" { "a" : 1.50,"b":{"x":"}\"]"} , "c\"\u00e9":[1 ,[2]],"":null,"d":"q\\" ,"e":true} "#;
        let expected = [
            ("a", "1.50"),
            ("b", r#"{"x":"}\"]"}"#),
            ("c\"é", "[1 ,[2]]"),
            ("", "null"),
            ("d", r#""q\\""#),
            ("e", "true"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(scanned(json), expected);
        assert_eq!(scanned("{ }"), []);
        assert!(members(b" [1]").is_none());
    }

    #[test]
    fn what_is_no_json_ends_early_and_does_not_panic() {
        for broken in [
            r#"{"a"#,
            r#"{"a":"#,
            r#"{"a":[1"#,
            r#"{"a":"b\"#,
            "{,,,",
            "{a:1}",
        ] {
            assert!(members(broken.as_bytes()).unwrap().count() <= 1, "{broken}");
        }
    }

    #[test]
    fn escapes_are_read_and_half_characters_keep_their_spelling() {
        assert_eq!(text(br#""a\n\u00e9\ud83d\ude00""#), "a\né😀");
        assert_eq!(text(br#""\ud800""#), "\\ud800");
    }

    proptest::proptest! {
        #[test]
        fn members_are_what_a_parser_finds(entries in proptest::collection::btree_map(".*", ".*", 0..6)) {
            let json = serde_json::json!(entries).to_string();
            let found: Vec<_> = members(json.as_bytes()).unwrap().map(|(name, value)| (name.into_owned(), text(value).into_owned())).collect();
            proptest::prop_assert_eq!(found, entries.into_iter().collect::<Vec<_>>());
        }
    }
}
