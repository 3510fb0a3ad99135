//! Several workers in one `group.id` share its connectors and tasks, over Kafka Connect's own group protocol.
//!
//! [`protocol`] is what the members tell each other, [`assignor`] how the leader shares the work. Both are pure.

pub mod assignor;
pub mod protocol;
