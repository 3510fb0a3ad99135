//! The log: what the worker needs of Kafka, and two homes for it.
//!
//! [`cluster`] is a real Kafka, [`embedded`] a durable log on local disk with the same semantics. One conformance suite
//! (tests/it/log_conformance) runs on both. Everything above this module sees only the traits here; nothing outside
//! `cluster` names the Kafka client crate.

pub mod client_options;
pub mod cluster;
pub mod compacted;
pub mod embedded;
mod group;

pub use group::{
    Generation, GroupMember, GroupMemberOptions, GroupObserver, GroupProtocol, GroupSession,
    MemberMetadata, Rebalance,
};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::data::{Offset, Offsets, RawHeaders, RecordTimestamp, Timestamp, TopicPartition};
use connect_core::{Error, ErrorKind, Result};

/// A home of the log: makes clients that share its connections.
///
/// Errors of all clients are [`Error`]s: `External` with a retry verdict for what a broker may do better
/// next time, `Auth` for refused credentials or privileges, `Conflict` for a lost partition or a fenced producer,
/// `Config` for wrong settings and topics that do not exist.
#[async_trait]
pub trait Log: Send + Sync {
    /// A consumer that is a member of `options.group`, or of none.
    async fn consumer(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>>;

    /// A producer.
    async fn producer(&self, options: ProducerOptions) -> Result<Arc<dyn Producer>>;

    /// A transactional producer; fences an earlier one with the same id and aborts what it left open.
    async fn transactional_producer(
        &self,
        transactional_id: &str,
        options: ProducerOptions,
    ) -> Result<Arc<dyn TransactionalProducer>>;

    /// A member of a group that is led by one of its members; it has not joined yet.
    ///
    /// # Errors
    /// `Config` where there is no group coordinator: a log on local disk.
    async fn group_member(&self, options: GroupMemberOptions) -> Result<Box<dyn GroupMember>> {
        let text = "needs brokers: set bootstrap.servers";
        Err(Error::config(format!("the group {} {text}", options.group)))
    }

    /// The worker's own admin client.
    fn admin(&self) -> Arc<dyn Admin>;

    /// An admin client with settings above the worker's own, under Kafka's names, already stripped of `admin.` or
    /// `admin.override.`; the worker's own if there are none. An unsupported key is refused by name.
    async fn admin_with(
        &self,
        client_id: &str,
        overrides: BTreeMap<String, String>,
    ) -> Result<Arc<dyn Admin>>;

    /// Waits until the log is of no use any more to this process: never, where brokers see to that.
    async fn lost(&self) -> Error {
        std::future::pending().await
    }
}

/// A record as read from the log.
#[derive(Debug, Clone)]
pub struct ConsumedRecord {
    /// The topic; shared by all records of one fetch.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
    /// When it was made; [`RecordTimestamp::Unknown`] where the client cannot tell it reliably.
    pub timestamp: RecordTimestamp,
    /// Headers in order; keys may repeat, values may be null.
    pub headers: RawHeaders,
    /// The key; `None` is null, not empty.
    pub key: Option<Bytes>,
    /// The value; `None` is null (a tombstone), not empty.
    pub value: Option<Bytes>,
}

/// A record to be written to the log.
#[derive(Debug, Clone)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None`: by hash of the key as Kafka's default partitioner does, or any if there is no key.
    pub partition: Option<i32>,
    /// When it was made; `None` means now.
    pub timestamp: Option<Timestamp>,
    /// Headers.
    pub headers: RawHeaders,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
}

/// Where a new group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoOffsetReset {
    /// At the first record there is.
    #[default]
    Earliest,
    /// After the last record there is.
    Latest,
    /// Nowhere: an error.
    None,
}

/// Which records are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All.
    #[default]
    ReadUncommitted,
    /// Only those of committed transactions and of none.
    ReadCommitted,
}

