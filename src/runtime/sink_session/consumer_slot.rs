//! Where a session, its listener and its task find the consumer that is made after them.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use connect_core::data::Offsets;
use connect_core::plugin::SinkRuntime;
use connect_core::{Error, Result};

use crate::kafka::Consumer;

/// The consumer, once it is there: listener and task are made before it. It is the loop's: the consumer holds the listener
/// and with it this slot, so that neither would ever end if the slot held the consumer.
#[derive(Clone, Default)]
pub(in crate::runtime) struct ConsumerSlot(Arc<OnceLock<Weak<dyn Consumer>>>);

impl ConsumerSlot {
    pub(in crate::runtime) fn fill(&self, consumer: &Arc<dyn Consumer>) {
        let _filled_once = self.0.set(Arc::downgrade(consumer));
    }

    pub(super) fn get(&self) -> Result<Arc<dyn Consumer>> {
        let consumer = self.0.get().and_then(Weak::upgrade);
        consumer.ok_or_else(|| Error::internal("the consumer is not there"))
    }
}

#[async_trait]
impl SinkRuntime for ConsumerSlot {
    async fn commit(&self, offsets: Offsets) -> Result<()> {
        self.get()?.commit(&offsets).await
    }
}
