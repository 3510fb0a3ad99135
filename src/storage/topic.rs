//! A store on a compacted topic, as Kafka Connect keeps its own: made if it is not there, refused if it would lose entries.
//!
//! Holds always: a write is acknowledged by all in-sync replicas when it returns; what is read ends at the end of the topic
//! as it was when reading began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::data::Offset;
use connect_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

use super::KeyValueStore;
use crate::kafka::compacted::CompactedTopic;
use crate::kafka::{ConsumedRecord, Log, NewTopic, Producer, ProducerOptions, ProducerRecord};

/// How long reading to the end may take.
const READ_DEADLINE: Duration = Duration::from_secs(60);
/// The same if open transactions are waited for: one that nobody ends is ended by the broker after a minute, as producers
/// are set unless somebody sets them otherwise. Behind one that lasts longer, as with `transaction.boundary=interval` it
/// may, reading fails and is tried again by whoever needs it.
const SETTLE_DEADLINE: Duration = Duration::from_secs(90);
/// How long a topic that was made may take to be known.
const APPEAR_DEADLINE: Duration = Duration::from_secs(30);
/// How long its clients may take to end.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long one look for entries of others waits.
const FOLLOW: Duration = Duration::from_secs(1);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);
const CLEANUP_POLICY: &str = "cleanup.policy";

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicPurpose {
    /// Connectors, their target states and task configs.
    Configs,
    /// Source offsets.
    Offsets,
    /// Source offsets of one connector.
    ConnectorOffsets,
    /// States and used topics.
    Statuses,
}

impl TopicPurpose {
    /// The option that names the topic: the worker's, or a connector's.
    pub fn option(self) -> &'static str {
        match self {
            Self::Configs => "config.storage.topic",
            Self::Offsets => "offset.storage.topic",
            Self::ConnectorOffsets => "offsets.storage.topic",
            Self::Statuses => "status.storage.topic",
        }
    }

    /// What Kafka Connect calls the content in its messages.
    fn content(self) -> &'static str {
        match self {
            Self::Configs => "connector configurations",
            Self::Offsets | Self::ConnectorOffsets => "source connector offsets",
            Self::Statuses => "connector and task statuses",
        }
    }
}

/// A topic that is to be there.
#[derive(Debug, Clone)]
pub struct StorageTopicOptions {
    /// What it is for.
    pub purpose: TopicPurpose,
    /// Its name.
    pub name: String,
    /// Its partitions if it is made; `None`: the broker's default.
    pub partitions: Option<i32>,
    /// Its replicas if it is made; `None`: the broker's default.
    pub replication_factor: Option<i16>,
    /// More settings if it is made. `cleanup.policy` is always `compact`.
    pub settings: BTreeMap<String, String>,
    /// Shown in broker logs.
    pub client_id: String,
}

/// A compacted topic for reading and writing.
pub(super) struct StorageTopic {
    name: Arc<str>,
    producer: Arc<dyn Producer>,
    reader: CompactedTopic,
    /// Held while the topic is read.
    turn: tokio::sync::Mutex<()>,
    /// How far each partition was handed over.
    read: watch::Sender<Vec<Offset>>,
}

/// A key with its value, or with `None` for a tombstone.
pub(super) type Entry = (Bytes, Option<Bytes>);

impl StorageTopic {
    /// Opens the topic; makes it if it is not there.
    ///
    /// # Errors
    /// `Config` if the topic would lose entries or their order; otherwise what the log says.
    pub(super) async fn open(log: &dyn Log, options: &StorageTopicOptions) -> Result<Self> {
        let admin = log.admin();
        if admin.describe_topic(&options.name).await?.is_none() {
            // Somebody else may have made it meanwhile: it is looked at in any case.
            admin.create_topic(&new_topic(options)).await?;
        }
        let (reader, settings) = opened(log, options).await?;
        check(options, reader.partitions(), &settings)?;
        let producer = log.producer(ProducerOptions {
            client_id: options.client_id.clone(),
            ..ProducerOptions::default()
        });
        Ok(Self {
            name: options.name.as_str().into(),
            producer: producer.await?,
            reader,
            turn: tokio::sync::Mutex::default(),
            read: watch::Sender::default(),
        })
    }

