//! Transforms and predicates: what changes single records between converters and connectors.
//!
//! The runtime applies them on the sink side after the converters and on the source side before them. A transform sees
//! the part that both kinds of record share; where a record stands in the log, or in its source, it cannot change.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Result;
use crate::config::{ConfigDef, OptionError};
use crate::data::{Datum, Headers, Offset, Timestamp};

/// Where a record stands. Only to be read: offsets are counted by the original record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition {
    /// The partition; `None` for a source's record that leaves it to the producer.
    pub partition: Option<i32>,
    /// The offset; `None` for a source's record, which has none yet.
    pub offset: Option<Offset>,
    /// When it was made; `None` if that is not known.
    pub timestamp: Option<Timestamp>,
}

/// What a transform sees of a record.
#[derive(Debug, Clone)]
pub struct TransformRecord {
    /// The topic it goes by.
    pub topic: Arc<str>,
    /// Its headers.
    pub headers: Headers,
    /// Its key.
    pub key: Datum,
    /// Its value.
    pub value: Datum,
    /// Where it stands.
    pub position: RecordPosition,
}

/// What a transform has made of a record.
#[derive(Debug)]
pub enum Transformed {
    /// One record: changed, or as it came.
    One(TransformRecord),
    /// Nothing: the record is dropped, and counts as done.
    Dropped,
    /// Pieces of it, in an order that depends on the record and the configuration alone. One piece is still a piece; none
    /// is as good as dropped.
    Several(Vec<TransformRecord>),
}

/// A transform. Each task has its own.
pub trait Transform: Send + Sync {
    /// Transforms a record.
    ///
    /// # Errors
    /// A data error if the record cannot be transformed.
    fn apply(&mut self, record: TransformRecord) -> Result<Transformed>;
}

/// Decides which records a transform is applied to.
pub trait Predicate: Send + Sync {
    /// True if the record fits.
    fn test(&self, record: &TransformRecord) -> bool;
}

/// Makes a transform from its options, given without their prefix.
pub type MakeTransform =
    fn(&BTreeMap<String, String>) -> Result<Box<dyn Transform>, Vec<OptionError>>;

/// Makes a predicate from its options, given without their prefix.
pub type MakePredicate =
    fn(&BTreeMap<String, String>) -> Result<Arc<dyn Predicate>, Vec<OptionError>>;

/// A linked transform.
pub struct TransformPlugin {
    /// The full class name: the Java class it replaces, with `$Key` or `$Value` where it has both.
    pub class: &'static str,
    /// Version shown by `/connector-plugins`.
    pub version: &'static str,
    /// The declared options.
    pub definition: fn() -> ConfigDef,
    /// Makes one.
    pub make: MakeTransform,
}

inventory::collect!(TransformPlugin);

/// A linked predicate.
pub struct PredicatePlugin {
    /// The full class name: the Java class it replaces.
    pub class: &'static str,
    /// Version shown by `/connector-plugins`.
    pub version: &'static str,
    /// The declared options.
    pub definition: fn() -> ConfigDef,
    /// Makes one.
    pub make: MakePredicate,
}

inventory::collect!(PredicatePlugin);

/// Every linked transform, by class name.
pub fn transform_plugins() -> Vec<&'static TransformPlugin> {
    let mut plugins: Vec<_> = inventory::iter::<TransformPlugin>.into_iter().collect();
    plugins.sort_by_key(|plugin| plugin.class);
    plugins
}

/// Every linked predicate, by class name.
pub fn predicate_plugins() -> Vec<&'static PredicatePlugin> {
    let mut plugins: Vec<_> = inventory::iter::<PredicatePlugin>.into_iter().collect();
    plugins.sort_by_key(|plugin| plugin.class);
    plugins
}
