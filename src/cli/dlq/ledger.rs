//! Which dead letters were sent again: a compacted topic, written in the transactions that send them.
//!
//! Not the offsets of a group: brokers forget those of a group without members after a week, and they cannot say that single
//! letters were sent and others before them were not.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use super::letter::{Letter, Place};
use super::queue::Queue;
use crate::kafka::{ConsumedRecord, Log, NewTopic, ProducerRecord};

/// The ledger of a queue.
#[derive(Debug)]
pub(super) struct Ledger {
    topic: String,
    /// Letters that were sent, with their identity.
    sent: HashMap<Place, String>,
    /// What these letters were written of: another letter of the same is not sent.
    causes: HashSet<String>,
}

impl Ledger {
    /// The topic, and the id of the transactions that write to it.
    pub(super) fn name_for(queue: &str) -> String {
        format!("sluice-dlq-{queue}")
    }

    /// Makes the topic if it is not there.
    pub(super) async fn provide(log: &dyn Log, queue: &str) -> Result<()> {
        let (admin, name) = (log.admin(), Self::name_for(queue));
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(1),
            replication_factor: None,
            settings: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        };
        let is_new = match admin.describe_topic(&name).await? {
            Some(_) => false,
            None => admin.create_topic(&new).await.with_context(|| {
                format!("making {name}, the compacted topic that tells what was sent again")
            })?,
        };
        if !is_new {
            let settings = admin.topic_settings(&name).await?;
            let policy = settings.get("cleanup.policy").map_or("", String::as_str);
            ensure!(
                policy == "compact",
                "{name} tells what was sent again, but its cleanup.policy is {policy}: set it to compact"
            );
        }
        Ok(())
    }

    /// Reads what is there.
    pub(super) async fn read(log: &dyn Log, queue: &str) -> Result<Self> {
        let mut ledger = Self {
            topic: Self::name_for(queue),
            sent: HashMap::new(),
            causes: HashSet::new(),
        };
        if let Some(mut entries) = Queue::open(log, &ledger.topic).await? {
            while let Some(records) = entries.next().await? {
                records.iter().for_each(|record| ledger.take(record));
            }
            entries.close().await?;
        }
        Ok(ledger)
    }

    fn take(&mut self, entry: &ConsumedRecord) {
        let key = entry.key.as_deref().map(String::from_utf8_lossy);
        let Some(place) = key.and_then(|key| key.parse().ok()) else {
            return; // written by somebody else
        };
        let value: Option<Value> = entry
            .value
            .as_deref()
            .and_then(|value| serde_json::from_slice(value).ok());
        let said = |name: &str| value.as_ref().and_then(|value| value.get(name)?.as_str());
        self.causes.extend(said("cause").map(str::to_owned));
        match said("letter") {
            Some(identity) => self.sent.insert(place, identity.to_owned()),
            None => self.sent.remove(&place),
        };
    }

    /// True if this very letter was sent, or another that was written of the same.
    pub(super) fn has(&self, letter: &Letter) -> bool {
        let known = self.sent.get(&letter.place());
        known.is_some_and(|identity| *identity == letter.identity())
            || letter
                .cause()
                .is_some_and(|cause| self.causes.contains(&cause))
    }

    /// A letter is on its way: others of the same need not be sent.
    pub(super) fn expect(&mut self, letter: &Letter) {
        self.causes.extend(letter.cause());
    }

    /// The entry that says that a letter was sent.
    pub(super) fn entry(&self, letter: &Letter, to: &str) -> ProducerRecord {
        let value = json!({ "letter": letter.identity(), "cause": letter.cause(), "to": to });
        self.record(letter.place(), Some(value.to_string().into()))
    }

    /// Entries that remove those of letters the log has deleted.
    pub(super) fn removals(&self, queue: &Queue) -> Vec<ProducerRecord> {
        let gone = self.sent.keys();
        gone.filter(|place| place.offset < queue.first(place.partition))
            .map(|place| self.record(*place, None))
            .collect()
    }

    fn record(&self, place: Place, value: Option<Bytes>) -> ProducerRecord {
        ProducerRecord {
            topic: self.topic.as_str().into(),
            partition: Some(0),
            timestamp: None,
            headers: Vec::new(),
            key: Some(place.to_string().into()),
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_core::data::{Offset, RecordTimestamp};

    use super::super::letter::tests::letter;
    use super::*;

    fn read_back(record: ProducerRecord) -> ConsumedRecord {
        ConsumedRecord {
            topic: record.topic,
            partition: 0,
            offset: Offset::new(0),
            timestamp: RecordTimestamp::Unknown,
            headers: record.headers,
            key: record.key,
            value: record.value,
        }
    }

    #[test]
    fn a_letter_is_known_by_its_entry_and_another_at_its_place_is_not() {
        let mut ledger = Ledger {
            topic: "ledger".to_owned(),
            sent: HashMap::new(),
            causes: HashSet::new(),
        };
        let dead = letter(&[("__connect.errors.topic", "orders")]);
        assert!(!ledger.has(&dead));
        ledger.take(&read_back(ledger.entry(&dead, "orders")));
        assert!(ledger.has(&dead));
        // The queue was deleted and made anew.
        assert!(!ledger.has(&letter(&[("__connect.errors.topic", "others")])));
        ledger.take(&read_back(ledger.record(dead.place(), None)));
        assert!(!ledger.has(&dead));
    }

    #[test]
    fn letters_of_one_record_count_as_one_for_each_connector() {
        let of = |place: i64, connector: &str, offset: &str| {
            let mut letter = letter(&[
                ("__connect.errors.topic", "orders"),
                ("__connect.errors.partition", "0"),
                ("__connect.errors.offset", offset),
                ("__connect.errors.connector.name", connector),
            ]);
            letter.record.offset = Offset::new(place);
            letter
        };
        let mut ledger = Ledger {
            topic: "ledger".to_owned(),
            sent: HashMap::new(),
            causes: HashSet::new(),
        };
        ledger.take(&read_back(ledger.entry(&of(1, "copy", "5"), "orders")));
        assert!(ledger.has(&of(2, "copy", "5")));
        assert!(!ledger.has(&of(3, "copy", "6")));
        assert!(!ledger.has(&of(4, "other", "5")));
        ledger.expect(&of(4, "other", "5"));
        assert!(ledger.has(&of(5, "other", "5")));
    }
}
