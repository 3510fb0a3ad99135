//! What the tests of connectors stand on: a worker's part towards a task, without a log.
//!
//! Only for tests: the feature `testkit` is asked for by dev-dependencies alone. What a task does wrong is returned as an
//! error; what a test does wrong, or what comes too late, is a panic.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod sink;
mod source;

use crate::config::ConfigMap;

pub use sink::{Group, SinkDriver, SinkSpec, json_datum, record};
pub use source::{SourceDriver, StoredOffsets, values};

/// The options that every test needs, and its own above them.
pub fn config(common: &[(&str, &str)], own: &[(&str, &str)]) -> ConfigMap {
    let options = common.iter().chain(own);
    options
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
