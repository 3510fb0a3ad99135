//! Java's `.properties` form: what worker files are written in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::str::Chars;

use connect_core::{Error, Result};

/// What Java takes for blank: not what Unicode does, which may be part of a password.
const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Reads a file: UTF-8, with a byte order mark or without; what cannot be UTF-8 is Latin-1, as Java takes every file to be.
///
/// # Errors
/// It cannot be read, or is no file of properties.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let file = std::fs::read(path);
    let file = file.map_err(|cause| Error::config(cause.kind().to_string()).source(cause))?;
    parse(&decoded(&file))
}

fn decoded(file: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(file) {
        Ok(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(_) => file.iter().copied().map(char::from).collect(),
    }
}

/// Reads properties: `key=value`, `key: value`, `key value`; `#` and `!` begin comments; a backslash at the end goes on in
/// the next line; `\n`, `\t`, `\uXXXX` and the like are escapes. Of equal keys the last counts.
///
/// # Errors
/// `\u` without four digits behind it, as in Java: else a path such as `C:\users` would silently be another.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Lines without comments, those that end in a backslash joined. A line ends in `\n`, `\r\n` or `\r`.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut unfinished: Option<String> = None;
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        let line = line.trim_start_matches(BLANKS);
        if unfinished.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let mut whole = unfinished.take().unwrap_or_default();
        let backslashes = line
            .chars()
            .rev()
            .take_while(|character| *character == '\\')
            .count();
        if backslashes % 2 == 1 {
            whole.push_str(line.get(..line.len() - 1).unwrap_or_default());
            unfinished = Some(whole);
        } else {
            whole.push_str(line);
            lines.push(whole);
        }
    }
    lines.extend(unfinished);
    lines
}

fn split(line: &str) -> Result<(String, String)> {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, character)| {
        let ends = !escaped && (matches!(character, '=' | ':') || BLANKS.contains(character));
        escaped = !escaped && *character == '\\';
        ends
    });
    let Some((end, _)) = end else {
        return Ok((unescape(line)?, String::new()));
    };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    let value = unescape(value.trim_start_matches(BLANKS));
    Ok((unescape(key)?, value.map_err(|error| error.target(key))?))
}

/// By UTF-16, as Java has it: of what is beyond, an escape is one half.
fn unescape(text: &str) -> Result<String> {
    let mut units = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(mut character) = characters.next() {
        if character == '\\' {
            character = match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    units.push(code_unit(&mut characters)?);
                    continue;
                }
                Some(other) => other,
                None => break,
            };
        }
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

/// The four digits of `\uXXXX`.
fn code_unit(characters: &mut Chars<'_>) -> Result<u16> {
    let code: String = characters.take(4).collect();
    let is_whole = code.len() == 4 && code.bytes().all(|digit| digit.is_ascii_hexdigit());
    let unit = u16::from_str_radix(&code, 16).ok().filter(|_| is_whole);
    unit.ok_or_else(|| {
        Error::config(
            "Malformed \\uxxxx encoding: a backslash that is meant as such is written twice",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_java_reads_is_read() {
        let text = "# comment\n! another\n a = 1\nb:2\nc 3\nd\nlong=one,\\\n    two\npath=C\\:\\\\dir\nkey\\ with\\=odd=x\nu=\\u00e9\nsame=1\nsame=2\n";
        let expected = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", ""),
            ("long", "one,two"),
            ("path", "C:\\dir"),
            ("key with=odd", "x"),
            ("u", "é"),
            ("same", "2"),
        ];
        let expected = expected
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn files_are_utf_8_or_latin_1() {
        for file in [
            "a=\u{e9}".as_bytes(),
            "\u{feff}a=\u{e9}\n".as_bytes(),
            b"a=\xe9",
        ] {
            let expected = [("a".to_owned(), "\u{e9}".to_owned())].into();
            assert_eq!(parse(&decoded(file)).unwrap(), expected);
        }
    }

    #[test]
    fn escapes_and_blanks_are_those_of_java() {
        let one = |text: &str| parse(text).unwrap().into_values().next().unwrap();
        assert_eq!(one("a=\\ud83d\\ude00x"), "\u{1f600}x");
        assert_eq!(one("a=\\ud83dx"), "\u{fffd}x");
        assert_eq!(one("a=\u{a0}b\u{3000}"), "\u{a0}b\u{3000}");
        assert_eq!(one("a=\\ \\tb\\q "), " \tbq ");
        assert_eq!(parse("a=1\rb=2\r\n\r\nc=3,\\\r\n  4").unwrap().len(), 3);
        assert_eq!(one("a=1,\\\r\n  #2"), "1,#2");
        assert_eq!(one("a=1\\\n\nb=2"), "1");
        for wrong in ["a=\\u12", "a=C:\\users", "\\u+123=b", "a=\\u"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("Malformed"), "{error}");
        }
    }
}
