//! Java's `.properties` form: what worker files are written in.

use std::collections::BTreeMap;

/// Reads properties: `key=value`, `key: value`, `key value`; `#` and `!` begin comments; a backslash at the end goes on in
/// the next line; `\n`, `\t`, `\uXXXX` and the like are escapes. Of equal keys the last counts.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Lines without comments, those that end in a backslash joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut unfinished: Option<String> = None;
    for line in text.lines() {
        let line = line.trim_start();
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

fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, character)| {
        let ends = !escaped && (matches!(character, '=' | ':') || character.is_whitespace());
        escaped = !escaped && *character == '\\';
        ends
    });
    let Some((end, _)) = end else {
        return (unescape(line), String::new());
    };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    (unescape(key), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some('r') => result.push('\r'),
            Some('f') => result.push('\u{c}'),
            Some('u') => {
                let code: String = characters.by_ref().take(4).collect();
                let decoded = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                result.push(decoded.unwrap_or('\u{fffd}'));
            }
            Some(other) => result.push(other),
            None => {}
        }
    }
    result
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
        assert_eq!(parse(text), expected);
    }
}
