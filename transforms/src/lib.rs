//! Single message transforms and predicates: those of Apache Kafka, under their class names, and our own.
//!
//! A transform is a file; each registers itself. Facts are those of Apache Kafka 4.3.1, whose own classes the recorded
//! cases in tests/ were run through.

mod explode;
mod part;
mod schemas;
#[cfg(test)]
mod testing;

/// Version shown by `/connector-plugins`.
const VERSION: &str = env!("CARGO_PKG_VERSION");
