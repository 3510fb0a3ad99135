//! The log in a real Kafka, through the crate krafka.