    /// Writes entries in order; all are acknowledged when this returns.
    pub(super) async fn write(&self, entries: Vec<Entry>) -> Result<()> {
        let records = self.records(entries);
        let failed = |error: Error| error.operation("write to topic").target(&*self.name);
        let written = self.producer.send(records).await.map_err(failed)?;
        let all: Result<Vec<_>> = written.into_iter().collect();
        all.map(drop).map_err(failed)
    }

    /// The records that [`StorageTopic::write`] would write.
    pub(super) fn records(&self, entries: Vec<Entry>) -> Vec<ProducerRecord> {
        let record = |(key, value)| ProducerRecord {
            topic: self.name.clone(),
            partition: None,
            timestamp: None,
            headers: Vec::new(),
            key: Some(key),
            value,
        };
        entries.into_iter().map(record).collect()
    }

    /// Sees to it that every committed record up to the first open transaction is handed over, here or by whoever follows.
    pub(super) async fn read_to_end(&self, take: impl FnMut(ConsumedRecord) + Send) -> Result<()> {
        let until = Instant::now() + READ_DEADLINE;
        let ends = self.reader.ends(until).await?;
        self.read_to(&ends, until, take).await
    }

    /// The same to the end: open transactions are waited for.
    pub(super) async fn read_through(&self, take: impl FnMut(ConsumedRecord) + Send) -> Result<()> {
        let until = Instant::now() + SETTLE_DEADLINE;
        let ends = self.reader.settled_ends(until).await?;
        self.read_to(&ends, until, take).await
    }

    async fn read_to(
        &self,
        ends: &[Offset],
        until: Instant,
        take: impl FnMut(ConsumedRecord) + Send,
    ) -> Result<()> {
        let mut read = self.read.subscribe();
        let are_read = |read: &Vec<Offset>| {
            let mut pairs = read.iter().zip(ends);
            read.len() == ends.len() && pairs.all(|(read, end)| read >= end)
        };
        let by_another = async {
            // Its other end lives as long as this one.
            let _read = read.wait_for(are_read).await;
        };
        let turn = tokio::select! {
            biased;
            () = by_another => None,
            turn = self.turn.lock() => Some(turn),
        };
        let Some(_turn) = turn else {
            return Ok(());
        };
        let outcome = self.reader.read_to(ends, until, take).await;
        self.tell_progress().await;
        outcome
    }

    /// Waits up to `timeout` for records and hands them over.
    pub(super) async fn follow(
        &self,
        timeout: Duration,
        take: impl FnMut(ConsumedRecord) + Send,
    ) -> Result<()> {
        let _turn = self.turn.lock().await;
        let outcome = self.reader.follow(timeout, take).await;
        self.tell_progress().await;
        outcome
    }

    /// Ends its clients; nothing is read or written afterwards.
    pub(super) async fn close(&self) {
        let both = async { tokio::join!(self.producer.close(), self.reader.close()) };
        let Ok((written, read)) = tokio::time::timeout(CLOSE_DEADLINE, both).await else {
            warn!(topic = &*self.name, "clients did not end in time");
            return;
        };
        for failure in [written, read].into_iter().filter_map(Result::err) {
            let (topic, error) = (&*self.name, failure.trace());
            warn!(topic, error, "a client was not closed");
        }
    }

    async fn tell_progress(&self) {
        self.read.send_replace(self.reader.positions().await);
    }
}

/// Opens a topic for reading, with its settings. One that was made a moment ago, here or by another worker, is not known to
/// every broker at once, and each request may go to another.
async fn opened(
    log: &dyn Log,
    options: &StorageTopicOptions,
) -> Result<(CompactedTopic, BTreeMap<String, String>)> {
    let until = Instant::now() + APPEAR_DEADLINE;
    loop {
        match open_now(log, options).await {
            Err(failure) if is_unknown(&failure) && Instant::now() < until => {
                tokio::time::sleep(LOOK).await;
            }
            outcome => return outcome,
        }
    }
}

async fn open_now(
    log: &dyn Log,
    options: &StorageTopicOptions,
) -> Result<(CompactedTopic, BTreeMap<String, String>)> {
    let settings = log.admin().topic_settings(&options.name).await?;
    let reader = CompactedTopic::open(log, &options.name, &options.client_id).await?;
    Ok((reader, settings))
}

