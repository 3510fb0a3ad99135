//! The file source over real files that grow, break off, turn round and go away.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod broken;
mod finished;
mod growth;
mod model;
mod reading;
mod support;
