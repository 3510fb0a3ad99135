//! Expressions, from OR down to literals.

use super::ast::{Expression, Projection};
use super::lexer::Token;
use super::parser::Parser;
use crate::error::{Refusal, Result};
use crate::types::SqlType;
use crate::value::Value;

const COMPARISONS: [&str; 7] = ["=", "<>", "!=", "<=", ">=", "<", ">"];
const AGGREGATES: [&str; 5] = ["COUNT", "MIN", "MAX", "SUM", "ARRAY_AGG"];

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expression> {
        let mut left = self.conjunction()?;
        while self.take_words("OR") {
            left = binary(left, "OR", self.conjunction()?);
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expression> {
        let mut left = self.negation()?;
        while self.take_words("AND") {
            left = binary(left, "AND", self.negation()?);
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expression> {
        if self.take_words("NOT") {
            return Ok(Expression::Not(Box::new(self.negation()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression> {
        let left = self.sum()?;
        if self.take_words("IS NOT NULL") {
            return Ok(Expression::IsNull(Box::new(left), true));
        }
        if self.take_words("IS NULL") {
            return Ok(Expression::IsNull(Box::new(left), false));
        }
        for (words, negated) in [("NOT IN", true), ("IN", false)] {
            if self.take_words(words) {
                let items = self.list(Self::expression)?;
                return Ok(Expression::In(Box::new(left), items, negated));
            }
        }
        for symbol in COMPARISONS {
            if self.take_symbol(symbol) {
                return Ok(binary(left, symbol, self.sum()?));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expression> {
        let mut left = self.product()?;
        loop {
            let Some(symbol) = ["+", "-", "||"]
                .into_iter()
                .find(|symbol| self.take_symbol(symbol))
            else {
                return Ok(left);
            };
            left = binary(left, symbol, self.product()?);
        }
    }

    fn product(&mut self) -> Result<Expression> {
        let mut left = self.postfix()?;
        loop {
            let Some(symbol) = ["*", "/", "%"]
                .into_iter()
                .find(|symbol| self.take_symbol(symbol))
            else {
                return Ok(left);
            };
            left = binary(left, symbol, self.postfix()?);
        }
    }

    /// A primary with paths and casts behind it.
    fn postfix(&mut self) -> Result<Expression> {
        let mut inner = self.primary()?;
        let mut in_path = false;
        loop {
            if self.take_symbol("::") {
                inner = Expression::Cast(Box::new(inner), self.sql_type()?);
            } else if self.take_symbol(":") || (in_path && self.take_symbol(".")) {
                in_path = true;
                inner = Expression::Field(Box::new(inner), self.path_part()?);
            } else if self.take_symbol("[") {
                in_path = true;
                let index = self.expression()?;
                self.expect_symbol("]")?;
                inner = Expression::Index(Box::new(inner), Box::new(index));
            } else {
                return Ok(inner);
            }
        }
    }

    fn path_part(&mut self) -> Result<String> {
        match self.advance() {
            Some(Token::Path(name)) => Ok(name),
            _ => Err(Refusal::syntax(":")),
        }
    }

    fn primary(&mut self) -> Result<Expression> {
        if self.take_symbol("(") {
            let inner = self.expression()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        if self.take_symbol("-") {
            let zero = Expression::Value(Value::integer(0));
            return Ok(binary(zero, "-", self.postfix()?));
        }
        match self.peek().cloned() {
            Some(Token::Text(text)) => {
                self.advance();
                Ok(Expression::Value(Value::text(text)))
            }
            Some(Token::Number(text)) => {
                self.advance();
                let number = Value::number(&text).ok_or_else(|| Refusal::syntax(&text))?;
                Ok(Expression::Value(number))
            }
            Some(Token::Place(place)) => {
                self.advance();
                Ok(Expression::Place(place))
            }
            Some(Token::Word(word)) => self.word(&word),
            Some(Token::Quoted(_)) => self.column(),
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str) -> Result<Expression> {
        let literal = match word {
            "NULL" => Some(Value::Null),
            "TRUE" => Some(Value::Boolean(true)),
            "FALSE" => Some(Value::Boolean(false)),
            _ => None,
        };
        if let Some(literal) = literal {
            self.advance();
            return Ok(Expression::Value(literal));
        }
        if !matches!(self.peek_at(1), Some(Token::Symbol("("))) {
            return self.column();
        }
        self.advance();
        match word {
            "CAST" => self.cast(),
            _ if AGGREGATES.contains(&word) => self.aggregate(word),
            _ => Ok(Expression::Call(
                word.to_owned(),
                self.list(Self::expression)?,
            )),
        }
    }

    fn cast(&mut self) -> Result<Expression> {
        self.expect_symbol("(")?;
        let inner = self.expression()?;
        self.expect_words("AS")?;
        let kind = self.sql_type()?;
        self.expect_symbol(")")?;
        Ok(Expression::Cast(Box::new(inner), kind))
    }

    fn aggregate(&mut self, name: &str) -> Result<Expression> {
        self.expect_symbol("(")?;
        let distinct = self.take_words("DISTINCT");
        let argument = if self.take_symbol("*") {
            None
        } else {
            Some(Box::new(self.expression()?))
        };
        self.expect_symbol(")")?;
        Ok(Expression::Aggregate {
            name: name.to_owned(),
            distinct,
            argument,
        })
    }

    /// `column`, `alias.column`, `alias.$1`
    fn column(&mut self) -> Result<Expression> {
        let mut parts = vec![self.name()?];
        while self.take_symbol(".") {
            if let Some(Token::Place(place)) = self.peek() {
                let place = *place;
                self.advance();
                return Ok(Expression::Place(place));
            }
            parts.push(self.name()?);
        }
        let name = parts.pop().unwrap_or_default();
        Ok(Expression::Column(parts.pop(), name))
    }

    /// A type with its parameters.
    pub(super) fn sql_type(&mut self) -> Result<SqlType> {
        let name = self.name()?;
        let mut parameters = Vec::new();
        if name == "DOUBLE" {
            self.take_words("PRECISION");
        }
        if self.is_symbol("(") {
            parameters = self.list(Self::number)?;
        }
        SqlType::named(&name, &parameters).ok_or_else(|| {
            Refusal::new(
                "002040",
                "42601",
                format!("SQL compilation error:\nUnsupported data type '{name}'."),
            )
        })
    }

    /// An expression of a select list, with the name it is shown by.
    pub(super) fn projection(&mut self) -> Result<Projection> {
        let expression = self.expression()?;
        let name = if self.take_words("AS") || matches!(self.peek(), Some(Token::Quoted(_))) {
            self.name()?
        } else {
            match &expression {
                Expression::Column(_, name) => name.clone(),
                Expression::Field(_, name) => name.to_uppercase(),
                Expression::Call(name, _) => format!("{name}()"),
                Expression::Aggregate { name, .. } => format!("{name}(*)"),
                other => format!("{other:?}").chars().take(40).collect(),
            }
        };
        Ok(Projection { expression, name })
    }
}

fn binary(left: Expression, operator: &'static str, right: Expression) -> Expression {
    Expression::Binary(Box::new(left), operator, Box::new(right))
}