/// Whether a broker does not know the topic, or not yet.
fn is_unknown(failure: &Error) -> bool {
    failure.kind() == ErrorKind::Config && failure.is_retriable()
}

fn new_topic(options: &StorageTopicOptions) -> NewTopic {
    let mut settings = options.settings.clone();
    settings.insert(CLEANUP_POLICY.to_owned(), "compact".to_owned());
    NewTopic {
        name: options.name.clone(),
        partitions: options.partitions,
        replication_factor: options.replication_factor,
        settings,
    }
}

/// Refuses a topic that would lose entries or their order.
fn check(
    options: &StorageTopicOptions,
    partitions: usize,
    settings: &BTreeMap<String, String>,
) -> Result<()> {
    let (name, option) = (&options.name, options.purpose.option());
    let content = options.purpose.content();
    let policy = settings.get(CLEANUP_POLICY).map_or("", String::as_str);
    if policy != "compact" {
        return Err(Error::config(format!(
            "Topic '{name}' supplied via the '{option}' property is required to have '{CLEANUP_POLICY}=compact' to guarantee consistency and durability of {content}, but found the topic currently has '{CLEANUP_POLICY}={policy}'. Continuing would likely result in eventually losing {content} and problems restarting this Connect cluster in the future. Change the '{option}' property in the Connect worker configurations to use a topic with '{CLEANUP_POLICY}=compact'."
        )));
    }
    if options.purpose == TopicPurpose::Configs && partitions != 1 {
        return Err(Error::config(format!(
            "Topic '{name}' supplied via the '{option}' property is required to have a single partition in order to guarantee consistency of {content}, but found {partitions} partitions."
        )));
    }
    Ok(())
}

/// What a topic holds, by a form of the key that does not depend on who wrote it.
#[derive(Default)]
struct Known {
    values: BTreeMap<String, Value>,
    /// Keys whose bytes are not those we would write: the next value must replace the same entry.
    keys: BTreeMap<String, Bytes>,
    /// What was read and not yet handed on to whoever follows; nothing unless somebody does.
    news: Option<Vec<(String, Option<Value>)>>,
}

impl Known {
    fn take(&mut self, form: KeyForm, key: &Bytes, value: Option<&Bytes>) {
        let Some(own) = std::str::from_utf8(key).ok().map(form) else {
            warn!("an entry whose key is not text is left alone");
            return;
        };
        if own.as_bytes() != &**key {
            self.keys.insert(own.clone(), key.clone());
        }
        match value.map(|value| serde_json::from_slice::<Value>(value)) {
            None | Some(Ok(Value::Null)) => {
                self.values.remove(&own);
                self.tell(own, None);
            }
            Some(Ok(value)) => {
                self.values.insert(own.clone(), value.clone());
                self.tell(own, Some(value));
            }
            Some(Err(cause)) => warn!(key = own, %cause, "an entry that is not JSON is left alone"),
        }
    }

    fn tell(&mut self, key: String, value: Option<Value>) {
        if let Some(news) = &mut self.news {
            news.push((key, value));
        }
    }

    fn key_bytes(&self, own: String) -> Bytes {
        let known = self.keys.get(&own).cloned();
        known.unwrap_or_else(|| Bytes::from(own))
    }
}

/// Gives a key the form that this worker writes.
type KeyForm = fn(&str) -> String;

/// A store on a compacted topic, for entries that are independent of each other.
pub struct TopicStore {
    topic: StorageTopic,
    form: KeyForm,
    /// Never held while something is waited for: whoever writes must not wait for whoever reads.
    known: Mutex<Known>,
}

impl TopicStore {
    /// Opens the topic, made if it is not there, and reads it to its end.
    ///
    /// # Errors
    /// `Config` if the topic would lose entries; otherwise what the log says.
    pub async fn open(log: &dyn Log, options: &StorageTopicOptions) -> Result<Self> {
        let form = match options.purpose {
            TopicPurpose::Offsets | TopicPurpose::ConnectorOffsets => super::offsets::own_key,
            TopicPurpose::Configs | TopicPurpose::Statuses => str::to_owned,
        };
        let store = Self {
            topic: StorageTopic::open(log, options).await?,
            form,
            known: Mutex::default(),
        };
        store.load().await?;
        Ok(store)
    }

