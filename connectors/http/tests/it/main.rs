//! The HTTP source against a server that paginates, fails, slows down and lies.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod failures;
mod fetching;
mod model;
mod secrets;
mod support;
mod tls;
