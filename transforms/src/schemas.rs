//! Schemas that transforms make from schemas they meet: made once, so that records with one schema still have one.

use std::sync::Arc;

use connect_core::Result;
use connect_core::data::Schema;

/// Schemas remembered; records of more kinds in turn have theirs made again.
const CAPACITY: usize = 16;

/// What was made of each schema, the last used first.
#[derive(Debug)]
pub(crate) struct SchemaCache<T>(Vec<(Arc<Schema>, T)>);

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> SchemaCache<T> {
    /// What was made of `schema`, or is made now.
    pub(crate) fn get(
        &mut self,
        schema: &Arc<Schema>,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let is_it = |known: &Arc<Schema>| Arc::ptr_eq(known, schema) || known == schema;
        if let Some(index) = self.0.iter().position(|(known, _)| is_it(known)) {
            self.0.swap(0, index);
        } else {
            let made = make()?;
            self.0.truncate(CAPACITY - 1);
            self.0.insert(0, (schema.clone(), made));
        }
        match self.0.first() {
            Some((_, made)) => Ok(made.clone()),
            None => Err(connect_core::Error::internal("an empty cache of schemas")),
        }
    }
}