/// What a consumer reads.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// These topics, shared with the other members of the group.
    Topics(Vec<String>),
    /// All topics whose whole name matches (Java regular expression), as they come and go.
    Pattern(String),
    /// These partitions, for this consumer alone; no group membership.
    Partitions(Vec<TopicPartition>),
}

/// How to make a consumer.
#[derive(Clone)]
pub struct ConsumerOptions {
    /// The group; `None` for a reader that neither joins nor commits.
    pub group: Option<String>,
    /// What to read.
    pub subscription: Subscription,
    /// Shown in broker logs and group descriptions.
    pub client_id: String,
    /// Where to begin without a committed offset.
    pub auto_offset_reset: AutoOffsetReset,
    /// Which records are seen.
    pub isolation: Isolation,
    /// At most this many records a poll.
    pub max_poll_records: usize,
    /// Bytes of fetched records that may wait in the client.
    pub fetch_max_bytes: usize,
    /// Told of partitions that come and go; `None` for readers without a group.
    pub listener: Option<Arc<dyn RebalanceListener>>,
    /// More settings under Kafka's own names (`session.timeout.ms`, `isolation.level` …), already stripped of
    /// `consumer.` or `consumer.override.`; they win over the fields above. An unsupported key is refused by name.
    pub overrides: BTreeMap<String, String>,
}

/// Told of partitions that come and go. Called from within [`Consumer::poll`] and [`Consumer::close`], never at the same
/// time as another call of the same listener; may call back into the consumer (commit, position, seek, pause).
#[async_trait]
pub trait RebalanceListener: Send + Sync {
    /// Newly given partitions, before their first record is returned.
    async fn assigned(&self, partitions: &[TopicPartition]);

    /// Partitions about to be taken away, still owned: the last chance to commit.
    async fn revoked(&self, partitions: &[TopicPartition]);

    /// Partitions already taken away without notice: nothing may be committed.
    async fn lost(&self, partitions: &[TopicPartition]);
}

/// A reader of the log.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Waits up to `timeout` for records; empty if none came, or if [`Consumer::wakeup`] was called.
    ///
    /// Must be awaited to its end: rebalance callbacks run inside.
    async fn poll(&self, timeout: Duration) -> Result<Vec<ConsumedRecord>>;

    /// Makes a waiting (or the next) poll return at once.
    fn wakeup(&self);

    /// Commits as this member of the group. [`connect_core::ErrorKind::Conflict`] if a partition is no longer owned or
    /// the member was fenced.
    async fn commit(&self, offsets: &Offsets) -> Result<()>;

    /// What the group has committed.
    async fn committed(&self, partitions: &[TopicPartition]) -> Result<Offsets>;

    /// The partitions owned now.
    async fn assignment(&self) -> Vec<TopicPartition>;

    /// The next offset to be returned for an owned partition.
    async fn position(&self, partition: &TopicPartition) -> Result<Offset>;

    /// Goes on at `offset` in an owned partition.
    async fn seek(&self, partition: &TopicPartition, offset: Offset) -> Result<()>;

    /// Stops returning records of these partitions; they stay owned.
    async fn pause(&self, partitions: &[TopicPartition]);

    /// Undoes [`Consumer::pause`].
    async fn resume(&self, partitions: &[TopicPartition]);

    /// First and next-to-be-written offset of partitions: with `ReadCommitted`, up to the first open transaction.
    async fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks>;

    /// Gives up all partitions (`revoked` is called) and leaves the group.
    async fn close(&self) -> Result<()>;
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset there is.
    pub low: Offset,
    /// The offset after the last record.
    pub high: Offset,
}

/// Compression of produced batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// How to make a producer. Defaults are Kafka Connect's: acks of all replicas, order kept.
#[derive(Debug, Clone, Default)]
pub struct ProducerOptions {
    /// Shown in broker logs.
    pub client_id: String,
    /// Compression of batches.
    pub compression: Compression,
    /// More settings under Kafka's own names, already stripped of `producer.` or `producer.override.`; they win. An
    /// unsupported key is refused by name.
    pub overrides: BTreeMap<String, String>,
}

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
}

