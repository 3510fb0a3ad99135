//! Several workers in one `group.id` share its connectors and tasks, over Kafka Connect's own group protocol.
//!
//! [`protocol`] is what the members tell each other, [`assignor`] how the leader shares the work, [`signature`] how
//! requests between them are signed: all pure. [`fellow`] asks other workers' REST APIs.

pub mod assignor;
pub mod fellow;
pub mod protocol;
pub mod signature;
pub mod signing_options;
