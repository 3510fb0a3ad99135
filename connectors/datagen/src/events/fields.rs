//! One event's JSON, field by field.

use std::fmt::Display;
use std::io::Write;

/// An object being written. Names and texts are the generators' own and hold nothing that JSON would escape.
pub(super) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    pub(super) fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.put(name, format_args!("\"{value}\""))
    }

    /// A number, or true or false.
    pub(super) fn plain(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.put(name, value)
    }

    pub(super) fn text_or_null(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.plain(name, "null"),
        }
    }

    pub(super) fn plain_or_null(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.plain(name, value),
            None => self.plain(name, "null"),
        }
    }

    /// Cents as an amount: `1250.50`.
    pub(super) fn cents(&mut self, name: &str, cents: i64) -> &mut Self {
        let sign = if cents < 0 { "-" } else { "" };
        let (whole, part) = (cents.abs() / 100, cents.abs() % 100);
        self.put(name, format_args!("{sign}{whole}.{part:02}"))
    }

    pub(super) fn end(&mut self) {
        self.out.push(b'}');
    }

    fn put(&mut self, name: &str, value: impl Display) -> &mut Self {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        write!(self.out, "{comma}\"{name}\":{value}").expect("a Vec takes every byte");
        self
    }
}