    /// Waits a while for entries, of others and of its own, and hands on what they set or remove (`None`). To be called for
    /// ever, by one.
    ///
    /// # Errors
    /// What the log says.
    pub async fn follow(&self) -> Result<Vec<(String, Option<Value>)>> {
        self.known().news.get_or_insert_default();
        let taken = self.topic.follow(FOLLOW, |record| self.take(record));
        taken.await?;
        let mut known = self.known();
        Ok(known.news.replace(Vec::new()).unwrap_or_default())
    }

    fn take(&self, record: ConsumedRecord) {
        let key = record.key.unwrap_or_default();
        self.known().take(self.form, &key, record.value.as_ref());
    }

    fn values(&self) -> Vec<(String, Value)> {
        self.known().values.clone().into_iter().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self, changes: Vec<(String, Option<Value>)>) -> Vec<Entry> {
        let known = self.known();
        let entry = |(key, value): (String, Option<Value>)| {
            let bytes = value.map(|value| Bytes::from(value.to_string()));
            (known.key_bytes((self.form)(&key)), bytes)
        };
        changes.into_iter().map(entry).collect()
    }
}

#[async_trait]
impl KeyValueStore for TopicStore {
    async fn load(&self) -> Result<Vec<(String, Value)>> {
        let taken = self.topic.read_to_end(|record| self.take(record));
        taken.await?;
        Ok(self.values())
    }

    async fn load_settled(&self) -> Result<Vec<(String, Value)>> {
        let taken = self.topic.read_through(|record| self.take(record));
        taken.await?;
        Ok(self.values())
    }

    async fn put(&self, changes: Vec<(String, Option<Value>)>) -> Result<()> {
        let entries = self.entries(changes);
        self.topic.write(entries).await
    }

    async fn records(&self, changes: Vec<(String, Option<Value>)>) -> Result<Vec<ProducerRecord>> {
        let entries = self.entries(changes);
        Ok(self.topic.records(entries))
    }

    async fn close(&self) {
        self.topic.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(purpose: TopicPurpose) -> StorageTopicOptions {
        StorageTopicOptions {
            purpose,
            name: "t".to_owned(),
            partitions: None,
            replication_factor: None,
            settings: [(CLEANUP_POLICY.to_owned(), "delete".to_owned())].into(),
            client_id: String::new(),
        }
    }

    #[test]
    fn topics_that_would_lose_entries_are_refused() {
        let policy = |policy: &str| [(CLEANUP_POLICY.to_owned(), policy.to_owned())].into();
        let offsets = options(TopicPurpose::Offsets);
        assert!(check(&offsets, 25, &policy("compact")).is_ok());
        for wrong in ["delete", "compact,delete"] {
            let refused = check(&offsets, 25, &policy(wrong)).unwrap_err().to_string();
            assert!(refused.contains(&format!("currently has 'cleanup.policy={wrong}'")));
        }
        let configs = options(TopicPurpose::Configs);
        assert!(check(&configs, 1, &policy("compact")).is_ok());
        let refused = check(&configs, 2, &policy("compact")).unwrap_err();
        assert!(refused.to_string().contains("but found 2 partitions"));
    }

    #[test]
    fn a_topic_is_made_compacted_whatever_its_settings_say() {
        let made = new_topic(&options(TopicPurpose::Statuses));
        assert_eq!(made.settings[CLEANUP_POLICY], "compact");
    }

    #[test]
    fn an_offset_is_replaced_under_the_bytes_of_its_key() {
        let mut known = Known::default();
        let theirs = Bytes::from_static(br#"["c",{"b":1,"a":"x"}]"#);
        known.take(super::super::offsets::own_key, &theirs, Some(&"{}".into()));
        let own = r#"["c",{"a":"x","b":1}]"#.to_owned();
        assert!(known.values.contains_key(&own));
        assert_eq!(known.key_bytes(own), theirs);
        known.take(super::super::offsets::own_key, &theirs, None);
        assert!(known.values.is_empty());
    }
}
