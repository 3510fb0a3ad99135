//! A value that never shows itself.

use std::fmt;

/// A password, key or token: readable only through [`Secret::expose`], hidden in every log, error and answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value read from a configuration.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: only for handing it to the system that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Secret<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// `text` without the user and password of any URL in it, for messages that quote one.
pub fn without_userinfo(text: &str) -> String {
    let hidden = |piece: &str| {
        let (scheme, rest) = piece.split_once("://")?;
        // The last one: an unescaped password may hold any character.
        let (_, place) = rest.rsplit_once('@')?;
        Some(format!("{scheme}://[hidden]@{place}"))
    };
    text.split_inclusive(char::is_whitespace)
        .map(|piece| hidden(piece).unwrap_or_else(|| piece.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_who_asks() {
        for (given, shown) in [
            ("http://u:p@h:1/x", "http://[hidden]@h:1/x"),
            ("https://token@h", "https://[hidden]@h"),
            (
                "at http://u:a/b,c@h and more",
                "at http://[hidden]@h and more",
            ),
            ("http://u:p@h,http://v:q@i", "http://[hidden]@i"),
            ("[http://u:p@h, http://i]", "[http://[hidden]@h, http://i]"),
            ("http://h/path", "http://h/path"),
            ("me@example.com", "me@example.com"),
            ("", ""),
        ] {
            assert_eq!(without_userinfo(given), shown);
        }
    }
}
