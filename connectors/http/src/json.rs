//! Looks into an answer without taking it apart: what is not asked for stays bytes.
//!
//! Memory stays in proportion to the answer, whatever a server sends: no tree is built of it.

use std::fmt::{self, Formatter};

use bytes::Bytes;
use connect_core::{Error, Result};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads `/a/0/b`; empty is the whole.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err("a JSON pointer begins with /".to_owned());
        };
        let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self(tokens.split('/').map(unescaped).collect()))
    }

    /// What it points to in `json`; `None` if there is nothing.
    pub(crate) fn find<'a>(&self, json: &'a RawValue) -> Option<&'a RawValue> {
        self.0
            .iter()
            .try_fold(json, |value, token| child(value, token))
    }
}

fn child<'a>(value: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    let mut json = serde_json::Deserializer::from_str(value.get());
    match value.get().as_bytes().first()? {
        b'{' => json.deserialize_map(Child::Field(token)).ok()?,
        b'[' => json
            .deserialize_seq(Child::Element(token.parse().ok()?))
            .ok()?,
        _ => None,
    }
}

/// What is looked for in an object or array: nothing else of it is kept.
enum Child<'t> {
    Field(&'t str),
    Element(usize),
}

impl<'de> Visitor<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or an array")
    }

    /// Of equal names the last counts.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<String>()? {
            if matches!(self, Self::Field(token) if token == name) {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut index = 0;
        while let Some(element) = elements.next_element::<&RawValue>()? {
            if matches!(self, Self::Element(wanted) if wanted == index) {
                found = Some(element);
            }
            index += 1;
        }
        Ok(found)
    }
}

/// An answer's JSON.
#[derive(Debug)]
pub(crate) struct Document {
    body: Bytes,
}

impl Document {
    /// Checks that `body` is JSON. An empty body is null.
    pub(crate) fn parse(body: Bytes) -> Result<Self> {
        let body = match body.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => body.slice_ref(rest),
            None => body,
        };
        if body.trim_ascii().is_empty() {
            return Ok(Self {
                body: Bytes::from_static(b"null"),
            });
        }
        // serde_json's message names line and column, never the content.
        serde_json::from_slice::<&RawValue>(&body)
            .map_err(|cause| Error::data("the answer is not JSON").source(cause))?;
        Ok(Self { body })
    }

    /// The whole.
    pub(crate) fn root(&self) -> Result<&RawValue> {
        serde_json::from_slice(&self.body)
            .map_err(|cause| Error::internal("JSON was valid and is not").source(cause))
    }

    /// The records `pointer` points to.
    pub(crate) fn records(&self, pointer: &Pointer) -> Result<Records> {
        let Some(found) = pointer.find(self.root()?) else {
            let message = "the answer has nothing at records.pointer";
            return Err(Error::data(message));
        };
        let found = found.get();
        let rest = match found.as_bytes().first() {
            Some(b'[') => found.get(1..).unwrap_or_default(),
            _ if found == "null" => return Ok(Records(Bytes::new())),
            _ => found,
        };
        Ok(Records(self.body.slice_ref(rest.as_bytes())))
    }
}

/// The records of an answer that have not been asked for yet: they are found one by one, so that a great many small ones
/// take no memory.
#[derive(Debug, Clone)]
pub(crate) struct Records(Bytes);

impl Records {
    /// The next record, as it is spelled; the bytes are the answer's.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        let is_between = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
        let between = self.0.iter().take_while(|byte| is_between(byte)).count();
        let rest = self.0.slice(between..);
        if rest.is_empty() || rest.starts_with(b"]") {
            return Ok(None);
        }
        let mut values = serde_json::Deserializer::from_slice(&rest).into_iter::<&RawValue>();
        let Some(record) = values.next() else {
            return Ok(None);
        };
        let record = record
            .map_err(|cause| Error::internal("JSON was valid and is not").source(cause))?
            .get();
        self.0 = rest.slice(values.byte_offset()..);
        Ok(Some(rest.slice_ref(record.as_bytes())))
    }
}