/// A writer to the log.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Writes records in order and waits until all are acknowledged by all in-sync replicas; a result per record.
    async fn send(&self, records: Vec<ProducerRecord>) -> Result<Vec<Result<Produced>>>;

    /// Sends what waits and closes.
    async fn close(&self) -> Result<()>;
}

/// A writer whose records become visible together or not at all.
#[async_trait]
pub trait TransactionalProducer: Send + Sync {
    /// Opens a transaction.
    async fn begin(&self) -> Result<()>;

    /// Writes records in order within the transaction and waits for the acknowledgements. Any failure means: abort.
    async fn send(&self, records: Vec<ProducerRecord>) -> Result<Vec<Produced>>;

    /// Makes the records visible.
    async fn commit(&self) -> Result<()>;

    /// Drops the records.
    async fn abort(&self) -> Result<()>;

    /// Drops the records after a call has failed; what that comes to. A producer that was fenced out often learns it only
    /// when it ends its transaction: then that is the error.
    async fn abort_after(&self, failure: Error) -> Error {
        match self.abort().await {
            Err(fenced) if fenced.kind() == ErrorKind::Conflict => fenced,
            Ok(()) | Err(_) => failure,
        }
    }

    /// Aborts what is open and closes.
    async fn close(&self) -> Result<()>;
}

/// A topic to be made.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// The number of partitions; `None`: the broker's default.
    pub partitions: Option<i32>,
    /// The number of replicas; `None`: the broker's default.
    pub replication_factor: Option<i16>,
    /// Settings under Kafka's own names: `cleanup.policy`, `retention.ms`, `retention.bytes` …
    pub settings: BTreeMap<String, String>,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The name.
    pub name: String,
    /// The number of partitions.
    pub partitions: i32,
}

/// Administration of the log.
#[async_trait]
pub trait Admin: Send + Sync {
    /// An id of the cluster, as `GET /` shows it.
    async fn cluster_id(&self) -> Result<String>;

    /// Makes a topic; true if it was made, false if it was there.
    async fn create_topic(&self, topic: &NewTopic) -> Result<bool>;

    /// Gives a topic more partitions: `partitions` in all. [`connect_core::ErrorKind::Config`] if it has as many already.
    async fn grow_topic(&self, topic: &str, partitions: i32) -> Result<()>;

    /// Removes a topic; true if it was there.
    async fn delete_topic(&self, topic: &str) -> Result<bool>;

    /// All topics but internal ones.
    async fn list_topics(&self) -> Result<Vec<String>>;

    /// A topic; `None` if there is none of that name.
    ///
    /// # Errors
    /// `Config` if no topic can have the name.
    async fn describe_topic(&self, topic: &str) -> Result<Option<TopicDescription>>;

    /// A topic's settings, defaults included.
    async fn topic_settings(&self, topic: &str) -> Result<BTreeMap<String, String>>;

    /// All that a group has committed; empty if it has not, or is not there.
    async fn group_offsets(&self, group: &str) -> Result<Offsets>;

    /// Sets or removes (`None`) a group's offsets; fails with `Conflict` while the group has members.
    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()>;

    /// Removes a group; false if it was not there. `Conflict` while it has members.
    async fn delete_group(&self, group: &str) -> Result<bool>;

    /// The offset after the last record of each partition.
    async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>>;
}

/// Kafka's rule on topic names.
///
/// # Errors
/// A configuration error that quotes the name.
pub(crate) fn check_topic_name(name: &str) -> Result<()> {
    let legal = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if name.is_empty()
        || name.len() > 249
        || !name.chars().all(legal)
        || [".", ".."].contains(&name)
    {
        return Err(Error::config(format!(
            "{name:?} is no topic name: up to 249 letters, digits, dots, underscores and dashes"
        )));
    }
    Ok(())
}
