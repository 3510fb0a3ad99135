//! Which topics connectors have used, as `GET /connectors/{connector}/topics` tells it.
//!
//! A source uses a topic once the log has acknowledged a record for it, a sink once it has read one. What is known is
//! forgotten by a reset, by the end of the connector and, unless it is kept in a topic, by that of the worker; the next
//! record tells it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::status_writer::StatusWriter;

#[derive(Default)]
struct Inner {
    /// Counts resets: what a tracker has told before one, it must tell again.
    resets: AtomicU64,
    topics: Mutex<BTreeMap<String, BTreeSet<Arc<str>>>>,
    statuses: StatusWriter,
}

/// The topics of all connectors of a worker.
#[derive(Clone, Default)]
pub(super) struct ActiveTopics(Arc<Inner>);

impl ActiveTopics {
    /// Keeps what becomes known among the statuses of a cluster, if there is one.
    pub(super) fn kept_in(statuses: StatusWriter) -> Self {
        Self(Arc::new(Inner {
            statuses,
            ..Inner::default()
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<Arc<str>>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics a connector has used.
    pub(super) fn of(&self, connector: &str) -> Vec<String> {
        if self.0.statuses.is_shared() {
            return self.0.statuses.used_topics(connector);
        }
        let topics = self.lock();
        let used = topics.get(connector).into_iter().flatten();
        used.map(ToString::to_string).collect()
    }

    /// How often topics were forgotten.
    fn resets(&self) -> u64 {
        let own = self.0.resets.load(Ordering::Acquire);
        own.wrapping_add(self.0.statuses.topic_resets())
    }

    fn add(&self, topic: &Arc<str>, connector: &str, task: u32) {
        if self.0.statuses.is_shared() {
            return self.0.statuses.topic_used(topic, connector, task);
        }
        let mut topics = self.lock();
        let used = topics.entry(connector.to_owned()).or_default();
        used.insert(topic.clone());
    }

    /// Forgets the topics of a connector.
    pub(super) fn reset(&self, connector: &str) {
        let mut topics = self.lock();
        topics.remove(connector);
        self.0.resets.fetch_add(1, Ordering::Release);
        self.0.statuses.topics_reset(connector);
    }

    /// What a task tells its topics to.
    pub(super) fn tracker(&self, connector: &str, task: u32) -> TopicTracker {
        TopicTracker {
            topics: self.clone(),
            connector: connector.to_owned(),
            task,
            told: BTreeSet::new(),
            last: None,
            resets: 0,
        }
    }
}

/// Tells the topics of one task, each once.
pub(super) struct TopicTracker {
    topics: ActiveTopics,
    connector: String,
    task: u32,
    told: BTreeSet<Arc<str>>,
    /// The topic of the last record: mostly that of the next.
    last: Option<Arc<str>>,
    resets: u64,
}

impl TopicTracker {
    /// A record of `topic` has passed. Costs next to nothing for a topic that was told before.
    pub(super) fn used(&mut self, topic: &Arc<str>) {
        let resets = self.topics.resets();
        if resets != self.resets {
            self.told.clear();
            self.last = None;
            self.resets = resets;
        }
        if self
            .last
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, topic))
        {
            return;
        }
        self.last = Some(topic.clone());
        if self.told.insert(topic.clone()) {
            self.topics.add(topic, &self.connector, self.task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_was_reset_is_back_with_the_next_record() {
        let topics = ActiveTopics::default();
        let (mut first, mut second) = (topics.tracker("a", 0), topics.tracker("b", 0));
        let topic: Arc<str> = "t".into();
        first.used(&topic);
        first.used(&topic);
        second.used(&topic);
        assert_eq!(topics.of("a"), ["t"]);
        topics.reset("a");
        assert_eq!(topics.of("a"), Vec::<String>::new());
        assert_eq!(topics.of("b"), ["t"], "of another connector");
        first.used(&topic);
        assert_eq!(topics.of("a"), ["t"]);
    }
}