/// A record as its JSON.
pub(crate) fn raw(record: &Bytes) -> Result<&RawValue> {
    serde_json::from_slice(record)
        .map_err(|cause| Error::internal("JSON was valid and is not").source(cause))
}

/// A text, number or true as text; `None` for null, false and the empty text.
pub(crate) fn scalar_text(value: &RawValue) -> Result<Option<String>> {
    match value.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(value.get())
                .map_err(|cause| Error::data("a text with a broken escape").source(cause))?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
        Some(b'{' | b'[') => Err(Error::data("expected a text or a number")),
        _ if matches!(value.get(), "null" | "false") => Ok(None),
        _ => Ok(Some(value.get().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn records(text: &str, pointer: &str) -> Vec<String> {
        let pointer = Pointer::parse(pointer).unwrap();
        let document = document(text);
        texts(document.records(&pointer).unwrap())
    }

    fn texts(mut records: Records) -> Vec<String> {
        let all = std::iter::from_fn(|| records.next().unwrap());
        all.map(|record| String::from_utf8(record.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_pointer_finds_what_rfc_6901_says() {
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"x":{"y":null}}"#;
        let document = document(text);
        let found = |pointer: &str| {
            let pointer = Pointer::parse(pointer).unwrap();
            pointer
                .find(document.root().unwrap())
                .map(|value| value.get().to_owned())
        };
        assert_eq!(found("").as_deref(), Some(text));
        assert_eq!(found("/foo/1").as_deref(), Some("\"baz\""));
        assert_eq!(found("/").as_deref(), Some("0"));
        assert_eq!(found("/a~1b").as_deref(), Some("1"));
        assert_eq!(found("/m~0n").as_deref(), Some("8"));
        assert_eq!(found("/x/y").as_deref(), Some("null"));
        assert_eq!(found("/x/z"), None);
        assert_eq!(found("/foo/2"), None);
        assert!(Pointer::parse("foo").is_err());
    }

    #[test]
    fn records_keep_their_spelling() {
        let text = r#"{"data": [ {"id": 1.10 , "b":2}, {"id":12345678901234567890}]}"#;
        assert_eq!(
            records(text, "/data"),
            [r#"{"id": 1.10 , "b":2}"#, r#"{"id":12345678901234567890}"#]
        );
        assert_eq!(records(r#"{"data":null}"#, "/data"), [""; 0]);
        assert_eq!(records(r#" {"id":1} "#, ""), [r#"{"id":1}"#]);
        assert_eq!(records("", ""), [""; 0]);
        assert_eq!(records("\u{feff}[1]", ""), ["1"]);
        assert_eq!(
            records(" [1,\"],\",[2,3] ,\n{},null, -1.5e3 ] ", ""),
            ["1", "\"],\"", "[2,3]", "{}", "null", "-1.5e3"]
        );
        assert_eq!(records("[ ]", ""), [""; 0]);
        assert_eq!(records("5", ""), ["5"]);
        assert_eq!(records(r#"{"a":[1],"a":[2]}"#, "/a"), ["2"]);
    }

    #[test]
    fn what_is_missing_or_not_json_is_an_error_that_does_not_show_the_answer() {
        let pointer = Pointer::parse("/data").unwrap();
        assert!(document(r#"{"error":"secret"}"#).records(&pointer).is_err());
        let error = Document::parse(Bytes::from_static(b"<html>secret</html>")).unwrap_err();
        assert!(!error.trace().contains("secret"), "{}", error.trace());
    }

    #[test]
    fn nesting_without_end_does_not_crash() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let pointer = Pointer::parse("/0/0").unwrap();
        let parsed = Document::parse(Bytes::from(deep));
        let found = parsed.and_then(|document| document.records(&pointer));
        assert!(
            found.is_err() || texts(found.unwrap()).len() == 1,
            "neither an error nor the one record"
        );
    }
}
