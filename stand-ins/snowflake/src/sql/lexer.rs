//! Text to tokens.

use crate::error::{Refusal, Result};

/// A piece of SQL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A name or keyword; upper case unless it was quoted.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A part of a path into a document, as it was written: paths are case-sensitive.
    Path(String),
    /// Text in single quotes.
    Text(String),
    Number(String),
    /// `$1`
    Place(usize),
    /// `@stage/path`, without the `@`.
    Stage(String),
    /// `file://…`
    File(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 26] = [
    "::", "<=", ">=", "<>", "!=", "||", "=>", "(", ")", ",", ".", ";", ":", "=", "<", ">", "+",
    "-", "*", "/", "%", "[", "]", "{", "}", "?",
];

/// Takes a statement apart.
///
/// # Errors
/// A syntax error at the first character that begins nothing.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { rest: sql };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        match lexer.rest.chars().next() {
            None => return Ok(tokens),
            Some(first) => {
                let token = lexer.token(first, in_path(&tokens))?;
                tokens.push(token);
            }
        }
    }
}

/// True behind `value:` and `value:part.`.
fn in_path(tokens: &[Token]) -> bool {
    let mut last = tokens.iter().rev();
    match last.next() {
        Some(Token::Symbol(":")) => true,
        Some(Token::Symbol(".")) => {
            matches!(last.next(), Some(Token::Path(_) | Token::Symbol("]")))
        }
        _ => false,
    }
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("--") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let (_, rest) = comment
                    .split_once("*/")
                    .ok_or_else(|| Refusal::syntax("/*"))?;
                self.rest = rest;
            } else {
                return Ok(());
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|character| !wanted(character))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn token(&mut self, first: char, in_path: bool) -> Result<Token> {
        if self.rest.starts_with("file://") {
            return Ok(Token::File(
                self.take_while(|c| !c.is_whitespace()).to_owned(),
            ));
        }
        match first {
            '\'' => Ok(Token::Text(self.text()?)),
            '"' if in_path => Ok(Token::Path(self.quoted('"')?)),
            '"' => Ok(Token::Quoted(self.quoted('"')?)),
            '@' => self.stage(),
            '$' => self.place(),
            _ if first.is_ascii_digit() => Ok(Token::Number(self.number())),
            _ if first.is_alphabetic() || first == '_' => {
                let word = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '$');
                if in_path {
                    return Ok(Token::Path(word.to_owned()));
                }
                Ok(Token::Word(word.to_uppercase()))
            }
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<Token> {
        for symbol in SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return Ok(Token::Symbol(symbol));
            }
        }
        Err(Refusal::syntax(
            &self.rest.chars().take(10).collect::<String>(),
        ))
    }

    /// Up to the closing mark; two of them stand for one.
    fn quoted(&mut self, mark: char) -> Result<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((place, character)) = characters.next() {
            if character != mark {
                text.push(character);
            } else if characters.peek().is_some_and(|(_, next)| *next == mark) {
                text.push(mark);
                characters.next();
            } else {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Ok(text);
            }
        }
        Err(Refusal::syntax("<EOF>"))
    }

    /// As [`Self::quoted`], with backslash escapes, as in Snowflake's string constants.
    fn text(&mut self) -> Result<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((place, character)) = characters.next() {
            match character {
                '\\' => match characters.next().map(|(_, escaped)| escaped) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(escaped) => text.push(escaped),
                    None => return Err(Refusal::syntax("<EOF>")),
                },
                '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                    text.push('\'');
                    characters.next();
                }
                '\'' => {
                    self.rest = self.rest.get(place + 1..).unwrap_or_default();
                    return Ok(text);
                }
                other => text.push(other),
            }
        }
        Err(Refusal::syntax("<EOF>"))
    }

    /// `@name/path`, `@"name"/path`, `@~`, or the same in single quotes, which is a text and read there.
    fn stage(&mut self) -> Result<Token> {
        self.rest = self.rest.get(1..).unwrap_or_default();
        let mut name = String::new();
        while let Some(first) = self.rest.chars().next() {
            if first == '"' {
                let quoted = self.quoted('"')?;
                name.push('"');
                name.push_str(&quoted);
                name.push('"');
            } else if first.is_whitespace() || "(),;'".contains(first) {
                break;
            } else {
                name.push(first);
                self.rest = self.rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
        if name.is_empty() {
            return Err(Refusal::syntax("@"));
        }
        Ok(Token::Stage(name))
    }

    fn place(&mut self) -> Result<Token> {
        self.rest = self.rest.get(1..).unwrap_or_default();
        let digits = self.take_while(|c| c.is_ascii_digit());
        digits
            .parse()
            .map(Token::Place)
            .map_err(|_| Refusal::syntax("$"))
    }

    fn number(&mut self) -> String {
        let mut text = self.take_while(|c| c.is_ascii_digit()).to_owned();
        let fraction = self
            .rest
            .strip_prefix('.')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(rest) = fraction {
            self.rest = rest;
            text.push('.');
            text.push_str(self.take_while(|c| c.is_ascii_digit()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_end_where_snowflake_ends_them() {
        let found = tokens(r#"'a''b\'c' "x""y" @"S"/p/a.gz t"#).unwrap_or_default();
        let expected = [
            Token::Text("a'b'c".to_owned()),
            Token::Quoted("x\"y".to_owned()),
            Token::Stage("\"S\"/p/a.gz".to_owned()),
            Token::Word("T".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_begins_nothing_is_refused() {
        assert_eq!(
            tokens("select `a`").map_err(|refusal| refusal.code),
            Err("001003")
        );
        assert!(tokens("select 'open").is_err());
    }
}
