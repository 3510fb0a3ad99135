//! The traits a plugin implements, and how the runtime finds plugins.

mod connector;
mod converter;
mod offset_form;
mod preview;
mod registry;
mod sink;
mod source;
mod transactions;
mod transform;

pub use connector::{Connector, ConnectorType, OffsetChanges, TaskId};
pub use converter::{Converter, ConverterRole, HeaderConverter, SchemaLookup};
pub use offset_form::{FieldKind, Fields, OffsetForm};
pub use preview::{Effect, FileEffect, RowsEffect, SinkPreview, SourcePreview, StatementEffect};
pub use registry::{
    ConnectorPlugin, ConverterPlugin, MakeConverter, MakeHeaderConverter, connector_plugins,
    converter_plugins,
};
pub use sink::{Assignment, MemoryBudget, MemoryShare, SinkRuntime, SinkTask, SinkTaskContext};
pub use source::{OffsetReader, Polled, SourceTask, SourceTaskContext};
pub use transactions::{ExactlyOnceSupport, TransactionBoundaries, TransactionEnd};
pub use transform::{
    MakePredicate, MakeTransform, Predicate, PredicatePlugin, RecordPosition, Transform,
    TransformPlugin, TransformRecord, Transformed, predicate_plugins, transform_plugins,
};
