//! Avro schemas with `arg.properties`: read from JSON, as a plan of how to make records, with the Connect schema they have.
//!
//! `reader` and `named` make the [`Plan`] (with `properties`, `literal`, `iteration`, `pattern`), `make` follows it. Reading is by hand: an
//! Avro library gives no way from a schema to Connect's, and no say in what `arg.properties` mean.

mod iteration;
mod literal;
mod make;
mod named;
mod pattern;
mod plan;
mod properties;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use make::Maker;
pub(crate) use plan::Plan;
pub(crate) use reader::{Files, read};
