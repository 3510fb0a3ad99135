//! What becomes of records that cannot be processed: the options `errors.*`, the log, the dead letter queue.
//!
//! Holds always: with `errors.tolerance=all` a record that is left out is counted, and its dead letter is acknowledged by the
//! log before an offset beyond it is committed.

mod dead_letters;
mod failure;
mod report;

pub use dead_letters::ERROR_HEADERS;
pub(super) use dead_letters::{DeadLetterQueue, QueueClients};
pub(super) use failure::{RecordFailure, Stage};
pub(super) use report::{ErrorHandling, ErrorReport};
