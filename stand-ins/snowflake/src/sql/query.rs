//! SELECT.

use super::ast::{Expression, From, Items, Query, Source};
use super::lexer::Token;
use super::parser::Parser;
use crate::error::Result;

/// Words that cannot be an alias without AS.
const AFTER_SOURCE: [&str; 11] = [
    "WHERE",
    "GROUP",
    "ORDER",
    "LIMIT",
    "ON",
    "WHEN",
    "USING",
    "FILES",
    "FILE_FORMAT",
    "ON_ERROR",
    "SET",
];

impl Parser {
    pub(super) fn query(&mut self) -> Result<Query> {
        if self.is_word("VALUES") {
            return Ok(all_of(From {
                source: self.values()?,
                alias: None,
            }));
        }
        self.expect_words("SELECT")?;
        let items = if self.take_symbol("*") {
            Items::All
        } else {
            Items::List(self.commas(Self::projection)?)
        };
        let from = if self.take_words("FROM") {
            Some(self.source()?)
        } else {
            None
        };
        let filter = if self.take_words("WHERE") {
            Some(self.expression()?)
        } else {
            None
        };
        let group = if self.take_words("GROUP BY") {
            self.commas(Self::expression)?
        } else {
            Vec::new()
        };
        let order = if self.take_words("ORDER BY") {
            self.commas(Self::ordering)?
        } else {
            Vec::new()
        };
        let limit = if self.take_words("LIMIT") {
            Some(self.number()?)
        } else {
            None
        };
        Ok(Query {
            items,
            from,
            filter,
            group,
            order,
            limit,
        })
    }

    pub(super) fn commas<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn ordering(&mut self) -> Result<(Expression, bool)> {
        let expression = self.expression()?;
        let descending = self.take_words("DESC");
        if !descending {
            self.take_words("ASC");
        }
        Ok((expression, descending))
    }

    /// What stands behind FROM or USING.
    pub(super) fn source(&mut self) -> Result<From> {
        let source = match self.peek() {
            Some(Token::Stage(_)) => Source::Stage(self.stage_path()?),
            Some(Token::Text(text)) if text.starts_with('@') => Source::Stage(self.stage_path()?),
            Some(Token::Symbol("(")) => {
                self.expect_symbol("(")?;
                let query = self.query()?;
                self.expect_symbol(")")?;
                Source::Query(Box::new(query))
            }
            Some(Token::Word(word)) if word == "VALUES" => self.values()?,
            _ => Source::Table(self.object_name()?),
        };
        Ok(From {
            source,
            alias: self.alias()?,
        })
    }

    fn values(&mut self) -> Result<Source> {
        self.expect_words("VALUES")?;
        let rows = self.commas(|parser| parser.list(Self::expression))?;
        Ok(Source::Values(rows))
    }

    pub(super) fn alias(&mut self) -> Result<Option<String>> {
        if self.take_words("AS") {
            return self.name().map(Some);
        }
        match self.peek() {
            Some(Token::Word(word)) if AFTER_SOURCE.contains(&word.as_str()) => Ok(None),
            Some(Token::Word(_) | Token::Quoted(_)) => self.name().map(Some),
            _ => Ok(None),
        }
    }
}

fn all_of(from: From) -> Query {
    Query {
        items: Items::All,
        from: Some(from),
        filter: None,
        group: Vec::new(),
        order: Vec::new(),
        limit: None,
    }
}
