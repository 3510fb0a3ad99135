//! What all parts of the parser share: looking at tokens and taking them.

use super::ast::{ObjectName, StagePath, Statement};
use super::lexer::{Token, tokens};
use crate::error::{Refusal, Result};

/// Parses one statement, with or without a semicolon at its end.
///
/// # Errors
/// A syntax error at the first token that does not fit; 000900 if there is no statement.
pub(crate) fn parse(sql: &str) -> Result<Statement> {
    let mut parser = Parser {
        tokens: tokens(sql)?,
        next: 0,
    };
    if parser.peek().is_none() {
        return Err(Refusal::new(
            "000900",
            "42601",
            "SQL compilation error:\nEmpty SQL statement.",
        ));
    }
    let statement = parser.statement()?;
    parser.take_symbol(";");
    match parser.peek() {
        None => Ok(statement),
        Some(_) => Err(parser.unexpected()),
    }
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.next + ahead)
    }

    pub(super) fn advance(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    pub(super) fn unexpected(&self) -> Refusal {
        let near = match self.peek() {
            None => "<EOF>".to_owned(),
            Some(
                Token::Word(text)
                | Token::Quoted(text)
                | Token::Path(text)
                | Token::Text(text)
                | Token::Number(text)
                | Token::Stage(text)
                | Token::File(text),
            ) => text.clone(),
            Some(Token::Place(place)) => format!("${place}"),
            Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
        };
        Refusal::syntax(&near)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    /// Takes the words if all of them follow.
    pub(super) fn take_words(&mut self, words: &str) -> bool {
        let all = words.split(' ').enumerate().all(|(ahead, word)| {
            matches!(self.peek_at(ahead), Some(Token::Word(found)) if found == word)
        });
        if all {
            self.next += words.split(' ').count();
        }
        all
    }

    pub(super) fn expect_words(&mut self, words: &str) -> Result<()> {
        if self.take_words(words) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol)
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.next += 1;
        }
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// A name: a word, or anything in double quotes.
    pub(super) fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Word(name) | Token::Quoted(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(super) fn object_name(&mut self) -> Result<ObjectName> {
        let mut parts = vec![self.name()?];
        while self.take_symbol(".") {
            parts.push(self.name()?);
        }
        Ok(ObjectName(parts))
    }

    pub(super) fn text(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(super) fn number(&mut self) -> Result<usize> {
        match self.peek() {
            Some(Token::Number(text)) => {
                let number = text.parse().map_err(|_| Refusal::syntax(text))?;
                self.next += 1;
                Ok(number)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Items between parentheses, separated by commas.
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_symbol("(")?;
        let mut items = Vec::new();
        if self.take_symbol(")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if !self.take_symbol(",") {
                self.expect_symbol(")")?;
                return Ok(items);
            }
        }
    }

    /// `@stage/path`, also in single quotes.
    pub(super) fn stage_path(&mut self) -> Result<StagePath> {
        let text = match self.peek() {
            Some(Token::Stage(text)) => text.clone(),
            Some(Token::Text(text)) if text.starts_with('@') => {
                text.get(1..).unwrap_or_default().to_owned()
            }
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        let (name, path) = text.split_once('/').unwrap_or((&text, ""));
        Ok(StagePath {
            stage: ObjectName(stage_names(name)),
            path: path.to_owned(),
        })
    }
}

/// The parts of a stage's name: quoted ones as they are, others in upper case.
fn stage_names(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for character in name.chars() {
        match (character, parts.last_mut()) {
            ('"', _) => quoted = !quoted,
            ('.', _) if !quoted => parts.push(String::new()),
            (other, Some(last)) if quoted => last.push(other),
            (other, Some(last)) => last.extend(other.to_uppercase()),
            (_, None) => {}
        }
    }
    parts
}
