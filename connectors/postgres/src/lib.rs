//! Postgres sink: rows by COPY, exactly once with the offsets in the same transaction.
//!
//! Answers to `io.confluent.connect.jdbc.JdbcSinkConnector` with its keys.

mod column;
mod config;
mod connection;
mod encode;
mod error;
mod identifier;
mod json_text;
mod numeric;
mod temporal;
mod tls;
mod url;
