//! What a schema is compiled into: the Connect schema, and how its values are laid out.

use std::sync::Arc;

use connect_core::data::Schema;

/// The name of the struct that stands for a union.
pub(super) const UNION: &str = "io.confluent.connect.avro.Union";
/// The parameter that holds an enumeration's name; with a dot and a symbol behind it, each symbol.
pub(super) const ENUM: &str = "io.confluent.connect.avro.Enum";
/// The parameter that holds the size of bytes of fixed length.
pub(super) const FIXED_SIZE: &str = "connect.fixed.size";
/// The parameter that holds how many digits a decimal may have.
pub(super) const PRECISION: &str = "connect.decimal.precision";
/// How many digits a decimal may have if it is not said.
pub(super) const DEFAULT_PRECISION: i64 = 64;
/// Namespace and name of records whose Connect schema has no name.
pub(super) const NAMESPACE: &str = "io.confluent.connect.avro";
pub(super) const DEFAULT_NAME: &str = "ConnectDefault";
/// The record whose lists stand for maps with keys that are not text.
pub(super) const MAP_ENTRY: &str = "MapEntry";
pub(super) const INTERNAL_TYPE: &str = "connect.internal.type";

/// Where null stands in the union of a type and null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Null {
    /// There is no union.
    Never,
    /// A union of the one type alone: values say all the same that they are of it.
    Alone,
    First,
    Second,
}

/// How values are laid out.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    Boolean,
    Int8,
    Int16,
    Int32,
    Date,
    Time,
    Int64,
    Timestamp,
    Float,
    Double,
    Bytes,
    String,
    Enum(Vec<Arc<str>>),
    Fixed(usize),
    /// A decimal of this scale, in bytes of any number or a fixed one.
    Decimal(i32, Option<usize>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    /// A list of records with key and value.
    Pairs(Box<Plan>, Box<Plan>),
    Record(Vec<Plan>),
    /// Branches in order; null is `None`. Those that are not null are the fields of a struct, in the same order.
    Union(Vec<Option<Plan>>),
}

/// A place in a schema.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(super) schema: Arc<Schema>,
    pub(super) layout: Layout,
    pub(super) null: Null,
}
