//! The SQL this server knows: exactly the statements that stage and COPY need, and plain queries to look at the result.
//!
//! Anything else is a syntax error.

pub(crate) mod ast;
mod expression;
mod lexer;
mod parser;
mod query;
mod statement;

pub(crate) use parser::parse;
